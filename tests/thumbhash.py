"""Decode a ThumbHash by the published format alone, to compare with what the product writes and what its page shows."""

import base64
import math
from dataclasses import dataclass

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
