"""Parse a resize request: the JSON that API Gateway and `start_from_s3` send becomes typed values.

API Gateway validates with the same schema, but StartExecution can be called directly, so every request is validated
again here.
"""

import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from functions.resize.errors import InvalidRequestError
from functions.resize.plain import is_plainly_valid
from functions.resize.recipe import Recipe, read_recipe

# The artefact mirrors the repository, so this path works in both.
SCHEMA_PATH = Path(__file__).parents[2] / "schemas" / "resize_request.json"

_SCHEMA = json.loads(SCHEMA_PATH.read_text(encoding="utf-8"))

_ONE_OF_TWO = "use either format or formats, not both"
# The keywords that combine width, height and sizes. jsonschema's messages for these are hard to understand.
_ABOUT_SIZES = {"oneOf", "anyOf", "not", "dependencies"}
# Reasons quote the offending value, which can be long.
_MAX_REASON = 200


class IfMissing(StrEnum):
    """What happens if there is no original.

    ``fail``: the request fails. ``remove``: the request is that of the key's recipe, and the thumbnails of a missing
    original are deleted.
    """

    FAIL = "fail"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class ResizeRequest:
    """One original and the thumbnails to make from it.

    ``is_retry``: an earlier execution of this request may have stopped halfway.
    """

    source_bucket: str
    destination_bucket: str
    object_key: str
    recipe: Recipe
    if_missing: IfMissing = IfMissing.FAIL
    is_retry: bool = False


def parse_request(payload: Any) -> ResizeRequest:
    """Validate a request against the schema and convert it to typed values.

    Parameters
    ----------
    payload : Any
        Decoded JSON of any shape.

    Raises
    ------
    InvalidRequestError
        With the path of the invalid value and the rule that it breaks.
    """
    if not is_plainly_valid(payload, _SCHEMA):
        _judge(payload)
    return ResizeRequest(
        source_bucket=payload["source_bucket"],
        destination_bucket=payload["destination_bucket"],
        object_key=payload["object_key"],
        recipe=read_recipe(payload),
        if_missing=IfMissing(payload.get("if_missing", IfMissing.FAIL)),
        is_retry=payload.get("retry", False),
    )


def _judge(payload: Any) -> None:
    """Refuse a request that jsonschema refuses, whose import takes as long as all other imports together.

    Raises
    ------
    InvalidRequestError
    """
    from jsonschema import Draft4Validator  # noqa: PLC0415 - as above
    from jsonschema.exceptions import best_match  # noqa: PLC0415 - as above

    error = best_match(Draft4Validator(_SCHEMA).iter_errors(payload))
    if error is None:
        return
    broken = error
    while broken.parent is not None:
        broken = broken.parent
    if isinstance(payload, dict) and broken.validator in _ABOUT_SIZES and not broken.absolute_path:
        both = {"format", "formats"} <= payload.keys() and broken.validator == "not"
        raise InvalidRequestError("$", _ONE_OF_TWO if both else _explain_sizes(payload))
    reason = error.message
    if len(reason) > _MAX_REASON:
        reason = reason[: _MAX_REASON - 1] + "…"
    raise InvalidRequestError(error.json_path, reason)


def _explain_sizes(payload: dict[str, Any]) -> str:
    sides = payload.keys() & {"width", "height"}
    if "sizes" in payload:
        return "use either sizes, or width and height, not both"
    if len(sides) == 1:
        (missing,) = {"width", "height"} - sides
        return f"'{missing}' is missing: width and height must be used together"
    return "either width and height, or sizes, are required"
