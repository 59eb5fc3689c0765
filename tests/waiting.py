"""Wait for what other processes and threads do."""

import time
from collections.abc import Callable
from typing import TypeVar

import pytest

_T = TypeVar("_T")


def wait_for(probe: Callable[[], _T], what: str, seconds: float = 60, pause: float = 0.1) -> _T:
    """Ask again and again until the answer is true; fail the test if it does not become true in time."""
    deadline = time.monotonic() + seconds
    while not (answer := probe()):
        if time.monotonic() > deadline:
            pytest.fail(f"{what} did not come within {seconds:.0f} seconds")
        time.sleep(pause)
    return answer
