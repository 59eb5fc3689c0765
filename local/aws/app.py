"""The ASGI application: MiniStack, changed as the modules beside this one say, behind what a terminating proxy adds.

Loopback stands in for TLS. The buckets refuse requests without TLS (`aws:SecureTransport`), and MiniStack with
AUTH=true enforces that. It learns of TLS from the header that a terminating proxy sets; here the proxy is this
wrapper, because what stays on 127.0.0.1 needs none. That S3 refuses plain HTTP is therefore proved by AWS only, not
by the local stack.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from ministack.app import app as _ministack  # type: ignore[import-not-found]  # lives in an environment of its own

from local.aws import (
    alarms,
    apis,
    executions,
    existing_buckets,
    function_log,
    machine_logs,
    machines,
    map_runs,
    metrics,
    retries,
    saved_queries,
    signers,
    throttles,
)

_Scope = MutableMapping[str, Any]
_Channel = Callable[..., Awaitable[Any]]

for _module in (
    alarms,
    apis,
    executions,
    existing_buckets,
    function_log,
    machine_logs,
    machines,
    map_runs,
    metrics,
    retries,
    saved_queries,
    throttles,
):
    _module.install()


async def app(scope: _Scope, receive: _Channel, send: _Channel) -> None:
    """Serve one connection of any ASGI kind."""
    if scope["type"] != "http":
        await _ministack(scope, receive, send)
    elif scope["path"] == signers.PATH:
        await signers.answer(receive, send)
    else:
        # The buckets refuse requests without TLS: loopback stands in for it (docs/decisions/0004).
        headers = [*scope["headers"], (b"x-forwarded-proto", b"https")]
        await _ministack({**scope, "headers": headers}, receive, send)
