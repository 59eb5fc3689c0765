"""The cost model: lines with a number of units and a price. Pure functions; all figures come from their arguments.

Free tiers are not subtracted, and each price is that of its first tier.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from cost.deployment import Deployment
from cost.measured import Measured
from cost.prices import PriceTable
from cost.requests import OWNER_PUTS, RESIZE, Deed

WORKFLOWS = ("STANDARD", "EXPRESS")

# Seconds of an average month.
_MONTH = 730 * 3600.0
# How much longer an Express run takes than its function: assumed, because it cannot be measured on one machine.
_SECONDS_BESIDE = 0.1
# "50 MB + state machine definition size + execution data size", billed in chunks of 64 MB, for durations rounded up to
# 100 ms: https://aws.amazon.com/step-functions/pricing/
_EXPRESS_BASE_MB, _EXPRESS_CHUNK_MB, _EXPRESS_ROUNDING = 50.0, 64, 10
_PAYLOAD_BYTES = 64 * 1024
# S3 sends a message, and Lambda receives and deletes it. The messages of a batch share the last two requests.
_SQS_REQUESTS = 3
# "Lambda starts processing five batches at a time", and long polls last 20 seconds, with or without a message:
# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
_POLLERS, _POLL_SECONDS = 5, 20
# The first request in a second and 5 % of the others:
# https://docs.aws.amazon.com/xray/latest/devguide/xray-console-sampling.html
_TRACED_A_SECOND, _TRACED_SHARE = 1.0, 0.05
# Two traces: the function that starts, and the execution with the function that resizes. Each is sampled separately.
_TRACES_EACH = 2
# With an S3 Bucket Key "up to 99 percent" fewer requests reach KMS:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-key.html
_PASS_THE_BUCKET_KEY = 0.01
# For one message: the median duration on the local stack with the slower workflow (12 and 75 ms), and the bytes of log.
_NOTIFY_SECONDS, _NOTIFY_LOG_BYTES = 0.075, 828


@dataclass(frozen=True, slots=True)
class Line:
    """A number of units at one price.

    Attributes
    ----------
    group : str
        The service, in the order of a bill.
    what : str
    count : float
    price : str
        Name in docs/prices.json.
    """

    group: str
    what: str
    count: float
    price: str

    def dollars(self, table: PriceTable) -> float:
        """Return count times price."""
        return self.count * table.prices[self.price].usd


@dataclass(frozen=True, slots=True)
class Work:
    """The work of a month.

    Attributes
    ----------
    count : float
        Number of originals.
    thumbnails : int
        Thumbnails of each original.
    deed : Deed
    resize_seconds : float, optional
        Billed duration for each original instead of the measured one.
    """

    count: float
    thumbnails: int = 1
    deed: Deed = Deed.UPLOADED
    resize_seconds: float | None = None


def price_work(work: Work, workflow: str, deployment: Deployment, measured: Measured) -> list[Line]:
    """Return the cost of uploads, replacements or deletes, without the fixed costs of a month.

    Parameters
    ----------
    work : Work
    workflow : str
        Of WORKFLOWS.
    deployment : Deployment
    measured : Measured
        A replacement takes as long as an upload. A delete and a repeated upload take less, but get the same price.
    """
    seconds = work.resize_seconds
    if seconds is None:
        seconds = measured.resize_seconds(work.thumbnails)
    gb_second = f"lambda_gb_second_{deployment.architecture}"
    start_gb_seconds = start_seconds(workflow, seconds, deployment, measured) * deployment.start_mb / 1024
    lines = [
        *_price_execution(workflow, work.count, seconds, deployment),
        Line("Lambda", "invocations of resize", work.count, "lambda_request"),
        Line("Lambda", "GB-seconds of resize", work.count * seconds * deployment.resize_mb / 1024, gb_second),
        Line("Lambda", "invocations of start_from_s3", work.count, "lambda_request"),
        Line("Lambda", "GB-seconds of start_from_s3", work.count * start_gb_seconds, gb_second),
        Line("S3", "PUT of the original", work.count * OWNER_PUTS[work.deed], "s3_put"),
        *_price_resize_requests(work),
        Line("SQS", "send, receive, delete", work.count * _SQS_REQUESTS, "sqs_request"),
        *_price_logs(work.count, deployment, measured),
    ]
    if deployment.is_traced:
        traced = work.count * traced_share(work.count)
        lines.append(Line("X-Ray", "traces", traced * _TRACES_EACH, "trace"))
    return [line for line in lines if line.count]


def start_seconds(workflow: str, resize_seconds: float, deployment: Deployment, measured: Measured) -> float:
    """Return the billed duration of start_from_s3 for one upload.

    With STANDARD, in a burst, all starters wait as long as pictures are being processed. With EXPRESS it waits for the
    run that it started.
    """
    if workflow == "EXPRESS":
        return measured.start_ms / 1000 + express_seconds(resize_seconds)
    return max(measured.start_ms / 1000, resize_seconds * deployment.starters / deployment.pictures)


def express_seconds(resize_seconds: float) -> float:
    """Return the billed duration of an Express run: rounded up to 100 ms."""
    # Round first, because 0.3 s is 3.0000000000000004 tenths.
    return math.ceil(round((resize_seconds + _SECONDS_BESIDE) * _EXPRESS_ROUNDING, 6)) / _EXPRESS_ROUNDING


def express_mb(deployment: Deployment) -> int:
    """Return the billed memory of an Express run."""
    used = _EXPRESS_BASE_MB + (deployment.definition_bytes + _PAYLOAD_BYTES) / 2**20
    return math.ceil(used / _EXPRESS_CHUNK_MB) * _EXPRESS_CHUNK_MB


def traced_share(count_a_month: float) -> float:
    """Return the share of requests that X-Ray records, if they are spread evenly over the month."""
    a_second = count_a_month / _MONTH
    traced = min(a_second, _TRACED_A_SECOND) + max(a_second - _TRACED_A_SECOND, 0) * _TRACED_SHARE
    return traced / a_second if a_second else 0.0


def price_month(deployment: Deployment, workflow: str = "STANDARD") -> list[Line]:
    """Return the maximum fixed costs of a month. Metrics are billed only for hours with data."""
    alarms = deployment.alarms + (deployment.express_alarms if workflow == "EXPRESS" else 0)
    polls = _POLLERS * _MONTH / _POLL_SECONDS
    return [
        Line("CloudWatch", "dashboard", deployment.dashboards, "dashboard_month"),
        Line("CloudWatch", "metrics that alarms watch", alarms, "alarm_month"),
        Line("CloudWatch", "custom metrics of functions and log", deployment.metrics, "metric_month"),
        Line("CloudWatch", "detailed metrics of the API", deployment.api_metrics, "metric_month"),
        Line("SQS", "Lambda polls the empty queue", polls, "sqs_request"),
    ]


def price_posts(count: float, thumbnails: int, deployment: Deployment, measured: Measured) -> list[Line]:
    """Return the cost of POST /resize, including its execution. The original has a manifest already."""
    seconds = measured.resize_seconds(thumbnails)
    gb_seconds = count * seconds * deployment.resize_mb / 1024
    lines = [
        *_price_calls(count, deployment, _TRACES_EACH),
        *_price_execution("STANDARD", count, seconds, deployment),
        Line("Lambda", "invocations of resize", count, "lambda_request"),
        Line("Lambda", "GB-seconds of resize", gb_seconds, f"lambda_gb_second_{deployment.architecture}"),
        *_price_resize_requests(Work(count, thumbnails, Deed.REPLACED)),
        *_price_logs(count, deployment, replace(measured, start_log_bytes=0)),
    ]
    return [line for line in lines if line.count]


def price_polls(count: float, deployment: Deployment) -> list[Line]:
    """Return the cost of GET /executions/{executionId}: DescribeExecution itself is free."""
    return _price_calls(count, deployment, 1)


def price_notifications(count: float, deployment: Deployment) -> list[Line]:
    """Return the cost of publishing notifications, without subscribers; events of AWS's services are free."""
    gb_seconds = count * _NOTIFY_SECONDS * deployment.notify_mb / 1024
    logged = count * _NOTIFY_LOG_BYTES / 1e9
    return [
        Line("SQS", "send, receive, delete", count * _SQS_REQUESTS, "sqs_request"),
        Line("Lambda", "invocations of notify", count, "lambda_request"),
        Line("Lambda", "GB-seconds of notify", gb_seconds, f"lambda_gb_second_{deployment.architecture}"),
        Line("SNS", "messages published", count, "sns_publish"),
        Line("CloudWatch", "GB of log", logged, "log_gb"),
        Line("CloudWatch", "GB-months of log kept", logged * deployment.log_days / (_MONTH / 86400), "log_gb_month"),
    ]


