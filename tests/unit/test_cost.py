"""The cost model, on figures that can be computed by hand."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cost.deployment import Deployment, way_of_a_success
from cost.measured import Measured, read_measured
from cost.model import (
    WORKFLOWS,
    Line,
    Work,
    break_even_seconds,
    express_mb,
    express_seconds,
    price_kms,
    price_month,
    price_notifications,
    price_notifications_month,
    price_polls,
    price_posts,
    price_work,
    total,
    traced_share,
)
from cost.prices import Peer, Price, PriceTable, read_prices
from cost.requests import Deed

DEPLOYMENT = Deployment(
    workflow="STANDARD",
    architecture="arm64",
    resize_mb=1024,
    start_mb=512,
    resize_timeout=60,
    starters=2,
    pictures=8,
    batch_size=2,
    transitions=3,
    definition_bytes=3000,
    log_level="ERROR",
    logs_data=False,
    log_days=30,
    access_log_bytes=500,
    metrics=4,
    api_metrics=10,
    alarms=12,
    dashboards=1,
    is_traced=True,
    notify_mb=256,
    notify_alarms=3,
    express_alarms=1,
    bucket_alarms=2,
    schedule_alarms=3,
    schedule_metrics=1,
)
MEASURED = Measured(
    source="by hand",
    resize_ms=400,
    start_ms=50,
    resize_log_bytes=1000,
    start_log_bytes=500,
    machine_log_bytes=10_000,
    resize_ms_5=800,
)
KEPT = pytest.approx(1.5e-6 * 30 / (365 / 12))


def units(lines: list[Line]) -> dict[str, float]:
    return {line.what: line.count for line in lines}


def test_one_upload_with_standard() -> None:
    assert units(price_work(Work(1), "STANDARD", DEPLOYMENT, MEASURED)) == {
        "state transitions": 3,
        "invocations of resize": 1,
        "GB-seconds of resize": pytest.approx(0.4),
        "invocations of start_from_s3": 1,
        # In a burst two starters wait while eight pictures are resized: a quarter of 0.4 s, with half a GB.
        "GB-seconds of start_from_s3": pytest.approx(0.05),
        "PUT of the original": 1,
        "PUTs of thumbnails and manifest": 2,
        "GETs and HEADs": 4,
        "send, receive, delete": 3,
        "GB of log of the functions": pytest.approx(1.5e-6),
        "GB-months of log kept": KEPT,
        "traces": 2,
    }


def test_one_upload_with_express() -> None:
    lines = units(price_work(Work(1), "EXPRESS", DEPLOYMENT, MEASURED))

    assert "state transitions" not in lines
    assert lines["Express runs"] == 1
    # 0.4 s and 0.1 s beside it, in one chunk of 64 MB.
    assert lines["Express GB-seconds"] == pytest.approx(0.5 / 16)
    assert lines["GB-seconds of start_from_s3"] == pytest.approx((0.05 + 0.5) / 2)


def test_five_thumbnails_take_more_time_and_requests() -> None:
    lines = units(price_work(Work(10, 5), "STANDARD", DEPLOYMENT, MEASURED))

    assert lines["GB-seconds of resize"] == pytest.approx(8)
    assert lines["PUTs of thumbnails and manifest"] == 60
    assert lines["GETs and HEADs"] == 80


def test_a_given_duration_takes_the_place_of_the_measured_one() -> None:
    lines = units(price_work(Work(1, 5, resize_seconds=2.0), "STANDARD", DEPLOYMENT, MEASURED))

    assert lines["GB-seconds of resize"] == 2


@pytest.mark.parametrize(
    ("deed", "owner", "puts", "gets"),
    [(Deed.REPLACED, 1, 3, 2), (Deed.REPEATED, 1, 1, 2), (Deed.DELETED, 0, 0, 2)],
)
def test_other_deeds(deed: Deed, owner: int, puts: int, gets: int) -> None:
    lines = units(price_work(Work(1, 2, deed), "STANDARD", DEPLOYMENT, MEASURED))

    assert lines.get("PUT of the original", 0) == owner
    assert lines.get("PUTs of thumbnails and manifest", 0) == puts
    assert lines["GETs and HEADs"] == gets


def test_the_log_of_the_state_machine_costs_at_all_only() -> None:
    lines = units(price_work(Work(1), "STANDARD", replace(DEPLOYMENT, log_level="ALL"), MEASURED))

    assert lines["GB of log of the state machine"] == pytest.approx(10e-6)
    assert lines["GB-months of log kept"] == pytest.approx(11.5e-6 * 30 / (365 / 12))


def test_nothing_is_traced_without_tracing() -> None:
    deployment = replace(DEPLOYMENT, is_traced=False)

    assert "traces" not in units(price_work(Work(1), "STANDARD", deployment, MEASURED))
    assert "traces" not in units(price_polls(1, deployment))


@pytest.mark.parametrize(("a_second", "share"), [(0.0, 0.0), (0.5, 1.0), (1.0, 1.0), (2.0, 0.525), (101.0, 6 / 101)])
def test_the_share_of_traces(a_second: float, share: float) -> None:
    assert traced_share(a_second * 730 * 3600) == pytest.approx(share)


@pytest.mark.parametrize(("seconds", "billed"), [(0.0, 0.1), (0.2, 0.3), (0.21, 0.4), (1.0, 1.1)])
def test_express_is_billed_in_tenths_of_a_second(seconds: float, billed: float) -> None:
    assert express_seconds(seconds) == billed


def test_express_is_billed_in_chunks_of_64_mb() -> None:
    assert express_mb(DEPLOYMENT) == 64
    assert express_mb(replace(DEPLOYMENT, definition_bytes=14 * 2**20)) == 128


def test_a_month() -> None:
    assert units(price_month(DEPLOYMENT)) == {
        "dashboard": 1,
        "metrics that alarms watch": 12,
        "custom metrics of functions and log": 4,
        "detailed metrics of the API": 10,
        # 730 hours of 180 long polls, in five places.
        "Lambda polls the empty queue": 657_000,
    }


def test_calls_of_the_api() -> None:
    posts, polls = units(price_posts(1, 1, DEPLOYMENT, MEASURED)), units(price_polls(1, DEPLOYMENT))

    assert polls == {"requests": 1, "GB of access log": pytest.approx(5e-7), "traces": 1}
    assert (posts["requests"], posts["state transitions"], posts["traces"]) == (1, 3, 2)
    assert posts["GB of log of the functions"] == pytest.approx(1e-6)
    # The original has a manifest, and nobody uploads it.
    assert (posts["PUTs of thumbnails and manifest"], posts["GETs and HEADs"]) == (2, 2)


def test_a_key_of_ones_own() -> None:
    with_bucket_key, without = (units(lines) for lines in price_kms(Work(100)))

    # PUT of the original, two GETs, two PUTs.
    assert without == {"key": 1, "requests": 500}
    assert with_bucket_key == {"key": 1, "requests": 5}


def table(**usd: float) -> PriceTable:
    real = read_prices()
    return replace(real, prices={name: replace(price, usd=usd.get(name, 0.0)) for name, price in real.prices.items()})


def test_dollars_are_units_times_prices() -> None:
    lines = [Line("S3", "a", 3, "s3_put"), Line("S3", "b", 10, "s3_get")]

    assert total(lines, table(s3_put=2.0, s3_get=0.5)) == 11.0


def test_where_express_stops_to_pay() -> None:
    # Three transitions of a dollar each against a run of one dollar and, with 1/16 GB, of a dollar a second.
    prices = table(state_transition=1.0, express_request=1.0, express_gb_second=16.0)

    seconds = break_even_seconds(DEPLOYMENT, MEASURED, prices)

    # From 2 s on they cost the same, so 1.9 s must be billed: 1.8 s, and 0.1 s beside it.
    assert seconds == pytest.approx(1.8, abs=1e-6)


def test_every_line_has_a_price() -> None:
    prices = read_prices()
    lines = [
        *price_month(DEPLOYMENT),
        *price_posts(1, 1, DEPLOYMENT, MEASURED),
        *price_kms(Work(1))[0],
        *(
            line
            for workflow in WORKFLOWS
            for architecture in ("arm64", "x86_64")
            for line in price_work(
                Work(1), workflow, replace(DEPLOYMENT, architecture=architecture, log_level="ALL"), MEASURED
            )
        ),
    ]

    assert {line.price for line in lines} <= prices.prices.keys()
    assert all(line.dollars(prices) > 0 for line in lines)


def test_a_peer_counts_originals_and_thumbnails() -> None:
    peer = Peer("a", usd=2.0, per_original=3, per_thumbnail=1, unit="", page="", confirmed="", note="")

    assert peer.dollars(10, thumbnails=5) == 160.0


def test_every_price_says_where_it_is_from() -> None:
    prices = read_prices()

    assert prices.looked_up
    for price in prices.prices.values():
        assert isinstance(price, Price)
        assert price.usd > 0
        assert price.page.startswith("https://aws.amazon.com/")
        assert price.confirmed
        assert price.how
    assert all(peer.page.startswith("https://") and peer.confirmed for peer in prices.peers)


def test_without_a_measurement_of_five_the_duration_is_that_of_one(tmp_path: Path) -> None:
    values = {"source": "burst", "resize_ms": 100, "start_ms": 1, "resize_log_bytes": 1, "start_log_bytes": 1}
    path = tmp_path / "measured.json"
    path.write_text(json.dumps({**values, "machine_log_bytes": 1}))

    assert read_measured(path).resize_seconds(5) == pytest.approx(0.1)


def test_durations_lie_on_a_line() -> None:
    assert [MEASURED.resize_seconds(sizes) for sizes in (1, 3, 5, 9)] == pytest.approx([0.4, 0.6, 0.8, 1.2])


def test_the_way_of_a_success() -> None:
    definition = {
        "StartAt": "Work",
        "States": {
            "Work": {"Type": "Task", "Next": "Check"},
            "Check": {
                "Type": "Choice",
                "Choices": [
                    {"Variable": "$.status", "StringEquals": "FAILED", "Next": "Sorry"},
                    {"Variable": "$.status", "StringEquals": "SUCCESS", "Next": "Tell"},
                ],
            },
            "Tell": {"Type": "Task", "End": True},
            "Sorry": {"Type": "Fail"},
        },
    }

    assert way_of_a_success(definition) == ["Work", "Check", "Tell"]


def test_notifications_are_priced_by_the_message() -> None:
    lines = {(line.group, line.what): line.count for line in price_notifications(1000, DEPLOYMENT)}

    assert lines["SNS", "messages published"] == lines["Lambda", "invocations of notify"] == 1000
    assert lines["SQS", "send, receive, delete"] == 3000
    # 75 ms at a quarter of a GB.
    assert lines["Lambda", "GB-seconds of notify"] == pytest.approx(1000 * 0.075 / 4)


def test_a_month_with_a_topic_has_an_alarm_and_a_queue_that_is_asked() -> None:
    alarm, polls = price_notifications_month(DEPLOYMENT)

    assert (alarm.count, alarm.price) == (3, "alarm_month")
    assert polls.count == next(line.count for line in price_month(DEPLOYMENT) if line.group == "SQS")
