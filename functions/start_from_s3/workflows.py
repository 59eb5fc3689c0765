"""Two ways to process an upload: start a Standard execution when there is room, or run an Express one to its end."""

import time
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnectionError

from functions.start_from_s3.executions import Execution
from functions.start_from_s3.pacing import Pacing

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient
    from mypy_boto3_stepfunctions.type_defs import ListExecutionsInputTypeDef, StartSyncExecutionOutputTypeDef

# The state ResizeFailed puts this before errors of the picture or the request.
_PERMANENT = "Permanent."
# The picture took too much time or memory, in both tries of the state machine.
_SPENT = {"States.Timeout", "Lambda.Unknown", "Sandbox.Timedout", "Runtime.ExitError", "Runtime.OutOfMemory"}
# Log message for an upload that is not tried again; the error follows.
FAILED_FOR_GOOD = "execution failed for good"
# Enough for the two calls of a start, with their retries: StartExecution, and DescribeExecution if the name exists.
SECONDS_TO_START = 15.0
# An Express execution ends after five minutes: https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
EXPRESS_SECONDS = 300.0
# The queue delivers an upload this many times: maxReceiveCount in template.yaml.
MOST_RECEIVES = 20


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


class ExecutionFaultedError(Exception):
    """An Express execution failed, and not because of the picture or the request.

    Attributes
    ----------
    name, status, error : str
        Of the execution; ``error`` is empty if it timed out.
    """

    def __init__(self, name: str, status: str, error: str, cause: str) -> None:
        reason = ": ".join(filter(None, (error, cause))) or "no reason was given"
        super().__init__(f"The execution '{name}' ended {status}: {reason}")
        self.name = name
        self.status = status
        self.error = error


class NoRoomError(Exception):
    """There was no room before this function had to end. Nothing is wrong: the upload stays in the queue."""

    def __init__(self) -> None:
        super().__init__("As many executions ran as should run at the same time; the upload stays in the queue.")


class NoTimeLeftError(Exception):
    """The function would end before Step Functions has answered, so the execution was not started."""

    def __init__(self) -> None:
        super().__init__("There was no time left to start this execution.")


class Workflow(Protocol):
    """How an upload is processed."""

    def run(
        self, execution: Execution, *, is_retry: bool, is_last: bool = False, seconds_left: Callable[[], float]
    ) -> str:
        """Work on one upload; return what was done, for the log.

        Parameters
        ----------
        execution : Execution
        is_retry : bool
            Whether this was tried before, so that an execution may have ended in the middle.
        is_last : bool
            Whether the queue will not deliver this upload again if it fails.
        seconds_left : callable
            Returns the seconds until the calling function is ended.

        Raises
        ------
        NoTimeLeftError
            Nothing was started.
        """


