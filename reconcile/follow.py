"""Follow one execution: show its progress, speed and cost so far, and the first error of each kind."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from functions.reconcile.plans import Names
from local.amounts import counted, in_dollars
from reconcile.deployed import Deployed, Execution

_POLL_SECONDS = 1.0
# Each update lists all results so far, a thousand names in each request. A run of two million keys writes 20,000
# results and takes days. With an update each second, following it would cost a tenth of the run.
_SECONDS_A_THOUSAND = 2.0
_LONGEST_SECONDS = 300.0


@dataclass(slots=True)
class Seen:
    """The results of a run so far; each one is read once.

    Attributes
    ----------
    done, failed, faulted, in_line, strays : int
        Keys of originals; for strays, of thumbnails.
    errors : list of str
        The first error of each kind since the last update.
    """

    done: int = 0
    failed: int = 0
    faulted: int = 0
    in_line: int = 0
    strays: int = 0
    errors: list[str] = field(default_factory=list)
    _names: set[str] = field(default_factory=set)

    @property
    def listed(self) -> int:
        """Return the approximate number of results that the last update listed."""
        return len(self._names)

    @property
    def total(self) -> int:
        """Return the number of finished keys."""
        return self.done + self.failed + self.faulted + self.in_line + self.strays

    def look(self, deployed: Deployed, plan: str, run: str) -> None:
        """Read the new results."""
        # Children end in any order, so new results may be anywhere in the list.
        for name in deployed.names(Names(plan).results(run)):
            if name in self._names:
                continue
            self._names.add(name)
            result = deployed.read(name) or {}
            self.done += sum(result.get("done", {}).values())
            self.in_line += result.get("in_line", 0)
            self.strays += result.get("strays", 0)
            self.failed += self._note(result.get("failed", {}))
            self.faulted += self._note(result.get("faulted", {}))

    def _note(self, kinds: dict[str, Any]) -> int:
        for name, each in kinds.items():
            if name not in self._names:
                self._names.add(name)
                first = each["first"]
                self.errors.append(f"First {name}: {first['key']!r} {first['message']}".rstrip())
        return sum(each["count"] for each in kinds.values())


def follow(deployed: Deployed, arn: str, console: Console, sleep: Callable[[float], None] = time.sleep) -> Execution:
    """Show a progress bar until an execution has ended; return the execution.

    Parameters
    ----------
    deployed : Deployed
    arn : str
    console : Console
    sleep : callable
    """
    execution = deployed.describe(arn)
    report = deployed.report(execution.plan) if execution.wanted.get("mode") == "run" else None
    seen = Seen()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.fields[whole]}, {task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[cost]}"),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("Starting", total=None, whole="?", rate="", cost="")
        began = time.monotonic()
        while True:
            execution = deployed.describe(arn)
            state = _look(deployed, execution, report, seen)
            seconds = max(time.monotonic() - began, 0.1)
            progress.update(
                task,
                description=state.what,
                total=state.total,
                completed=state.completed,
                whole=state.whole,
                rate=f"{state.completed / seconds:,.1f} a second",
                cost=state.cost,
            )
            for error in seen.errors:
                progress.console.print(error, markup=False, highlight=False)
            seen.errors.clear()
            if not execution.is_running:
                return execution
            sleep(min(_LONGEST_SECONDS, max(_POLL_SECONDS, state.listed / 1000 * _SECONDS_A_THOUSAND)))


@dataclass(frozen=True, slots=True)
class _State:
    what: str
    whole: str
    completed: int
    total: int | None
    cost: str = ""
    listed: int = 0


def _look(deployed: Deployed, execution: Execution, report: dict[str, Any] | None, seen: Seen) -> _State:
    if execution.wanted.get("mode") == "run":
        seen.look(deployed, execution.plan, execution.own_id)
        counts = report["output"]["counts"] if report else {"out_of_line": 0, "orphans": 0}
        prunes = execution.wanted.get("prune", "no") != "no"
        total = counts["out_of_line"] + (counts["orphans"] + counts.get("strays", 0) if prunes else 0)
        share = min(seen.total / total, 1.0) if total else 0.0
        cost = in_dollars(share * report["output"]["dollars"]) if report else ""
        return _State("Working", counted(total, "key") if total else "?", seen.total, total or None, cost, seen.listed)
    found = deployed.map_run(execution.arn)
    if found is None:
        parts = sum(1 for _ in deployed.names(Names(execution.plan).parts))
        return _State("Listing", "?", 100 * parts, None, listed=parts)
    counts_of_map = found["itemCounts"]
    whole = f"{counted(counts_of_map['total'], 'part')} of 100 keys"
    return _State("Comparing", whole, counts_of_map["succeeded"], counts_of_map["total"])
