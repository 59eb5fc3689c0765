"""Compile the OpenAPI body to operations, and refuse features that the gateway does not support.

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-swagger-extensions.html
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local.gateway.access_log import AccessLog
from local.gateway.integration import AwsServices, MockAction, ServiceAction
from local.gateway.request import Request, build_context
from local.gateway.responses import GatewayResponses, UnsupportedError, static_headers
from local.gateway.stack import DeployedApi
from local.gateway.validation import BodyValidator
from local.gateway.vtl import MappingTemplate

_METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "x-amazon-apigateway-any-method"}
_DOCUMENT_EXTENSIONS = {
    "x-amazon-apigateway-request-validators",
    "x-amazon-apigateway-gateway-responses",
}
_OPERATION_EXTENSIONS = {
    "x-amazon-apigateway-auth",
    "x-amazon-apigateway-request-validator",
    "x-amazon-apigateway-integration",
}
_INTEGRATION_KEYS = {
    "type",
    "httpMethod",
    "uri",
    "credentials",
    "passthroughBehavior",
    "requestTemplates",
    "responses",
}
_RESPONSE_KEYS = {"statusCode", "responseTemplates", "responseParameters"}
_HEADER_PREFIX = "method.response.header."


@dataclass(frozen=True)
class IntegrationResponse:
    """The mapping of one kind of response of the service."""

    pattern: re.Pattern[str] | None
    status: int
    headers: Mapping[str, str]
    templates: Mapping[str, MappingTemplate]


@dataclass(frozen=True)
class Operation:
    """One method of one path.

    Attributes
    ----------
    path
        Such as ``/resize/{id}``.
    method
        In upper case; ``*`` for any.
    signed
        Whether requests must be signed (``AWS_IAM``).
    validators
        By media type; empty when bodies are not validated.
    request_templates
        By media type; other types are refused.
    action
        The integration.
    responses
        The integration responses, the default last.
    """

    path: str
    method: str
    signed: bool
    validators: Mapping[str, BodyValidator]
    request_templates: Mapping[str, MappingTemplate]
    action: ServiceAction | MockAction
    responses: tuple[IntegrationResponse, ...]

    def response_to(self, status: int) -> IntegrationResponse | None:
        """Return the integration response for a status of the service."""
        return next(
            (
                response
                for response in self.responses
                if response.pattern is None or response.pattern.fullmatch(str(status))
            ),
            None,
        )


@dataclass(frozen=True)
class Definition:
    """The compiled OpenAPI body."""

    operations: tuple[Operation, ...]
    gateway_responses: GatewayResponses
    access_log: AccessLog | None


def compile_api(api: DeployedApi, services: AwsServices) -> Definition:
    """Compile the body of an API.

    Raises
    ------
    UnsupportedError
        The body uses a feature that the gateway does not support.
    MappingTemplateError
        A mapping template does not parse, or uses an undefined name.
    """
    _known(api.body, _DOCUMENT_EXTENSIONS, "The document")
    if api.body.get("security"):
        raise UnsupportedError(
            "The document has security at its root, which API Gateway ignores: put it on operations."
        )
    compiler = _Compiler(api, services)
    operations = [
        compiler.operation(path, method, operation)
        for path, item in api.body.get("paths", {}).items()
        for method, operation in item.items()
        if method in _METHODS
    ]
    if not operations:
        raise UnsupportedError("The document has no operations to serve.")
    declared = api.body.get("x-amazon-apigateway-gateway-responses", {})
    operations.sort(key=_precedence)
    return Definition(
        operations=tuple(operations),
        gateway_responses=GatewayResponses(declared, compiler.context, api.variables),
        access_log=AccessLog(api.access_log_format, compiler.context) if api.access_log_format else None,
    )


def _precedence(operation: Operation) -> list[int]:
    """Return a sort key: ``/a/b`` before ``/a/{id}`` before ``/a/{rest+}``, and ``ANY`` last."""
    segments = operation.path.strip("/").split("/")
    kinds = [2 if "+}" in segment else int(segment.startswith("{")) for segment in segments]
    return [*kinds, int(operation.method == "*")]


def _known(document: Mapping[str, Any], extensions: set[str], where: str) -> None:
    for key in document:
        if key.startswith("x-amazon-apigateway-") and key not in extensions:
            raise UnsupportedError(f"{where} has {key}, which the local gateway does not support.")


class _Compiler:
    def __init__(self, api: DeployedApi, services: AwsServices) -> None:
        self._api = api
        self._services = services
        self._components = api.body.get("components", {})
        self.context = build_context(api, Request("GET", "/", (), b""), "/")

    def operation(self, path: str, method: str, declared: Mapping[str, Any]) -> Operation:
        where = f"{method.upper()} {path}"
        _known(declared, _OPERATION_EXTENSIONS, where)
        if declared.get("security"):
            raise UnsupportedError(f"{where} has security, which is not supported: use x-amazon-apigateway-auth.")
        authorization = declared.get("x-amazon-apigateway-auth", {}).get("type", "NONE").upper()
        if authorization not in ("NONE", "AWS_IAM"):
            raise UnsupportedError(f"{where} has the authorization {authorization}; NONE and AWS_IAM are supported.")
        integration = declared.get("x-amazon-apigateway-integration")
        if integration is None:
            raise UnsupportedError(f"{where} has no x-amazon-apigateway-integration.")
        if unknown := integration.keys() - _INTEGRATION_KEYS:
            raise UnsupportedError(
                f"The integration of {where} has {', '.join(sorted(unknown))}, which is not supported."
            )
        if integration.get("type", "").lower() not in ("aws", "mock"):
            raise UnsupportedError(
                f"The integration of {where} has type {integration.get('type')}; aws and mock are supported."
            )
        passthrough = integration.get("passthroughBehavior", "when_no_match").lower()
        if passthrough != "never":
            raise UnsupportedError(
                f"The integration of {where} has the passthroughBehavior {passthrough}; only never is supported."
            )
        content = declared.get("requestBody", {}).get("content", {}) if self._validates_body(declared, where) else {}
        return Operation(
            path=path,
            method="*" if method == "x-amazon-apigateway-any-method" else method.upper(),
            signed=authorization == "AWS_IAM",
            validators={
                media_type.lower(): BodyValidator(item["schema"], self._components, where)
                for media_type, item in content.items()
                if "schema" in item
            },
            request_templates={
                media_type.lower(): self._template(text, f"The request template of {where}", "requestOverride")
                for media_type, text in integration.get("requestTemplates", {}).items()
            },
            action=MockAction()
            if integration["type"].lower() == "mock"
            else self._services.action(integration.get("uri", ""), integration.get("credentials", "")),
            responses=self._responses(integration.get("responses", {}), where),
        )

    def _validates_body(self, declared: Mapping[str, Any], where: str) -> bool:
        name = declared.get("x-amazon-apigateway-request-validator")
        if name is None:
            return False
        validator = self._api.body.get("x-amazon-apigateway-request-validators", {}).get(name)
        if validator is None:
            raise UnsupportedError(f"{where} names the request validator {name}, which is not in the document.")
        if validator.get("validateRequestParameters"):
            raise UnsupportedError(f"{where} validates parameters, which the local gateway does not support.")
        return bool(validator.get("validateRequestBody"))

    def _template(self, source: str, name: str, overrides: str) -> MappingTemplate:
        return MappingTemplate(
            source, name=name, context=self.context, stage_variables=self._api.variables, overrides=overrides
        )

    def _responses(self, declared: Mapping[str, Any], where: str) -> tuple[IntegrationResponse, ...]:
        responses = []
        for pattern, response in sorted(declared.items(), key=lambda item: item[0] == "default"):
            place = f"The response {pattern} of {where}"
            if unknown := response.keys() - _RESPONSE_KEYS:
                raise UnsupportedError(f"{place} has {', '.join(sorted(unknown))}, which is not supported.")
            try:
                compiled = None if pattern == "default" else re.compile(pattern)
            except re.error as error:
                raise UnsupportedError(f"{place} is not a regular expression: {error}.") from error
            responses.append(
                IntegrationResponse(
                    pattern=compiled,
                    status=int(response["statusCode"]),
                    headers=static_headers(response.get("responseParameters", {}), _HEADER_PREFIX, place),
                    templates={
                        media_type: self._template(text, place, "responseOverride")
                        for media_type, text in response.get("responseTemplates", {}).items()
                    },
                )
            )
        return tuple(responses)
