"""Request validation: validate the body with the operation's model, with the messages of API Gateway's validator.

API Gateway validates with draft-04 and reports all faults as one list, such as
``[object has missing required properties (["width"])]``. The wording is that of the Java validator that it is known to
use. AWS does not promise it, and no client should depend on it.

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-method-request-validation.html
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from jsonschema import Draft4Validator
from jsonschema.exceptions import SchemaError

from local.gateway.responses import RefusalError, UnsupportedError
from local.gateway.vtl import parse_json


class BodyValidator:
    """Validates bodies with one model.

    Parameters
    ----------
    schema
        Schema of the media type, often a ``$ref`` into ``components``.
    components
        The document's ``components``, for that reference.
    where
        Name of the operation, for messages.

    Raises
    ------
    UnsupportedError
        The model is not a draft-04 schema.
    """

    def __init__(self, schema: Mapping[str, Any], components: Mapping[str, Any], where: str) -> None:
        name = str(schema.get("$ref", "")).rpartition("/")[2]
        model = components.get("schemas", {}).get(name) if name else schema
        try:
            if model is None:
                raise UnsupportedError(f"{where} refers to the model {name}, which is not in components/schemas.")
            Draft4Validator.check_schema(model)
        except SchemaError as error:
            raise UnsupportedError(f"The model of {where} is not a draft-04 schema: {error.message}.") from error
        self._validator = Draft4Validator({**schema, "components": components})

    def check(self, body: bytes) -> None:
        """Check that a body is valid.

        Raises
        ------
        RefusalError
            The body is not JSON, or does not match the model. ``detail`` lists the reasons.
        """
        try:
            # API Gateway reads a missing payload as an empty object.
            document = parse_json(body.decode() or "{}")
        except ValueError as error:
            detail = f"Could not parse request body into json: {error}"
            raise RefusalError("BAD_REQUEST_BODY", detail=detail) from error
        try:
            found = sorted({self._words(error) for error in self._validator.iter_errors(document)})
        except RecursionError:
            # A body that the parser accepts may be nested too deeply for the validator.
            found = ["object is nested too deeply"]
        if found:
            raise RefusalError("BAD_REQUEST_BODY", detail=f"[{', '.join(found)}]")

    def _words(self, error: Any) -> str:
        if error.validator == "oneOf":
            branches = [self._validator.evolve(schema=branch) for branch in error.validator_value]
            matched = sum(branch.is_valid(error.instance) for branch in branches)
            return f"instance failed to match exactly one schema (matched {matched} out of {len(branches)})"
        words = _WORDS.get(str(error.validator))
        return words(error) if words else str(error.message)


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _type_name(value: Any) -> str:
    types = ("null", "boolean", "integer", "number", "string", "array", "object")
    return next(name for name in types if Draft4Validator.TYPE_CHECKER.is_type(value, name))


def _missing(error: Any) -> str:
    missing = sorted(set(error.validator_value) - error.instance.keys())
    return f"object has missing required properties ({_json(missing)})"


def _not_allowed(error: Any) -> str:
    extra = sorted(error.instance.keys() - error.schema.get("properties", {}).keys())
    return f"object instance has properties which are not allowed by the schema: {_json(extra)}"


def _wrong_type(error: Any) -> str:
    allowed = error.validator_value if isinstance(error.validator_value, list) else [error.validator_value]
    return (
        f"instance type ({_type_name(error.instance)}) does not match any allowed primitive type"
        f" (allowed: {_json(sorted(allowed))})"
    )


_WORDS: dict[str, Callable[[Any], str]] = {
    "required": _missing,
    "additionalProperties": _not_allowed,
    "type": _wrong_type,
    "enum": lambda error: (
        f"instance value ({_json(error.instance)}) not found in enum (possible values: {_json(error.validator_value)})"
    ),
    "minimum": lambda error: (
        "numeric instance is lower than the required minimum"
        f" (minimum: {error.validator_value}, found: {error.instance})"
    ),
    "maximum": lambda error: (
        "numeric instance is greater than the required maximum"
        f" (maximum: {error.validator_value}, found: {error.instance})"
    ),
    "minLength": lambda error: (
        f"string {_json(error.instance)} is too short"
        f" (length: {len(error.instance)}, required minimum: {error.validator_value})"
    ),
    "maxLength": lambda error: (
        f"string {_json(error.instance)} is too long"
        f" (length: {len(error.instance)}, maximum allowed: {error.validator_value})"
    ),
    "minItems": lambda error: (
        f"array is too short: must have at least {error.validator_value} elements"
        f" but instance has {len(error.instance)} elements"
    ),
    "maxItems": lambda error: (
        f"array is too long: must have at most {error.validator_value} elements"
        f" but instance has {len(error.instance)} elements"
    ),
    "pattern": lambda error: (
        f"ECMA 262 regex {_json(error.validator_value)} does not match input string {_json(error.instance)}"
    ),
}
