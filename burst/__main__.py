"""``python -m burst``: simulate every burst, and run a real one; the exit status is the verdict."""

import argparse
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from burst.chart import draw
from burst.report import table, wanted, write_json
from burst.scenarios import MOST_SECONDS_TO_START, Result, Scenario, calm, old_scenarios, run, scenarios
from local.stack import ROOT, shown

_STATE = ROOT / ".local" / "burst"
_CHART = ROOT / "docs" / "burst.png"
# The burst that the chart shows.
_DRAWN = ("10 functions reserved", "STANDARD")
# So many uploads take about ten hours on the local stack.
_MOST_REAL = 100_000


def main() -> int:
    """Simulate; return 0 when every promise was kept, 1 when not, 2 when the real burst could not run."""
    parser = argparse.ArgumentParser(prog="python -m burst", description="Simulate bursts of uploads.")
    parser.add_argument("--uploads", type=int, help="also run a real burst of this size on a local stack")
    parser.add_argument("--workflow", choices=("STANDARD", "EXPRESS"), help="of the real burst (default STANDARD)")
    parser.add_argument("--most", type=int, default=1_000_000, help="size of the largest simulated burst")
    parser.add_argument("--state", type=Path, default=_STATE, help="folder for logs and reports")
    parser.add_argument("--chart", type=Path, default=_CHART, help="file for the chart")
    options = parser.parse_args()
    fewest = min(scenario.load.uploads for scenario in scenarios())
    if options.most < fewest:
        parser.error(f"--most must be at least {fewest:,}, the smallest simulated burst")
    if options.uploads is not None and not 1 <= options.uploads <= _MOST_REAL:
        parser.error(f"--uploads must be from 1 to {_MOST_REAL:,}; --most is the size of the largest simulated burst")
    if not options.chart.parent.is_dir():
        parser.error(f"--chart: there is no folder {options.chart.parent}")
    if options.workflow and options.uploads is None:
        parser.error("--workflow is of the real burst, so it needs --uploads; both workflows are always simulated")
    state = options.state.resolve()
    is_kept = _simulate(options.most, state, options.chart.resolve())
    if options.uploads:
        from burst.real import burst  # noqa: PLC0415 - a simulation needs no stack

        status = burst(options.uploads, options.workflow or "STANDARD", state)
        return status or (0 if is_kept else 1)
    if is_kept:
        print("The simulation keeps every promise. Next: make burst N=3000, for a real burst on a local stack")
        return 0
    print("A promise is broken. Next: read the rows above, and functions/start_from_s3/pacing.py")
    return 1


def _simulate(most: int, state: Path, chart: Path) -> bool:
    began = time.monotonic()
    rows = [scenario for scenario in scenarios() if scenario.load.uploads <= most]
    old = [scenario for scenario in old_scenarios() if scenario.load.uploads <= most]
    print(f"Simulating {len(rows) + len(old)} bursts …", flush=True)
    # The longest first, so that no long one runs alone at the end.
    by_length = sorted(old, key=_events) + sorted(rows, key=_events)
    with ProcessPoolExecutor() as pool:
        done = dict(zip(by_length, pool.map(run, by_length), strict=True))
    new, before = [done[scenario] for scenario in rows], [done[scenario] for scenario in old]
    print("\n" + "\n\n".join(table(results) for results in (new, before) if results) + "\n")
    print(wanted())
    is_prompt = _show_first_start()
    write_json([*new, *before], state / "simulation.json")
    written = f"Report: {shown(state / 'simulation.json')}"
    old_way, today = _drawn(before), _drawn(new)
    if old_way and today:
        _draw(old_way, today, chart)
        written += f", chart: {shown(chart)}"
    print(f"{time.monotonic() - began:.0f} s. {written}")
    return is_prompt and not any(result.broken() for result in new)


def _events(scenario: Scenario) -> int:
    return -scenario.load.uploads


def _show_first_start() -> bool:
    first = {workflow: calm(workflow, 10).first_start for workflow in ("STANDARD", "EXPRESS")}
    print(
        "A single upload into an idle stack starts within "
        + ", ".join(f"{seconds:.2f} s ({workflow})" for workflow, seconds in first.items())
        + ", including the cold start of the starter."
    )
    return max(first.values()) <= MOST_SECONDS_TO_START


def _drawn(results: Sequence[Result]) -> Result | None:
    """Return the result for the chart; ``None`` if that burst was too large to be simulated."""
    return next((result for result in results if (result.scenario.name, result.scenario.workflow) == _DRAWN), None)


def _draw(before: Result, today: Result, chart: Path) -> None:
    scenario = today.scenario
    title = f"{scenario.load.uploads:,} uploads, {scenario.concurrency} functions of 0.4 s a picture (simulated)"
    runs = [("the old way: start at once", before.outcome.samples), ("today: paced", today.outcome.samples)]
    draw(title, runs, chart)


if __name__ == "__main__":
    sys.exit(main())
