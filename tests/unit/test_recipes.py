"""recipes.json: which recipe a key gets, and that a wrong file is refused with the line and the rule."""

import json
import re
from typing import Any

import pytest
from jsonschema import Draft4Validator

from functions.resize.recipe import Fit, OutputFormat
from functions.resize.request import parse_request
from functions.start_from_s3 import recipes
from functions.start_from_s3.recipes import (
    RECIPES_PATH,
    RecipesError,
    main,
    parse_recipes,
    parse_sizes,
    wanted_of,
)
from tests.deployed import ROOT

DEFAULT_SIZES = [{"width": 128, "height": 128}]
SCHEMA = json.loads((ROOT / "schemas" / "recipes.json").read_text(encoding="utf-8"))


def refused(text: str) -> RecipesError:
    with pytest.raises(RecipesError) as caught:
        parse_recipes(text, DEFAULT_SIZES)
    return caught.value


def wanted(key: str, *recipes: dict[str, Any]) -> dict[str, Any] | None:
    """Return what the recipe for a key asks for."""
    return wanted_of(key, parse_recipes(json.dumps(recipes), DEFAULT_SIZES))


def test_the_first_recipe_whose_prefix_the_key_begins_with_is_used() -> None:
    recipes = (
        {"prefix": "avatars/", "sizes": ["64x64"]},
        {"prefix": "avatars/large/", "sizes": ["512x512"]},
        {"prefix": "", "sizes": ["100x100"]},
        {"prefix": "late/", "sizes": ["1x1"]},
    )

    used = [wanted(key, *recipes) for key in ("avatars/a.jpg", "avatars/large/a.jpg", "a/avatars/a.jpg", "late/a.jpg")]

    assert used == [{"sizes": [{"width": side, "height": side}]} for side in (64, 64, 100, 100)]


def test_a_prefix_is_the_beginning_of_a_key_and_no_folder() -> None:
    assert wanted("avatars-2026.jpg", {"prefix": "avatars"}) is not None


def test_an_original_without_a_recipe_is_left_alone() -> None:
    assert wanted("b/a.jpg", {"prefix": "a/"}) is None


def test_a_file_without_recipes_leaves_all_originals_alone() -> None:
    assert parse_recipes(" [ ]\n", DEFAULT_SIZES) == []


def test_no_sizes_leave_a_prefix_alone_and_hide_it_from_later_recipes() -> None:
    recipes = ({"prefix": "raw/", "sizes": []}, {"prefix": ""})

    assert wanted("raw/a.jpg", *recipes) is None
    assert wanted("a.jpg", *recipes) is not None


def test_a_recipe_without_sizes_has_those_of_the_parameter() -> None:
    assert wanted("a.jpg", {"prefix": "", "fit": "pad"}) == {"sizes": DEFAULT_SIZES, "fit": "pad"}


def test_a_recipe_becomes_a_request() -> None:
    recipe = {"prefix": "", "sizes": ["64x48"], "fit": "cover", "formats": ["webp", "jpeg"], "quality": 80}
    buckets = {"source_bucket": "originals", "destination_bucket": "thumbnails", "object_key": "a.jpg"}

    request = parse_request({**buckets, **(wanted("a.jpg", recipe) or {})})

    (webp, jpeg) = request.recipe.renditions
    assert (webp.box.width, webp.box.height, webp.fit, webp.quality) == (64, 48, Fit.COVER, 80)
    assert (webp.format, jpeg.format) == (OutputFormat.WEBP, OutputFormat.JPEG)


def test_the_delivered_recipes_do_what_the_parameter_alone_does() -> None:
    delivered = parse_recipes(RECIPES_PATH.read_text(encoding="utf-8"), DEFAULT_SIZES)

    (recipe,) = delivered
    assert (recipe.prefix, recipe.request) == ("", {"sizes": DEFAULT_SIZES})


