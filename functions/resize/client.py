"""The S3 client of the function: timeouts, retries, and the Expect header."""

from typing import TYPE_CHECKING, Any, cast

import botocore.session
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# Two quick attempts. Step Functions makes further attempts later, with jitter and possibly in another sandbox.
_CONFIG = Config(
    connect_timeout=3, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 2}, max_pool_connections=8
)
# The threshold of other AWS SDKs:
# https://docs.aws.amazon.com/sdk-for-kotlin/api/latest/s3/aws.sdk.kotlin.services.s3/-s3-client/-config/-builder/continue-header-threshold-bytes.html
_LARGE_BODY = 2 * 1024 * 1024


def create_s3_client() -> "S3Client":
    """Return a client for the function's buckets, with region and credentials from the environment."""
    client = botocore.session.get_session().create_client("s3", config=_CONFIG)
    # Runs after botocore's own handler, which adds the header.
    client.meta.events.register_last("before-call.s3", _send_small_bodies_at_once)
    return cast("S3Client", client)


def _send_small_bodies_at_once(params: dict[str, Any], **_: Any) -> None:
    """Remove the Expect header from requests with small bodies: its round trip costs more than resending the body."""
    if "Expect" in params["headers"] and params["body"].getbuffer().nbytes < _LARGE_BODY:
        del params["headers"]["Expect"]
