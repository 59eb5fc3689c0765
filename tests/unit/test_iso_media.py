"""AVIF and HEIF: pictures that are turned, cropped and put together by their containers."""

import io
import struct
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import ArrayLike
from PIL import Image

from functions.resize import errors
from functions.resize.formats import iso_media
from functions.resize.limits import Limits
from functions.resize.recipe import Box, OutputFormat, Recipe
from functions.resize.thumbnails import make_thumbnails
from samples.files import encoded
from samples.pictures import photograph
from tests.little_memory import little_memory

WIDTH, HEIGHT = 96, 64
CODECS = {"AVIF": (b"avif", b"av01", b"av1C"), "HEIF": (b"heic", b"hvc1", b"hvcC")}
ALPHA = b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0"

# Item: type, bytes, numbers of its properties from 1.
Items = dict[int, tuple[bytes, bytes, list[int]]]
References = list[tuple[bytes, int, list[int]]]


def box(name: bytes, *payload: bytes) -> bytes:
    return struct.pack(">I4s", 8 + sum(map(len, payload)), name) + b"".join(payload)


def full_box(name: bytes, *payload: bytes, version: int = 0) -> bytes:
    return box(name, bytes([version, 0, 0, 0]), *payload)


def ispe(width: int, height: int) -> bytes:
    return full_box(b"ispe", struct.pack(">II", width, height))


def clap(*numbers: int) -> bytes:
    """Width, height and offsets of a crop, each as numerator and denominator."""
    return box(b"clap", struct.pack(">IIIIiIiI", *numbers))


def irot(quarters: int) -> bytes:
    return box(b"irot", bytes([quarters]))


def imir(axis: int) -> bytes:
    return box(b"imir", bytes([axis]))


def coded(picture: Image.Image, format: str) -> tuple[bytes, bytes]:
    """Return the coded bytes of a picture and the box that describes them."""
    file = encoded(picture, format, quality=95, **({"subsampling": "4:4:4"} if format == "AVIF" else {}))
    boxes = dict(_boxes(file, 0, len(file)))
    start, end = boxes[b"mdat"]
    described = file.index(CODECS[format][2])
    size = int.from_bytes(file[described - 4 : described], "big")
    return file[start:end], file[described - 4 : described - 4 + size]


def _boxes(file: bytes, at: int, end: int) -> Iterator[tuple[bytes, tuple[int, int]]]:
    while at < end:
        size = int.from_bytes(file[at : at + 4], "big")
        yield file[at + 4 : at + 8], (at + 8, at + size)
        at += size


def container(
    format: str,
    items: Items,
    properties: list[bytes],
    references: References,
    *,
    groups: bytes = b"",
    brand: bytes = b"",
) -> bytes:
    """Put a file together from items, the first of which is shown; items of the same bytes share them."""
    numbers = struct.pack(">H", len(items))
    entries = [full_box(b"infe", struct.pack(">HH4sx", item, 0, kind), version=2) for item, (kind, *_) in items.items()]
    associated = [
        struct.pack(">HB", item, len(mine)) + bytes(128 | each for each in mine) for item, (*_, mine) in items.items()
    ]
    table = full_box(b"ipma", struct.pack(">I", len(items)), *associated)
    referred = [
        box(kind, struct.pack(f">HH{len(others)}H", item, len(others), *others)) for kind, item, others in references
    ]
    payloads = list(dict.fromkeys(payload for _, payload, _ in items.values()))

    def meta(start: int) -> bytes:
        places = {payload: start + sum(map(len, payloads[:at])) for at, payload in enumerate(payloads)}
        located = [
            struct.pack(">HHHII", item, 0, 1, places[payload], len(payload)) for item, (_, payload, _) in items.items()
        ]
        return full_box(
            b"meta",
            full_box(b"hdlr", bytes(4), b"pict", bytes(13)),
            full_box(b"pitm", struct.pack(">H", next(iter(items)))),
            full_box(b"iloc", b"\x44\0", numbers, *located),
            full_box(b"iinf", numbers, *entries),
            box(b"iprp", box(b"ipco", *properties), table),
            full_box(b"iref", *referred),
            groups,
        )

    types = box(b"ftyp", CODECS[format][0], bytes(4), CODECS[format][0], b"mif1miaf", brand)
    return types + meta(len(types) + len(meta(0)) + 8) + box(b"mdat", *payloads)


