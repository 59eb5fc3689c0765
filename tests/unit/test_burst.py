"""The simulated bursts: the promises are kept, the old way breaks them, and no upload gets lost in the simulation."""

from dataclasses import replace
from statistics import mean

import pytest

from burst.assumptions import SMALL_REGION, Times
from burst.deployed import Retrier, read_deployed
from burst.express import is_done
from burst.scenarios import MOST_SECONDS_TO_START, Scenario, calm, run
from burst.simulation import NO_ROOM, OUTAGE, TIMED_OUT, Load, Outcome, Simulation
from burst.ways import FixedLimit
from functions.start_from_s3.pacing import Pacing
from tests.deployed import read_state_machine

WORKFLOWS = ("STANDARD", "EXPRESS")
AN_HOUR = (60.0, 3660.0)
LIVE = Load(2_000, live_a_second=1.0, posts_a_second=0.5, live_seconds=120.0)


@pytest.mark.parametrize("workflow", WORKFLOWS)
@pytest.mark.parametrize(
    ("concurrency", "load"),
    [
        (10, Load(1_000)),
        (10, Load(10_000)),
        (20, Load(1_000)),
        (50, Load(1_000)),
        (100, Load(1_000)),
        (100, Load(10_000)),
        (1000, Load(10_000)),
        (10, Load(2_000, poison_every=10)),
        (10, Load(10_000, outage=AN_HOUR)),
        (10, LIVE),
    ],
    ids=str,
)
def test_every_promise_is_kept(workflow: str, concurrency: int, load: Load) -> None:
    result = run(Scenario("burst", workflow, concurrency, load))

    assert result.broken() == []
    assert_each_upload_ended_once(result.outcome)


@pytest.mark.parametrize("concurrency", [10, 1000])
def test_every_promise_is_kept_with_the_quotas_of_a_small_region(concurrency: int) -> None:
    result = run(Scenario("burst", "STANDARD", concurrency, Load(10_000), SMALL_REGION))

    assert result.broken() == []
    assert result.outcome.most_receives <= 2


@pytest.mark.parametrize("workflow", WORKFLOWS)
@pytest.mark.parametrize("concurrency", [20, 50])
@pytest.mark.parametrize("uploads", [1_000, 5_000])
def test_every_promise_is_kept_if_only_the_resize_function_has_a_limit(
    workflow: str, concurrency: int, uploads: int
) -> None:
    """Nothing slows the starters down, so their pace must."""
    scenario = Scenario("burst", workflow, concurrency, Load(uploads), functions=1000, reserved=concurrency)

    assert run(scenario).broken() == []


@pytest.mark.parametrize("workflow", WORKFLOWS)
@pytest.mark.parametrize("load", [Load(1_000), Load(300, 1.0, posts_a_second=0.5, live_seconds=300.0)], ids=str)
def test_every_promise_is_kept_during_a_reconcile(workflow: str, load: Load) -> None:
    scenario = Scenario("burst", workflow, 10, replace(load, remakes=3_000, remakes_at_once=4))

    result = run(scenario)

    assert result.broken() == []
    assert result.outcome.remade == 3_000


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_a_reconcile_uses_functions_that_a_burst_would_use(workflow: str) -> None:
    alone, beside = (
        run(Scenario("burst", workflow, 10, load))
        for load in (Load(1_000), Load(1_000, remakes=3_000, remakes_at_once=4))
    )

    assert beside.rate < 0.8 * alone.rate


def test_a_reconcile_leaves_pictures_for_its_next_run_if_lambda_is_out() -> None:
    deployed = read_deployed("STANDARD", 10)
    load = Load(10, outage=AN_HOUR, remakes=2_000, remakes_at_once=4)

    outcome = Simulation(deployed, Pacing, load).run()

    assert 0 < outcome.remakes_faulted < 200
    assert outcome.remade == 2_000 - outcome.remakes_faulted


def test_pictures_of_two_seconds_do_not_make_the_pace_swing() -> None:
    deployed = read_deployed("STANDARD", 20)
    times = Times(picture=2.0)
    outcome = Simulation(deployed, Pacing, Load(1_000), times=times, functions=1000, reserved=20).run()

    assert outcome.retries < 0.8 * outcome.uploads