class StandardWorkflow:
    """Starts executions as fast as they end; a name is started once.

    Parameters
    ----------
    client : SFNClient
    state_machine : str
        ARN.
    pacing : Pacing
    uncounted : callable
        Called with the error if the running executions could not be counted. Uploads are then started without that
        number.
    clock, sleep : callable
        ``time.monotonic`` and ``time.sleep``.
    """

    def __init__(  # noqa: PLR0913 - three of them have defaults
        self,
        client: "SFNClient",
        state_machine: str,
        pacing: Pacing,
        uncounted: Callable[[Exception], None] = lambda _: None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._state_machine = state_machine
        self._pacing = pacing
        self._uncounted = uncounted
        self._clock = clock
        self._sleep = sleep

    def run(
        self,
        execution: Execution,
        *,
        is_retry: bool,  # noqa: ARG002 - a Standard execution knows its own retries
        is_last: bool = False,  # noqa: ARG002 - EventBridge reports its end
        seconds_left: Callable[[], float],
    ) -> str:
        """Wait until there is room, then start an execution.

        Raises
        ------
        NoRoomError
            The time ended before an execution could be started.
        NoTimeLeftError
        ExecutionNameTakenError
            The name belongs to an execution with another input.
        """
        while True:
            self._wait_for_room(seconds_left)
            try:
                is_new = self._start(execution)
            except ClientError as error:
                if not _is_throttled(error):
                    raise
                self._pacing.refused(self._clock())
            else:
                self._pacing.started(self._clock())
                return "execution started" if is_new else "duplicate passed over"

    def _wait_for_room(self, seconds_left: Callable[[], float]) -> None:
        while True:
            now = self._clock()
            may_start = self._pacing.may_start(now)
            if seconds_left() < SECONDS_TO_START:
                # An earlier upload of the batch used up the time, waiting for room.
                is_full = not self._pacing.may_look(now) and not may_start
                raise NoRoomError if is_full else NoTimeLeftError
            if may_start:
                return
            wait = self._pacing.seconds_to_wait(now)
            if seconds_left() - wait < SECONDS_TO_START:
                raise NoRoomError
            self._sleep(wait)
            if self._pacing.may_look(self._clock()):
                self._look()

    def _look(self) -> None:
        began = self._clock()
        try:
            running = self._count_running(self._pacing.enough)
        except (ClientError, HTTPClientError, NoConnectionError) as error:
            # For example, other callers in the account have used up the quota. An upload that returned to the queue
            # would be hidden for twelve minutes, so uploads are started without the number.
            if isinstance(error, ClientError) and not _is_temporary(error):
                raise
            self._uncounted(error)
            self._pacing.not_counted(began, self._clock())
        else:
            self._pacing.looked(running, self._clock())

    def _count_running(self, enough: int) -> int:
        """Return how many executions run; if there are more than ``enough``, at least that many."""
        running = 0
        request: ListExecutionsInputTypeDef = {
            "stateMachineArn": self._state_machine,
            "statusFilter": "RUNNING",
            "maxResults": enough,
        }
        while running < enough:
            page = self._client.list_executions(**request)
            running += len(page["executions"])
            # A page may have fewer than there are:
            # https://docs.aws.amazon.com/step-functions/latest/apireference/API_ListExecutions.html
            if "nextToken" not in page:
                break
            request["nextToken"] = page["nextToken"]
        return running

    def _start(self, execution: Execution) -> bool:
        """Start an execution; return whether it is new."""
        try:
            self._client.start_execution(
                stateMachineArn=self._state_machine, name=execution.name, input=execution.input
            )
        except self._client.exceptions.ExecutionAlreadyExists:
            arn = f"{self._state_machine.replace(':stateMachine:', ':execution:')}:{execution.name}"
            if self._client.describe_execution(executionArn=arn)["input"] != execution.input:
                raise ExecutionNameTakenError(execution.name) from None
            return False
        return True


def _is_throttled(error: ClientError) -> bool:
    """Return whether a quota of the account is used up."""
    return error.response["Error"]["Code"] in {"ThrottlingException", "TooManyRequestsException"}


def _is_temporary(error: ClientError) -> bool:
    """Return whether the same request may succeed later: it was throttled, or Step Functions failed."""
    return (
        _is_throttled(error) or error.response["ResponseMetadata"]["HTTPStatusCode"] >= HTTPStatus.INTERNAL_SERVER_ERROR
    )


class ExpressWorkflow:
    """Runs each execution to its end, so that all other uploads wait in the queue.

    Parameters
    ----------
    client : SFNClient
        Waits for an answer as long as an execution may take.
    state_machine : str
        ARN.
    ended : callable
        Called with the response of each execution that is final, so that the queue does not deliver its upload again.
    """

    def __init__(
        self,
        client: "SFNClient",
        state_machine: str,
        ended: "Callable[[StartSyncExecutionOutputTypeDef], None]" = lambda _: None,
    ) -> None:
        self._client = client
        self._state_machine = state_machine
        self._ended = ended

    def run(
        self, execution: Execution, *, is_retry: bool, is_last: bool = False, seconds_left: Callable[[], float]
    ) -> str:
        """Run an execution. A failure because of the picture or the request is final.

        Raises
        ------
        NoTimeLeftError
        ExecutionFaultedError
        """
        if seconds_left() < EXPRESS_SECONDS:
            raise NoTimeLeftError
        # An Express execution knows nothing of those before it, unlike a retry within a Standard one.
        request = execution.as_retry() if is_retry else execution
        answer = self._client.start_sync_execution(
            stateMachineArn=self._state_machine, name=request.name, input=request.input
        )
        try:
            done = _judge(execution, answer, is_retry=is_retry)
        except ExecutionFaultedError:
            if is_last:
                self._ended(answer)
            raise
        self._ended(answer)
        return done


def _judge(execution: Execution, answer: "StartSyncExecutionOutputTypeDef", *, is_retry: bool) -> str:
    if answer["status"] == "SUCCEEDED":
        return "execution succeeded"
    error = answer.get("error", "")
    # A picture that took too much time or memory twice, half an hour apart, will do so again. Twenty tries would take
    # forty minutes of a function from the others.
    is_for_good = error.startswith(_PERMANENT) or (is_retry and error in _SPENT)
    if answer["status"] == "FAILED" and is_for_good:
        return f"{FAILED_FOR_GOOD}: {error}"
    raise ExecutionFaultedError(execution.name, answer["status"], error, answer.get("cause", ""))
