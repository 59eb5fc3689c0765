"""A temporary queue that is subscribed to the stack's NotificationTopicArn during the smoke test."""

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from smoke.deployment import Deployment

_POLL_SECONDS = 2
_AT_ONCE = 10


@dataclass
class Listener:
    """Receives the messages of the topic; does nothing if the stack has no topic.

    Parameters
    ----------
    deployment : Deployment
    """

    deployment: Deployment
    _name: str = field(default_factory=lambda: f"smoke-{secrets.token_hex(4)}")
    _queue: str = ""
    _subscription: str = ""

    def subscribe(self) -> None:
        """Create the queue, and subscribe it to the topic with raw message delivery."""
        topic = self.deployment.notification_topic
        if not topic:
            return
        sqs = self.deployment.client("sqs")
        self._queue = sqs.create_queue(QueueName=self._name)["QueueUrl"]
        answer = sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])
        arn = answer["Attributes"]["QueueArn"]
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
        }
        policy = {"Version": "2012-10-17", "Statement": [statement]}
        sqs.set_queue_attributes(QueueUrl=self._queue, Attributes={"Policy": json.dumps(policy)})
        subscribed = self.deployment.topic_client().subscribe(
            TopicArn=topic,
            Protocol="sqs",
            Endpoint=arn,
            Attributes={"RawMessageDelivery": "true"},
            ReturnSubscriptionArn=True,
        )
        self._subscription = subscribed["SubscriptionArn"]

    def hear(self, expected: Mapping[str, int], patience: float) -> list[dict[str, Any]]:
        """Return the messages about some keys when the expected number of each has arrived or the time is up.

        Parameters
        ----------
        expected : Mapping of str to int
            Number of messages by the key of an original.
        patience : float
            Maximum wait in seconds.
        """
        heard: list[dict[str, Any]] = []
        deadline = time.monotonic() + patience
        while self._queue:
            answer = self.deployment.client("sqs").receive_message(
                QueueUrl=self._queue, MaxNumberOfMessages=_AT_ONCE, WaitTimeSeconds=_POLL_SECONDS
            )
            received = answer.get("Messages", ())
            for each in received:
                self.deployment.client("sqs").delete_message(QueueUrl=self._queue, ReceiptHandle=each["ReceiptHandle"])
                message = json.loads(each["Body"])
                if message.get("key") in expected:
                    heard.append(message)
            keys = [message["key"] for message in heard]
            is_all = all(keys.count(key) >= count for key, count in expected.items())
            if (is_all and not received) or time.monotonic() > deadline:
                break
        return heard

    def unsubscribe(self) -> list[str]:
        """Delete subscription and queue; return errors for those that could not be deleted."""
        left = []
        try:
            if self._subscription:
                self.deployment.topic_client().unsubscribe(SubscriptionArn=self._subscription)
        except (BotoCoreError, ClientError) as error:
            left.append(f"the subscription {self._subscription}: {error}")
        try:
            if self._queue:
                self.deployment.client("sqs").delete_queue(QueueUrl=self._queue)
        except (BotoCoreError, ClientError) as error:
            left.append(f"the queue {self._queue}: {error}")
        return left
