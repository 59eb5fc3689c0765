"""Errors, alarms and their documents name the same things."""

import re
from typing import Any

from functions.resize import errors
from tests.deployed import ROOT, read_template

ERRORS = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
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


def test_every_error_of_the_api_is_documented_with_its_status() -> None:
    body = read_template()["Resources"]["ResizeApi"]["Properties"]["DefinitionBody"]
    (operation,) = body["paths"]["/resize"].values()
    templates = [
        response["responseTemplates"]["application/json"]
        for response in (
            *operation["x-amazon-apigateway-integration"]["responses"].values(),
            *body["x-amazon-apigateway-gateway-responses"].values(),
        )
    ]
    named = {name for template in templates for name in re.findall(r'"error": "(\w+)"', template)}
    documented = set(re.findall(r"`([A-Z][a-z]\w+)`", section("Of the API")))
    assert documented == named


def test_the_limits_that_are_named_exist() -> None:
    from functions.resize.limits import Limits  # noqa: PLC0415 - needed by this test only

    names = {f"LIMIT_{field.upper()}" for field in Limits.__dataclass_fields__}
    assert set(re.findall(r"LIMIT_\w+", ERRORS)) <= names


def test_faults_are_counted_for_every_error_but_the_permanent_ones() -> None:
    (found,) = resources("AWS::Logs::MetricFilter").values()
    pattern = found["Properties"]["FilterPattern"]
    assert set(re.findall(r'\$\.details\.error != "(\w+)"', pattern)) == concrete(errors.PermanentError)
    assert '$.type = "ExecutionTimedOut"' in pattern
    # https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutMetricFilter.html
    assert len(pattern) <= 1024


def test_every_alarm_has_a_line_in_the_runbook() -> None:
    rows = re.findall(r"^\| `(\w+Alarm)` \| .+ \| .+ \|$", RUNBOOK, re.MULTILINE)
    assert sorted(rows) == sorted(resources("AWS::CloudWatch::Alarm"))


def test_every_alarm_tells_somebody_and_is_quiet_without_data() -> None:
    for name, alarm in resources("AWS::CloudWatch::Alarm").items():
        properties = alarm["Properties"]
        assert properties["AlarmActions"]["Fn::If"][0] == "HasAlarmTopic", name
        assert properties["TreatMissingData"] == "notBreaching", name


def test_the_fault_alarm_watches_the_metric_of_the_filter() -> None:
    (found,) = resources("AWS::Logs::MetricFilter").values()
    (transformation,) = found["Properties"]["MetricTransformations"]
    alarm = resources("AWS::CloudWatch::Alarm")["ExecutionsFaultedAlarm"]["Properties"]
    assert (alarm["Namespace"], alarm["MetricName"]) == (
        transformation["MetricNamespace"],
        transformation["MetricName"],
    )
