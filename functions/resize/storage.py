"""The S3 calls of a run: read the original and its manifest, and write and delete thumbnails conditionally.

S3 errors become errors of the tree in ``errors.py``. Errors that neither the client nor a retry can fix (no permission,
no bucket) stay botocore errors, which fail the execution.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from functions.resize.errors import (
    OriginalArchivedError,
    OriginalEmptyError,
    OriginalEncryptedError,
    OriginalNotFoundError,
    OriginalTooLargeError,
    PermanentError,
    StorageUnavailableError,
)
from functions.resize.limits import Limits, check_size

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# Codes of transient errors: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
_PASSING = frozenset(
    {"RequestTimeout", "RequestTimeoutException", "Throttling", "ThrottlingException", "KMS.ThrottlingException"}
)
# 412: the condition does not hold. 409: another conditional request is in progress. 404: If-Match on an object that was
# deleted. https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
_CONDITION_FAILED = {404, 409, 412}
_HTTP_NOT_MODIFIED = 304
_HTTP_BAD_REQUEST = 400
_HTTP_NOT_FOUND = 404
_HTTP_TOO_MANY_REQUESTS = 429
_HTTP_SERVER_ERROR = 500
# The user metadata that contains the name of the write.
_REVISION = "revision"


class ConditionFailedError(Exception):
    """The condition of a write or a delete failed: another run changed the object."""


@dataclass(frozen=True, slots=True)
class StoredOriginal:
    """An original that was read.

    Attributes
    ----------
    data : bytes
    etag : str
        Without quotes.
    version_id : str or None
        ``None`` in a bucket that never had versioning.
    content_disposition : str or None
    metadata : Mapping of str to str
        User metadata, names in lower case.
    """

    data: bytes
    etag: str
    version_id: str | None = None
    content_disposition: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object of the thumbnails bucket.

    Attributes
    ----------
    etag : str
        Without quotes.
    revision : str
        Name of the write that made it; empty if neither a run nor this version of the product wrote it.
    data : bytes
        Empty if only its headers were read.
    """

    etag: str
    revision: str
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class NewObject:
    """An object to write to the thumbnails bucket.

    Attributes
    ----------
    key : str
    data : bytes
    content_type : str
    revision : str
        Unique name of this write.
    cache_control, content_disposition : str or None
    metadata : Mapping of str to str
    """

    key: str
    data: bytes
    content_type: str
    revision: str
    cache_control: str | None = None
    content_disposition: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


