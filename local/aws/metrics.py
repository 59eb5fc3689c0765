"""Metrics from log events: the embedded metric format (EMF), and the metric filters of log groups.

MiniStack stores metric filters and logs, but makes no metrics from them. Alarms are not evaluated on these metrics, and
there are no metrics of AWS's own namespaces.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/MonitoringLogData.html
"""

import json
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from ministack.core.responses import error_response_json  # type: ignore[import-not-found]
from ministack.services import cloudwatch, cloudwatch_logs, lambda_svc  # type: ignore[import-not-found]

from local.aws import filter_pattern

_Event = dict[str, Any]

# MiniStack has no public place to change any of this.
_ministack_put_log_events = cloudwatch_logs._put_log_events  # noqa: SLF001
_ministack_put_metric_filter = cloudwatch_logs._put_metric_filter  # noqa: SLF001
_ministack_compile = cloudwatch_logs._compile_filter_pattern  # noqa: SLF001

_compiled: dict[str, Callable[[str], bool]] = {}


def install() -> None:
    """Make MiniStack create metrics from logs."""
    cloudwatch_logs._put_log_events = _put_log_events  # noqa: SLF001
    cloudwatch_logs._put_metric_filter = _put_metric_filter  # noqa: SLF001
    cloudwatch_logs._compile_filter_pattern = _compile  # noqa: SLF001
    # Read here and not at import, because function_log has changed it in between.
    emit = lambda_svc._emit_lambda_logs  # noqa: SLF001

    def emit_and_count(function: _Event, request_id: str, printed: str, *more: Any, **named: Any) -> None:
        emit(function, request_id, printed, *more, **named)
        _count_printed(function, printed)

    lambda_svc._emit_lambda_logs = emit_and_count  # noqa: SLF001


def _put_log_events(data: dict[str, Any]) -> Any:
    answer = _ministack_put_log_events(data)
    if answer[0] < 400:  # noqa: PLR2004 - HTTP's own line
        _count(data["logGroupName"], data["logEvents"])
    return answer


def _count_printed(function: _Event, printed: str) -> None:
    config = function.get("config") or function
    group = (config.get("LoggingConfig") or {}).get("LogGroup") or f"/aws/lambda/{config.get('FunctionName')}"
    now = int(time.time() * 1000)
    _count(group, [{"message": line, "timestamp": now} for line in (printed or "").splitlines()])


def _put_metric_filter(data: dict[str, Any]) -> Any:
    try:
        _compile(data.get("filterPattern", ""))
    except filter_pattern.FilterPatternError as error:
        return error_response_json("InvalidParameterException", str(error), 400)
    return _ministack_put_metric_filter(data)


def _compile(pattern: str) -> Any:
    if not pattern.strip().startswith("{"):
        return _ministack_compile(pattern)
    if pattern not in _compiled:
        _compiled[pattern] = filter_pattern.compile_json(pattern)
    return _compiled[pattern]


def _count(group: str, events: Sequence[_Event]) -> None:
    for event in events:
        if '"_aws"' in event["message"]:
            # A line that is not valid EMF is an ordinary log line.
            with suppress(ValueError, TypeError, KeyError, AttributeError):
                _count_embedded(json.loads(event["message"]))
    filters = [item for (name, _), item in cloudwatch_logs._metric_filters.items() if name == group]  # noqa: SLF001
    for declared in filters if events else []:
        matches = _compile(declared["filterPattern"])
        matched = [event for event in events if matches(event["message"])]
        for transformation in declared["metricTransformations"]:
            _count_filtered(transformation, matched, events[-1]["timestamp"])


def _count_embedded(document: dict[str, Any]) -> None:
    at = document["_aws"]["Timestamp"] / 1000
    for directive in document["_aws"]["CloudWatchMetrics"]:
        for names in directive["Dimensions"]:
            dimensions = {name: str(document[name]) for name in names}
            for metric in directive["Metrics"]:
                values = document[metric["Name"]]
                _store(
                    directive["Namespace"],
                    metric["Name"],
                    dimensions,
                    at,
                    metric.get("Unit", "None"),
                    values if isinstance(values, list) else [values],
                )


def _count_filtered(transformation: dict[str, Any], matched: Sequence[_Event], last: float) -> None:
    values = [(event["timestamp"], float(value)) for event in matched if (value := _value(transformation, event))]
    if not values and "defaultValue" in transformation:
        # Sent for a period in which there were events but none matched.
        values = [(last, float(transformation["defaultValue"]))]
    for at, value in values:
        _store(
            transformation["metricNamespace"],
            transformation["metricName"],
            {},
            at / 1000,
            transformation.get("unit", "None"),
            [value],
        )


def _value(transformation: dict[str, Any], event: _Event) -> Any:
    wanted = str(transformation["metricValue"])
    if not wanted.startswith("$"):
        return wanted
    found: Any = json.loads(event["message"])
    for name in wanted.removeprefix("$").strip(".").split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _store(  # noqa: PLR0913, PLR0917 - the fields of a datum
    namespace: str, name: str, dimensions: dict[str, str], at: float, unit: str, values: Iterable[float]
) -> None:
    cloudwatch._store_datum(namespace, name, dimensions, at, unit, None, list(values), None, None)  # noqa: SLF001
