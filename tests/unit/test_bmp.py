"""BMP: colours in any bits, runs that do not cover the picture, and palettes that Pillow takes for something else."""

import io
import struct
from typing import Any

import pytest
from PIL import Image

from functions.resize import errors
from functions.resize.limits import Limits
from functions.resize.recipe import Box, OutputFormat, Recipe
from functions.resize.thumbnails import make_thumbnails

RLE8, RLE4, BITFIELDS, ALPHA_BITFIELDS = 1, 2, 3, 6
PALETTE = b"".join(bytes([level, 255 - level, level * 7 % 256, 0]) for level in range(256))


def colour(index: int) -> tuple[int, int, int]:
    return (index * 7 % 256, 255 - index, index)


def bmp(
    side: int,
    bits: int,
    pixels: bytes,
    *,
    compression: int = 0,
    behind: bytes = b"",
    header: int = 40,
    colours: int = 0,
    top_down: bool = False,
) -> bytes:
    """Return a square BMP; ``behind`` are masks, within a longer header, or a palette."""
    height = -side if top_down else side
    info = struct.pack("<IiiHHIIiiII", header, side, height, 1, bits, compression, len(pixels), 0, 0, colours, 0)
    info = info + behind if header == 40 else (info + behind).ljust(header, b"\0")
    offset = 14 + len(info)
    return struct.pack("<2sIHHI", b"BM", offset + len(pixels), 0, 0, offset) + info + pixels


def make(original: bytes, side: int = 8) -> Image.Image:
    recipe = Recipe((Box(side, side),), format=OutputFormat.PNG)
    return Image.open(io.BytesIO(make_thumbnails(original, recipe).thumbnails[0].data))


