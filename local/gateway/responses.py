"""Gateway responses: API Gateway's own responses if a request reaches no integration, or if the integration fails.

https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from local.gateway import GatewayError
from local.gateway.request import Response


class UnsupportedError(GatewayError):
    """The OpenAPI body uses a feature that the gateway does not support."""


# Type: status, message, x-amzn-ErrorType. AWS documents types and statuses. Messages and error types, which AWS does
# not list, are those that clients of AWS report.
_DEFAULTS = {
    "API_CONFIGURATION_ERROR": (500, "Internal server error", "InternalServerErrorException"),
    "BAD_REQUEST_BODY": (400, "Invalid request body", "BadRequestException"),
    "EXPIRED_TOKEN": (403, "The security token included in the request is expired", "ExpiredTokenException"),
    "INTEGRATION_FAILURE": (504, "Network error communicating with endpoint", "InternalServerErrorException"),
    "INTEGRATION_TIMEOUT": (504, "Endpoint request timed out", "InternalServerErrorException"),
    "INVALID_SIGNATURE": (403, "The request signature is not valid.", "InvalidSignatureException"),
    "MISSING_AUTHENTICATION_TOKEN": (
        403,
        "Missing Authentication Token",
        "MissingAuthenticationTokenException",
    ),
    "REQUEST_TOO_LARGE": (413, "HTTP content length exceeded 10485760 bytes.", "RequestTooLargeException"),
    "UNSUPPORTED_MEDIA_TYPE": (415, "Unsupported Media Type", "UnsupportedMediaTypeException"),
}
# Types of features that this gateway does not have: a template may define them, but they are never used.
_NEVER_RAISED = {
    "ACCESS_DENIED",
    "AUTHORIZER_CONFIGURATION_ERROR",
    "AUTHORIZER_FAILURE",
    "BAD_REQUEST_PARAMETERS",
    "INVALID_API_KEY",
    "QUOTA_EXCEEDED",
    "RESOURCE_NOT_FOUND",
    "THROTTLED",
    "UNAUTHORIZED",
    "WAF_FILTERED",
}
_VARIABLE = re.compile(r"\$(\{)?(context|stageVariables)((?:\.[A-Za-z0-9_-]+)+)(?(1)\})")
_CLIENT_ERROR_END = 500


class RefusalError(Exception):
    """The request ends with a gateway response.

    Attributes
    ----------
    response_type
        The gateway response type, such as ``BAD_REQUEST_BODY``.
    message
        ``$context.error.message``.
    detail
        ``$context.error.validationErrorString``, or a reason for the log.
    """

    def __init__(self, response_type: str, *, message: str | None = None, detail: str = "") -> None:
        self.response_type = response_type
        self.message = message or _DEFAULTS[response_type][1]
        self.detail = detail
        super().__init__(detail or self.message)


class GatewayResponses:
    """The gateway responses of an API.

    Parameters
    ----------
    declared
        The ``x-amazon-apigateway-gateway-responses`` object.
    context
        An example of ``$context``: templates may use only its names and those of ``$context.error``.
    stage_variables
        The stage variables.

    Raises
    ------
    UnsupportedError
        A response has a type, variable or parameter that is not supported.
    """

    def __init__(
        self, declared: Mapping[str, Any], context: Mapping[str, Any], stage_variables: Mapping[str, str]
    ) -> None:
        self._declared = declared
        self._stage_variables = stage_variables
        example = RefusalError("BAD_REQUEST_BODY")
        for kind, response in declared.items():
            if kind not in _DEFAULTS and kind not in _NEVER_RAISED and kind not in ("DEFAULT_4XX", "DEFAULT_5XX"):
                raise UnsupportedError(f"The gateway response {kind} is not supported by the local gateway.")
            if unknown := response.keys() - {"statusCode", "responseTemplates", "responseParameters"}:
                raise UnsupportedError(
                    f"The gateway response {kind} has {', '.join(sorted(unknown))}, which is not supported."
                )
            for template in response.get("responseTemplates", {}).values():
                self._substitute(template, self._variables(context, example), kind)
            static_headers(
                response.get("responseParameters", {}), "gatewayresponse.header.", f"gateway response {kind}"
            )

    def answer(self, refusal: RefusalError, context: Mapping[str, Any]) -> Response:
        """Return the response for a refusal."""
        status, _, error_type = _DEFAULTS[refusal.response_type]
        fallback = "DEFAULT_4XX" if status < _CLIENT_ERROR_END else "DEFAULT_5XX"
        declared = self._declared.get(refusal.response_type) or self._declared.get(fallback) or {}
        templates = declared.get("responseTemplates") or {
            "application/json": '{"message":$context.error.messageString}'
        }
        content_type = "application/json" if "application/json" in templates else next(iter(templates))
        body = self._substitute(templates[content_type], self._variables(context, refusal), refusal.response_type)
        headers = {"Content-Type": content_type, "x-amzn-ErrorType": error_type}
        headers |= static_headers(
            declared.get("responseParameters", {}), "gatewayresponse.header.", refusal.response_type
        )
        return Response(
            status=int(declared.get("statusCode") or status),
            headers=headers,
            body=body.encode("utf-8", "replace"),
            reason=refusal.detail or refusal.message,
        )

    def _variables(self, context: Mapping[str, Any], refusal: RefusalError) -> dict[str, Any]:
        return {"context": {**context, "error": error_variables(refusal)}, "stageVariables": self._stage_variables}

    def _substitute(self, template: str, variables: Mapping[str, Any], kind: str) -> str:
        """Replace variables; gateway responses are not Velocity templates and have no other syntax."""

        def replace(match: re.Match[str]) -> str:
            value: Any = variables[match[2]]
            for name in match[3][1:].split("."):
                if not isinstance(value, Mapping) or name not in value:
                    raise UnsupportedError(f"The gateway response {kind} uses {match[0]}, which is not supported.")
                value = value[name]
            return str(value)

        return _VARIABLE.sub(replace, template)


def error_variables(refusal: RefusalError) -> dict[str, str]:
    """Return ``$context.error`` of a refusal."""
    return {
        "message": refusal.message,
        "messageString": json.dumps(refusal.message),
        "responseType": refusal.response_type,
        # Escaped for a JSON string but not quoted, because templates add the quotes.
        "validationErrorString": json.dumps(refusal.detail)[1:-1],
    }


def static_headers(declared: Mapping[str, str], prefix: str, where: str) -> dict[str, str]:
    """Read response parameters: headers with a constant value, written between apostrophes.

    Raises
    ------
    UnsupportedError
        A parameter is not a header, or its value is not a constant.
    """
    headers = {}
    for name, value in declared.items():
        constant = re.fullmatch(r"'(.*)'", value)
        if not name.startswith(prefix) or constant is None:
            raise UnsupportedError(f"The {where} maps {name} from {value}, which the local gateway does not support.")
        headers[name.removeprefix(prefix)] = constant[1]
    return headers
