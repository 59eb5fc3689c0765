"""Every S3 answer becomes a value or the right error; answers are botocore's own shapes, stubbed."""

from collections.abc import Iterator
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
from functions.resize.recipe import Box, Thumbnail
from functions.resize.storage import CACHE_CONTROL, Storage, StoredOriginal

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

OWNER = "123456789012"
KMS_KEY = f"arn:aws:kms:eu-central-1:{OWNER}:key/ours"
PLACE = {"Bucket": "originals", "Key": "trip/é.jpg", "ExpectedBucketOwner": OWNER}
THUMBNAIL = Thumbnail(Box(64, 64), b"thumbnail", "WEBP", "image/webp", ".webp", 64, 48)
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
    return storage.read_original("originals", "trip/é.jpg", LIMITS)


def ask(storage: Storage) -> str:
    return storage.original_etag("originals", "trip/é.jpg")


def write(storage: Storage) -> str:
    return storage.write_thumbnail("originals", "trip/é.jpg", THUMBNAIL, "abc")


CALLS = {"get_object": read, "head_object": ask, "put_object": write}
OPERATIONS = {"get_object": "GetObject", "head_object": "HeadObject", "put_object": "PutObject"}


def body(stream: Stream, length: int) -> dict[str, Any]:
    return {"Body": StreamingBody(cast("IO[bytes]", stream), length), "ContentLength": length, "ETag": '"abc"'}


def test_an_original_is_read_from_the_bucket_of_its_owner(s3: Stubber, storage: Storage) -> None:
    stream = Stream(b"picture")
    s3.add_response("get_object", body(stream, 7), PLACE)

    assert read(storage) == StoredOriginal(b"picture", "abc")
    assert stream.was_closed


def test_the_etag_is_asked_of_the_bucket_of_its_owner(s3: Stubber, storage: Storage) -> None:
    s3.add_response("head_object", {"ETag": '"abc-2"'}, PLACE)

    assert ask(storage) == "abc-2"


def test_a_thumbnail_is_written_with_what_browsers_and_people_need(s3: Stubber, storage: Storage) -> None:
    s3.add_response(
        "put_object",
        {"ETag": '"def"'},
        {
            **PLACE,
            "Body": b"thumbnail",
            "ContentType": "image/webp",
            "CacheControl": CACHE_CONTROL,
            "Metadata": {"original-etag": "abc"},
        },
    )

    assert write(storage) == "def"
    assert CACHE_CONTROL == "public, max-age=86400"


def test_the_body_of_a_too_large_original_is_never_read(s3: Stubber, storage: Storage) -> None:
    stream = Stream(b"x" * 1001)
    s3.add_response("get_object", body(stream, 1001), PLACE)

    with pytest.raises(OriginalTooLargeError) as caught:
        read(storage)

    assert (caught.value.size, caught.value.limit) == (1001, 1000)
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


@pytest.mark.parametrize(("method", "code"), [("get_object", "NoSuchKey"), ("head_object", "404")])
def test_a_missing_original(method: str, code: str, s3: Stubber, storage: Storage) -> None:
    s3.add_client_error(method, code, http_status_code=404, expected_params=PLACE)

    with pytest.raises(OriginalNotFoundError) as caught:
        CALLS[method](storage)

    assert (caught.value.bucket, caught.value.key) == ("originals", "trip/é.jpg")
    assert isinstance(caught.value.__cause__, ClientError)


@pytest.mark.parametrize("method", list(CALLS))
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
def test_what_may_pass(method: str, code: str, status: int, s3: Stubber, storage: Storage) -> None:
    s3.add_client_error(method, code, http_status_code=status)

    with pytest.raises(StorageUnavailableError) as caught:
        CALLS[method](storage)

    assert (caught.value.operation, caught.value.code) == (OPERATIONS[method], code)
    assert isinstance(caught.value.__cause__, ClientError)


def test_an_archived_original_is_named(s3: Stubber, storage: Storage) -> None:
    s3.add_client_error("get_object", "InvalidObjectState", http_status_code=403)

    with pytest.raises(OriginalArchivedError) as caught:
        CALLS["get_object"](storage)

    assert caught.value.key == "trip/é.jpg"


@pytest.mark.parametrize(
    ("method", "code", "status"),
    [
        ("get_object", "NoSuchBucket", 404),
        ("head_object", "403", 403),
        ("put_object", "AccessDenied", 403),
        ("put_object", "NoSuchBucket", 404),
        ("put_object", "KMS.DisabledException", 400),
    ],
)
def test_what_neither_client_nor_repetition_can_mend_stays_as_it_is(
    method: str, code: str, status: int, s3: Stubber, storage: Storage
) -> None:
    s3.add_client_error(method, code, http_status_code=status)

    with pytest.raises(ClientError) as caught:
        CALLS[method](storage)

    assert caught.value.response["Error"]["Code"] == code


@pytest.mark.parametrize("method", list(CALLS))
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
    method: str, error: BotoCoreError, client: "S3Client", monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(client, method, fail)

    with pytest.raises(StorageUnavailableError) as caught:
        CALLS[method](Storage(client, OWNER, KMS_KEY))

    assert (caught.value.operation, caught.value.code) == (OPERATIONS[method], type(error).__name__)
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

    assert caught.value.key == "trip/é.jpg"
    assert "kms" not in str(caught.value)


def test_an_original_under_a_key_of_its_uploader_is_refused_by_name(s3: Stubber, storage: Storage) -> None:
    s3.add_client_error("get_object", "InvalidRequest", http_status_code=400, expected_params=PLACE)
    s3.add_client_error("head_object", "400", http_status_code=400, expected_params=PLACE)

    with pytest.raises(OriginalEncryptedError):
        read(storage)


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
