"""Check that the account may run the functions that the stack was told to use."""

from collections.abc import Iterator, Mapping
from typing import Any

from smoke.deployment import Deployment
from smoke.report import Row, judged
from smoke.visit import Visit


def functions_have_room(deployment: Deployment, _visit: Visit) -> Iterator[Row]:
    """Compare Lambda's quota with ``UploadConcurrency``, because no rule of a template can."""
    # https://docs.aws.amazon.com/lambda/latest/api/API_GetAccountSettings.html
    settings = deployment.client("lambda").get_account_settings()
    yield room(settings["AccountLimit"], deployment.parameters)


def room(limit: Mapping[str, Any], parameters: Mapping[str, str]) -> Row:
    """Judge the functions that the account leaves to this stack: those that nobody has reserved, and its own."""
    left = limit["UnreservedConcurrentExecutions"] + int(parameters["ReservedConcurrency"] or 0)
    wanted = int(parameters["UploadConcurrency"])
    found = f"{left:,} are left to this stack, UploadConcurrency is {wanted:,}"
    if left < wanted:
        found += ": lower it, or request a higher quota for concurrent executions in Service Quotas"
    return judged("the account has the functions for UploadConcurrency", found, kept=left >= wanted)
