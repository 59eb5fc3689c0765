"""The contract of the API, docs/openapi.json: the part of the deployed API that clients need.

It is plain OpenAPI 3.0: the operations that a client may use, with the schema of a request, and without the
extensions that tell API Gateway how to serve them.
"""

from typing import Any

from local.template import ROOT, example_stack

PATH = ROOT / "docs" / "openapi.json"
_EXTENSION = "x-amazon-"
# Preflight requests exist only with AllowedOrigin, and browsers send them without being asked.
_PREFLIGHT = "options"
_SIGNATURE = {
    "type": "apiKey",
    "in": "header",
    "name": "Authorization",
    "description": "AWS Signature Version 4 for the service execute-api, unless the stack has ApiAuthorization=NONE.",
}
_SERVER = {
    "url": "https://{apiId}.execute-api.{region}.amazonaws.com/prod",
    "variables": {"apiId": {"default": "api"}, "region": {"default": "us-east-1"}},
}


def contract() -> dict[str, Any]:
    """Return the OpenAPI document of the API as the template's default parameters make it."""
    body = imported_body({})
    paths = {path: _operations(item) for path, item in body["paths"].items()}
    return {
        "openapi": "3.0.3",
        "info": body["info"],
        "servers": [_SERVER],
        "paths": {path: operations for path, operations in paths.items() if operations},
        "components": {**body["components"], "securitySchemes": {"sigv4": _SIGNATURE}},
    }


def imported_body(parameters: dict[str, str]) -> dict[str, Any]:
    """Return the body that API Gateway imports when the template is deployed with these parameters."""
    stack = example_stack(parameters)
    body: dict[str, Any] = stack.resolve(stack.template["Resources"]["ResizeApi"]["Properties"]["DefinitionBody"])
    return body


def _operations(item: dict[str, Any]) -> dict[str, Any]:
    operations = {}
    for method, operation in item.items():
        if method.startswith(_EXTENSION) or method == _PREFLIGHT:
            continue
        plain = {key: value for key, value in operation.items() if not key.startswith(_EXTENSION)}
        if operation["x-amazon-apigateway-auth"]["type"] == "AWS_IAM":
            plain["security"] = [{"sigv4": []}]
        operations[method] = plain
    return operations
