"""Alarms on a metric math expression, which MiniStack's CloudFormation refuses.

They are stored and can be described, but are not evaluated.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
"""

from typing import Any

from ministack.services.cloudformation import provisioners  # type: ignore[import-not-found]

_Properties = dict[str, Any]

# An alarm has these, or `Metrics`.
_OF_ONE_METRIC = ("MetricName", "Namespace", "Dimensions", "Period", "Statistic", "ExtendedStatistic", "Unit")

_ministack_record = provisioners._cw_metric_alarm_record  # noqa: SLF001 - MiniStack has no public place to change it


def install() -> None:
    """Make MiniStack's CloudFormation create such alarms."""
    provisioners._cw_metric_alarm_record = _record  # noqa: SLF001 - as above


def _record(name: str, properties: _Properties) -> _Properties:
    metrics = properties.get("Metrics")
    if not metrics:
        return dict(_ministack_record(name, properties))
    plain = {key: value for key, value in properties.items() if key != "Metrics"}
    alarm: _Properties = _ministack_record(name, {**plain, "Namespace": "-", "MetricName": "-"})
    for key in _OF_ONE_METRIC:
        del alarm[key]
    return alarm | {"Metrics": [_query(metric) for metric in metrics]}


def _query(metric: _Properties) -> _Properties:
    query = {**metric, "ReturnData": str(metric.get("ReturnData", True)).lower() == "true"}
    if "MetricStat" in metric:
        query["MetricStat"] = {**metric["MetricStat"], "Period": int(metric["MetricStat"]["Period"])}
    return query
