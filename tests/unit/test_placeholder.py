"""The placeholder is decoded again, by the published format alone, and compared with its picture."""

import base64
import math
from dataclasses import dataclass

import pytest
from PIL import Image

from functions.resize.placeholder import make_placeholder
from samples.pictures import photograph

Pixel = tuple[float, float, float, float]


@dataclass
class Decoded:
    """A ThumbHash: its aspect ratio, its mean colour, and a picture of 32 pixels on the longer side, 0 to 1."""

    ratio: float
    mean: Pixel
    pixels: list[list[Pixel]]


def decode(thumbhash: str) -> Decoded:
    """Decode as https://github.com/evanw/thumbhash describes it, bit by bit from the first byte's lowest."""
    bits = _Bits(base64.b64decode(thumbhash, validate=True))
    mean_l, mean_p, mean_q = bits.take(6) / 63, bits.take(6) / 31.5 - 1, bits.take(6) / 31.5 - 1
    scale_l, has_alpha, shorter = bits.take(5) / 31, bits.take(1), bits.take(3)
    scale_p, scale_q, is_landscape = bits.take(6) / 63, bits.take(6) / 63, bits.take(1)
    mean_a, scale_a = (bits.take(4) / 15, bits.take(4) / 15) if has_alpha else (1.0, 0.0)
    longer = 5 if has_alpha else 7
    across, down = (longer, shorter) if is_landscape else (shorter, longer)
    waves_l = bits.waves(max(3, across), max(3, down), scale_l)
    # The format makes colours livelier than they were, for what the few bits lose.
    waves_p, waves_q = bits.waves(3, 3, 1.25 * scale_p), bits.waves(3, 3, 1.25 * scale_q)
    waves_a = bits.waves(5, 5, scale_a) if has_alpha else {}
    ratio = across / down
    width, height = round(32 * min(1, ratio)), round(32 / max(1, ratio))

    def shown(x: int, y: int) -> Pixel:
        def level(mean: float, waves: dict[tuple[int, int], float]) -> float:
            return mean + 2 * sum(
                height_of * math.cos(math.pi * u * (x + 0.5) / width) * math.cos(math.pi * v * (y + 0.5) / height)
                for (u, v), height_of in waves.items()
            )

        return _colour(level(mean_l, waves_l), level(mean_p, waves_p), level(mean_q, waves_q), level(mean_a, waves_a))

    pixels = [[shown(x, y) for x in range(width)] for y in range(height)]
    return Decoded(ratio, _colour(mean_l, mean_p, mean_q, mean_a), pixels)


class _Bits:
    def __init__(self, data: bytes) -> None:
        self._number = int.from_bytes(data, "little")

    def take(self, count: int) -> int:
        taken = self._number & ((1 << count) - 1)
        self._number >>= count
        return taken

    def waves(self, across: int, down: int, scale: float) -> dict[tuple[int, int], float]:
        places = [(u, v) for v in range(down) for u in range(across) if (u or v) and u * down < across * (down - v)]
        return {place: (self.take(4) / 7.5 - 1) * scale for place in places}


def _colour(luminance: float, yellow_blue: float, red_green: float, alpha: float) -> Pixel:
    blue = luminance - 2 / 3 * yellow_blue
    red = (3 * luminance - blue + red_green) / 2
    return red, red - red_green, blue, alpha


def difference(decoded: Decoded, picture: Image.Image) -> float:
    """Return how far the decoded picture is from the source at a few pixels, 0 to 1, on average."""
    small = picture.convert("RGB").resize((4, 4), Image.Resampling.BOX)
    again = Image.new("RGB", (len(decoded.pixels[0]), len(decoded.pixels)))
    again.putdata(
        [tuple(round(255 * min(1, max(0, each))) for each in pixel[:3]) for row in decoded.pixels for pixel in row]
    )
    pairs = zip(small.tobytes(), again.resize((4, 4), Image.Resampling.BOX).tobytes(), strict=True)
    return sum(abs(a - b) for a, b in pairs) / (4 * 4 * 3 * 255)


