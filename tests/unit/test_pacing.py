"""Executions are started no faster than they are worked on, and a single one at once."""

import pytest

from burst.deployed import read_deployed
from functions.start_from_s3.pacing import Pacing


def test_it_looks_before_it_starts_anything() -> None:
    pacing = Pacing(pictures=6, starters=2)

    assert pacing.may_look(1000.0)
    assert not pacing.may_start(1000.0)
    assert pacing.seconds_to_wait(1000.0) == 0


def test_a_single_upload_into_an_idle_stack_starts_at_once() -> None:
    pacing = Pacing(pictures=6, starters=2)

    pacing.looked(0, 1000.0)

    assert pacing.may_start(1000.0)


@pytest.mark.parametrize("concurrency", [4, 10, 20, 50, 100, 200, 500, 1000])
def test_a_single_upload_starts_at_once_with_every_concurrency(concurrency: int) -> None:
    deployed = read_deployed("STANDARD", concurrency)
    pacing = Pacing(deployed.pictures, deployed.starters)

    pacing.looked(0, 1000.0)

    assert pacing.may_start(1000.0)


def test_two_pictures_at_once_are_not_joined_by_a_third_at_every_look() -> None:
    pacing = Pacing(pictures=2, starters=2)
    work_off(pacing, rate=1.4, seconds=30)

    pacing.looked(2, 1030.0)

    assert not pacing.may_start(1030.0)


def test_an_idle_stack_takes_the_share_of_a_starter_at_once() -> None:
    pacing = Pacing(pictures=6, starters=2)
    pacing.looked(0, 1000.0)

    assert start_all(pacing, 1000.0) == pytest.approx(pacing.most / 2, abs=1)


def test_nothing_is_started_while_enough_run() -> None:
    pacing = Pacing(pictures=6, starters=2)

    for second in range(60):
        now = 1000.0 + second
        if pacing.may_look(now):
            pacing.looked(pacing.most, now)
        assert not pacing.may_start(now)


def test_between_two_looks_executions_are_started_evenly() -> None:
    pacing = Pacing(pictures=40, starters=1)
    work_off(pacing, rate=50.0, seconds=30)
    pacing.looked(pacing.most, 1030.0)

    started = [start_all(pacing, 1030.0 + step / 20) for step in range(20)]

    assert sum(started) == pytest.approx(50, rel=0.3)
    assert max(started) <= 5


def test_too_many_slow_it_down_and_too_few_make_it_faster() -> None:
    slower, faster = Pacing(pictures=40, starters=1), Pacing(pictures=40, starters=1)
    for pacing in (slower, faster):
        work_off(pacing, rate=50.0, seconds=30)

    slower.looked(2 * slower.most, 1030.0)
    faster.looked(round(0.96 * faster.most), 1030.0)

    assert count_starts(slower, 1030.0, 1.0) < 30
    assert count_starts(faster, 1030.0, 1.0) > 45


@pytest.mark.parametrize(("rate", "starters"), [(9.0, 2), (16.0, 12), (22.0, 18)])
@pytest.mark.parametrize("took", [0.1, 1.1])
def test_without_a_number_the_pace_goes_on(took: float, rate: float, starters: int) -> None:
    pacing = Pacing(pictures=round(rate * starters * 0.4), starters=starters)
    work_off(pacing, rate=rate, seconds=30)

    assert rate / 2 < look_in_vain(pacing, 1030.0, 120, took) / 120 < rate * 1.2


def test_without_a_number_one_execution_a_look_is_started_in_an_idle_stack() -> None:
    pacing = Pacing(pictures=80, starters=12)

    pacing.not_counted(1000.0, 1007.0)

    assert start_all(pacing, 1007.0) == 1
    assert 4 <= look_in_vain(pacing, 1007.0, 60, 7.0) <= 15


def look_in_vain(pacing: Pacing, begin: float, seconds: float, took: float) -> int:
    """Start what may be started while every look fails after some time; return how many."""
    now, started = begin, 0
    while now < begin + seconds:
        if pacing.may_look(now):
            pacing.not_counted(now, now + took)
            now += took
        started += start_all(pacing, now)
        now += 0.02
    return started


