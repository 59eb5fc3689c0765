"""The placeholder that a page shows until a thumbnail has arrived: a ThumbHash of 20 to 25 bytes, and the mean colour.

ThumbHash (https://evanw.github.io/thumbhash/) contains the lowest frequencies of a cosine transform of luminance, two
colour differences and alpha, with four bits each.
"""

import base64
import math
import sys
from collections.abc import Sequence
from functools import cache
from operator import mul
from typing import TYPE_CHECKING

from PIL import Image

from functions.resize.recipe import Placeholder

# The hash has at most seven frequencies an axis. With 20 pixels instead of 100, one value of a sample moved by a step.
_SIDE = 20
# With fewer samples than frequencies, small or narrow pictures of one colour would decode to waves.
_LEAST = 7
# Pillow's box filter is inaccurate above this (see resampling.py).
_LARGEST_REDUCTION = 128
_LARGEST_COLOUR = 255

Channel = list[float]

if TYPE_CHECKING or sys.version_info >= (3, 12):
    from math import sumprod
else:

    def sumprod(left: Sequence[float], right: Sequence[float]) -> float:
        """Return the sum of products, like ``math.sumprod`` of Python 3.12, in a third of the time."""
        return sum(map(mul, left, right))


def make_placeholder(image: Image.Image) -> Placeholder:
    """Make the placeholder of a picture.

    Parameters
    ----------
    image : Image
        ``L``, ``LA``, ``RGB`` or ``RGBA``, in sRGB, of any size.
    """
    scale = min(1.0, _SIDE / max(image.size))
    size = (max(_LEAST, round(image.width * scale)), max(_LEAST, round(image.height * scale)))
    # For a large picture, shrinking by a whole number first takes a tenth of the time.
    factor = max(1, min(image.width // size[0], image.height // size[1], _LARGEST_REDUCTION))
    small = image.reduce(factor).convert("RGBA").resize(size, Image.Resampling.BOX)
    red, green, blue, alpha = (list(small.getchannel(name).tobytes()) for name in "RGBA")
    return Placeholder(
        base64.b64encode(_thumbhash(image.size, size, (red, green, blue), alpha)).decode(),
        "#" + "".join(f"{_mean_over_white(channel, alpha):02x}" for channel in (red, green, blue)),
    )


def _mean_over_white(channel: Sequence[int], alpha: Sequence[int]) -> int:
    shown = sumprod(channel, alpha) + _LARGEST_COLOUR * (_LARGEST_COLOUR * len(alpha) - sum(alpha))
    return round(shown / _LARGEST_COLOUR / len(channel))


def _thumbhash(
    shape: tuple[int, int], size: tuple[int, int], colours: Sequence[Sequence[int]], alpha: Sequence[int]
) -> bytes:
    """Return the hash of a picture with this aspect ratio, sampled at this size."""
    width, height = shape
    opacity = [level / _LARGEST_COLOUR for level in alpha]
    weight = sum(opacity)
    red, green, blue = (_over_mean(colour, opacity, weight) for colour in colours)
    has_alpha = weight < len(alpha)
    longest = 5 if has_alpha else 7
    across = max(1, _round(longest * width / max(shape)))
    down = max(1, _round(longest * height / max(shape)))
    pixels = list(zip(red, green, blue, strict=True))
    luminance = _transform([(r + g + b) / 3 for r, g, b in pixels], size, max(3, across), max(3, down))
    yellow_blue = _transform([(r + g) / 2 - b for r, g, b in pixels], size, 3, 3)
    red_green = _transform([r - g for r, g, _ in pixels], size, 3, 3)
    is_landscape = width > height
    header = (
        _round(63 * luminance.mean)
        | _round(31.5 + 31.5 * yellow_blue.mean) << 6
        | _round(31.5 + 31.5 * red_green.mean) << 12
        | _round(31 * luminance.scale) << 18
        | has_alpha << 23
        | (down if is_landscape else across) << 24
        | _round(63 * yellow_blue.scale) << 27
        | _round(63 * red_green.scale) << 33
        | is_landscape << 39
    )
    parts = [header.to_bytes(5, "little")]
    varying = [*luminance.varying, *yellow_blue.varying, *red_green.varying]
    if has_alpha:
        transparency = _transform(opacity, size, 5, 5)
        parts.append(bytes([_round(15 * transparency.mean) | _round(15 * transparency.scale) << 4]))
        varying += transparency.varying
    nibbles = [_round(15 * value) for value in varying]
    nibbles += [0] * (len(nibbles) % 2)
    parts.append(bytes(low | high << 4 for low, high in zip(nibbles[::2], nibbles[1::2], strict=True)))
    return b"".join(parts)


def _over_mean(colour: Sequence[int], opacity: Channel, weight: float) -> Channel:
    """Return a channel, 0 to 1, over its own mean, so that transparent pixels cause no edges."""
    levels = [level / _LARGEST_COLOUR for level in colour]
    if weight == len(levels):
        return levels
    mean = sumprod(levels, opacity) / weight if weight else 0.0
    return [mean * (1 - each) + level * each for level, each in zip(levels, opacity, strict=True)]


class _Transform:
    """A channel's mean, the largest of its other frequencies, and all of these scaled by it to 0 to 1."""

    def __init__(self, mean: float, varying: Channel) -> None:
        self.mean = mean
        self.scale = max((abs(value) for value in varying), default=0.0)
        self.varying = [0.5 + 0.5 / self.scale * value if self.scale else value for value in varying]


def _transform(channel: Channel, size: tuple[int, int], across: int, down: int) -> _Transform:
    """Return the lowest frequencies of a channel: those in the triangle below the diagonal, row by row."""
    width, height = size
    waves = [_wave(x, width) for x in range(across)]
    rows = [[sumprod(channel[y * width : (y + 1) * width], wave) for wave in waves] for y in range(height)]
    columns = list(zip(*rows, strict=True))
    frequencies: Channel = []
    for y in range(down):
        wave = _wave(y, height)
        frequencies += [
            sumprod(column, wave) / (width * height) for column in columns[: math.ceil(across * (down - y) / down)]
        ]
    return _Transform(frequencies[0], frequencies[1:])


@cache
def _wave(frequency: int, length: int) -> tuple[float, ...]:
    """Return a cosine wave; there are few to cache, with at most seven frequencies and 20 pixels."""
    return tuple(math.cos(math.pi / length * frequency * (place + 0.5)) for place in range(length))


def _round(value: float) -> int:
    """Round half up, as JavaScript does."""
    return math.floor(value + 0.5)