def two_halves(left: str, right: str, size: tuple[int, int] = (120, 90)) -> Image.Image:
    image = Image.new("RGB", size, left)
    image.paste(right, (size[0] // 2, 0, *size))
    return image


@pytest.mark.parametrize("size", [(320, 240), (240, 320), (300, 300), (700, 100), (100, 700), (33, 32)])
def test_the_hash_is_a_small_copy_of_the_picture(size: tuple[int, int]) -> None:
    picture = photograph(*size)

    decoded = decode(make_placeholder(picture).thumbhash)

    assert difference(decoded, picture) < 0.06
    ratio = size[0] / size[1]
    # Three bits for the shorter side.
    assert abs(math.log(decoded.ratio / ratio)) < math.log(1.25)
    # Another picture is further away, or the comparison would say nothing.
    assert difference(decoded, picture.transpose(Image.Transpose.ROTATE_180)) > 2 * difference(decoded, picture)


@pytest.mark.parametrize(
    ("left", "right"), [("red", "blue"), ("black", "white"), ("yellow", "blue"), ("#00c000", "#c000c0")]
)
def test_left_and_right_stay_where_they_are(left: str, right: str) -> None:
    picture = two_halves(left, right)

    decoded = decode(make_placeholder(picture).thumbhash)

    assert difference(decoded, picture) < 0.12
    assert difference(decoded, two_halves(right, left)) > 0.3


@pytest.mark.parametrize("colour", ["red", "lime", "blue", "white", "black", "teal", "#7f7f7f"])
@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 3), (5, 5), (400, 1), (1, 400), (64, 48)])
def test_one_colour_stays_one_colour(colour: str, size: tuple[int, int]) -> None:
    picture = Image.new("RGB", size, colour)

    placeholder = make_placeholder(picture)

    decoded = decode(placeholder.thumbhash)
    wanted = tuple(level / 255 for level in picture.getpixel((0, 0)))  # type: ignore[union-attr]  # three numbers
    for row in decoded.pixels:
        for pixel in row:
            assert pixel == pytest.approx((*wanted, 1), abs=0.03)
    assert placeholder.colour == "#{:02x}{:02x}{:02x}".format(*picture.getpixel((0, 0)))  # type: ignore[misc]  # as above


@pytest.mark.parametrize("size", [(3, 2), (2, 2), (1, 2), (6, 4)])
def test_a_picture_of_some_pixels_shows_them(size: tuple[int, int]) -> None:
    picture = Image.linear_gradient("L").convert("RGB").resize(size, Image.Resampling.BOX)

    decoded = decode(make_placeholder(picture).thumbhash)

    top, bottom = (sum(row[len(row) // 2][:3]) / 3 for row in (decoded.pixels[0], decoded.pixels[-1]))
    assert bottom - top > 0.3


def test_a_grey_picture_is_like_the_same_in_colour() -> None:
    grey = photograph(120, 90).convert("L")

    assert make_placeholder(grey) == make_placeholder(grey.convert("RGB"))


def test_the_mean_colour_is_that_of_all_pixels() -> None:
    placeholder = make_placeholder(two_halves("black", "white"))

    assert placeholder.colour in {"#7f7f7f", "#808080"}


def test_transparency_is_part_of_the_hash() -> None:
    picture = Image.new("RGBA", (120, 90), "red")
    picture.paste((0, 0, 255, 0), (60, 0, 120, 90))

    decoded = decode(make_placeholder(picture).thumbhash)

    left, right = (decoded.pixels[len(decoded.pixels) // 2][column] for column in (4, -4))
    assert left[3] > 0.8
    assert right[3] < 0.2
    # The colour of what does not show does not count.
    assert left[:3] == pytest.approx((1, 0, 0), abs=0.05)
    assert decoded.mean[3] == pytest.approx(0.5, abs=0.05)


def test_the_mean_colour_is_that_over_a_white_page() -> None:
    half = Image.new("RGBA", (10, 10), (255, 0, 0, 128))
    gone = Image.new("RGBA", (10, 10), (255, 0, 0, 0))

    assert make_placeholder(half).colour == "#ff7f7f"
    assert make_placeholder(gone).colour == "#ffffff"


def test_a_picture_that_does_not_show_has_a_hash_too() -> None:
    decoded = decode(make_placeholder(Image.new("RGBA", (1, 1), (255, 0, 0, 0))).thumbhash)

    assert max(pixel[3] for row in decoded.pixels for pixel in row) < 0.05


def test_grey_with_transparency() -> None:
    picture = Image.new("LA", (30, 40), (200, 255))
    picture.putpixel((0, 0), (200, 254))

    decoded = decode(make_placeholder(picture).thumbhash)

    assert decoded.mean == pytest.approx((200 / 255, 200 / 255, 200 / 255, 1), abs=0.04)
    assert decoded.ratio == pytest.approx(30 / 40, rel=0.1)


def test_it_takes_some_bytes() -> None:
    lengths = {
        len(base64.b64decode(make_placeholder(photograph(width, height).convert(mode)).thumbhash))
        for width, height in ((320, 240), (240, 320), (300, 300), (700, 100))
        for mode in ("RGB", "L")
    }

    assert max(lengths) <= 25
