"""Pass the end of an Express execution on to the notifications queue.

Step Functions sends an event to EventBridge when a Standard execution ends, but not when an Express execution ends:
https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html
"""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_stepfunctions.type_defs import StartSyncExecutionOutputTypeDef

# An event of EventBridge omits an output whose escaped text is larger than this. See the page above.
_LARGEST_BYTES = 248 * 1024


class Notifications:
    """Sends a message like the event that Step Functions sends when a Standard execution ends.

    Parameters
    ----------
    client : SQSClient
    queue_url : str
    failed : callable
        Called with the execution's name and the error if a message could not be sent. The error is not raised, because
        the upload would then be processed again.
    """

    def __init__(self, client: "SQSClient", queue_url: str, failed: Callable[[str, Exception], None]) -> None:
        self._client = client
        self._queue_url = queue_url
        self._failed = failed

    def send(self, answer: "StartSyncExecutionOutputTypeDef") -> None:
        """Send the end of an execution to the queue."""
        try:
            self._client.send_message(QueueUrl=self._queue_url, MessageBody=json.dumps({"detail": detail_of(answer)}))
        except (BotoCoreError, ClientError) as error:
            self._failed(answer["name"], error)


def detail_of(answer: "StartSyncExecutionOutputTypeDef") -> dict[str, Any]:
    """Return the response of StartSyncExecution as the ``detail`` of a status change."""
    output = answer.get("output")
    is_included = output is None or len(json.dumps(output)) <= _LARGEST_BYTES
    return {
        "executionArn": answer["executionArn"],
        "stateMachineArn": answer["stateMachineArn"],
        "name": answer["name"],
        "status": answer["status"],
        "stopDate": round(answer["stopDate"].timestamp() * 1000),
        "input": answer["input"],
        "output": output if is_included else None,
        "outputDetails": {"included": is_included},
        "error": answer.get("error"),
        "cause": answer.get("cause"),
    }
