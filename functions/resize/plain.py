"""Validate common requests without jsonschema, whose import is slow.

The schema file is the only schema. If it has a keyword that is not listed here, jsonschema validates the request.
"""

import re
from collections.abc import Callable
from types import UnionType
from typing import Any

_TYPES = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}


def is_plainly_valid(value: Any, schema: dict[str, Any]) -> bool:
    """Return whether a value certainly matches a schema.

    Parameters
    ----------
    value : Any
        Decoded JSON of any shape.
    schema : dict
        JSON Schema, draft 4.

    Returns
    -------
    bool
        ``False`` if the value breaks a rule or a keyword is unknown.
    """
    try:
        return _meets(value, schema)
    except (KeyError, TypeError, AttributeError):
        # An unknown keyword, or a known one in an unknown form.
        return False


def _meets(value: Any, schema: dict[str, Any]) -> bool:
    if isinstance(value, dict) and "additionalProperties" in schema and not value.keys() <= schema["properties"].keys():
        return False
    for keyword, rule in schema.items():
        kind, holds = _KEYWORDS[keyword]
        if isinstance(value, kind) and not holds(value, rule):
            return False
    return True


def _is_of_type(value: Any, name: str) -> bool:
    # In Python a bool is an int; in JSON it is not a number.
    return isinstance(value, _TYPES[name]) and isinstance(value, bool) == (name == "boolean")


def _properties_meet(value: dict[str, Any], schemas: dict[str, Any]) -> bool:
    return all(_meets(value[name], schema) for name, schema in schemas.items() if name in value)


# Keyword -> the type of value it applies to, and a check of such a value.
_KEYWORDS: dict[str, tuple[type | UnionType, Callable[[Any, Any], bool]]] = {
    "$schema": (object, lambda *_: True),
    "title": (object, lambda *_: True),
    "description": (object, lambda *_: True),
    "type": (object, _is_of_type),
    "enum": (object, lambda value, choices: value in choices),
    "oneOf": (object, lambda value, schemas: sum(_meets(value, schema) for schema in schemas) == 1),
    "anyOf": (object, lambda value, schemas: any(_meets(value, schema) for schema in schemas)),
    "not": (object, lambda value, schema: not _meets(value, schema)),
    "required": (dict, lambda value, names: all(name in value for name in names)),
    "properties": (dict, _properties_meet),
    "additionalProperties": (dict, lambda _, allowed: allowed is False),
    "minItems": (list, lambda value, least: len(value) >= least),
    "maxItems": (list, lambda value, most: len(value) <= most),
    "items": (list, lambda value, schema: all(_meets(item, schema) for item in value)),
    "uniqueItems": (list, lambda value, _: all(item not in value[:index] for index, item in enumerate(value))),
    "minLength": (str, lambda value, least: len(value) >= least),
    "maxLength": (str, lambda value, most: len(value) <= most),
    "pattern": (str, lambda value, pattern: re.search(pattern, value) is not None),
    "minimum": (int | float, lambda value, least: value >= least),
    "maximum": (int | float, lambda value, most: value <= most),
}
