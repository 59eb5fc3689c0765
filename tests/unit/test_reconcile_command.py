"""What make reconcile says of plans and runs, and what it asks before it spends."""

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from rich.console import Console

from reconcile import __main__ as command
from reconcile.deployed import CannotRunError, Deployed, Execution
from reconcile.follow import Seen, follow
from reconcile.page import duration, plan_lines, run_lines, size

REPORT: dict[str, Any] = {
    "plan": "20261128T230005-0123abcd",
    "created": "2026-11-28T23:00:05.123Z",
    "prefix": "2026/",
    "bytes": 3_500_000_000,
    "thumbnails": 2000,
    "gets": 4000,
    "puts": 3000,
    "output": {
        "plan": "20261128T230005-0123abcd",
        "counts": {
            "in_line": 5000,
            "out_of_line": 1000,
            "missing": 600,
            "stale": 400,
            "other_recipe": 0,
            "orphans": 7,
            "skipped": {"archived": 3},
        },
        "dollars": 15.5,
        "hours": 0.2,
    },
}
OUTPUT = {
    "counts": {
        "resized": 900,
        "in_line": 90,
        "orphans_removed": 7,
        "strays_removed": 4,
        "failed": 9,
        "faulted": 1,
        "left": 1,
    },
    "failed": {
        "CorruptImageError": {"count": 2, "first": {"key": "a.jpg", "message": "Bad."}},
        "NotAnImageError": {"count": 7, "first": {"key": "b.jpg", "message": "None."}},
    },
    "faulted": {"Sandbox.Timedout": {"count": 1, "first": {"key": "c.jpg", "message": ""}}},
}


class Fake:
    """A deployment that ends a run after some looks."""

    def __init__(self, looks: int = 2, mode: str = "run") -> None:
        self.looks = looks
        self.wanted = {"mode": mode, **({"plan": REPORT["plan"]} if mode == "run" else {})}
        self.started: list[Any] = []
        self.results: dict[str, Any] = {}

    def start(self, wanted: Any) -> str:
        self.started.append(wanted)
        return "arn"

    def describe(self, arn: str) -> Execution:
        self.looks -= 1
        status = "RUNNING" if self.looks > 0 else "SUCCEEDED"
        return Execution(arn, status, self.wanted, datetime(2026, 11, 28, tzinfo=UTC), OUTPUT, "", "")

    def report(self, plan: str) -> Any:
        return REPORT if plan == REPORT["plan"] else None

    def names(self, prefix: str, after: str = "") -> Iterator[str]:
        return (name for name in self.results if name.startswith(prefix) and name > after)

    def read(self, name: str) -> Any:
        return self.results[name]

    def map_run(self, _arn: str) -> Any:
        return {"itemCounts": {"succeeded": 3, "total": 10}}


def as_deployed(fake: Fake) -> Deployed:
    return cast("Deployed", fake)


def test_a_plan_in_words() -> None:
    text = "\n".join(plan_lines(REPORT))

    assert "made 2026-11-28 23:00:05 UTC, below 2026/" in text
    assert "600  without thumbnails" in text
    assert "7  thumbnails whose original is gone" in text
    assert "3  archived" in text
    assert "of another recipe" not in text
    assert "work on 1,000 originals (4 GB), make 2,000 thumbnails with 4,000 GETs and 3,000 PUTs" in text
    assert "cost about $15.50 and take about 12 minutes" in text


def test_a_plan_of_one_original_in_words() -> None:
    counts = REPORT["output"]["counts"] | {"out_of_line": 1}
    output = REPORT["output"] | {"counts": counts, "dollars": 3.1e-05, "hours": 0.0001}
    report = REPORT | {"output": output, "bytes": 1, "thumbnails": 1, "gets": 1, "puts": 1}

    assert plan_lines(report)[-1] == (
        "A run would work on 1 original (1 byte), make 1 thumbnail with 1 GET and 1 PUT, cost less than $0.01 and take "
        "less than a minute (estimate: docs/cost.md)."
    )


def test_a_run_in_words() -> None:
    lines = [line.strip() for line in run_lines(OUTPUT)]

    assert lines == [
        "900  brought in line",
        "90  already in line",
        "7  deleted, because their original is gone",
        "4  deleted, because no manifest lists them",
        "7  cannot be read: NotAnImageError, first 'b.jpg' None.",
        "2  cannot be read: CorruptImageError, first 'a.jpg' Bad.",
        "1  failed because of a fault; run the plan again: Sandbox.Timedout, first 'c.jpg'",
        "1  left",
    ]


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (duration(0.001), "less than a minute"),
        (duration(0.02), "about 1 minute"),
        (duration(0.5), "about 30 minutes"),
        (duration(26.04), "about 26.0 hours"),
        (size(1), "1 byte"),
        (size(999), "999 bytes"),
        (size(2_500_000), "2 MB"),
        (size(7e15), "7,000.0 TB"),
    ],
)
def test_numbers_as_people_write_them(written: str, text: str) -> None:
    assert written == text