# On the third line, what is wrong with it, and words of the rule.
WRONG_LINES = [
    ('{"sizes": ["8x8"]},', "'prefix' must be"),
    ('{"prefix": 5},', "'prefix' must be"),
    ('{"prefix": null},', "'prefix' must be"),
    ('{"prefix": "a", "size": []},', "'size' is unknown"),
    ('{"prefix": "a", "format": "webp"},', "'format' is unknown"),
    ('"a/",', "a recipe is an object"),
    ("null,", "a recipe is an object"),
    ("[],", "a recipe is an object"),
    ('{"prefix": "a", "sizes": "8x8"},', "'sizes' must be"),
    ('{"prefix": "a", "sizes": null},', "'sizes' must be"),
    ('{"prefix": "a", "sizes": [{"width": 8, "height": 8}]},', "'sizes' must be"),
    ('{"prefix": "a", "sizes": ["8"]},', "'sizes' must be"),
    ('{"prefix": "a", "sizes": ["8x"]},', "'sizes' must be"),
    ('{"prefix": "a", "sizes": ["0x8"]},', "'sizes' must be"),
    ('{"prefix": "a", "sizes": ["08x8"]},', "'sizes' must be"),
    ('{"prefix": "a", "sizes": [" 8x8"]},', "'sizes' must be"),
    ('{"prefix": "a", "sizes": ["8X8"]},', "'sizes' must be"),
    ('{"prefix": "a", "sizes": ["-8x8"]},', "'sizes' must be"),
    ('{"prefix": "a", "sizes": ["8x8", "8x8"]},', "'sizes' must be"),
    ('{"prefix": "a", "sizes": ["10001x8"]},', "'sizes' must be"),
    ('{"prefix": "a", "sizes": ["8x10001"]},', "'sizes' must be"),
    ('{"prefix": "a", "sizes": ["99999x8"]},', "'sizes' must be"),
    (json.dumps({"prefix": "a", "sizes": [f"{side}x8" for side in range(1, 18)]}) + ",", "'sizes' must be"),
    ('{"prefix": "a", "fit": "squeeze"},', "'fit' must be"),
    ('{"prefix": "a", "fit": null},', "'fit' must be"),
    ('{"prefix": "a", "fit": ["cover"]},', "'fit' must be"),
    ('{"prefix": "a", "formats": []},', "'formats' must be"),
    ('{"prefix": "a", "formats": "webp"},', "'formats' must be"),
    ('{"prefix": "a", "formats": ["gif"]},', "'formats' must be"),
    ('{"prefix": "a", "formats": [5]},', "'formats' must be"),
    ('{"prefix": "a", "formats": [["webp"]]},', "'formats' must be"),
    ('{"prefix": "a", "formats": ["webp", "webp"]},', "'formats' must be"),
    ('{"prefix": "a", "formats": ["webp", null]},', "'formats' must be"),
    ('{"prefix": "a", "quality": 0},', "'quality' must be"),
    ('{"prefix": "a", "quality": 101},', "'quality' must be"),
    ('{"prefix": "a", "quality": "80"},', "'quality' must be"),
    ('{"prefix": "a", "quality": true},', "'quality' must be"),
    ('{"prefix": "a", "quality": 80.5},', "'quality' must be"),
    ('{"prefix": "a", "quality": null},', "'quality' must be"),
]


@pytest.mark.parametrize(("line", "rule"), WRONG_LINES)
def test_a_broken_rule_is_named_with_its_line(line: str, rule: str) -> None:
    error = refused(f'[\n  {{"prefix": "fine/", "sizes": ["8x8"], "quality": 80}},\n  {line}\n  {{"prefix": ""}}\n]')

    assert (error.line, error.rule[: len(rule)]) == (3, rule)
    assert str(error).startswith("recipes.json, line 3: ")


def test_the_line_is_that_of_the_field_in_its_own_recipe() -> None:
    first = '[\n{"prefix": "a",\n "quality": 1,\n "fit": "pad"},\n'
    second = '\n{"prefix": "quality",\n\n "fit": "pad",\n "quality": 0}]'

    assert refused(first + second).line == 9


def test_the_line_of_a_missing_field_is_that_of_its_recipe() -> None:
    assert refused('[\n\n{"fit": "pad"}]').line == 3


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        ("\n\n", 3),
        ('[\n {"prefix": ""}\n', 3),
        ('[\n {"prefix": "",}\n]', 2),
        ('[{"prefix": "a"}\n {"prefix": ""}]', 2),
        ('[\n// a comment\n{"prefix": ""}]', 2),
        ('[{"prefix": ""}]\nmore', 2),
    ],
)
def test_what_is_not_json_is_refused_with_its_line(text: str, line: int) -> None:
    error = refused(text)

    assert "not JSON" in error.rule
    assert error.line == line


