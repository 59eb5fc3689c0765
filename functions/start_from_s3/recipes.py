"""Parse recipes.json, which defines the thumbnails of each prefix of keys; as a command, check the file.

The rules are those of schemas/recipes.json. jsonschema is not used, because its messages have no line numbers, and
importing it would take longer than all other imports of this function.
"""

import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

# The artefact mirrors the repository, so this path works in both.
RECIPES_PATH = Path(__file__).parents[2] / "recipes.json"

_BOX = re.compile(r"([1-9][0-9]*)x([1-9][0-9]*)")
_LARGEST_SIDE = 10_000
_MOST_SIZES = 16
_MOST_QUALITY = 100
_FITS = ("inside", "cover", "pad", "fill")
_FORMATS = ("source", "jpeg", "png", "webp", "avif")


class RecipesError(ValueError):
    """recipes.json breaks a rule.

    Attributes
    ----------
    line : int
        From 1.
    rule : str
        The rule that the line breaks.
    """

    def __init__(self, line: int, rule: str) -> None:
        super().__init__(f"recipes.json, line {line}: {rule}")
        self.line = line
        self.rule = rule


@dataclass(frozen=True, slots=True)
class Recipe:
    """The thumbnails of originals whose keys begin with a prefix.

    Attributes
    ----------
    prefix : str
    request : dict
        ``sizes``, and ``fit``, ``formats`` and ``quality`` if the recipe has them, as in a request; ``None`` if these
        originals are ignored.
    """

    prefix: str
    request: dict[str, Any] | None


def wanted_of(key: str, recipes: list[Recipe]) -> dict[str, Any] | None:
    """Return the fields of the first recipe for a key, as in a request; ``None`` if the key is ignored."""
    return next((recipe.request for recipe in recipes if key.startswith(recipe.prefix)), None)


def parse_sizes(text: str) -> list[dict[str, int]]:
    """Read ``128x128,800x600`` into boxes for a request, each box once.

    Raises
    ------
    ValueError
        A part is not a box; the message names it.
    """
    sizes: list[dict[str, int]] = []
    for part in text.split(","):
        size = _read_box(part.strip())
        if size is None:
            raise ValueError(f"THUMBNAIL_SIZES has '{part}', which is not a box such as 128x128.")
        if size not in sizes:
            sizes.append(size)
    return sizes


def parse_recipes(text: str, default_sizes: list[dict[str, int]]) -> list[Recipe]:
    """Read recipes.json.

    Parameters
    ----------
    text : str
    default_sizes : list of dict
        The boxes of recipes without ``sizes``.

    Raises
    ------
    RecipesError
    """
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        raise RecipesError(error.lineno, f"this is not JSON: {error.msg}") from error
    return [
        _read_recipe(value, default_sizes, partial(_line_of, text, start, end))
        for value, start, end in _split_array(text)
    ]


def _split_array(text: str) -> list[tuple[Any, int, int]]:
    """Return the elements of a JSON array, and the start and end of each in the text."""
    at = len(text) - len(text.lstrip())
    if text[at] != "[":
        raise RecipesError(text.count("\n", 0, at) + 1, "the file is a list of recipes: [ ... ]")
    elements = []
    skip = re.compile(r"[\s,]*")
    at = skip.match(text, at + 1).end()  # type: ignore[union-attr]  # it also matches the empty string
    while text[at] != "]":
        value, end = json.JSONDecoder().raw_decode(text, at)
        elements.append((value, at, end))
        at = skip.match(text, end).end()  # type: ignore[union-attr]  # as above
    return elements


def _line_of(text: str, start: int, end: int, name: str) -> int:
    """Return the line of a recipe's field, or the first line of the recipe if the field is missing."""
    found = re.compile(rf'"{re.escape(name)}"\s*:').search(text, start, end) if name else None
    return text.count("\n", 0, found.start() if found else start) + 1


def _read_recipe(value: Any, default_sizes: list[dict[str, int]], line_of: Callable[[str], int]) -> Recipe:
    if not isinstance(value, dict):
        raise RecipesError(line_of(""), 'a recipe is an object such as {"prefix": "avatars/"}')
    if unknown := value.keys() - {"prefix", *_FIELDS}:
        name = min(unknown)
        raise RecipesError(line_of(name), f"'{name}' is unknown; a recipe has prefix, {', '.join(_FIELDS)}")
    prefix = value.get("prefix")
    if not isinstance(prefix, str):
        raise RecipesError(line_of("prefix"), "'prefix' must be a string that keys begin with; \"\" is for all keys")
    request: dict[str, Any] = {"sizes": default_sizes}
    for name, (read, rule) in _FIELDS.items():
        if name in value:
            request[name] = read(value[name])
            if request[name] is None:
                raise RecipesError(line_of(name), f"'{name}' must be {rule}")
    return Recipe(prefix, request if request["sizes"] else None)


def _read_box(text: Any) -> dict[str, int] | None:
    box = _BOX.fullmatch(text) if isinstance(text, str) else None
    if box is None or max(int(box[1]), int(box[2])) > _LARGEST_SIDE:
        return None
    return {"width": int(box[1]), "height": int(box[2])}


def _read_sizes(value: Any) -> list[dict[str, int]] | None:
    if not isinstance(value, list) or len(value) > _MOST_SIZES:
        return None
    boxes = [_read_box(each) for each in value]
    sizes = [box for box in boxes if box is not None]
    is_whole = len(sizes) == len(value) and all(box not in sizes[:place] for place, box in enumerate(sizes))
    return sizes if is_whole else None


def _read_fit(value: Any) -> str | None:
    return value if value in _FITS else None


def _read_formats(value: Any) -> list[str] | None:
    if not isinstance(value, list) or not value or len({*map(str, value)}) < len(value):
        return None
    return value if all(each in _FORMATS for each in value) else None


def _read_quality(value: Any) -> int | None:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return value if is_whole and 1 <= value <= _MOST_QUALITY else None


# Field -> its parser, which returns None if the value breaks the rule, and the rule.
_FIELDS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "sizes": (_read_sizes, 'a list of at most 16 different boxes such as "128x128", each side 1 to 10000; [] for none'),
    "fit": (_read_fit, f"one of {', '.join(_FITS)}"),
    "formats": (_read_formats, f"a list of at least one of {', '.join(_FORMATS)}, each once"),
    "quality": (_read_quality, "a whole number from 1 to 100"),
}


def main() -> int:
    """Check recipes.json, so that a build fails if the file is invalid."""
    try:
        parse_recipes(RECIPES_PATH.read_text(encoding="utf-8"), [{"width": 1, "height": 1}])
    except (OSError, UnicodeDecodeError, RecipesError) as error:
        print(f"{error}\nNext: correct recipes.json; schemas/recipes.json has all rules.", file=sys.stderr)  # noqa: T201 - a command
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
