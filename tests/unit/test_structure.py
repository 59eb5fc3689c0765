"""Small files that would keep a decoder busy for minutes, or fill gigabytes, are refused before they are opened."""

import io
import struct
import time
import warnings
import zlib
from contextlib import suppress

import numpy as np
import pytest
import pyvips  # type: ignore[import-untyped]  # ships no type hints
from PIL import Image

from functions.resize import errors
from functions.resize.formats import iso_media, jpeg
from functions.resize.formats import tiff as tiff_format
from functions.resize.limits import Limits
from functions.resize.recipe import Box, OutputFormat, Recipe
from functions.resize.thumbnails import make_thumbnails
from samples import profiles
from samples.files import encoded, png_chunk
from samples.pictures import cut_out, photograph, stored_as
from tests.little_memory import little_memory

SCENE = photograph(320, 240)
LIMITS = Limits()
JPEG = encoded(SCENE, "JPEG")
PROGRESSIVE = encoded(SCENE, "JPEG", progressive=True)
PNG = encoded(SCENE, "PNG")
GIF = encoded(SCENE, "GIF")

# ITU-T T.81, table B.1 and B.2.3.
END = b"\xff\xd9"
COMMENT = b"\xff\xfe\0\2"
DC_SCAN = b"\xff\xda\0\x0c\3\1\0\2\x11\3\x11\0\0\0\0"
LUMA_SCAN = b"\xff\xda\0\x08\1\1\0\0\x3f\0\xaa"


def make(original: bytes, side: int = 80) -> Image.Image:
    recipe = Recipe((Box(side, side),), format=OutputFormat.PNG)
    return Image.open(io.BytesIO(make_thumbnails(original, recipe).thumbnails[0].data))


def assert_too_many(original: bytes, limit: int, what: str) -> None:
    with pytest.raises(errors.TooManyPartsError, match=what) as caught:
        make(original)
    assert caught.value.parts > caught.value.limit == limit


def with_segments(*segments: bytes) -> bytes:
    """Put segments behind the first one, which has 18 bytes (JFIF 1.02)."""
    return JPEG[:20] + b"".join(segments) + JPEG[20:]


@pytest.mark.parametrize("side", [30, 320])
def test_progressive_scans_without_end(side: int) -> None:
    original = PROGRESSIVE[:-2] + DC_SCAN * 600 + END
    with pytest.raises(errors.TooManyPartsError, match="segments"):
        make(original, side)


@pytest.mark.parametrize("frame", [0xC2, 0xCA])
@pytest.mark.parametrize("behind", [b"", bytes(100_000), b"junk" * 20_000])
def test_scans_of_a_large_picture(frame: int, behind: bytes) -> None:
    """Each is a pass over all of it."""
    place = PROGRESSIVE.index(b"\xff\xc2")
    size = (8_600).to_bytes(2, "big") * 2
    header = PROGRESSIVE[:place] + bytes([0xFF, frame]) + PROGRESSIVE[place + 2 : place + 5] + size
    original = header + PROGRESSIVE[place + 9 : -2] + DC_SCAN * 60 + END + behind

    for side in (80, 2_000):
        with pytest.raises(errors.TooManyPixelsError, match="in its scans"):
            make(original, side)


