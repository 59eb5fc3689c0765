"""Every S3 answer becomes a value or the right error; answers are botocore's own shapes, stubbed."""

from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING, Any, cast

import boto3
import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
)
from botocore.response import StreamingBody
from botocore.stub import Stubber
from urllib3.exceptions import ProtocolError, ReadTimeoutError

from functions.resize.errors import (
    OriginalArchivedError,
    OriginalEmptyError,
    OriginalEncryptedError,
    OriginalNotFoundError,
    OriginalTooLargeError,
    StorageUnavailableError,
)
from functions.resize.limits import Limits
from functions.resize.storage import ConditionFailedError, NewObject, Storage, StoredObject, StoredOriginal

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

OWNER = "123456789012"
KMS_KEY = f"arn:aws:kms:eu-central-1:{OWNER}:key/ours"
PLACE = {"Bucket": "originals", "Key": "trip/é.jpg", "ExpectedBucketOwner": OWNER}
THUMBNAIL = NewObject(
    "thumbnails/64x64_é.webp",
    b"thumbnail",
    "image/webp",
    "this write",
    "max-age=60",
    'inline; filename="a.webp"',
    {"author": "Ada", "original-etag": "abc"},
)
THUMBNAIL_PLACE = {"Bucket": "thumbnails", "Key": "thumbnails/64x64_é.webp", "ExpectedBucketOwner": OWNER}
LIMITS = Limits(max_bytes=1000)


class Stream:
    """What comes over the wire: bytes, or an error of the transport."""

    def __init__(self, answer: bytes | Exception = b"") -> None:
        self._answer = answer
        self.was_read = False
        self.was_closed = False

    def read(self, _amount: int | None = None) -> bytes:
        self.was_read = True
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    def close(self) -> None:
        self.was_closed = True


@pytest.fixture
def client() -> "S3Client":
    return boto3.client("s3")


@pytest.fixture(autouse=True)
def s3(client: "S3Client") -> Iterator[Stubber]:
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.fixture
def storage(client: "S3Client") -> Storage:
    return Storage(client, OWNER, KMS_KEY)


def read(storage: Storage) -> StoredOriginal:
    found = storage.read_original("originals", "trip/é.jpg", LIMITS)
    assert found is not None
    return found


def read_unless(storage: Storage, etag: str) -> StoredOriginal | None:
    return storage.read_original("originals", "trip/é.jpg", LIMITS, etag)


def has(storage: Storage) -> bool:
    return storage.has_original("originals", "trip/é.jpg")


def read_again(storage: Storage) -> StoredObject | None:
    return storage.read("thumbnails", THUMBNAIL.key)


def find(storage: Storage) -> StoredObject | None:
    return storage.find("thumbnails", THUMBNAIL.key)


def write(storage: Storage, replaces: str | None = None) -> str:
    return storage.write("thumbnails", THUMBNAIL, replaces)


def delete(storage: Storage) -> None:
    storage.delete("thumbnails", THUMBNAIL.key, "def-2")


# Door -> the method of the client behind it, and the operation as S3 names it.
DOORS: dict[Callable[[Storage], object], tuple[str, str]] = {
    read: ("get_object", "GetObject"),
    has: ("head_object", "HeadObject"),
    read_again: ("get_object", "GetObject"),
    find: ("head_object", "HeadObject"),
    write: ("put_object", "PutObject"),
    delete: ("delete_object", "DeleteObject"),
}
each_door = pytest.mark.parametrize("door", list(DOORS), ids=lambda door: door.__name__)


def body(stream: Stream, length: int, **more: Any) -> dict[str, Any]:
    content = {"Body": StreamingBody(cast("IO[bytes]", stream), length), "ContentLength": length}
    return {**content, "ETag": '"abc"', "Metadata": {}, **more}


def test_an_original_is_read_from_the_bucket_of_its_owner(s3: Stubber, storage: Storage) -> None:
    stream = Stream(b"picture")
    s3.add_response("get_object", body(stream, 7), PLACE)

    assert read(storage) == StoredOriginal(b"picture", "abc")
    assert stream.was_closed


def test_an_original_comes_with_its_version_and_what_thumbnails_may_carry(s3: Stubber, storage: Storage) -> None:
    headers = {"VersionId": "3HL4kqtJ", "ContentDisposition": "attachment", "Metadata": {"Author": "Ada"}}
    s3.add_response("get_object", body(Stream(b"picture"), 7, **headers, ETag='"abc-2"'), PLACE)

    assert read(storage) == StoredOriginal(b"picture", "abc-2", "3HL4kqtJ", "attachment", {"author": "Ada"})