def price_notifications_month(deployment: Deployment) -> list[Line]:
    """Return the fixed costs that a topic adds to a month."""
    return [
        Line("CloudWatch", "metrics that its alarm watches", deployment.notify_alarms, "alarm_month"),
        Line("SQS", "Lambda polls the empty queue", _POLLERS * _MONTH / _POLL_SECONDS, "sqs_request"),
    ]


def price_kms(work: Work) -> tuple[list[Line], list[Line]]:
    """Return the monthly cost of a customer-managed key with this work: with the Bucket Key, and without it."""
    requests = work.count * OWNER_PUTS[work.deed]
    for operation, each in RESIZE[work.deed].items():
        # HEAD and DELETE need no key. For a first upload, one of the two GETs finds no object.
        if operation in {"GetObject", "PutObject"}:
            requests += work.count * each.count(work.thumbnails)
    key = Line("KMS", "key", 1, "kms_key_month")
    return (
        [key, Line("KMS", "requests", requests * _PASS_THE_BUCKET_KEY, "kms_request")],
        [key, Line("KMS", "requests", requests, "kms_request")],
    )


def total(lines: Iterable[Line], table: PriceTable) -> float:
    """Return the sum in dollars."""
    return sum(line.dollars(table) for line in lines)


def break_even_uploads(
    work: Work, deployment: Deployment, measured: Measured, table: PriceTable, free_transitions: int = 0
) -> float:
    """Return the uploads a month at which EXPRESS costs as much as STANDARD; with more it is cheaper.

    Parameters
    ----------
    work : Work
        One upload.
    deployment, measured, table
        As in the other functions of this module.
    free_transitions : int
        State transitions a month that cost nothing.
    """
    standard, express = (total(price_work(work, each, deployment, measured), table) for each in WORKFLOWS)
    months = [total(price_month(deployment, each), table) for each in WORKFLOWS]
    free = free_transitions * table.prices["state_transition"].usd
    return (months[1] - months[0] + free) / (standard - express)


