"""Ask the function's own code whether a failed Express execution is final."""

from functools import cache
from typing import Any, cast

from functions.start_from_s3.executions import Execution
from functions.start_from_s3.workflows import EXPRESS_SECONDS, ExecutionFaultedError, ExpressWorkflow


class _FailingClient:
    """A client of Step Functions whose executions fail with one error."""

    def __init__(self, error: str) -> None:
        self._error = error

    def start_sync_execution(self, **_: str) -> dict[str, str]:
        status = "TIMED_OUT" if self._error == "States.Timeout" else "FAILED"
        return {"status": status, "error": self._error, "cause": ""}


@cache
def is_done(error: str, *, receives: int) -> bool:
    """Return whether start_from_s3 deletes the message of an upload whose run failed with ``error``.

    Parameters
    ----------
    error : str
        Name of the error that the execution ended with.
    receives : int
        How often the message was received.
    """
    workflow = ExpressWorkflow(cast("Any", _FailingClient(error)), "")
    try:
        workflow.run(Execution("upload", {}), is_retry=receives > 1, seconds_left=lambda: EXPRESS_SECONDS + 1)
    except ExecutionFaultedError:
        return False
    return True
