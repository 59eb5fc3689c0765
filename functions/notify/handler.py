"""Entry point of the Lambda that reads the notifications queue and publishes one message for each execution."""

import json
import os
from typing import Any

import botocore.session
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from functions.notify.messages import attributes_of, message_of, subject_of, to_json

logger = Logger()

_TOPIC = os.environ["NOTIFICATION_TOPIC_ARN"]
_THUMBNAILS_BUCKET = os.environ["THUMBNAILS_BUCKET"]
_RECONCILE_MACHINE = os.environ["RECONCILE_STATE_MACHINE_ARN"]


def _create_client() -> Any:
    """Return a client for the topic's region."""
    config = Config(connect_timeout=1, read_timeout=3, retries={"mode": "standard", "total_max_attempts": 2})
    region = _TOPIC.split(":")[3]
    return botocore.session.get_session().create_client("sns", region_name=region, config=config)


_SNS = _create_client()


@logger.inject_lambda_context(clear_state=True)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001 - Lambda passes both
    """Publish one message for each record of a batch.

    Returns
    -------
    dict
        ``batchItemFailures``: the records that return to the queue, which delivers them again.
    """
    failures = []
    for record in event["Records"]:
        try:
            _publish(json.loads(record["body"])["detail"])
        except Exception:
            # No failure of one record may delay the other records of the batch.
            logger.exception("record returned to the queue", message_id=record["messageId"])
            failures.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failures}


def _publish(detail: dict[str, Any]) -> None:
    message = message_of(detail, _THUMBNAILS_BUCKET, _RECONCILE_MACHINE)
    published = _SNS.publish(
        TopicArn=_TOPIC,
        Subject=subject_of(message),
        Message=to_json(message),
        MessageAttributes={
            name: {"DataType": "String", "StringValue": value} for name, value in attributes_of(message).items()
        },
    )
    logger.info("published", id=message["id"], execution=detail["name"], message_id=published["MessageId"])
