"""The largest pictures that are taken on, and many small ones, in the memory that the template gives the function."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from functions.resize.limits import Limits
from tests.deployed import ROOT, read_template
from tests.functional.conftest import environment

# The largest original is 100 MB; the pictures here are smaller files. And Lambda's own runtime.
KEPT_FREE_MB = 150

RUN = """
import importlib, sys
from functions.resize.recipe import Box, Recipe
from functions.resize.thumbnails import make_thumbnails
importlib.import_module(sys.argv[1])
recipe = Recipe(tuple(Box(int(side), int(side)) for side in sys.argv[3:]))
with open(sys.argv[2], "rb") as file:
    thumbnails = make_thumbnails(file.read(), recipe).thumbnails
with open("/proc/self/status") as status:
    peak = next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmHWM"))
print(peak, *(max(thumbnail.width, thumbnail.height) for thumbnail in thumbnails))
"""

# Of pictures whose profiles are unlike and large, of damaged and of rearranged ones; every second one is none of these.
RUN_MANY = """
import random
from contextlib import suppress
from functions.resize.errors import PermanentError
from functions.resize.recipe import Box, Recipe
from functions.resize.thumbnails import make_thumbnails
from fuzz.corpus import seeds
from fuzz.damage import damage
from fuzz.structure import rearrange
from samples.files import encoded
from samples.pictures import photograph
from samples.profiles import adobe_rgb

def resident():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmRSS"))

chance, scene, profile = random.Random(7), photograph(64, 48), adobe_rgb()
good = [data for name, data in seeds().items() if "large" not in name]
made = 0
for number in range(500):
    original = chance.choice(good)
    if number % 8 == 1:
        format = chance.choice(["WEBP", "PNG", "TIFF"])
        original = encoded(scene, format, icc_profile=profile + number.to_bytes(4, "big") + bytes(8_000_000))
    elif number % 8 == 3:
        original, _ = rearrange(original, chance) or (original, "")
    elif number % 2:
        original = damage(original, chance.choice(good), chance)
    with suppress(PermanentError):
        made += len(make_thumbnails(original, Recipe((Box(128, 128), Box(40, 40)))).thumbnails)
    if number == 20:
        before = resident()
print(before, resident(), made)
"""

LOSSLESS = {"lossless": True, "method": 0, "quality": 0}
# What needs most to decode, and of what is written to encode: measured for every format at the limits.
HUNGRY: dict[str, tuple[str, str, dict[str, Any], list[int]]] = {
    "avif-to-largest": ("AVIF", "RGBA", {"speed": 10, "quality": 40}, [4600]),
    "webp-lossless-to-largest": ("WEBP", "RGBA", LOSSLESS, [5160]),
    "webp-animated": ("WEBP", "RGBA", LOSSLESS | {"save_all": True}, [3500, 3000]),
    "png": ("PNG", "RGBA", {"compress_level": 1}, [5000, 4000, 128]),
    "cmyk-progressive": ("JPEG", "CMYK", {"progressive": True}, [5000, 4000, 128]),
}


def _largest(mode: str, pixels: int) -> Image.Image:
    """Paint as many pixels as are allowed, of alpha that hides something."""
    width = 10_000
    size = (width, pixels // width)
    detail = Image.linear_gradient("L").resize((400, 300)).rotate(30)
    picture = Image.merge(mode, [detail.rotate(90 * band) for band in range(len(mode))])
    return picture.resize(size, Image.Resampling.NEAREST)


def _function() -> dict[str, Any]:
    properties: dict[str, Any] = read_template()["Resources"]["ResizeFunction"]["Properties"]
    return properties


def _run_as_function(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run Python with the function's environment."""
    return subprocess.run(  # noqa: S603 - of this file only
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "AWS_DEFAULT_REGION": "eu-central-1", **environment("ResizeFunction")},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux's /proc")
@pytest.mark.parametrize("name", HUNGRY)
def test_the_largest_pictures_fit_into_the_functions_memory(name: str, tmp_path: Path) -> None:
    kind, mode, options, sides = HUNGRY[name]
    path = tmp_path / "original"
    animated = "save_all" in options
    picture = _largest(mode, Limits().max_frame_pixels if animated else Limits().max_pixels)
    second = [picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)] if animated else []
    picture.save(path, kind, append_images=second, **options)

    handler, _, _ = _function()["Handler"].rpartition(".")

    done = _run_as_function("-c", RUN, handler, path, *map(str, sides))

    assert done.returncode == 0, done.stderr
    peak, *made = map(int, done.stdout.split())
    assert made == sides
    assert peak <= _function()["MemorySize"] - KEPT_FREE_MB
    # A picture this large was decoded, or the peak says nothing.
    assert peak > 150


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="resident memory is read from Linux's /proc")
def test_memory_does_not_grow_from_picture_to_picture() -> None:
    done = _run_as_function("-c", RUN_MANY)

    assert done.returncode == 0, done.stderr
    before, after, made = map(int, done.stdout.split())
    assert made > 500
    # Kept profiles made it 150, and the heap of the first pictures is not that of all formats.
    assert after - before <= 100
