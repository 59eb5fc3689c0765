import random
from itertools import product

import pytest

from functions.resize.errors import InvalidKeyError
from functions.resize.keys import MAX_KEY_BYTES, check_key, check_thumbnail_keys, manifest_key, thumbnail_key
from functions.resize.recipe import Box, Fit, OutputFormat, Rendition

BOX = Box(128, 96)
INSIDE = Rendition(BOX)
ADDED = len("thumbnails/128x96_")


def refused(key: str, *renditions: Rendition) -> InvalidKeyError:
    with pytest.raises(InvalidKeyError) as caught:
        check_key(key, renditions or (INSIDE,))
    return caught.value


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("example.jpg", "thumbnails/128x96_example.jpg"),
        ("2026/trip/example.jpg", "thumbnails/2026/trip/128x96_example.jpg"),
        ("/example.jpg", "thumbnails//128x96_example.jpg"),
        ("a//b.jpg", "thumbnails/a//128x96_b.jpg"),
        ("no extension", "thumbnails/128x96_no extension"),
        ("été/фото 😀.jpg", "thumbnails/été/128x96_фото 😀.jpg"),
        ("a+b %2B 'c'.jpg", "thumbnails/128x96_a+b %2B 'c'.jpg"),
    ],
)
def test_the_folder_is_kept_and_the_box_goes_before_the_name(key: str, expected: str) -> None:
    assert thumbnail_key(key, INSIDE) == expected


@pytest.mark.parametrize(
    ("fit", "expected"),
    [
        (Fit.INSIDE, "thumbnails/128x96_a.jpg"),
        (Fit.COVER, "thumbnails/128x96-cover_a.jpg"),
        (Fit.PAD, "thumbnails/128x96-pad_a.jpg"),
        (Fit.FILL, "thumbnails/128x96-fill_a.jpg"),
    ],
)
def test_another_fit_is_part_of_the_key(fit: Fit, expected: str) -> None:
    assert thumbnail_key("a.jpg", Rendition(BOX, fit)) == expected


def test_another_type_appends_its_extension() -> None:
    assert thumbnail_key("photo.heic", INSIDE, ".jpg") == "thumbnails/128x96_photo.heic.jpg"


def test_no_two_originals_boxes_or_fits_share_a_thumbnail() -> None:
    chance = random.Random(20)  # noqa: S311 - a fixed sample, not a secret
    # Pieces out of which the names of folders, boxes and fits could be made up.
    pieces = ["/", "_", "x", "-", "1", "2", "128x96", "_128x96_", "-cover", "thumbnails/", "a", "é", "😀", ".", " "]
    keys = {"".join(chance.choices(pieces, k=chance.randint(1, 5))) for _ in range(3000)}
    boxes = [Box(128, 96), Box(1, 28), Box(12, 8), Box(2, 8)]
    asked = list(product(keys, boxes, Fit))

    made = {thumbnail_key(key, Rendition(box, fit)) for key, box, fit in asked}

    assert len(keys) > 1000
    assert len(made) == len(asked)
    assert all(key.startswith("thumbnails/") for key in made)


@pytest.mark.parametrize("character", ["x", "é", "漢", "😀"])
def test_a_thumbnail_key_of_exactly_1024_bytes_is_allowed_and_one_more_is_not(character: str) -> None:
    name, rest = divmod(MAX_KEY_BYTES - ADDED, len(character.encode()))
    longest = "a" * rest + character * name
    assert len(longest.encode()) == MAX_KEY_BYTES - ADDED

    check_key(longest, [INSIDE])

    assert refused("a" + longest).rule == "its thumbnail's key would have 1,025 bytes; the limit is 1,024"


def test_the_longest_thumbnail_key_counts() -> None:
    longest = "a" * (MAX_KEY_BYTES - ADDED)

    assert "1,026 bytes" in refused(longest, INSIDE, Rendition(Box(1280, 960))).rule
    assert "1,030 bytes" in refused(longest, Rendition(BOX, Fit.COVER)).rule


def test_the_key_of_the_manifest_counts() -> None:
    # Shorter than those of its thumbnails but for the smallest boxes.
    longest = "a" * (MAX_KEY_BYTES - len("manifests/.json"))
    small = Rendition(Box(1, 1))

    check_key(longest[: -len("xxxx")], [small])

    assert "its manifest's key would have 1,025 bytes" in refused(longest + "a", small).rule


def test_the_extension_of_another_type_counts_once_it_is_known() -> None:
    key = "a" * (MAX_KEY_BYTES - ADDED)

    check_thumbnail_keys(key, [thumbnail_key(key, INSIDE)])

    with pytest.raises(InvalidKeyError, match="would have 1,029 bytes") as caught:
        check_thumbnail_keys(key, [thumbnail_key(key, INSIDE), thumbnail_key(key, INSIDE, ".webp")])
    assert caught.value.key == key


def test_the_manifest_is_named_after_the_whole_key() -> None:
    assert manifest_key("2026/trip/example.jpg") == "manifests/2026/trip/example.jpg.json"


def test_formats_and_qualities_of_one_type_share_a_key() -> None:
    renditions = [Rendition(BOX, Fit.INSIDE, each, quality) for each in OutputFormat for quality in (None, 80)]

    assert len({thumbnail_key("a.jpg", rendition) for rendition in renditions}) == 1


def test_an_original_key_over_1024_bytes_is_refused_as_such() -> None:
    assert refused("é" * 512 + "a").rule == "it has 1,025 bytes; the limit is 1,024"


@pytest.mark.parametrize("key", [".", "..", "../a.jpg", "./a.jpg", "a/../b.jpg", "a/./b.jpg", "a/..", "a/."])
def test_dot_segments_are_refused(key: str) -> None:
    error = refused(key)

    assert error.key == key
    assert error.rule == "it must not have '.' or '..' as a path segment"


@pytest.mark.parametrize("key", ["...", ".hidden.jpg", "a..b/c.jpg", "..a/b.jpg", "a/b..jpg", "a/b."])
def test_other_dots_are_not(key: str) -> None:
    check_key(key, [INSIDE])


@pytest.mark.parametrize("key", ["photos/", "/", "a/b/"])
def test_a_folder_is_refused(key: str) -> None:
    error = refused(key)

    assert (error.key, error.rule) == (key, "it names a folder, not a picture")


@pytest.mark.parametrize("key", ["\ud83d.jpg", "a\udc00/b.jpg"])
def test_lone_surrogates_are_refused_in_words_that_can_be_encoded(key: str) -> None:
    error = refused(key)

    assert error.rule == "it cannot be encoded in UTF-8"
    assert str(error).encode()
    assert error.key.encode()
