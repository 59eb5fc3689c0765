"""The Lambda behind the uploads queue against Step Functions: what it starts, passes over and returns."""

import datetime as dt
import json
import os
import time
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto.stepfunctions.parser.backend.execution_worker import ExecutionWorker

from functions.start_from_s3.executions import execution_for
from functions.start_from_s3.hints import read_hints
from functions.start_from_s3.pacing import Pacing
from functions.start_from_s3.recipes import parse_recipes
from functions.start_from_s3.workflows import EXPRESS_SECONDS, SECONDS_TO_START
from local.template import example_stack
from tests.conftest import ACCOUNT, REGION
from tests.deployed import read_template
from tests.functional.conftest import (
    ORIGINALS,
    STATE_MACHINE_ARN,
    THUMBNAILS,
    TOPIC_ARN,
    Context,
    Function,
    environment,
)
from tests.functional.faults import answering
from tests.s3_events import event_text
from tests.waiting import wait_for

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

SIZES = [{"width": 128, "height": 128}, {"width": 64, "height": 64}]
RUNNING = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 3600, "End": True}}}


@pytest.fixture
def executions(aws: boto3.Session, monkeypatch: pytest.MonkeyPatch) -> "SFNClient":
    """Return Step Functions with a machine of the deployment's name whose executions go on running."""
    start: Any = ExecutionWorker.start

    def start_until_it_can_be_stopped(worker: ExecutionWorker) -> None:
        start(worker)
        wait_for(lambda: worker.env is not None, "the execution's environment", pause=0.001)

    # Until its thread has parsed the definition, moto raises an AttributeError for an execution that is stopped.
    monkeypatch.setattr(ExecutionWorker, "start", start_until_it_can_be_stopped)
    client = aws.client("stepfunctions")
    created = client.create_state_machine(
        name="ImageResizeStateMachine",
        definition=json.dumps(RUNNING),
        roleArn=f"arn:aws:iam::{ACCOUNT}:role/ImageResizeStateMachine",
    )
    assert created["stateMachineArn"] == STATE_MACHINE_ARN
    return client


def batch(*bodies: str, receives: int = 1) -> dict[str, Any]:
    """Return the event of an SQS event source mapping with one message for each body."""
    return {
        "Records": [
            {
                "messageId": f"message-{number}",
                "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a",
                "body": body,
                "attributes": {"ApproximateReceiveCount": str(receives)},
                "messageAttributes": {},
                "md5OfBody": "7b270e59b47ff90a553787216d55d91d",
                "eventSource": "aws:sqs",
                "eventSourceARN": f"arn:aws:sqs:{REGION}:{ACCOUNT}:alison-image-uploads-01",
                "awsRegion": REGION,
            }
            for number, body in enumerate(bodies)
        ]
    }


def returned(result: dict[str, Any]) -> list[str]:
    return [failure["itemIdentifier"] for failure in result["batchItemFailures"]]


def started(client: "SFNClient") -> list[str]:
    return [found["name"] for found in client.list_executions(stateMachineArn=STATE_MACHINE_ARN)["executions"]]


def name_for(event: str) -> str:
    (hint,), _ = read_hints(event_text(event), ORIGINALS)
    return execution_for(hint, THUMBNAILS, {"sizes": SIZES}).name


def input_of(client: "SFNClient", name: str) -> Any:
    arn = f"{STATE_MACHINE_ARN.replace(':stateMachine:', ':execution:')}:{name}"
    return json.loads(client.describe_execution(executionArn=arn)["input"])


@pytest.mark.parametrize(
    ("event", "key"),
    [
        ("put", "2026/trip/example.jpg"),
        ("multipart_complete", "film/scan-0001.tif"),
        ("copy", "archive/example.jpg"),
        ("special_characters", 'bob\'s + été/100% %20 😀 "a&b".jpg'),
    ],
)
def test_an_upload_starts_one_execution(event: str, key: str, start_from_s3: Function, executions: "SFNClient") -> None:
    result = start_from_s3(batch(event_text(event)))

    assert returned(result) == []
    assert started(executions) == [name_for(event)]
    assert input_of(executions, name_for(event)) == {
        "source_bucket": ORIGINALS,
        "destination_bucket": THUMBNAILS,
        "object_key": key,
        "sizes": SIZES,
        "if_missing": "remove",
    }
    [line] = start_from_s3.log()
    assert (line["message"], line["service"]) == ("execution started", "start_from_s3")
    assert (line["object_key"], line["execution"]) == (key, name_for(event))


