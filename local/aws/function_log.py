"""Copy the output of the functions to the file in ``LOCAL_FUNCTIONS_LOG`` after each invocation.

MiniStack keeps it only in its CloudWatch Logs; a file can be followed with ``tail -f``. As in a log group on AWS, some
lines are metrics in the embedded metric format:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import contextlib
import os
from pathlib import Path
from typing import Any

from ministack.services import lambda_svc  # type: ignore[import-not-found]  # only in MiniStack's own environment


def install() -> None:
    """Make MiniStack copy function logs to the file first; without the variable nothing changes."""
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
