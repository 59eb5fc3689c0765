"""Copies what the functions print to one file, line by line as they print it, after each invocation."""

import contextlib
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any


def copied_to(path: Path, emit: Callable[..., None]) -> Callable[..., None]:
    """Return MiniStack's writer of function logs, changed so that it copies the text to a file first.

    Parameters
    ----------
    path : Path
        Begins empty.
    emit : callable
        Gets the function, the id of the request, what was printed, and more.
    """
    path.write_text("", encoding="utf-8")

    @functools.wraps(emit)
    def emit_and_copy(function: Any, request_id: str, printed: str, *more: Any, **named: Any) -> None:
        # As with CloudWatch: a log that cannot be written does not fail the invocation.
        with contextlib.suppress(OSError):
            if text := printed.strip("\n"):
                with path.open("a", encoding="utf-8") as log:
                    log.write(text + "\n")
        emit(function, request_id, printed, *more, **named)

    return emit_and_copy
