"""MiniStack as an ASGI application, changed in two places.

Loopback stands in for TLS. The buckets refuse requests without TLS (`aws:SecureTransport`), and MiniStack with
AUTH=true enforces that. It learns of TLS from the header that a terminating proxy sets; here the proxy is this
wrapper, because what stays on 127.0.0.1 needs none. That S3 refuses plain HTTP is therefore proved by AWS only, not
by the local stack.

StartExecution keeps two promises that AWS documents and MiniStack does not know: it refuses illegal names, and it
is idempotent while an execution runs.
"""

import os
import re
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from ministack.app import app as _ministack  # type: ignore[import-not-found]  # lives in an environment of its own
from ministack.core.responses import error_response_json, json_response  # type: ignore[import-not-found]  # likewise
from ministack.services import (  # type: ignore[import-not-found]  # likewise
    lambda_svc,
    stepfunctions,
)

from local.function_log import copied_to

_Scope = MutableMapping[str, Any]
_Channel = Callable[..., Awaitable[Any]]
# https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
_LEGAL_NAME = re.compile(r"""[^\s<>{}\[\]?*"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f\ufffe\uffff]{1,80}""")

_ministack_start_execution = stepfunctions._start_execution  # noqa: SLF001  # there is no public place to change it


async def app(scope: _Scope, receive: _Channel, send: _Channel) -> None:
    """Serve one connection of any ASGI kind."""
    if scope["type"] == "http":
        scope = {**scope, "headers": [*scope["headers"], (b"x-forwarded-proto", b"https")]}
    await _ministack(scope, receive, send)


def _start_execution(data: dict[str, Any]) -> Any:
    """Start an execution as the standard workflows of AWS do."""
    name = data.get("name")
    if name is None:
        return _ministack_start_execution(data)
    if not _LEGAL_NAME.fullmatch(name):
        return error_response_json("InvalidName", f"Invalid Name: '{name}'")
    arn = f"{data.get('stateMachineArn', '').replace(':stateMachine:', ':execution:')}:{name}"
    first = stepfunctions._executions.get(arn)  # noqa: SLF001  # as above
    if first and (first["status"], first["input"]) == ("RUNNING", data.get("input", "{}")):
        return json_response({"executionArn": arn, "startDate": first["startDate"]})
    return _ministack_start_execution(data)


stepfunctions._start_execution = _start_execution  # noqa: SLF001  # as above
lambda_svc._emit_lambda_logs = copied_to(  # noqa: SLF001  # as above
    Path(os.environ["LOCAL_FUNCTIONS_LOG"]),
    lambda_svc._emit_lambda_logs,  # noqa: SLF001  # as above
)