def test_an_original_that_is_known_is_not_downloaded(s3: Stubber, storage: Storage) -> None:
    expected = {**PLACE, "IfNoneMatch": '"abc-2"'}
    s3.add_client_error("get_object", "304", http_status_code=304, expected_params=expected)

    assert read_unless(storage, "abc-2") is None


def test_an_original_that_is_not_the_known_one_is_downloaded(s3: Stubber, storage: Storage) -> None:
    s3.add_response("get_object", body(Stream(b"picture"), 7), {**PLACE, "IfNoneMatch": '"another"'})

    assert read_unless(storage, "another") == StoredOriginal(b"picture", "abc")


def test_an_original_is_there(s3: Stubber, storage: Storage) -> None:
    s3.add_response("head_object", {"ETag": '"abc"'}, PLACE)

    assert has(storage)


def test_an_original_is_not_there(s3: Stubber, storage: Storage) -> None:
    s3.add_client_error("head_object", "404", http_status_code=404, expected_params=PLACE)

    assert not has(storage)


def test_an_original_with_a_key_of_its_uploader_is_there(s3: Stubber, storage: Storage) -> None:
    s3.add_client_error("head_object", "400", http_status_code=400, expected_params=PLACE)

    assert has(storage)


def test_an_object_is_read_with_the_revision_of_its_write(s3: Stubber, storage: Storage) -> None:
    stream = Stream(b"manifest")
    s3.add_response("get_object", body(stream, 8, Metadata={"revision": "a write"}), THUMBNAIL_PLACE)

    assert read_again(storage) == StoredObject("abc", "a write", b"manifest")
    assert stream.was_closed


def test_an_object_is_found_with_the_revision_of_its_write(s3: Stubber, storage: Storage) -> None:
    s3.add_response("head_object", {"ETag": '"def-2"', "Metadata": {"revision": "a write"}}, THUMBNAIL_PLACE)

    assert find(storage) == StoredObject("def-2", "a write")


@pytest.mark.parametrize("metadata", [{}, {"original-etag": "abc"}])
def test_an_object_of_an_earlier_version_of_this_product_has_no_revision(
    metadata: dict[str, str], s3: Stubber, storage: Storage
) -> None:
    s3.add_response("head_object", {"ETag": '"def"', "Metadata": metadata}, THUMBNAIL_PLACE)

    assert find(storage) == StoredObject("def", "")


@pytest.mark.parametrize(("door", "code"), [(read_again, "NoSuchKey"), (find, "404")])
def test_there_is_no_such_object(door: Callable[[Storage], object], code: str, s3: Stubber, storage: Storage) -> None:
    s3.add_client_error(DOORS[door][0], code, http_status_code=404, expected_params=THUMBNAIL_PLACE)

    assert door(storage) is None


WRITTEN = {
    **THUMBNAIL_PLACE,
    "Body": b"thumbnail",
    "ContentType": "image/webp",
    "CacheControl": "max-age=60",
    "ContentDisposition": 'inline; filename="a.webp"',
    "Metadata": {"author": "Ada", "original-etag": "abc", "revision": "this write"},
}


def test_a_thumbnail_is_written_where_there_is_none(s3: Stubber, storage: Storage) -> None:
    s3.add_response("put_object", {"ETag": '"def"'}, {**WRITTEN, "IfNoneMatch": "*"})

    assert write(storage) == "def"


@pytest.mark.parametrize("etag", ["0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdef-17", "any"])
def test_a_thumbnail_is_written_in_place_of_the_one_that_is_known(etag: str, s3: Stubber, storage: Storage) -> None:
    s3.add_response("put_object", {"ETag": '"def"'}, {**WRITTEN, "IfMatch": f'"{etag}"'})

    assert write(storage, etag) == "def"


def test_headers_that_nobody_asked_for_are_not_sent(s3: Stubber, storage: Storage) -> None:
    plain = {**THUMBNAIL_PLACE, "Body": b"{}", "ContentType": "application/json", "Metadata": {"revision": "r"}}
    s3.add_response("put_object", {"ETag": '"def"'}, {**plain, "IfNoneMatch": "*"})

    assert storage.write("thumbnails", NewObject(THUMBNAIL.key, b"{}", "application/json", "r"), None) == "def"


def test_a_revision_that_an_original_carries_does_not_replace_that_of_the_write(s3: Stubber, storage: Storage) -> None:
    expected = {**THUMBNAIL_PLACE, "Body": b"", "ContentType": "image/png", "Metadata": {"revision": "true"}}
    s3.add_response("put_object", {"ETag": '"def"'}, {**expected, "IfNoneMatch": "*"})

    storage.write("thumbnails", NewObject(THUMBNAIL.key, b"", "image/png", "true", metadata={"revision": "no"}), None)


