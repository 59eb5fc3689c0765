"""Entry point of the Lambda that reads the notifications queue and publishes one message for each execution."""

import os
from typing import Any

import botocore.session
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    ExceptionInfo,
    FailureResponse,
    process_partial_response,
)
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
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


class _Processor(BatchProcessor):
    """A batch processor that logs which message returns to the queue. Powertools can log why, but not which."""

    def failure_handler(self, record: Any, exception: ExceptionInfo) -> FailureResponse:
        logger.error("message returned to the queue", message_id=record.message_id, exc_info=exception[1])
        return super().failure_handler(record, exception)


_SNS = _create_client()
# Report failures message by message even if every message of the batch failed.
_processor = _Processor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)


@logger.inject_lambda_context(clear_state=True)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Publish one message for each ended execution of a batch.

    Returns
    -------
    dict
        ``batchItemFailures``: the messages that return to the queue, which delivers them again.
    """
    return process_partial_response(event=event, record_handler=_publish, processor=_processor, context=context)


def _publish(record: SQSRecord) -> None:
    detail = record.json_body["detail"]
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
