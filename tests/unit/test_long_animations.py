"""Animations that are too much for the limits become stills, with a warning."""

import io

import pytest
from PIL import Image

from functions.resize.limits import Limits
from functions.resize.recipe import Box, Fit, OutputFormat, Recipe, Result
from functions.resize.thumbnails import make_thumbnails
from samples.files import encoded
from samples.pictures import moving

FRAMES = moving(4, 64, 48)
PIXELS = 4 * 64 * 48
ANIMATED = pytest.mark.parametrize("format", ["GIF", "WEBP"])


def animation(format: str) -> bytes:
    return encoded(FRAMES[0], format, save_all=True, append_images=FRAMES[1:], duration=50)


def frames(result: Result) -> int:
    with Image.open(io.BytesIO(result.thumbnails[0].data)) as image:
        return int(getattr(image, "n_frames", 1))


def assert_still(result: Result, warning: str) -> None:
    assert frames(result) == 1
    assert result.original.frames == 4
    assert result.warnings == (f"Only the first frame was kept: the animation has {warning}.",)


@ANIMATED
def test_too_many_frames(format: str) -> None:
    recipe = Recipe((Box(9, 9),))

    result = make_thumbnails(animation(format), recipe, Limits(max_frames=3))

    assert_still(result, "4 frames or more, the limit is 3")
    assert frames(make_thumbnails(animation(format), recipe, Limits(max_frames=4))) == 4


@ANIMATED
def test_too_many_pixels_in_all_frames(format: str) -> None:
    recipe = Recipe((Box(9, 9),))

    result = make_thumbnails(animation(format), recipe, Limits(max_total_pixels=PIXELS - 1))

    assert_still(result, "12,288 pixels in all frames or more, the limit is 12,287")
    assert frames(make_thumbnails(animation(format), recipe, Limits(max_total_pixels=PIXELS))) == 4


@ANIMATED
@pytest.mark.parametrize("wanted", [OutputFormat.SOURCE, OutputFormat.WEBP])
def test_too_many_output_pixels(format: str, wanted: OutputFormat) -> None:
    recipe = Recipe((Box(64, 64), Box(32, 32)), format=wanted)
    pixels = PIXELS + PIXELS // 4

    result = make_thumbnails(animation(format), recipe, Limits(max_output_pixels=pixels - 1))

    assert_still(result, "15,360 output pixels or more, the limit is 15,359")
    assert frames(make_thumbnails(animation(format), recipe, Limits(max_output_pixels=pixels))) == 4


def test_borders_are_output_pixels() -> None:
    recipe = Recipe((Box(300, 100),), Fit.PAD)

    assert frames(make_thumbnails(animation("GIF"), recipe, Limits(max_output_pixels=120_000))) == 4
    assert frames(make_thumbnails(animation("GIF"), recipe, Limits(max_output_pixels=119_999))) == 1


def test_animated_gifs_have_a_limit_of_their_own() -> None:
    boxes = (Box(160, 120), Box(8, 8))
    # A small frame takes as long as one of 8,000 pixels.
    limits = Limits(max_gif_pixels=4 * (160 * 120 + 8_000) - 1)

    result = make_thumbnails(animation("GIF"), Recipe(boxes, Fit.FILL), limits)

    assert_still(result, "108,800 GIF output pixels or more, the limit is 108,799")
    webp = Recipe(boxes, Fit.FILL, OutputFormat.WEBP)
    assert frames(make_thumbnails(animation("GIF"), webp, limits)) == 4


@ANIMATED
def test_a_still_has_no_warning(format: str) -> None:
    recipe = Recipe((Box(9, 9),), format=OutputFormat.JPEG)

    assert make_thumbnails(animation(format), recipe, Limits(max_frames=3)).warnings == ()
