"""One resize: check the request, read the original, make and write thumbnails, check that the original is unchanged."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from functions.resize.errors import BucketNotAllowedError, OriginalChangedError
from functions.resize.keys import check_key, check_thumbnail_keys, thumbnail_key
from functions.resize.limits import Limits, check_recipe
from functions.resize.recipe import Result, Thumbnail
from functions.resize.request import ResizeRequest
from functions.resize.storage import StoredOriginal
from functions.resize.thumbnails import make_thumbnails

# After this many replacements of the original within one run, Step Functions retries.
MAX_ATTEMPTS = 3

# Uploads are I/O-bound.
_UPLOADS_AT_ONCE = 8


class Store(Protocol):
    """The S3 operations that the job needs; ``storage.Storage`` in production."""

    def read_original(self, bucket: str, key: str, limits: Limits) -> StoredOriginal:
        """Return the bytes and the ETag of an original."""

    def original_etag(self, bucket: str, key: str) -> str:
        """Return the current ETag of an original."""

    def write_thumbnail(self, bucket: str, key: str, thumbnail: Thumbnail, original_etag: str) -> str:
        """Write one thumbnail and return its ETag."""


@dataclass(frozen=True, slots=True)
class Buckets:
    """The pair of buckets that this deployment serves."""

    originals: str
    thumbnails: str


@dataclass(slots=True)
class Measurements:
    """Costs of one resize, summed over its attempts; times in milliseconds."""

    attempts: int = 0
    download_ms: float = 0.0
    resize_ms: float = 0.0
    upload_ms: float = 0.0
    warnings: list[str] = field(default_factory=list)


def check_buckets(request: ResizeRequest, buckets: Buckets) -> None:
    """Refuse every bucket outside the configured pair.

    Raises
    ------
    BucketNotAllowedError
    """
    if request.source_bucket != buckets.originals:
        raise BucketNotAllowedError("source_bucket", request.source_bucket)
    if request.destination_bucket != buckets.thumbnails:
        raise BucketNotAllowedError("destination_bucket", request.destination_bucket)


def run(
    request: ResizeRequest, store: Store, buckets: Buckets, limits: Limits, measurements: Measurements
) -> dict[str, Any]:
    """Make and write the thumbnails of one request.

    The original may be replaced during the run. So its ETag is read again after the writes, and a new ETag repeats
    the work. The run that writes last has therefore read the latest original.

    Returns
    -------
    dict
        The result as documented in docs/architecture.md, status SUCCESS.

    Raises
    ------
    PermanentError
        The request can never succeed.
    TransientError
        It may succeed when it is tried again.
    """
    check_buckets(request, buckets)
    check_key(request.object_key, request.recipe.boxes, request.recipe.fit)
    check_recipe(request.recipe, limits)
    bucket, key = request.source_bucket, request.object_key
    for _ in range(MAX_ATTEMPTS):
        measurements.attempts += 1
        with _clock(measurements, "download_ms"):
            stored = store.read_original(bucket, key, limits)
        with _clock(measurements, "resize_ms"):
            made = make_thumbnails(stored.data, request.recipe, limits)
        measurements.warnings.extend(made.warnings)
        with _clock(measurements, "upload_ms"):
            thumbnails = _write(request, store, made, stored.etag)
            is_fresh = store.original_etag(bucket, key) == stored.etag
        if is_fresh:
            source = {
                "bucket": bucket,
                "key": key,
                "etag": stored.etag,
                "format": made.original.format,
                "width": made.original.width,
                "height": made.original.height,
                "bytes": len(stored.data),
            }
            return {"status": "SUCCESS", "source": source, "thumbnails": thumbnails}
    raise OriginalChangedError(key, MAX_ATTEMPTS)


def _write(request: ResizeRequest, store: Store, made: Result, original_etag: str) -> list[dict[str, Any]]:
    bucket = request.destination_bucket
    keys = [_key(request, thumbnail, made) for thumbnail in made.thumbnails]
    # Check every key before writing the first thumbnail.
    check_thumbnail_keys(request.object_key, keys)

    def write(thumbnail: Thumbnail, key: str) -> dict[str, Any]:
        etag = store.write_thumbnail(bucket, key, thumbnail, original_etag)
        return {
            "bucket": bucket,
            "key": key,
            "width": thumbnail.width,
            "height": thumbnail.height,
            "bytes": len(thumbnail.data),
            "content_type": thumbnail.content_type,
            "etag": etag,
        }

    if len(keys) == 1:
        return [write(made.thumbnails[0], keys[0])]
    with ThreadPoolExecutor(_UPLOADS_AT_ONCE) as pool:
        return list(pool.map(write, made.thumbnails, keys))


def _key(request: ResizeRequest, thumbnail: Thumbnail, made: Result) -> str:
    extension = "" if thumbnail.format == made.original.format else thumbnail.extension
    return thumbnail_key(request.object_key, thumbnail.box, request.recipe.fit, extension)


@contextmanager
def _clock(measurements: Measurements, name: str) -> Iterator[None]:
    start = time.perf_counter()
    try:
        yield
    finally:
        elapsed = (time.perf_counter() - start) * 1000
        setattr(measurements, name, getattr(measurements, name) + elapsed)
