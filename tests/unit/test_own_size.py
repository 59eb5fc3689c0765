"""A thumbnail of the original's size and format is no larger than the original."""

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from functions.resize.recipe import Box, Fit, Recipe
from functions.resize.thumbnails import make_thumbnails
from samples.files import encoded, frames_of, png_chunk
from samples.pictures import cut_out, moving, photograph

EXIF = Image.Exif()
EXIF[0x010F] = "a camera"
SCENE = photograph(320, 240)
FILM = moving(4, 160, 120)


def film(format: str, **options: object) -> bytes:
    return encoded(FILM[0], format, save_all=True, append_images=FILM[1:], duration=50, **options)


def with_text(png: bytes) -> bytes:
    return png[:33] + png_chunk(b"tEXt", b"Comment\0secret") + png[33:]


ORIGINALS: dict[str, Callable[[], bytes]] = {
    "PNG": lambda: with_text(encoded(SCENE, "PNG", optimize=True)),
    "PNG of a million pixels": lambda: with_text(encoded(photograph(1100, 1000), "PNG", optimize=True)),
    "PNG with alpha": lambda: encoded(cut_out(), "PNG", optimize=True),
    "PNG of 200 colours": lambda: encoded(SCENE.quantize(200), "PNG", optimize=True),
    "PNG of 4 greys": lambda: encoded(SCENE.convert("L").quantize(4), "PNG", optimize=True),
    "PNG of two tones": lambda: encoded(SCENE.convert("1"), "PNG", optimize=True),
    "GIF": lambda: encoded(SCENE, "GIF", comment=b"secret"),
    "GIF animated": lambda: film("GIF", loop=0, comment=b"secret"),
    "WebP of low quality": lambda: encoded(SCENE, "WEBP", quality=20, exif=EXIF),
    "WebP without loss": lambda: encoded(SCENE.quantize(8).convert("RGB"), "WEBP", lossless=True),
    "WebP animated": lambda: film("WEBP", quality=10, exif=EXIF, loop=0),
}


@pytest.mark.parametrize("fit", [Fit.INSIDE, Fit.PAD])
@pytest.mark.parametrize("name", ORIGINALS)
def test_the_same_size_takes_no_more_bytes(name: str, fit: Fit) -> None:
    original = ORIGINALS[name]()
    shown = frames_of(original)
    height, width = shown[0].shape[:2]

    data = make_thumbnails(original, Recipe((Box(width, height),), fit)).thumbnails[0].data

    assert len(data) <= len(original)
    made = frames_of(data)
    assert len(made) == len(shown)
    assert max(np.abs(a.astype(int) - b).mean() for a, b in zip(made, shown, strict=True)) < 4
    for metadata in (b"secret", b"a camera"):
        assert metadata not in data


@pytest.mark.parametrize("name", ["WebP of low quality", "WebP animated", "PNG of 200 colours"])
def test_what_would_be_larger_keeps_its_pixels(name: str) -> None:
    original = ORIGINALS[name]()
    shown = frames_of(original)
    height, width = shown[0].shape[:2]

    made = frames_of(make_thumbnails(original, Recipe((Box(width, height),))).thumbnails[0].data)

    assert all(a.tobytes() == b.tobytes() for a, b in zip(made, shown, strict=True))


def test_a_picture_that_is_turned_is_not_kept_as_it_is() -> None:
    EXIF[0x0112] = 3
    original = encoded(SCENE, "WEBP", quality=20, exif=EXIF)

    data = make_thumbnails(original, Recipe((Box(320, 240),))).thumbnails[0].data

    upright = np.asarray(SCENE.rotate(180)).astype(int)
    assert np.abs(frames_of(data)[0][..., :3] - upright).mean() < 15
