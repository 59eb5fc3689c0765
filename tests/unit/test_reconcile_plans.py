"""Input of the state machine, parts and names of a plan, and its price."""

from typing import Any

import pytest

from cost.deployment import read_deployment
from cost.measured import read_measured
from cost.model import Work, price_work
from cost.prices import read_prices
from functions.reconcile.compare import Entry
from functions.reconcile.errors import InvalidInputError
from functions.reconcile.inputs import PlanInput, RunInput, parse_input
from functions.reconcile.plans import Names, Part, count_of, cut, plan_id
from functions.reconcile.price import RECONCILE_MB, RESIZE_MB, PlannedWork, RunPrices
from tests.deployed import read_template

MILLION = 1_000_000


@pytest.fixture(scope="module")
def prices() -> RunPrices:
    return RunPrices.read("arm64")


def test_the_input() -> None:
    assert parse_input({"mode": "plan"}) == PlanInput("", 4)
    assert parse_input({"mode": "plan", "prefix": "2026/", "concurrency": 40}) == PlanInput("2026/", 40)
    assert parse_input({"mode": "run", "plan": "p"}) == RunInput("p", "no", None, None, 4)
    whole = {"mode": "run", "plan": "p", "prune": "all", "max_objects": 5, "max_usd": 0.5, "concurrency": 1}
    assert parse_input(whole) == RunInput("p", "all", 5, 0.5, 1)


@pytest.mark.parametrize(
    ("prefix", "used"),
    [("", "photos/"), ("pho", "photos/"), ("photos/", "photos/"), ("photos/2026/", "photos/2026/")],
)
def test_a_plan_stays_below_the_prefix_of_all_originals(prefix: str, used: str) -> None:
    assert parse_input({"mode": "plan", "prefix": prefix}, "photos/") == PlanInput(used, 4)
    with pytest.raises(InvalidInputError, match=r"begin with photos/ \(OriginalsPrefix\)"):
        parse_input({"mode": "plan", "prefix": "2026/"}, "photos/")


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ([], ""),
        ({}, "mode"),
        ({"mode": ["plan"]}, "mode"),
        ({"mode": "plan", "plan": "p"}, "plan"),
        ({"mode": "plan", "prefix": 1}, "prefix"),
        ({"mode": "plan", "strays": "yes"}, "strays"),
        ({"mode": "plan", "concurrency": 0}, "concurrency"),
        ({"mode": "plan", "concurrency": True}, "concurrency"),
        ({"mode": "run"}, "plan"),
        ({"mode": "run", "plan": "../p"}, "plan"),
        ({"mode": "run", "plan": "p", "prefix": "2026/"}, "prefix"),
        ({"mode": "run", "plan": "p", "prune": True}, "prune"),
        ({"mode": "run", "plan": "p", "prune": []}, "prune"),
        ({"mode": "run", "plan": "p", "max_objects": 0}, "max_objects"),
        ({"mode": "run", "plan": "p", "max_objects": 1.5}, "max_objects"),
        ({"mode": "run", "plan": "p", "max_usd": "5"}, "max_usd"),
        ({"mode": "run", "plan": "p", "max_usd": 0}, "max_usd"),
    ],
)
def test_wrong_input_is_named(value: Any, field: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        parse_input(value)

    assert refused.value.field == field
    assert (f" at {field}:" if field else "invalid:") in str(refused.value)


def test_ids_and_names() -> None:
    plan = plan_id("arn:…:execution:a", "2026-11-28T23:00:05.123Z")
    names = Names(plan)

    assert plan.startswith("20261128T230005-")
    assert plan != plan_id("arn:…:execution:b", "2026-11-28T23:00:05.123Z")
    work = names.work_of(names.part(7), "keys", 37)
    assert work == f"plans/{plan}/work/keys/000000007-037.json"
    assert work.startswith(names.work(with_orphans=False))
    assert names.work_of(names.part(7), "orphans", 1).startswith(names.work(with_orphans=True))
    assert names.compared(names.part(7)) == f"plans/{plan}/compared/000000007.json"
    assert names.result("run", work) == f"plans/{plan}/results/run/keys-000000007-037.json"


def test_work_that_is_cut_keeps_its_place_and_its_keys() -> None:
    work = "plans/p/work/keys/000000007-037.json"

    first, second = cut(work, 37, 12)
    again, rest = cut(second, count_of(second), 5)

    assert [count_of(each) for each in (work, first, second, again, rest)] == [37, 12, 25, 5, 20]
    assert [work, first, again, rest] == sorted([rest, again, work, first])
    assert rest < "plans/p/work/keys/000000008-001.json"


@pytest.mark.parametrize(
    ("key", "size", "entries"), [("a.jpg", 1000, 100), ("a.jpg", 90_000_000, 12), ("é" * 400, 1000, 17)]
)
def test_a_part_is_full(key: str, size: int, entries: int) -> None:
    part = Part()
    while not part.is_full:
        part.add(Entry(key, "etag", size))

    assert len(part.entries) == entries


def test_the_memory_is_that_of_the_template() -> None:
    resources = read_template()["Resources"]

    assert resources["ResizeFunction"]["Properties"]["MemorySize"] == RESIZE_MB
    assert resources["ReconcileFunction"]["Properties"]["MemorySize"] == RECONCILE_MB


@pytest.mark.parametrize("thumbnails", [1, 5])
def test_a_resize_costs_what_the_cost_page_says(thumbnails: int, prices: RunPrices) -> None:
    table, measured = read_prices(), read_measured()
    uploads = price_work(Work(MILLION, thumbnails), "EXPRESS", read_deployment(), measured)
    same = {"invocations of resize", "GB-seconds of resize", "PUTs of thumbnails and manifest", "GETs and HEADs"}
    expected = sum(line.dollars(table) for line in uploads if line.what in same)
    # Of the log only what the resize function writes.
    expected += MILLION * measured.resize_log_bytes / 1e9 * table.prices["log_gb"].usd
    work = PlannedWork(MILLION, thumbnails * MILLION, MILLION, thumbnails * MILLION)

    assert prices.resize_dollars(work) == pytest.approx(expected)


def test_what_a_million_may_cost(prices: RunPrices) -> None:
    checked = prices.plan_dollars(MILLION, MILLION)
    remade = prices.dollars(PlannedWork(MILLION, MILLION))

    assert 0.5 < checked <= 1.00
    assert 13 < remade <= 15
    assert prices.dollars(PlannedWork()) == prices.hours(PlannedWork(), 10) == 0


def test_hours_go_with_concurrency(prices: RunPrices) -> None:
    work = PlannedWork(MILLION, MILLION)

    assert prices.hours(work, 10) == pytest.approx(10 * prices.hours(work, 100))
    # Ten pictures are one part, whose pictures are worked on one after the other.
    assert prices.hours(PlannedWork(10, 10), 10) == prices.hours(PlannedWork(10, 10), 1)
