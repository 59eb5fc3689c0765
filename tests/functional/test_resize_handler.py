"""The resize Lambda against S3: what it returns, raises, writes, logs and measures."""

import gc
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from functions.resize.errors import StorageUnavailableError
from functions.resize.limits import Limits
from functions.resize.storage import NewObject, Storage
from samples.files import colour_of, picture, size_of
from tests.conftest import ACCOUNT
from tests.functional.conftest import ORIGINALS, THUMBNAILS, Function
from tests.functional.faults import answering

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

EXECUTION = "example.jpg-0123456789abcdef0123456789abcdef"
ALWAYS_LOGGED = {"level", "location", "message", "timestamp", "service"}
OF_THE_INVOCATION = {
    *("cold_start", "function_name", "function_memory_size", "function_arn", "function_request_id"),
    "correlation_id",
}


def event_for(key: str = "trip/example.jpg", **fields: Any) -> dict[str, Any]:
    request = {
        "source_bucket": ORIGINALS,
        "destination_bucket": THUMBNAILS,
        "object_key": key,
        "sizes": [{"width": 128, "height": 128}, {"width": 64, "height": 64}],
        **fields,
    }
    return {"execution": EXECUTION, "request": request}


def emf(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Give the metric documents (CloudWatch embedded metric format) that were printed."""
    documents = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert all("_aws" in document for document in documents)
    return documents


def stored_thumbnails(s3: "S3Client") -> list[str]:
    found = s3.list_objects_v2(Bucket=THUMBNAILS, Prefix="thumbnails/").get("Contents", [])
    return [each["Key"] for each in found]


def stored_manifest(s3: "S3Client", key: str = "trip/example.jpg") -> Any:
    return json.loads(s3.get_object(Bucket=THUMBNAILS, Key=f"manifests/{key}.json")["Body"].read())


def requests_of(function: Function) -> AbstractContextManager[list[str]]:
    """Note what is asked of S3, such as ``PutObject thumbnails/…`` or ``GetObject manifests/…``."""
    return _noted(function, lambda model, params: f"{model.name} {params['context']['input_params']['Key']}")


@contextmanager
def _noted(function: Function, name: Callable[[Any, dict[str, Any]], str]) -> Iterator[list[str]]:
    noted: list[str] = []

    def note(model: Any, params: dict[str, Any], **_: Any) -> None:
        noted.append(name(model, params))

    events = function.module._S3.meta.events
    events.register("before-call.s3", note)
    try:
        yield noted
    finally:
        events.unregister("before-call.s3", note)


def test_success(resize: Function, s3: "S3Client") -> None:
    original = picture(width=400, height=300)
    etag = s3.put_object(Bucket=ORIGINALS, Key="trip/example.jpg", Body=original)["ETag"].strip('"')

    result = resize(event_for())

    made = {
        key: s3.get_object(Bucket=THUMBNAILS, Key=key)
        for key in ("thumbnails/trip/128x128_example.jpg", "thumbnails/trip/64x64_example.jpg")
    }
    data = {key: answer["Body"].read() for key, answer in made.items()}
    assert result.pop("placeholder").keys() == {"thumbhash", "colour"}
    assert result == {
        "status": "SUCCESS",
        "source": {
            "bucket": ORIGINALS,
            "key": "trip/example.jpg",
            "etag": etag,
            "format": "JPEG",
            "width": 400,
            "height": 300,
            "bytes": len(original),
        },
        "thumbnails": [
            {
                "bucket": THUMBNAILS,
                "key": key,
                "url": f"{key}?v={made[key]['Metadata']['revision']}",
                "box": {"width": side, "height": side},
                "fit": "inside",
                "format": "source",
                "quality": None,
                "width": side,
                "height": side * 3 // 4,
                "bytes": len(data[key]),
                "content_type": "image/jpeg",
                "etag": made[key]["ETag"].strip('"'),
                "asked_by": ["request"],
            }
            for key, side in zip(made, (128, 64), strict=True)
        ],
        "removed": [],
    }
    assert json.loads(json.dumps(result)) == result
    assert [size_of(bytes_) for bytes_ in data.values()] == [(128, 96), (64, 48)]
    assert sorted(stored_thumbnails(s3)) == sorted(made)
    for answer in made.values():
        assert answer["ContentType"] == "image/jpeg"
        assert answer["CacheControl"] == "max-age=86400"
        assert answer["Metadata"].keys() == {"original-etag", "revision"}
        assert answer["Metadata"]["original-etag"] == etag
        assert "ContentDisposition" not in answer
    manifest = s3.get_object(Bucket=THUMBNAILS, Key="manifests/trip/example.jpg.json")
    assert (manifest["ContentType"], manifest["CacheControl"]) == ("application/json", "no-cache")


def test_thumbnails_carry_the_headers_that_the_parameter_names(resize: Function, s3: "S3Client") -> None:
    s3.put_object(
        Bucket=ORIGINALS,
        Key="a.jpg",
        Body=picture(),
        ContentDisposition='inline; filename="a.jpg"',
        Metadata={"author": "Ada", "secret": "yes"},
    )

    resize(event_for("a.jpg"))

    written = s3.head_object(Bucket=THUMBNAILS, Key="thumbnails/64x64_a.jpg")
    assert written["ContentDisposition"] == 'inline; filename="a.jpg"'
    assert written["Metadata"].keys() == {"author", "original-etag", "revision"}
    assert written["Metadata"]["author"] == "Ada"


def test_a_repeated_event_makes_nothing(resize: Function, s3: "S3Client", capsys: pytest.CaptureFixture[str]) -> None:
    s3.put_object(Bucket=ORIGINALS, Key="a.jpg", Body=picture())
    first = resize(event_for("a.jpg", if_missing="remove"))
    emf(capsys)

    with requests_of(resize) as requests:
        again = resize(event_for("a.jpg", if_missing="remove"))

    assert again == first
    assert requests == ["GetObject manifests/a.jpg.json", "GetObject a.jpg", "PutObject manifests/a.jpg.json"]
    assert [line["message"] for line in resize.log()] == ["resized", "in line: nothing to make"]
    (metrics,) = emf(capsys)
    assert metrics["ThumbnailsWritten"] == [0.0]
    # A download of nothing and a resize of nothing would spoil the averages.
    assert not {"OriginalBytes", "DownloadTime", "ResizeTime", "UploadTime"} & metrics.keys()


def test_a_replaced_original_is_made_again_with_what_requests_asked_for(resize: Function, s3: "S3Client") -> None:
    s3.put_object(Bucket=ORIGINALS, Key="a.jpg", Body=picture(colour="red"))
    recipe = event_for("a.jpg", if_missing="remove")
    resize(recipe)
    resize(event_for("a.jpg", sizes=[{"width": 32, "height": 32}], fit="cover"))
    s3.put_object(Bucket=ORIGINALS, Key="a.jpg", Body=picture(colour="blue"))

    resize(recipe)

    keys = [f"thumbnails/{size}_a.jpg" for size in ("128x128", "32x32-cover", "64x64")]
    assert sorted(stored_thumbnails(s3)) == keys
    for key in keys:
        red, _, blue = colour_of(s3.get_object(Bucket=THUMBNAILS, Key=key)["Body"].read())
        assert blue > red


def test_a_removed_original_has_nothing_left(
    resize: Function, s3: "S3Client", capsys: pytest.CaptureFixture[str]
) -> None:
    s3.put_object(Bucket=ORIGINALS, Key="a.jpg", Body=picture())
    resize(event_for("a.jpg", if_missing="remove"))
    s3.delete_object(Bucket=ORIGINALS, Key="a.jpg")
    emf(capsys)

    result = resize(event_for("a.jpg", if_missing="remove"))

    assert result == {
        "status": "SUCCESS",
        "source": {"bucket": ORIGINALS, "key": "a.jpg"},
        "placeholder": None,
        "thumbnails": [],
        "removed": ["thumbnails/128x128_a.jpg", "thumbnails/64x64_a.jpg"],
    }
    assert s3.list_objects_v2(Bucket=THUMBNAILS)["KeyCount"] == 0
    line = resize.log()[-1]
    assert (line["message"], line["removed"]) == ("removed: the original is gone", result["removed"])
    (metrics,) = emf(capsys)
    assert (metrics["ThumbnailsRemoved"], metrics["ThumbnailsWritten"]) == ([2.0], [0.0])
    # A repeated event of the removal.
    assert resize(event_for("a.jpg", if_missing="remove"))["removed"] == []


def test_a_replacement_that_is_no_picture_takes_the_thumbnails_with_it(resize: Function, s3: "S3Client") -> None:
    s3.put_object(Bucket=ORIGINALS, Key="a.jpg", Body=picture())
    resize(event_for("a.jpg", if_missing="remove"))
    s3.put_object(Bucket=ORIGINALS, Key="a.jpg", Body=b"plain text, and nothing else")

    result = resize(event_for("a.jpg", if_missing="remove"))

    assert (result["status"], result["error"]) == ("FAILED", "NotAnImageError")
    assert stored_thumbnails(s3) == []
    assert stored_manifest(s3, "a.jpg")["error"]["name"] == "NotAnImageError"


def test_thumbnails_that_were_there_before_any_manifest_are_taken_over(resize: Function, s3: "S3Client") -> None:
    s3.put_object(Bucket=ORIGINALS, Key="a.jpg", Body=picture())
    s3.put_object(Bucket=THUMBNAILS, Key="thumbnails/128x128_a.jpg", Body=b"of an earlier version")

    result = resize(event_for("a.jpg", if_missing="remove"))

    assert len(stored_thumbnails(s3)) == 2
    head = s3.head_object(Bucket=THUMBNAILS, Key="thumbnails/128x128_a.jpg")
    assert head["ETag"].strip('"') == result["thumbnails"][0]["etag"]
    assert resize.log()[-1]["attempts"] == 2


def test_an_original_with_versions_says_which_one_it_is(resize: Function, s3: "S3Client") -> None:
    s3.put_bucket_versioning(Bucket=ORIGINALS, VersioningConfiguration={"Status": "Enabled"})
    version = s3.put_object(Bucket=ORIGINALS, Key="a.jpg", Body=picture(colour="red"))["VersionId"]
    recipe = event_for("a.jpg", if_missing="remove")
    assert resize(recipe)["source"]["version_id"] == version
    later = s3.put_object(Bucket=ORIGINALS, Key="a.jpg", Body=picture(colour="blue"))["VersionId"]
    resize(recipe)
    s3.delete_object(Bucket=ORIGINALS, Key="a.jpg", VersionId=later)

    # The roll-back brings the older picture's thumbnails back.
    assert resize(recipe)["source"]["version_id"] == version
    red, _, blue = colour_of(s3.get_object(Bucket=THUMBNAILS, Key="thumbnails/64x64_a.jpg")["Body"].read())
    assert red > blue
    marker = s3.delete_object(Bucket=ORIGINALS, Key="a.jpg")["VersionId"]
    assert len(resize(recipe)["removed"]) == 2
    s3.delete_object(Bucket=ORIGINALS, Key="a.jpg", VersionId=marker)
    assert len(resize(recipe)["thumbnails"]) == 2


def test_a_multipart_original_is_known_by_its_etag(resize: Function, s3: "S3Client") -> None:
    upload = s3.create_multipart_upload(Bucket=ORIGINALS, Key="a.jpg")["UploadId"]
    part = s3.upload_part(Bucket=ORIGINALS, Key="a.jpg", UploadId=upload, PartNumber=1, Body=picture())
    parts = [{"PartNumber": 1, "ETag": part["ETag"]}]
    s3.complete_multipart_upload(
        Bucket=ORIGINALS,
        Key="a.jpg",
        UploadId=upload,
        MultipartUpload={"Parts": parts},  # type: ignore[typeddict-item]
    )
    first = resize(event_for("a.jpg", if_missing="remove"))

    with requests_of(resize) as requests:
        resize(event_for("a.jpg", if_missing="remove"))

    assert first["source"]["etag"].endswith("-1")
    assert len(requests) == 3


@pytest.mark.parametrize("retry", [{"retries": 1}, {"retries": 0, "context": {"RedriveCount": 1}}])
def test_a_retry_looks_at_what_the_first_try_left(retry: dict[str, Any], resize: Function, s3: "S3Client") -> None:
    s3.put_object(Bucket=ORIGINALS, Key="a.jpg", Body=picture())
    s3.put_object(Bucket=THUMBNAILS, Key="thumbnails/128x128_a.jpg", Body=b"of the first try")

    with requests_of(resize) as requests:
        resize({**event_for("a.jpg", if_missing="remove"), **retry})

    look = requests.index("HeadObject thumbnails/128x128_a.jpg")
    assert look < requests.index("GetObject a.jpg")
    assert resize.log()[-1]["attempts"] == 1


@pytest.mark.parametrize("more", [{}, {"retries": 0, "context": {}}, {"retries": 0, "context": {"RedriveCount": 0}}])
def test_a_first_try_does_not_look(more: dict[str, Any], resize: Function, s3: "S3Client") -> None:
    s3.put_object(Bucket=ORIGINALS, Key="a.jpg", Body=picture())

    with requests_of(resize) as requests:
        resize({**event_for("a.jpg", if_missing="remove"), **more})

    assert requests[:2] == ["GetObject manifests/a.jpg.json", "GetObject a.jpg"]


@pytest.mark.parametrize("key", ["bob's photo.jpg", 'a "b" \\c.jpg', "a+b %2B 100%.jpg", "été/фото 😀.jpg", "a//b.jpg"])
def test_keys_of_all_kinds(key: str, resize: Function, s3: "S3Client") -> None:
    s3.put_object(Bucket=ORIGINALS, Key=key, Body=picture())

    result = resize(event_for(key))

    assert result["status"] == "SUCCESS"
    folder, slash, name = key.rpartition("/")
    assert f"thumbnails/{folder}{slash}128x128_{name}" in stored_thumbnails(s3)


def test_garbage_is_collected_again_once_the_function_is_loaded(resize: Function) -> None:
    assert resize.module is not None
    assert gc.isenabled()
    # What the imports made is never looked through again.
    assert gc.get_freeze_count() > 10_000


def test_the_same_request_again_writes_the_same_bytes_to_the_same_keys(resize: Function, s3: "S3Client") -> None:
    s3.put_object(Bucket=ORIGINALS, Key="trip/example.jpg", Body=picture())

    assert resize(event_for()) == resize(event_for())

    assert len(stored_thumbnails(s3)) == 2


def test_one_summary_line_per_image(resize: Function, s3: "S3Client") -> None:
    original = picture(width=400, height=300)
    s3.put_object(Bucket=ORIGINALS, Key="trip/example.jpg", Body=original)

    result = resize(event_for())

    [line] = resize.log()
    times = {"download_ms", "resize_ms", "upload_ms"}
    summary = {"object_key", "format", "size", "bytes", "thumbnails", "removed", "attempts", *times}
    assert line.keys() == ALWAYS_LOGGED | OF_THE_INVOCATION | summary
    assert (line["level"], line["message"], line["service"]) == ("INFO", "resized", "resize")
    assert line["correlation_id"] == EXECUTION
    assert line["object_key"] == "trip/example.jpg"
    assert (line["format"], line["size"], line["bytes"], line["attempts"]) == ("JPEG", "400x300", len(original), 1)
    assert line["thumbnails"] == [
        {"size": "128x96", "bytes": result["thumbnails"][0]["bytes"]},
        {"size": "64x48", "bytes": result["thumbnails"][1]["bytes"]},
    ]
    assert all(line[name] >= 0 for name in times)


def test_one_invocation_leaves_nothing_in_the_log_of_the_next(resize: Function, s3: "S3Client") -> None:
    s3.put_object(Bucket=ORIGINALS, Key="a.jpg", Body=picture())

    resize(event_for("a.jpg"))
    resize({"execution": "another", "request": {}})

    first, second = resize.log()
    assert (first["object_key"], first["correlation_id"]) == ("a.jpg", EXECUTION)
    assert "object_key" not in second
    assert second["correlation_id"] == "another"


def test_metrics_of_a_success(resize: Function, s3: "S3Client", capsys: pytest.CaptureFixture[str]) -> None:
    original = picture()
    s3.put_object(Bucket=ORIGINALS, Key="trip/example.jpg", Body=original)

    resize(event_for())

    cold_start, metrics = sorted(emf(capsys), key=lambda document: "ThumbnailsWritten" in document)
    assert cold_start["ColdStart"] == [1.0]
    [definition] = metrics["_aws"]["CloudWatchMetrics"]
    assert definition["Namespace"] == "alison-image"
    assert definition["Dimensions"] == [["service"]]
    assert metrics["service"] == "resize"
    assert {metric["Name"]: metric["Unit"] for metric in definition["Metrics"]} == {
        "ResizesStarted": "Count",
        "ResizesFailed": "Count",
        "ThumbnailsWritten": "Count",
        "ThumbnailsRemoved": "Count",
        "OriginalBytes": "Bytes",
        "DownloadTime": "Milliseconds",
        "ResizeTime": "Milliseconds",
        "UploadTime": "Milliseconds",
    }
    assert metrics["ResizesFailed"] == [0.0]
    assert metrics["ThumbnailsWritten"] == [2.0]
    assert metrics["OriginalBytes"] == [len(original)]


FAILURES = {
    "InvalidRequestError": event_for(width=128),
    "BucketNotAllowedError": event_for(source_bucket="somebody-elses"),
    "InvalidKeyError": event_for("a/../b.jpg"),
    "OriginalNotFoundError": event_for("missing.jpg"),
    "OriginalEmptyError": event_for("empty.jpg"),
    "OriginalTooLargeError": event_for("large.jpg"),
    "NotAnImageError": event_for("text.jpg"),
    "UnsupportedImageError": event_for("document.pdf"),
    "TruncatedImageError": event_for("half.jpg"),
    "TooManyPixelsError": event_for("poster.jpg"),
    "OutputTooLargeError": event_for(sizes=[{"width": 10_000, "height": 10_000}], fit="fill"),
}


@pytest.mark.parametrize(("error", "event"), FAILURES.items(), ids=list(FAILURES))
def test_what_can_never_succeed_is_returned(
    error: str,
    event: dict[str, Any],
    *,
    resize: Function,
    s3: "S3Client",
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(resize.module, "_LIMITS", Limits(max_bytes=50_000, max_pixels=1_000_000))
    originals = {
        "trip/example.jpg": picture(),
        "empty.jpg": b"",
        "large.jpg": picture() + bytes(50_000),
        "text.jpg": b"plain text, and nothing else",
        "document.pdf": b"%PDF-1.7 and so on",
        "half.jpg": picture()[:600],
        "poster.jpg": picture(width=1001, height=1000),
    }
    for key, data in originals.items():
        s3.put_object(Bucket=ORIGINALS, Key=key, Body=data)

    result = resize(event)

    assert result == {"status": "FAILED", "error": error, "message": result["message"]}
    assert result["message"].endswith(".")
    assert stored_thumbnails(s3) == []
    [line] = resize.log()
    assert (line["level"], line["message"], line["correlation_id"]) == ("WARNING", "resize failed", EXECUTION)
    assert (line["error"], line["reason"]) == (error, result["message"])
    assert line.keys() - {"object_key"} == ALWAYS_LOGGED | OF_THE_INVOCATION | {"error", "reason"}
    [metrics] = [document for document in emf(capsys) if "ColdStart" not in document]
    assert metrics["ResizesFailed"] == [1.0]


def test_a_picture_that_does_not_tell_everything_right_is_warned_about(
    resize: Function, s3: "S3Client", monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.put_object(Bucket=ORIGINALS, Key="a.jpg", Body=picture())
    made = resize.module.run

    def warn(*arguments: Any, **more: Any) -> Any:
        arguments[-1].warnings.append("The colour profile is broken.")
        return made(*arguments, **more)

    monkeypatch.setattr(resize.module, "run", warn)

    assert resize(event_for("a.jpg"))["status"] == "SUCCESS"
    warning, summary = resize.log()
    assert (warning["level"], warning["message"]) == ("WARNING", "The colour profile is broken.")
    assert summary["message"] == "resized"


@pytest.mark.parametrize("operation", ["GetObject", "PutObject", "HeadObject"])
def test_what_may_pass_is_raised_after_one_quick_repetition(
    operation: str, resize: Function, s3: "S3Client", without_waiting: list[float]
) -> None:
    s3.put_object(Bucket=ORIGINALS, Key="a.jpg", Body=picture())
    event = event_for("a.jpg", sizes=[{"width": 8, "height": 8}])

    with (
        answering(f"s3.{operation}", 503, "SlowDown") as answered,
        pytest.raises(StorageUnavailableError) as caught,
    ):
        resize(event)

    assert caught.value.operation == operation
    assert len(answered) == 2
    assert len(without_waiting) == 1
    assert resize(event)["status"] == "SUCCESS"


def test_a_denied_permission_is_raised_and_not_taken_for_a_missing_original(resize: Function, s3: "S3Client") -> None:
    s3.put_object(Bucket=ORIGINALS, Key="a.jpg", Body=picture())

    with (
        answering("s3.GetObject", 403, "AccessDenied") as answered,
        pytest.raises(ClientError) as caught,
    ):
        resize(event_for("a.jpg"))

    assert caught.value.response["Error"]["Code"] == "AccessDenied"
    assert len(answered) == 1


@pytest.mark.parametrize("error", [MemoryError, RuntimeError, OSError])
def test_anything_unforeseen_is_raised(
    error: type[Exception], resize: Function, s3: "S3Client", monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.put_object(Bucket=ORIGINALS, Key="a.jpg", Body=picture())

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("functions.resize.job.make_thumbnails", fail)

    with pytest.raises(error):
        resize(event_for("a.jpg"))


def test_every_call_names_the_owner_of_the_buckets(resize: Function, s3: "S3Client") -> None:
    s3.put_object(Bucket=ORIGINALS, Key="a.jpg", Body=picture())

    with _noted(
        resize, lambda model, params: f"{model.name} {params['headers'].get('x-amz-expected-bucket-owner')}"
    ) as owners:
        resize(event_for("a.jpg", if_missing="remove"))
        s3.delete_object(Bucket=ORIGINALS, Key="a.jpg")
        resize(event_for("a.jpg", if_missing="remove"))

    assert set(owners) == {f"{name} {ACCOUNT}" for name in ("GetObject", "PutObject", "HeadObject", "DeleteObject")}


def test_every_write_and_delete_is_made_on_a_condition(resize: Function, s3: "S3Client") -> None:
    s3.put_object(Bucket=ORIGINALS, Key="a.jpg", Body=picture())

    def condition(model: Any, params: dict[str, Any]) -> str:
        return f"{model.name} {' '.join(params['headers'].keys() & {'If-Match', 'If-None-Match'})}"

    with _noted(resize, condition) as conditions:
        for _ in range(2):
            resize(event_for("a.jpg"))
        s3.delete_object(Bucket=ORIGINALS, Key="a.jpg")
        resize(event_for("a.jpg", if_missing="remove"))

    changes = {each for each in conditions if each.startswith(("Put", "Delete"))}
    assert changes == {"PutObject If-None-Match", "PutObject If-Match", "DeleteObject If-Match"}


def test_logs_and_metrics_hold_no_account_and_no_credentials(
    resize: Function, s3: "S3Client", capsys: pytest.CaptureFixture[str]
) -> None:
    s3.put_object(Bucket=ORIGINALS, Key="a.jpg", Body=picture())

    resize(event_for("a.jpg"))
    resize(event_for("missing.jpg"))
    resize(event_for(source_bucket="somebody-elses"))

    credentials = resize.module._S3._request_signer._credentials.get_frozen_credentials()
    written = resize.log_text() + capsys.readouterr().out
    assert len(resize.log()) == 3
    for secret in (ACCOUNT, credentials.access_key, credentials.secret_key):
        assert secret not in written


def test_an_original_that_is_deleted_while_its_thumbnails_are_written_ends_as_removed(
    resize: Function, s3: "S3Client", monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "deleted in time.jpg"
    s3.put_object(Bucket=ORIGINALS, Key=key, Body=picture())
    write = Storage.write

    def delete_the_original_then_write(self: Storage, bucket: str, new: NewObject, replaces: str | None) -> str:
        s3.delete_object(Bucket=ORIGINALS, Key=key)
        return write(self, bucket, new, replaces)

    monkeypatch.setattr(Storage, "write", delete_the_original_then_write)

    result = resize(event_for(key, if_missing="remove"))

    assert (result["status"], len(result["removed"])) == ("SUCCESS", 2)
    assert resize.log()[-1]["message"] == "removed: the original is gone"
    assert stored_thumbnails(s3) == []
