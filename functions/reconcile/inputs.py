"""Parse the input of an execution. Pure functions."""

import re
from dataclasses import dataclass
from typing import Any

from functions.reconcile.errors import InvalidInputError

# The maximum number of children of a Distributed Map that run at the same time:
# https://docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html
_MOST_CONCURRENCY = 10_000
# So few that a new account, which runs ten functions, can also process uploads: docs/decisions/0060.
CONCURRENCY = 4
# A day.
_MOST_MINUTES = 1440
_PLAN = re.compile(r"[A-Za-z0-9_-]{1,80}")
_PRUNE = ("no", "orphans", "all")
_FIELDS = {
    "plan": {"mode", "prefix", "strays", "wait_minutes", "concurrency"},
    "run": {"mode", "plan", "prune", "max_objects", "max_usd", "concurrency"},
}


@dataclass(frozen=True, slots=True)
class PlanInput:
    """What to plan.

    Attributes
    ----------
    prefix : str
        Prefix of the keys of originals; empty for all.
    concurrency : int
        Parts that are compared at the same time, and pictures that a run would process at the same time.
    strays : bool
        Whether to find thumbnails that no manifest lists.
    wait_minutes : int
        Wait between the listing and the comparison, so that events on their way are processed by then.
    """

    prefix: str
    concurrency: int
    strays: bool = False
    wait_minutes: int = 0


@dataclass(frozen=True, slots=True)
class RunInput:
    """Which plan to run.

    Attributes
    ----------
    plan : str
    prune : str
        ``no``, ``orphans`` or ``all``.
    max_objects : int or None
        Maximum number of keys to work on.
    max_usd : float or None
        Maximum cost in dollars, estimated with the price table.
    concurrency : int
        Pictures that are processed at the same time.
    """

    plan: str
    prune: str
    max_objects: int | None
    max_usd: float | None
    concurrency: int


def parse_input(value: Any, originals_prefix: str = "") -> PlanInput | RunInput:
    """Read ``{"mode": "plan", …}`` or ``{"mode": "run", …}``.

    Parameters
    ----------
    value : Any
        The input of the execution.
    originals_prefix : str
        Prefix of the keys of all originals: the parameter ``OriginalsPrefix``.

    Raises
    ------
    InvalidInputError
    """
    if not isinstance(value, dict):
        raise InvalidInputError("", 'it must be an object such as {"mode": "plan"}')
    mode = value.get("mode")
    if not isinstance(mode, str) or mode not in _FIELDS:
        raise InvalidInputError("mode", "it must be plan or run")
    if unknown := value.keys() - _FIELDS[mode]:
        raise InvalidInputError(min(unknown), f"mode {mode} has the fields {', '.join(sorted(_FIELDS[mode]))}")
    concurrency = value.get("concurrency", CONCURRENCY)
    if not _is_whole(concurrency) or not 1 <= concurrency <= _MOST_CONCURRENCY:
        raise InvalidInputError("concurrency", f"it must be a whole number from 1 to {_MOST_CONCURRENCY:,}")
    return _parse_plan(value, concurrency, originals_prefix) if mode == "plan" else _parse_run(value, concurrency)


def _parse_plan(value: dict[str, Any], concurrency: int, originals_prefix: str) -> PlanInput:
    prefix = value.get("prefix", "")
    if not isinstance(prefix, str):
        raise InvalidInputError("prefix", 'it must be a string such as "2026/"')
    if originals_prefix.startswith(prefix):
        prefix = originals_prefix
    elif not prefix.startswith(originals_prefix):
        raise InvalidInputError("prefix", f"keys of originals begin with {originals_prefix} (OriginalsPrefix)")
    strays = value.get("strays", False)
    if not isinstance(strays, bool):
        raise InvalidInputError("strays", "it must be true or false")
    minutes = value.get("wait_minutes", 0)
    if not _is_whole(minutes) or not 0 <= minutes <= _MOST_MINUTES:
        raise InvalidInputError("wait_minutes", f"it must be a whole number from 0 to {_MOST_MINUTES:,}")
    return PlanInput(prefix, concurrency, strays, minutes)


def _parse_run(value: dict[str, Any], concurrency: int) -> RunInput:
    plan, prune = value.get("plan"), value.get("prune", "no")
    most_objects, most_usd = value.get("max_objects"), value.get("max_usd")
    if not isinstance(plan, str) or not _PLAN.fullmatch(plan):
        raise InvalidInputError("plan", "it must be the id of a plan")
    if prune not in _PRUNE:
        raise InvalidInputError("prune", f"it must be one of {', '.join(_PRUNE)}")
    if most_objects is not None and (not _is_whole(most_objects) or most_objects < 1):
        raise InvalidInputError("max_objects", "it must be a whole number above 0")
    if most_usd is not None and (not isinstance(most_usd, int | float) or isinstance(most_usd, bool) or most_usd <= 0):
        raise InvalidInputError("max_usd", "it must be a number above 0")
    return RunInput(plan, prune, most_objects, most_usd, concurrency)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
