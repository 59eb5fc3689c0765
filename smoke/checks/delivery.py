"""Check which objects viewers can get from the distribution and from the bucket, and which they cannot."""

import json
from collections.abc import Iterator, Mapping
from urllib.parse import quote

from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from smoke.delivery import Served
from smoke.deployment import Deployment
from smoke.report import Mark, Row, judged, judged_all
from smoke.visit import Replacement, Visit

_OK = 200
_REDIRECTS = {301, 308}


def the_bucket_is_private(deployment: Deployment, visit: Visit) -> Iterator[Row]:
    """Check that S3 refuses manifests and thumbnails to requests without credentials."""
    anybody = deployment.session.client("s3", config=Config(signature_version=UNSIGNED))
    statuses = {}
    for key in visit.private:
        try:
            answer = anybody.get_object(Bucket=deployment.thumbnails, Key=key)
            statuses[key.partition("/")[0]] = answer["ResponseMetadata"]["HTTPStatusCode"]
        except ClientError as error:
            statuses[key.partition("/")[0]] = error.response["ResponseMetadata"]["HTTPStatusCode"]
    yield refused("S3 refuses requests without credentials", statuses)


def pictures_are_served(deployment: Deployment, visit: Visit) -> Iterator[Row]:
    """Check that the distribution serves manifests, and the bucket's bytes under the URLs in them."""
    if (viewer := deployment.viewer) is None:
        return
    s3, faults, count = deployment.client("s3"), [], 0
    for upload in visit.uploads:
        if not upload.original.content_type:
            continue
        served = viewer.get(quote(f"manifests/{upload.key}.json"))
        faults += list(manifest_faults(upload.original.format, served))
        for entry in listed(served):
            stored = s3.get_object(Bucket=deployment.thumbnails, Key=entry["key"])["Body"].read()
            faults += list(thumbnail_faults(upload.original.format, viewer.get(entry["url"]), entry, stored))
            count += 1
    if not count:
        faults.append("no manifest lists a thumbnail")
    yield judged_all("manifests and thumbnails are served", f"{count} thumbnails, byte for byte", faults)


def listed(served: Served) -> list[dict[str, str]]:
    """Return the thumbnails in a served manifest; none if the response is not a manifest."""
    try:
        entries: list[dict[str, str]] = json.loads(served.data)["thumbnails"]
    except (ValueError, KeyError, TypeError):
        return []
    return entries


def manifest_faults(name: str, served: Served) -> Iterator[str]:
    """Yield the faults of a served manifest."""
    if served.status != _OK:
        yield f"the manifest of {name} was answered with {served.status}"
        return
    yield from _header_faults(f"the manifest of {name}", served)
    if served.headers.get("cache-control") != "no-cache":
        yield f"the manifest of {name} has Cache-Control '{served.headers.get('cache-control', '')}'"
    if any("url" not in entry for entry in listed(served)):
        yield f"the manifest of {name} has thumbnails without url"


def thumbnail_faults(name: str, served: Served, entry: Mapping[str, str], stored: bytes) -> Iterator[str]:
    """Yield the faults of a served thumbnail."""
    if served.status != _OK:
        yield f"the thumbnail of {name} was answered with {served.status}"
        return
    yield from _header_faults(f"the thumbnail of {name}", served)
    if served.headers.get("content-type") != entry["content_type"]:
        yield f"the thumbnail of {name} is {served.headers.get('content-type')}, not {entry['content_type']}"
    if served.data != stored:
        yield f"the thumbnail of {name} is not what the bucket has"


def _header_faults(what: str, served: Served) -> Iterator[str]:
    if not served.headers.get("access-control-allow-origin"):
        yield f"{what} has no Access-Control-Allow-Origin"
    if served.headers.get("x-content-type-options") != "nosniff":
        yield f"{what} has no X-Content-Type-Options"
    if "x-amz-server-side-encryption-aws-kms-key-id" in served.headers:
        yield f"{what} names the KMS key"


def nothing_else_is_served(deployment: Deployment, visit: Visit) -> Iterator[Row]:
    """Check that no path returns other objects than thumbnails and manifests."""
    if (viewer := deployment.viewer) is None:
        return
    paths = ["", "?list-type=2", *(f"{way}{visit.plan}" for way in ("", "/", "thumbnails/../", "manifests/%2e%2e/"))]
    statuses = {f"/{path}".replace(visit.plan, "plans/…"): viewer.get(path).status for path in paths}
    yield refused("nothing but thumbnails and manifests is served", statuses)


def refused(promise: str, statuses: Mapping[str, int]) -> Row:
    """Judge the HTTP statuses of requests that must be refused."""
    faults = [f"{what} was answered with {status}" for what, status in statuses.items() if not 400 <= status < 500]  # noqa: PLR2004 - HTTP client errors
    return judged_all(promise, ", ".join(f"{what} {status}" for what, status in statuses.items()), faults)


def http_is_redirected(deployment: Deployment, visit: Visit) -> Iterator[Row]:
    """Check that plain HTTP serves nothing."""
    if (viewer := deployment.viewer) is None:
        return
    path = quote(f"manifests/{visit.uploads[0].key}.json")
    if viewer.via is not None:
        found = f"not known: the requests went to {viewer.via} instead of CloudFront"
        yield Row(Mark.OPEN, "plain HTTP is redirected", found)
    else:
        yield redirected(viewer.get(path, scheme="http"), f"{viewer.url}{path}")


def redirected(served: Served, to: str) -> Row:
    """Judge the response to a request over plain HTTP."""
    location = served.headers.get("location", "")
    return judged(
        "plain HTTP is redirected",
        f"{served.status} {location[:60]}".strip(),
        kept=served.status in _REDIRECTS and location == to,
    )


def a_replaced_picture_is_served(deployment: Deployment, visit: Visit) -> Iterator[Row]:
    """Check that a replaced picture immediately has another URL, which returns the new bytes."""
    if deployment.viewer is not None:
        yield replaced(visit.replacement)


def replaced(replacement: Replacement | None) -> Row:
    """Judge the responses for a picture before and after it was replaced."""
    promise = "a replaced picture gets a new URL"
    if replacement is None:
        return Row(Mark.BROKEN, promise, "the distribution did not serve both manifests in time")
    faults = []
    if replacement.first_url == replacement.second_url:
        faults.append(f"it is still {replacement.second_url}")
    if replacement.second.status != _OK:
        faults.append(f"it was answered with {replacement.second.status}")
    elif replacement.second.data != replacement.stored or replacement.second.data == replacement.first.data:
        faults.append("it does not return the new bytes")
    version = replacement.second_url.rpartition("?")[2]
    return judged_all(promise, f"{version}, with the new bytes after {replacement.seconds:.0f} s", faults)
