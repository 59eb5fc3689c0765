"""What the dashboard shows and the saved queries ask for is what the functions print: the real handlers, run here."""

import json
import re
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from local.aws.insights import fields, run
from samples.files import picture
from smoke.checks.alarms import Metric, emitted
from tests.conftest import ACCOUNT
from tests.dashboard import dashboard_of, lines_of, queries_of, stack_of, widget_query
from tests.functional.conftest import ORIGINALS, STATE_MACHINE_ARN, Function
from tests.functional.faults import answering
from tests.functional.test_resize_handler import event_for
from tests.functional.test_start_from_s3_handler import RUNNING, batch
from tests.s3_events import event_text

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

STACK = stack_of({})
LANGUAGE = {"and", "as", "asc", "by", "coalesce", "count", "desc", "fields", "filter", "in", "latest", "like", "limit"}
LANGUAGE |= {"not", "or", "parse", "sort", "stats"}
GOOD, BAD = "2026/trip/example.jpg", "2026/letter.jpg"
NAME = "upload-letter-jpg-0123456789abcdef0123456789abcdef"
# As Step Functions logs it: https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html
EXECUTION = f"{STATE_MACHINE_ARN.replace(':stateMachine:', ':execution:')}:{NAME}"


def machine_event(kind: str, **details: str) -> dict[str, Any]:
    return {
        "id": "5",
        "type": kind,
        "details": details,
        "redrive_count": "0",
        "previous_event_id": "4",
        "event_timestamp": "1790000000000",
        "execution_arn": EXECUTION,
    }


@pytest.fixture
def logs(
    resize: Function, start_from_s3: Function, s3: "S3Client", aws: boto3.Session, without_waiting: list[float]
) -> dict[str, list[dict[str, Any]]]:
    """Return the lines in each log group after one picture, one letter, and an upload that could not be started."""
    machine = aws.client("stepfunctions").create_state_machine(
        name="ImageResizeStateMachine",
        definition=json.dumps(RUNNING),
        roleArn=f"arn:aws:iam::{ACCOUNT}:role/ImageResizeStateMachine",
    )
    assert machine["stateMachineArn"] == STATE_MACHINE_ARN
    s3.put_object(Bucket=ORIGINALS, Key=GOOD, Body=picture())
    s3.put_object(Bucket=ORIGINALS, Key=BAD, Body=b"not a picture at all")
    start_from_s3(batch(event_text("put")))
    with answering("sfn.StartExecution", 500, "InternalFailure"):
        start_from_s3(batch(event_text("multipart_complete"), receives=2))
    resize(event_for(GOOD))
    resize({**event_for(BAD), "execution": NAME})
    assert without_waiting
    machine_lines = [
        machine_event("ExecutionFailed", error="Permanent.NotAnImageError", cause="Not in a recognised image format."),
        machine_event("LambdaFunctionFailed", error="StorageUnavailableError", cause="S3 did not complete GetObject."),
        machine_event("ExecutionFailed", error="StorageUnavailableError", cause="S3 did not complete GetObject."),
        machine_event("ExecutionTimedOut"),
    ]
    return {
        STACK.physical_ids["StartFromS3FunctionLogs"]: start_from_s3.log(),
        STACK.physical_ids["ResizeFunctionLogs"]: resize.log(),
        STACK.physical_ids["ImageResizeStateMachineLogs"]: machine_lines,
    }


def events_in(logs: dict[str, list[dict[str, Any]]], groups: list[str]) -> list[dict[str, Any]]:
    """Return the lines of some log groups as Logs Insights sees them, in the order of the groups."""
    lines = [(group, line) for group in groups for line in logs[group]]
    return [
        {"@timestamp": f"{at:04}", "@log": f"{ACCOUNT}:{group}", "@message": json.dumps(line, ensure_ascii=False)}
        for at, (group, line) in enumerate(lines)
    ]


def ask(logs: dict[str, list[dict[str, Any]]], logical_id: str, file: str = "cat.jpg") -> list[dict[str, Any]]:
    """Run a saved query, with the name of a file in place of the example in it."""
    query = queries_of(STACK)[logical_id]
    events = events_in(logs, sorted(query["LogGroupNames"], key=list(logs).index))
    return run(query["QueryString"].replace("/cat.jpg/", f"/{file}/"), events)


