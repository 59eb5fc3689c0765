"""The quick check of requests accepts what jsonschema accepts, and never more."""

import copy
import itertools
import json
import random
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft4Validator

from functions.resize.plain import is_plainly_valid
from functions.resize.request import SCHEMA_PATH, parse_request

SCHEMA: dict[str, Any] = json.loads(SCHEMA_PATH.read_text(encoding="utf-8"))
JSONSCHEMA = Draft4Validator(SCHEMA)

ONE = {"width": 128, "height": 96}
OTHER = {"width": 800, "height": 600}
BASE = {"source_bucket": "originals", "destination_bucket": "thumbnails", "object_key": "trip/été 😀.jpg"}
PLAIN: list[dict[str, Any]] = [
    {**BASE, **ONE},
    {**BASE, "sizes": [ONE]},
    {**BASE, "sizes": [ONE, OTHER, *({"width": side, "height": 1} for side in range(1, 15))]},
    {**BASE, **ONE, "fit": "cover", "format": "webp", "quality": 1},
    {**BASE, "width": 10_000, "height": 1, "quality": 100},
    {**BASE, **ONE, "object_key": "x" * 1024, "source_bucket": "b" * 63, "destination_bucket": "abc"},
]
# Whatever JSON can say, at the edges of the schema's numbers and of what Python and JSON take for the same.
VALUES: list[Any] = [
    *(None, True, False, 0, 1, -1, 100, 101, 10_000, 10_001, 10**30, 0.0, 1.0, 128.5, float("inf"), float("nan")),
    *("", "a", "ab", "abc", "b" * 63, "b" * 64, "x" * 1024, "x" * 1025, "inside", "INSIDE", "jpeg", "nul\0", "line\n"),
    *([], [ONE], [ONE, ONE], [ONE, OTHER], [ONE, {"width": 128.0, "height": 96}], [ONE] * 17, [[]], [None], ["1x1"]),
    *([{"width": True, "height": 1}, {"width": 1, "height": 1}], {}, ONE, {"width": 1}, {**ONE, "depth": 1}),
]
NAMES = [*SCHEMA["properties"], "colour", ""]


def mutated(payload: Any, random_: random.Random) -> Any:
    """Set, leave out or add something, at the top or within one of the sizes."""
    payload = copy.deepcopy(payload)
    for _ in range(random_.choice([1, 1, 2, 3])):
        sizes = payload.get("sizes")
        inside = [size for size in sizes if isinstance(size, dict)] if isinstance(sizes, list) else []
        target = random_.choice(inside) if inside and random_.random() < 0.4 else payload
        name = random_.choice(NAMES)
        if random_.random() < 0.3:
            target.pop(name, None)
        else:
            target[name] = copy.deepcopy(random_.choice(VALUES))
    return payload


def payloads() -> Iterator[Any]:
    yield from VALUES
    yield from PLAIN
    for payload, name, value in itertools.product(PLAIN[:4], NAMES, VALUES):
        yield {**payload, name: value}
    random_ = random.Random(12)  # noqa: S311 - the same payloads in every run
    for _ in range(20_000):
        yield mutated(random_.choice(PLAIN), random_)


def test_it_agrees_with_jsonschema_on_every_payload() -> None:
    accepted = refused = 0
    for payload in payloads():
        plain = is_plainly_valid(payload, SCHEMA)
        # Equality, not only "never more": a doubt about a good request costs it half of the start-up.
        assert plain == JSONSCHEMA.is_valid(payload), payload
        accepted, refused = accepted + plain, refused + (not plain)

    # Neither is a rarity among them.
    assert min(accepted, refused) > 1_000


@pytest.mark.parametrize("payload", PLAIN, ids=range(len(PLAIN)))
def test_a_plain_request_is_judged_without_jsonschema(payload: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also fails when the schema gains a keyword that the quick check does not know."""
    monkeypatch.setitem(sys.modules, "jsonschema", None)

    assert parse_request(payload).object_key == payload["object_key"]


@pytest.mark.parametrize(
    "doubt",
    [
        {"maxProperties": 1},
        {"$ref": "#/definitions/anything"},
        {"properties": {"width": {"exclusiveMaximum": True, "maximum": 128}}},
        {"properties": {"width": {"type": ["integer", "null"]}}},
        {"properties": {"width": {"type": "number"}}},
        {"properties": {"fit": {"format": "email"}}},
        {"properties": {"sizes": {"items": [{"type": "object"}]}}},
        {"additionalProperties": {"type": "string"}},
        {"additionalProperties": True},
    ],
    ids=str,
)
def test_a_rule_that_is_not_known_is_left_to_jsonschema(doubt: dict[str, Any]) -> None:
    schema = {"type": "object", "properties": {}, **doubt}

    assert not is_plainly_valid({**BASE, **ONE, "sizes": [ONE], "fit": "inside"}, schema)


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"pattern": "^[^\\u0000]*$"}, "a\nb", "a\0b"),
        ({"anyOf": [{"type": "string"}, {"minimum": 3}]}, 3, 2),
        ({"oneOf": [{"type": "string"}, {"minLength": 2}]}, "a", "ab"),
        ({"not": {"required": ["a"]}}, {}, {"a": 1}),
        ({"uniqueItems": True}, [1, 2], [1, 1]),
    ],
    ids=str,
)
def test_the_rules_that_it_knows(schema: dict[str, Any], good: Any, bad: Any) -> None:
    for value in (good, bad):
        assert is_plainly_valid(value, schema) == Draft4Validator(schema).is_valid(value) == (value == good)
