"""Entry point of the Lambda that reads the uploads queue and starts one execution for each upload."""

import os
from typing import TYPE_CHECKING, Any, cast

import botocore.session
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
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

from functions.start_from_s3.executions import Execution, execution_for
from functions.start_from_s3.hints import read_hints
from functions.start_from_s3.recipes import RECIPES_PATH, choose_recipe, parse_recipes, parse_sizes

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

logger = Logger()
metrics = Metrics()


class ExecutionNameTakenError(Exception):
    """An execution with this name has another input: somebody else started it.

    Attributes
    ----------
    name : str
        The name of the execution.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"The execution '{name}' exists with another input, so it was not started for this event.")
        self.name = name


class NoTimeLeftError(Exception):
    """The function would end before Step Functions has answered, so the execution was not started."""

    def __init__(self) -> None:
        super().__init__("There was no time left to start this execution.")


class UploadsNotStartedError(ExceptionGroup):
    """Uploads of one message that were not started; the others were."""


class _Processor(BatchProcessor):
    """A batch processor that logs why a message returns to the queue, which Powertools does not."""

    def failure_handler(self, record: Any, exception: ExceptionInfo) -> FailureResponse:
        logger.error("message returned to the queue", message_id=record.message_id, exc_info=exception[1])
        return super().failure_handler(record, exception)


# Report failures message by message even if every message of the batch failed.
_processor = _Processor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
# A call takes at most seven seconds: two attempts of three seconds and a pause of one.
_CLIENT_CONFIG = Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 2})
_STEP_FUNCTIONS = cast(
    "SFNClient", botocore.session.get_session().create_client("stepfunctions", config=_CLIENT_CONFIG)
)
_STATE_MACHINE_ARN = os.environ["STATE_MACHINE_ARN"]
# An event takes at most two calls: StartExecution, and DescribeExecution where the name exists.
_MILLISECONDS_FOR_ONE = 14_000
_ORIGINALS_BUCKET = os.environ["ORIGINALS_BUCKET"]
_THUMBNAILS_BUCKET = os.environ["THUMBNAILS_BUCKET"]
_RECIPES = parse_recipes(RECIPES_PATH.read_text(encoding="utf-8"), parse_sizes(os.environ["THUMBNAIL_SIZES"]))


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Start one execution for each event in a batch of queue messages.

    Returns
    -------
    dict
        ``batchItemFailures``: the messages that return to the queue. The queue's ``maxReceiveCount`` decides when such
        a message goes to the dead-letter queue.
    """
    answer = process_partial_response(event=event, record_handler=_start_all, processor=_processor, context=context)
    returned = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
    # No metric of AWS shows an upload that cannot be started: Lambda does not count partial batch failures as errors,
    # and SQS leaves messages received three times out of ApproximateAgeOfOldestMessage. The first attempt is not
    # counted, because a call may have been throttled.
    again = [message for message in event["Records"] if message["attributes"]["ApproximateReceiveCount"] != "1"]
    metrics.add_metric(
        "UploadsNotStarted", MetricUnit.Count, sum(message["messageId"] in returned for message in again)
    )
    return answer


def _start_all(record: SQSRecord, lambda_context: LambdaContext) -> None:
    """Start an execution for every hint of a message, then raise what went wrong with any."""
    hints, refused = read_hints(record.body, _ORIGINALS_BUCKET)
    errors: list[Exception] = [*refused]
    for hint in hints:
        recipe = choose_recipe(hint.key, _RECIPES)
        if recipe is None or recipe.request is None:
            logger.info("left alone: no recipe asks for thumbnails", object_key=hint.key)
            continue
        try:
            if lambda_context.get_remaining_time_in_millis() < _MILLISECONDS_FOR_ONE:
                raise NoTimeLeftError  # noqa: TRY301 - handled like the errors of _start
            started = _start(execution := execution_for(hint, _THUMBNAILS_BUCKET, recipe.request))
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not hold back the message's others
            error.add_note(f"object_key: {hint.key}")
            errors.append(error)
        else:
            logger.info(
                "execution started" if started else "duplicate passed over",
                object_key=hint.key,
                execution=execution.name,
            )
    if errors:
        raise UploadsNotStartedError("Not every record of the message was started", errors)


def _start(execution: Execution) -> bool:
    """Start an execution; return whether it is new.

    Raises
    ------
    ExecutionNameTakenError
        The name belongs to an execution with another input.
    """
    try:
        _STEP_FUNCTIONS.start_execution(stateMachineArn=_STATE_MACHINE_ARN, name=execution.name, input=execution.input)
    except _STEP_FUNCTIONS.exceptions.ExecutionAlreadyExists:
        arn = f"{_STATE_MACHINE_ARN.replace(':stateMachine:', ':execution:')}:{execution.name}"
        if _STEP_FUNCTIONS.describe_execution(executionArn=arn)["input"] != execution.input:
            raise ExecutionNameTakenError(execution.name) from None
        return False
    return True
