"""``python -m fuzz --seconds 60 --seed 1``: run a session; the exit status is 0 only if there are no findings."""

import argparse
import collections
import hashlib
import json
import sys
import time

from fuzz.session import ROOT, Report, Trial, run
from local.amounts import counted

_REGRESSIONS = ROOT / "tests" / "regressions"


def main() -> int:
    """Run one session and print its results."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description="Run the image engine on damaged pictures.")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="the same seed produces the same inputs")
    options = parser.parse_args()
    print(f"Fuzzing for {options.seconds:.0f} seconds with seed {options.seed} …")
    report = run(options.seconds, options.seed, _progress)
    _print_table(report)
    for finding in report.findings:
        print(f"{finding.kind}: {finding.name}, made from {finding.seed}, saved as {_keep(finding)}")
    if report.findings:
        print(f"{counted(len(report.findings), 'finding')}.")
        print("Next: correct the engine until make test passes with the saved files")
        return 1
    print(f"{counted(report.trials, 'input')}, no findings. The slowest took {report.slowest:.2f} s.")
    print("Next: make fuzz SECONDS=600 for a longer session")
    return 0


def _progress(report: Report, elapsed: float) -> None:
    found = counted(len(report.findings), "finding")
    # The space at the end erases the s of "0 findings".
    print(f"\r{elapsed:4.0f} s  {counted(report.trials, 'input')}  {found} ", end="", flush=True)


def _print_table(report: Report) -> None:
    totals: collections.Counter[str] = sum(report.outcomes.values(), collections.Counter())
    print("\n")
    width = max(map(len, totals), default=0)
    for name, count in totals.most_common():
        print(f"  {name:{width}}  {count:7,}")
    print("\nInputs: " + ", ".join(f"{shape} {count:,}" for shape, count in report.shapes.most_common()) + ".\n")


def _keep(finding: Trial) -> str:
    _REGRESSIONS.mkdir(exist_ok=True)
    name = f"{finding.seed}-{hashlib.sha256(finding.data).hexdigest()[:12]}"
    (_REGRESSIONS / f"{name}.bin").write_bytes(finding.data)
    recipe = {"request": finding.request, "found": f"{finding.kind}: {finding.name}"}
    (_REGRESSIONS / f"{name}.json").write_text(json.dumps(recipe, indent=2) + "\n")
    return f"tests/regressions/{name}.bin"


if __name__ == "__main__":
    sys.exit(main())
