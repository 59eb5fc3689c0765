"""The whole pipeline on one machine: MiniStack as AWS, the stock SAM CLI for deployments, a gateway for the API.

It needs no Docker and no AWS account, and listens on loopback only. Runtime code imports nothing from this package.
"""

import os
from collections.abc import Mapping

_LOOPBACK = ("127.0.0.1", "localhost")
_PROXIES = {"http_proxy", "https_proxy", "all_proxy"}


def without_proxy_for_loopback(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables with which no HTTP client uses a proxy for loopback addresses.

    Clients differ in which spelling they read first, so both are set. Downloads still go through the proxy.
    """
    variables = {}
    for name, other in (("no_proxy", "NO_PROXY"), ("NO_PROXY", "no_proxy")):
        hosts = [host.strip() for host in (environ.get(name) or environ.get(other) or "").split(",")]
        # An asterisk counts only if it stands alone.
        variables[name] = "*" if hosts == ["*"] else ",".join(dict.fromkeys([*filter(None, hosts), *_LOOPBACK]))
    return variables


def proxies(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that name a proxy."""
    return {name: value for name, value in environ.items() if name.lower() in _PROXIES}


# Here, because every command, test and server of the local stack imports this package first, and its child processes
# inherit the environment.
os.environ.update(without_proxy_for_loopback(os.environ))
