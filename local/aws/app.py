"""The ASGI application: MiniStack with the changes of the other modules, behind a wrapper that replaces a TLS proxy.

The buckets refuse requests without TLS (`aws:SecureTransport`), and MiniStack with AUTH=true enforces that. It detects
TLS by the header of a proxy that terminates TLS. This wrapper sets that header, because requests on 127.0.0.1 need no
TLS. So the local stack does not test that S3 refuses plain HTTP; only AWS can.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from ministack.app import app as _ministack  # type: ignore[import-not-found]  # only in MiniStack's own environment

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
        # The buckets refuse requests without TLS; loopback counts as TLS here (docs/decisions/0004).
        headers = [*scope["headers"], (b"x-forwarded-proto", b"https")]
        await _ministack({**scope, "headers": headers}, receive, send)
