"""Read the properties of a deployment that cost money from the deployed files: template, state machine, handlers."""

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from local.intrinsics import Intrinsics
from local.template import example_stack

_ROOT = Path(__file__).parents[1]
_STATE_MACHINE = _ROOT / "statemachine" / "image_resize.asl.json"
_HANDLERS = ("functions/resize/handler.py", "functions/start_from_s3/handler.py")
# Metrics of NotificationTopicArn, which is not set by default.
_CONDITIONAL_METRICS = {"NotificationsNotSent"}
_TOPIC = "arn:aws:sns:us-east-1:123456789012:topic"
_METHODS = {"get", "post", "put", "delete", "options", "head", "patch"}


@dataclass(frozen=True, slots=True)
class Deployment:
    """The properties of the template that cost money, with its defaults.

    Attributes
    ----------
    workflow : str
        ``UploadWorkflow``.
    architecture : str
        ``arm64`` or ``x86_64``.
    resize_mb, start_mb : int
        Memory of the functions.
    resize_timeout : int
        Seconds after which Lambda ends a resize.
    starters, pictures : int
        How many functions start executions at the same time, and how many resize (STANDARD).
    batch_size : int
        Messages that a starter receives at a time (STANDARD).
    transitions : int
        State transitions of a successful execution.
    definition_bytes : int
        Size of the state machine's definition.
    log_level : str
        ``WorkflowLogLevel``.
    logs_data : bool
        ``WorkflowLogData``.
    log_days : int
        ``LogRetentionDays``.
    access_log_bytes : int
        Length of the format of the API's access log, which is about the length of a line.
    metrics, api_metrics, alarms : int
        Custom metrics of functions and log filters, detailed metrics of the API's methods, and metrics that alarms
        watch.
    dashboards : int
    is_traced : bool
        Whether X-Ray records traces.
    notify_mb : int
        Memory of the function that publishes notifications, which exists if there is a topic.
    notify_alarms : int
        Metrics that its alarm watches.
    express_alarms, bucket_alarms, schedule_alarms : int
        Metrics that alarms also watch with UploadWorkflow=EXPRESS, ExistingOriginalsBucket and ReconcileSchedule.
    schedule_metrics : int
        Custom metrics that also exist with ReconcileSchedule.
    """

    workflow: str
    architecture: str
    resize_mb: int
    start_mb: int
    resize_timeout: int
    starters: int
    pictures: int
    batch_size: int
    transitions: int
    definition_bytes: int
    log_level: str
    logs_data: bool
    log_days: int
    access_log_bytes: int
    metrics: int
    api_metrics: int
    alarms: int
    dashboards: int
    is_traced: bool
    notify_mb: int
    notify_alarms: int
    express_alarms: int
    bucket_alarms: int
    schedule_alarms: int
    schedule_metrics: int


# The metrics of each method: Count, Latency, IntegrationLatency, 4XXError, 5XXError. CacheHitCount and CacheMissCount
# need a cache: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-metrics-and-dimensions.html
_METRICS_OF_A_METHOD = 5


def read_deployment() -> Deployment:
    """Read the deployed files."""
    stack = example_stack({})
    template = stack.template
    parameters = {name: parameter["Default"] for name, parameter in template["Parameters"].items()}
    resources = template["Resources"]
    resize, start = (resources[name]["Properties"] for name in ("ResizeFunction", "StartFromS3Function"))
    variables = start["Environment"]["Variables"]
    api = resources["ResizeApi"]["Properties"]
    definition = _STATE_MACHINE.read_text(encoding="utf-8")
    alarms = _count_alarm_metrics(stack)
    kinds = [resource["Type"] for resource in resources.values()]
    return Deployment(
        workflow=parameters["UploadWorkflow"],
        architecture=parameters["Architecture"],
        resize_mb=resize["MemorySize"],
        start_mb=start["MemorySize"],
        resize_timeout=resize["Timeout"],
        starters=int(stack.resolve(variables["STARTERS_AT_ONCE"])),
        pictures=int(stack.resolve(variables["PICTURES_AT_ONCE"])),
        batch_size=int(stack.resolve(start["Events"]["Uploads"]["Properties"]["BatchSize"])),
        transitions=len(way_of_a_success(json.loads(definition))),
        definition_bytes=len(definition.encode()),
        log_level=parameters["WorkflowLogLevel"],
        logs_data=str(parameters["WorkflowLogData"]) == "true",
        log_days=parameters["LogRetentionDays"],
        access_log_bytes=len(_find(api["AccessLogSetting"], "Format")),
        metrics=_count_metrics(*_HANDLERS) + kinds.count("AWS::Logs::MetricFilter"),
        api_metrics=_METRICS_OF_A_METHOD * _count_methods(api["DefinitionBody"]["paths"]),
        alarms=alarms,
        express_alarms=_count_alarm_metrics(stack, UploadWorkflow="EXPRESS") - alarms,
        bucket_alarms=_count_alarm_metrics(stack, ExistingOriginalsBucket="mine") - alarms,
        schedule_alarms=_count_alarm_metrics(stack, ReconcileSchedule="rate(7 days)") - alarms,
        schedule_metrics=_count_metrics("functions/reconcile/handler.py"),
        dashboards=int(parameters["Dashboard"] == "true"),
        is_traced=parameters["XRayTracing"] == "true",
        notify_mb=resources["NotifyFunction"]["Properties"]["MemorySize"],
        notify_alarms=_count_alarm_metrics(stack, NotificationTopicArn=_TOPIC) - alarms,
    )


def way_of_a_success(definition: dict[str, Any]) -> list[str]:
    """Return the names of the states of a successful resize.

    Parameters
    ----------
    definition : dict
        A state machine in Amazon States Language.
    """
    way = [definition["StartAt"]]
    while (state := definition["States"][way[-1]])["Type"] != "Succeed" and not state.get("End"):
        way.append(_choose(state) if state["Type"] == "Choice" else state["Next"])
    return way


def _choose(state: dict[str, Any]) -> str:
    """Return the next state for the status SUCCESS."""
    chosen: str = next(choice["Next"] for choice in state["Choices"] if '"SUCCESS"' in json.dumps(choice))
    return chosen


def _count_metrics(*handlers: str) -> int:
    """Return the number of custom metrics of the functions. Each has one set of dimensions, so each is one metric."""
    count = 0
    for path in handlers:
        text = (_ROOT / path).read_text(encoding="utf-8")
        count += len(set(re.findall(r'add_metric\(\s*"(\w+)"', text)) - _CONDITIONAL_METRICS)
        count += text.count("capture_cold_start_metric=True")
    return count


def _count_alarm_metrics(stack: Intrinsics, **parameters: str) -> int:
    """Return the number of metrics that the alarms of a stack watch with these parameters. AWS bills each."""
    stack = replace(stack, parameters=parameters)
    alarms = [
        stack.resolve(resource["Properties"])
        for name, resource in stack.template["Resources"].items()
        if resource["Type"] == "AWS::CloudWatch::Alarm" and stack.has(name)
    ]
    return sum(sum("MetricStat" in metric for metric in alarm.get("Metrics", [])) or 1 for alarm in alarms)


def _count_methods(paths: dict[str, Any]) -> int:
    """Return the number of methods that always exist; those for browsers (CORS) are conditional."""
    return sum(name in _METHODS and "Fn::If" not in method for path in paths.values() for name, method in path.items())


def _find(value: Any, name: str) -> str:
    """Return the value of the first field with this name, at any depth."""
    if isinstance(value, dict) and name in value:
        return str(value[name])
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next((found for part in parts if (found := _find(part, name))), "")
