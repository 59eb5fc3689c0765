"""The pipeline on a local stack, seen from the outside: its buckets, queues, executions and logs."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local.processes import free_port
from local.stack import Settings, Stack

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_stepfunctions import SFNClient

_BILLED = re.compile(r"Billed Duration: (\d+(?:\.\d+)?) ms")


class Pipeline:
    """What was deployed with the default name, and clients that ask it directly.

    Parameters
    ----------
    stack : Stack
    """

    def __init__(self, stack: Stack) -> None:
        outputs = stack.outputs()
        self.stack = stack
        self.settings = stack.settings
        self.originals = outputs["OriginalsBucketName"]
        self.thumbnails = outputs["ThumbnailsBucketName"]
        self.machine = outputs["StateMachineArn"]
        self.reconcile_machine = outputs["ReconcileStateMachineArn"]
        self.uploads_queue = outputs["UploadsQueueUrl"]
        self.dead_letters = outputs["UploadsDeadLetterQueueUrl"]
        self.s3: S3Client = self.client("s3")
        self.sqs: SQSClient = self.client("sqs")
        self.step_functions: SFNClient = self.client("stepfunctions")
        self.logs = self.client("logs")

    def client(self, service: str) -> Any:
        """Make a client of one service."""
        return self.settings.client(service)

    def queued(self, queue: str = "") -> tuple[int, int]:
        """Return how many messages wait in a queue, and how many are being worked on or come back later.

        Parameters
        ----------
        queue : str
            URL; the uploads queue unless given.
        """
        answer = self.sqs.get_queue_attributes(QueueUrl=queue or self.uploads_queue, AttributeNames=["All"])
        attributes = answer["Attributes"]
        return (
            int(attributes["ApproximateNumberOfMessages"]),
            int(attributes["ApproximateNumberOfMessagesNotVisible"]),
        )

    def running(self) -> int:
        """Return how many executions run, except Express ones, whose messages are hidden as long as they do."""
        pages = self.step_functions.get_paginator("list_executions").paginate(
            stateMachineArn=self.machine, statusFilter="RUNNING"
        )
        return sum(len(page["executions"]) for page in pages)

    def logged(self, function: str, since: float, pattern: str = "") -> list[str]:
        """Return what a function has logged.

        Parameters
        ----------
        function : str
            ``resizer`` or ``start-from-s3``.
        since : float
            Seconds since 1970.
        pattern : str
            Of lines that count; all of them unless given.
        """
        pages = self.logs.get_paginator("filter_log_events").paginate(
            logGroupName=f"/aws/lambda/alison-image-{function}", startTime=int(since * 1000), filterPattern=pattern
        )
        return [event["message"] for page in pages for event in page["events"]]


def billed_seconds(lines: Iterable[str]) -> list[float]:
    """Return the billed duration of each invocation in the log of a function."""
    return [float(found[1]) / 1000 for found in map(_BILLED.search, lines) if found]


@contextmanager
def own_stack(
    state: Path,
    parameters: Mapping[str, str],
    emulator: Mapping[str, str] | None = None,
    before_deploy: Callable[[Path], None] | None = None,
) -> Iterator[Stack]:
    """Bring up a stack of one's own on free ports, and end it afterwards; say how far it is.

    Parameters
    ----------
    state : Path
        Folder for records, logs and builds.
    parameters, emulator : Mapping of str to str
        As in ``Settings``; the API needs no signature.
    before_deploy : callable, optional
        Gets the folder of the built functions.

    Raises
    ------
    StackError
    """
    settings = Settings(
        aws_port=free_port(),
        api_port=free_port(),
        state=state,
        parameters={"ApiAuthorization": "NONE", **parameters},
        emulator=emulator or {},
    )
    stack = Stack(settings, lambda line: print(line, flush=True))
    stack.down()
    try:
        stack.up(before_deploy)
        yield stack
    finally:
        stack.down()
