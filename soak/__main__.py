"""``python -m soak``: run one soak; the exit status is its result."""

import argparse
import secrets
import signal
import sys
import time
from collections import Counter
from pathlib import Path

from local.stack import ROOT, StackError
from soak.balance import balance
from soak.deployment import SIZES, Faults, deployed
from soak.load import Load
from soak.outcome import read_outcome
from soak.plan import draw, thumbnail_keys
from soak.report import draw as draw_latency
from soak.report import table, write_json
from soak.safeguards import SAFEGUARDS

_FEWEST_UPLOADS = 20
_START_SECONDS = 120.0
_SECONDS_EACH = 1.0


def main() -> int:
    """Run one soak; return 0 if every promise was kept, 1 if one was broken, 2 if the soak could not run."""
    parser = argparse.ArgumentParser(prog="python -m soak", description="Test uploads under injected faults.")
    parser.add_argument("--uploads", type=int, default=1000, help="number of uploads (default %(default)s)")
    parser.add_argument("--seed", type=int, help="seed of a run to repeat, with the same plan and faults")
    parser.add_argument("--faults", type=float, default=1.0, help="factor for all fault rates (default %(default)s)")
    parser.add_argument("--workflow", choices=("STANDARD", "EXPRESS"), default="STANDARD", help="workflow of uploads")
    parser.add_argument("--without", action="append", default=[], choices=sorted(SAFEGUARDS), help="remove it")
    parser.add_argument("--limit", type=float, help="seconds until it gives up (default: 120, and 1 for each upload)")
    parser.add_argument("--state", type=Path, default=ROOT / ".local" / "soak", help="folder for logs and reports")
    options = parser.parse_args()
    if options.uploads < _FEWEST_UPLOADS:
        parser.error(f"--uploads must be {_FEWEST_UPLOADS} or more: some rates need that many")
    seed = secrets.randbelow(10_000) if options.seed is None else options.seed
    state = options.state.resolve()
    stories = draw(options.uploads, seed)
    expected = {story.key: list(thumbnail_keys(story, SIZES)) for story in stories}
    print(f"Soak of {options.uploads:,} uploads to {len(stories):,} keys, {options.workflow}, seed {seed}.", flush=True)
    started = time.monotonic()
    # Treat SIGTERM like Ctrl-C, so that the stack is stopped before the end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        with deployed(state, Faults(seed, options.faults), options.without, options.workflow) as deployment:
            limit = options.limit or _START_SECONDS + _SECONDS_EACH * options.uploads
            ledger = Load(deployment, stories, limit, lambda line: print(line, flush=True)).run()
            print("Counting …", flush=True)
            outcome = read_outcome(deployment)
            faults = Counter(fault["fault"] for fault in deployment.faults())
    except StackError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nInterrupted. The stack is stopped. Next: make soak", file=sys.stderr)
        return 128 + signal.SIGINT
    result = balance(ledger, outcome, expected)
    run = {
        "workflow": options.workflow,
        "seed": seed,
        "without": options.without,
        "faults": options.faults,
        "seconds": time.monotonic() - started,
    }
    write_json(result, faults, run, state / "report.json")
    draw_latency(result, state / "latency.png")
    print(f"\n{table(result, faults)}\n")
    print(f"Report: {_shown(state / 'report.json')}, latency: {_shown(state / 'latency.png')}")
    express = " WORKFLOW=EXPRESS" if options.workflow == "EXPRESS" else ""
    again = f"make soak N={options.uploads} SEED={seed}{express}"
    if result.is_kept():
        print(f"Nothing is lost, stale or doubled. Next: {again} to repeat this run, or another SEED.")
        return 0
    print(f"A promise was broken. Next: read the cases above, fix them, then {again}.")
    return 1


def _shown(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


if __name__ == "__main__":
    sys.exit(main())