def names_in(query: str) -> set[str]:
    """Return the log fields that a query names: neither what it calls something, nor words of the language."""
    text = re.sub(r"(?m)^#.*$", "", query)
    made = set(re.findall(r"\bas (\w+)|\(\?<(\w+)>", text))
    text = re.sub(r""""[^"]*"|'[^']*'|/(?:[^/\\]|\\.)*/""", "", text)
    words = set(re.findall(r"[@a-zA-Z_][\w.]*", text))
    return words - {name for pair in made for name in pair} - LANGUAGE


@pytest.mark.parametrize("logical_id", sorted(queries_of(STACK)))
def test_every_field_of_a_query_is_in_its_logs(logical_id: str, logs: dict[str, list[dict[str, Any]]]) -> None:
    query = queries_of(STACK)[logical_id]
    printed = {
        name for event in events_in(logs, query["LogGroupNames"]) for name in (*fields(event["@message"]), *event)
    }

    wanted = names_in(query["QueryString"])

    assert wanted
    assert wanted - printed == set()


def test_every_field_of_the_dashboard_is_in_its_logs(logs: dict[str, list[dict[str, Any]]]) -> None:
    groups, query = widget_query(dashboard_of(STACK))
    printed = {name for event in events_in(logs, groups) for name in fields(event["@message"])}

    assert names_in(query) == {"type", "details.error"}
    assert names_in(query) <= printed


def test_one_key_from_event_to_thumbnail(logs: dict[str, list[dict[str, Any]]]) -> None:
    started, resized = ask(logs, "OneKeyQuery", "example.jpg")

    assert [row["what"] for row in (started, resized)] == ["execution started", "resized"]
    assert {row["object_key"] for row in (started, resized)} == {GOOD}
    assert started["execution_name"].startswith("upload-example-jpg-")
    assert started["@log"] != resized["@log"]


def test_one_key_that_failed_for_good(logs: dict[str, list[dict[str, Any]]]) -> None:
    line, *ends = ask(logs, "OneKeyQuery", "letter.jpg")

    assert (line["what"], line["failure"], line["object_key"]) == ("resize failed", "NotAnImageError", BAD)
    assert line["execution_name"] == NAME
    # The execution's name has a hyphen where the key has a dot.
    assert [row["what"] for row in ends] == [
        *("ExecutionFailed", "LambdaFunctionFailed", "ExecutionFailed", "ExecutionTimedOut")
    ]
    assert ends[0]["failure"] == "Permanent.NotAnImageError"
    assert ends[0]["why"] == "Not in a recognised image format."
    assert all(row["execution_name"].endswith(NAME) for row in ends)


def test_one_key_that_was_not_started(logs: dict[str, list[dict[str, Any]]]) -> None:
    (row,) = ask(logs, "OneKeyQuery", "scan-0001.tif")

    assert (row["what"], row["level"]) == ("message returned to the queue", "ERROR")
    assert "InternalFailure" in row["@message"]


def test_slowest_pictures(logs: dict[str, list[dict[str, Any]]]) -> None:
    (row,) = ask(logs, "SlowestPicturesQuery")

    assert row["total_ms"] == pytest.approx(row["download_ms"] + row["resize_ms"] + row["upload_ms"])
    assert (row["object_key"], row["format"], row["attempts"]) == (GOOD, "JPEG", 1)


def test_failures_by_name_and_folder(logs: dict[str, list[dict[str, Any]]]) -> None:
    rows = ask(logs, "FailuresQuery")

    # The same failure is in both logs, and counted once.
    assert sorted(rows, key=lambda row: row["failure"]) == [
        {"failure": "ExecutionTimedOut", "failures": 1, "last_one": EXECUTION},
        {"failure": "NotAnImageError", "folder": "2026/", "failures": 1, "last_one": BAD},
        {"failure": "StorageUnavailableError", "failures": 1, "last_one": EXECUTION},
    ]


def test_every_metric_of_the_pipeline_is_sent(
    capsys: pytest.CaptureFixture[str], logs: dict[str, list[dict[str, Any]]]
) -> None:
    assert all(logs.values())
    shown = {metric for metric, _ in lines_of(dashboard_of(STACK)) if not metric.namespace.startswith("AWS/")}
    sent = set(emitted(json.loads(line) for line in capsys.readouterr().out.splitlines()))
    filtered = {
        Metric(STACK.resolve(made["MetricNamespace"]), made["MetricName"])
        for resource in STACK.template["Resources"].values()
        if resource["Type"] == "AWS::Logs::MetricFilter"
        for made in resource["Properties"]["MetricTransformations"]
    }

    assert shown
    assert shown - sent - filtered == set()