@pytest.mark.parametrize("text", ['{"prefix": ""}', '"text"', "5", "null", "true"])
def test_a_file_that_is_no_list_is_refused(text: str) -> None:
    error = refused("\n" + text)

    assert (error.line, error.rule[:18]) == (2, "the file is a list")


GOOD = [
    [],
    [{"prefix": ""}],
    [{"prefix": "a/"}, {"prefix": "a/"}],
    [{"prefix": 'quotes " and { [ ] }, é 😀'}],
    [{"prefix": "", "sizes": []}],
    [{"prefix": "", "sizes": ["1x1", "10000x10000", "9999x1"]}],
    [{"prefix": "", "sizes": [f"{side}x8" for side in range(1, 17)]}],
    *([{"prefix": "", "fit": str(fit)}] for fit in Fit),
    *([{"prefix": "", "formats": [str(each)]}] for each in OutputFormat),
    [{"prefix": "", "formats": [str(each) for each in OutputFormat]}],
    *([{"prefix": "", "quality": quality}] for quality in (1, 80, 100)),
    [{"prefix": "a", "sizes": ["8x8"], "fit": "cover", "formats": ["webp", "source"], "quality": 80}],
]
BAD = [json.loads(f"[{line.rstrip(',')}]") for line, _ in WRONG_LINES] + [{}, {"prefix": ""}, "text", 5, None, True]


def is_accepted(text: str) -> bool:
    try:
        parse_recipes(text, DEFAULT_SIZES)
    except RecipesError:
        return False
    return True


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("document", [*GOOD, *BAD], ids=lambda document: json.dumps(document)[:60])
def test_the_parser_and_the_schema_agree(document: Any, indent: int | None) -> None:
    text = json.dumps(document, indent=indent)

    assert is_accepted(text) == Draft4Validator(SCHEMA).is_valid(document) == (document in GOOD)


def test_the_schema_is_draft_04_and_its_choices_are_those_of_the_engine() -> None:
    Draft4Validator.check_schema(SCHEMA)
    fields = SCHEMA["items"]["properties"]

    assert fields["fit"]["enum"] == list(Fit)
    assert fields["formats"]["items"]["enum"] == list(OutputFormat)


def test_the_delivered_file_passes_the_check_of_the_build(capsys: pytest.CaptureFixture[str]) -> None:
    assert main() == 0
    assert capsys.readouterr() == ("", "")


def test_a_wrong_file_stops_the_build_with_line_and_rule(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "recipes.json"
    path.write_text('[\n  {"prefix": "", "fit": "squeeze"}\n]')
    monkeypatch.setattr(recipes, "RECIPES_PATH", path)

    assert main() == 1
    assert "recipes.json, line 2: 'fit' must be one of inside, cover, pad, fill" in capsys.readouterr().err


@pytest.mark.parametrize("data", [None, b"\xff\xfe[]"], ids=["missing", "not UTF-8"])
def test_a_file_that_cannot_be_read_stops_the_build(
    data: bytes | None, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "recipes.json"
    if data is not None:
        path.write_bytes(data)
    monkeypatch.setattr(recipes, "RECIPES_PATH", path)

    assert main() == 1
    assert "Next: correct recipes.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("128x128", [(128, 128)]),
        ("128x96,800x600", [(128, 96), (800, 600)]),
        (" 128x96 ,\t800x600 ", [(128, 96), (800, 600)]),
        ("1x9999", [(1, 9999)]),
    ],
)
def test_sizes(text: str, sizes: list[tuple[int, int]]) -> None:
    assert parse_sizes(text) == [{"width": width, "height": height} for width, height in sizes]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", ""),
        ("128", "128"),
        ("128x", "128x"),
        ("x128", "x128"),
        ("0x128", "0x128"),
        ("128x0", "128x0"),
        ("-1x128", "-1x128"),
        ("1.5x2", "1.5x2"),
        ("128X128", "128X128"),
        ("128 x 128", "128 x 128"),
        ("128x128,", ""),
        ("128x128,,64x64", ""),
        ("128x128;64x64", "128x128;64x64"),
        ("128x128 64x64", "128x128 64x64"),
        ("128x128,large", "large"),
        ("\u0661x\u0662", "\u0661x\u0662"),
    ],
)
def test_what_is_no_box_is_named(text: str, part: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"THUMBNAIL_SIZES has '{part}', which is not a box")):
        parse_sizes(text)
