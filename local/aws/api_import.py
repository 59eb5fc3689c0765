"""Import an OpenAPI 3 document like API Gateway: models, validators, resources and methods.

MiniStack imports only paths, methods, type and URI. Models are imported under the names of their schemas, and their
references become URLs of models:
https://docs.aws.amazon.com/apigateway/latest/developerguide/models-mappings-models.html
"""

import json
import re
from typing import Any

from ministack.services import apigateway_v1  # type: ignore[import-not-found]

_Json = dict[str, Any]

_ANY = "x-amazon-apigateway-any-method"
_METHODS = {"get", "put", "post", "delete", "options", "head", "patch", _ANY}
_PLACES = {"header": "header", "query": "querystring", "path": "path"}
_REFERENCE = re.compile(r"#/components/schemas/([A-Za-z0-9]+)")


def overwrite(api_id: str, body: _Json) -> None:
    """Replace everything in the API except its root by the content of a document."""
    # MiniStack has no public place for any of this.
    (root,) = [item for item in apigateway_v1._resources[api_id].values() if item["path"] == "/"]  # noqa: SLF001
    root["resourceMethods"] = {}
    apigateway_v1._resources[api_id] = {root["id"]: root}  # noqa: SLF001
    apigateway_v1._models[api_id] = {}  # noqa: SLF001
    apigateway_v1._request_validators[api_id] = {}  # noqa: SLF001
    for name, schema in body.get("components", {}).get("schemas", {}).items():
        apigateway_v1._create_model(  # noqa: SLF001
            api_id, {"name": name, "schema": _schema(api_id, schema), "description": schema.get("description", "")}
        )
    validators = {
        name: json.loads(apigateway_v1._create_request_validator(api_id, {**declared, "name": name})[2])["id"]  # noqa: SLF001
        for name, declared in body.get("x-amazon-apigateway-request-validators", {}).items()
    }
    for path, item in body.get("paths", {}).items():
        resource = _resource(api_id, root["id"], path)
        for method, operation in item.items():
            if method in _METHODS:
                name = operation.get(
                    "x-amazon-apigateway-request-validator", body.get("x-amazon-apigateway-request-validator")
                )
                _method(api_id, resource, "ANY" if method == _ANY else method.upper(), operation, validators.get(name))


def _schema(api_id: str, schema: Any) -> str:
    """Return a model's schema as text, in which form GetModel returns it."""
    return _REFERENCE.sub(
        rf"https://apigateway.amazonaws.com/restapis/{api_id}/models/\1", json.dumps(schema, indent=2)
    )


def _resource(api_id: str, parent: str, path: str) -> str:
    for part in filter(None, path.split("/")):
        resources = apigateway_v1._resources[api_id].values()  # noqa: SLF001
        known = [item["id"] for item in resources if (item["parentId"], item["pathPart"]) == (parent, part)]
        if not known:
            known = [json.loads(apigateway_v1._create_resource(api_id, parent, {"pathPart": part})[2])["id"]]  # noqa: SLF001
        (parent,) = known
    return parent


def _method(api_id: str, resource: str, method: str, operation: _Json, validator: str | None) -> None:
    apigateway_v1._put_method(  # noqa: SLF001
        api_id,
        resource,
        method,
        {
            "authorizationType": operation.get("x-amazon-apigateway-auth", {}).get("type", "NONE").upper(),
            "operationName": operation.get("operationId"),
            "requestValidatorId": validator,
            "requestModels": _models(operation.get("requestBody", {})),
            "requestParameters": {
                f"method.request.{_PLACES[item['in']]}.{item['name']}": item.get("required", False)
                for item in operation.get("parameters", [])
                if item.get("in") in _PLACES
            },
        },
    )
    for status, response in operation.get("responses", {}).items():
        parameters = {f"method.response.header.{name}": False for name in response.get("headers", {})}
        models = _models(response)
        apigateway_v1._put_method_response(  # noqa: SLF001
            api_id, resource, method, status, {"responseParameters": parameters, "responseModels": models}
        )
    integration = operation.get("x-amazon-apigateway-integration")
    if integration:
        _integrate(api_id, resource, method, integration)


def _integrate(api_id: str, resource: str, method: str, integration: _Json) -> None:
    upper: _Json = {key: integration[key].upper() for key in ("type", "passthroughBehavior") if key in integration}
    apigateway_v1._put_integration(api_id, resource, method, {**integration, **upper})  # noqa: SLF001
    for pattern, response in integration.get("responses", {}).items():
        selection = {} if pattern == "default" else {"selectionPattern": pattern}
        apigateway_v1._put_integration_response(  # noqa: SLF001
            api_id, resource, method, str(response["statusCode"]), {**response, **selection}
        )


def _models(message: _Json) -> dict[str, str]:
    """Return the names of the models of a request or response by content type."""
    return {
        content_type: match[1]
        for content_type, content in message.get("content", {}).items()
        if (match := _REFERENCE.fullmatch(content.get("schema", {}).get("$ref", "")))
    }
