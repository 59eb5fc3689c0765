"""Process one request in API Gateway's order.

Route, size, authorization, body, content type, integration, response: each step may end the request with a gateway
response.

https://docs.aws.amazon.com/apigateway/latest/developerguide/how-to-method-settings.html
"""

import copy
import json
import time
from collections.abc import Mapping
from typing import Any

from local.gateway.integration import ServiceAnswer
from local.gateway.openapi import Definition, Operation
from local.gateway.request import Request, Response, build_context, path_parameters
from local.gateway.responses import RefusalError, error_variables
from local.gateway.signature import Signers
from local.gateway.stack import DeployedApi
from local.gateway.vtl import MalformedJsonError, MappingTemplateError, Parameters


class Api:
    """Answers requests to one stage of one API.

    Parameters
    ----------
    deployed
        The API as deployed.
    definition
        Its compiled body.
    signers
        Verify the signatures of operations that require one.
    """

    def __init__(self, deployed: DeployedApi, definition: Definition, signers: Signers) -> None:
        self._deployed = deployed
        self._definition = definition
        self._signers = signers

    @property
    def routes(self) -> list[str]:
        """Methods and paths that the API serves."""
        return [f"{item.method} /{self._deployed.stage}{item.path}" for item in self._definition.operations]

    def answer(self, request: Request) -> Response:
        """Answer a request; every error becomes a gateway response."""
        stage = request.path.removeprefix("/").partition("/")[0]
        if stage != self._deployed.stage:
            return self._no_stage(stage)
        context = build_context(self._deployed, request, "")
        started = time.perf_counter()
        try:
            response = self._run(request, context)
        except MalformedJsonError as error:
            detail = f"Could not parse request body into json: {error}"
            response = self._refuse(RefusalError("BAD_REQUEST_BODY", detail=detail), context)
        except MappingTemplateError as error:
            response = self._refuse(RefusalError("API_CONFIGURATION_ERROR", detail=str(error)), context)
        except RefusalError as error:
            response = self._refuse(error, context)
        except Exception as error:  # noqa: BLE001  # an error of the gateway becomes a 500 with a log line, not a closed connection
            response = self._refuse(RefusalError("API_CONFIGURATION_ERROR", detail=repr(error)), context)
        headers = {"x-amzn-RequestId": request.request_id, "x-amz-apigw-id": context["extendedRequestId"]}
        context["status"] = response.status
        context["responseLength"] = len(response.body)
        context["responseLatency"] = _milliseconds_since(started)
        access_log = self._definition.access_log
        return Response(
            status=response.status,
            headers={**headers, **response.headers},
            body=response.body,
            reason=response.reason,
            access=access_log.entry(context) if access_log else {},
        )

    def _no_stage(self, stage: str) -> Response:
        """Refuse a path without the stage like AWS, without a gateway response of the API, but with a hint."""
        routes = [
            f"{item.method} /{self._deployed.stage}{item.path}"
            for item in self._definition.operations
            if item.method not in ("*", "OPTIONS")
        ]
        hint = f"Paths begin with the stage, /{self._deployed.stage}. This API has {', '.join(routes)}."
        return Response(
            status=403,
            headers={"Content-Type": "application/json", "x-amzn-ErrorType": "ForbiddenException"},
            body=json.dumps({"message": "Forbidden", "hint": hint}).encode(),
            reason=f"there is no stage {stage!r}",
        )

    def _run(self, request: Request, context: dict[str, Any]) -> Response:
        operation, path = self._route(request)
        context["resourcePath"] = operation.path
        if request.body is None:
            raise RefusalError("REQUEST_TOO_LARGE")
        if operation.signed:
            context["identity"] |= self._signers.identify(request)
        parameters = Parameters(path, request.query, dict(request.headers))
        # A body whose type has no model is not validated, but passthroughBehavior refuses it.
        if validator := operation.validators.get(request.media_type):
            validator.check(request.body)
        rendered = self._request_body(operation, request, request.body, parameters, context)
        started = time.perf_counter()
        answer = operation.action.call(rendered, context["requestOverride"]["header"])
        context["integration"] = {"status": answer.status, "latency": _milliseconds_since(started)}
        return self._map(operation, answer, parameters, context)

    def _refuse(self, refusal: RefusalError, context: dict[str, Any]) -> Response:
        context["error"] = error_variables(refusal)
        return self._definition.gateway_responses.answer(refusal, context)

    def _route(self, request: Request) -> tuple[Operation, dict[str, str]]:
        _, *segments = request.path.removeprefix("/").removesuffix("/").split("/")
        resource = ""
        # The operations are in the order of precedence. The path is chosen first: if it lacks the method, less specific
        # paths are not tried.
        for operation in self._definition.operations:
            found = path_parameters(operation.path, segments)
            if found is None or resource not in ("", operation.path):
                continue
            resource = operation.path
            if operation.method in (request.method, "*"):
                return operation, found
        # Not 404: API Gateway does not distinguish a path that does not exist from one that needs authorization.
        raise RefusalError("MISSING_AUTHENTICATION_TOKEN", detail=f"no route for {request.method} {request.path}")

    def _request_body(
        self,
        operation: Operation,
        request: Request,
        body: bytes,
        parameters: Parameters,
        context: Mapping[str, Any],
    ) -> bytes:
        template = operation.request_templates.get(request.media_type)
        if template is None:
            raise RefusalError("UNSUPPORTED_MEDIA_TYPE", detail=f"no template for {request.media_type}")
        return template.render(
            body=body.decode("utf-8", "replace"),
            parameters=parameters,
            context=context,
            stage_variables=self._deployed.variables,
        ).encode("utf-8", "replace")

    def _map(
        self, operation: Operation, answer: ServiceAnswer, parameters: Parameters, context: dict[str, Any]
    ) -> Response:
        mapping = operation.response_to(answer.status)
        if mapping is None:
            raise RefusalError("API_CONFIGURATION_ERROR", detail=f"no response matches status {answer.status}")
        reason = "" if answer.status < 400 else answer.body.decode("utf-8", "replace")  # noqa: PLR2004  # HTTP's own line
        content_type = "application/json"
        if not mapping.templates:
            return Response(mapping.status, {"Content-Type": content_type, **mapping.headers}, answer.body, reason)
        if content_type not in mapping.templates:
            content_type = next(iter(mapping.templates))
        scope = copy.deepcopy(context)
        try:
            body = mapping.templates[content_type].render(
                body=answer.body.decode("utf-8", "replace"),
                parameters=parameters,
                context=scope,
                stage_variables=self._deployed.variables,
            )
            override = scope["responseOverride"]
            status = mapping.status if override["status"] is None else int(override["status"])
        except (MalformedJsonError, ValueError) as error:
            raise RefusalError("API_CONFIGURATION_ERROR", detail=f"response template: {error}") from error
        headers = {"Content-Type": content_type, **mapping.headers}
        headers |= {name: str(value) for name, value in override["header"].items()}
        return Response(status, headers, body.encode("utf-8", "replace"), reason)


def _milliseconds_since(started: float) -> int:
    return round((time.perf_counter() - started) * 1000)
