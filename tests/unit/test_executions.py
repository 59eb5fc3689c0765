import json
import random
import re
import sys
from dataclasses import replace
from typing import Any

import pytest

from functions.resize.request import parse_request
from functions.start_from_s3.executions import execution_for
from functions.start_from_s3.hints import Change, Hint

UPLOAD = Hint("originals", "2026/trip/example.jpg", Change.UPLOAD, "event-1")
SIZES = [{"width": 128, "height": 128}]
WANTED: dict[str, Any] = {"sizes": SIZES}

# StartExecution takes more, but only executions with these characters in their names are promised to be logged:
# https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
LEGAL = re.compile(r"(upload-[0-9A-Za-z_-]{1,73}|removed-[0-9A-Za-z_-]{1,72})")


def name_of(hint: Hint, bucket: str = "thumbnails", wanted: dict[str, Any] = WANTED) -> str:
    return execution_for(hint, bucket, wanted).name


@pytest.mark.parametrize("change", list(Change))
def test_the_input_is_the_same_request_whatever_happened(change: Change) -> None:
    execution = execution_for(Hint("originals", 'é 😀/bob\'s "a".jpg', change, "e"), "thumbnails", WANTED)

    assert json.loads(execution.input) == {
        "source_bucket": "originals",
        "destination_bucket": "thumbnails",
        "object_key": 'é 😀/bob\'s "a".jpg',
        "sizes": SIZES,
        "if_missing": "remove",
    }


def test_what_the_recipe_asks_for_is_part_of_the_request() -> None:
    wanted = {"sizes": SIZES, "fit": "cover", "formats": ["webp", "jpeg"], "quality": 80}

    request = parse_request(json.loads(execution_for(UPLOAD, "thumbnails", wanted).input))

    assert [(each.fit, each.format, each.quality) for each in request.recipe.renditions] == [
        ("cover", "webp", 80),
        ("cover", "jpeg", 80),
    ]


def test_the_name_starts_with_its_door_and_the_file_for_people() -> None:
    assert re.fullmatch(r"upload-example-jpg-[0-9a-f]{32}", name_of(UPLOAD))
    assert re.fullmatch(r"upload-bob-s-photo-jpg-[0-9a-f]{32}", name_of(replace(UPLOAD, key="bob's photo+.jpg")))


def test_a_removal_has_a_door_of_its_own() -> None:
    assert re.fullmatch(r"removed-example-jpg-[0-9a-f]{32}", name_of(replace(UPLOAD, change=Change.REMOVED)))


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
    lengths = [len(name_of(replace(UPLOAD, key="a" * 1024, change=change))) for change in Change]

    assert max(lengths) == 80


def test_the_same_event_gives_the_same_execution() -> None:
    assert execution_for(UPLOAD, "thumbnails", WANTED) == execution_for(replace(UPLOAD), "thumbnails", {**WANTED})


def test_anything_else_gives_another_name() -> None:
    names = [
        name_of(UPLOAD),
        name_of(replace(UPLOAD, event="event-2")),
        name_of(replace(UPLOAD, key="2027/trip/example.jpg")),
        name_of(replace(UPLOAD, key="2026/trip/example.jpg ")),
        name_of(replace(UPLOAD, bucket="others")),
        name_of(UPLOAD, bucket="elsewhere"),
        name_of(UPLOAD, wanted={"sizes": [{"width": 128, "height": 129}]}),
        name_of(UPLOAD, wanted={"sizes": [*SIZES, {"width": 64, "height": 64}]}),
        name_of(UPLOAD, wanted={**WANTED, "fit": "cover"}),
    ]

    assert len(set(names)) == len(names)
    assert all(name.startswith("upload-example-jpg-") for i, name in enumerate(names) if i != 3)
