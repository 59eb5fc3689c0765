"""Check that the account may run the functions that the stack was told to use."""

from collections.abc import Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from smoke.deployment import Deployment
from smoke.report import Mark, Row, judged
from smoke.visit import Visit

_PROMISE = "the account has the functions for UploadConcurrency"


def functions_have_room(deployment: Deployment, _visit: Visit) -> Iterator[Row]:
    """Compare Lambda's quota with ``UploadConcurrency``, because no rule of a template can."""
    try:
        # https://docs.aws.amazon.com/lambda/latest/api/API_GetAccountSettings.html
        settings = deployment.client("lambda").get_account_settings()
    except ClientError as error:
        # The quota belongs to the account, so credentials for the stack may not be able to read it.
        if not error.response["Error"]["Code"].startswith("AccessDenied"):
            raise
        yield Row(Mark.OPEN, _PROMISE, "these credentials have no permission to call lambda:GetAccountSettings")
        return
    yield room(settings["AccountLimit"], deployment.parameters)


def room(limit: Mapping[str, Any], parameters: Mapping[str, str]) -> Row:
    """Judge the functions that this stack can use: those that no function has reserved, and its own reserved ones.

    Other stacks may use the former as well. With ReservedConcurrency the promise is kept, because the template requires
    at least UploadConcurrency.
    """
    left = limit["UnreservedConcurrentExecutions"] + int(parameters["ReservedConcurrency"] or 0)
    wanted = int(parameters["UploadConcurrency"])
    found = f"the account can run {left:,} for this stack and others, UploadConcurrency is {wanted:,}"
    if left < wanted:
        found += ": lower it, or request a higher quota for concurrent executions in Service Quotas"
    return judged(_PROMISE, found, kept=left >= wanted)
