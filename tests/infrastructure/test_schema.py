"""The schemas: draft-04, because API Gateway's models are, and nothing outside the file."""

import json
from typing import Any

import pytest
from jsonschema import Draft4Validator

from functions.resize.limits import Limits
from functions.resize.recipe import Fit, OutputFormat
from functions.resize.request import SCHEMA_PATH, IfMissing
from tests import deployed

# Keywords that came after draft-04, which API Gateway does not know.
LATER_KEYWORDS = {
    *("const", "contains", "propertyNames", "examples", "if", "then", "else", "$id", "$defs"),
    *("dependentRequired", "dependentSchemas", "unevaluatedProperties", "prefixItems", "$anchor"),
}


def subschemas(schema: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if isinstance(schema, dict):
        found.append(schema)
        for value in schema.values():
            found += subschemas(value)
    elif isinstance(schema, list):
        for value in schema:
            found += subschemas(value)
    return found


OTHERS = ["recipes", "manifest", "notification"]


def other_schema(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((SCHEMA_PATH.parent / f"{name}.json").read_text(encoding="utf-8"))
    return found


def test_these_tests_know_every_schema() -> None:
    assert {path.stem for path in SCHEMA_PATH.parent.iterdir()} == {SCHEMA_PATH.stem, *OTHERS}


@pytest.mark.parametrize("name", OTHERS)
def test_the_others_are_like_it(name: str) -> None:
    schema = other_schema(name)

    test_it_is_valid_draft_04(schema)
    test_it_stands_alone(schema)
    test_every_object_is_closed(schema)
    assert schema["description"].endswith(".")


def test_a_recipe_asks_for_nothing_that_a_request_cannot_ask_for(schema: dict[str, Any]) -> None:
    recipe, request = other_schema("recipes")["items"]["properties"], schema["properties"]

    assert recipe.keys() - {"prefix"} <= request.keys()
    assert recipe["fit"]["enum"] == request["fit"]["enum"]
    assert recipe["formats"]["items"] == request["formats"]["items"]
    assert recipe["sizes"]["maxItems"] == request["sizes"]["maxItems"]
    assert [recipe["quality"][bound] for bound in ("minimum", "maximum")] == [1, 100]
    assert [request["quality"][bound] for bound in ("minimum", "maximum")] == [1, 100]


def test_the_function_reads_the_file_that_the_api_includes() -> None:
    assert SCHEMA_PATH == deployed.SCHEMA_PATH


def test_it_is_valid_draft_04(schema: dict[str, Any]) -> None:
    Draft4Validator.check_schema(schema)
    for part in subschemas(schema):
        assert not LATER_KEYWORDS & part.keys()
        # Later drafts have numbers here, draft-04 has booleans.
        assert all(isinstance(part.get(name, True), bool) for name in ("exclusiveMinimum", "exclusiveMaximum"))


def test_it_stands_alone(schema: dict[str, Any]) -> None:
    assert "$ref" not in json.dumps(schema)


def test_every_object_is_closed(schema: dict[str, Any]) -> None:
    for part in subschemas(schema):
        if part.get("type") == "object":
            assert part["additionalProperties"] is False


def test_every_field_says_what_it_is(schema: dict[str, Any]) -> None:
    for field in schema["properties"].values():
        assert field["description"].endswith((".", ")"))


@pytest.mark.parametrize(("field", "choices"), [("fit", Fit), ("format", OutputFormat), ("if_missing", IfMissing)])
def test_the_choices_are_those_of_the_engine(field: str, choices: Any, schema: dict[str, Any]) -> None:
    assert schema["properties"][field]["enum"] == [str(choice) for choice in choices]


def test_the_list_of_formats_has_the_same_choices(schema: dict[str, Any]) -> None:
    formats = schema["properties"]["formats"]

    assert formats["items"]["enum"] == list(OutputFormat)
    assert (formats["maxItems"], formats["uniqueItems"]) == (len(OutputFormat), True)


def test_its_limits_are_those_of_the_function(schema: dict[str, Any]) -> None:
    limits = Limits()
    sizes = schema["properties"]["sizes"]

    assert sizes["maxItems"] * len(OutputFormat) == limits.max_outputs <= limits.max_thumbnails
    for place in (schema["properties"], sizes["items"]["properties"]):
        assert place["width"]["maximum"] == place["height"]["maximum"] == limits.max_output_side
