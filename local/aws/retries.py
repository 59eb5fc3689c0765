"""Retries of a state wait as its definition says: no longer than MaxDelaySeconds, and with jitter where it asks for it.

MiniStack reads IntervalSeconds and BackoffRate only, so that executions that failed together are retried together.

https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
"""

import random
from typing import Any

from ministack.services import stepfunctions  # type: ignore[import-not-found]  # lives in an environment of its own

_Retrier = dict[str, Any]

_ministack_find = stepfunctions._find_matching_retrier  # noqa: SLF001 - MiniStack has no public place to change it


def install() -> None:
    """Make MiniStack wait as long as AWS does; it never waits longer than 60 s."""
    stepfunctions._find_matching_retrier = _find  # noqa: SLF001 - as above


def _find(
    retriers: list[dict[str, Any]], error: str, retry_counts: dict[int, int]
) -> tuple[dict[str, Any] | None, int]:
    retrier, place = _ministack_find(retriers, error, retry_counts)
    if retrier is None:
        return None, place
    wait = retrier.get("IntervalSeconds", 1) * retrier.get("BackoffRate", 2.0) ** retry_counts.get(place, 0)
    wait = min(wait, retrier.get("MaxDelaySeconds", wait))
    if retrier.get("JitterStrategy") == "FULL":
        wait *= random.random()  # noqa: S311 - not for cryptography
    return {**retrier, "IntervalSeconds": wait, "BackoffRate": 1.0}, place