def halves(original: bytes) -> tuple[Any, Any]:
    """Return a pixel of the left and one of the right half."""
    image = make(original, 40)
    width, height = image.size
    return image.getpixel((width // 8, height // 2)), image.getpixel((width * 7 // 8, height // 2))


MASKS = {
    "4444": (16, (0xF00, 0xF0, 0xF, 0xF000), 0xFF00, 0x800F, 136),
    "1555": (16, (0x7C00, 0x3E0, 0x1F, 0x8000), 0xFC00, 0x801F, 255),
    "444": (16, (0xF00, 0xF0, 0xF, 0), 0xF00, 0xF, None),
    "332": (16, (0xE0, 0x1C, 3, 0), 0xE0, 3, None),
    "565": (16, (0xF800, 0x7E0, 0x1F, 0), 0xF800, 0x1F, None),
    "24 bits, red first": (24, (0xFF, 0xFF00, 0xFF0000, 0), 0xFF, 0xFF0000, None),
    "red first": (32, (0xFF, 0xFF00, 0xFF0000, 0), 0xFF, 0xFF0000, None),
    "ten bits": (32, (0x3FF00000, 0xFFC00, 0x3FF, 0xC0000000), 0xFFF00000, 0xC00003FF, 255),
    "across bytes": (32, (0x1F80, 0x7E000, 0x1F80000, 0), 0x1F80, 0x1F80000, None),
    "usual": (32, (0xFF0000, 0xFF00, 0xFF, 0xFF000000), 0xFFFF0000, 0x800000FF, 128),
}


@pytest.mark.parametrize(("side", "header"), [(8, 40), (8, 56), (8, 108), (8, 124), (1200, 56)])
@pytest.mark.parametrize("name", MASKS)
def test_colours_in_any_bits(name: str, header: int, side: int) -> None:
    bits, masks, left, right, alpha = MASKS[name]
    row = left.to_bytes(bits // 8, "little") * (side // 2) + right.to_bytes(bits // 8, "little") * (side // 2)
    behind = struct.pack("<4I", *masks)[: 12 if header == 40 else 16]

    shown = halves(bmp(side, bits, row * side, compression=BITFIELDS, behind=behind, header=header))

    # A header of 40 bytes has no mask for alpha.
    opaque = header == 40 or alpha in {None, 255}
    assert shown == (((255, 0, 0), (0, 0, 255)) if opaque else ((255, 0, 0, 255), (0, 0, 255, alpha)))


def test_levels_are_spread_over_all_of_a_byte() -> None:
    pixels = struct.pack("<16H", *(level << 8 | level << 4 | level for level in range(16)))

    original = bmp(4, 16, pixels, compression=BITFIELDS, behind=struct.pack("<3I", 0xF00, 0xF0, 0xF), top_down=True)

    assert [make(original).getpixel((x, y)) for y in range(4) for x in range(4)] == [(17 * n,) * 3 for n in range(16)]


def test_masks_of_the_fourth_compression() -> None:
    pixels = struct.pack("<2I", 0x40FF0000, 0xFF0000FF) * 2

    original = bmp(2, 32, pixels, compression=ALPHA_BITFIELDS, behind=struct.pack("<4I", *MASKS["usual"][1]))

    assert make(original).getpixel((0, 0)) == (255, 0, 0, 64)


def test_masks_with_gaps_are_damage() -> None:
    behind = struct.pack("<3I", 0xF0F, 0xF0, 0xF000)
    with pytest.raises(errors.CorruptImageError):
        make(bmp(8, 16, bytes(128), compression=BITFIELDS, behind=behind))


def test_fields_that_are_cut_short() -> None:
    original = bmp(8, 16, bytes(128), compression=BITFIELDS, behind=struct.pack("<3I", 0xF00, 0xF0, 0xF))
    with pytest.raises(errors.TruncatedImageError):
        make(original[:-40])


def test_alpha_that_would_hide_the_whole_picture_does_not_count() -> None:
    behind = struct.pack("<4I", *MASKS["usual"][1])
    original = bmp(8, 32, struct.pack("<I", 0xFF0000) * 64, compression=BITFIELDS, behind=behind, header=124)

    assert halves(original) == ((255, 0, 0), (255, 0, 0))


def row(left: int, right: int) -> bytes:
    return bytes([4, left, 4, right, 0, 0])


END = b"\0\1"
RUNS = {
    "whole": row(10, 200) * 8 + END,
    "ends early": row(10, 200) * 6 + END,
    "has no end": row(10, 200) * 6,
    "rows that end early": bytes([4, 10, 4, 200, 0, 0]) * 5 + bytes([1, 10, 0, 0]) * 3 + END,
    "empty rows": bytes(6) + row(10, 200) * 3 + END,
    "steps over rows": bytes([0, 2, 0, 3]) + row(10, 200) * 3 + END,
    "as they are": bytes([0, 8, 10, 10, 10, 10, 200, 200, 200, 200, 0, 0]) * 6 + END,
    "beyond the row": bytes([4, 10, 99, 200, 0, 0]) * 6 + END,
}


@pytest.mark.parametrize("name", RUNS)
def test_runs(name: str) -> None:
    original = bmp(8, 8, RUNS[name], compression=RLE8, behind=PALETTE)

    assert halves(original) == (colour(10), colour(200))


def test_pixels_without_a_run_have_the_first_colour() -> None:
    image = make(bmp(8, 8, row(10, 200) * 2 + END, compression=RLE8, behind=PALETTE))

    assert [image.getpixel((1, y)) for y in range(8)] == [colour(0)] * 6 + [colour(10)] * 2


def test_runs_of_two_colours() -> None:
    pixels = (bytes([5, 0x12, 0, 3, 0x34, 0x50, 0, 0]) + bytes(2)) * 2 + END

    image = make(bmp(8, 4, pixels, compression=RLE4, behind=PALETTE[:64]))

    shown = [image.getpixel((x, 7)) for x in range(8)]
    assert shown == [colour(index) for index in (1, 2, 1, 2, 1, 3, 4, 5)]


def test_runs_that_are_cut_short() -> None:
    with pytest.raises(errors.TruncatedImageError):
        make(bmp(8, 8, RUNS["whole"], compression=RLE8, behind=PALETTE)[:-20])


@pytest.mark.parametrize("run", [b"\1\7", bytes([0, 2, 0, 0])])
def test_runs_without_end(run: bytes) -> None:
    limits = Limits(max_pixels=80_000)
    original = bmp(200, 8, run * 10_001, compression=RLE8, behind=PALETTE)

    with pytest.raises(errors.TooManyPartsError, match="runs") as caught:
        make_thumbnails(original, Recipe((Box(8, 8),)), limits)

    assert (caught.value.parts, caught.value.limit) == (10_001, 10_000)


@pytest.mark.parametrize(("bits", "pixels"), [(4, bytes([0, 0, 0x11, 0x11])), (8, bytes([0] * 4 + [1] * 4))])
def test_a_palette_of_black_and_white(bits: int, pixels: bytes) -> None:
    original = bmp(8, bits, pixels * 8, behind=bytes(4) + b"\xff\xff\xff\0", colours=2)

    assert halves(original) == ((0, 0, 0), (255, 255, 255))


@pytest.mark.parametrize(("bits", "colours"), [(4, 16), (8, 16), (8, 300)])
def test_palettes_of_unusual_size(bits: int, colours: int) -> None:
    greys = b"".join(bytes([level % 256] * 3 + [0]) for level in range(colours))
    pixels = bytes([0x33, 0x33, 0x99, 0x99]) if bits == 4 else bytes([3] * 4 + [9] * 4)

    image = make(bmp(8, bits, pixels * 8, behind=greys, colours=colours)).convert("RGB")

    assert (image.getpixel((1, 4)), image.getpixel((6, 4))) == ((3, 3, 3), (9, 9, 9))


@pytest.mark.parametrize(
    ("original", "kind"),
    [
        (bmp(8, 0, b"\xff\xd8\xff", compression=4), "BMP picture with JPEG data"),
        (bmp(8, 0, b"\x89PNG", compression=5), "BMP picture with PNG data"),
        (bmp(8, 1, bytes(32), compression=3, header=64), "BMP picture with Huffman coding"),
        (bmp(8, 24, bytes(192), compression=4, header=64), "BMP picture with 24-bit runs"),
        (bmp(8, 2, bytes(32)), "2-bit BMP picture"),
        (bmp(8, 64, bytes(512)), "64-bit BMP picture"),
    ],
)
def test_kinds_that_are_not_read_have_a_name(original: bytes, kind: str) -> None:
    with pytest.raises(errors.UnsupportedImageError) as caught:
        make(original)

    assert caught.value.kind == kind
