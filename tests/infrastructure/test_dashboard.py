"""The dashboard: valid, without overlaps, of metrics that AWS documents, at the prices of the price table."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from cost.deployment import read_deployment
from cost.measured import read_measured
from cost.model import WORKFLOWS, Work, express_seconds, price_posts, price_work, start_seconds
from cost.prices import read_prices
from local.aws.insights import run
from local.intrinsics import Intrinsics
from smoke.checks.alarms import DOCUMENTED
from tests.dashboard import dashboard_of, expressions_of, lines_of, queries_of, stack_of, widget_query

DIMENSIONS = {
    "AWS/SQS": {"QueueName"},
    "AWS/Lambda": {"FunctionName"},
    "AWS/States": {"StateMachineArn"},
    "AWS/Events": {"RuleName"},
    "AWS/ApiGateway": {"ApiName", "Stage"},
}
KINDS = {
    "QueueName": "AWS::SQS::Queue",
    "FunctionName": "AWS::Serverless::Function",
    "StateMachineArn": "AWS::Serverless::StateMachine",
    "RuleName": "AWS::Events::Rule",
}
COLUMNS = 24
# "3 Custom Dashboards referencing up to 50 metrics each per month" are free: https://aws.amazon.com/cloudwatch/pricing/
FREE_METRICS = 50


@pytest.fixture(
    scope="module",
    params=itertools.product(WORKFLOWS, ("", "two-million-pictures"), ("arm64", "x86_64"), ("", "rate(7 days)")),
    ids=lambda values: "-".join(filter(None, values)),
)
def stack(request: pytest.FixtureRequest) -> Intrinsics:
    workflow, bucket, architecture, schedule = request.param
    return stack_of(
        {
            "UploadWorkflow": workflow,
            "ExistingOriginalsBucket": bucket,
            "Architecture": architecture,
            "ReconcileSchedule": schedule,
        }
    )


@pytest.fixture(scope="module")
def dashboard(stack: Intrinsics) -> dict[str, Any]:
    return dashboard_of(stack)


def existing(stack: Intrinsics, kind: str) -> dict[str, str]:
    """Return the physical ids of all resources of a type that these parameters make."""
    resources = stack.template["Resources"]
    return {name: found for name, found in stack.physical_ids.items() if resources[name]["Type"] == kind}


def cells(widget: dict[str, Any]) -> Iterator[tuple[int, int]]:
    return itertools.product(
        range(widget["x"], widget["x"] + widget["width"]), range(widget["y"], widget["y"] + widget["height"])
    )


def test_widgets_fill_the_grid_from_top_to_bottom(dashboard: dict[str, Any]) -> None:
    widgets = dashboard["widgets"]
    covered = [cell for widget in widgets for cell in cells(widget)]
    height = max(y for _, y in covered) + 1

    assert len(covered) == len(set(covered))
    assert set(covered) == set(itertools.product(range(COLUMNS), range(height)))
    assert widgets == sorted(widgets, key=lambda widget: (widget["y"], widget["x"]))
    assert widgets[0]["type"] == "alarm"


def test_every_widget_has_what_its_type_needs(stack: Intrinsics, dashboard: dict[str, Any]) -> None:
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
    needed = {"alarm": {"alarms"}, "log": {"region", "query"}, "metric": {"region", "metrics", "stat", "period"}}

    for widget in dashboard["widgets"]:
        assert needed[widget["type"]] | {"title"} <= widget["properties"].keys()
        assert widget["properties"].get("region", stack.pseudo["AWS::Region"]) == stack.pseudo["AWS::Region"]


def test_every_alarm_of_the_stack_is_shown(stack: Intrinsics, dashboard: dict[str, Any]) -> None:
    shown = dashboard["widgets"][0]["properties"]["alarms"]

    assert sorted(shown) == sorted(f"{name}.Arn" for name in existing(stack, "AWS::CloudWatch::Alarm").values())


def test_the_alarm_of_the_notifications_is_shown() -> None:
    shown = dashboard_of(stack_of({"NotificationTopicArn": "arn:aws:sns:us-east-1:123456789012:ready"}))

    assert "NotificationsNotSentAlarm.Arn" in shown["widgets"][0]["properties"]["alarms"]


def test_every_metric_of_aws_is_documented_and_of_this_stack(stack: Intrinsics, dashboard: dict[str, Any]) -> None:
    api = stack.template["Resources"]["ResizeApi"]["Properties"]
    values = {dimension: set(existing(stack, kind).values()) for dimension, kind in KINDS.items()}
    values |= {"ApiName": {stack.resolve(api["Name"])}, "Stage": {api["StageName"]}}
    metrics = [metric for metric, _ in lines_of(dashboard) if metric.namespace.startswith("AWS/")]

    assert metrics
    for metric in metrics:
        assert metric.name in DOCUMENTED[metric.namespace], metric
        assert {name for name, _ in metric.dimensions} == DIMENSIONS[metric.namespace], metric
        assert all(value in values[name] for name, value in metric.dimensions), metric


def test_the_dashboard_is_one_of_the_free_size(dashboard: dict[str, Any]) -> None:
    assert len({metric for metric, _ in lines_of(dashboard)}) <= FREE_METRICS


def test_every_state_machine_function_and_queue_is_shown(stack: Intrinsics, dashboard: dict[str, Any]) -> None:
    shown = {value for metric, _ in lines_of(dashboard) for _, value in metric.dimensions}

    for kind in KINDS.values():
        assert set(existing(stack, kind).values()) <= shown


def test_expressions_use_ids_of_their_widget(dashboard: dict[str, Any]) -> None:
    for widget in dashboard["widgets"]:
        options = [line[-1] for line in widget["properties"].get("metrics", ()) if isinstance(line[-1], dict)]
        ids = [each["id"] for each in options if "id" in each]
        used = {
            name for each in options if "expression" in each for name in re.findall(r"\b[a-z]\w*\b", each["expression"])
        }
        hidden = {each["id"] for each in options if each.get("visible") is False}

        assert len(ids) == len(set(ids))
        # Nothing is asked for in vain: each hidden metric is of some expression.
        assert hidden <= used <= set(ids)
        # "The first character must be a lowercase letter":
        # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
        assert all(re.fullmatch(r"[a-z]\w*", name) for name in ids)


def evaluate(expression: str, values: dict[str, float]) -> float:
    """Compute an expression in the part of metric math that Python shares, and ``FILL``."""
    names = {"FILL": lambda value, _: value, **values}
    return float(eval(expression, {"__builtins__": {}}, names))  # noqa: S307 - the expressions are ours


@pytest.mark.parametrize("thumbnails", [1, 5])
@pytest.mark.parametrize("architecture", ["arm64", "x86_64"])
@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_dollars_are_those_of_the_cost_model(workflow: str, architecture: str, thumbnails: int) -> None:
    """A million first uploads and a million calls of the API an hour: each service as docs/cost.md prices it."""
    count = 1e6
    prices, measured = read_prices(), read_measured()
    deployment = replace(read_deployment(), workflow=workflow, architecture=architecture)
    stack = stack_of({"UploadWorkflow": workflow, "Architecture": architecture})
    seconds = measured.resize_seconds(thumbnails)
    of_standard = 1 if workflow == "STANDARD" else 0
    each = {
        "standard": of_standard,
        "express": 1 - of_standard,
        "express_ms": (1 - of_standard) * express_seconds(seconds) * 1000,
        "resize": 1,
        "resize_ms": seconds * 1000,
        "start": 1,
        "start_ms": start_seconds(workflow, seconds, deployment, measured) * 1000,
        "reconcile": 0,
        "reconcile_ms": 0,
        "runs": 1,
        "written": thumbnails,
        "messages": 1,
        "calls": 1,
    }
    # Metrics are sums of five minutes.
    values = {name: value * count / 12 for name, value in each.items()}
    lines = [
        *price_work(Work(count, thumbnails), workflow, deployment, measured),
        *(line for line in price_posts(count, thumbnails, deployment, measured) if line.group == "API Gateway"),
    ]
    wanted: dict[str, float] = {}
    for line in lines:
        # The PUT of an original is its owner's.
        if line.what != "PUT of the original":
            wanted[line.group] = wanted.get(line.group, 0) + line.dollars(prices)

    found = {
        name: evaluate(expression, values)
        for name, expression in expressions_of(dashboard_of(stack), "Dollars an hour").items()
    }

    assert found == {
        "step_functions": pytest.approx(wanted["Step Functions"]),
        "lambda": pytest.approx(wanted["Lambda"]),
        "s3": pytest.approx(wanted["S3"]),
        "sqs": pytest.approx(wanted["SQS"]),
        "api": pytest.approx(wanted["API Gateway"]),
    }


def test_reconcile_is_priced_with_its_memory(stack: Intrinsics, dashboard: dict[str, Any]) -> None:
    prices = read_prices().prices
    gb_second = prices[f"lambda_gb_second_{stack.parameters['Architecture']}"].usd
    memory = stack.template["Resources"]["ReconcileFunction"]["Properties"]["MemorySize"]
    names = ("resize", "resize_ms", "start", "start_ms")

    found = evaluate(
        expressions_of(dashboard, "Dollars an hour")["lambda"],
        {**dict.fromkeys(names, 0.0), "reconcile": 10.0, "reconcile_ms": 60_000.0},
    )

    assert found == pytest.approx(12 * (10 * prices["lambda_request"].usd + 60 * memory / 1024 * gb_second))


def test_the_period_of_dollars_is_a_twelfth_of_an_hour(dashboard: dict[str, Any]) -> None:
    (widget,) = (each for each in dashboard["widgets"] if each["properties"]["title"].startswith("Dollars"))

    assert (widget["properties"]["period"], widget["properties"]["stat"]) == (300, "Sum")
    # Without it a period would follow the time range that is shown.
    assert dashboard["periodOverride"] == "inherit"
    assert all(text.startswith("12 * ") for text in expressions_of(dashboard, "Dollars an hour").values())


def test_what_the_api_served_is_what_it_did_not_refuse(dashboard: dict[str, Any]) -> None:
    (served,) = expressions_of(dashboard, "API: responses").values()

    assert evaluate(served, {"calls": 10, "refused": 3, "faulted": 2}) == 5


def test_the_dashboard_has_a_name_of_its_own_in_every_region() -> None:
    stack = stack_of({"BucketPrefix": "a" * 30})
    name = stack.resolve(stack.template["Resources"]["OperationsDashboard"]["Properties"]["DashboardName"])

    # "names can include A-Z, a-z, 0-9, - and _", and dashboards are of all regions:
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutDashboard.html
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,255}", name)
    assert name == f"{'a' * 30}-{stack.pseudo['AWS::Region']}"


def test_without_the_parameter_there_is_none() -> None:
    template = stack_of({}).template

    assert "OperationsDashboard" in stack_of({}).physical_ids
    assert "OperationsDashboard" not in stack_of({"Dashboard": "false"}).physical_ids
    assert template["Outputs"]["DashboardUrl"]["Condition"] == "HasDashboard"


def test_failures_are_counted_by_name(stack: Intrinsics, dashboard: dict[str, Any]) -> None:
    groups, query = widget_query(dashboard)
    events = [
        '{"type": "ExecutionFailed", "details": {"error": "Permanent.NotAnImageError", "cause": "…"}}',
        '{"type": "ExecutionTimedOut", "details": {}}',
        '{"type": "ExecutionFailed", "details": {"error": "Permanent.NotAnImageError", "cause": "…"}}',
        '{"type": "LambdaFunctionFailed", "details": {"error": "StorageUnavailableError"}}',
    ]

    rows = run(query, [{"@timestamp": str(at), "@message": message} for at, message in enumerate(events)])

    assert set(groups) <= set(existing(stack, "AWS::Logs::LogGroup").values())
    assert rows == [
        {"failure": "Permanent.NotAnImageError", "executions": 2},
        {"failure": "ExecutionTimedOut", "executions": 1},
    ]


def test_saved_queries_are_in_the_folder_of_the_stack(stack: Intrinsics) -> None:
    queries = queries_of(stack).values()

    assert sorted(query["Name"] for query in queries) == [
        "alison-image/Failures by name and folder",
        "alison-image/One key from event to thumbnail",
        "alison-image/Slowest pictures",
    ]
    for query in queries:
        assert set(query["LogGroupNames"]) <= set(existing(stack, "AWS::Logs::LogGroup").values())
