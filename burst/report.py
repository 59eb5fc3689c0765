"""Report the results of the simulations, as a table and as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import quantiles
from typing import Any

from burst.scenarios import LEAST_RATE, MOST_DOLLARS, Result

_HEADINGS = (
    "",
    "workflow",
    "functions",
    "uploads",
    "FAILED",
    "lost",
    "dead",
    "dollars",
    "x calm",
    "a second",
    "x allowed",
)
_FORMATS = "{:<36}{:<10}{:>9} {:>10} {:>7} {:>5} {:>5} {:>9} {:>7} {:>9} {:>10}"
_HUNDREDTHS = 100


def table(results: Sequence[Result]) -> str:
    """Return one line for each burst, and below it the promises that it broke."""
    lines = [_FORMATS.format(*_HEADINGS)]
    for result in results:
        scenario, outcome = result.scenario, result.outcome
        lines.append(
            _FORMATS.format(
                scenario.name + (", old way" if scenario.is_old else ""),
                scenario.workflow,
                scenario.concurrency,
                f"{scenario.load.uploads:,}",
                f"{outcome.failed_by_fault:,}",
                f"{outcome.lost:,}",
                f"{outcome.dead_letters:,}",
                f"{result.dollars:,.2f}",
                f"{result.dollars_over_calm:.2f}",
                f"{result.rate:,.1f}",
                "" if scenario.is_old else f"{result.share_of_rate:.2f}",
            )
        )
        if scenario.load.outage_seconds and not scenario.is_old:
            lines.append(f"{'':<36}after the outage: {result.share_after_outage:.2f} x allowed")
        lines += [f"{'':<36}broken: {text}" for text in result.broken()]
    return "\n".join(lines)


def wanted() -> str:
    """Return the targets of each burst."""
    return (
        f"Targets: 0 FAILED by fault, 0 lost, 0 dead letters; at most {MOST_DOLLARS:.1f} x the dollars of a calm day; "
        f"at least {LEAST_RATE:.1f} x the rate that the concurrency allows. All figures are simulated, without "
        "requests to S3."
    )


def write_json(results: Sequence[Result], path: Path) -> None:
    """Write the figures of all bursts to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([_as_json(result) for result in results], indent=2) + "\n", encoding="utf-8")


def _as_json(result: Result) -> dict[str, Any]:
    scenario, outcome = result.scenario, asdict(result.outcome)
    posts = outcome.pop("post_seconds")
    del outcome["samples"]
    cuts = quantiles(posts, n=_HUNDREDTHS) if len(posts) > 1 else []
    return {
        "name": scenario.name,
        "workflow": scenario.workflow,
        "concurrency": scenario.concurrency,
        "is_old": scenario.is_old,
        "load": {name: value for name, value in asdict(scenario.load).items() if name != "outage"},
        "dollars": result.dollars,
        "dollars_over_calm": result.dollars_over_calm,
        "rate": result.rate,
        "rate_allowed": result.rate_allowed,
        "broken": result.broken(),
        "post_seconds": {"p50": cuts[49], "p99": cuts[98]} if cuts else {},
        **outcome,
    }