def test_few_executions_are_corrected_more_slowly_than_many() -> None:
    few, many = Pacing(pictures=2, starters=1), Pacing(pictures=80, starters=1)
    for pacing in (few, many):
        work_off(pacing, rate=pacing.most / 0.6, seconds=30)
    before = [pacing.most / 0.6 for pacing in (few, many)]

    for pacing in (few, many):
        pacing.looked(pacing.most // 2, 1030.0)
        start_all(pacing, 1030.0)

    few_more, many_more = (
        count_starts(pacing, 1030.0, 1.0) / rate for pacing, rate in zip((few, many), before, strict=True)
    )
    assert few_more < 1.6
    assert many_more > 1.8


def test_long_executions_are_corrected_more_slowly_than_short_ones() -> None:
    short, long = Pacing(pictures=80, starters=1), Pacing(pictures=80, starters=1)
    more = []

    for pacing, seconds in ((short, 0.5), (long, 5.0)):
        work_off(pacing, rate=pacing.most / seconds, seconds=30)
        pacing.looked(round(0.96 * pacing.most), 1030.0)
        more.append(count_starts(pacing, 1030.0, 1.0) / (pacing.most / seconds))

    assert more[1] < more[0] < 1.2


def test_far_too_many_slow_it_down_at_the_next_look() -> None:
    pacing = Pacing(pictures=40, starters=1)
    work_off(pacing, rate=100.0, seconds=30)

    # The caller counts no more.
    pacing.looked(pacing.enough, 1030.0)

    assert count_starts(pacing, 1030.0, 1.0) < 40


def test_the_first_executions_do_not_count_for_the_pace() -> None:
    """They are slow, because their functions are new; taken for the pace of the work, they would hold it down."""
    pacing = Pacing(pictures=80, starters=1)
    pacing.looked(0, 1000.0)
    for step in range(800):
        if step >= 200:
            pacing.started(1000.0 + step / 200)

    pacing.looked(pacing.most, 1004.0)
    start_all(pacing, 1004.0)

    assert count_starts(pacing, 1004.0, 1.0) == pytest.approx(200, rel=0.05)


def test_a_starter_that_is_ahead_yields_more() -> None:
    fast, slow = Pacing(pictures=40, starters=2), Pacing(pictures=40, starters=2)
    work_off(fast, rate=40.0, seconds=30)
    work_off(slow, rate=10.0, seconds=30)

    for pacing in (fast, slow):
        pacing.looked(2 * pacing.most, 1030.0)

    assert 40 - count_starts(fast, 1030.0, 1.0) > 10 - count_starts(slow, 1030.0, 1.0)


@pytest.mark.parametrize("starters", [2, 6, 18])
def test_all_starters_together_look_no_more_than_once_a_second(starters: int) -> None:
    pacing = Pacing(pictures=50, starters=starters)
    looks = 0

    for step in range(6000):
        now = 1000.0 + step / 10
        if pacing.may_look(now):
            pacing.looked(pacing.most, now)
            looks += step > 3000
        start_all(pacing, now)

    assert looks * starters <= 310


def test_it_never_waits_longer_than_until_the_next_look() -> None:
    pacing = Pacing(pictures=6, starters=2)
    pacing.looked(100, 1000.0)

    wait = pacing.seconds_to_wait(1000.0)

    assert 0 < wait <= 2
    assert pacing.may_look(1000.0 + wait)


def test_after_the_wait_it_may_start_or_look() -> None:
    pacing = Pacing(pictures=40, starters=3)
    now = 1000.0

    for _ in range(2000):
        if pacing.may_look(now):
            pacing.looked(30, now)
        if pacing.may_start(now):
            pacing.started(now)
            continue
        wait = pacing.seconds_to_wait(now)
        assert wait > 0
        now += wait
        assert pacing.may_look(now) or pacing.may_start(now)


def test_one_that_is_refused_rests_a_second() -> None:
    pacing = Pacing(pictures=40, starters=1)
    pacing.looked(0, 1000.0)

    pacing.refused(1000.2)

    assert not pacing.may_start(1000.9)
    assert pacing.seconds_to_wait(1000.2) == pytest.approx(1.0)
    pacing.looked(0, 1001.3)
    assert pacing.may_start(1001.3)


def test_no_limit_is_higher_than_what_a_page_of_the_list_shows() -> None:
    pacing = Pacing(pictures=930, starters=18)

    assert pacing.most < pacing.enough == 1000


def start_all(pacing: Pacing, now: float) -> int:
    """Start as many as may be started now."""
    count = 0
    while pacing.may_start(now):
        pacing.started(now)
        count += 1
    return count


def count_starts(pacing: Pacing, begin: float, seconds: float) -> int:
    return sum(start_all(pacing, begin + step * seconds / 100) for step in range(100) if not pacing.may_look(begin))


def work_off(pacing: Pacing, rate: float, seconds: int) -> None:
    """Let a starter start so many executions a second from 1000.0 on."""
    pacing.looked(pacing.most, 1000.0)
    for step in range(int(rate * seconds)):
        now = 1000.0 + step / rate
        if pacing.may_look(now):
            pacing.looked(pacing.most, now)
        pacing.started(now)