def quadrants(width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    """Make a picture that shows how it is turned: red, green, blue and white quarters."""
    picture = Image.new("RGB", (width, height), "red")
    for colour, place in {"lime": (1, 0), "blue": (0, 1), "white": (1, 1)}.items():
        picture.paste(
            colour, (place[0] * width // 2, place[1] * height // 2, width, height if place[1] else height // 2)
        )
    picture.paste("blue", (0, height // 2, width // 2, height))
    return picture


def single(format: str, picture: Image.Image, *transformations: bytes) -> bytes:
    """Make a file with one picture, turned and cropped."""
    data, configuration = coded(picture, format)
    items = {1: (CODECS[format][1], data, [*range(1, 3 + len(transformations))])}
    return container(format, items, [ispe(*picture.size), configuration, *transformations], [])


def make(original: bytes, side: int = 1000) -> Image.Image:
    recipe = Recipe((Box(side, side),), format=OutputFormat.PNG)
    (thumbnail,) = make_thumbnails(original, recipe).thumbnails
    return Image.open(io.BytesIO(thumbnail.data))


def assert_near(first: ArrayLike, second: ArrayLike, tolerance: float) -> None:
    difference = np.abs(np.asarray(first, dtype=np.int64) - np.asarray(second, dtype=np.int64)).mean()
    assert difference <= tolerance, f"{difference:.2f} levels on average, {tolerance} allowed"


def assert_looks_like(original: bytes, expected: Image.Image, tolerance: float = 3) -> None:
    made = make(original)
    assert made.size == expected.size
    assert_near(np.asarray(made.convert("RGB")), np.asarray(expected.convert("RGB")), tolerance)


# ---- turned


@pytest.mark.parametrize("format", CODECS)
@pytest.mark.parametrize("quarters", range(4))
@pytest.mark.parametrize("axis", [None, 0, 1])
@pytest.mark.parametrize("is_mirrored_first", [False, True])
def test_turns_apply_in_their_order(format: str, quarters: int, axis: int | None, *, is_mirrored_first: bool) -> None:
    turns = [irot(quarters)] + ([] if axis is None else [imir(axis)])
    original = single(format, quadrants(), *(reversed(turns) if is_mirrored_first else turns))

    expected = quadrants()
    mirror = None if axis is None else [Image.Transpose.FLIP_TOP_BOTTOM, Image.Transpose.FLIP_LEFT_RIGHT][axis]
    if mirror is not None and is_mirrored_first:
        expected = expected.transpose(mirror)
    expected = expected.rotate(90 * quarters, expand=True)
    if mirror is not None and not is_mirrored_first:
        expected = expected.transpose(mirror)

    assert_looks_like(original, expected)


# ---- cropped

CROPS = {
    "even": ((32, 1, 24, 1, 0, 1, 0, 1), (32, 20, 64, 44)),
    "odd": ((31, 1, 23, 1, 1, 2, 1, 2), (33, 21, 64, 44)),
    "in the corner": ((31, 1, 21, 1, -65, 2, -43, 2), (0, 0, 31, 21)),
    "fractions": ((95, 3, 71, 3, 0, 1, 0, 1), (32, 20, 64, 44)),
    "beyond the edge": ((40, 1, 24, 1, 40, 1, 0, 1), (68, 20, 96, 44)),
}


@pytest.mark.parametrize("format", CODECS)
@pytest.mark.parametrize("name", CROPS)
def test_crops(format: str, name: str) -> None:
    numbers, shown = CROPS[name]
    picture = photograph(WIDTH, HEIGHT)
    whole = make(single(format, picture))

    original = single(format, picture, clap(*numbers))

    assert_looks_like(original, whole.crop(shown), 0)


@pytest.mark.parametrize("format", CODECS)
def test_a_crop_comes_before_turns(format: str) -> None:
    original = single(format, quadrants(), clap(40, 1, 20, 1, -4, 1, -6, 1), irot(1), imir(1))

    expected = quadrants().crop((24, 16, 64, 36)).rotate(90, expand=True).transpose(Image.Transpose.FLIP_LEFT_RIGHT)

    assert_looks_like(original, expected)


@pytest.mark.parametrize("numbers", [(0, 1, 24, 1, 0, 1, 0, 1), (32, 0, 24, 1, 0, 1, 0, 1), (9, 1, 9, 1, 90, 1, 0, 1)])
def test_a_crop_that_leaves_nothing_is_ignored(numbers: tuple[int, ...]) -> None:
    assert_looks_like(single("AVIF", quadrants(), clap(*numbers)), quadrants())


@pytest.mark.parametrize("format", CODECS)
def test_large_pictures_are_cropped_as_well(format: str) -> None:
    original = single(format, quadrants(1200, 1000), clap(600, 1, 200, 1, 300, 1, 0, 1), irot(2))

    made = make(original, 300)

    assert made.size == (300, 100)
    assert_near(np.asarray(made.convert("RGB"))[[10, 90], 150], [[255, 255, 255], [0, 255, 0]], 12)


@pytest.mark.parametrize("format", CODECS)
def test_a_crop_does_not_make_a_picture_small_enough(format: str) -> None:
    original = single(format, quadrants(), clap(8, 1, 8, 1, 0, 1, 0, 1))
    recipe = Recipe((Box(8, 8),))

    with pytest.raises(errors.TooManyPixelsError) as caught:
        make_thumbnails(original, recipe, Limits(max_pixels=WIDTH * HEIGHT - 1))

    assert caught.value.pixels == WIDTH * HEIGHT


# ---- items beside the picture


def with_alpha(alpha_properties: list[int]) -> bytes:
    """Make an AVIF file that is opaque on the left; properties are the size, both configurations, a type, a depth."""
    mask = Image.new("L", (WIDTH, HEIGHT), 0)
    mask.paste(255, (0, 0, WIDTH // 2, HEIGHT))
    (colours, configuration), (alpha, of_alpha) = coded(quadrants(), "AVIF"), coded(mask, "AVIF")
    items = {1: (b"av01", colours, [1, 2]), 2: (b"av01", alpha, alpha_properties)}
    properties = [ispe(WIDTH, HEIGHT), configuration, of_alpha, full_box(b"auxC", ALPHA), full_box(b"pixi", b"\1\x08")]
    return container("AVIF", items, properties, [(b"auxl", 2, [1])])


@pytest.mark.parametrize("properties", [[3, 4], [4, 5, 3]])
@pytest.mark.parametrize("behind", [b"", b"a maker's trailer"])
def test_transparency_without_a_size_has_that_of_the_picture(properties: list[int], behind: bytes) -> None:
    sized, unsized = make(with_alpha([1, *properties])), make(with_alpha(properties) + behind)

    assert unsized.mode == "RGBA"
    assert unsized.getchannel("A").getextrema() == (0, 255)
    assert unsized.tobytes() == sized.tobytes()


def test_transparency_without_a_size_behind_a_box_without_one() -> None:
    """The last box may reach to the end of the file, wherever that is."""
    original = bytearray(with_alpha([3, 4]))
    at = original.index(b"mdat")
    original[at - 4 : at] = bytes(4)

    assert make(bytes(original)).tobytes() == make(with_alpha([1, 3, 4])).tobytes()


@pytest.mark.parametrize("tone_map", [b"", b"\0\0\0\0\0\0", b"\0\1"])
@pytest.mark.parametrize("properties", [[1, 3], [3]])
@pytest.mark.parametrize("brand", [b"", b"tmap"])
def test_a_gain_map_is_not_applied(tone_map: bytes, properties: list[int], brand: bytes) -> None:
    """The base picture is what readers without HDR show, whatever the gain map is like."""
    (colours, configuration), (gains, of_gains) = coded(quadrants(), "AVIF"), coded(quadrants().convert("L"), "AVIF")
    items = {1: (b"av01", colours, [1, 2]), 2: (b"av01", gains, properties), 3: (b"tmap", tone_map + b"\0", [1])}
    groups = box(b"grpl", full_box(b"altr", struct.pack(">IIII", 9, 2, 3, 1)))
    boxes = [ispe(WIDTH, HEIGHT), configuration, of_gains]
    original = container("AVIF", items, boxes, [(b"dimg", 3, [1, 2])], groups=groups, brand=brand)

    assert_looks_like(original, quadrants())


def test_a_depth_map_without_a_size_is_not_read() -> None:
    (colours, configuration), (depth, of_depth) = coded(quadrants(), "AVIF"), coded(quadrants().convert("L"), "AVIF")
    items = {1: (b"av01", colours, [1, 2]), 2: (b"av01", depth, [3, 4])}
    kind = full_box(b"auxC", b"urn:mpeg:mpegB:cicp:systems:auxiliary:depth\0")
    original = container("AVIF", items, [ispe(WIDTH, HEIGHT), configuration, of_depth, kind], [(b"auxl", 2, [1])])

    assert_looks_like(original, quadrants())


# ---- what a decoder would go through


def tiled(
    format: str,
    tile: Image.Image,
    tiles: tuple[int, int],
    canvas: tuple[int, int],
    *,
    says: tuple[int, int] | None = None,
) -> bytes:
    """Make a grid of the same tile again and again, each an item of its own."""
    columns, rows = tiles
    data, configuration = coded(tile, format)
    places = [*range(2, 2 + columns * rows)]
    items = {1: (b"grid", struct.pack(">4B2I", 0, 1, rows - 1, columns - 1, *canvas), [1])}
    items |= {place: (CODECS[format][1], data, [2, 3]) for place in places}
    return container(format, items, [ispe(*canvas), ispe(*(says or tile.size)), configuration], [(b"dimg", 1, places)])


@pytest.mark.parametrize("format", CODECS)
def test_tiles_that_reach_beyond_the_picture_are_read(format: str) -> None:
    made = make(tiled(format, Image.new("RGB", (512, 512), "red"), (3, 2), (1030, 520)))

    assert made.size == (1000, 505)
    assert_near(np.asarray(made.convert("RGB"))[::50, ::50], (255, 0, 0), 4)


@pytest.mark.parametrize("format", CODECS)
def test_tiles_far_beyond_the_picture_are_refused(format: str) -> None:
    original = tiled(format, Image.new("RGB", (1024, 1024)), (8, 8), (64, 64))

    with pytest.raises(errors.TooManyPixelsError, match="in its tiles") as caught:
        make(original)

    assert caught.value.pixels == 64 * 1024 * 1024


@pytest.mark.parametrize("format", CODECS)
def test_a_picture_larger_than_its_container_says_is_refused(format: str) -> None:
    """Decoders go by the coded bytes, and scale or refuse the result afterwards."""
    data, configuration = coded(Image.new("RGB", (3072, 2048)), format)
    original = container(format, {1: (CODECS[format][1], data, [1, 2])}, [ispe(64, 64), configuration], [])

    with pytest.raises(errors.TooManyPixelsError) as caught:
        make(original)

    assert caught.value.pixels == 3072 * 2048


def test_a_size_among_the_coded_bytes_counts() -> None:
    """HEVC repeats its parameters where it likes, and the decoder takes the last."""
    large, described = coded(Image.new("RGB", (3072, 2048)), "HEIF")
    _, small = coded(Image.new("RGB", (64, 64)), "HEIF")
    at, parameters = 8 + 23, b""
    for _ in range(described[8 + 22]):
        size = int.from_bytes(described[at + 3 : at + 5], "big")
        parameters += struct.pack(">I", size) + described[at + 5 : at + 5 + size]
        at += 5 + size
    original = container("HEIF", {1: (b"hev1", parameters + large, [1, 2])}, [ispe(64, 64), small], [])

    with pytest.raises(errors.TooManyPixelsError) as caught:
        make(original)

    assert caught.value.pixels == 3072 * 2048


@pytest.mark.parametrize("format", CODECS)
def test_frames_that_are_not_shown_count(format: str) -> None:
    data, configuration = coded(Image.new("RGB", (512, 512)), format)
    original = container(format, {1: (CODECS[format][1], data * 200, [1, 2])}, [ispe(512, 512), configuration], [])

    with pytest.raises(errors.TooManyPixelsError) as caught:
        make(original)

    assert caught.value.pixels == 200 * 512 * 512


def test_layers_of_a_progressive_picture_count_once() -> None:
    data, configuration = coded(Image.new("RGB", (3072, 2048), "red"), "AVIF")
    original = container("AVIF", {1: (b"av01", data * 4, [1, 2])}, [ispe(3072, 2048), configuration], [])

    assert_near(np.asarray(make(original, 64))[20, 20], (255, 0, 0), 4)


def test_the_first_frame_of_a_sequence_is_measured() -> None:
    """The decoder reads the tracks of a sequence, which needs no items."""
    file = io.BytesIO()
    frames = [Image.new("RGB", (4096, 2048), colour) for colour in ("red", "blue")]
    frames[0].save(file, "AVIF", save_all=True, append_images=frames[1:], speed=10)
    original = file.getvalue().replace(b"meta", b"free", 1)
    iso_media.inspect(original, Limits(max_pixels=4096 * 2048))

    with pytest.raises(errors.TooManyPixelsError, match="in its tiles"):
        iso_media.inspect(original, Limits(max_pixels=1_000_000))


@pytest.mark.parametrize("format", CODECS)
def test_bytes_that_many_tiles_share_are_counted_for_each(format: str) -> None:
    """A megabyte of noise would be decoded a hundred times."""
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (512, 512, 3), dtype=np.uint8))
    original = tiled(format, noise, (8, 8), (4096, 4096))

    with pytest.raises(errors.TooManyPartsError, match="bytes in its tiles"):
        make(original)


def test_metadata_that_many_pictures_share_are_not_read() -> None:
    """The decoder copies them for each picture: these would be 4 GB."""
    data, configuration = coded(quadrants(), "HEIF")
    items: Items = {picture: (b"hvc1", data, [1, 2]) for picture in range(1, 1000)}
    items[5000] = (b"Exif", b"\0\0\0\0Exif\0\0MM\0*\0\0\0\x08" + bytes(4_000_000), [])
    original = container("HEIF", items, [ispe(WIDTH, HEIGHT), configuration], [(b"cdsc", 5000, [*range(1, 1000)])])

    with little_memory(30_000_000):
        make_thumbnails(original, Recipe((Box(64, 64),)))


def test_numbers_in_exif_are_not_read() -> None:
    """Pillow makes an object of each of these fractions, to write the orientation between them."""
    count = 500_000
    entry = struct.pack(">HHHII", 1, 0xC350, 5, count, 26)
    exif = bytes(4) + b"MM\0*\0\0\0\x08" + entry + bytes(4) + struct.pack(">II", 1, 3) * count
    data, configuration = coded(quadrants(), "AVIF")
    items = {1: (b"av01", data, [1, 2, 3]), 2: (b"Exif", exif, [])}
    original = container("AVIF", items, [ispe(WIDTH, HEIGHT), configuration, irot(1)], [(b"cdsc", 2, [1])])

    with little_memory(30_000_000):
        make_thumbnails(original, Recipe((Box(64, 64),)))


@pytest.mark.parametrize("format", CODECS)
def test_deep_samples_without_subsampling_end_earlier(format: str) -> None:
    """They take up to 21 bytes a pixel; only the configuration is looked at here."""
    name = CODECS[format][2]
    deep = box(
        name, b"\x81\x2c\x40\0" if format == "AVIF" else bytes([*range(1, 17), 0xFF, 0xFA, 0xFA, 0, 0, 0, 0x0F, 0])
    )
    original = container(format, {1: (CODECS[format][1], b"-", [1, 2])}, [ispe(300, 200), deep], [])
    iso_media.inspect(original, Limits(max_pixels=90_000))

    with pytest.raises(errors.TooManyPixelsError, match="4:4:4") as caught:
        iso_media.inspect(original, Limits(max_pixels=89_998))

    assert caught.value.pixels == 60_000


# ---- where the bytes are


def located(format: str, layout: str) -> bytes:
    """Make a file with one red picture whose bytes are where the layout says."""
    data, configuration = coded(Image.new("RGB", (64, 64), "red"), format)
    brand, kind, _ = CODECS[format]
    types = box(b"ftyp", brand, bytes(4), brand, b"mif1miaf")
    third = len(data) // 3

    def meta(extents: list[tuple[int, int]], method: int = 0, base: int = 0) -> bytes:
        entry = struct.pack(">HHHIH", 1, method, 0, base, len(extents))
        places = b"".join(struct.pack(">II", *extent) for extent in extents)
        boxes = (
            full_box(b"hdlr", bytes(4), b"pict", bytes(13)),
            full_box(b"pitm", struct.pack(">H", 1)),
            full_box(b"iloc", b"\x44\x40\0\1", entry, places, version=1),
            full_box(b"iinf", b"\0\1", full_box(b"infe", struct.pack(">HH4sx", 1, 0, kind), version=2)),
            box(b"iprp", box(b"ipco", ispe(64, 64), configuration), full_box(b"ipma", b"\0\0\0\1\0\1\2\x81\x82")),
        )
        return full_box(b"meta", *boxes, *([box(b"idat", data)] if method else []))

    start = len(types) + len(meta([(0, 0)]))
    body = meta([(start + 8, len(data))]) + box(b"mdat", data)
    match layout:
        case "to the end":
            body = meta([(start + 8, len(data))]) + bytes(4) + b"mdat" + data
        case "64-bit size":
            size = struct.pack(">I4sQ", 1, b"mdat", 16 + len(data))
            body = meta([(start + 16, len(data))]) + size + data
        case "extents":
            at = len(types) + len(meta([(0, 0)] * 3)) + 8
            extents = [(at + third, third), (at, third), (at + 2 * third, len(data) - 2 * third)]
            body = meta(extents) + box(b"mdat", data[third : 2 * third], data[:third], data[2 * third :])
        case "before its description":
            body = box(b"mdat", data) + meta([(len(types) + 8, len(data))])
        case "among its description":
            body = meta([(0, len(data))], method=1)
        case "base offset":
            body = meta([(0, len(data))], base=start + 8) + box(b"mdat", data)
    return types + body


LAYOUTS = [
    "plain",
    "to the end",
    "64-bit size",
    "extents",
    "before its description",
    "among its description",
    "base offset",
]


@pytest.mark.parametrize("format", CODECS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("behind", [b"", b"\0\0\1\xffSEFT, what a maker appends"])
def test_bytes_may_be_anywhere(format: str, layout: str, behind: bytes) -> None:
    original = located(format, layout) + behind

    assert_near(np.asarray(make(original).convert("RGB"))[32, 32], (255, 0, 0), 4)
    assert not iso_media.is_cut_short(original)


@pytest.mark.parametrize("format", CODECS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_bytes_that_are_missing(format: str, layout: str) -> None:
    original = located(format, layout)
    for missing in (4, len(original) // 8):
        with pytest.raises(errors.TruncatedImageError):
            make(original[:-missing])
