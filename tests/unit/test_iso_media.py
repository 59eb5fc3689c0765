"""AVIF and HEIF: pictures that are turned, cropped and put together by their containers."""

import io
import struct
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import ArrayLike
from PIL import Image

from functions.resize import errors
from functions.resize.limits import Limits
from functions.resize.recipe import Box, OutputFormat, Recipe
from functions.resize.thumbnails import make_thumbnails
from samples.pictures import encoded, photograph

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
