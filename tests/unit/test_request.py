import json
from typing import Any

import pytest

from functions.resize.errors import InvalidRequestError
from functions.resize.recipe import Box, Fit, OutputFormat, Recipe, Rendition
from functions.resize.request import IfMissing, ResizeRequest, parse_request

BASE = {"source_bucket": "originals", "destination_bucket": "thumbnails", "object_key": "trip/example.jpg"}
ONE_SIZE = {**BASE, "width": 128, "height": 96}
SEVERAL_SIZES = {**BASE, "sizes": [{"width": 128, "height": 96}, {"width": 800, "height": 600}]}


def renditions(payload: Any) -> tuple[Rendition, ...]:
    return parse_request(payload).recipe.renditions


def boxes(payload: Any) -> list[Box]:
    return [rendition.box for rendition in renditions(payload)]


def refused(payload: Any) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as caught:
        parse_request(payload)
    return caught.value


def test_one_size_and_the_defaults() -> None:
    assert parse_request(ONE_SIZE) == ResizeRequest(
        source_bucket="originals",
        destination_bucket="thumbnails",
        object_key="trip/example.jpg",
        recipe=Recipe(boxes=(Box(128, 96),), fit=Fit.INSIDE, format=OutputFormat.SOURCE, quality=None),
    )


def test_several_sizes_keep_their_order() -> None:
    assert boxes(SEVERAL_SIZES) == [Box(128, 96), Box(800, 600)]


@pytest.mark.parametrize("fit", list(Fit))
def test_every_fit(fit: Fit) -> None:
    (rendition,) = renditions({**ONE_SIZE, "fit": str(fit)})

    assert rendition.fit is fit


@pytest.mark.parametrize("format", list(OutputFormat))
def test_every_format(format: OutputFormat) -> None:
    (rendition,) = renditions({**ONE_SIZE, "format": str(format)})

    assert rendition.format is format


def test_every_size_is_wanted_in_every_format() -> None:
    payload = {**SEVERAL_SIZES, "formats": ["webp", "source"], "fit": "cover", "quality": 33}

    assert renditions(payload) == tuple(
        Rendition(box, Fit.COVER, each, 33)
        for box in (Box(128, 96), Box(800, 600))
        for each in (OutputFormat.WEBP, OutputFormat.SOURCE)
    )


def test_as_many_formats_as_there_are() -> None:
    formats = [str(each) for each in OutputFormat]

    assert [rendition.format for rendition in renditions({**ONE_SIZE, "formats": formats})] == list(OutputFormat)


def test_format_and_formats_exclude_each_other() -> None:
    error = refused({**ONE_SIZE, "format": "webp", "formats": ["webp"]})

    assert (error.path, error.reason) == ("$", "use either format or formats, not both")


@pytest.mark.parametrize("if_missing", list(IfMissing))
def test_what_to_do_without_an_original(if_missing: IfMissing) -> None:
    assert parse_request({**ONE_SIZE, "if_missing": str(if_missing)}).if_missing is if_missing


def test_without_an_original_a_request_fails_unless_it_says_otherwise() -> None:
    assert parse_request(ONE_SIZE).if_missing is IfMissing.FAIL


@pytest.mark.parametrize("quality", [1, 80, 100])
def test_quality(quality: int) -> None:
    (rendition,) = renditions({**ONE_SIZE, "quality": quality})

    assert rendition.quality == quality


@pytest.mark.parametrize("side", [1, 10_000])
def test_the_smallest_and_the_largest_side(side: int) -> None:
    assert boxes({**BASE, "width": side, "height": side}) == [Box(side, side)]


def test_as_many_sizes_as_are_allowed() -> None:
    sizes = [{"width": side, "height": 1} for side in range(1, 17)]

    assert len(boxes({**BASE, "sizes": sizes})) == 16


@pytest.mark.parametrize("key", ["bob's photo.jpg", 'a "b" \\ c.jpg', "line\nbreak.jpg", "+ %2B é 😀.jpg", "x" * 1024])
def test_keys_are_taken_raw(key: str) -> None:
    request = json.loads(json.dumps({**ONE_SIZE, "object_key": key}))

    assert parse_request(request).object_key == key


@pytest.mark.parametrize("payload", [None, True, 5, 1.5, "text", [], [ONE_SIZE], {}], ids=repr)
def test_what_is_no_request_is_refused_as_a_whole(payload: Any) -> None:
    assert refused(payload).path == "$"