def test_two_functions_are_kept_busy_although_there_is_none_for_peaks() -> None:
    """The real burst: UploadConcurrency=4, two functions, half a second a picture."""
    times = Times(picture=0.457, picture_sigma=0.15, before=0.15, after=0.02, list_lag=0.0)
    deployed = read_deployed("STANDARD", 4)
    uploads = 1500

    outcomes = [
        Simulation(deployed, Pacing, Load(uploads), times=times, functions=1000, reserved=2, seed=seed).run()
        for seed in range(6)
    ]

    # As if each execution began when another ends.
    ideal = 2 / (times.before + times.picture + times.after)
    assert mean(0.99 * uploads / outcome.drained for outcome in outcomes) > 0.79 * ideal
    assert mean(outcome.retries for outcome in outcomes) < 0.35 * uploads


def test_the_old_way_pays_many_times_for_its_retries() -> None:
    result = run(
        Scenario("burst", "STANDARD", 10, Load(10_000), functions=1000, reserved=10, is_old=True),
    )

    assert result.dollars_over_calm > 2
    assert_each_upload_ended_once(result.outcome)


def test_the_old_way_fails_what_is_in_progress_when_lambda_is_out() -> None:
    load = Load(10_000, outage=AN_HOUR)

    outcome = run(Scenario("outage", "STANDARD", 10, load, functions=1000, reserved=10, is_old=True)).outcome

    assert outcome.failed_by_fault > 1000
    assert_each_upload_ended_once(outcome)


def test_filling_up_to_a_limit_at_every_look_leaves_functions_idle() -> None:
    deployed = read_deployed("STANDARD", 10)
    paced, limited = (Simulation(deployed, way, Load(1_000)).run() for way in (Pacing, FixedLimit))

    assert limited.drained > 1.5 * paced.drained


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_a_single_upload_into_an_idle_stack_starts_within_a_second(workflow: str) -> None:
    assert calm(workflow, 10).first_start <= MOST_SECONDS_TO_START


def test_an_old_list_of_executions_does_no_harm() -> None:
    outcome = Simulation(read_deployed("STANDARD", 10), Pacing, Load(3_000), times=Times(list_lag=1.5)).run()

    assert_each_upload_ended_once(outcome)
    assert outcome.retries < 0.2 * outcome.uploads


def test_requests_to_the_api_are_answered_during_a_burst() -> None:
    outcome = run(Scenario("live", "STANDARD", 10, LIVE)).outcome

    assert outcome.posts_refused == 0
    assert len(outcome.post_seconds) == outcome.posts > 40
    assert sorted(outcome.post_seconds)[outcome.posts // 2] < 2


def test_a_picture_that_takes_a_minute_is_failed_after_one_retry() -> None:
    outcome = run(Scenario("poison", "STANDARD", 10, Load(200, poison_every=10))).outcome

    assert outcome.failed_by_picture == 20
    assert outcome.succeeded == 180
    assert outcome.bill.resizes == 180 + 2 * 20


def test_a_message_that_is_never_done_ends_in_the_dead_letters() -> None:
    deployed = replace(read_deployed("STANDARD", 10), receives=3)
    forever = (0.0, 1e9)

    outcome = Simulation(deployed, Pacing, Load(10, outage=forever)).run()

    assert outcome.dead_letters == 10
    assert outcome.most_receives == 3
    assert_each_upload_ended_once(outcome)


def test_the_same_seed_gives_the_same_burst() -> None:
    one, same, other = (run(Scenario("burst", "STANDARD", 10, Load(300)), seed).outcome for seed in (1, 1, 2))

    assert one == same
    assert one.busy != other.busy


def test_what_is_deployed_is_read_from_the_deployed_files() -> None:
    deployed = read_deployed("STANDARD", 10)
    first, spent, _ = read_state_machine()["States"]["ResizeImage"]["Retry"]

    assert deployed.starters + deployed.pictures <= 10
    assert deployed.visibility == 6 * deployed.starter_timeout
    assert deployed.transitions == 3
    assert deployed.retriers[NO_ROOM] == deployed.retriers[OUTAGE]
    assert deployed.retriers[NO_ROOM][1] == Retrier(
        interval=first["IntervalSeconds"],
        backoff=first["BackoffRate"],
        longest=first["MaxDelaySeconds"],
        most=first["MaxAttempts"],
        has_jitter=True,
    )
    assert deployed.retriers[TIMED_OUT][1].most == spent["MaxAttempts"]


def test_the_function_judges_express_runs() -> None:
    assert is_done("Permanent.NotAnImageError", receives=1)
    assert not is_done("StorageUnavailableError", receives=19)
    assert not is_done(TIMED_OUT, receives=1)
    assert is_done(TIMED_OUT, receives=2)


def assert_each_upload_ended_once(outcome: Outcome) -> None:
    ends = outcome.succeeded + outcome.failed_by_fault + outcome.failed_by_picture + outcome.dead_letters
    assert (ends, outcome.lost, outcome.doubled) == (outcome.uploads, 0, 0)
