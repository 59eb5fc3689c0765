"""The chart of docs/cost.md: dollars a month by uploads a month, on logarithmic axes."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

_WIDTH, _HEIGHT = 1040, 600
_LEFT, _RIGHT, _TOP, _BOTTOM = 90, 300, 60, 60
_COLOURS = ("firebrick", "seagreen", "grey", "darkorange", "royalblue", "purple")
_LABEL_DISTANCE = 18


def draw(title: str, uploads: Sequence[float], curves: Mapping[str, Sequence[float]], path: Path) -> None:
    """Draw one line for each curve, with its name at the end.

    Parameters
    ----------
    title : str
    uploads : sequence of float
        Uploads a month, ascending.
    curves : mapping of str to sequence of float
        Dollars a month by the name of the curve, one for each of ``uploads``.
    path : Path
        A PNG file.
    """
    image = Image.new("RGB", (_WIDTH, _HEIGHT), "white")
    canvas = ImageDraw.Draw(image)
    font = ImageFont.load_default(15)
    dollars = [value for curve in curves.values() for value in curve]
    lowest, highest = math.floor(math.log10(min(dollars))), math.ceil(math.log10(max(dollars)))
    left, right = math.log10(uploads[0]), math.log10(uploads[-1])

    def place(count: float, value: float) -> tuple[float, float]:
        across = (math.log10(count) - left) / (right - left)
        up = (math.log10(value) - lowest) / (highest - lowest)
        return _LEFT + across * (_WIDTH - _LEFT - _RIGHT), _HEIGHT - _BOTTOM - up * (_HEIGHT - _TOP - _BOTTOM)

    canvas.text((_LEFT, 20), title, "black", font)
    for power in range(lowest, highest + 1):
        (x, y), (end, _) = place(uploads[0], 10.0**power), place(uploads[-1], 10.0**power)
        canvas.line((x, y, end, y), "gainsboro")
        canvas.text((x - 8, y), f"${10.0**power:,.{2 if power < 0 else 0}f}", "black", font, anchor="rm")
    for count in (10.0**power for power in range(math.ceil(left), math.floor(right) + 1)):
        (x, top), (_, floor) = place(count, 10.0**highest), place(count, 10.0**lowest)
        canvas.line((x, top, x, floor), "gainsboro")
        canvas.text((x, floor + 8), f"{count:,.0f}", "black", font, anchor="ma")
    canvas.text((_LEFT, _HEIGHT - 28), "uploads a month, one thumbnail each", "black", font)
    labels = _spread([place(uploads[-1], curve[-1])[1] for curve in curves.values()])
    for (name, curve), colour, label in zip(curves.items(), _COLOURS, labels, strict=False):
        points = [place(count, value) for count, value in zip(uploads, curve, strict=True)]
        canvas.line(points, colour, 3)
        canvas.text((points[-1][0] + 8, label), name, colour, font, anchor="lm")
    image.save(path, optimize=True)


def _spread(heights: Sequence[float]) -> list[float]:
    """Move overlapping labels down."""
    moved = list(heights)
    last = -math.inf
    for index in sorted(range(len(moved)), key=lambda index: moved[index]):
        last = moved[index] = max(moved[index], last + _LABEL_DISTANCE)
    return moved
