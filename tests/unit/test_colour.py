"""Colour profiles stay in memory no longer than they help, and colours without one are sRGB."""

import gc
import io
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from functions.resize.colour import to_srgb
from functions.resize.recipe import Box, OutputFormat, Recipe
from functions.resize.thumbnails import make_thumbnails
from samples import profiles
from samples.files import encoded
from samples.pictures import photograph

RED = Image.new("RGB", (8, 8), (200, 30, 20))


def padded(profile: bytes, size: int, *, counted: bool) -> bytes:
    """Return the profile with zeros behind it, which its own size covers or not."""
    longer = profile.ljust(size, b"\0")
    return size.to_bytes(4, "big") + longer[4:] if counted else longer


@pytest.mark.parametrize("counted", [True, False])
def test_large_profiles_do_not_stay_in_memory(*, counted: bool) -> None:
    colours = set()
    tracemalloc.start()
    try:
        for number in range(4):
            profile = padded(profiles.adobe_rgb(), 5_000_000 + number, counted=counted)
            converted, warning = to_srgb(RED, profile)
            assert warning is None
            colours.add(converted.getpixel((0, 0)))
            del profile
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert kept < 4_000_000
    assert colours == {to_srgb(RED, profiles.adobe_rgb())[0].getpixel((0, 0))}


@pytest.mark.parametrize("size", [(320, 240), (1200, 900)])
@pytest.mark.parametrize(("primaries", "transfer"), [(12, 13), (9, 16), (9, 18)])
def test_colours_of_a_heic_without_a_profile_are_srgb(size: tuple[int, int], primaries: int, transfer: int) -> None:
    """ITU-T H.273: Display P3; BT.2020 with PQ and with HLG."""
    picture = photograph(*size)
    recipe = Recipe((Box(80, 60),), format=OutputFormat.PNG)
    described = {"color_primaries": primaries, "transfer_characteristics": transfer, "matrix_coefficients": 6}

    plain = make_thumbnails(encoded(picture, "HEIF", quality=90), recipe)
    wide = make_thumbnails(encoded(picture, "HEIF", quality=90, full_range_flag=1, **described), recipe)

    shown, expected = (
        np.asarray(Image.open(io.BytesIO(made.thumbnails[0].data))).astype(int) for made in (wide, plain)
    )
    assert np.abs(shown - expected).max() <= 3
