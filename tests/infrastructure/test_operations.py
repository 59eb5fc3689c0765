"""Errors, alarms and their documents name the same things."""

import json
import re
from dataclasses import fields
from typing import Any

import pytest

from functions.reconcile.errors import RefusedError
from functions.resize import errors
from functions.resize.limits import Limits
from local.aws.filter_pattern import compile_json
from local.template import example_stack
from tests.deployed import ROOT, read_state_machine, read_template

ERRORS = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
LIMITS = re.findall(r"^\| `(LIMIT_\w+)` \| ([0-9,]+) \|", ERRORS, re.MULTILINE)
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")


def concrete(base: type[errors.ResizeError]) -> set[str]:
    return {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, base) and value is not base
    }


def section(title: str) -> str:
    return ERRORS.split(f"## {title}")[1].split("\n## ")[0]


def resources(kind: str) -> dict[str, Any]:
    return {name: item for name, item in read_template()["Resources"].items() if item["Type"] == kind}


def test_every_permanent_error_is_documented_as_not_retried() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", section("Permanent"), re.MULTILINE)
    assert {name for name, _ in rows} == concrete(errors.PermanentError)
    assert {retried for _, retried in rows} == {"no"}


def test_every_transient_error_is_documented_as_retried() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", section("Transient"), re.MULTILINE)
    assert {name for name, _ in rows} == concrete(errors.TransientError)
    assert {retried for _, retried in rows} == {"yes"}


def test_every_error_of_the_api_is_documented() -> None:
    body = read_template()["Resources"]["ResizeApi"]["Properties"]["DefinitionBody"]
    named = set(re.findall(r'"error": "(\w+)"', json.dumps(body).replace('\\"', '"')))
    rows = re.findall(r"^\| [0-9x]{3} \| (.+?) \|", section("API errors"), re.MULTILINE)
    documented = {name.strip("`") for row in rows for name in row.split(", ")}
    assert documented == named


def test_every_reason_to_refuse_a_reconcile_is_documented() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", section("Reconcile"), re.MULTILINE)
    assert set(rows) == {each.__name__ for each in RefusedError.__subclasses__()}


def test_the_limits_are_those_of_the_function() -> None:
    documented = {name: int(default.replace(",", "")) for name, default in LIMITS}
    assert documented == {f"LIMIT_{field.name.upper()}": field.default for field in fields(Limits)}
    assert set(re.findall(r"`(LIMIT_[A-Z_]+)`", ERRORS)) == documented.keys()


@pytest.mark.parametrize(
    ("event", "counted"),
    [
        ({"type": "ExecutionFailed", "details": {"error": "StorageUnavailableError", "cause": "…"}}, True),
        ({"type": "ExecutionFailed", "details": {"error": "InvalidResult"}}, True),
        ({"type": "ExecutionFailed", "details": {}}, True),
        ({"type": "ExecutionFailed"}, True),
        ({"type": "ExecutionTimedOut"}, True),
        ({"type": "TaskFailed", "details": {"error": "StorageUnavailableError"}}, False),
        ({"type": "ExecutionSucceeded", "details": {}}, False),
        ({"type": "ExecutionAborted", "details": {}}, False),
    ],
    ids=str,
)
def test_which_ends_of_executions_are_counted_as_faults(event: dict[str, Any], *, counted: bool) -> None:
    (found,) = resources("AWS::Logs::MetricFilter").values()
    assert compile_json(found["Properties"]["FilterPattern"])(json.dumps(event)) is counted


@pytest.mark.parametrize("error", sorted(concrete(errors.PermanentError)))
def test_a_permanent_error_is_no_fault(error: str) -> None:
    prefix = read_state_machine({})["States"]["ResizeFailed"]["ErrorPath"].split("'")[1]
    event = {"type": "ExecutionFailed", "details": {"error": prefix.format(error)}}
    (found,) = resources("AWS::Logs::MetricFilter").values()
    assert not compile_json(found["Properties"]["FilterPattern"])(json.dumps(event))


def test_every_alarm_has_a_line_in_the_runbook() -> None:
    rows = re.findall(r"^\| `(\w+Alarm)` \| .+ \| .+ \|$", RUNBOOK, re.MULTILINE)
    assert sorted(rows) == sorted(resources("AWS::CloudWatch::Alarm"))


def test_every_alarm_tells_somebody_and_is_quiet_without_data() -> None:
    for name, alarm in resources("AWS::CloudWatch::Alarm").items():
        properties = alarm["Properties"]
        assert properties["AlarmActions"]["Fn::If"][0] == "HasAlarmTopic", name
        # What a check found stays true until the next one.
        assert properties["TreatMissingData"] == ("ignore" if name == "DriftAlarm" else "notBreaching"), name


