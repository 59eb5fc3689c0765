"""docs/burst.png: backlog, executions in progress and dollars over time, the old way against today's."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from burst.simulation import Sample

_WIDTH, _PANEL, _LEFT, _RIGHT, _TOP, _GAP = 1000, 210, 110, 30, 60, 60
_COLOURS = ("firebrick", "steelblue")
_TICKS = 5
_SECONDS_OF_A_MINUTE = 60
# Dollars below this are drawn with cents.
_THOUSAND = 1000


@dataclass(frozen=True, slots=True)
class _Panel:
    title: str
    value: Callable[[Sample], float]
    unit: str = ""


_PANELS = (
    _Panel("uploads that wait: not yet resized", lambda sample: sample.backlog),
    _Panel("executions in progress", lambda sample: sample.executions),
    _Panel("dollars (requests to S3 left out)", lambda sample: sample.dollars, "$"),
)


def draw(title: str, runs: Sequence[tuple[str, Sequence[Sample]]], path: Path) -> None:
    """Draw three panels with one line for each run.

    Parameters
    ----------
    title : str
    runs : sequence of tuple of str and sequence of Sample
        Name and samples, two at most.
    path : Path
        A PNG file.
    """
    height = _TOP + len(_PANELS) * (_PANEL + _GAP)
    image = Image.new("RGB", (_WIDTH, height), "white")
    canvas = ImageDraw.Draw(image)
    font = ImageFont.load_default(15)
    canvas.text((_LEFT, 12), title, "black", font)
    for (name, _), colour, place in zip(runs, _COLOURS, (_LEFT, _LEFT + 260), strict=False):
        canvas.line((place, 42, place + 30, 42), colour, 3)
        canvas.text((place + 38, 42), name, colour, font, anchor="lm")
    longest = max(samples[-1].seconds for _, samples in runs)
    for number, panel in enumerate(_PANELS):
        top = _TOP + 30 + number * (_PANEL + _GAP)
        floor = top + _PANEL - 40
        highest = max(panel.value(sample) for _, samples in runs for sample in samples) or 1.0
        canvas.text((_LEFT, top - 20), panel.title, "black", font)
        for tick in range(_TICKS + 1):
            x = _LEFT + tick / _TICKS * (_WIDTH - _LEFT - _RIGHT)
            canvas.line((x, top, x, floor), "gainsboro")
            minutes = longest * tick / _TICKS / _SECONDS_OF_A_MINUTE
            canvas.text((x, floor + 6), f"{minutes:.0f} min", "black", font, anchor="ma")
        for part in (0.0, 0.5, 1.0):
            y = floor - part * (floor - top)
            canvas.line((_LEFT, y, _WIDTH - _RIGHT, y), "gainsboro")
            canvas.text((_LEFT - 8, y), _written(highest * part, panel.unit), "black", font, anchor="rm")
        for (_, samples), colour in zip(runs, _COLOURS, strict=False):
            points = [
                (
                    _LEFT + sample.seconds / longest * (_WIDTH - _LEFT - _RIGHT),
                    floor - panel.value(sample) / highest * (floor - top),
                )
                for sample in samples
            ]
            canvas.line(points, colour, 2)
    image.save(path, optimize=True)


def _written(value: float, unit: str) -> str:
    return f"{unit}{value:,.0f}" if value >= _THOUSAND or not unit else f"{unit}{value:,.2f}"
