"""Clients for the pipeline on a local stack: its buckets, queues, executions and logs."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local.processes import free_ports
from local.stack import Settings, Stack

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_stepfunctions import SFNClient

_BILLED = re.compile(r"Billed Duration: (\d+(?:\.\d+)?) ms")


class Pipeline:
    """The pipeline that was deployed with the default names, and clients that bypass its API.

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
        """Return a client of one service."""
        return self.settings.client(service)

    def queued(self, queue: str = "") -> tuple[int, int]:
        """Return the number of visible messages in a queue, and of hidden ones, which are in progress or wait.

        Parameters
        ----------
        queue : str
            URL; by default that of the uploads queue.
        """
        answer = self.sqs.get_queue_attributes(QueueUrl=queue or self.uploads_queue, AttributeNames=["All"])
        attributes = answer["Attributes"]
        return (
            int(attributes["ApproximateNumberOfMessages"]),
            int(attributes["ApproximateNumberOfMessagesNotVisible"]),
        )

    def running(self) -> int:
        """Return the number of running executions, without Express ones, whose messages are hidden while they run."""
        pages = self.step_functions.get_paginator("list_executions").paginate(
            stateMachineArn=self.machine, statusFilter="RUNNING"
        )
        return sum(len(page["executions"]) for page in pages)

    def logged(self, function: str, since: float, pattern: str = "") -> list[str]:
        """Return the log lines of a function.

        Parameters
        ----------
        function : str
            ``resizer`` or ``start-from-s3``.
        since : float
            Seconds since 1970.
        pattern : str
            Filter pattern of the lines; by default all lines.
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
    """Start a separate stack on free ports, print its progress, and stop it afterwards.

    Parameters
    ----------
    state : Path
        Folder for records, logs and builds.
    parameters, emulator : Mapping of str to str
        As in ``Settings``; the API needs no signature.
    before_deploy : callable, optional
        Called with the folder of the built functions.

    Raises
    ------
    StackError
    """
    aws_port, api_port = free_ports(2)
    settings = Settings(
        aws_port=aws_port,
        api_port=api_port,
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
