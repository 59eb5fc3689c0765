"""Bounds of products: frames times sizes times pixels, and what thumbnails with transparency take to encode."""

import pytest
from PIL import Image

from functions.resize import errors, resampling
from functions.resize.limits import Limits
from functions.resize.pixels import premultiply
from functions.resize.recipe import Box, Fit, OutputFormat, Recipe
from functions.resize.thumbnails import make_thumbnails
from samples.files import encoded
from samples.pictures import cut_out, moving, photograph

FRAMES = moving(4, 48, 32)
ANIMATION = encoded(FRAMES[0], "WEBP", save_all=True, append_images=FRAMES[1:], duration=80)


@pytest.mark.parametrize(("sizes", "is_kept"), [(8, True), (9, False)])
def test_an_animation_in_many_sizes_becomes_a_still(sizes: int, *, is_kept: bool) -> None:
    limits = Limits(max_total_pixels=4 * 48 * 32)

    result = make_thumbnails(ANIMATION, Recipe((Box(20, 20),) * sizes), limits)

    assert bool(result.warnings) != is_kept
    assert all(b"ANIM" in thumbnail.data for thumbnail in result.thumbnails) == is_kept


@pytest.mark.parametrize("fit", [Fit.FILL, Fit.PAD])
def test_webp_with_transparency_has_a_limit_of_its_own(fit: Fit) -> None:
    limits = Limits(max_webp_pixels=9_999)
    recipe = Recipe((Box(100, 100),), fit, OutputFormat.WEBP)

    with pytest.raises(errors.OutputTooLargeError) as caught:
        make_thumbnails(encoded(cut_out(), "PNG"), recipe, limits)

    assert (caught.value.amount, caught.value.limit) == (10_000, 9_999)
    assert caught.value.unit == "transparent WebP output pixels"


def test_other_formats_and_opaque_webp_may_be_larger() -> None:
    limits = Limits(max_webp_pixels=9_999)

    for picture, wanted in ((photograph(), OutputFormat.WEBP), (cut_out(), OutputFormat.PNG)):
        made = make_thumbnails(encoded(picture, "PNG"), Recipe((Box(100, 100),), Fit.FILL, wanted), limits)
        assert (made.thumbnails[0].width, made.thumbnails[0].height) == (100, 100)


def test_a_picture_is_premultiplied_once_for_all_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    premultiplied = []

    def count(image: Image.Image) -> Image.Image:
        premultiplied.append(image.size)
        return premultiply(image)

    monkeypatch.setattr(resampling, "premultiply", count)

    make_thumbnails(encoded(cut_out(), "TIFF"), Recipe(tuple(Box(100 + n, 100 + n) for n in range(9))))

    assert premultiplied.count((640, 480)) == 1
