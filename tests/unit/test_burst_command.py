"""``python -m burst`` refuses what it cannot do, and says what it wrote."""

import sys
from pathlib import Path

import pytest

from burst import __main__ as command


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--most", "599"), "--most must be at least 600"),
        (("--uploads", "0"), "--uploads must be from 1 to 100,000"),
        (("--uploads", "-5"), "--uploads must be from 1 to 100,000"),
        (("--uploads", "1000000"), "--uploads must be from 1 to 100,000"),
        (("--chart", "nowhere/burst.png"), "there is no folder nowhere"),
        (("--uploads", "1.5"), "invalid int value"),
        (("--workflow", "EXPRESS"), "it needs --uploads"),
    ],
)
def test_arguments_without_a_meaning_are_refused(
    arguments: tuple[str, ...], error: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["burst", *arguments])

    with pytest.raises(SystemExit, match="2"):
        command.main()

    assert error in capsys.readouterr().err


def test_small_bursts_are_shown_without_the_chart_of_a_large_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    chart = tmp_path / "burst.png"
    monkeypatch.setattr(sys, "argv", ["burst", "--most", "1000", "--state", str(tmp_path), "--chart", str(chart)])

    assert command.main() == 0

    shown = capsys.readouterr().out
    assert "chart" not in shown
    assert not chart.exists()
    assert (tmp_path / "simulation.json").exists()
    assert shown.splitlines()[-1].startswith("The simulation keeps every promise. Next: ")
