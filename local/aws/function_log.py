"""Wait for all output of an invocation, and copy it to the file in ``LOCAL_FUNCTIONS_LOG``.

MiniStack waits only 50 ms for the output, so on a busy machine lines would be logged with the next invocation. It keeps
the output only in its CloudWatch Logs; a file can be followed with ``tail -f``. As in a log group on AWS, some lines
are metrics in the embedded metric format:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import contextlib
import fcntl
import os
import termios
import time
from pathlib import Path
from typing import Any

from ministack.core import lambda_runtime  # type: ignore[import-not-found]  # only in MiniStack's own environment
from ministack.services import lambda_svc  # type: ignore[import-not-found]  # as above

_UNREAD_SECONDS = 5.0
# Short, because every invocation with output waits so long at least once.
_PAUSE_SECONDS = 0.001


def install() -> None:
    """Make MiniStack wait for the output of functions, and copy it if the variable is set."""
    _wait_for_output()
    _copy_output()


def _wait_for_output() -> None:
    drain = lambda_runtime.Worker._drain_stderr_bounded  # noqa: SLF001 - MiniStack has no public place to change it

    def drain_when_read(worker: Any, *more: Any, **named: Any) -> Any:
        deadline = time.monotonic() + _UNREAD_SECONDS
        while _has_unread_output(worker) and time.monotonic() < deadline:
            time.sleep(_PAUSE_SECONDS)
        return drain(worker, *more, **named)

    lambda_runtime.Worker._drain_stderr_bounded = drain_when_read  # noqa: SLF001 - as above


def _has_unread_output(worker: Any) -> bool:
    """Return whether the thread that reads the output of a function has something left to read."""
    process = worker._proc  # noqa: SLF001 - as above
    if process is None:
        # It has ended, and the thread ends after the last line.
        return bool(worker._stderr_thread.is_alive())  # noqa: SLF001 - as above
    # Other runtimes than Python's may have no pipe of their own for it.
    return process.stderr is not None and any(fcntl.ioctl(process.stderr, termios.FIONREAD, bytes(4)))


def _copy_output() -> None:
    name = os.environ.get("LOCAL_FUNCTIONS_LOG")
    if not name:
        return
    path = Path(name)
    path.write_text("", encoding="utf-8")
    emit = lambda_svc._emit_lambda_logs  # noqa: SLF001 - MiniStack has no public place to change it

    def emit_and_copy(function: Any, request_id: str, printed: str, *more: Any, **named: Any) -> None:
        # As with CloudWatch, an invocation does not fail if its log cannot be written.
        with contextlib.suppress(OSError):
            if text := printed.strip("\n"):
                with path.open("a", encoding="utf-8") as log:
                    log.write(text + "\n")
        emit(function, request_id, printed, *more, **named)

    lambda_svc._emit_lambda_logs = emit_and_copy  # noqa: SLF001 - as above
