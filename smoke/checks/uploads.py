"""Check the thumbnails, manifests and executions of the uploads."""

import io
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError
from PIL import Image

from smoke.deployment import Deployment
from smoke.report import Mark, Row, judged, judged_all
from smoke.visit import Upload, Visit

# Pixels that a side may differ by, because it is rounded.
_TOLERANCE = 1
# "To enable logging with CloudWatch Logs, the name should only contain 0-9, A-Z, a-z, - and _":
# https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
_LOGGED_NAME = re.compile(r"[0-9A-Za-z_-]+")


@dataclass(frozen=True, slots=True)
class Stored:
    """One thumbnail as S3 returned it."""

    content_type: str
    cache_control: str
    metadata: dict[str, str]
    data: bytes


def thumbnails_are_made(deployment: Deployment, visit: Visit) -> Iterator[Row]:
    """Check every thumbnail of every uploaded picture."""
    for upload in visit.uploads:
        if not upload.original.content_type:
            continue
        promise = f"{upload.original.format} becomes thumbnails"
        if upload.execution is None:
            yield Row(Mark.BROKEN, promise, f"no execution was started for {_short(upload.key)}")
        elif upload.execution.status != "SUCCEEDED":
            yield Row(Mark.BROKEN, promise, f"its execution is {upload.execution.failed_with}")
        else:
            with ThreadPoolExecutor(len(deployment.sizes)) as pool:
                keys = [thumbnail_key(upload, box) for box in deployment.sizes]
                stored = list(pool.map(lambda key: _get(deployment, key), keys))
            yield thumbnails(upload, deployment.sizes, stored, deployment.parameters["CacheControl"])


def thumbnail_key(upload: Upload, box: tuple[int, int]) -> str:
    """Return the key of an upload's thumbnail, as documented in the README."""
    folder, _, name = upload.key.rpartition("/")
    return f"thumbnails/{folder}/{box[0]}x{box[1]}_{name}{upload.original.extension}"


def thumbnails(upload: Upload, boxes: list[tuple[int, int]], stored: list[Stored | None], cache_control: str) -> Row:
    """Judge all thumbnails of one upload."""
    faults = []
    for box, thumbnail in zip(boxes, stored, strict=True):
        name = f"{box[0]}x{box[1]}"
        if thumbnail is None:
            faults.append(f"there is no {_short(thumbnail_key(upload, box))}")
        else:
            faults += [f"{name} {fault}" for fault in _faults(upload, box, thumbnail, cache_control)]
    size = sum(len(thumbnail.data) for thumbnail in stored if thumbnail)
    listed = ", ".join(f"{width}x{height}" for width, height in boxes)
    name = _short(upload.key.rpartition("/")[2].partition("-")[2])
    return judged_all(
        f"{upload.original.format} becomes thumbnails",
        f"{listed} {upload.original.content_type}, {size:,} bytes: {name}",
        faults,
    )


def _faults(upload: Upload, box: tuple[int, int], stored: Stored, cache_control: str) -> Iterator[str]:
    if stored.content_type != upload.original.content_type:
        yield f"is {stored.content_type}, not {upload.original.content_type}"
    if stored.cache_control != cache_control:
        yield f"has Cache-Control '{stored.cache_control}', not '{cache_control}'"
    if stored.metadata.get("original-etag") != upload.etag:
        yield f"has original-etag '{stored.metadata.get('original-etag', '')}', the original has '{upload.etag}'"
    try:
        with Image.open(io.BytesIO(stored.data)) as picture:
            picture.load()
            size, frames, kind = picture.size, getattr(picture, "n_frames", 1), picture.get_format_mimetype()
    except (OSError, SyntaxError, ValueError) as error:
        yield f"cannot be decoded: {error}"
        return
    if kind != stored.content_type:
        yield f"has the type {stored.content_type} but is {kind}"
    expected = _fitted(upload.original.size, box)
    if (
        size[0] > box[0]
        or size[1] > box[1]
        or any(abs(a - b) > _TOLERANCE for a, b in zip(size, expected, strict=True))
    ):
        yield f"has {size[0]}x{size[1]} pixels, not {expected[0]}x{expected[1]}"
    if frames != upload.original.frames:
        yield f"has {frames} frames, not {upload.original.frames}"


