"""The API's documents against the OpenAPI 3.0 specification: what API Gateway imports, and what is published."""

import itertools
import json
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV30SpecValidator

from api.contract import PATH, imported_body
from local.template import example_stack
from tests.deployed import read_template

# Every branch of every condition in the body is imported by at least one of these stacks.
STACKS = [
    {"AllowedOrigin": origin, "ApiAuthorization": authorization}
    for origin, authorization in itertools.product(["", "https://example.org"], ["AWS_IAM", "NONE"])
]


def violations(document: dict[str, Any]) -> list[str]:
    return [
        f"{'/'.join(map(str, error.absolute_path))}: {error.message[:300]}"
        for error in OpenAPIV30SpecValidator(document).iter_errors()
    ]


def conditions_in(value: Any) -> set[str]:
    if isinstance(value, list):
        return set().union(*map(conditions_in, value))
    if not isinstance(value, dict):
        return set()
    own = {value["Fn::If"][0]} if "Fn::If" in value else set()
    return own.union(*map(conditions_in, value.values()))


@pytest.mark.parametrize("parameters", STACKS, ids=lambda parameters: ",".join(map(str, parameters.values())))
def test_the_imported_body_is_openapi_3_0(parameters: dict[str, str]) -> None:
    body = imported_body(parameters)

    assert body["openapi"].startswith("3.0.")
    assert violations(body) == []


def test_the_published_document_is_openapi_3_0() -> None:
    document = json.loads(PATH.read_text(encoding="utf-8"))

    assert document["openapi"].startswith("3.0.")
    assert violations(document) == []


def test_the_stacks_differ_in_every_condition_of_the_body() -> None:
    """A new condition needs a stack with it and one without, or one of its branches would go unchecked."""
    body = read_template()["Resources"]["ResizeApi"]["Properties"]["DefinitionBody"]

    for name in conditions_in(body):
        values = {example_stack(parameters).resolve({"Fn::If": [name, True, False]}) for parameters in STACKS}
        assert values == {True, False}, name
