"""A topic of the owner is told once of each end, in one shape for both workflows. MiniStack delivers the events."""

import json
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from jsonschema import Draft4Validator

from local.processes import free_ports
from local.stack import ROOT, Settings, Stack
from tests.e2e.pipeline import Pipeline, photograph
from tests.e2e.test_smoke import broken, left_over, smoke
from tests.waiting import wait_for

TOPIC = "arn:aws:sns:us-east-1:000000000000:thumbnails"
SCHEMA = Draft4Validator(json.loads((ROOT / "schemas" / "notification.json").read_text(encoding="utf-8")))


class Subscriber:
    """A queue that is subscribed to the topic, with all that it has received."""

    def __init__(self, settings: Settings) -> None:
        sns, self._sqs = settings.client("sns"), settings.client("sqs")
        assert sns.create_topic(Name=TOPIC.rpartition(":")[2])["TopicArn"] == TOPIC
        self._url = self._sqs.create_queue(QueueName="subscriber")["QueueUrl"]
        arn = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        allow = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage"}
        policy = {"Version": "2012-10-17", "Statement": [{**allow, "Resource": arn}]}
        self._sqs.set_queue_attributes(QueueUrl=self._url, Attributes={"Policy": json.dumps(policy)})
        sns.subscribe(TopicArn=TOPIC, Protocol="sqs", Endpoint=arn)
        self._messages: list[dict[str, Any]] = []

    def received(self) -> list[dict[str, Any]]:
        """Return all messages so far, each valid."""
        while messages := self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10).get("Messages"):
            for each in messages:
                message = json.loads(json.loads(each["Body"])["Message"])
                SCHEMA.validate(message)
                self._messages.append(message)
                self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=each["ReceiptHandle"])
        return list(self._messages)

    def about(self, count: int, **fields: Any) -> list[dict[str, Any]]:
        """Wait for so many messages with these fields, and a moment longer for one too many."""

        def found() -> list[dict[str, Any]]:
            return [each for each in self.received() if fields.items() <= each.items()]

        wait_for(lambda: len(found()) >= count, f"{count} messages about {fields}")
        time.sleep(1)
        return found()


@pytest.fixture(scope="module", params=["STANDARD", "EXPRESS"])
def told(request: pytest.FixtureRequest) -> Iterator[tuple[Pipeline, Subscriber]]:
    """Deploy a stack whose topic has a subscriber, and end the stack afterwards."""
    parameters = {"ApiAuthorization": "NONE", "UploadWorkflow": request.param, "NotificationTopicArn": TOPIC}
    aws_port, api_port = free_ports(2)
    stack = Stack(Settings(aws_port, api_port, ROOT / ".local" / "e2e-notifications", parameters))
    stack.down()
    subscribers: list[Subscriber] = []
    try:
        stack.up(lambda _: subscribers.append(Subscriber(stack.settings)))
        yield Pipeline(stack), subscribers[0]
    finally:
        stack.down()


def test_each_end_of_an_upload_is_told_once(told: tuple[Pipeline, Subscriber]) -> None:
    pipeline, subscriber = told
    pipeline.upload("told/a é.jpg", photograph())
    pipeline.upload("told/letter.jpg", b"Dear all")
    (made,) = subscriber.about(1, key="told/a é.jpg")
    (failed,) = subscriber.about(1, key="told/letter.jpg")
    pipeline.s3.delete_object(Bucket=pipeline.originals, Key="told/a é.jpg")
    (removed,) = subscriber.about(1, key="told/a é.jpg", trigger="removed")

    assert (made["trigger"], made["status"], made["bucket"]) == ("upload", "SUCCESS", pipeline.thumbnails)
    assert [each["key"] for each in made["thumbnails"]] == ["thumbnails/told/128x128_a é.jpg"]
    assert (made["removed"], made["truncated"]) == ([], False)
    assert (failed["trigger"], failed["status"]) == ("upload", "FAILED")
    assert (failed["error"]["name"], failed["error"]["permanent"]) == ("NotAnImageError", True)
    assert removed["status"] == "SUCCESS"
    assert (removed["thumbnails"], removed["removed"]) == ([], ["thumbnails/told/128x128_a é.jpg"])
    assert len({message["id"] for message in (made, failed, removed)}) == 3


