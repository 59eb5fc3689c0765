"""The dashboard and the saved queries as they were deployed: each query runs over what the functions really logged."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.dashboard import widget_query
from tests.e2e.pipeline import Pipeline, photograph
from tests.waiting import wait_for

KEYS = ("queries/deep down/photo.one.jpg", "queries/letter.jpg")


@pytest.fixture(scope="module")
def executions(pipeline: Pipeline) -> dict[str, Any]:
    """Upload a photograph and a letter, and describe the executions that they started."""
    pipeline.upload(KEYS[0], photograph())
    pipeline.upload(KEYS[1], b"not a picture at all, a letter")
    return {key: pipeline.end_of_upload(key) for key in KEYS}


def run(pipeline: Pipeline, groups: list[str], query: str) -> list[dict[str, str]]:
    logs = pipeline.settings.client("logs")
    now = int(time.time())
    started = logs.start_query(logGroupNames=groups, startTime=now - 3600, endTime=now + 60, queryString=query)
    answer = logs.get_query_results(queryId=started["queryId"])
    assert answer["status"] == "Complete"
    return [{each["field"]: each["value"] for each in row} for row in answer["results"]]


def ask(pipeline: Pipeline, name: str, file: str = "cat.jpg") -> list[dict[str, str]]:
    """Run a saved query as it was deployed, with the name of a file in place of the example in it."""
    logs = pipeline.settings.client("logs")
    (saved,) = logs.describe_query_definitions(queryDefinitionNamePrefix=f"alison-image/{name}")["queryDefinitions"]
    return run(pipeline, saved["logGroupNames"], saved["queryString"].replace("/cat.jpg/", f"/{file}/"))


def wait_for_rows(
    pipeline: Pipeline, name: str, file: str = "cat.jpg", *, is_enough: Callable[[list[dict[str, str]]], bool]
) -> list[dict[str, str]]:
    """Run a saved query until its rows are enough: logs are written after an execution has ended."""
    return wait_for(lambda: rows if is_enough(rows := ask(pipeline, name, file)) else None, name) or []


def test_one_key_from_event_to_thumbnail(pipeline: Pipeline, executions: dict[str, Any]) -> None:
    rows = wait_for_rows(pipeline, "One key", "photo.one.jpg", is_enough=lambda rows: len(rows) == 2)

    assert [row["what"] for row in rows] == ["execution started", "resized"]
    assert [row["@log"].rpartition("-")[2] for row in rows] == ["s3", "resizer"]
    assert {row["object_key"] for row in rows} == {KEYS[0]}
    assert {row["execution_name"] for row in rows} == {executions[KEYS[0]]["name"]}


def test_one_key_of_a_failure_has_its_end(pipeline: Pipeline, executions: dict[str, Any]) -> None:
    name = executions[KEYS[1]]["name"]

    # By the name of the execution, which all three logs have.
    rows = wait_for_rows(pipeline, "One key", name, is_enough=lambda rows: len(rows) == 3)

    assert {row["what"]: row.get("failure") for row in rows} == {
        "execution started": None,
        "resize failed": "NotAnImageError",
        "ExecutionFailed": "Permanent.NotAnImageError",
    }
    (end,) = (row for row in rows if row["what"] == "ExecutionFailed")
    assert end["execution_name"] == executions[KEYS[1]]["executionArn"]
    assert end["why"] == executions[KEYS[1]]["cause"]


@pytest.mark.usefixtures("executions")
def test_slowest_pictures(pipeline: Pipeline) -> None:
    rows = wait_for_rows(
        pipeline, "Slowest", is_enough=lambda rows: KEYS[0] in {row["object_key"] for row in rows} or len(rows) == 50
    )

    times = [float(row["total_ms"]) for row in rows]
    assert times == sorted(times, reverse=True)
    assert all(time > 0 for time in times)


@pytest.mark.usefixtures("executions")
def test_failures_by_name_and_folder(pipeline: Pipeline) -> None:
    rows = wait_for_rows(pipeline, "Failures", is_enough=lambda rows: "queries/" in {row.get("folder") for row in rows})

    (row,) = (row for row in rows if row.get("folder") == "queries/")
    assert row == {"failure": "NotAnImageError", "folder": "queries/", "failures": "1", "last_one": KEYS[1]}


@pytest.mark.usefixtures("executions")
def test_the_dashboard_is_deployed_with_what_there_is(pipeline: Pipeline) -> None:
    cloudwatch = pipeline.settings.client("cloudwatch")
    name = pipeline.stack.outputs()["DashboardUrl"].rpartition("/")[2]

    dashboard = json.loads(cloudwatch.get_dashboard(DashboardName=name)["DashboardBody"])

    assert name == "alison-image-us-east-1"
    alarms = {alarm["AlarmArn"] for alarm in cloudwatch.describe_alarms()["MetricAlarms"]}
    assert set(dashboard["widgets"][0]["properties"]["alarms"]) == alarms
    failures = run(pipeline, *widget_query(dashboard))
    assert int(next(row for row in failures if row["failure"] == "Permanent.NotAnImageError")["executions"]) >= 1
