"""Estimate the cost of one run from its requests and AWS's list prices (N. Virginia, without free tiers)."""

from collections.abc import Mapping

from cost.prices import read_prices
from smoke.checks.alarms import COUNTED, DATA_ASKED
from smoke.checks.queries import QUERIES_ASKED
from smoke.deployment import Deployment

_TABLE = read_prices().prices
# Dollars for one of each, from docs/prices.json. Prices of most other regions differ by less than a fifth.
PRICES = {
    "S3 PUT or LIST": _TABLE["s3_put"].usd,
    "S3 GET or HEAD": _TABLE["s3_get"].usd,
    "Lambda request": _TABLE["lambda_request"].usd,
    "Lambda GB-second": _TABLE["lambda_gb_second_x86_64"].usd,  # arm64 is a fifth cheaper
    "state transition": _TABLE["state_transition"].usd,
    "API request": _TABLE["api_request"].usd,
    "SQS request": _TABLE["sqs_request"].usd,
    "metric asked for": _TABLE["metric_request"].usd,
    "GB of logs": _TABLE["log_gb"].usd,
    "GB of logs searched": _TABLE["query_gb"].usd,
    "trace": _TABLE["trace"].usd,
    "KMS request": _TABLE["kms_request"].usd,
    # A custom metric is billed for each hour in which it has data.
    "metric for an hour": _TABLE["metric_month"].usd / 730,
}

_UPLOADS, _PICTURES, _POSTS = 10, 9, 13
# Each original is deleted at the end, and one of them twice, because its delete marker is also an event.
_REMOVALS = _UPLOADS + 2
# At most seven of the posts start an execution.
_EXECUTIONS = _UPLOADS + _REMOVALS + 7
# Requests that test S3's conditions, and deletes, cost at most as much as a PUT.
_CONDITIONS = 8
_TRANSITIONS_EACH = 4
_SECONDS_EACH, _SECONDS_TO_REMOVE, _GIGABYTES = 1.0, 0.2, 1.73
# The metrics of the functions, and one of the metric filter.
_METRICS = sum(map(len, COUNTED.values())) + 1
_LOGGED_GB_EACH = 30e-6
# Each query scans all lines since the start of the visit, also those of other uploads: ten megabytes are assumed.
_QUERIES, _SEARCHED_GB_EACH = 3, 0.01


def counts(deployment: Deployment) -> Mapping[str, float]:
    """Return the largest number of each: every bad request starts an execution, and data is requested until the end."""
    # With a distribution, one picture is replaced. Its 30 requests cost at most a hundredth of a US cent.
    replaced = 2 if deployment.viewer else 0
    uploads, removals, executions = _UPLOADS + replaced, _REMOVALS + replaced, _EXECUTIONS + 2 * replaced
    thumbnails = (_PICTURES + replaced) * len(deployment.sizes) + 2
    keys = thumbnails + uploads + executions if deployment.parameters.get("KmsKeyArn") else 0
    return {
        "S3 PUT or LIST": uploads + thumbnails + executions + _CONDITIONS + 15,
        # A run reads a manifest and an original. The first run of a key also checks the objects that it wrote.
        "S3 GET or HEAD": 5 * thumbnails + 3 * executions + uploads,
        "Lambda request": executions + uploads + removals,
        "Lambda GB-second": ((executions - removals) * _SECONDS_EACH + removals * _SECONDS_TO_REMOVE) * _GIGABYTES,
        "state transition": executions * _TRANSITIONS_EACH,
        "API request": _POSTS,
        "SQS request": 4 * (uploads + removals),
        "metric asked for": _METRICS * (1 + DATA_ASKED),
        "GB of logs": executions * _LOGGED_GB_EACH,
        "GB of logs searched": _QUERIES * (1 + QUERIES_ASKED) * _SEARCHED_GB_EACH,
        "KMS request": 2 * keys,
        "trace": 2 * executions + uploads + removals,
        "metric for an hour": _METRICS,
    }


def dollars(deployment: Deployment) -> float:
    """Return the cost of one run."""
    return sum(PRICES[what] * count for what, count in counts(deployment).items())
