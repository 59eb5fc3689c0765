"""The dashboard and the saved queries as CloudFormation would make them of the template."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from local.intrinsics import Intrinsics
from local.template import example_stack
from smoke.checks.alarms import Metric

# Properties that name a resource, which its metrics and log groups go by.
_NAMES = ("BucketName", "FunctionName", "LogGroupName", "Name", "QueueName")


def stack_of(parameters: dict[str, str]) -> Intrinsics:
    """Return a stack with only the resources that these parameters make, under their names."""
    stack = example_stack(parameters)
    there = {name: resource for name, resource in stack.template["Resources"].items() if stack.has(name)}
    ids = {name: _name(stack, resource) or name for name, resource in there.items()}
    return replace(stack, physical_ids=ids, attribute=lambda _, physical_id, name: _attribute(physical_id, name))


def _name(stack: Intrinsics, resource: dict[str, Any]) -> str:
    properties = resource.get("Properties", {})
    name = next((str(stack.resolve(properties[key])) for key in _NAMES if key in properties), "")
    # Ref is the ARN: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-stepfunctions-statemachine.html
    return f"arn:aws:states:::stateMachine:{name}" if "StateMachine" in resource["Type"] else name


def _attribute(physical_id: str, name: str) -> str:
    return physical_id if name == "QueueName" else f"{physical_id}.{name}"


def dashboard_of(stack: Intrinsics) -> dict[str, Any]:
    """Return the body of the dashboard."""
    properties = stack.template["Resources"]["OperationsDashboard"]["Properties"]
    body: dict[str, Any] = json.loads(stack.resolve(properties["DashboardBody"]))
    return body


def lines_of(dashboard: dict[str, Any]) -> Iterator[tuple[Metric, dict[str, Any]]]:
    """Yield every metric of every widget with the options of its line."""
    for widget in dashboard["widgets"]:
        for line in widget["properties"].get("metrics", ()):
            options = line[-1] if isinstance(line[-1], dict) else {}
            if "expression" not in options:
                namespace, name, *dimensions = line[:-1] if options else line
                pairs = zip(dimensions[::2], dimensions[1::2], strict=True)
                yield Metric(namespace, name, frozenset(pairs)), options


def expressions_of(dashboard: dict[str, Any], title: str) -> dict[str, str]:
    """Return the expressions of the widget whose title begins so, by id."""
    (widget,) = (each for each in dashboard["widgets"] if each["properties"].get("title", "").startswith(title))
    lines = [line[0] for line in widget["properties"]["metrics"] if isinstance(line[0], dict)]
    return {line["id"]: line["expression"] for line in lines}


def queries_of(stack: Intrinsics) -> dict[str, dict[str, Any]]:
    """Return name, log groups and text of every saved query, by logical id."""
    return {
        name: stack.resolve(resource["Properties"])
        for name, resource in stack.template["Resources"].items()
        if resource["Type"] == "AWS::Logs::QueryDefinition"
    }


def widget_query(dashboard: dict[str, Any]) -> tuple[list[str], str]:
    """Return log groups and text of the one query on the dashboard."""
    (text,) = (widget["properties"]["query"] for widget in dashboard["widgets"] if widget["type"] == "log")
    groups, query = re.fullmatch(r"((?:SOURCE '[^']+' \| )+)(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]
    return re.findall(r"'([^']+)'", groups), query
