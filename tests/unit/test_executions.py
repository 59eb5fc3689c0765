import json
import random
import re
import sys
from dataclasses import replace

import pytest

from functions.start_from_s3.executions import execution_for, parse_sizes
from functions.start_from_s3.uploads import Upload

UPLOAD = Upload("originals", "2026/trip/example.jpg", "version-1")
SIZES = [{"width": 128, "height": 128}]

# StartExecution takes more, but only executions with these characters in their names are promised to be logged:
# https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
LEGAL = re.compile(r"upload-[0-9A-Za-z_-]{1,73}")


def name_of(upload: Upload, bucket: str = "thumbnails", sizes: list[dict[str, int]] = SIZES) -> str:
    return execution_for(upload, bucket, sizes).name


def test_the_input_is_a_request_for_the_upload() -> None:
    execution = execution_for(Upload("originals", 'é 😀/bob\'s "a".jpg', "v"), "thumbnails", SIZES)

    assert json.loads(execution.input) == {
        "source_bucket": "originals",
        "destination_bucket": "thumbnails",
        "object_key": 'é 😀/bob\'s "a".jpg',
        "sizes": SIZES,
    }


def test_the_name_starts_with_its_door_and_the_file_for_people() -> None:
    assert re.fullmatch(r"upload-example-jpg-[0-9a-f]{32}", name_of(UPLOAD))
    assert re.fullmatch(r"upload-bob-s-photo-jpg-[0-9a-f]{32}", name_of(replace(UPLOAD, key="bob's photo+.jpg")))


@pytest.mark.parametrize("key", ["photos/", "/"])
def test_a_key_without_a_file_has_a_name_too(key: str) -> None:
    assert re.fullmatch(r"upload-[0-9a-f]{32}", name_of(replace(UPLOAD, key=key)))


def test_every_character_gives_a_legal_name() -> None:
    characters = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code <= 0xDFFF]
    # Some at a time, as one name for each would take a minute; all of them within the part that is shown.
    for start in range(0, len(characters), 40):
        name = name_of(replace(UPLOAD, key="".join(characters[start : start + 40])))
        assert LEGAL.fullmatch(name)


def test_every_length_gives_a_legal_name() -> None:
    chance = random.Random(4)  # noqa: S311 - a fixed sample, not a secret
    alphabet = "abc.-_ /é😀%+'\"\\\n\t:*?<>|\0"
    names = set()
    keys = {"".join(chance.choices(alphabet, k=length)) for length in range(1, 1025)}
    for key in keys:
        name = name_of(replace(UPLOAD, key=key))
        assert LEGAL.fullmatch(name)
        names.add(name)
    assert len(names) == len(keys)


def test_the_longest_name_is_as_long_as_a_name_may_be() -> None:
    assert len(name_of(replace(UPLOAD, key="a" * 1024))) == 80


def test_the_same_event_gives_the_same_execution() -> None:
    assert execution_for(UPLOAD, "thumbnails", SIZES) == execution_for(replace(UPLOAD), "thumbnails", [*SIZES])


def test_anything_else_gives_another_name() -> None:
    names = [
        name_of(UPLOAD),
        name_of(replace(UPLOAD, revision="version-2")),
        name_of(replace(UPLOAD, key="2027/trip/example.jpg")),
        name_of(replace(UPLOAD, key="2026/trip/example.jpg ")),
        name_of(replace(UPLOAD, bucket="others")),
        name_of(UPLOAD, bucket="elsewhere"),
        name_of(UPLOAD, sizes=[{"width": 128, "height": 129}]),
        name_of(UPLOAD, sizes=[*SIZES, {"width": 64, "height": 64}]),
    ]

    assert len(set(names)) == len(names)
    assert all(name.startswith("upload-example-jpg-") for i, name in enumerate(names) if i != 3)


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
