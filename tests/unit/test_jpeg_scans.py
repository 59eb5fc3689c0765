"""Leaving out scans: nothing anybody could see changes, and anything unusual is left alone."""

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from functions.resize.formats.jpeg_scans import drop_scans
from functions.resize.recipe import Box, OutputFormat, Recipe
from functions.resize.thumbnails import make_thumbnails
from samples.files import encoded
from samples.pictures import photograph
from samples.reference import ssim

SUBSAMPLINGS = ["4:4:4", "4:2:2", "4:2:0"]
SCENE = photograph(1640, 1230)


def _decode(original: bytes, denominator: int) -> Image.Image:
    image = Image.open(io.BytesIO(original))
    image.draft(None, (image.width // denominator, image.height // denominator))
    image.load()
    return image


def _pixels(image: Image.Image, width: int) -> NDArray[np.uint8]:
    height = max(1, round(width * image.height / image.width))
    small = image.resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(small).reshape(height, width, -1)


def assert_same_picture(original: bytes, denominator: int, headroom: float) -> None:
    coarse = drop_scans(original, denominator, headroom)
    assert coarse is not None
    assert len(coarse) < len(original)
    plain, quick = _decode(original, denominator), _decode(coarse, denominator)
    assert (plain.size, plain.mode) == (quick.size, quick.mode)
    width = max(11, int(plain.width / headroom))
    measured = ssim(_pixels(plain, width), _pixels(quick, width))
    assert measured >= 0.99, f"SSIM {measured:.4f} is below 0.99"


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
@pytest.mark.parametrize("quality", [60, 75, 90, 97])
@pytest.mark.parametrize(("denominator", "headroom"), [(8, 1.2), (8, 1.7), (8, 2.5), (4, 1.2), (4, 2.3)])
def test_coarse_and_plain_decode_look_the_same(
    denominator: int, headroom: float, quality: int, subsampling: str
) -> None:
    original = encoded(SCENE, "JPEG", progressive=True, quality=quality, subsampling=subsampling)
    if denominator == 4 and quality == 60:  # steps so coarse that every bit of them shows
        assert drop_scans(original, denominator, headroom) is None
    else:
        assert_same_picture(original, denominator, headroom)


def test_fuzz_sizes_and_pictures() -> None:
    random = np.random.default_rng(7)
    for seed in range(30):
        width, height = (int(side) for side in random.integers(300, 900, 2))
        scene = photograph(width, height, seed)
        if seed % 5 == 0:
            scene = scene.convert("L")
        quality = int(random.integers(62, 98))
        subsampling = SUBSAMPLINGS[seed % 3]
        original = encoded(scene, "JPEG", progressive=True, quality=quality, subsampling=subsampling)
        denominator = (8, 4)[seed % 2]
        assert_same_picture(original, denominator, float(random.uniform(1.2, 3)))


def test_fuzz_damage_never_raises() -> None:
    """Whatever the bytes say, there is a file to try or the plain path, which has its own errors."""
    random = np.random.default_rng(11)
    original = encoded(photograph(640, 480), "JPEG", progressive=True)
    for _ in range(300):
        damaged = bytearray(original)
        for place in random.integers(2, len(original), 3):
            damaged[place] = random.integers(256)
        coarse = drop_scans(bytes(damaged), (8, 4)[int(random.integers(2))], 1.5)
        assert coarse is None or coarse[:2] == b"\xff\xd8"


def test_metadata_is_left_behind_but_colour_coding_is_not() -> None:
    original = encoded(SCENE, "JPEG", progressive=True, exif=b"Exif\0\0" + bytes(60), comment=b"private")
    coarse = drop_scans(original, 8, 3)
    assert coarse is not None
    assert b"private" not in coarse
    assert b"JFIF" in coarse


def _without(original: bytes, marker: bytes) -> bytes:
    return original[: original.rindex(marker)]


PROGRESSIVE = encoded(SCENE, "JPEG", progressive=True)


@pytest.mark.parametrize(
    ("original", "why"),
    [
        (encoded(SCENE, "JPEG"), "baseline"),
        (encoded(SCENE, "JPEG", progressive=True, restart_marker_blocks=8), "restart markers"),
        (encoded(SCENE, "JPEG", progressive=True, quality=20), "so coarse that every scan shows"),
        (encoded(SCENE.convert("CMYK"), "JPEG", progressive=True), "four colours"),
        (_without(PROGRESSIVE, b"\xff\xd9"), "no end"),
        (PROGRESSIVE[: len(PROGRESSIVE) // 2], "half a file"),
        (PROGRESSIVE + bytes(100_000), "the end is far from the end"),
        (b"\xff\xd8\xff\xd9", "nothing in it"),
        (b"", "nothing"),
    ],
)
def test_the_unusual_takes_the_plain_path(original: bytes, why: str) -> None:
    assert drop_scans(original, 4, 1.2) is None, why


@pytest.mark.parametrize("denominator", [1, 2])
def test_larger_decodes_take_the_plain_path(denominator: int) -> None:
    assert drop_scans(PROGRESSIVE, denominator, 1.5) is None


def test_what_cameras_append_does_not_matter() -> None:
    assert drop_scans(PROGRESSIVE + b"trailer" * 100, 8, 3) == drop_scans(PROGRESSIVE, 8, 3)


def test_a_coarse_file_that_libjpeg_refuses_is_decoded_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = make_thumbnails(encoded(SCENE, "JPEG"), Recipe((Box(100, 100),), format=OutputFormat.PNG))
    broken = PROGRESSIVE[:300]
    monkeypatch.setattr("functions.resize.decoding.drop_scans", lambda *_: broken)
    result = make_thumbnails(PROGRESSIVE, Recipe((Box(100, 100),), format=OutputFormat.PNG))
    pictures = [np.asarray(Image.open(io.BytesIO(each.thumbnails[0].data))) for each in (expected, result)]
    assert ssim(*pictures) > 0.99
