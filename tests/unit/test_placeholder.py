"""The placeholder is decoded again, by the published format alone, and compared with its picture."""

import base64
import math

import pytest
from PIL import Image

from functions.resize.placeholder import make_placeholder
from samples.pictures import photograph
from tests.thumbhash import Decoded, decode


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
