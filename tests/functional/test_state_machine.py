"""The state machine file that is deployed, run by moto's interpreter with the real resize handler behind it.

moto runs no function code without Docker, so its Lambda backend is replaced where it would: the interpreter
still makes a real Invoke call with a real client, and gets payload and error header as Lambda gives them.
"""

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl

from functions.resize.errors import StorageUnavailableError
from samples.files import picture
from tests.conftest import ACCOUNT, REGION
from tests.deployed import read_state_machine
from tests.functional.conftest import ORIGINALS, STATE_MACHINE_ARN, THUMBNAILS, Function, run_by_moto
from tests.functional.faults import answering

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_stepfunctions.type_defs import DescribeExecutionOutputTypeDef

FUNCTION_ARN = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:alison-image-resizer"
NAME = "upload-example-jpg-0123456789abcdef0123456789abcdef"
REQUEST = {
    "source_bucket": ORIGINALS,
    "destination_bucket": THUMBNAILS,
    "object_key": "trip/example.jpg",
    "width": 128,
    "height": 128,
}


class Pipeline:
    """The machine, what it invoked, what it got back and how long it waited between."""

    def __init__(self, aws: boto3.Session, resize: Function) -> None:
        self._client = aws.client("stepfunctions")
        self._resize = resize
        self.payloads: list[Any] = []
        self.raised: list[str] = []
        self.waits: list[float] = []
        # Called before each invocation with its number; may raise in the function's stead.
        self.before: Callable[[int], None] = lambda _: None
        created = self._client.create_state_machine(
            name="ImageResizeStateMachine",
            definition=json.dumps(read_state_machine({"ResizeFunctionArn": FUNCTION_ARN})),
            roleArn=f"arn:aws:iam::{ACCOUNT}:role/ImageResizeStateMachine",
        )
        assert created["stateMachineArn"] == STATE_MACHINE_ARN

    def invoke(self, function_arn: str, body: str, response_headers: dict[str, str]) -> bytes:
        """Do what Lambda does: run the handler on the payload, or report what it raised."""
        assert function_arn == FUNCTION_ARN
        self.payloads.append(json.loads(body))
        try:
            self.before(len(self.payloads))
            return json.dumps(self._resize(json.loads(body))).encode()
        except Exception as error:  # noqa: BLE001 - as Lambda's runtime does
            name = type(error).__name__
            self.raised.append(name)
            response_headers["x-amz-function-error"] = "Unhandled"
            return json.dumps({"errorMessage": str(error), "errorType": name, "stackTrace": []}).encode()

    def run(self, request: Any = REQUEST) -> "DescribeExecutionOutputTypeDef":
        started = self._client.start_execution(stateMachineArn=STATE_MACHINE_ARN, name=NAME, input=json.dumps(request))
        return self._client.describe_execution(executionArn=started["executionArn"])

    def history(self) -> list[str]:
        arn = f"{STATE_MACHINE_ARN.replace(':stateMachine:', ':execution:')}:{NAME}"
        return [event["type"] for event in self._client.get_execution_history(executionArn=arn)["events"]]


@pytest.fixture
def pipeline(aws: boto3.Session, resize: Function, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    pipeline = Pipeline(aws, resize)

    run_by_moto(monkeypatch, pipeline.invoke)
    monkeypatch.setattr(retrier_decl, "time", SimpleNamespace(sleep=pipeline.waits.append))
    return pipeline


def fail_first(times: int, error: Exception) -> Callable[[int], None]:
    def before(invocation: int) -> None:
        if invocation <= times:
            raise error

    return before


def test_success_ends_with_the_result_of_the_function(pipeline: Pipeline, s3: "S3Client") -> None:
    original = picture(width=400, height=300)
    etag = s3.put_object(Bucket=ORIGINALS, Key="trip/example.jpg", Body=original)["ETag"].strip('"')

    execution = pipeline.run()

    assert execution["status"] == "SUCCEEDED"
    (thumbnail,) = s3.list_objects_v2(Bucket=THUMBNAILS, Prefix="thumbnails/")["Contents"]
    stored = s3.get_object(Bucket=THUMBNAILS, Key="manifests/trip/example.jpg.json")
    manifest = json.loads(stored["Body"].read())
    output = json.loads(execution["output"])
    revision = s3.head_object(Bucket=THUMBNAILS, Key=thumbnail["Key"])["Metadata"]["revision"]
    assert output.pop("placeholder") == manifest["placeholder"]
    assert output == {
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
                "key": "thumbnails/trip/128x128_example.jpg",
                "url": f"thumbnails/trip/128x128_example.jpg?v={revision}",
                "box": {"width": 128, "height": 128},
                "fit": "inside",
                "format": "source",
                "quality": None,
                "width": 128,
                "height": 96,
                "bytes": thumbnail["Size"],
                "content_type": "image/jpeg",
                "etag": thumbnail["ETag"].strip('"'),
                "asked_by": ["request"],
            }
        ],
        "removed": [],
    }
    assert thumbnail["Key"] == "thumbnails/trip/128x128_example.jpg"


