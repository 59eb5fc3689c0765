"""How large a reconcile may become: states, histories, invocations and dollars, computed from the deployed files."""

import json

import pytest

from functions.reconcile.compare import Entry
from functions.reconcile.planning import SECONDS_TO_END
from functions.reconcile.plans import Part
from functions.reconcile.price import KEYS_IN_A_PART, PlannedWork, RunPrices
from functions.start_from_s3.recipes import parse_recipes
from tests.deployed import read_template

MILLION = 1_000_000
# Bytes of a state, and events of an execution:
# https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
LARGEST_STATE, LONGEST_HISTORY = 256 * 1024, 25_000
# A Distributed Map reads at most so many items: https://docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html
MOST_ITEMS = 100 * MILLION
# Assumed of S3: a page of 1,000 keys, and one of eight PUTs that are made at once.
SECONDS_OF_A_PAGE, SECONDS_OF_A_PUT = 0.2, 0.05 / 8
# TaskStateEntered, TaskScheduled, TaskStarted, TaskSucceeded, TaskStateExited; ChoiceStateEntered, ChoiceStateExited.
EVENTS_OF_A_SEGMENT = 7


def segments(keys: int) -> float:
    """Return how many invocations list so many originals, each with a manifest."""
    seconds = 2 * keys / 1000 * SECONDS_OF_A_PAGE + keys / KEYS_IN_A_PART * SECONDS_OF_A_PUT
    timeout = read_template()["Resources"]["ReconcileFunction"]["Properties"]["Timeout"]
    return float(seconds / (timeout - SECONDS_TO_END))


@pytest.mark.parametrize("keys", [MILLION, 100 * MILLION])
def test_the_history_of_a_plan_has_room_for_all_invocations(keys: int) -> None:
    # The report reads a result for each part, sixteen at once.
    reports = keys / KEYS_IN_A_PART * 0.05 / 16 / (300 - SECONDS_TO_END)

    events = EVENTS_OF_A_SEGMENT * (segments(keys) + reports + 10)

    assert events < LONGEST_HISTORY / 10
    assert keys / KEYS_IN_A_PART <= MOST_ITEMS


def test_the_longest_keys_and_the_largest_recipe_fit_into_a_state() -> None:
    sizes = [{"width": 9000 + number, "height": 9000} for number in range(16)]
    text = json.dumps([{"prefix": "", "formats": ["source", "jpeg", "png", "webp", "avif"], "fit": "inside"}])
    (recipe,) = parse_recipes(text, sizes)
    largest = 0

    for key in ("a" * 1000, "é" * 500, "😀" * 250, '"' * 1000, "a.jpg"):
        part = Part()
        while not part.is_full:
            part.add(Entry(key, "0" * 32, 1000))
        request = {
            "source_bucket": "b" * 63,
            "destination_bucket": "b" * 63,
            "object_key": key,
            **(recipe.request or {}),
        }
        items = [{"key": key, "verdict": "other_recipe", "request": request | {"if_missing": "remove"}}] * len(
            part.entries
        )
        results = [{"key": key, "verdict": "other_recipe", "error": "E" * 30, "message": f"{key} {'m' * 200}"}] * len(
            items
        )
        largest = max(largest, len(json.dumps({"items": items, "results": results}).encode()))

    # As Lambda's and Step Functions' own JSON would be at most: every character beyond ASCII as \\uXXXX.
    assert 100_000 < largest < LARGEST_STATE


@pytest.mark.parametrize(("keys", "plan", "run"), [(MILLION, 1.0, 15.0), (100 * MILLION, 100.0, 1500.0)])
def test_the_price_grows_as_the_keys_do(keys: int, plan: float, run: float) -> None:
    prices = RunPrices.read("arm64")

    assert prices.plan_dollars(keys, keys) <= plan
    assert prices.dollars(PlannedWork(keys, keys)) <= run