@pytest.mark.parametrize("second", range(0, 60, 7))
@pytest.mark.parametrize(
    ("workflow", "alarm", "first_that_counts", "minutes"),
    [
        # A message that can never be started is counted at once, one that may be the next time from then on.
        ("STANDARD", "UploadsNotStartedAlarm", 1, 3),
        ("STANDARD", "UploadsNotStartedAlarm", 2, 15),
        ("EXPRESS", "UploadsNotStartedAlarm", 2, 36),
        # An invocation that failed: it could not start, crashed or timed out.
        ("STANDARD", "StartFromS3ErrorsAlarm", 1, 15),
        ("EXPRESS", "StartFromS3ErrorsAlarm", 1, 36),
    ],
)
def test_when_one_upload_that_cannot_be_started_is_known(
    workflow: str, alarm: str, first_that_counts: int, minutes: int, second: int
) -> None:
    """The queue delivers a message again after each visibility timeout; an alarm looks at whole minutes.

    A minute is left for CloudWatch to take the metric in and evaluate the alarm.
    """
    settings = resources("AWS::CloudWatch::Alarm")[alarm]["Properties"]
    queue = read_template()["Resources"]["UploadsQueue"]["Properties"]
    pause = example_stack({"UploadWorkflow": workflow}).resolve(queue["VisibilityTimeout"])
    assert (settings["Statistic"], settings["Period"], settings["Threshold"]) == ("Sum", 60, 0)
    failed = {(second + receive * pause) // 60 for receive in range(20) if receive + 1 >= first_that_counts}
    looked_at = range(settings["EvaluationPeriods"])
    needed = settings.get("DatapointsToAlarm", settings["EvaluationPeriods"])

    fires = next(minute for minute in range(120) if sum(minute - earlier in failed for earlier in looked_at) >= needed)

    assert 60 * (fires + 1) - second <= 60 * (minutes - 1)


@pytest.mark.parametrize(
    ("waiting", "worked_on", "is_stalled"), [(0, 0, False), (100_000, 300, False), (100_000, 1, False), (1, 0, True)]
)
def test_a_burst_that_is_worked_off_is_no_stall(waiting: int, worked_on: int, *, is_stalled: bool) -> None:
    metrics = resources("AWS::CloudWatch::Alarm")["UploadsStalledAlarm"]["Properties"]["Metrics"]
    by_id = {metric["Id"]: metric for metric in metrics}
    condition = re.fullmatch(r"IF\((\w+) > (\d+) AND FILL\((\w+), 0\) < (\d+), 1, 0\)", by_id["stalled"]["Expression"])
    assert condition is not None
    values = {"waiting": waiting, "worked_on": worked_on}

    stalled = values[condition[1]] > int(condition[2]) and values[condition[3]] < int(condition[4])

    assert stalled is is_stalled
    named = {name: metric["MetricStat"]["Metric"]["MetricName"] for name, metric in by_id.items() if name in values}
    assert named == {"waiting": "ApproximateNumberOfMessagesVisible", "worked_on": "NumberOfMessagesDeleted"}


# By the simulation of ten functions (make burst), a minute of a burst has some 90 throttles among 1,000 attempts of the
# resize function, and 4 among 180 of start_from_s3; 13 among 35 in the first minute if a picture takes 5 s.
@pytest.mark.parametrize("function", ["Resize", "StartFromS3"])
@pytest.mark.parametrize(
    ("throttled", "run", "is_too_much"),
    [(90, 910, False), (4, 176, False), (13, 22, False), (0, 1, False), (60, 20, True), (9, 0, True)],
)
def test_the_throttles_of_a_burst_are_no_alarm(function: str, throttled: int, run: int, *, is_too_much: bool) -> None:
    alarm = resources("AWS::CloudWatch::Alarm")[f"{function}ThrottlesAlarm"]["Properties"]
    by_id = {metric["Id"]: metric for metric in alarm["Metrics"]}
    quotient = re.fullmatch(r"(\w+) / \((\w+) \+ FILL\((\w+), 0\)\)", by_id["share"]["Expression"])
    assert quotient is not None
    values = {"throttled": throttled, "run": run}

    share = values[quotient[1]] / (values[quotient[2]] + values[quotient[3]])

    assert (share > alarm["Threshold"]) is is_too_much
    watched = {name: by_id[name]["MetricStat"]["Metric"] for name in values}
    named = {name: metric["MetricName"] for name, metric in watched.items()}
    assert named == {"throttled": "Throttles", "run": "Invocations"}
    functions = [dimension["Value"] for metric in watched.values() for dimension in metric["Dimensions"]]
    assert functions == [{"Ref": f"{function}Function"}] * 2


@pytest.mark.parametrize(("workflow", "machines"), [("STANDARD", 1), ("EXPRESS", 2)])
def test_the_ceiling_counts_the_executions_of_all_state_machines(workflow: str, machines: int) -> None:
    alarm = resources("AWS::CloudWatch::Alarm")["ExecutionsPerHourAlarm"]["Properties"]
    expression, *counted = example_stack({"UploadWorkflow": workflow}).resolve(alarm["Metrics"])

    assert set(re.findall(r"FILL\((\w+), 0\)", expression["Expression"])) == {metric["Id"] for metric in counted}
    assert len(counted) == machines
    assert all(metric["MetricStat"]["Period"] == 3600 for metric in counted)


def test_the_fault_alarm_watches_the_metric_of_the_filter() -> None:
    (found,) = resources("AWS::Logs::MetricFilter").values()
    (transformation,) = found["Properties"]["MetricTransformations"]
    alarm = resources("AWS::CloudWatch::Alarm")["ExecutionsFaultedAlarm"]["Properties"]
    assert (alarm["Namespace"], alarm["MetricName"]) == (
        transformation["MetricNamespace"],
        transformation["MetricName"],
    )