@pytest.mark.parametrize(
    ("event", "key"),
    [
        ("removed_delete", "2026/trip/example.jpg"),
        ("removed_delete_marker_created", "bob's photo.jpg"),
        ("lifecycle_expiration_delete", "archive/example.jpg"),
        ("lifecycle_expiration_delete_marker_created", "archive/été.jpg"),
    ],
)
def test_a_removal_starts_an_execution_with_the_same_request(
    event: str, key: str, start_from_s3: Function, executions: "SFNClient"
) -> None:
    result = start_from_s3(batch(event_text(event)))

    assert returned(result) == []
    (name,) = started(executions)
    assert name == name_for(event)
    assert name.startswith("removed-")
    assert input_of(executions, name) == {
        "source_bucket": ORIGINALS,
        "destination_bucket": THUMBNAILS,
        "object_key": key,
        "sizes": SIZES,
        "if_missing": "remove",
    }


def test_an_upload_and_its_removal_are_two_executions(start_from_s3: Function, executions: "SFNClient") -> None:
    start_from_s3(batch(event_text("put"), event_text("removed_delete"), event_text("removed_delete")))

    assert sorted(started(executions)) == sorted([name_for("put"), name_for("removed_delete")])


def test_the_recipe_of_the_key_is_what_is_asked_for(
    start_from_s3: Function, executions: "SFNClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    text = """[
      {"prefix": "2026/", "sizes": ["64x48"], "fit": "cover", "formats": ["webp", "source"], "quality": 70},
      {"prefix": "archive/", "sizes": []},
      {"prefix": "film/"}
    ]"""
    monkeypatch.setattr(start_from_s3.module, "_RECIPES", parse_recipes(text, SIZES))

    # The last one has no recipe at all.
    result = start_from_s3(batch(*map(event_text, ("put", "copy", "multipart_complete", "unversioned"))))

    assert returned(result) == []
    asked = {found["object_key"]: found for found in (input_of(executions, name) for name in started(executions))}
    assert asked.keys() == {"2026/trip/example.jpg", "film/scan-0001.tif"}
    of_2026, of_film = asked["2026/trip/example.jpg"], asked["film/scan-0001.tif"]
    assert of_2026["sizes"] == [{"width": 64, "height": 48}]
    assert (of_2026["fit"], of_2026["formats"], of_2026["quality"]) == ("cover", ["webp", "source"], 70)
    assert (of_film["sizes"], of_film.keys() & {"fit", "formats", "quality"}) == (SIZES, set())
    left_alone = [line["object_key"] for line in start_from_s3.log() if line["message"].startswith("left alone")]
    assert left_alone == ["archive/example.jpg", "example.jpg"]


def test_what_lies_outside_the_prefix_is_left_alone(
    start_from_s3: Function, executions: "SFNClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start_from_s3.module, "_ORIGINALS_PREFIX", "2026/")

    result = start_from_s3(batch(*map(event_text, ("put", "copy", "eventbridge_unversioned"))))

    assert returned(result) == []
    assert started(executions) == [name_for("put")]
    left_alone = [line["object_key"] for line in start_from_s3.log() if line["message"].startswith("left alone")]
    assert left_alone == ["archive/example.jpg", "example.jpg"]


def test_an_event_of_an_existing_bucket_starts_an_execution(start_from_s3: Function, executions: "SFNClient") -> None:
    result = start_from_s3(batch(event_text("eventbridge_special_characters")))

    assert returned(result) == []
    (name,) = started(executions)
    assert input_of(executions, name)["object_key"] == 'bob\'s + été/100% %20 😀 "a&b".jpg'


def test_an_upload_delivered_again_while_it_runs_starts_nothing_new(
    start_from_s3: Function, executions: "SFNClient"
) -> None:
    first, second = (start_from_s3(batch(event_text("put"))) for _ in range(2))

    assert returned(first) == returned(second) == []
    assert started(executions) == [name_for("put")]


def test_an_upload_delivered_again_after_it_ended_is_passed_over(
    start_from_s3: Function, executions: "SFNClient"
) -> None:
    start_from_s3(batch(event_text("put")))

    with answering("sfn.StartExecution", 400, "ExecutionAlreadyExists") as answered:
        result = start_from_s3(batch(event_text("put"), event_text("put")))

    assert returned(result) == []
    assert started(executions) == [name_for("put")]
    assert len(answered) == 2
    lines = start_from_s3.log()[1:]
    assert [line["message"] for line in lines] == ["duplicate passed over"] * 2
    assert {(line["object_key"], line["execution"]) for line in lines} == {("2026/trip/example.jpg", name_for("put"))}


@pytest.mark.parametrize("event", ["test", "folder_marker"])
def test_what_is_no_upload_is_passed_over(event: str, start_from_s3: Function, executions: "SFNClient") -> None:
    assert returned(start_from_s3(batch(event_text(event)))) == []
    assert started(executions) == []


def test_each_record_of_a_message_is_started(start_from_s3: Function, executions: "SFNClient") -> None:
    assert returned(start_from_s3(batch(event_text("several_records")))) == []
    assert sorted(name.rpartition("-")[0] for name in started(executions)) == ["upload-a-jpg", "upload-b-jpg"]


def test_bad_records_do_not_hold_back_good_ones_of_the_same_message(
    start_from_s3: Function, executions: "SFNClient"
) -> None:
    event = json.loads(event_text("several_records"))
    tagged, foreign, started_last = (json.loads(event_text("put"))["Records"][0] for _ in range(3))
    tagged["eventName"] = "ObjectTagging:Put"
    foreign["s3"]["bucket"]["name"] = "somebody-elses"
    event["Records"] = [tagged, foreign, *event["Records"], started_last]

    result = start_from_s3(batch(json.dumps(event)))

    assert returned(result) == ["message-0"]
    assert sorted(name.rpartition("-")[0] for name in started(executions)) == [
        "upload-a-jpg",
        "upload-b-jpg",
        "upload-example-jpg",
    ]
    [error] = [line for line in start_from_s3.log() if line["level"] == "ERROR"]
    assert "'ObjectTagging:Put'" in error["exception"]
    assert "'somebody-elses'" in error["exception"]


def test_one_upload_that_cannot_be_started_does_not_hold_back_the_others(
    start_from_s3: Function, executions: "SFNClient"
) -> None:
    with answering(
        "sfn.StartExecution", 400, "ExecutionLimitExceeded", when=lambda request: "upload-a-jpg" in str(request.body)
    ):
        result = start_from_s3(batch(event_text("several_records")))

    assert returned(result) == ["message-0"]
    assert [name.rpartition("-")[0] for name in started(executions)] == ["upload-b-jpg"]
    [error] = [line for line in start_from_s3.log() if line["level"] == "ERROR"]
    assert "object_key: a.jpg" in error["exception"]


@pytest.mark.parametrize("ended", [False, True], ids=["runs", "ended"])
def test_an_execution_of_somebody_else_under_the_name_of_an_upload_is_no_duplicate(
    start_from_s3: Function, executions: "SFNClient", *, ended: bool
) -> None:
    """Whoever may start executions may take any name; the upload must not vanish for that."""
    taken = executions.start_execution(stateMachineArn=STATE_MACHINE_ARN, name=name_for("put"), input='{"not": "it"}')
    if ended:
        executions.stop_execution(executionArn=taken["executionArn"])

    with answering("sfn.StartExecution", 400, "ExecutionAlreadyExists"):
        result = start_from_s3(batch(event_text("put")))

    assert returned(result) == ["message-0"]
    [error] = [line for line in start_from_s3.log() if line["level"] == "ERROR"]
    assert f"The execution '{name_for('put')}' exists with another input" in error["exception"]
    assert "object_key: 2026/trip/example.jpg" in error["exception"]


def not_started(text: str) -> list[float]:
    """Read the metric as CloudWatch does: embedded in the lines of the log."""
    documents = [json.loads(line) for line in text.splitlines() if '"_aws"' in line]
    for document in documents:
        [directive] = document["_aws"]["CloudWatchMetrics"]
        assert directive["Namespace"] == "alison-image"
        assert directive["Dimensions"] == [["service"]]
        assert document["service"] == "start_from_s3"
    return [sum(document["UploadsNotStarted"]) for document in documents]


def test_how_many_messages_were_not_started_is_a_metric(
    start_from_s3: Function, executions: "SFNClient", capsys: pytest.CaptureFixture[str]
) -> None:
    start_from_s3(batch(event_text("put"), receives=2))
    start_from_s3(batch("not an event", event_text("copy"), "{}", receives=2))
    # A second attempt would be no better.
    start_from_s3(batch("not an event"))
    with answering("sfn.StartExecution", 500, "InternalFailure"):
        # The second attempt may be.
        start_from_s3(batch(event_text("multipart_complete")))
        start_from_s3(batch(event_text("multipart_complete"), receives=2))

    assert sorted(started(executions)) == sorted([name_for("put"), name_for("copy")])
    assert not_started(capsys.readouterr().out) == [0, 2, 1, 0, 1]


def test_uploads_that_there_is_no_time_for_return_to_the_queue(
    start_from_s3: Function, executions: "SFNClient", capsys: pytest.CaptureFixture[str]
) -> None:
    result = start_from_s3(batch(event_text("put"), event_text("copy"), receives=2), Context(remaining_time=5_000))

    assert returned(result) == ["message-0", "message-1"]
    assert started(executions) == []
    assert not_started(capsys.readouterr().out) == [2]
    assert "There was no time left to start this execution." in start_from_s3.log_text()


def test_uploads_that_there_is_no_room_for_wait_in_the_queue_and_nothing_is_wrong(
    start_from_s3: Function, executions: "SFNClient", capsys: pytest.CaptureFixture[str]
) -> None:
    variables = environment("StartFromS3Function")
    most = Pacing(int(variables["PICTURES_AT_ONCE"]), int(variables["STARTERS_AT_ONCE"])).most
    for number in range(most):
        executions.start_execution(stateMachineArn=STATE_MACHINE_ARN, name=f"api-{number}")

    result = start_from_s3(batch(event_text("put"), event_text("copy"), receives=3), Context(remaining_time=15_300))

    assert returned(result) == ["message-0", "message-1"]
    assert len(started(executions)) == most
    assert not_started(capsys.readouterr().out) == [0]
    assert {(line["level"], line["message"]) for line in start_from_s3.log()} == {
        ("INFO", "no room: the message waits in the queue")
    }


def test_an_upload_waits_for_room_and_is_started(
    start_from_s3: Function, executions: "SFNClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = environment("StartFromS3Function")
    most = Pacing(int(variables["PICTURES_AT_ONCE"]), int(variables["STARTERS_AT_ONCE"])).most
    arns = [
        executions.start_execution(stateMachineArn=STATE_MACHINE_ARN, name=f"api-{number}")["executionArn"]
        for number in range(most)
    ]
    waits: list[float] = []

    def wait(seconds: float) -> None:
        if seconds:
            waits.append(seconds)
            executions.stop_execution(executionArn=arns[0])
            time.sleep(seconds)

    monkeypatch.setattr(start_from_s3.module._WORKFLOW, "_sleep", wait)

    assert returned(start_from_s3(batch(event_text("put")))) == []
    assert name_for("put") in started(executions)
    assert len(waits) >= 1


@pytest.mark.parametrize("workflow", ["STANDARD", "EXPRESS"])
def test_the_time_left_is_enough_for_the_slowest_answers(workflow: str, start_from_s3: Function) -> None:
    """Two calls of two attempts each, with the pause of botocore's standard mode, a second at most at first."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment("StartFromS3Function", UploadWorkflow=workflow).items():
            patch.setenv(name, value)
        created = start_from_s3.module._create_workflow()
    config = created._client.meta.config
    attempt, pause = config.connect_timeout + config.read_timeout, 1
    properties = read_template()["Resources"]["StartFromS3Function"]["Properties"]
    timeout = example_stack({"UploadWorkflow": workflow}).resolve(properties["Timeout"])
    assert config.retries["total_max_attempts"] == 2

    if workflow == "STANDARD":
        slowest = 2 * (2 * attempt + pause)
        assert slowest <= SECONDS_TO_START
        assert timeout > 2 * slowest
    else:
        # An execution that was started is waited for to its end.
        assert EXPRESS_SECONDS < attempt < timeout


@pytest.mark.usefixtures("executions")
def test_only_the_unreadable_message_returns_to_the_queue(start_from_s3: Function, executions: "SFNClient") -> None:
    result = start_from_s3(batch(event_text("put"), "not an event", event_text("copy")))

    assert returned(result) == ["message-1"]
    assert sorted(started(executions)) == sorted([name_for("put"), name_for("copy")])
    [error] = [line for line in start_from_s3.log() if line["level"] == "ERROR"]
    assert (error["message"], error["message_id"]) == ("message returned to the queue", "message-1")
    assert error["exception_name"] == "UnreadableEventError"


def test_a_batch_in_which_nothing_can_be_read_is_answered_message_by_message(
    start_from_s3: Function, executions: "SFNClient"
) -> None:
    assert returned(start_from_s3(batch("not an event", "{}"))) == ["message-0", "message-1"]
    assert started(executions) == []


@pytest.mark.parametrize(
    ("status", "code", "attempts"),
    [(400, "ExecutionLimitExceeded", 1), (500, "InternalFailure", 2)],
)
def test_only_the_message_that_was_refused_returns_to_the_queue(
    status: int,
    code: str,
    attempts: int,
    *,
    start_from_s3: Function,
    executions: "SFNClient",
    without_waiting: list[float],
) -> None:
    event = batch(event_text("put"), event_text("copy"), event_text("special_characters"))

    with answering(
        "sfn.StartExecution",
        status,
        code,
        when=lambda request: name_for("copy") in str(request.body),
    ) as answered:
        result = start_from_s3(event)

    assert returned(result) == ["message-1"]
    assert len(answered) == attempts == len(without_waiting) + 1
    assert sorted(started(executions)) == sorted([name_for("put"), name_for("special_characters")])
    # The queue delivers it again.
    assert returned(start_from_s3(event)) == []
    assert name_for("copy") in started(executions)


def test_an_upload_waits_in_the_queue_while_the_quota_of_starts_is_used_up(
    start_from_s3: Function, executions: "SFNClient", without_waiting: list[float]
) -> None:
    with answering("sfn.StartExecution", 400, "ThrottlingException") as answered:
        result = start_from_s3(batch(event_text("put")), Context(remaining_time=15_500))

    assert returned(result) == ["message-0"]
    assert len(answered) == 2 == len(without_waiting) + 1
    assert started(executions) == []
    assert {line["message"] for line in start_from_s3.log()} == {"no room: the message waits in the queue"}


@pytest.mark.parametrize(("status", "code"), [(400, "ThrottlingException"), (500, "InternalFailure")])
def test_an_upload_is_started_even_if_executions_cannot_be_counted(
    status: int,
    code: str,
    *,
    start_from_s3: Function,
    executions: "SFNClient",
    without_waiting: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(start_from_s3.module._WORKFLOW, "_sleep", lambda _: None)

    with answering("sfn.ListExecutions", status, code) as answered:
        assert returned(start_from_s3(batch(event_text("put")))) == []

    assert len(answered) == 2 * len(without_waiting)
    assert started(executions) == [name_for("put")]
    warned = [line for line in start_from_s3.log() if line["level"] == "WARNING"]
    assert {(line["message"], code in line["exception"]) for line in warned} == {
        ("running executions not counted", True)
    }


def test_failures_of_one_batch_are_not_reported_for_the_next(start_from_s3: Function, executions: "SFNClient") -> None:
    assert returned(start_from_s3(batch("not an event"))) == ["message-0"]
    assert returned(start_from_s3(batch(event_text("put")))) == []
    assert started(executions) == [name_for("put")]


def test_logs_hold_no_account(start_from_s3: Function, executions: "SFNClient") -> None:
    start_from_s3(batch(event_text("put"), event_text("put"), event_text("test")))

    assert started(executions)
    assert len(start_from_s3.log()) == 2
    assert ACCOUNT not in start_from_s3.log_text()


# Enough for the longest execution.
LONG = Context(remaining_time=330_000)


@pytest.fixture
def express_told(start_from_s3: Function, aws: boto3.Session, monkeypatch: pytest.MonkeyPatch) -> Function:
    """Return the function of a stack with Express uploads and a topic; its state machine answers what a test says."""
    parameters = {"UploadWorkflow": "EXPRESS", "NotificationTopicArn": TOPIC_ARN}
    for name, value in environment("StartFromS3Function", **parameters).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(start_from_s3.module, "_NOTIFICATIONS_QUEUE", os.environ["NOTIFICATIONS_QUEUE_URL"])
    monkeypatch.setattr(start_from_s3.module, "_WORKFLOW", start_from_s3.module._create_workflow())
    aws.client("sqs").create_queue(QueueName=os.environ["NOTIFICATIONS_QUEUE_URL"].rpartition("/")[2])
    return start_from_s3


def answer_with(function: Function, patch: pytest.MonkeyPatch, **answer: str) -> None:
    def start_sync_execution(**request: str) -> dict[str, Any]:
        ended = dt.datetime(2026, 11, 23, 12, 29, 45, tzinfo=dt.UTC)
        arn = f"{request['stateMachineArn'].replace(':stateMachine:', ':express:')}:{request['name']}:7d5e4c39"
        return {**request, "executionArn": arn, "startDate": ended, "stopDate": ended, **answer}

    patch.setattr(function.module._WORKFLOW._client, "start_sync_execution", start_sync_execution)


def handed_over(aws: boto3.Session) -> list[Any]:
    sqs = aws.client("sqs")
    answer = sqs.receive_message(QueueUrl=os.environ["NOTIFICATIONS_QUEUE_URL"], MaxNumberOfMessages=10)
    return [json.loads(message["Body"]) for message in answer.get("Messages", ())]


def unsent(output: str) -> list[int]:
    """Return what the metric NotificationsNotSent counted, invocation by invocation."""
    lines = [json.loads(line) for line in output.splitlines() if '"NotificationsNotSent"' in line]
    return [int(sum(line["NotificationsNotSent"])) for line in lines]


def test_the_end_of_an_express_execution_is_handed_over(
    express_told: Function, aws: boto3.Session, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer_with(express_told, monkeypatch, status="SUCCEEDED", output='{"status": "SUCCESS"}')

    assert returned(express_told(batch(event_text("put")), LONG)) == []

    (message,) = handed_over(aws)
    assert message["detail"]["name"] == name_for("put")
    assert (message["detail"]["status"], message["detail"]["output"]) == ("SUCCEEDED", '{"status": "SUCCESS"}')
    assert json.loads(message["detail"]["input"])["object_key"] == "2026/trip/example.jpg"
    assert unsent(capsys.readouterr().out) == [0]


@pytest.mark.parametrize(("receives", "handed"), [(1, 0), (19, 0), (20, 1)])
def test_a_fault_is_handed_over_at_the_last_try(
    receives: int, handed: int, express_told: Function, aws: boto3.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_with(express_told, monkeypatch, status="FAILED", error="StorageUnavailableError", cause="S3 did not answer.")

    assert returned(express_told(batch(event_text("put"), receives=receives), LONG)) == ["message-0"]

    assert len(handed_over(aws)) == handed


@pytest.mark.usefixtures("without_waiting")
def test_a_notification_that_cannot_be_sent_does_not_repeat_the_upload(
    express_told: Function, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer_with(express_told, monkeypatch, status="SUCCEEDED", output="{}")

    with answering("sqs.SendMessage", 500, "InternalError"):
        result = express_told(batch(event_text("put")), LONG)

    assert returned(result) == []
    assert unsent(capsys.readouterr().out) == [1]
    (error,) = [line for line in express_told.log() if line["level"] == "ERROR"]
    assert (error["message"], error["execution"]) == ("notification not sent", name_for("put"))


def test_handing_over_fits_into_the_time_after_the_longest_execution(express_told: Function) -> None:
    config = express_told.module._create_queue_client().meta.config
    properties = read_template()["Resources"]["StartFromS3Function"]["Properties"]
    timeout = example_stack({"UploadWorkflow": "EXPRESS"}).resolve(properties["Timeout"])

    slowest = config.retries["total_max_attempts"] * (config.connect_timeout + config.read_timeout) + 1

    assert EXPRESS_SECONDS + slowest + 10 < timeout