def break_even_seconds(deployment: Deployment, measured: Measured, table: PriceTable) -> float:
    """Return the duration of a resize at which EXPRESS costs as much as STANDARD; below it EXPRESS is cheaper."""

    def difference(seconds: float) -> float:
        standard, express = (
            total(price_work(Work(1.0, resize_seconds=seconds), workflow, deployment, measured), table)
            for workflow in WORKFLOWS
        )
        return standard - express

    low, high = 0.0, 60.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if difference(middle) > 0 else (low, middle)
    return low


def _price_execution(workflow: str, count: float, seconds: float, deployment: Deployment) -> list[Line]:
    if workflow == "STANDARD":
        return [Line("Step Functions", "state transitions", count * deployment.transitions, "state_transition")]
    gb_seconds = express_seconds(seconds) * express_mb(deployment) / 1024
    return [
        Line("Step Functions", "Express runs", count, "express_request"),
        Line("Step Functions", "Express GB-seconds", count * gb_seconds, "express_gb_second"),
    ]


def _price_resize_requests(work: Work) -> list[Line]:
    counts = {operation: each.count(work.thumbnails) for operation, each in RESIZE[work.deed].items()}
    gets = counts.get("GetObject", 0) + counts.get("HeadObject", 0)
    return [
        Line("S3", "PUTs of thumbnails and manifest", work.count * counts.get("PutObject", 0), "s3_put"),
        Line("S3", "GETs and HEADs", work.count * gets, "s3_get"),
    ]


def _price_logs(count: float, deployment: Deployment, measured: Measured) -> list[Line]:
    functions = count * (measured.resize_log_bytes + measured.start_log_bytes) / 1e9
    # Other levels do not log successful executions.
    machine = count * measured.machine_log_bytes / 1e9 if deployment.log_level == "ALL" else 0.0
    days = deployment.log_days / (_MONTH / 86400)
    return [
        Line("CloudWatch", "GB of log of the functions", functions, "log_gb"),
        Line("CloudWatch", "GB of log of the state machine", machine, "log_gb"),
        Line("CloudWatch", "GB-months of log kept", (functions + machine) * days, "log_gb_month"),
    ]


def _price_calls(count: float, deployment: Deployment, traces: int) -> list[Line]:
    lines = [
        Line("API Gateway", "requests", count, "api_request"),
        Line("CloudWatch", "GB of access log", count * deployment.access_log_bytes / 1e9, "log_gb"),
    ]
    if deployment.is_traced:
        lines.append(Line("X-Ray", "traces", count * traced_share(count) * traces, "trace"))
    return lines
