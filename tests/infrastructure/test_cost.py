"""docs/cost.md is what the template, the prices and the measurements give, and `make cost` answers questions."""

import re
import sys
from pathlib import Path

import pytest

from cost import __main__ as command
from cost.deployment import read_deployment, way_of_a_success
from cost.measured import read_measured
from cost.model import WORKFLOWS, Work
from cost.page import Facts, answer, write_page
from cost.prices import read_prices
from tests.deployed import ROOT, read_state_machine, read_template


@pytest.fixture(scope="module")
def facts() -> Facts:
    return Facts(read_prices(), read_deployment(), read_measured())


def test_the_page_is_what_make_cost_writes(facts: Facts) -> None:
    page = (ROOT / "docs" / "cost.md").read_text(encoding="utf-8")

    assert page == write_page(facts), "what costs money has changed. Run: make cost"


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_the_readme_has_the_same_figures(facts: Facts, workflow: str) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    assert readme.count(f"about ${facts.dollars(Work(1e6), workflow):.0f} ") == 2
    slow = f"{facts.dollars(Work(1e6, resize_seconds=0.4), workflow):.0f}"
    assert re.search(rf"\${slow}\b", readme.split("## Bursts and costs")[1])


def test_what_is_read_of_the_template() -> None:
    deployment, resources = read_deployment(), read_template()["Resources"]

    assert way_of_a_success(read_state_machine()) == ["ResizeImage", "CheckStatus", "ResizeSucceeded"]
    assert deployment.transitions == 3
    assert deployment.resize_mb == resources["ResizeFunction"]["Properties"]["MemorySize"]
    assert deployment.workflow in WORKFLOWS
    alarms = sum(resource["Type"] == "AWS::CloudWatch::Alarm" for resource in resources.values())
    assert alarms <= deployment.alarms <= 2 * alarms
    # Eight of the resize function and its cold starts, one of start_from_s3, one of the log filter.
    assert deployment.metrics == 11
    # POST /resize and GET /executions/{executionId}.
    assert deployment.api_metrics == 2 * 5
    assert deployment.access_log_bytes > 300


def test_the_answer_is_a_table_of_both_workflows(facts: Facts) -> None:
    lines = answer(Work(3e6, 5), facts).splitlines()

    assert lines[0].split() == ["units", "(STANDARD)", "STANDARD", "EXPRESS"]
    (transitions,) = [line for line in lines if "state transitions" in line]
    assert "9,000,000" in transitions
    together = dict(zip(WORKFLOWS, lines[-1].split()[-2:], strict=True))
    assert float(together["EXPRESS"].strip("$").replace(",", "")) > 100


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["cost", *arguments])
    return command.main()


def test_the_command_answers(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "--uploads", "3e6", "--sizes", "5", "--ms", "400") == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "3,000,000 uploads in a month, 5 thumbnails each, 400 ms a resize."
    assert lines[-1].startswith("Next: ")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--uploads", "0"),
        ("--uploads", "0.9"),
        ("--uploads", "nan"),
        ("--uploads", "inf"),
        ("--uploads", "1.1e12"),
        ("--sizes", "81"),
        ("--ms", "-1"),
        # Lambda ends a resize after 60 s.
        ("--ms", "60001"),
    ],
)
def test_questions_without_an_answer(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        run(monkeypatch, *arguments)

    assert f"{arguments[0]} must be from 1 to " in capsys.readouterr().err


def test_a_part_of_an_upload_has_no_price(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        run(monkeypatch, "--uploads", "1.5")

    assert "--uploads must be a whole number" in capsys.readouterr().err


def test_the_command_writes_page_and_picture(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(command, "_DOCS", tmp_path)

    assert run(monkeypatch) == 0

    assert (tmp_path / "cost.md").read_text(encoding="utf-8").startswith("# What it costs\n")
    assert (tmp_path / "cost.png").read_bytes().startswith(b"\x89PNG")
    assert "Next: make cost UPLOADS=3e6 SIZES=5" in capsys.readouterr().out
