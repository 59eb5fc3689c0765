"""PNG thumbnails of few colours have a palette; all others are what they were."""

import io
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageDraw

from functions.resize.png_writer import encode_png
from functions.resize.recipe import Box, OutputFormat, Recipe
from functions.resize.thumbnails import make_thumbnails
from samples.files import encoded
from samples.pictures import cut_out, photograph


def logo(side: int, colours: int = 30) -> Image.Image:
    """Return discs on nothing, with soft edges, in some colours."""
    picture = Image.new("RGBA", (4 * side, 4 * side))
    for index in range(6):
        box = (index * side // 3, index * side // 4, (index + 6) * side // 3, (index + 8) * side // 4)
        ImageDraw.Draw(picture).ellipse(box, fill=(index * 40, 250 - index * 30, 90, 255))
    return picture.resize((side, side)).quantize(colours)


def reopened(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return image


@pytest.mark.parametrize("side", [100, 1100])
def test_a_picture_with_a_palette_keeps_it(side: int) -> None:
    original = encoded(logo(side), "PNG", optimize=True)

    data = make_thumbnails(original, Recipe((Box(side, side),))).thumbnails[0].data

    image = reopened(data)
    assert image.mode == "P"
    assert image.convert("RGBA").tobytes() == reopened(original).convert("RGBA").tobytes()
    assert len(data) <= 1.3 * len(original)


@pytest.mark.parametrize(("colours", "bits"), [(2, 1), (4, 2), (16, 4), (17, 8), (256, 8)])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "L"])
def test_few_colours_take_few_bits_and_stay_exact(mode: str, colours: int, bits: int) -> None:
    random = np.random.default_rng(colours)
    bands = len(Image.new(mode, (1, 1)).getbands())
    entries = np.unique(random.integers(0, 256, (4 * colours, bands)), axis=0)
    entries = random.permutation(entries)[:colours].astype(np.uint8)
    pixels = entries[np.arange(64 * 64).reshape(64, 64) // 5 % len(entries)]
    image = Image.frombytes(mode, (64, 64), pixels.tobytes())

    data = encode_png(image, None, has_palette=True)

    assert reopened(data).convert("RGBA").tobytes() == image.convert("RGBA").tobytes()
    if mode == "RGBA" or (mode == "RGB" and colours < 256) or (mode == "LA" and colours < 17):
        # Bit depth and colour type in the header: PNG, third edition, section 11.2.1.
        assert (data[24], data[25]) == (bits, 3)


@pytest.mark.parametrize("image", [photograph(90, 60), cut_out(90, 60), photograph(90, 60).convert("L")])
def test_many_colours_have_no_palette(image: Image.Image) -> None:
    stored = reopened(encode_png(image, None, has_palette=True))

    assert (stored.mode, stored.tobytes()) == (image.mode, image.tobytes())


def diagrams(width: int, height: int) -> Image.Image:
    """Return rows of the same small drawing, which repeat what is not a run."""
    tile = encoded(photograph(24, 16), "PNG")
    picture = Image.new("RGB", (width, height))
    for left in range(0, width, 24):
        for top in range(0, height, 16):
            picture.paste(reopened(tile), (left, top))
    return picture


@pytest.mark.parametrize("side", [120, 600])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
@pytest.mark.parametrize("draw", [photograph, diagrams])
def test_the_strategy_suits_the_picture(draw: Callable[[int, int], Image.Image], mode: str, side: int) -> None:
    image = draw(side, side).convert(mode)
    sizes = [len(encoded(image, "PNG", compress_level=3, compress_type=way)) for way in (zlib.Z_FILTERED, zlib.Z_RLE)]

    data = encode_png(image, None, has_palette=False)

    assert len(data) <= 1.02 * min(sizes)
    assert reopened(data).tobytes() == image.tobytes()


def test_more_bytes_than_the_original_are_compressed_further() -> None:
    original = encoded(photograph(300, 200), "PNG", optimize=True)

    data = make_thumbnails(original, Recipe((Box(300, 200),))).thumbnails[0].data

    assert len(data) <= len(original)


@pytest.mark.parametrize("format", ["WEBP", "PNG"])
def test_an_original_without_a_palette_gets_none(format: str) -> None:
    original = encoded(logo(80, 8).convert("RGBA"), format, lossless=True)

    data = make_thumbnails(original, Recipe((Box(40, 40),), format=OutputFormat.PNG)).thumbnails[0].data

    assert reopened(data).mode == "RGBA"