def test_the_function_gets_the_name_of_the_execution_and_the_request_as_it_came(
    pipeline: Pipeline, resize: Function, s3: "S3Client"
) -> None:
    key = 'bob\'s "a" \\ + é😀\n.jpg'
    s3.put_object(Bucket=ORIGINALS, Key=key, Body=picture())

    execution = pipeline.run({**REQUEST, "object_key": key})

    assert execution["status"] == "SUCCEEDED"
    (payload,) = pipeline.payloads
    assert payload.keys() == {"execution", "request", "retries", "context"}
    assert (payload["execution"], payload["request"]) == (NAME, {**REQUEST, "object_key": key})
    assert payload["retries"] == 0
    assert payload["context"]["Name"] == NAME
    assert [line["correlation_id"] for line in resize.log()] == [NAME]


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ({**REQUEST, "object_key": "missing.jpg"}, "OriginalNotFoundError"),
        ({**REQUEST, "object_key": "text.jpg"}, "NotAnImageError"),
        ({**REQUEST, "source_bucket": "somebody-elses"}, "BucketNotAllowedError"),
        ({**REQUEST, "width": "wide"}, "InvalidRequestError"),
        ({}, "InvalidRequestError"),
        ([], "InvalidRequestError"),
        ("text", "InvalidRequestError"),
    ],
    ids=["missing", "no picture", "bucket", "width", "empty", "list", "text"],
)
def test_what_can_never_succeed_fails_with_the_words_of_the_function_and_is_not_retried(
    request_: Any, error: str, pipeline: Pipeline, s3: "S3Client", resize: Function
) -> None:
    s3.put_object(Bucket=ORIGINALS, Key="text.jpg", Body=b"plain text, and nothing else")

    execution = pipeline.run(request_)

    [line] = resize.log()
    assert execution["status"] == "FAILED"
    assert (execution["error"], execution["cause"]) == (f"Permanent.{error}", line["reason"])
    assert line["error"] == error
    assert len(pipeline.payloads) == 1
    assert pipeline.waits == []
    assert s3.list_objects_v2(Bucket=THUMBNAILS, Prefix="thumbnails/")["KeyCount"] == 0


@pytest.mark.parametrize("times", [1, 2, 4])
@pytest.mark.parametrize(
    "error", [StorageUnavailableError("GetObject", "SlowDown"), MemoryError()], ids=lambda error: type(error).__name__
)
def test_what_may_pass_is_tried_again(times: int, error: Exception, pipeline: Pipeline, s3: "S3Client") -> None:
    s3.put_object(Bucket=ORIGINALS, Key="trip/example.jpg", Body=picture())
    pipeline.before = fail_first(times, error)

    execution = pipeline.run()

    assert execution["status"] == "SUCCEEDED"
    assert pipeline.raised == [type(error).__name__] * times
    assert [payload["retries"] for payload in pipeline.payloads] == list(range(times + 1))
    assert len(pipeline.waits) == times
    assert pipeline.history().count("TaskFailed") == times


def test_a_removal_ends_well_and_leaves_nothing(pipeline: Pipeline, s3: "S3Client", resize: Function) -> None:
    s3.put_object(Bucket=ORIGINALS, Key="trip/example.jpg", Body=picture())
    resize({"execution": "before", "request": REQUEST})
    s3.delete_object(Bucket=ORIGINALS, Key="trip/example.jpg")

    execution = pipeline.run({**REQUEST, "if_missing": "remove"})

    assert execution["status"] == "SUCCEEDED"
    assert json.loads(execution["output"])["removed"] == ["thumbnails/trip/128x128_example.jpg"]
    assert s3.list_objects_v2(Bucket=THUMBNAILS)["KeyCount"] == 0


def test_trying_again_ends(pipeline: Pipeline, s3: "S3Client") -> None:
    s3.put_object(Bucket=ORIGINALS, Key="trip/example.jpg", Body=picture())
    pipeline.before = fail_first(1000, StorageUnavailableError("GetObject", "SlowDown"))

    execution = pipeline.run()

    assert (execution["status"], execution["error"]) == ("FAILED", "StorageUnavailableError")
    assert json.loads(execution["cause"])["errorMessage"] == "S3 did not complete GetObject (SlowDown)."
    assert len(pipeline.payloads) == 5
    # Full jitter: each wait is anything up to 2, 4, 8 and 16 seconds.
    assert len(pipeline.waits) == 4
    assert all(0 <= wait <= most for wait, most in zip(pipeline.waits, (2, 4, 8, 16), strict=True))
    assert len(set(pipeline.waits)) > 1


def test_a_fault_of_s3_itself_is_tried_again(pipeline: Pipeline, s3: "S3Client", without_waiting: list[float]) -> None:
    s3.put_object(Bucket=ORIGINALS, Key="trip/example.jpg", Body=picture())
    # Both attempts of the first invocation and the first of the second.
    faults = iter([True, True, True])

    with answering("s3.GetObject", 503, "SlowDown", when=lambda _: next(faults, False)) as answered:
        execution = pipeline.run()

    assert execution["status"] == "SUCCEEDED"
    assert len(answered) == 3
    assert pipeline.raised == ["StorageUnavailableError"]
    assert len(without_waiting) == 2


@pytest.mark.parametrize("name", ["Sandbox.Timedout", "Runtime.ExitError", "Lambda.Unknown"])
def test_a_run_that_used_up_its_minute_or_its_memory_is_tried_once_more(
    name: str, pipeline: Pipeline, s3: "S3Client"
) -> None:
    s3.put_object(Bucket=ORIGINALS, Key="trip/example.jpg", Body=picture())
    pipeline.before = fail_first(1000, type(name, (Exception,), {})("the sandbox ended"))

    execution = pipeline.run()

    assert (execution["status"], execution["error"]) == ("FAILED", name)
    assert len(pipeline.payloads) == 2


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {},
        [],
        "SUCCESS",
        {"status": None},
        {"status": "success", "error": "Odd", "message": "It is odd."},
        {"error": "NotAnImageError", "message": "It is none."},
    ],
    ids=str,
)
def test_an_answer_without_a_status_is_a_fault_and_no_permanent_error(
    answer: Any, pipeline: Pipeline, resize: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resize, "handler", lambda _event, _context: answer)

    execution = pipeline.run()

    assert (execution["status"], execution["error"]) == ("FAILED", "InvalidResult")
    assert "bug in the function" in execution["cause"]