class Storage:
    """The two buckets of this deployment.

    Parameters
    ----------
    client : S3Client
        A boto3 or botocore S3 client, which retries before any error is raised here.
    owner : str
        Id of the account that must own the buckets (``ExpectedBucketOwner``), in case another account re-creates a
        deleted bucket.
    kms_key : str
        ARN of the KMS key that the role may decrypt with; empty for none.
    """

    def __init__(self, client: "S3Client", owner: str, kms_key: str) -> None:
        self._client = client
        self._owner = owner
        self._kms_key = kms_key

    def read_original(self, bucket: str, key: str, limits: Limits, unless: str | None = None) -> StoredOriginal | None:
        """Download an original, after checking its size.

        Parameters
        ----------
        bucket, key : str
        limits : Limits
        unless : str or None
            An ETag. An original with this ETag is not downloaded.

        Returns
        -------
        StoredOriginal or None
            ``None`` if the original has the ETag ``unless``.

        Raises
        ------
        OriginalNotFoundError, StorageUnavailableError
        OriginalArchivedError, OriginalEncryptedError, OriginalEmptyError, OriginalTooLargeError
            With the attribute ``etag`` if S3 returned it.
        """
        condition: dict[str, Any] = {} if unless is None else {"IfNoneMatch": _quoted(unless)}
        with self._original_errors("GetObject", bucket, key):
            try:
                answer = self._client.get_object(Bucket=bucket, Key=key, ExpectedBucketOwner=self._owner, **condition)
            except ClientError as error:
                if _status(error) == _HTTP_NOT_MODIFIED:
                    return None
                raise
            with closing(answer["Body"]) as body:
                etag = answer["ETag"].strip('"')
                try:
                    check_size(answer["ContentLength"], limits)
                except (OriginalEmptyError, OriginalTooLargeError) as error:
                    error.etag = etag
                    raise
                return StoredOriginal(
                    body.read(),
                    etag,
                    answer.get("VersionId"),
                    answer.get("ContentDisposition"),
                    {name.lower(): value for name, value in answer.get("Metadata", {}).items()},
                )

    def has_original(self, bucket: str, key: str) -> bool:
        """Return whether the original exists now.

        Raises
        ------
        StorageUnavailableError
        """
        try:
            with self._original_errors("HeadObject", bucket, key):
                self._client.head_object(Bucket=bucket, Key=key, ExpectedBucketOwner=self._owner)
        except OriginalNotFoundError:
            return False
        except ClientError as error:
            # S3 answers 400 for an object that is encrypted with a customer-provided key (SSE-C): it exists.
            if _status(error) != _HTTP_BAD_REQUEST:
                raise
        return True

    def read(self, bucket: str, key: str) -> StoredObject | None:
        """Return an object of the thumbnails bucket, or ``None`` if it does not exist.

        Raises
        ------
        StorageUnavailableError
        """
        try:
            with self._faults("GetObject"):
                answer = self._client.get_object(Bucket=bucket, Key=key, ExpectedBucketOwner=self._owner)
                with closing(answer["Body"]) as body:
                    return StoredObject(answer["ETag"].strip('"'), answer["Metadata"].get(_REVISION, ""), body.read())
        except ClientError as error:
            if not _is_missing(error):
                raise
            return None

    def find(self, bucket: str, key: str) -> StoredObject | None:
        """Return an object of the thumbnails bucket without its data, or ``None`` if it does not exist.

        Raises
        ------
        StorageUnavailableError
        """
        try:
            with self._faults("HeadObject"):
                answer = self._client.head_object(Bucket=bucket, Key=key, ExpectedBucketOwner=self._owner)
                return StoredObject(answer["ETag"].strip('"'), answer["Metadata"].get(_REVISION, ""))
        except ClientError as error:
            if not _is_missing(error):
                raise
            return None

    def write(self, bucket: str, new: NewObject, replaces: str | None) -> str:
        """Write an object conditionally, and return its ETag.

        Parameters
        ----------
        bucket : str
        new : NewObject
        replaces : str or None
            ETag of the object that it must replace; ``None`` if there must be none.

        Raises
        ------
        ConditionFailedError
            There is another object, or none. It may be this one, because botocore repeats a request if its response is
            lost.
        StorageUnavailableError
        """
        headers: dict[str, Any] = {"IfNoneMatch": "*"} if replaces is None else {"IfMatch": _quoted(replaces)}
        if new.cache_control:
            headers["CacheControl"] = new.cache_control
        if new.content_disposition:
            headers["ContentDisposition"] = new.content_disposition
        with self._conditions(), self._faults("PutObject"):
            answer = self._client.put_object(
                Bucket=bucket,
                Key=new.key,
                Body=new.data,
                ContentType=new.content_type,
                Metadata={**new.metadata, _REVISION: new.revision},
                ExpectedBucketOwner=self._owner,
                **headers,
            )
            return answer["ETag"].strip('"')

    def delete(self, bucket: str, key: str, etag: str) -> None:
        """Delete an object if it has the ETag.

        Raises
        ------
        ConditionFailedError
            There is another object, or none. This call may have deleted it, because botocore repeats a request if its
            response is lost.
        StorageUnavailableError
        """
        with self._conditions(), self._faults("DeleteObject"):
            self._client.delete_object(Bucket=bucket, Key=key, IfMatch=_quoted(etag), ExpectedBucketOwner=self._owner)

    @contextmanager
    def _conditions(self) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            if _status(error) not in _CONDITION_FAILED or error.response["Error"]["Code"] == "NoSuchBucket":
                raise
            raise ConditionFailedError from error

    @contextmanager
    def _faults(self, operation: str) -> Iterator[None]:
        """Raise S3's transient errors as ``StorageUnavailableError``."""
        try:
            yield
        except ClientError as error:
            code, status = error.response.get("Error", {}).get("Code", "Unknown"), _status(error)
            if code in _PASSING or status == _HTTP_TOO_MANY_REQUESTS or status >= _HTTP_SERVER_ERROR:
                raise StorageUnavailableError(operation, code) from error
            raise
        except BotoCoreError as error:
            # Connection errors, timeouts and incomplete bodies, after botocore's own retries.
            raise StorageUnavailableError(operation, type(error).__name__) from error

    @contextmanager
    def _original_errors(self, operation: str, bucket: str, key: str) -> Iterator[None]:
        try:
            with self._faults(operation):
                yield
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "Unknown")
            if _is_missing(error):
                raise OriginalNotFoundError(bucket, key) from error
            if operation == "GetObject" and (refusal := self._find_refusal(code, bucket, key)):
                raise refusal from error
            raise

    def _find_refusal(self, code: str, bucket: str, key: str) -> PermanentError | None:
        """Return the permanent error if GetObject fails because of this object; ``None`` if it has another cause.

        The error code is ambiguous: ``AccessDenied`` may also mean that the role lacks a permission, and
        ``InvalidRequest`` has several causes. S3 answers ``AccessDenied`` if the role may not use the object's KMS key,
        and ``KMS.…`` if that key is disabled or deleted (localstack/localstack, pull requests 7786 and 8423).
        HeadObject returns the KMS key and needs no permission for it. It answers 400 for an object that is encrypted
        with a customer-provided key (SSE-C):
        https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
        """
        is_archived = code == "InvalidObjectState"
        if not is_archived and code not in {"AccessDenied", "InvalidRequest"} and not code.startswith("KMS."):
            return None
        refusal = OriginalArchivedError(key) if is_archived else OriginalEncryptedError(key)
        try:
            answer = self._client.head_object(Bucket=bucket, Key=key, ExpectedBucketOwner=self._owner)
        except ClientError as error:
            is_encrypted = code == "InvalidRequest" and _status(error) == _HTTP_BAD_REQUEST
            return refusal if is_archived or is_encrypted else None
        has_foreign_key = "SSEKMSKeyId" in answer and answer["SSEKMSKeyId"] != self._kms_key
        refusal.etag = answer["ETag"].strip('"')
        return refusal if is_archived or has_foreign_key else None


def _is_missing(error: ClientError) -> bool:
    """Return whether the key does not exist. A response to HEAD has no body, so its code is "404" instead of a name."""
    return error.response.get("Error", {}).get("Code") in {"NoSuchKey", str(_HTTP_NOT_FOUND)}


def _quoted(etag: str) -> str:
    return f'"{etag}"'


def _status(error: ClientError) -> int:
    status: int = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status