@pytest.mark.parametrize(("subsampling", "blocks"), [("4:4:4", 14), ("4:2:0", 8)])
def test_scans_are_added_up(subsampling: str, blocks: int) -> None:
    """As libjpeg writes them: two of all components, four more of brightness, and two more of each colour."""
    original = encoded(SCENE, "JPEG", progressive=True, subsampling=subsampling)
    pixels = blocks * 320 * 240
    with pytest.raises(errors.TooManyPixelsError) as caught:
        jpeg.inspect(original, Limits(max_pixels=pixels // 40 - 1))

    assert caught.value.pixels == pixels
    jpeg.inspect(original, Limits(max_pixels=pixels // 40))


def test_sequential_scans_without_end() -> None:
    first_scan = JPEG.index(b"\xff\xda")
    assert_too_many(JPEG[:first_scan] + LUMA_SCAN * 600 + END, LIMITS.max_jpeg_segments, "segments")


def test_scans_behind_markers_that_nobody_knows() -> None:
    """Where it looks for a restart, libjpeg skips them, but not the length behind them."""
    frame = PROGRESSIVE.index(b"\xff\xc2")
    hidden = b"\xff\x02" + (len(DC_SCAN) * 600 + 2).to_bytes(2, "big") + DC_SCAN * 600
    original = PROGRESSIVE[:frame] + b"\xff\xdd\0\4\0\1" + PROGRESSIVE[frame:-2] + hidden + END
    assert_too_many(original, LIMITS.max_jpeg_segments, "segments")


def test_segments_of_exif() -> None:
    exif = b"Exif\0\0II*\0\x08\0\0\0\0\0"
    segment = b"\xff\xe1" + (2 + len(exif)).to_bytes(2, "big") + exif
    assert_too_many(with_segments(segment * 20), LIMITS.max_jpeg_segments, "segments")
    make(with_segments(segment * 3))


@pytest.mark.parametrize("between", [b"", b"\0junk", b"\xff" * 9, b"\xff\xd0", END, b"\xff\xf0"])
def test_segments_before_the_pixels_without_end(between: bytes) -> None:
    """Pillow reads on behind each of these."""
    assert_too_many(with_segments(between, COMMENT * 600), LIMITS.max_jpeg_segments, "segments")


def test_what_looks_like_scans_behind_the_picture_is_none() -> None:
    """Phones put a film there."""
    for original in (JPEG, PROGRESSIVE):
        make(original + DC_SCAN * 600 + END)


def test_segments_up_to_the_limit() -> None:
    of_its_own = make_thumbnails(JPEG, Recipe((Box(9, 9),)), Limits(max_jpeg_segments=20))
    assert of_its_own.thumbnails
    make(with_segments(COMMENT * (LIMITS.max_jpeg_segments - 20)))


@pytest.mark.parametrize("kind", [b"tEXt", b"iCCP", b"prVt"])
def test_chunks_of_metadata_without_end(kind: bytes) -> None:
    payload = b"a\0\0" + zlib.compress(bytes(9))
    assert_too_many(PNG[:33] + png_chunk(kind, payload) * 2_100 + PNG[33:], LIMITS.max_metadata_parts, "chunks")


def test_chunks_of_pixels_have_no_limit() -> None:
    picture = Image.effect_noise((100, 100), 50)
    whole = encoded(picture, "PNG")
    start = whole.index(b"IDAT") + 4
    pixels = whole[start : start + int.from_bytes(whole[start - 8 : start - 4], "big")]
    pieces = b"".join(png_chunk(b"IDAT", pixels[at : at + 2]) for at in range(0, len(pixels), 2))
    assert len(pixels) // 2 > LIMITS.max_metadata_parts
    assert np.array_equal(np.asarray(make(whole[: start - 8] + pieces + png_chunk(b"IEND"), 100)), np.asarray(picture))


def test_chunks_of_no_pixels() -> None:
    assert_too_many(PNG[:33] + png_chunk(b"IDAT") * 2_100 + PNG[33:], LIMITS.max_metadata_parts, "chunks")


def test_chunks_behind_the_end_are_none() -> None:
    make(PNG + png_chunk(b"tEXt", b"a\0") * 2_100)


def test_comments_without_end() -> None:
    descriptor = GIF.index(b"\x2c\0\0\0\0")
    for comments in (b"\x21\xfe\1a\0" * 2_100, b"\x21\xfe" + b"\1a" * 2_100 + b"\0"):
        assert_too_many(GIF[:descriptor] + comments + GIF[descriptor:], LIMITS.max_metadata_parts, "comment blocks")
    # XMP is in blocks of dozens of bytes, and Pillow keeps none of them.
    application = b"\x21\xff\x0bXMP DataXMP" + b"\1a" * 2_100 + b"\0"
    make(GIF[:descriptor] + application + GIF[descriptor:])


@pytest.mark.parametrize("before", [b"\0", b"junk", b"\x21\1\0\0"])
def test_comments_behind_what_pillow_skips(before: bytes) -> None:
    descriptor = GIF.index(b"\x2c\0\0\0\0")
    original = GIF[:descriptor] + before + b"\x21\xfe\1a\0" * 2_100 + GIF[descriptor:]
    assert_too_many(original, LIMITS.max_metadata_parts, "comment blocks")


def test_frames_behind_junk_do_not_count() -> None:
    frames = [Image.new("L", (8, 8), index * 9) for index in range(5)]
    film = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    place = film.index(b"\x21\xf9\4", film.index(b"\x21\xf9\4") + 1)
    whole = make_thumbnails(film, Recipe((Box(4, 4),))).original.frames
    cut = make_thumbnails(film[:place] + b"junk" + film[place:], Recipe((Box(4, 4),))).original.frames
    assert 1 <= cut < whole == 5


def test_comments_count_for_each_frame() -> None:
    frames = [Image.new("L", (8, 8), index * 9) for index in range(20)]
    film = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    control = b"\x21\xf9\4"
    comment = b"\x21\xfe" + b"\1a" * 90 + b"\0"
    commented = film.replace(control, comment + control)
    assert commented.count(comment) == 19
    recipe = Recipe((Box(4, 4),))
    assert make_thumbnails(commented, recipe, Limits(max_metadata_parts=100)).original.frames == 20
    with pytest.raises(errors.TooManyPartsError):
        make_thumbnails(commented, recipe, Limits(max_metadata_parts=80))


def tiff(tags: dict[int, tuple[int, int, int]], behind: bytes = b"", *, big: bool = False) -> bytes:
    """Make a file of 64 x 64 grey pixels at 16, what is behind them at 4112, and the directory at the end.

    ``tags``: tag -> kind, count, value or offset.
    """
    plain = {256: 64, 257: 64, 258: 8, 259: 1, 262: 1, 273: 16, 277: 1, 278: 64, 279: 4096}
    entries = {tag: (4, 1, value) for tag, value in plain.items()} | tags
    body = bytes(range(64)) * 64 + behind
    number, entry, end = ("Q", "HHQQ", bytes(8)) if big else ("H", "HHII", bytes(4))
    directory = struct.pack("<" + number, len(entries))
    directory += b"".join(struct.pack("<" + entry, tag, *entries[tag]) for tag in sorted(entries))
    place = 16 + len(body)
    header = struct.pack("<2sHHHQ", b"II", 43, 8, 0, place) if big else struct.pack("<2sHI8x", b"II", 42, place)
    return header + body + directory + end


@pytest.mark.parametrize("big", [False, True])
def test_strips_without_end(*, big: bool) -> None:
    strips = 1_100_000
    offsets = struct.pack("<H", 16) * strips
    original = tiff({256: (4, 1, 1), 257: (4, 1, strips), 273: (3, strips, 4112), 278: (4, 1, 1)}, offsets, big=big)
    assert_too_many(original, LIMITS.max_tiff_values, "numbers in its tags")
    assert make(tiff({}, big=big), 64).size == (64, 64)


@pytest.mark.parametrize(("kind", "bytes_each"), [(3, 2), (5, 8), (6, 1), (12, 8)])
def test_numbers_without_end(kind: int, bytes_each: int) -> None:
    numbers = 1_100_000
    original = tiff({282: (kind, numbers, 4112)}, bytes(numbers * bytes_each))
    assert_too_many(original, LIMITS.max_tiff_values, "numbers in its tags")


def test_numbers_without_end_in_a_directory_of_exif() -> None:
    numbers = 1_100_000
    directory = struct.pack("<HHHIII", 1, 0x9000, 3, numbers, 16, 0)
    original = tiff({34665: (4, 1, 4112), 34853: (4, 1, 4112)}, directory + bytes(2 * numbers))
    assert_too_many(original, LIMITS.max_tiff_values, "numbers in its tags")


def test_entries_without_end() -> None:
    exif = struct.pack("<Q", 1_100_000) + struct.pack("<HHQQ", 0x9000, 3, 1, 1) * 1_100_000
    assert_too_many(tiff({34665: (16, 1, 4112)}, exif, big=True), LIMITS.max_tiff_values, "numbers in its tags")


def test_bytes_and_what_is_not_in_the_file_are_no_numbers() -> None:
    profile = profiles.srgb()
    assert make(tiff({700: (1, 1_200_000, 4112), 34675: (7, len(profile), 4112)}, profile + bytes(1_200_000)), 64)
    assert make(tiff({282: (5, 2**31, 4112)}), 64)


def test_directories_that_name_each_other() -> None:
    directory = struct.pack("<HHHIII", 1, 34665, 4, 1, 4112, 0)
    assert make(tiff({34665: (4, 1, 4112)}, directory), 64)


@pytest.mark.parametrize("big", [False, True])
def test_directories_without_end(*, big: bool) -> None:
    entries = 60_000
    number, entry = ("Q", "HHQQ") if big else ("H", "HHII")
    exif = struct.pack("<" + number, entries)
    exif += b"".join(struct.pack("<" + entry, 34665, 4, 1, 100_000 + each) for each in range(entries))
    started = time.process_time()
    with suppress(errors.ResizeError), warnings.catch_warnings(action="ignore"):
        make(tiff({34665: (4, 1, 4112)}, exif, big=big), 64)
    # Minutes, if it read all of them.
    assert time.process_time() - started < 30


@pytest.mark.parametrize(
    "tags",
    [
        pytest.param({34665: (16, 1, 4112)}, id="as a number of 8 bytes in a file of 4"),
        pytest.param({34665: (1, 1, 2**31), 34853: (4, 1, 4120)}, id="behind one that lies beyond the file"),
    ],
)
def test_a_directory_that_is_named_from_elsewhere(tags: dict[int, tuple[int, int, int]]) -> None:
    numbers = 1_100_000
    behind = struct.pack("<QHHHIII", 4120, 1, 0x9000, 3, numbers, 16, 0) + bytes(2 * numbers)
    assert_too_many(tiff(tags, behind), LIMITS.max_tiff_values, "numbers in its tags")


@pytest.mark.parametrize(
    "original",
    [
        pytest.param(b"II+\0\x08\0\0\0" + b"\xff" * 8 + bytes(64), id="a directory beyond all files"),
        pytest.param(b"MM\0+" + bytes(64), id="a number that Pillow takes for something else"),
        pytest.param(
            b"\0\0\0\x10ftypheic\0\0\0\0" + struct.pack(">I4s4xI4s", 20, b"meta", 8, b"iinf"), id="an empty box"
        ),
    ],
)
def test_a_structure_that_ends_too_early(original: bytes) -> None:
    with pytest.raises(errors.CorruptImageError):
        make(original)


@pytest.mark.parametrize("tile", [(46_320, 46_320), (16, 10_000_000)])
def test_tiles_far_beyond_the_picture(tile: tuple[int, int]) -> None:
    original = tiff({322: (4, 1, tile[0]), 323: (4, 1, tile[1]), 324: (4, 1, 16), 325: (4, 1, 4096)})
    with pytest.raises(errors.TooManyPixelsError, match="in its tiles"):
        make(original)
    # As numbers of 8 bytes, which do not fit into the entry.
    elsewhere = struct.pack("<QQ", *tile)
    original = tiff({322: (16, 1, 4112), 323: (16, 1, 4120), 324: (4, 1, 16), 325: (4, 1, 4096)}, elsewhere)
    with pytest.raises(errors.TooManyPixelsError, match="in its tiles"):
        make(original)


def test_a_tile_larger_than_the_picture() -> None:
    picture = pyvips.Image.black(50, 30).add([200, 100, 50]).cast("uchar").copy(interpretation="srgb")
    original = picture.tiffsave_buffer(tile=True, tile_width=64, tile_height=64, compression="deflate")
    # A tile counts whole, its padding included.
    with pytest.raises(errors.TooManyPixelsError) as caught:
        tiff_format.inspect(original, Limits(max_pixels=64 * 64 // 2 - 1))
    assert caught.value.pixels == 64 * 64
    tiff_format.inspect(original, Limits(max_pixels=64 * 64 // 2))
    assert make(original, 50).getpixel((25, 15)) == (200, 100, 50)


def box(name: bytes, *payload: bytes) -> bytes:
    return struct.pack(">I4s", 8 + sum(map(len, payload)), name) + b"".join(payload)


def full_box(name: bytes, *payload: bytes, version: int = 0, flags: int = 0) -> bytes:
    return box(name, bytes([version]) + flags.to_bytes(3, "big"), *payload)


def media(
    sizes: list[tuple[int, int]],
    properties: dict[int, list[int]],
    references: list[tuple[bytes, int, list[int]]],
    *,
    items: int | None = None,
    wide: bool = False,
) -> bytes:
    """Make the boxes of a HEIF file whose first item is shown.

    ``properties``: item -> numbers from 1 of its size in ``sizes``, or of the turn and the mirror behind those.
    """
    number = ">I" if wide else ">H"
    version = int(wide)
    primary = full_box(b"pitm", struct.pack(number, 1), version=version)
    listed = full_box(b"iinf", struct.pack(number, len(properties) if items is None else items), version=version)
    known = [full_box(b"ispe", struct.pack(">II", *size)) for size in sizes]
    known += [box(b"irot", b"\1"), box(b"imir", b"\0")]
    associated = b"".join(
        struct.pack(number, item)
        + bytes([len(numbers)])
        + b"".join(struct.pack(">H" if wide else ">B", 1 << (15 if wide else 7) | each) for each in numbers)
        for item, numbers in properties.items()
    )
    table = full_box(b"ipma", struct.pack(">I", len(properties)), associated, version=version, flags=version)
    referred = [
        box(
            kind,
            struct.pack(number, item),
            struct.pack(">H", len(others)),
            *(struct.pack(number, each) for each in others),
        )
        for kind, item, others in references
    ]
    meta = full_box(
        b"meta",
        primary,
        listed,
        box(b"iprp", box(b"ipco", *known), table),
        full_box(b"iref", *referred, version=version),
    )
    return box(b"ftyp", b"heic\0\0\0\0mif1heic") + meta


LARGE = (8_000, 8_000)


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize(
    ("properties", "references"),
    [
        pytest.param({1: [1, *[2] * 10]}, [], id="turned again and again"),
        pytest.param({1: [1, *[2, 3] * 5]}, [], id="turned and mirrored again and again"),
        pytest.param(
            {1: [1], **{key: [1] for key in range(2, 12)}}, [(b"dimg", 1, [*range(2, 12)])], id="tiles larger than it"
        ),
        pytest.param(
            {key: [1] for key in range(1, 12)}, [(b"dimg", each, [each + 1]) for each in range(1, 11)], id="a chain"
        ),
        pytest.param({1: [1]}, [(b"dimg", 1, [2]), (b"dimg", 2, [1])], id="a circle"),
        pytest.param(
            {1: [1], 2: [1], **{key: [1] for key in range(3, 12)}},
            [(b"auxl", 2, [1]), (b"dimg", 2, [*range(3, 12)])],
            id="transparency",
        ),
    ],
)
def test_a_picture_made_of_far_more_pixels(
    properties: dict[int, list[int]], references: list[tuple[bytes, int, list[int]]], *, wide: bool
) -> None:
    error = errors.TooManyPartsError if (b"dimg", 2, [1]) in references else errors.TooManyPixelsError
    with pytest.raises(error, match=r"rotations and crops|parts"):
        make(media([LARGE], properties, references, wide=wide))


@pytest.mark.parametrize("wide", [False, True])
def test_items_without_end(*, wide: bool) -> None:
    tiles = {1: [1], **{key: [2, 3] for key in range(2, 9000)}}
    for original in (
        media([(64, 64)], {1: [1]}, [], items=50_000, wide=wide),
        media([(64, 64)], tiles, [(b"dimg", 1, [*range(2, 9_000)])], wide=wide),
        media([(64, 64)], {1: [1]}, [(b"dimg", 1, [2] * 30_000)], wide=wide),
    ):
        assert_too_many(original, LIMITS.max_item_parts, "parts")


def test_tiles_that_are_the_picture_itself() -> None:
    original = media([(64, 64)], {1: [1]}, [(b"dimg", 1, [1] * 10_000)])
    with little_memory(20_000_000), pytest.raises(errors.TooManyPartsError):
        make(original)


def test_two_boxes_of_which_decoders_take_one() -> None:
    original = media([LARGE], {1: [1, *[2] * 10]}, [])
    again = original[24:]
    assert again[4:8] == b"meta"
    with pytest.raises(errors.CorruptImageError):
        make(original[:24] + box(b"meta", bytes(4)) + again)


def test_a_picture_of_tiles_as_phones_make_them() -> None:
    """Of 75 megapixels, turned, with transparency and a smaller picture of its depth; a burst of them in one file."""
    tiles = 17 * 17
    shots = range(10)
    sizes = [(8_704, 8_600), (512, 512), (2_176, 2_150)]
    properties: dict[int, list[int]] = {}
    references: list[tuple[bytes, int, list[int]]] = []
    for shot in shots:
        first = 1 + shot * 600
        of_colour, of_alpha = range(first + 3, first + 3 + tiles), range(first + 3 + tiles, first + 3 + 2 * tiles)
        properties |= {first: [1, 4], first + 1: [1], first + 2: [3]}
        if shot == 0:
            references += [
                (b"dimg", first + 1, [*of_alpha]),
                (b"auxl", first + 1, [first]),
                (b"auxl", first + 2, [first]),
            ]
        references += [(b"dimg", first, [*of_colour])]
        properties |= {key: [2] for key in [*of_colour, *of_alpha]}
    # It holds no pixels, so the decoder refuses what the limits let through.
    with pytest.raises(errors.CorruptImageError):
        make(media(sizes, properties, references, wide=True))


@pytest.mark.parametrize("format", ["AVIF", "HEIF"])
def test_what_encoders_write_is_added_up(format: str) -> None:
    width, height = SCENE.size
    for picture, layers in ((SCENE, 1), (cut_out(width, height), 2)):
        original = encoded(picture, format)
        # Eight times the pixels of a picture are allowed.
        enough = -(-layers * width * height // 8)
        iso_media.inspect(original, Limits(max_pixels=enough, max_item_parts=40))
        with pytest.raises(errors.TooManyPixelsError) as caught:
            iso_media.inspect(original, Limits(max_pixels=enough - 1, max_item_parts=40))
        assert caught.value.pixels == layers * width * height
        with pytest.raises(errors.TooManyPartsError):
            iso_media.inspect(original, Limits(max_item_parts=2))


def with_exif(format: str, exif: bytes) -> bytes:
    return encoded(SCENE, format, exif=exif, **({"lossless": True, "method": 0} if format == "WEBP" else {}))


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_orientation_as_many_numbers(format: str) -> None:
    numbers = 3_000_000
    exif = b"Exif\0\0" + struct.pack("<2sHIHHHIII", b"II", 42, 8, 1, 0x0112, 6, numbers, 26, 0) + b"\6" * numbers
    original = with_exif(format, exif)
    # Eight bytes for each number, were they read.
    with little_memory(20_000_000), pytest.warns(UserWarning, match="larger than file"):
        make(original)


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_orientation_before_megabytes_of_exif(format: str) -> None:
    stored, exif = stored_as(SCENE, 6)
    original = encoded(stored, format, exif=exif + bytes(3_000_000))
    assert make(original, 320).size == SCENE.size


def test_a_pipeline_in_a_profile_is_not_run() -> None:
    """What it makes of the colours does not matter, as in browsers; how long it is does not either."""
    scene = photograph(64, 48)
    with_pipeline = make(encoded(scene, "PNG", icc_profile=profiles.display_p3_with_a_pipeline(20_000)))
    without = make(encoded(scene, "PNG", icc_profile=profiles.display_p3()))
    assert with_pipeline.tobytes() == without.tobytes()
    assert without.tobytes() != make(encoded(scene, "PNG")).tobytes()