def test_an_object_is_deleted_if_it_is_the_one_that_is_known(s3: Stubber, storage: Storage) -> None:
    s3.add_response("delete_object", {}, {**THUMBNAIL_PLACE, "IfMatch": '"def-2"'})

    delete(storage)


@pytest.mark.parametrize("door", [write, delete])
@pytest.mark.parametrize(
    ("code", "status"), [("PreconditionFailed", 412), ("ConditionalRequestConflict", 409), ("NoSuchKey", 404)]
)
def test_somebody_else_was_here(
    code: str, status: int, door: Callable[[Storage], object], s3: Stubber, storage: Storage
) -> None:
    s3.add_client_error(DOORS[door][0], code, http_status_code=status)

    with pytest.raises(ConditionFailedError) as caught:
        door(storage)

    assert isinstance(caught.value.__cause__, ClientError)


def test_the_body_of_a_too_large_original_is_never_read(s3: Stubber, storage: Storage) -> None:
    stream = Stream(b"x" * 1001)
    s3.add_response("get_object", body(stream, 1001), PLACE)

    with pytest.raises(OriginalTooLargeError) as caught:
        read(storage)

    assert (caught.value.size, caught.value.limit, caught.value.etag) == (1001, 1000, "abc")
    assert not stream.was_read
    assert stream.was_closed


def test_the_largest_original_is_read(s3: Stubber, storage: Storage) -> None:
    s3.add_response("get_object", body(Stream(b"x" * 1000), 1000), PLACE)

    assert len(read(storage).data) == 1000


def test_the_body_of_an_empty_original_is_never_read(s3: Stubber, storage: Storage) -> None:
    stream = Stream()
    s3.add_response("get_object", body(stream, 0), PLACE)

    with pytest.raises(OriginalEmptyError):
        read(storage)

    assert not stream.was_read


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (ProtocolError("Connection broken", ConnectionResetError(104, "reset")), "ResponseStreamingError"),
        (ReadTimeoutError(None, "/", "Read timed out."), "ReadTimeoutError"),  # type: ignore[arg-type]  # no pool is needed
        (b"only a ha", "IncompleteReadError"),
    ],
    ids=["connection reset", "timeout", "half-sent"],
)
def test_a_body_that_breaks_off_may_be_whole_another_time(
    fault: bytes | Exception, code: str, s3: Stubber, storage: Storage
) -> None:
    stream = Stream(fault)
    s3.add_response("get_object", body(stream, 14), PLACE)

    with pytest.raises(StorageUnavailableError) as caught:
        read(storage)

    assert (caught.value.operation, caught.value.code) == ("GetObject", code)
    assert isinstance(caught.value.__cause__, BotoCoreError)
    assert stream.was_closed


def test_a_missing_original(s3: Stubber, storage: Storage) -> None:
    s3.add_client_error("get_object", "NoSuchKey", http_status_code=404, expected_params=PLACE)

    with pytest.raises(OriginalNotFoundError) as caught:
        read(storage)

    assert (caught.value.bucket, caught.value.key) == ("originals", "trip/é.jpg")
    assert isinstance(caught.value.__cause__, ClientError)


@each_door
@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("SlowDown", 503),
        ("ServiceUnavailable", 503),
        ("InternalError", 500),
        ("500", 500),
        ("503", 503),
        ("RequestTimeout", 400),
        ("RequestTimeoutException", 400),
        ("Throttling", 400),
        ("ThrottlingException", 400),
        ("TooManyRequests", 429),
    ],
)
def test_what_may_pass(
    door: Callable[[Storage], object], code: str, status: int, s3: Stubber, storage: Storage
) -> None:
    method, operation = DOORS[door]
    s3.add_client_error(method, code, http_status_code=status)

    with pytest.raises(StorageUnavailableError) as caught:
        door(storage)

    assert (caught.value.operation, caught.value.code) == (operation, code)
    assert isinstance(caught.value.__cause__, ClientError)


def test_an_archived_original_is_named(s3: Stubber, storage: Storage) -> None:
    s3.add_client_error("get_object", "InvalidObjectState", http_status_code=403)

    s3.add_response("head_object", {"ETag": '"abc-2"', "StorageClass": "GLACIER"}, PLACE)

    with pytest.raises(OriginalArchivedError) as caught:
        read(storage)

    assert (caught.value.key, caught.value.etag) == ("trip/é.jpg", "abc-2")


@pytest.mark.parametrize("status", [400, 403, 404])
def test_an_archived_original_is_named_without_its_etag_too(status: int, s3: Stubber, storage: Storage) -> None:
    s3.add_client_error("get_object", "InvalidObjectState", http_status_code=403)
    s3.add_client_error("head_object", str(status), http_status_code=status)

    with pytest.raises(OriginalArchivedError) as caught:
        read(storage)

    assert caught.value.etag is None


