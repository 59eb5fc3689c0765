"""S3 for the job: read the original, write a thumbnail, read the original's current ETag.

S3 errors become errors of the tree in ``errors.py``. Those that neither the client nor a retry can fix (no permission,
no bucket) stay botocore errors, which fail the execution.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from functions.resize.errors import (
    OriginalArchivedError,
    OriginalEncryptedError,
    OriginalNotFoundError,
    StorageUnavailableError,
)
from functions.resize.limits import Limits, check_size
from functions.resize.recipe import Thumbnail

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# A new original replaces the thumbnail under the same key, so caches may keep it for a day only.
CACHE_CONTROL = "public, max-age=86400"

# Codes of transient errors: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
_PASSING = frozenset(
    {"RequestTimeout", "RequestTimeoutException", "Throttling", "ThrottlingException", "KMS.ThrottlingException"}
)
_HTTP_BAD_REQUEST = 400
_HTTP_NOT_FOUND = 404
_HTTP_TOO_MANY_REQUESTS = 429
_HTTP_SERVER_ERROR = 500


@dataclass(frozen=True, slots=True)
class StoredOriginal:
    """The bytes of an original and their ETag, without quotes."""

    data: bytes
    etag: str


class Storage:
    """The two buckets of this deployment.

    Parameters
    ----------
    client : S3Client
        A boto3 or botocore S3 client, which retries before any error is raised here.
    owner : str
        Account id that must own the buckets (``ExpectedBucketOwner``), in case a stranger re-creates a deleted
        bucket.
    kms_key : str
        ARN of the KMS key that the role may decrypt with; empty for none.
    """

    def __init__(self, client: "S3Client", owner: str, kms_key: str) -> None:
        self._client = client
        self._owner = owner
        self._kms_key = kms_key

    def read_original(self, bucket: str, key: str, limits: Limits) -> StoredOriginal:
        """Download an original, after checking its size.

        Raises
        ------
        OriginalNotFoundError, OriginalArchivedError, OriginalEncryptedError, OriginalEmptyError,
        OriginalTooLargeError, StorageUnavailableError
        """
        with self._translated("GetObject", bucket, key):
            answer = self._client.get_object(Bucket=bucket, Key=key, ExpectedBucketOwner=self._owner)
            with closing(answer["Body"]) as body:
                check_size(answer["ContentLength"], limits)
                return StoredOriginal(body.read(), answer["ETag"].strip('"'))

    def original_etag(self, bucket: str, key: str) -> str:
        """Return the original's current ETag.

        Raises
        ------
        OriginalNotFoundError, StorageUnavailableError
        """
        with self._translated("HeadObject", bucket, key):
            answer = self._client.head_object(Bucket=bucket, Key=key, ExpectedBucketOwner=self._owner)
            return answer["ETag"].strip('"')

    def write_thumbnail(self, bucket: str, key: str, thumbnail: Thumbnail, original_etag: str) -> str:
        """Write one thumbnail and return its ETag.

        Raises
        ------
        StorageUnavailableError
        """
        with self._translated("PutObject", bucket, key):
            answer = self._client.put_object(
                Bucket=bucket,
                Key=key,
                Body=thumbnail.data,
                ContentType=thumbnail.content_type,
                CacheControl=CACHE_CONTROL,
                Metadata={"original-etag": original_etag},
                ExpectedBucketOwner=self._owner,
            )
            return answer["ETag"].strip('"')

    @contextmanager
    def _translated(self, operation: str, bucket: str, key: str) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "Unknown")
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            # HEAD has no body: a 404 has the code "404", whether the key or the bucket is missing.
            if code == "NoSuchKey" or (operation == "HeadObject" and status == _HTTP_NOT_FOUND):
                raise OriginalNotFoundError(bucket, key) from error
            if code == "InvalidObjectState":
                raise OriginalArchivedError(key) from error
            if code in _PASSING or status == _HTTP_TOO_MANY_REQUESTS or status >= _HTTP_SERVER_ERROR:
                raise StorageUnavailableError(operation, code) from error
            if operation == "GetObject" and self._has_foreign_key(code, bucket, key):
                raise OriginalEncryptedError(key) from error
            raise
        except BotoCoreError as error:
            # Connection errors, timeouts and incomplete bodies, after botocore's own retries.
            raise StorageUnavailableError(operation, type(error).__name__) from error

    def _has_foreign_key(self, code: str, bucket: str, key: str) -> bool:
        """Return whether GetObject failed because the deployment cannot use the object's key.

        The error code is ambiguous: ``AccessDenied`` can be a missing permission of the role, and ``InvalidRequest``
        has several causes. HeadObject returns the KMS key and needs no permission for it. For an object encrypted
        with a customer-provided key (SSE-C) it answers 400:
        https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
        """
        if code not in {"AccessDenied", "InvalidRequest"} and not code.startswith("KMS."):
            return False
        try:
            answer = self._client.head_object(Bucket=bucket, Key=key, ExpectedBucketOwner=self._owner)
        except ClientError as error:
            return (
                code == "InvalidRequest" and error.response["ResponseMetadata"]["HTTPStatusCode"] == _HTTP_BAD_REQUEST
            )
        return "SSEKMSKeyId" in answer and answer["SSEKMSKeyId"] != self._kms_key
