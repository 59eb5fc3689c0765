"""A small soak finds every promise kept, and finds them broken when a safeguard is missing."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from local.processes import Background
from local.stack import ROOT


def soak(name: str, *options: str) -> tuple[subprocess.CompletedProcess[str], dict[str, Any], Path]:
    """Run a soak as its command does; give how it ended, its report and its folder."""
    state = ROOT / ".local" / f"e2e-soak-{name}"
    report = state / "report.json"
    report.unlink(missing_ok=True)
    try:
        done = subprocess.run(  # noqa: S603 - the command is ours
            [sys.executable, "-m", "soak", "--state", str(state), "--limit", "400", *options],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=800,
            check=False,
        )
    finally:
        # A soak that was killed could not end its stack.
        for process in ("proxy", "gateway", "aws"):
            Background(process, state).stop()
    assert report.exists(), done.stdout + done.stderr
    return done, json.loads(report.read_text(encoding="utf-8")), state


@pytest.mark.parametrize("workflow", ["STANDARD", "EXPRESS"])
def test_under_faults_nothing_is_lost_stale_or_doubled(workflow: str) -> None:
    done, report, state = soak("kept", "--uploads", "40", "--seed", "1", "--workflow", workflow)

    assert done.returncode == 0, done.stdout
    assert report["kept"]
    assert (report["lost"], report["stale"], report["doubled"], report["refused"]) == ([], [], [], [])
    assert report["uploads"] == 40
    assert min(report["deeds"][deed] for deed in ("delete", "undelete", "roll back", "post")) > 0
    assert report["executions"] + report["dead_letters"] >= 40 + sum(report["deeds"].values())
    assert report["duplicates_suppressed"] == report["delivered_again"] == 4
    assert sum(report["faults"].values()) > 10
    assert set(report["failed_by_reason"]) >= {"Permanent.TooManyPixelsError"}
    with Image.open(state / "latency.png") as picture:
        assert picture.size == (1000, 460)
    assert done.stdout.splitlines()[-1].startswith("Nothing is lost, stale or doubled. Next: make soak ")


# Without other faults: only the safeguard that is missing can break a promise.
@pytest.mark.parametrize(
    ("safeguard", "broken", "kept"),
    [("conditions", "stale", "doubled"), ("idempotency", "doubled", "stale")],
)
def test_a_missing_safeguard_is_missed(safeguard: str, broken: str, kept: str) -> None:
    done, report, _ = soak(safeguard, "--uploads", "40", "--seed", "2", "--faults", "0", "--without", safeguard)

    assert done.returncode == 1, done.stdout
    assert not report["kept"]
    assert report[broken] != []
    assert (report[kept], report["lost"], report["refused"]) == ([], [], [])
    assert done.stdout.splitlines()[-1].startswith("A promise was broken. Next: ")