def test_what_is_in_line_already_is_told_like_what_was_made(told: tuple[Pipeline, Subscriber]) -> None:
    pipeline, subscriber = told
    pipeline.upload("again/a.jpg", photograph())
    (first,) = subscriber.about(1, key="again/a.jpg")

    pipeline.upload("again/a.jpg", photograph())
    (_, second) = subscriber.about(2, key="again/a.jpg")

    assert second["thumbnails"] == first["thumbnails"]


def test_a_request_is_told(told: tuple[Pipeline, Subscriber]) -> None:
    pipeline, subscriber = told

    posted = pipeline.post(pipeline.request("told/never.jpg", width=64, height=64))

    (message,) = subscriber.about(1, key="told/never.jpg")
    assert (message["trigger"], message["execution"]) == ("api", posted.body["executionArn"])
    assert message["error"]["name"] == "OriginalNotFoundError"


def test_a_reconcile_is_told_as_one(told: tuple[Pipeline, Subscriber]) -> None:
    pipeline, subscriber = told
    pipeline.upload("kept/a.jpg", photograph())
    subscriber.about(1, key="kept/a.jpg")
    pipeline.s3.delete_object(Bucket=pipeline.thumbnails, Key="manifests/kept/a.jpg.json")

    def start(**given: Any) -> str:
        started = pipeline.step_functions.start_execution(
            stateMachineArn=pipeline.reconcile_machine, input=json.dumps(given)
        )
        return started["executionArn"]

    planned = start(mode="plan", prefix="kept/")
    (plan,) = subscriber.about(1, execution=planned)
    ran = start(mode="run", plan=plan["report"]["plan"])
    (run,) = subscriber.about(1, execution=ran)
    refused = start(mode="run", plan="no-such-plan")
    (refusal,) = subscriber.about(1, execution=refused)

    assert (plan["trigger"], plan["mode"], plan["report"]["counts"]["out_of_line"]) == ("reconcile", "plan", 1)
    assert (run["mode"], run["report"]["counts"]["resized"], run["truncated"]) == ("run", 1, False)
    assert (refusal["status"], refusal["error"]["name"]) == ("FAILED", "PlanNotFoundError")
    # Its children resize pictures, and are not told of.
    assert len(subscriber.about(1, key="kept/a.jpg")) == 1


def test_nothing_is_left_untold(told: tuple[Pipeline, Subscriber]) -> None:
    pipeline, _ = told
    outputs = pipeline.stack.outputs()

    def is_empty(queue: str) -> bool:
        return pipeline.queued(queue) == (0, 0)

    for queue in ("NotificationsQueueUrl", "NotificationsDeadLetterQueueUrl"):
        wait_for(partial(is_empty, outputs[queue]), f"an empty {queue}")


def test_a_message_that_cannot_be_published_waits_and_the_resize_is_done(told: tuple[Pipeline, Subscriber]) -> None:
    pipeline, _ = told
    outputs, sns = pipeline.stack.outputs(), pipeline.client("sns")
    queue = outputs["NotificationsQueueUrl"]
    # Longer than this test, so that it fails once.
    subscriptions = sns.list_subscriptions_by_topic(TopicArn=TOPIC)["Subscriptions"]
    sns.delete_topic(TopicArn=TOPIC)
    try:
        pipeline.upload("silent/a.jpg", photograph())

        wait_for(lambda: pipeline.stored_for("silent/a.jpg"), "thumbnails")
        wait_for(lambda: pipeline.queued(queue)[1] == 1, "a notification that comes back later")
        pipeline.wait_until_queue_is_empty()
    finally:
        sns.create_topic(Name=TOPIC.rpartition(":")[2])
        for each in subscriptions:
            sns.subscribe(TopicArn=TOPIC, Protocol=each["Protocol"], Endpoint=each["Endpoint"])
        # What waits would be told six minutes from now.
        pipeline.sqs.purge_queue(QueueUrl=queue)


def test_the_smoke_test_hears_of_its_own_pictures(told: tuple[Pipeline, Subscriber]) -> None:
    pipeline, _ = told

    done = smoke(pipeline, "--wait", "90")

    assert (done.returncode, broken(done.stdout), done.stderr) == (0, [], ""), done.stdout
    assert "each ended execution has one message" in done.stdout
    assert left_over(pipeline) == []
    assert not [url for url in pipeline.sqs.list_queues().get("QueueUrls", ()) if "smoke" in url]
    assert len(pipeline.client("sns").list_subscriptions_by_topic(TopicArn=TOPIC)["Subscriptions"]) == 1
