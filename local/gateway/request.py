"""The request of a client, the response of the gateway, and the ``$context`` of a request for templates."""

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from local.gateway.stack import DeployedApi

# The fields of $context.identity about the signer, empty without IAM authorization. Cognito is not supported.
_SIGNER_NAMES = (
    "accessKey",
    "accountId",
    "caller",
    "cognitoAuthenticationProvider",
    "cognitoAuthenticationType",
    "cognitoIdentityId",
    "cognitoIdentityPoolId",
    "principalOrgId",
    "user",
    "userArn",
)


@dataclass(frozen=True)
class Request:
    """One request as received.

    Attributes
    ----------
    method
        HTTP method.
    target
        Path and query, still percent-encoded.
    headers
        Headers as sent, in order.
    body
        Payload; ``None`` if it was larger than API Gateway accepts.
    source_ip, protocol
        Address of the client, and its HTTP version.
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes | None
    source_ip: str = "127.0.0.1"
    protocol: str = "HTTP/1.1"
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    received: float = field(default_factory=time.time)

    def header(self, name: str) -> str | None:
        """Return the last header with this name, ignoring case."""
        return next((value for key, value in reversed(self.headers) if key.lower() == name.lower()), None)

    @property
    def path(self) -> str:
        """The path, percent-encoded, without the query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, str]:
        """The query parameters; the last value of a repeated one."""
        return dict(parse_qsl(self.target.partition("?")[2], keep_blank_values=True))

    @property
    def media_type(self) -> str:
        """The content type without parameters; without one, API Gateway assumes ``application/json``."""
        return (self.header("Content-Type") or "application/json").partition(";")[0].strip().lower()


@dataclass(frozen=True)
class Response:
    """The response to the client; ``reason`` and ``access`` are for the access log only."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    reason: str = ""
    access: Mapping[str, Any] = field(default_factory=dict)


def path_parameters(template: str, segments: list[str]) -> dict[str, str] | None:
    """Return the path parameters if the segments match a path such as ``/a/{b}/{rest+}``, else ``None``."""
    expected = [segment for segment in template.split("/") if segment]
    found: dict[str, str] = {}
    for at, segment in enumerate(expected):
        if segment.startswith("{") and segment.endswith("+}") and len(segments) > at:
            found[segment[1:-2]] = "/".join(segments[at:])
            return found
        if at >= len(segments):
            return None
        if segment.startswith("{") and segment.endswith("}"):
            found[segment[1:-1]] = unquote(segments[at])
        elif segment != unquote(segments[at]):
            return None
    return found if len(expected) == len(segments) else None


def build_context(api: DeployedApi, request: Request, resource_path: str) -> dict[str, Any]:
    """Build ``$context``; templates may use only the names in it.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html
    """
    received = time.gmtime(request.received)
    return {
        "accountId": api.account_id,
        "apiId": api.api_id,
        "domainName": request.header("Host") or "",
        "extendedRequestId": request.request_id.replace("-", "")[:15] + "=",
        "httpMethod": request.method,
        "identity": {
            **dict.fromkeys(_SIGNER_NAMES, ""),
            "sourceIp": request.source_ip,
            "userAgent": request.header("User-Agent") or "",
        },
        "path": request.path,
        "protocol": request.protocol,
        "requestId": request.request_id,
        "requestOverride": {"header": {}},
        "requestTime": time.strftime("%d/%b/%Y:%H:%M:%S +0000", received),
        "requestTimeEpoch": int(request.received * 1000),
        "resourcePath": resource_path,
        "responseOverride": {"status": None, "header": {}},
        "stage": api.stage,
    }
