"""Entry point of the Lambda behind the uploads queue: each message by itself, started or returned."""

import os
from typing import TYPE_CHECKING, Any, cast

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

from functions.start_from_s3.executions import execution_for, parse_sizes
from functions.start_from_s3.uploads import read_uploads

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

logger = Logger()


class _Processor(BatchProcessor):
    """Says why a message returns to the queue; Powertools alone would not."""

    def failure_handler(self, record: Any, exception: ExceptionInfo) -> FailureResponse:
        logger.error("message returned to the queue", message_id=record.message_id, exc_info=exception[1])
        return super().failure_handler(record, exception)


# A batch in which every message failed is still answered message by message, not with an exception.
_processor = _Processor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
# Two attempts of three seconds and a pause of one at most, four times over, stay within the function's 30 seconds.
_CLIENT_CONFIG = Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 2})
_STEP_FUNCTIONS = cast(
    "SFNClient", botocore.session.get_session().create_client("stepfunctions", config=_CLIENT_CONFIG)
)
_STATE_MACHINE_ARN = os.environ["STATE_MACHINE_ARN"]
_THUMBNAILS_BUCKET = os.environ["THUMBNAILS_BUCKET"]
_SIZES = parse_sizes(os.environ["THUMBNAIL_SIZES"])


@logger.inject_lambda_context(clear_state=True)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Start one execution for each upload in a batch of queue messages.

    Returns
    -------
    dict
        ``batchItemFailures``: the messages that return to the queue, and after five receives to the
        dead-letter queue.
    """
    return process_partial_response(event=event, record_handler=_start, processor=_processor, context=context)


def _start(record: SQSRecord) -> None:
    for upload in read_uploads(record.body):
        execution = execution_for(upload, _THUMBNAILS_BUCKET, _SIZES)
        try:
            _STEP_FUNCTIONS.start_execution(
                stateMachineArn=_STATE_MACHINE_ARN, name=execution.name, input=execution.input
            )
        except _STEP_FUNCTIONS.exceptions.ExecutionAlreadyExists:
            logger.info("duplicate passed over", object_key=upload.key, execution=execution.name)
        else:
            logger.info("execution started", object_key=upload.key, execution=execution.name)
