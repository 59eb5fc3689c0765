"""Check the pipeline's own metrics, and that every alarm watches a metric that is sent."""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from smoke.checks.logs import until
from smoke.deployment import Deployment
from smoke.report import Mark, Row, judged_all
from smoke.visit import Visit

# The metrics of the functions, by the dimension `service`.
COUNTED = {
    "resize": (
        *("ResizesStarted", "ResizesFailed", "ThumbnailsWritten", "ThumbnailsRemoved", "OriginalBytes"),
        *("DownloadTime", "ResizeTime", "UploadTime"),
    ),
    "start_from_s3": ("UploadsNotStarted",),
}

# How often data is requested from CloudWatch after the first time.
DATA_ASKED = 3

# The metrics that AWS documents and that alarms and widgets of this template may use:
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
# https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
# https://docs.aws.amazon.com/step-functions/latest/dg/procedure-cw-metrics.html
# https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-metrics-and-dimensions.html
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-monitoring.html
# https://docs.aws.amazon.com/scheduler/latest/UserGuide/monitoring-cloudwatch.html
DOCUMENTED = {
    "AWS/SQS": {
        *("ApproximateAgeOfOldestMessage", "ApproximateNumberOfMessagesDelayed", "NumberOfEmptyReceives"),
        *("ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesVisible", "SentMessageSize"),
        *("NumberOfMessagesDeleted", "NumberOfMessagesReceived", "NumberOfMessagesSent"),
    },
    "AWS/Lambda": {"ConcurrentExecutions", "Duration", "Errors", "Invocations", "Throttles"},
    "AWS/States": {
        *("ExecutionThrottled", "ExecutionTime", "ExecutionsAborted", "ExecutionsFailed", "ExecutionsStarted"),
        *("ExecutionsSucceeded", "ExecutionsTimedOut", "ExpressExecutionBilledDuration"),
    },
    "AWS/Events": {
        *("DeadLetterInvocations", "FailedInvocations", "Invocations", "InvocationsFailedToBeSentToDlq"),
        *("InvocationsSentToDlq", "TriggeredRules"),
    },
    "AWS/Scheduler": {"InvocationDroppedCount"},
    "AWS/ApiGateway": {"4XXError", "5XXError", "Count", "IntegrationLatency", "Latency"},
}


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric as CloudWatch identifies it."""

    namespace: str
    name: str
    dimensions: frozenset[tuple[str, str]] = frozenset()

    def __str__(self) -> str:
        """Return the metric in a readable form."""
        dimensions = ", ".join(f"{name}={value}" for name, value in sorted(self.dimensions))
        return f"{self.namespace} {self.name}{f' ({dimensions})' if dimensions else ''}"


def metrics_and_alarms(deployment: Deployment, visit: Visit) -> Iterator[Row]:
    """Check that metrics are sent, that CloudWatch has them, and that every alarm watches one of them."""
    namespace = deployment.parameters["BucketPrefix"]
    wanted = {
        Metric(namespace, name, frozenset({("service", service)}))
        for service, names in COUNTED.items()
        for name in names
    }
    if deployment.notification_topic and deployment.has_express_uploads:
        wanted.add(Metric(namespace, "NotificationsNotSent", frozenset({("service", "start_from_s3")})))
    sent = until(lambda: set(_logged(deployment, visit)), lambda sent: wanted <= sent, visit.patience)
    yield all_sent(wanted, sent)
    filtered = set(_filtered(deployment))
    own = sorted(wanted | {metric for metric in filtered if metric.namespace == namespace}, key=str)
    # GetMetricData is billed for each metric, so it is called only a few times.
    patience = visit.patience / 3
    ask = partial(_with_data, deployment, visit, own)
    yield with_data(own, until(ask, lambda found: len(found) == len(own), patience, patience / DATA_ASKED))
    names = deployment.of_type("AWS::CloudWatch::Alarm")
    alarms = _alarms(deployment, list(names.values()))
    if deployment.of_type("AWS::Scheduler::Schedule"):
        # The scheduled check sends this metric after an hour, for which a visit does not wait.
        filtered.add(Metric(namespace, "Drift", frozenset({("service", "reconcile")})))
    yield from watched(names, alarms, sent | filtered, resources(deployment))
    yield actions(alarms, deployment.parameters.get("AlarmTopicArn", ""))


def all_sent(wanted: set[Metric], sent: set[Metric]) -> Row:
    """Judge which of the pipeline's metrics the functions sent in the embedded metric format of their logs."""
    missing = [f"nothing sends {metric}" for metric in sorted(wanted - sent, key=str)]
    names = ", ".join(sorted(metric.name for metric in wanted))
    return judged_all("the functions send their metrics", names, missing)


