"""HEIC files as phones write them: the thumbnail that is stored beside the picture is decoded where it is enough."""

import io
import re
import struct

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from functions.resize import errors
from functions.resize.formats import iso_media
from functions.resize.limits import Limits
from functions.resize.recipe import Box, Fit, OutputFormat, Recipe
from functions.resize.thumbnails import make_thumbnails
from samples import profiles
from samples.pictures import photograph
from samples.reference import ssim

RED, BLUE = (200, 30, 20), (20, 30, 200)


def with_stored(picture: Image.Image, stored: Image.Image, profile: bytes | None = None) -> bytes:
    """Return a HEIC file whose picture has another picture as its thumbnail, so that one sees which was decoded."""
    file = pillow_heif.from_pillow(picture)
    file.add_from_pillow(stored)
    file[0].info["thumbnails"] = [64]  # type: ignore[assignment]  # the encoder's own way to ask for some
    if profile:
        file[0].info["icc_profile"] = profile
    output = io.BytesIO()
    file.save(output, quality=90)
    data = bytearray(output.getvalue())
    # The encoder made a thumbnail of its own; what refers to the picture as such becomes the second picture.
    (at,) = [found.end() for found in re.finditer(b"thmb", data)]
    (own, _, first) = struct.unpack_from(">HHH", data, at)
    items = [struct.unpack_from(">H", data, found.end() + 4)[0] for found in re.finditer(b"infe", data)]
    # The last one; alpha is an item as well.
    second = max(item for item in items if item not in {own, first} and _is_picture(data, item))
    struct.pack_into(">H", data, at, second)
    return bytes(data)


def _is_picture(data: bytearray, item: int) -> bool:
    return re.search(b"infe\2\0\0.%s..hvc1" % re.escape(struct.pack(">H", item)), data, re.DOTALL) is not None


def colour(data: bytes, *boxes: Box, fit: Fit = Fit.INSIDE) -> str:
    """Return whether thumbnails are red, of the picture, or blue, of what was stored."""
    recipe = Recipe(boxes, fit, OutputFormat.PNG)
    seen = set()
    for thumbnail in make_thumbnails(data, recipe).thumbnails:
        with Image.open(io.BytesIO(thumbnail.data)) as image:
            red, _, blue, *_ = np.asarray(image.convert("RGBA"))[image.height // 2, image.width // 2]
        seen.add("red" if red > blue else "blue")
    (found,) = seen
    return found


def plain(width: int, height: int, colour: tuple[int, ...], mode: str = "RGB") -> Image.Image:
    return Image.new(mode, (width, height), colour)


@pytest.mark.parametrize(
    ("boxes", "fit", "expected"),
    [
        ((Box(128, 128),), Fit.INSIDE, "blue"),
        ((Box(160, 160),), Fit.INSIDE, "blue"),
        ((Box(161, 161),), Fit.INSIDE, "red"),
        ((Box(64, 64), Box(400, 400)), Fit.INSIDE, "red"),
        ((Box(64, 64), Box(100, 20)), Fit.INSIDE, "blue"),
        ((Box(120, 120),), Fit.COVER, "blue"),
        ((Box(121, 121),), Fit.COVER, "red"),
        ((Box(160, 120),), Fit.FILL, "blue"),
        ((Box(20, 121),), Fit.FILL, "red"),
    ],
)
def test_what_is_stored_is_used_where_it_is_twice_as_large(boxes: tuple[Box, ...], fit: Fit, expected: str) -> None:
    data = with_stored(plain(1200, 900, RED), plain(320, 240, BLUE))
    assert colour(data, *boxes, fit=fit) == expected


@pytest.mark.parametrize(
    ("stored", "expected"), [((320, 240), "blue"), ((320, 239), "blue"), ((320, 236), "red"), ((240, 320), "red")]
)
def test_what_is_stored_must_have_the_shape_of_the_picture(stored: tuple[int, int], expected: str) -> None:
    assert colour(with_stored(plain(1200, 900, RED), plain(*stored, BLUE)), Box(64, 64)) == expected


def test_what_is_stored_is_no_larger_than_the_picture() -> None:
    """The limits of an original are checked for the picture."""
    assert colour(with_stored(plain(320, 240, RED), plain(640, 480, BLUE)), Box(64, 64)) == "red"


def test_what_is_stored_counts_as_a_part_of_the_picture() -> None:
    """It may be made of other items as well, and is decoded instead of the picture."""
    data = with_stored(plain(1200, 900, RED), plain(320, 240, BLUE))

    with pytest.raises(errors.TooManyPixelsError) as caught:
        iso_media.inspect(data, Limits(max_pixels=1200 * 900 // 8))

    assert caught.value.pixels == 1200 * 900 + 320 * 240


def test_what_is_stored_has_the_colours_of_the_picture() -> None:
    """It carries no profile of its own here, and the picture's is applied."""
    grey = plain(320, 240, (128, 128, 128))
    data = with_stored(plain(1200, 900, RED), grey, profiles.prophoto())

    (thumbnail,) = make_thumbnails(data, Recipe((Box(64, 64),), format=OutputFormat.PNG)).thumbnails

    with Image.open(io.BytesIO(thumbnail.data)) as image:
        level = np.asarray(image.convert("L"))[24, 32]
    # ProPhoto's curve is steeper than sRGB's.
    assert level > 140


def test_transparency_is_not_lost() -> None:
    picture = plain(1200, 900, (*RED, 0), "RGBA")
    picture.paste((*RED, 255), (300, 200, 900, 700))
    data = with_stored(picture, plain(320, 240, BLUE))
    assert colour(data, Box(64, 64)) == "red"


def test_a_file_without_its_end_is_refused_whatever_the_box() -> None:
    data = with_stored(photograph(1200, 900), plain(320, 240, BLUE))
    data = data[: len(data) // 2]
    for box in (Box(64, 64), Box(800, 800)):
        with pytest.raises(errors.TruncatedImageError):
            make_thumbnails(data, Recipe((box,)))


def test_what_encoders_store_looks_like_the_picture() -> None:
    scene = photograph(1600, 1200)
    small, whole = io.BytesIO(), io.BytesIO()
    file = pillow_heif.from_pillow(scene)
    file.save(whole, quality=90)
    file[0].info["thumbnails"] = [512]  # type: ignore[assignment]  # the encoder's own way to ask for some
    file.save(small, quality=90)
    recipe = Recipe((Box(128, 128),), format=OutputFormat.PNG)

    made = [make_thumbnails(file.getvalue(), recipe).thumbnails[0].data for file in (small, whole)]

    assert made[0] != made[1]
    assert ssim(*(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) for data in made)) > 0.95
