"""PNG: transparent colours of every depth, and chunks beside the pixels, which must never refuse a picture."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from functions.resize import errors
from functions.resize.recipe import Box, OutputFormat, Recipe, Result
from functions.resize.thumbnails import make_thumbnails
from samples import profiles
from samples.files import encoded, png, png_chunk
from samples.pictures import photograph, stored_as

# Pillow decodes the first, libvips the second.
SIDES = [40, 1200]
GREY, RGB, PALETTE = 0, 2, 3
SCENE = photograph(320, 240)
SCENES = {"small": encoded(SCENE, "PNG"), "large": encoded(photograph(1200, 900), "PNG", compress_level=1)}
# Behind the signature and IHDR.
FIRST = 33


def halves(side: int, bits: int, colour_type: int, left: list[int], right: list[int], *chunks: bytes) -> bytes:
    """Return a square PNG whose halves have one colour each, given in samples."""
    digits = "".join(f"{sample:0{bits}b}" for pixel in [left] * (side // 2) + [right] * (side // 2) for sample in pixel)
    row = b"\0" + int(digits, 2).to_bytes(len(digits) // 8, "big")
    return png(side, side, bits, colour_type, zlib.compress(row * side, 1), *chunks)


def make(original: bytes, side: int = 40) -> Result:
    return make_thumbnails(original, Recipe((Box(side, side),), format=OutputFormat.PNG))


def picture(original: bytes, side: int = 40) -> Image.Image:
    return Image.open(io.BytesIO(make(original, side).thumbnails[0].data))


def colours(original: bytes) -> tuple[Any, Any]:
    """Return a pixel of the left and one of the right half."""
    image = picture(original)
    return image.getpixel((10, 20)), image.getpixel((30, 20))


def damaged(chunk: bytes) -> bytes:
    """Return the chunk with a wrong checksum."""
    return chunk[:-1] + bytes([chunk[-1] ^ 1])


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(
    ("bits", "key", "other", "shown"),
    [
        (1, 0, 1, 255),
        (2, 2, 1, 85),
        (4, 0b1010, 0b1011, 187),
        (8, 170, 171, 171),
        (16, 0xAAAA, 0xAAAB, 170),
        (16, 0xFFFF, 0xFF00, 255),
    ],
)
def test_a_transparent_grey(side: int, bits: int, key: int, other: int, shown: int) -> None:
    original = halves(side, bits, GREY, [key], [other], png_chunk(b"tRNS", struct.pack(">H", key)))

    (_, alpha), right = colours(original)

    assert alpha == 0
    assert right == (shown, 255)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_of_a_transparent_grey_only_the_low_bits_count(side: int, bits: int) -> None:
    """PNG, third edition, section 11.3.1.1."""
    original = halves(side, bits, GREY, [1], [2], png_chunk(b"tRNS", struct.pack(">H", 1 | 1 << bits)))

    (_, left), (_, right) = colours(original)

    assert (left, right) == (0, 255)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(
    ("bits", "key", "other"),
    [(8, [9, 70, 200], [9, 70, 201]), (16, [0xFFFF] * 3, [0xFF00] * 3), (16, [1, 256, 77], [1, 256, 78])],
)
def test_a_transparent_colour(side: int, bits: int, key: list[int], other: list[int]) -> None:
    original = halves(side, bits, RGB, key, other, png_chunk(b"tRNS", struct.pack(">3H", *key)))

    (*_, alpha), right = colours(original)

    assert alpha == 0
    assert right == (*(sample >> (bits - 8) for sample in other), 255)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(
    ("colour_type", "chunks"),
    [
        (GREY, [png_chunk(b"tRNS", b"\0")]),
        (GREY, [png_chunk(b"tRNS", b"\0\x09\0\0\0\0")]),
        (RGB, [png_chunk(b"tRNS", b"\0\x09")]),
        (PALETTE, [png_chunk(b"PLTE", bytes(300)), png_chunk(b"tRNS", bytes(101))]),
        (PALETTE, [png_chunk(b"tRNS", bytes(9)), png_chunk(b"PLTE", bytes(300))]),
        (PALETTE, [png_chunk(b"PLTE", bytes(300)), damaged(png_chunk(b"tRNS", bytes(9)))]),
    ],
)
def test_transparency_that_does_not_fit_is_none(side: int, colour_type: int, chunks: list[bytes]) -> None:
    samples = 3 if colour_type == RGB else 1

    original = halves(side, 8, colour_type, [9] * samples, [99] * samples, *chunks)

    assert not picture(original).has_transparency_data


@pytest.mark.parametrize("side", SIDES)
def test_colours_beyond_the_palette_are_black(side: int) -> None:
    original = halves(side, 2, PALETTE, [1], [3], png_chunk(b"PLTE", bytes([9, 9, 9, 200, 0, 0])))

    shown = picture(original).convert("RGB")
    assert (shown.getpixel((10, 20)), shown.getpixel((30, 20))) == ((200, 0, 0), (0, 0, 0))


@pytest.mark.parametrize("side", SIDES)
def test_a_palette_in_a_grey_picture_is_ignored(side: int) -> None:
    assert colours(halves(side, 8, GREY, [9], [99], png_chunk(b"PLTE", b"\xff\0\0"))) == (9, 99)


UNPACKED = zlib.compress(bytes(2_000_000))
ANCILLARY = {
    "text, checksum": damaged(png_chunk(b"tEXt", b"Comment\0text")),
    "text of 2 MB": png_chunk(b"zTXt", b"Comment\0\0" + UNPACKED),
    "international text of 2 MB": png_chunk(b"iTXt", b"Comment\0\1\0\0\0" + UNPACKED),
    "text that is not packed": png_chunk(b"zTXt", b"Comment\0\7" + UNPACKED),
    "profile, checksum": damaged(png_chunk(b"iCCP", b"icc\0\0" + zlib.compress(profiles.adobe_rgb()))),
    "profile, method": png_chunk(b"iCCP", b"icc\0\1" + zlib.compress(profiles.adobe_rgb())),
    "profile, no deflate": png_chunk(b"iCCP", b"icc\0\0" + profiles.adobe_rgb()),
    "profile of 9 MB": png_chunk(b"iCCP", b"icc\0\0" + zlib.compress(bytes(9_000_000))),
    "profile, empty": png_chunk(b"iCCP"),
    "two profiles": 2 * png_chunk(b"iCCP", b"icc\0\0" + zlib.compress(profiles.srgb())),
    **{f"short {name}": png_chunk(name.encode(), b"\1") for name in ("cHRM", "gAMA", "pHYs", "tIME", "sBIT", "cICP")},
    # Colours that are described without an ICC profile are taken as sRGB.
    "gamma of 1": png_chunk(b"gAMA", struct.pack(">I", 100_000)),
    "primaries of Adobe RGB": png_chunk(
        b"cHRM", struct.pack(">8I", 31_270, 32_900, 64_000, 33_000, 21_000, 71_000, 15_000, 6_000)
    ),
    "Display P3": png_chunk(b"cICP", bytes([12, 13, 0, 1])),
    "PQ": png_chunk(b"cICP", bytes([9, 16, 0, 1])),
    "HLG": png_chunk(b"cICP", bytes([9, 18, 0, 1])),
    "sRGB": png_chunk(b"sRGB", b"\0"),
    "empty sRGB": png_chunk(b"sRGB"),
    "long suggestions": png_chunk(b"sPLT", bytes(70_000)) + png_chunk(b"hIST", bytes(9_000)),
    "long background": png_chunk(b"bKGD", bytes(99)),
    "animation without frames": png_chunk(b"acTL", bytes(8)),
    "animation, short": png_chunk(b"acTL", b"\0"),
    "frames in the wrong order": png_chunk(b"acTL", struct.pack(">2I", 2, 0))
    + png_chunk(b"fcTL", struct.pack(">5I2H2B", 7, 9, 9, 0, 0, 1, 10, 0, 0)),
    "frame beyond the picture": png_chunk(b"acTL", struct.pack(">2I", 1, 0))
    + png_chunk(b"fcTL", struct.pack(">5I2H2B", 0, 9_999, 9, 0, 0, 1, 10, 0, 0)),
    "private, checksum": damaged(png_chunk(b"prVt", b"anything")),
}


@pytest.mark.parametrize("size", SCENES)
@pytest.mark.parametrize("name", ANCILLARY)
def test_a_chunk_beside_the_pixels_never_refuses_a_picture(name: str, size: str) -> None:
    original = SCENES[size]

    with_chunk = original[:FIRST] + ANCILLARY[name] + original[FIRST:]

    assert make(with_chunk).thumbnails == make(original).thumbnails


@pytest.mark.parametrize("size", SCENES)
def test_a_broken_profile_is_a_warning(size: str) -> None:
    original = SCENES[size]

    for name in ("profile, method", "profile, no deflate", "profile of 9 MB"):
        (warning,) = make(original[:FIRST] + ANCILLARY[name] + original[FIRST:]).warnings
        assert "colour profile" in warning


@pytest.mark.parametrize("size", SCENES)
def test_a_profile_of_over_a_megabyte_counts(size: str) -> None:
    original, profile = SCENES[size], profiles.adobe_rgb()

    def tagged(profile: bytes) -> Result:
        return make(original[:FIRST] + png_chunk(b"iCCP", b"icc\0\0" + zlib.compress(profile)) + original[FIRST:])

    assert tagged(profile + bytes(1_200_000)) == tagged(profile)
    assert tagged(profile).thumbnails != make(original).thumbnails


@pytest.mark.parametrize("size", SCENES)
def test_an_animation_is_its_default_picture(size: str) -> None:
    original = SCENES[size]
    width, height = struct.unpack(">2I", original[16:24])
    control = struct.pack(">4I2H2B", width, height, 0, 0, 1, 10, 0, 0)
    begin = png_chunk(b"acTL", struct.pack(">2I", 2, 0)) + png_chunk(b"fcTL", struct.pack(">I", 0) + control)
    black = struct.pack(">I", 2) + zlib.compress(bytes((3 * width + 1) * height))
    follow = png_chunk(b"fcTL", struct.pack(">I", 1) + control) + png_chunk(b"fdAT", black)

    animated = make(original[:FIRST] + begin + original[FIRST:-12] + follow + original[-12:])

    assert animated == make(original)


@pytest.mark.parametrize("size", SCENES)
@pytest.mark.parametrize("name", [b"IHDR", b"IDAT"])
def test_a_critical_chunk_with_a_wrong_checksum_refuses_the_picture(size: str, name: bytes) -> None:
    original = bytearray(SCENES[size])
    start = original.index(name)
    (length,) = struct.unpack_from(">I", original, start - 4)
    original[start + 4 + length] ^= 1

    with pytest.raises(errors.CorruptImageError) as caught:
        make(bytes(original))

    assert type(caught.value) is errors.CorruptImageError


@pytest.mark.parametrize("side", SIDES)
def test_a_palette_with_a_wrong_checksum_refuses_the_picture(side: int) -> None:
    with pytest.raises(errors.CorruptImageError):
        make(halves(side, 8, PALETTE, [0], [1], damaged(png_chunk(b"PLTE", bytes(9)))))


@pytest.mark.parametrize("size", SCENES)
def test_pixels_that_are_cut_short_are_refused_whatever_stands_before_them(size: str) -> None:
    original = SCENES[size]
    with_text = original[:FIRST] + png_chunk(b"tEXt", b"Comment\0text") + original[FIRST:]

    with pytest.raises(errors.TruncatedImageError):
        make(with_text[: len(with_text) * 2 // 3])


@pytest.mark.parametrize("size", SCENES)
def test_a_picture_with_all_its_rows_needs_no_end(size: str) -> None:
    original = SCENES[size]

    assert make(original[:-12]) == make(original)


def test_only_exif_turns_a_picture() -> None:
    stored, exif = stored_as(SCENE, 6)
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="6"/></x:xmpmeta>'
    text = png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)
    plain = encoded(stored, "PNG")
    tagged = encoded(stored, "PNG", exif=exif)
    broken = damaged(png_chunk(b"eXIf", exif.removeprefix(b"Exif\0\0")))

    assert picture(tagged, 320).size == SCENE.size
    for untagged in (text, broken):
        assert picture(plain[:FIRST] + untagged + plain[FIRST:], 320).size == stored.size


def test_chunks_between_those_of_the_pixels_cost_no_pixel() -> None:
    pixels = zlib.compress(b"".join(b"\0" + row.tobytes() for row in np.asarray(SCENE)))
    text = png_chunk(b"tEXt", b"Comment\0text")
    pieces = b"".join(png_chunk(b"IDAT", pixels[at : at + 9_000]) + text for at in range(0, len(pixels), 9_000))

    shown = picture(SCENES["small"][:FIRST] + pieces + png_chunk(b"IEND"), 320)

    assert np.array_equal(np.asarray(shown), np.asarray(SCENE))
