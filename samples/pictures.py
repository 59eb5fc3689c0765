"""Generated pictures with the statistics of photographs.

They do not come from a camera or a collection, so they need no licence.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ORIENTATION = 0x0112
# Orientation -> the transposition from the stored picture to the upright one, and its inverse.
_UNDO = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def photograph(width: int = 640, height: int = 480, seed: int = 0) -> Image.Image:
    """Return an RGB scene with hard edges, and detail whose amplitude decreases with frequency as in nature.

    All corners are different, so that a wrong orientation is detected.
    """
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width]
    brightness = _natural_noise(random, width, height)
    channels = [0.75 * brightness + 0.25 * _natural_noise(random, width, height) for _ in range(3)]
    scene = 128 + 34 * np.stack(channels, axis=-1)
    scene += (columns / width * 50 - 25)[..., None] * [1.0, 0.1, -0.9]
    scene += (rows / height * 40 - 20)[..., None] * [-0.3, 1.0, 0.4]
    disc = (columns - 0.3 * width) ** 2 + (rows - 0.35 * height) ** 2 < (0.16 * min(width, height)) ** 2
    scene[disc] = scene[disc] * 0.35 + [150, 30, 20]
    bars = (rows > 0.7 * height) & (columns > 0.55 * width) & ((columns * 48 // max(width, 48)) % 2 == 0)
    scene[bars] = scene[bars] * 0.3 + 165
    return Image.fromarray(np.clip(scene, 0, 255).astype(np.uint8))


def _natural_noise(random: np.random.Generator, width: int, height: int) -> NDArray[np.float64]:
    """Return noise with a 1/f amplitude spectrum (Field, 1987), mean 0 and deviation 1."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None] * height, np.fft.rfftfreq(width)[None, :] * width)
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(random.normal(size=(height, width))) / frequency**1.1
    noise = np.fft.irfft2(spectrum, s=(height, width))
    return noise / (noise.std() or 1)


def cut_out(width: int = 640, height: int = 480, seed: int = 0) -> Image.Image:
    """Return the scene as RGBA with a soft-edged hole; the transparent pixels are green, which must not be visible."""
    picture = photograph(width, height, seed).convert("RGBA")
    rows, columns = np.mgrid[0:height, 0:width]
    distance = np.hypot((columns - width / 2) / width, (rows - height / 2) / height)
    alpha = np.clip((distance - 0.2) * 40 * 255, 0, 255).astype(np.uint8)
    pixels = np.array(picture)
    pixels[alpha == 0, :3] = [0, 255, 0]
    pixels[..., 3] = alpha
    return Image.fromarray(pixels)


def moving(frames: int = 5, width: int = 320, height: int = 240) -> list[Image.Image]:
    """Return the RGB frames of a disc that crosses a still scene."""
    scene = photograph(width, height)
    rows, columns = np.mgrid[0:height, 0:width]
    result = []
    for index in range(frames):
        pixels = np.array(scene)
        centre = width * (index + 1) / (frames + 1)
        pixels[(columns - centre) ** 2 + (rows - height / 2) ** 2 < (height / 6) ** 2] = [220, 40, 30]
        result.append(Image.fromarray(pixels))
    return result


def stored_as(upright: Image.Image, orientation: int) -> tuple[Image.Image, bytes]:
    """Return the picture as a camera in this orientation stores it, and the Exif block with the orientation."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    transposition = _UNDO.get(orientation)
    return upright if transposition is None else upright.transpose(transposition), exif.tobytes()