def test_a_bar_shows_what_is_done_what_it_cost_and_the_first_error_of_each_kind() -> None:
    fake, out = Fake(looks=3), io.StringIO()
    folder = f"plans/{REPORT['plan']}/results/{fake.describe('arn').own_id}/"
    bad = {"count": 1, "first": {"key": "a.jpg", "message": "Bad."}}
    fake.results = {
        f"{folder}keys-1.json": {"done": {"missing": 480}, "in_line": 19, "failed": {"CorruptImageError": bad}},
        f"{folder}keys-2.json": {"done": {}, "failed": {"CorruptImageError": bad}, "faulted": {}},
    }

    ended = follow(as_deployed(fake), "arn", Console(file=out, width=200, force_terminal=True), lambda _: None)

    assert ended.output == OUTPUT
    text = out.getvalue()
    assert "501 of 1,000 keys" in text
    assert "a second" in text
    assert "about $7.77" in text
    assert text.count("First CorruptImageError: 'a.jpg' Bad.") == 1


@pytest.mark.parametrize(("results", "pause"), [(10, 1.0), (20_000, 40.0), (200_000, 300.0)])
def test_watching_a_long_run_does_not_list_its_results_every_second(results: int, pause: float) -> None:
    """$5 for a million lists: 40 hours of 20 requests a second would be $14."""
    fake, pauses = Fake(looks=4), list[float]()
    folder = f"plans/{REPORT['plan']}/results/{fake.describe('arn').own_id}/"
    fake.results = {f"{folder}keys-{number}.json": {} for number in range(results)}

    follow(as_deployed(fake), "arn", Console(file=io.StringIO()), pauses.append)

    assert pauses == [pytest.approx(pause)]


def test_a_result_is_counted_once() -> None:
    fake, seen = Fake(), Seen()
    fake.results = {"plans/p/results/r/keys-1.json": {"done": {"missing": 3}, "in_line": 1}}

    seen.look(as_deployed(fake), "p", "r")
    fake.results["plans/p/results/r/keys-0.json"] = {"done": {"stale": 2}}
    seen.look(as_deployed(fake), "p", "r")

    assert (seen.done, seen.in_line, seen.total) == (5, 1, 6)


def test_a_bar_of_a_plan_counts_parts() -> None:
    out = io.StringIO()

    follow(as_deployed(Fake(mode="plan")), "arn", Console(file=out, width=200, force_terminal=True), lambda _: None)

    assert "Comparing" in out.getvalue()
    assert "3 of 10 parts of 100 keys" in out.getvalue()


@pytest.mark.parametrize(
    ("arguments", "answer", "starts"),
    [((), "y", True), ((), "n", False), ((), "", False), (("--yes",), None, True)],
)
def test_it_asks_before_it_spends(
    arguments: tuple[str, ...], answer: str | None, *, starts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake, asked = Fake(), []

    def ask(question: str) -> str:
        asked.append(question)
        return answer or ""

    monkeypatch.setattr("builtins.input", ask)
    monkeypatch.setattr(command, "find", lambda _stack, is_local: fake)  # noqa: ARG005 - as find's
    monkeypatch.setattr("reconcile.follow._POLL_SECONDS", 0)

    status = command.main(["run", REPORT["plan"], "--prune", "--max-usd", "0.01", *arguments])

    assert status == 0
    assert asked == ([] if answer is None else ["Spend about $0.01 and about 12 minutes? [y/N] "])
    wanted = {"mode": "run", "plan": REPORT["plan"], "prune": "orphans", "concurrency": 4, "max_usd": 0.01}
    assert fake.started == ([wanted] if starts else [])


def test_a_plan_that_is_not_there(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(command, "find", lambda _stack, is_local: Fake())  # noqa: ARG005 - as find's

    assert command.main(["run", "another", "--yes"]) == 2
    assert "There is no finished plan 'another'. Next: make reconcile DO=plan" in capsys.readouterr().err


def test_the_last_report_is_read_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    class FakeOfPlans(Fake):
        reads = 0

        def newest_report(self) -> Any:
            return self.report(REPORT["plan"])

        def report(self, plan: str) -> Any:
            self.reads += 1
            return super().report(plan)

    fake = FakeOfPlans()
    fake.results = {f"plans/{REPORT['plan']}/work/keys/000000001-025.json": {}}
    monkeypatch.setattr(command, "find", lambda _stack, is_local: fake)  # noqa: ARG005 - as find's

    assert command.main(["report"]) == 0
    assert fake.reads == 1
    out = capsys.readouterr().out
    assert f"Plan {REPORT['plan']}" in out
    assert "25  left to work on" in out


def test_a_stack_that_cannot_be_asked(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def find(_stack: str, *, is_local: bool) -> Deployed:
        assert is_local
        raise CannotRunError("There is none. Next: make up")

    monkeypatch.setattr(command, "find", find)

    assert command.main(["--local", "status"]) == 2
    assert capsys.readouterr().err == "Error: There is none. Next: make up\n"
