"""Retries wait with jitter if the definition asks for it, and no longer than MaxDelaySeconds.

MiniStack reads only IntervalSeconds and BackoffRate, so it retries executions together that failed together.

https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
"""

import random
from typing import Any

from ministack.services import stepfunctions  # type: ignore[import-not-found]  # only in MiniStack's own environment

_Retrier = dict[str, Any]

_ministack_find = stepfunctions._find_matching_retrier  # noqa: SLF001 - MiniStack has no public place to change it


def install() -> None:
    """Make MiniStack wait as AWS does, but still no longer than 60 s."""
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
        wait *= random.random()  # noqa: S311 - a delay, not a secret
    return {**retrier, "IntervalSeconds": wait, "BackoffRate": 1.0}, place