def _fitted(size: tuple[int, int], box: tuple[int, int]) -> tuple[int, int]:
    scale = min(1.0, box[0] / size[0], box[1] / size[1])
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def manifests_are_written(deployment: Deployment, visit: Visit) -> Iterator[Row]:
    """Check that every upload has a manifest that describes it."""
    faults = []
    for upload in visit.uploads:
        if upload.execution is not None:
            stored = _get(deployment, f"manifests/{upload.key}.json")
            name = _short(upload.key.rpartition("/")[2])
            faults += [f"that of {name} {fault}" for fault in manifest_faults(upload, stored, deployment.sizes)]
    yield judged_all("every upload has its manifest", f"{len(visit.uploads)} correct manifests", faults)


def manifest_faults(upload: Upload, stored: Stored | None, boxes: list[tuple[int, int]]) -> Iterator[str]:
    """Yield the faults of an upload's manifest."""
    if stored is None:
        yield "is missing"
        return
    try:
        manifest = json.loads(stored.data)
        etag, listed = manifest["original"].get("etag"), [each["key"] for each in manifest["thumbnails"]]
        has_placeholder, error = bool(manifest["placeholder"]), manifest.get("error")
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        yield f"cannot be read: {fault!r}"
        return
    is_picture = bool(upload.original.content_type)
    missing = {thumbnail_key(upload, box) for box in boxes} - {*listed} if is_picture else set()
    if etag != upload.etag:
        yield f"is of the original '{etag}', not '{upload.etag}'"
    for key in sorted(missing):
        yield f"does not list {_short(key)}"
    if has_placeholder != is_picture or bool(error) == is_picture:
        yield "has no placeholder" if is_picture else "does not state that the file is not a picture"


def no_picture_fails_by_name(_deployment: Deployment, visit: Visit) -> Iterator[Row]:
    """Check that a file that is not an image ends as FAILED with a named error."""
    (upload,) = (upload for upload in visit.uploads if not upload.original.content_type)
    found = "no execution was started" if upload.execution is None else upload.execution.failed_with
    kept = upload.execution is not None and (upload.execution.status, upload.execution.error) == (
        "FAILED",
        "Permanent.NotAnImageError",
    )
    yield judged("a non-image ends as FAILED, with an error name", found, kept=kept)


def names_can_be_logged(_deployment: Deployment, visit: Visit) -> Iterator[Row]:
    """Check that executions are named after what started them, in characters that Step Functions promises to log."""
    uploaded = [upload.execution.name for upload in visit.uploads if upload.execution]
    posted = sorted({post.execution.name for post in visit.posts.values() if post.execution})
    yield names(uploaded, posted)


def names(uploaded: list[str], posted: list[str]) -> Row:
    """Judge the names of executions."""
    faults = [f"{name} does not begin with upload-" for name in uploaded if not name.startswith("upload-")]
    faults += [f"{name} does not begin with api-" for name in posted if not name.startswith("api-")]
    faults += [f"{name} has other characters" for name in uploaded + posted if not _LOGGED_NAME.fullmatch(name)]
    if not uploaded + posted:
        faults.append("there was no execution")
    found = f"all {len(uploaded)} of uploads and {len(posted)} of requests, such as {(uploaded + posted or [''])[0]}"
    return judged_all("executions have names that can be logged", found, faults)


def _get(deployment: Deployment, key: str) -> Stored | None:
    s3: Any = deployment.client("s3")
    try:
        answer = s3.get_object(Bucket=deployment.thumbnails, Key=key)
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchKey":
            return None
        raise
    return Stored(
        answer.get("ContentType", ""), answer.get("CacheControl", ""), answer.get("Metadata", {}), answer["Body"].read()
    )


def _short(name: str) -> str:
    most = 60
    return name if len(name) <= most else f"{name[: most // 2]}…{name[-most // 2 :]} ({len(name)} characters)"
