"""The Lambda behind the notifications queue against SNS: what a subscriber gets, and what returns to the queue."""

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from jsonschema import Draft4Validator

from samples.files import encoded
from samples.pictures import photograph
from tests.conftest import REGION
from tests.deployed import ROOT, read_template
from tests.functional.conftest import ORIGINALS, THUMBNAILS, TOPIC_ARN, Function
from tests.functional.faults import answering
from tests.s3_events import event_text

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SCHEMA = Draft4Validator(json.loads((ROOT / "schemas" / "notification.json").read_text(encoding="utf-8")))
ENDS = ("succeeded", "removed", "failed_permanent", "failed_fault", "timed_out", "reconcile_run")


class Subscriber:
    """A queue that is subscribed to the topic."""

    def __init__(self, aws: boto3.Session, **attributes: str) -> None:
        self._sqs = aws.client("sqs")
        self._url = self._sqs.create_queue(QueueName=f"subscriber-{len(attributes)}")["QueueUrl"]
        arn = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        sns: Any = aws.client("sns")
        sns.subscribe(TopicArn=TOPIC_ARN, Protocol="sqs", Endpoint=arn, Attributes=attributes)

    def received(self) -> list[dict[str, Any]]:
        """Return the messages, each as SNS wraps it."""
        answer = self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10)
        return [json.loads(message["Body"]) for message in answer.get("Messages", ())]


@pytest.fixture
def topic(aws: boto3.Session) -> None:
    sns: Any = aws.client("sns")
    assert sns.create_topic(Name="thumbnails")["TopicArn"] == TOPIC_ARN


@pytest.fixture
def subscriber(aws: boto3.Session, topic: None) -> Subscriber:  # noqa: ARG001 - made before
    return Subscriber(aws)


def batch(*bodies: str) -> dict[str, Any]:
    records = [{"messageId": f"message-{number}", "body": body} for number, body in enumerate(bodies)]
    return {"Records": records}


def end(name: str) -> str:
    # The state machine's name is that of the deployment under test.
    return event_text(f"execution_{name}").replace("us-east-1", REGION)


def test_every_end_becomes_one_message(notify: Function, subscriber: Subscriber) -> None:
    answer = notify(batch(*map(end, ENDS)))

    assert answer == {"batchItemFailures": []}
    received = subscriber.received()
    messages = [json.loads(each["Message"]) for each in received]
    for message in messages:
        SCHEMA.validate(message)
    assert [message["trigger"] for message in messages] == ["upload", "removed", "api", "upload", "upload", "reconcile"]
    assert {message["bucket"] for message in messages} == {THUMBNAILS}
    for each, message in zip(received, messages, strict=True):
        assert each["Subject"] == f"Thumbnails: {message['status']} ({message['trigger']})"
        assert {name: value["Value"] for name, value in each["MessageAttributes"].items()} == {
            name: message[name] for name in ("status", "trigger")
        }


@pytest.mark.usefixtures("topic")
def test_a_subscriber_can_choose(aws: boto3.Session, notify: Function) -> None:
    failures = Subscriber(aws, FilterPolicy=json.dumps({"status": ["FAILED"]}))
    of_a_folder = Subscriber(
        aws, FilterPolicy=json.dumps({"key": [{"prefix": "2026/"}]}), FilterPolicyScope="MessageBody"
    )

    notify(batch(*map(end, ENDS)))

    assert {json.loads(each["Message"])["status"] for each in failures.received()} == {"FAILED"}
    keys = [json.loads(each["Message"])["key"] for each in of_a_folder.received()]
    assert set(keys) == {"2026/trip/example.jpg"}


def test_what_the_resize_function_returns_is_told(
    notify: Function, resize: Function, s3: "S3Client", subscriber: Subscriber
) -> None:
    request = {
        "source_bucket": ORIGINALS,
        "destination_bucket": THUMBNAILS,
        "object_key": "2026/a é.png",
        "sizes": [{"width": 40, "height": 40}, {"width": 20, "height": 20}],
        "if_missing": "remove",
    }
    s3.put_object(Bucket=ORIGINALS, Key="2026/a é.png", Body=encoded(photograph(80, 60), "PNG"))
    results = [resize({"execution": "e", "request": request}) for _ in range(2)]
    s3.delete_object(Bucket=ORIGINALS, Key="2026/a é.png")
    results.append(resize({"execution": "e", "request": request}))
    assert [result["status"] for result in results] == ["SUCCESS"] * 3

    ends = []
    for result in results:
        event = json.loads(end("succeeded"))
        event["detail"] |= {"input": json.dumps(request), "output": json.dumps(result)}
        ends.append(json.dumps(event))
    notify(batch(*ends))

    first, in_line, gone = (json.loads(each["Message"]) for each in subscriber.received())
    for message in (first, in_line, gone):
        SCHEMA.validate(message)
    keys = ["thumbnails/2026/40x40_a é.png", "thumbnails/2026/20x20_a é.png"]
    assert [each["key"] for each in first["thumbnails"]] == keys
    # What was there already is told like what was made.
    assert in_line["thumbnails"] == first["thumbnails"]
    assert (gone["thumbnails"], sorted(gone["removed"])) == ([], sorted(keys))


@pytest.mark.usefixtures("without_waiting")
def test_only_what_could_not_be_published_returns_to_the_queue(notify: Function, subscriber: Subscriber) -> None:
    bodies = [end("succeeded"), "no JSON", end("failed_permanent"), '{"detail": {}}']

    with answering("sns.Publish", 500, "InternalError", when=lambda request: "FAILED" in str(request.body)):
        answer = notify(batch(*bodies))

    assert [each["itemIdentifier"] for each in answer["batchItemFailures"]] == ["message-1", "message-2", "message-3"]
    assert [json.loads(each["Message"])["status"] for each in subscriber.received()] == ["SUCCESS"]
    assert "InternalError" in notify.log_text()
    errors = [line for line in notify.log() if line["level"] == "ERROR"]
    assert [line["message_id"] for line in errors] == ["message-1", "message-2", "message-3"]


def test_the_log_finds_a_message(notify: Function, subscriber: Subscriber) -> None:
    notify(batch(end("succeeded")))

    (line,) = notify.log()
    (received,) = subscriber.received()
    assert (line["message"], line["service"]) == ("published", "notify")
    assert line["message_id"] == received["MessageId"]
    assert line["id"] == json.loads(received["Message"])["id"]
    assert line["execution"] == json.loads(received["Message"])["execution"].rpartition(":")[2]


@pytest.mark.usefixtures("aws")
def test_a_topic_that_is_gone_is_not_passed_over(notify: Function) -> None:
    answer = notify(batch(end("succeeded")))

    assert [each["itemIdentifier"] for each in answer["batchItemFailures"]] == ["message-0"]
    assert "NotFound" in notify.log_text()


def test_a_batch_is_done_in_time(notify: Function) -> None:
    """The slowest answers of a whole batch, with the pause of botocore's standard mode, fit into the timeout."""
    config = notify.module._SNS.meta.config
    properties = read_template()["Resources"]["NotifyFunction"]["Properties"]
    batch_size = properties["Events"]["Ends"]["Properties"]["BatchSize"]

    slowest = config.retries["total_max_attempts"] * (config.connect_timeout + config.read_timeout) + 1

    assert batch_size * slowest < properties["Timeout"]


def test_the_client_is_of_the_topics_region(notify: Function) -> None:
    assert notify.module._SNS.meta.region_name == TOPIC_ARN.split(":")[3]