@pytest.mark.parametrize("field", list(BASE))
def test_missing_fields(field: str) -> None:
    error = refused({name: value for name, value in ONE_SIZE.items() if name != field})

    assert (error.path, error.reason) == ("$", f"'{field}' is a required property")


def test_unknown_fields_are_refused() -> None:
    error = refused({**ONE_SIZE, "colour": "red"})

    assert error.path == "$"
    assert "'colour'" in error.reason  # the words are the validator's


def test_unknown_fields_of_a_size_are_refused() -> None:
    assert refused({**BASE, "sizes": [{"width": 1, "height": 1, "depth": 1}]}).path == "$.sizes[0]"


ONE_SIZE_IN_A_LIST = [{"width": 1, "height": 1}]
TOGETHER = "use either sizes, or width and height, not both"


@pytest.mark.parametrize(
    ("sizes", "reason"),
    [
        ({}, "either width and height, or sizes, are required"),
        ({"width": 128}, "'height' is missing: width and height must be used together"),
        ({"height": 128}, "'width' is missing: width and height must be used together"),
        ({"width": 128, "height": 128, "sizes": ONE_SIZE_IN_A_LIST}, TOGETHER),
        ({"width": 128, "sizes": ONE_SIZE_IN_A_LIST}, TOGETHER),
        ({"height": 128, "sizes": ONE_SIZE_IN_A_LIST}, TOGETHER),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else "",
)
def test_exactly_one_form_of_size(sizes: dict[str, Any], reason: str) -> None:
    error = refused({**BASE, **sizes})

    assert (error.path, error.reason) == ("$", reason)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("source_bucket", 5),
        ("source_bucket", "ab"),
        ("source_bucket", "b" * 64),
        ("destination_bucket", None),
        ("destination_bucket", "ab"),
        ("destination_bucket", "b" * 64),
        ("object_key", ["a.jpg"]),
        ("object_key", ""),
        ("object_key", "x" * 1025),
        ("width", 0),
        ("width", -1),
        ("width", 10_001),
        ("width", "128"),
        ("width", 128.5),
        ("width", 128.0),
        ("width", None),
        ("width", True),
        ("height", 0),
        ("height", 10_001),
        ("height", "128"),
        ("height", True),
        ("fit", "squeeze"),
        ("fit", "INSIDE"),
        ("fit", None),
        ("format", "gif"),
        ("format", "JPEG"),
        ("formats", []),
        ("formats", "webp"),
        ("formats", ["webp", "webp"]),
        ("formats", None),
        ("if_missing", "REMOVE"),
        ("if_missing", True),
        ("if_missing", None),
        ("quality", 0),
        ("quality", 101),
        ("quality", 80.5),
        ("quality", "80"),
        ("quality", True),
    ],
)
def test_a_wrong_value_is_named_by_its_path(field: str, value: Any) -> None:
    assert refused({**ONE_SIZE, field: value}).path == f"$.{field}"


@pytest.mark.parametrize(
    ("sizes", "path"),
    [
        ([], "$.sizes"),
        ([{"width": 1, "height": 1}] * 17, "$.sizes"),
        ({"width": 1, "height": 1}, "$.sizes"),
        ("128x128", "$.sizes"),
        (["128x128"], "$.sizes[0]"),
        ([{"width": 1}], "$.sizes[0]"),
        ([{"width": 1, "height": 1}, {"width": 1, "height": 0}], "$.sizes[1].height"),
        ([{"width": True, "height": 1}], "$.sizes[0].width"),
        ([{"width": 10_001, "height": 1}], "$.sizes[0].width"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_wrong_size_is_named_by_its_path(sizes: Any, path: str) -> None:
    assert refused({**BASE, "sizes": sizes}).path == path


@pytest.mark.parametrize(("formats", "path"), [(["gif"], "$.formats[0]"), (["webp", 5], "$.formats[1]")])
def test_a_wrong_format_is_named_by_its_path(formats: Any, path: str) -> None:
    assert refused({**ONE_SIZE, "formats": formats}).path == path


def test_a_huge_reason_is_cut() -> None:
    error = refused({**ONE_SIZE, "fit": "x" * 100_000})

    assert len(error.reason) == 200
    assert error.reason.endswith("…")


def test_a_reason_that_fits_is_not_cut() -> None:
    assert refused({**ONE_SIZE, "width": "128"}).reason == "'128' is not of type 'integer'"