def with_data(wanted: list[Metric], found: set[Metric]) -> Row:
    """Report which metrics CloudWatch has data for; a metric without data yet is open, not broken."""
    promise = "CloudWatch has data for the pipeline's metrics"
    missing = [str(metric) for metric in wanted if metric not in found]
    if not missing:
        return Row(Mark.KEPT, promise, f"of all {len(wanted)}")
    return Row(
        Mark.OPEN,
        promise,
        f"not yet of {', '.join(missing)}: CloudWatch may take 15 minutes to list a new metric",
    )


def emitted(lines: Iterable[dict[str, Any]]) -> Iterator[Metric]:
    """Yield the metrics that lines in the embedded metric format send.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
    """
    for line in lines:
        for directive in line.get("_aws", {}).get("CloudWatchMetrics", ()):
            for names in directive["Dimensions"]:
                dimensions = frozenset((name, str(line[name])) for name in names)
                for metric in directive["Metrics"]:
                    yield Metric(directive["Namespace"], metric["Name"], dimensions)


def watched(
    names: Mapping[str, str], alarms: list[dict[str, Any]], sent: set[Metric], resources: Mapping[str, set[str]]
) -> Iterator[Row]:
    """Judge all alarms of a stack.

    Parameters
    ----------
    names : Mapping of str to str
        Alarm names by logical id.
    alarms : list of dict
        As DescribeAlarms has them.
    sent : set of Metric
        What functions and metric filters send.
    resources : Mapping of str to set of str
        The values that a dimension of AWS's own metrics may have in this stack.
    """
    by_name = {alarm["AlarmName"]: alarm for alarm in alarms}
    good = []
    for logical_id, name in sorted(names.items()):
        promise = f"{logical_id} watches a metric"
        if name not in by_name:
            yield Row(Mark.BROKEN, promise, f"there is no alarm {name}: somebody deleted it")
            continue
        metrics = list(_watched_by(by_name[name]))
        faults = [fault for metric in metrics if (fault := _fault(metric, sent, resources))]
        if faults or not metrics:
            yield Row(Mark.BROKEN, promise, "; ".join(faults) or "it watches no metric")
        else:
            good.append(logical_id)
    if good:
        yield Row(Mark.KEPT, f"{len(good)} of {len(names)} alarms watch metrics that are sent", ", ".join(good))


def actions(alarms: list[dict[str, Any]], topic: str) -> Row:
    """Judge whether every alarm notifies the topic."""
    if not topic:
        return Row(Mark.KEPT, "alarms are only visible in CloudWatch: no AlarmTopicArn", "nobody is notified")
    silent = [
        alarm["AlarmName"] for alarm in alarms if topic not in alarm["AlarmActions"] or not alarm["ActionsEnabled"]
    ]
    return judged_all("alarms notify the AlarmTopicArn", topic, [f"{name} does not" for name in silent])


def _watched_by(alarm: dict[str, Any]) -> Iterator[Metric]:
    queries = [each["MetricStat"]["Metric"] for each in alarm.get("Metrics", ()) if "MetricStat" in each]
    for metric in queries or ([alarm] if alarm.get("MetricName") else []):
        dimensions = frozenset((each["Name"], each["Value"]) for each in metric.get("Dimensions", ()))
        yield Metric(metric["Namespace"], metric["MetricName"], dimensions)


