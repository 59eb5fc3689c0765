"""TIFF: what samples mean, in every arrangement of them, for small pictures and for large ones."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
import pyvips  # type: ignore[import-untyped]  # ships no type hints
from numpy.typing import NDArray
from PIL import Image

from functions.resize import errors
from functions.resize.recipe import Box, Original, OutputFormat, Recipe
from functions.resize.thumbnails import make_thumbnails
from samples.files import encoded
from samples.pictures import photograph, stored_as

SCENE = photograph(320, 240)
SMALL = (48, 32)
# At least a million pixels, which libvips shrinks while it decodes.
LARGE = (1200, 900)
NONE, LZW, DEFLATE = 1, 5, 8
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, INKS, YCBCR = 0, 1, 2, 3, 5, 6
SHORT, LONG = 3, 4

Samples = NDArray[np.uint32]


def halves(size: tuple[int, int], left: tuple[int, ...], right: tuple[int, ...]) -> Samples:
    pixels = np.empty((size[1], size[0], len(left)), np.uint32)
    pixels[:, : size[0] // 2], pixels[:, size[0] // 2 :] = left, right
    return pixels


def pack(rows: Samples, bits: int, order: str) -> bytes:
    """Pack samples of any number of bits; rows begin at whole bytes."""
    flat = rows.reshape(len(rows), -1)
    if bits in {16, 32}:
        return flat.astype(f"{order}u{bits // 8}").tobytes()
    single = (flat[..., None] >> np.arange(bits - 1, -1, -1, dtype=np.uint32)) & 1
    return np.packbits(single.reshape(len(rows), -1).astype(np.uint8), axis=1).tobytes()


def tiff(
    pixels: Samples,
    photometric: int,
    bits: int = 8,
    *,
    extra: tuple[int, ...] = (),
    planar: bool = False,
    compression: int = NONE,
    order: str = "<",
    big: bool = False,
    tile: int = 0,
    tags: dict[int, tuple[int, ...]] | None = None,
) -> bytes:
    """Write a TIFF file; ``tags`` are added, as shorts."""
    height, width, samples = pixels.shape
    across, down = (tile, tile) if tile else (width, 100)
    chunks = []
    for plane in [pixels[..., index : index + 1] for index in range(samples)] if planar else [pixels]:
        for top in range(0, height, down):
            for left in range(0, width, across):
                part = plane[top : top + down, left : left + across]
                if tile:
                    part = np.pad(part, ((0, tile - part.shape[0]), (0, tile - part.shape[1]), (0, 0)), "edge")
                data = pack(part, bits, order)
                chunks.append(zlib.compress(data, 1) if compression == DEFLATE else data)
    start, number, entry, room = (16, "Q", "HHQ", 8) if big else (8, "H", "HHI", 4)
    values: dict[int, tuple[int, tuple[int, ...]]] = {
        256: (LONG, (width,)),
        257: (LONG, (height,)),
        258: (SHORT, (bits,) * samples),
        259: (SHORT, (compression,)),
        262: (SHORT, (photometric,)),
        277: (SHORT, (samples,)),
        284: (SHORT, (2 if planar else 1,)),
        **({338: (SHORT, extra)} if extra else {}),
        **{tag: (SHORT, each) for tag, each in (tags or {}).items()},
    }
    offsets = tuple(start + sum(map(len, chunks[:index])) for index in range(len(chunks)))
    lengths = tuple(map(len, chunks))
    if tile:
        values |= {322: (LONG, (tile,)), 323: (LONG, (tile,)), 324: (LONG, offsets), 325: (LONG, lengths)}
    else:
        values |= {273: (LONG, offsets), 278: (LONG, (down,)), 279: (LONG, lengths)}
    body = b"".join(chunks)
    body += bytes(len(body) % 2)
    place = start + len(body)
    behind = place + struct.calcsize(order + number) + len(values) * (4 + 2 * room) + room
    directory, outside = struct.pack(order + number, len(values)), b""
    for tag in sorted(values):
        type_, each = values[tag]
        data = struct.pack(f"{order}{len(each)}{'H' if type_ == SHORT else 'I'}", *each)
        if len(data) > room:
            pointer = struct.pack(order + ("Q" if big else "I"), behind + len(outside))
            outside, data = outside + data + bytes(len(data) % 2), pointer
        directory += struct.pack(order + entry, tag, type_, len(each)) + data.ljust(room, b"\0")
    mark = b"II" if order == "<" else b"MM"
    header = struct.pack(order + "HHHQ", 43, 8, 0, place) if big else struct.pack(order + "HI", 42, place)
    return mark + header + body + directory + bytes(room) + outside


def thumbnail_of(original: bytes, side: int = 40) -> Image.Image:
    recipe = Recipe((Box(side, side),), format=OutputFormat.PNG)
    return Image.open(io.BytesIO(make_thumbnails(original, recipe).thumbnails[0].data))


def assert_halves(
    original: bytes, mode: str, left: tuple[int, ...], right: tuple[int, ...], tolerance: int = 1
) -> None:
    thumbnail = thumbnail_of(original)

    assert thumbnail.mode == mode
    pixels = np.asarray(thumbnail, np.int64).reshape(thumbnail.height, thumbnail.width, -1)
    for part, expected in ((pixels[:, :16], left), (pixels[:, -16:], right)):
        assert np.abs(part - expected).max() <= tolerance, f"{part.mean((0, 1))} instead of {expected}"


def full(bits: int, *parts: float) -> tuple[int, ...]:
    return tuple(round(part * ((1 << bits) - 1)) for part in parts)


SIZES = pytest.mark.parametrize("size", [SMALL, LARGE], ids=["small", "large"])
ARRANGED = pytest.mark.parametrize(
    "arranged",
    [
        pytest.param({}, id="strips"),
        pytest.param({"tile": 64}, id="tiles"),
        pytest.param({"planar": True}, id="planes"),
        pytest.param({"planar": True, "tile": 64, "compression": DEFLATE}, id="planes in tiles, deflate"),
        pytest.param({"order": ">", "compression": DEFLATE}, id="big-endian, deflate"),
        pytest.param({"order": ">", "big": True}, id="big-endian BigTIFF"),
        pytest.param({"big": True, "planar": True}, id="BigTIFF, planes"),
    ],
)


@SIZES
@ARRANGED
@pytest.mark.parametrize("bits", [4, 8, 12, 16])
def test_rgb(bits: int, arranged: dict[str, Any], size: tuple[int, int]) -> None:
    pixels = halves(size, full(bits, 1, 0.2, 0), full(bits, 0, 0.6, 1))

    assert_halves(tiff(pixels, RGB, bits, **arranged), "RGB", (255, 51, 0), (0, 153, 255))


@SIZES
@pytest.mark.parametrize("bits", [2, 4, 8, 10, 12, 14, 16])
@pytest.mark.parametrize("photometric", [WHITE_IS_ZERO, BLACK_IS_ZERO])
@pytest.mark.parametrize("order", ["<", ">"])
def test_grey(order: str, photometric: int, bits: int, size: tuple[int, int]) -> None:
    left, right = full(bits, 0, 1 / 3) if photometric == BLACK_IS_ZERO else full(bits, 1, 2 / 3)

    assert_halves(tiff(halves(size, (left,), (right,)), photometric, bits, order=order), "L", (0,), (85,))


@SIZES
@pytest.mark.parametrize("photometric", [WHITE_IS_ZERO, BLACK_IS_ZERO])
def test_two_tones(photometric: int, size: tuple[int, int]) -> None:
    black = int(photometric == WHITE_IS_ZERO)

    assert_halves(tiff(halves(size, (black,), (1 - black,)), photometric, 1), "L", (0,), (255,))


@SIZES
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("photometric", [WHITE_IS_ZERO, BLACK_IS_ZERO])
def test_grey_with_alpha(photometric: int, bits: int, size: tuple[int, int], *, planar: bool) -> None:
    left, right = (0.6, 1) if photometric == BLACK_IS_ZERO else (0.4, 0)
    pixels = halves(size, full(bits, left, 0.4), full(bits, right, 1))

    assert_halves(tiff(pixels, photometric, bits, extra=(2,), planar=planar), "LA", (153, 102), (255, 255))


@SIZES
@ARRANGED
@pytest.mark.parametrize("bits", [8, 16])
def test_rgb_with_alpha(bits: int, arranged: dict[str, Any], size: tuple[int, int]) -> None:
    plain = halves(size, full(bits, 1, 0.6, 0, 0.4), full(bits, 0, 0, 1, 1))
    premultiplied = halves(size, full(bits, 0.4, 0.24, 0, 0.4), full(bits, 0, 0, 1, 1))

    expected = (255, 153, 0, 102), (0, 0, 255, 255)
    assert_halves(tiff(plain, RGB, bits, extra=(2,), **arranged), "RGBA", *expected)
    assert_halves(tiff(premultiplied, RGB, bits, extra=(1,), **arranged), "RGBA", *expected, tolerance=3)
    # What is not said to be alpha is none.
    assert_halves(tiff(plain, RGB, bits, extra=(0,), **arranged), "RGB", (255, 153, 0), (0, 0, 255))


@SIZES
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("planar", [False, True])
def test_inks(bits: int, size: tuple[int, int], *, planar: bool) -> None:
    pixels = halves(size, full(bits, 0, 1, 1, 0), full(bits, 1, 0, 0, 0))

    assert_halves(tiff(pixels, INKS, bits, planar=planar), "RGB", (255, 0, 0), (0, 255, 255))


@SIZES
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("planar", [False, True])
def test_inks_with_alpha_stand_on_white(bits: int, size: tuple[int, int], *, planar: bool) -> None:
    plain = halves(size, full(bits, 0, 1, 1, 0, 0.4), full(bits, 1, 0, 0, 0, 1))
    premultiplied = halves(size, full(bits, 0, 0.4, 0.4, 0, 0.4), full(bits, 1, 0, 0, 0, 1))

    for pixels, extra in ((plain, 2), (premultiplied, 1)):
        assert_halves(tiff(pixels, INKS, bits, extra=(extra,), planar=planar), "RGB", (255, 153, 153), (0, 255, 255))


@SIZES
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("step", [257, 1], ids=["16-bit map", "8-bit map"])
def test_colour_maps(step: int, bits: int, size: tuple[int, int]) -> None:
    colours = np.zeros((3, 1 << bits), int)
    colours[:, 0], colours[:, -1] = (255, 64, 0), (0, 10, 255)
    original = tiff(halves(size, (0,), ((1 << bits) - 1,)), PALETTE, bits, tags={320: tuple(colours.ravel() * step)})

    assert_halves(original, "RGB", (255, 64, 0), (0, 10, 255))


@SIZES
@pytest.mark.parametrize("compression", [NONE, DEFLATE])
def test_ycbcr_with_chroma_for_every_pixel(compression: int, size: tuple[int, int]) -> None:
    pixels = halves(size, (76, 85, 255), (29, 255, 107))

    original = tiff(pixels, YCBCR, compression=compression, tags={530: (1, 1)})
    assert_halves(original, "RGB", (254, 0, 0), (0, 0, 254), tolerance=2)


@SIZES
@pytest.mark.parametrize("compression", ["jpeg", "tiff_lzw", "packbits", "zstd", "lzma", "tiff_adobe_deflate"])
def test_compressions(compression: str, size: tuple[int, int]) -> None:
    scene = SCENE.resize(size)

    thumbnail = thumbnail_of(encoded(scene, "TIFF", compression=compression))

    assert np.abs(np.asarray(thumbnail, int) - np.asarray(scene.resize(thumbnail.size, 1), int)).mean() < 6


@SIZES
def test_webp_compression(size: tuple[int, int]) -> None:
    scene = SCENE.resize(size)
    picture = pyvips.Image.new_from_memory(scene.tobytes(), *size, 3, "uchar").copy(interpretation="srgb")

    thumbnail = thumbnail_of(picture.tiffsave_buffer(compression="webp", Q=95))

    assert np.abs(np.asarray(thumbnail, int) - np.asarray(scene.resize(thumbnail.size, 1), int)).mean() < 6


@SIZES
@pytest.mark.parametrize(
    ("kind", "photometric", "bits", "samples", "tags"),
    [
        ("32-bit samples", BLACK_IS_ZERO, 32, 1, {}),
        ("32-bit samples", RGB, 32, 3, {}),
        ("24-bit samples", BLACK_IS_ZERO, 24, 1, {}),
        ("floating-point samples", BLACK_IS_ZERO, 32, 1, {339: (3,)}),
        ("floating-point samples", RGB, 16, 3, {339: (3, 3, 3)}),
        ("signed samples", BLACK_IS_ZERO, 16, 1, {339: (2,)}),
        ("Lab samples", 8, 8, 3, {}),
        ("Lab samples", 8, 16, 3, {}),
        ("Lab samples", 9, 8, 3, {}),
        ("LogLuv samples", 32845, 16, 3, {}),
        ("raw sensor samples", 32803, 16, 1, {}),
        ("a transparency mask", 4, 1, 1, {}),
        ("inks other than CMYK", INKS, 8, 3, {332: (2,)}),
        ("YCbCr samples of 16 bits", YCBCR, 16, 3, {530: (1, 1)}),
        ("a colour map for 16-bit samples", PALETTE, 16, 1, {320: (0,) * 3 * 65536}),
        ("samples of different sizes", RGB, 8, 3, {258: (5, 6, 5)}),
    ],
)
def test_what_is_not_read_is_named(
    kind: str, photometric: int, bits: int, samples: int, tags: dict[int, tuple[int, ...]], *, size: tuple[int, int]
) -> None:
    original = tiff(halves(size, (0,) * samples, (1,) * samples), photometric, bits, tags=tags)

    with pytest.raises(errors.UnsupportedImageError) as caught:
        thumbnail_of(original)
    assert caught.value.kind == f"TIFF picture with {kind}"


@SIZES
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("planar", [False, True])
def test_missing_rows(size: tuple[int, int], *, big: bool, planar: bool) -> None:
    whole = tiff(halves(size, (1, 2, 3), (4, 5, 6)), RGB, big=big, planar=planar)
    # The directory first, the strips behind it, and the last of them lie beyond the end.
    length = 3 * size[0] * size[1]
    start = 16 if big else 8
    moved = bytearray(whole.replace(whole[start : start + length], bytes(length)))
    at = moved.rindex(struct.pack("<I", start))
    offsets = 3 * -(-size[1] // 100) if planar else -(-size[1] // 100)
    if offsets == 1:
        at = moved.index(struct.pack("<HH", 273, LONG)) + (12 if big else 8)
    place = len(moved) - 40
    struct.pack_into("<I", moved, at, place)

    with pytest.raises(errors.TruncatedImageError):
        thumbnail_of(bytes(moved))


@SIZES
@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate"])
def test_damaged_strips_are_no_grey_rows(compression: str, size: tuple[int, int]) -> None:
    original = bytearray(encoded(SCENE.resize(size), "TIFF", compression=compression))
    # Pillow writes the first strip behind the header.
    original[8:40] = b"\xff" * 32

    with pytest.raises(errors.CorruptImageError):
        thumbnail_of(bytes(original))


@pytest.mark.parametrize("orientation", range(1, 9))
@SIZES
def test_orientation_is_that_of_the_tag(size: tuple[int, int], orientation: int) -> None:
    upright = SCENE.resize(size)
    stored, _ = stored_as(upright, orientation)
    packet = b'<rdf:Description tiff:Orientation="3"/>'

    original = encoded(stored, "TIFF", tiffinfo={274: orientation, 700: packet})

    result = make_thumbnails(original, Recipe((Box(40, 40),), format=OutputFormat.PNG))

    assert result.original == Original("TIFF", *size, 1)
    thumbnail = Image.open(io.BytesIO(result.thumbnails[0].data))
    assert np.abs(np.asarray(thumbnail, int) - np.asarray(upright.resize(thumbnail.size, 1), int)).mean() < 6


@SIZES
@pytest.mark.parametrize("compression", ["raw", "lzma"])
@pytest.mark.parametrize("spelling", [b'tiff:Orientation="6"/>', b"><tiff:Orientation>6</tiff:Orientation>"])
def test_an_orientation_in_xmp_alone_is_not_applied(spelling: bytes, compression: str, size: tuple[int, int]) -> None:
    scene = SCENE.resize(size)
    original = encoded(scene, "TIFF", tiffinfo={700: b"<rdf:Description " + spelling}, compression=compression)

    thumbnail = thumbnail_of(original)

    assert np.abs(np.asarray(thumbnail, int) - np.asarray(scene.resize(thumbnail.size, 1), int)).mean() < 6


def test_only_the_first_page_is_read() -> None:
    red, blue = (Image.new("RGB", SMALL, colour) for colour in ("red", "blue"))

    assert_halves(encoded(red, "TIFF", save_all=True, append_images=[blue]), "RGB", (255, 0, 0), (255, 0, 0))


def without_end(original: bytes, changes: dict[int, tuple[int, int, int]], more: list[bytes] | None = None) -> bytes:
    """Write the first directory of a little-endian file again, at its end; ``changes``: tag -> type, count, value."""
    (place,) = struct.unpack_from("<I", original, 4)
    (count,) = struct.unpack_from("<H", original, place)
    entries = [original[place + 2 + 12 * index : place + 14 + 12 * index] for index in range(count)]
    kept = [entry for entry in entries if struct.unpack_from("<H", entry)[0] not in changes]
    kept += [struct.pack("<HHII", tag, *values) for tag, values in changes.items()] + (more or [])
    kept.sort(key=lambda entry: struct.unpack_from("<H", entry)[0])
    body = original + bytes(len(original) % 2)
    header = original[:4] + struct.pack("<I", len(body))
    return header + body[8:] + struct.pack("<H", len(kept)) + b"".join(kept) + bytes(4)


PLAIN = tiff(halves(SMALL, (1, 2, 3), (4, 5, 6)), RGB)


@pytest.mark.parametrize(("offsets", "lengths"), [(273, 279), (324, 325)])
def test_strips_and_tiles_that_name_the_same_megabyte(offsets: int, lengths: int) -> None:
    many = 200
    places = len(PLAIN) + 1_000_000
    body = PLAIN + bytes(1_000_000) + struct.pack("<I", 8) * many + struct.pack("<I", 1_000_000) * many
    original = without_end(body, {offsets: (LONG, many, places), lengths: (LONG, many, places + 4 * many)})

    with pytest.raises(errors.TooManyPartsError, match="bytes in its strips and tiles") as caught:
        thumbnail_of(original)
    assert (caught.value.parts, caught.value.limit) == (200_000_000, 100_000_000)


def test_the_same_small_strip_many_times_is_read() -> None:
    height = 5_000
    body = PLAIN + struct.pack("<I", 8) * height + struct.pack("<I", 30) * height
    changes = {256: (LONG, 1, 10), 257: (LONG, 1, height), 278: (LONG, 1, 1)}
    strips = {273: (LONG, height, len(PLAIN)), 279: (LONG, height, len(PLAIN) + 4 * height)}

    assert thumbnail_of(without_end(body, changes | strips), 100).size == (1, 100)


def test_tags_that_name_the_same_bytes() -> None:
    body = PLAIN + bytes(1_000_000)
    entries = [struct.pack("<HHII", 40_000 + index, 7, 1_000_000, len(PLAIN)) for index in range(100)]
    again = [struct.pack("<HHII", 34675, 7, 1_000_000, len(PLAIN)) for _ in range(100)]

    for more in (entries, again):
        with pytest.raises(errors.TooManyPartsError, match="bytes in its tags"):
            thumbnail_of(without_end(body, {}, more))


def test_further_pages_are_not_looked_at() -> None:
    original = bytearray(encoded(SCENE, "TIFF", save_all=True, append_images=[SCENE]))
    (first,) = struct.unpack_from("<I", original, 4)
    (count,) = struct.unpack_from("<H", original, first)
    # Thousands of directories, each of which names the same bytes, took a minute.
    struct.pack_into("<I", original, first + 2 + 12 * count, 2**31)

    assert thumbnail_of(bytes(original)).size == (40, 30)


def test_large_tiles_and_many_samples() -> None:
    wide = {256: (LONG, 1, 40_000), 257: (LONG, 1, 1_800), 258: (SHORT, 1, 16)}
    tiles = {322: (LONG, 1, 4_096), 323: (LONG, 1, 2_048), 324: (LONG, 1, 8), 325: (LONG, 1, 100)}

    with pytest.raises(errors.TooManyPixelsError, match="in a row of tiles"):
        thumbnail_of(without_end(PLAIN, wide | tiles))
    with pytest.raises(errors.UnsupportedImageError, match="very large tiles"):
        thumbnail_of(without_end(PLAIN, tiles | {322: (LONG, 1, 8_208)}))
    with pytest.raises(errors.UnsupportedImageError, match="1000 samples a pixel"):
        thumbnail_of(without_end(PLAIN, {277: (SHORT, 1, 1_000)}))
