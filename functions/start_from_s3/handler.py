"""Entry point of the Lambda that reads the uploads queue: it processes changes, no faster than executions end."""

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

from functions.start_from_s3.executions import execution_for
from functions.start_from_s3.hints import EventError, read_hints
from functions.start_from_s3.notifications import Notifications
from functions.start_from_s3.pacing import Pacing
from functions.start_from_s3.recipes import RECIPES_PATH, parse_recipes, parse_sizes, wanted_of
from functions.start_from_s3.workflows import (
    EXPRESS_SECONDS,
    MOST_RECEIVES,
    ExecutionNameTakenError,
    ExpressWorkflow,
    NoRoomError,
    StandardWorkflow,
    Workflow,
)

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_stepfunctions import SFNClient

logger = Logger()
metrics = Metrics()


class UploadsNotStartedError(ExceptionGroup):
    """Uploads of one message that could not be processed; the others were."""


class _Processor(BatchProcessor):
    """A batch processor that logs why a message returns to the queue, which Powertools does not."""

    def failure_handler(self, record: Any, exception: ExceptionInfo) -> FailureResponse:
        if _is_waiting(exception[1]):
            logger.info("no room: the message waits in the queue", message_id=record.message_id)
        else:
            logger.error("message returned to the queue", message_id=record.message_id, exc_info=exception[1])
            # No metric of AWS shows an upload that cannot be started: Lambda does not count partial batch failures as
            # errors, and SQS excludes messages that were received three times from ApproximateAgeOfOldestMessage. A
            # fault that may pass is counted from the second attempt on.
            if record.attributes.approximate_receive_count != "1" or not _may_pass(exception[1]):
                metrics.add_metric("UploadsNotStarted", MetricUnit.Count, 1)
        return super().failure_handler(record, exception)


def _is_waiting(error: BaseException | None) -> bool:
    """Return whether a message only has to wait and did not fail."""
    return isinstance(error, UploadsNotStartedError) and error.split(NoRoomError)[1] is None


def _may_pass(error: BaseException | None) -> bool:
    """Return whether a second attempt may succeed."""
    errors = error.exceptions if isinstance(error, UploadsNotStartedError) else (error,)
    return not any(isinstance(each, (EventError, ExecutionNameTakenError)) for each in errors)


def _create_workflow() -> Workflow:
    machine = os.environ["STATE_MACHINE_ARN"]
    if os.environ["UPLOAD_WORKFLOW"] == "EXPRESS":
        client = _create_client(read_timeout=EXPRESS_SECONDS + 10)
        if not _NOTIFICATIONS_QUEUE:
            return ExpressWorkflow(client, machine)
        notifications = Notifications(_create_queue_client(), _NOTIFICATIONS_QUEUE, _count_unsent)
        return ExpressWorkflow(client, machine, notifications.send)
    pacing = Pacing(int(os.environ["PICTURES_AT_ONCE"]), int(os.environ["STARTERS_AT_ONCE"]))
    return StandardWorkflow(_create_client(read_timeout=2), machine, pacing, _log_uncounted)


def _create_client(read_timeout: float) -> "SFNClient":
    """Return a client that tries twice, with a pause of at most a second."""
    config = Config(connect_timeout=1, read_timeout=read_timeout, retries={"mode": "standard", "total_max_attempts": 2})
    return cast("SFNClient", botocore.session.get_session().create_client("stepfunctions", config=config))


def _create_queue_client() -> "SQSClient":
    """Return a client that gives up within eight seconds, so that a notification does not use up its upload's time."""
    config = Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 2})
    return cast("SQSClient", botocore.session.get_session().create_client("sqs", config=config))


def _log_uncounted(error: Exception) -> None:
    logger.warning("running executions not counted", exc_info=error)


def _count_unsent(execution: str, error: Exception) -> None:
    logger.error("notification not sent", execution=execution, exc_info=error)
    metrics.add_metric("NotificationsNotSent", MetricUnit.Count, 1)


_NOTIFICATIONS_QUEUE = os.environ["NOTIFICATIONS_QUEUE_URL"]
# Report failures message by message even if every message of the batch failed.
_processor = _Processor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
_WORKFLOW = _create_workflow()
_ORIGINALS_BUCKET = os.environ["ORIGINALS_BUCKET"]
_ORIGINALS_PREFIX = os.environ["ORIGINALS_PREFIX"]
_THUMBNAILS_BUCKET = os.environ["THUMBNAILS_BUCKET"]
_RECIPES = parse_recipes(RECIPES_PATH.read_text(encoding="utf-8"), parse_sizes(os.environ["THUMBNAIL_SIZES"]))


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Process each event in a batch of queue messages.

    Returns
    -------
    dict
        ``batchItemFailures``: the messages that return to the queue. The queue's ``maxReceiveCount`` decides when such
        a message goes to the dead-letter queue.
    """
    metrics.add_metric("UploadsNotStarted", MetricUnit.Count, 0)
    if _NOTIFICATIONS_QUEUE:
        metrics.add_metric("NotificationsNotSent", MetricUnit.Count, 0)
    return process_partial_response(event=event, record_handler=_work_on_all, processor=_processor, context=context)


# The parameter must be called `record`, because Powertools 3.37.0 passes it by that name. With another name, the
# TypeError returns every message to the queue without a log line (measured).
def _work_on_all(record: SQSRecord, lambda_context: LambdaContext) -> None:
    """Process every hint of a message, then raise all errors together."""
    hints, refused = read_hints(record.body, _ORIGINALS_BUCKET)
    receives = int(record.attributes.approximate_receive_count or 1)
    errors: list[Exception] = [*refused]
    for hint in hints:
        # S3 and EventBridge filter by prefix, but an event may have waited in the queue while the prefix changed.
        if not hint.key.startswith(_ORIGINALS_PREFIX):
            logger.info("left alone: outside OriginalsPrefix", object_key=hint.key)
            continue
        wanted = wanted_of(hint.key, _RECIPES)
        if wanted is None:
            logger.info("left alone: no recipe asks for thumbnails", object_key=hint.key)
            continue
        execution = execution_for(hint, _THUMBNAILS_BUCKET, wanted)
        try:
            done = _WORKFLOW.run(
                execution,
                is_retry=receives > 1,
                is_last=receives >= MOST_RECEIVES,
                seconds_left=lambda: lambda_context.get_remaining_time_in_millis() / 1000,
            )
        except Exception as error:  # noqa: BLE001 - one failure must not delay the message's other hints
            error.add_note(f"object_key: {hint.key}")
            errors.append(error)
        else:
            logger.info(done, object_key=hint.key, execution=execution.name)
    if errors:
        raise UploadsNotStartedError("Some records of the message could not be processed", errors)