@pytest.mark.parametrize(
    ("door", "code", "status"),
    [
        (read, "NoSuchBucket", 404),
        (has, "403", 403),
        (read_again, "AccessDenied", 403),
        (read_again, "NoSuchBucket", 404),
        (find, "403", 403),
        (write, "AccessDenied", 403),
        (write, "NoSuchBucket", 404),
        (write, "KMS.DisabledException", 400),
        (delete, "AccessDenied", 403),
        (delete, "NoSuchBucket", 404),
    ],
)
def test_what_neither_client_nor_repetition_can_mend_stays_as_it_is(
    door: Callable[[Storage], object], code: str, status: int, s3: Stubber, storage: Storage
) -> None:
    s3.add_client_error(DOORS[door][0], code, http_status_code=status)

    with pytest.raises(ClientError) as caught:
        door(storage)

    assert caught.value.response["Error"]["Code"] == code


@each_door
@pytest.mark.parametrize(
    "error",
    [
        EndpointConnectionError(endpoint_url="s3"),
        ConnectTimeoutError(endpoint_url="s3"),
        ConnectionClosedError(endpoint_url="s3"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_connections_that_fail_may_succeed_another_time(
    door: Callable[[Storage], object], error: BotoCoreError, client: "S3Client", monkeypatch: pytest.MonkeyPatch
) -> None:
    method, operation = DOORS[door]

    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(client, method, fail)

    with pytest.raises(StorageUnavailableError) as caught:
        door(Storage(client, OWNER, KMS_KEY))

    assert (caught.value.operation, caught.value.code) == (operation, type(error).__name__)
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("code", ["AccessDenied", "KMS.DisabledException", "KMS.NotFoundException"])
@pytest.mark.parametrize("algorithm", ["aws:kms", "aws:kms:dsse"])
def test_an_original_under_a_kms_key_that_is_not_ours_is_refused_by_name(
    algorithm: str, code: str, s3: Stubber, storage: Storage
) -> None:
    s3.add_client_error("get_object", code, http_status_code=400 if "." in code else 403, expected_params=PLACE)
    foreign = {"ETag": '"abc"', "ServerSideEncryption": algorithm, "SSEKMSKeyId": KMS_KEY.replace("ours", "theirs")}
    s3.add_response("head_object", foreign, PLACE)

    with pytest.raises(OriginalEncryptedError, match=r"^The original 'trip/é\.jpg' is encrypted") as caught:
        read(storage)

    assert (caught.value.key, caught.value.etag) == ("trip/é.jpg", "abc")
    assert "kms" not in str(caught.value)


def test_an_original_under_a_key_of_its_uploader_is_refused_by_name(s3: Stubber, storage: Storage) -> None:
    s3.add_client_error("get_object", "InvalidRequest", http_status_code=400, expected_params=PLACE)
    s3.add_client_error("head_object", "400", http_status_code=400, expected_params=PLACE)

    with pytest.raises(OriginalEncryptedError) as caught:
        read(storage)

    assert caught.value.etag is None


@pytest.mark.parametrize("code", ["AccessDenied", "KMS.DisabledException"])
@pytest.mark.parametrize(
    "encryption",
    [{"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": KMS_KEY}, {"ServerSideEncryption": "AES256"}],
    ids=["our key", "no key"],
)
def test_a_refusal_that_the_key_does_not_explain_stays_a_fault(
    encryption: dict[str, str], code: str, s3: Stubber, storage: Storage
) -> None:
    s3.add_client_error("get_object", code, http_status_code=403)
    s3.add_response("head_object", {"ETag": '"abc"', **encryption}, PLACE)

    with pytest.raises(ClientError, match=code):
        read(storage)


@pytest.mark.parametrize(("code", "status"), [("400", 400), ("403", 403), ("404", 404), ("503", 503)])
def test_a_refusal_that_nothing_more_is_known_of_stays_a_fault(
    code: str, status: int, s3: Stubber, storage: Storage
) -> None:
    s3.add_client_error("get_object", "AccessDenied", http_status_code=403)
    s3.add_client_error("head_object", code, http_status_code=status)

    with pytest.raises(ClientError, match=r"AccessDenied.*GetObject"):
        read(storage)


def test_a_key_service_that_is_busy_is_waited_for(s3: Stubber, storage: Storage) -> None:
    s3.add_client_error("get_object", "KMS.ThrottlingException", http_status_code=400)

    with pytest.raises(StorageUnavailableError):
        read(storage)