def _fault(metric: Metric, sent: set[Metric], resources: Mapping[str, set[str]]) -> str:
    """Return why a metric is never sent; an empty string if it is sent."""
    if not metric.namespace.startswith("AWS/"):
        return "" if metric in sent else f"nothing sends {metric}"
    if metric.name not in DOCUMENTED.get(metric.namespace, ()):
        return f"{metric} is not a metric that AWS documents"
    if not metric.dimensions:
        return f"{metric} is for the whole account"
    strangers = [f"{name}={value}" for name, value in sorted(metric.dimensions) if value not in resources.get(name, ())]
    return f"{metric} is for {', '.join(strangers)}, which is not in the stack" if strangers else ""


def resources(deployment: Deployment) -> dict[str, set[str]]:
    """Return the values that each dimension of AWS's own metrics has in this stack."""
    queues = deployment.of_type("AWS::SQS::Queue").values()
    apis = deployment.of_type("AWS::ApiGateway::RestApi").values()
    gateway = deployment.client("apigateway")
    return {
        "QueueName": {url.rpartition("/")[2] for url in queues},
        "FunctionName": set(deployment.of_type("AWS::Lambda::Function").values()),
        "StateMachineArn": set(deployment.of_type("AWS::StepFunctions::StateMachine").values()),
        "ScheduleGroup": set(deployment.of_type("AWS::Scheduler::ScheduleGroup").values()),
        "RuleName": set(deployment.of_type("AWS::Events::Rule").values()),
        "ApiName": {gateway.get_rest_api(restApiId=api)["name"] for api in apis},
        "Stage": set(deployment.of_type("AWS::ApiGateway::Stage").values()),
    }


def _logged(deployment: Deployment, visit: Visit) -> Iterator[Metric]:
    for group in ("ResizeFunctionLogs", "StartFromS3FunctionLogs"):
        yield from emitted(deployment.log_lines(group, visit.started, "{ $._aws.Timestamp > 0 }"))


def _filtered(deployment: Deployment) -> Iterator[Metric]:
    """Yield the metrics of the metric filters of the stack's log groups."""
    pages = deployment.client("logs").get_paginator("describe_metric_filters")
    for group in deployment.of_type("AWS::Logs::LogGroup").values():
        for page in pages.paginate(logGroupName=group):
            for each in page["metricFilters"]:
                for made in each["metricTransformations"]:
                    if not made.get("dimensions"):
                        yield Metric(made["metricNamespace"], made["metricName"])


def _with_data(deployment: Deployment, visit: Visit, metrics: list[Metric]) -> set[Metric]:
    now = dt.datetime.now(dt.UTC)
    minute = 60
    answer = deployment.client("cloudwatch").get_metric_data(
        MetricDataQueries=[
            {
                "Id": f"m{number}",
                "MetricStat": {
                    "Metric": {
                        "Namespace": metric.namespace,
                        "MetricName": metric.name,
                        "Dimensions": [{"Name": name, "Value": value} for name, value in sorted(metric.dimensions)],
                    },
                    "Period": minute,
                    "Stat": "SampleCount",
                },
            }
            for number, metric in enumerate(metrics)
        ],
        # Whole minutes, including the minute of the start.
        StartTime=dt.datetime.fromtimestamp(visit.started // minute * minute, dt.UTC),
        EndTime=now + dt.timedelta(minutes=1),
    )
    return {metrics[int(result["Id"][1:])] for result in answer["MetricDataResults"] if result["Values"]}


def _alarms(deployment: Deployment, names: list[str]) -> list[dict[str, Any]]:
    pages = deployment.client("cloudwatch").get_paginator("describe_alarms")
    return [alarm for page in pages.paginate(AlarmNames=names) for alarm in page["MetricAlarms"]] if names else []
