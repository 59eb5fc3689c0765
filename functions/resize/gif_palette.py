"""The colours of a GIF: all of them if there are few, else the best 255."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

from PIL import Image, ImageChops

_Colour = tuple[int, int, int]
# Pillow sums up the levels of a colour in 32 bits (QuantTypes.h): with more pixels than this, white may become black.
_COUNTABLE = (2**32 - 1) // 255
# Up to this many colours are counted in all pixels. If there are more, they are counted in a sample of the pixels.
_COUNTED = 4096
# Backgrounds keep their exact colour: a colour that fills this share of the pixels goes into the palette unchanged.
# Colours nearer to it than _NEAR are not chosen, because Pillow's cells would confuse the two.
_LARGE_AREA = 0.02
_LARGE_AREAS = 4
_NEAR = 4
# Pillow looks up colours in cells of 4 levels, and uses the corner of a cell instead of its middle. Each shift of the
# cells can find another colour, and the best one found is nearly always the nearest.
_CORNER = 1
_SHIFTS = (0, 2, 1, 3)
# The mean of three squares is rounded to a whole number, so 1 is counted as 3: else it would become 0.
_SQUARES = [0, 3, *(min(255, level * level) for level in range(2, 256))] * 3
_STACKED = 2_000_000
# A pixel is far from its colour if the mean of the squared differences of the channels is _FAR or more. If more than
# the share _MISSED of the pixels are far, the sample has missed colours. Then all pixels are counted, in cells of
# _CELL levels.
_FAR = 200
_MISSED = 0.001
_CELL = 8
_CELLS = (256 // _CELL) ** 3


@dataclass(frozen=True, slots=True)
class Effort:
    """How well the colours are chosen.

    Attributes
    ----------
    sample : int
        Number of pixels that the colours are chosen from.
    settled : float
        K-means ends when at most this share of them changes its colour.
    fills_gaps : bool
        Colours that the sample has missed are counted as well.
    """

    sample: int
    settled: float
    fills_gaps: bool = True


@dataclass(frozen=True, slots=True)
class Indexed:
    """Pictures that share their colours.

    Attributes
    ----------
    frames : list of Image
        Indices, ``L``; more frequent colours have lower indices.
    colours : bytes
        Red, green and blue of each index.
    transparent : int or None
        The index of transparent pixels.
    is_exact : bool
        Every pixel has its exact colour.
    """

    frames: list[Image.Image]
    colours: bytes
    transparent: int | None
    is_exact: bool

    def show(self, index: int) -> Image.Image:
        """Return what a frame looks like, RGBA."""
        image = self.frames[index].copy()
        alphas = b"\xff" * 256 if self.transparent is None else b"\0" + b"\xff" * 255
        entries = bytearray(1024)
        entries[3::4] = alphas
        for band in range(3):
            levels = self.colours[band::3]
            entries[band : 4 * len(levels) : 4] = levels
        image.putpalette(entries, "RGBA")
        return image.convert("RGBA")


def index_frames(frames: Sequence[Image.Image], effort: Effort, *, most: int, keeps_one: bool) -> Indexed:
    """Choose one palette for all the pictures, and map every pixel to its nearest colour.

    Parameters
    ----------
    frames : sequence of Image
        RGBA, with an alpha of 0 or 255.
    effort : Effort
        Used if there are more colours than ``most``.
    most : int
        Size of the palette, at most 256.
    keeps_one : bool
        Reserve index 0, one of ``most``, for transparency. Ignored if opaque pictures need every index for a colour.
    """
    counts = _count(frames, _COUNTED)
    if counts is not None and len(counts) == most and all(map(_is_opaque, frames)):
        keeps_one = False
    if counts is not None and len(counts) <= most - keeps_one:
        colours = list(counts) or [(0, 0, 0)]
        return _arrange(
            [index_exactly(frame, colours) for frame in frames], frames, colours, keeps_one=keeps_one, exact=True
        )
    pixels = sum(frame.width * frame.height for frame in frames)
    if sampled := counts is None:
        counts = _sample(frames, math.sqrt(pixels / effort.sample))
    opaque = [frame.convert("RGB") for frame in frames]
    colours = _choose(counts, most - keeps_one, effort)
    indices, missed = _map_all(opaque, colours)
    if sampled and effort.fills_gaps and missed > pixels * _MISSED:
        colours = _choose(_add_cells(counts, opaque), most - keeps_one, effort)
        indices, _ = _map_all(opaque, colours)
    return _arrange(indices, frames, colours, keeps_one=keeps_one, exact=False)


def _is_opaque(frame: Image.Image) -> bool:
    return frame.getchannel("A").getextrema()[0] == 255  # noqa: PLR2004 - the highest alpha


def _count(frames: Iterable[Image.Image], most: int) -> dict[_Colour, int] | None:
    """Count the pixels of each visible colour; ``None`` if there are more than ``most`` colours."""
    counts: dict[_Colour, int] = {}
    for frame in frames:
        found = cast("list[tuple[int, tuple[int, int, int, int]]] | None", frame.getcolors(most + 1))
        if found is None:
            return None
        for count, (red, green, blue, alpha) in found:
            if alpha:
                counts[red, green, blue] = counts.get((red, green, blue), 0) + count
        if len(counts) > most:
            return None
    return counts


def _sample(frames: Sequence[Image.Image], stride: float) -> dict[_Colour, int]:
    """Count the colours of every stride-th pixel in both directions."""
    width, height = frames[0].size
    size = (max(1, round(width / max(1, stride))), max(1, round(height / max(1, stride))))
    small = [frame.resize(size, Image.Resampling.NEAREST) for frame in frames]
    return _count(small, size[0] * size[1] * len(small)) or {}


def _add_cells(counts: dict[_Colour, int], frames: Iterable[Image.Image]) -> dict[_Colour, int]:
    """Count the cells of the colour cube in all pixels, and add the cells that the sample has missed."""
    middles = [level // _CELL * _CELL + _CELL // 2 for level in range(256)]
    seen = {(middles[red], middles[green], middles[blue]) for red, green, blue in counts}
    cells: dict[_Colour, int] = {}
    total = 0
    for frame in frames:
        found = frame.point(middles * 3).getcolors(_CELLS)
        for count, cell in cast("list[tuple[int, _Colour]]", found):
            cells[cell] = cells.get(cell, 0) + count
            total += count
    share = sum(counts.values()) / total
    return counts | {cell: math.ceil(count * share) for cell, count in cells.items() if cell not in seen}


def _choose(counts: dict[_Colour, int], most: int, effort: Effort) -> list[_Colour]:
    """Keep the colours that fill large areas, and choose the others by median cut and k-means."""
    total = sum(counts.values())
    large = sorted(counts, key=lambda colour: -counts[colour])[:_LARGE_AREAS]
    large = [colour for colour in large if counts[colour] > total * _LARGE_AREA]
    others = {colour: count for colour, count in counts.items() if not _is_near(colour, large)} if large else counts
    if not others:
        return large
    share = min(1, effort.sample / sum(others.values()))
    weighed = b"".join(bytes(colour) * math.ceil(count * share) for colour, count in others.items())
    sample = Image.frombytes("RGB", (len(weighed) // 3, 1), weighed)
    changing = max(1, int(sample.width * effort.settled))
    levels = sample.quantize(most - len(large), Image.Quantize.MEDIANCUT, kmeans=changing).getpalette() or []
    return [*large, *cast("list[_Colour]", list(zip(levels[::3], levels[1::3], levels[2::3], strict=True)))]


def _is_near(colour: _Colour, others: list[_Colour]) -> bool:
    return any(max(map(abs, map(int.__sub__, colour, other))) < _NEAR for other in others)


def index_exactly(frame: Image.Image, colours: list[_Colour]) -> Image.Image:
    """Return the index of each pixel's colour. With at most 256 colours, median cut gives each one its own box."""
    places = {colour: place for place, colour in enumerate(colours)}
    indices = Image.new("L", frame.size)
    rows = max(1, _COUNTABLE // frame.width)
    for top in range(0, frame.height, rows):
        part = frame.crop((0, top, frame.width, min(top + rows, frame.height))).convert("RGB")
        quantized = part.quantize(256, Image.Quantize.MEDIANCUT)
        levels = quantized.getpalette() or []
        found = zip(levels[::3], levels[1::3], levels[2::3], strict=True)
        table = [places.get(colour, 0) for colour in found]
        part = Image.frombytes("L", part.size, quantized.tobytes()).point(table + [0] * (256 - len(table)))
        indices.paste(part, (0, top))
    return indices


def _map_all(frames: list[Image.Image], colours: list[_Colour]) -> tuple[list[Image.Image], int]:
    """Map frames stacked into tall pictures; return the indices, and the number of far pixels.

    Pillow looks up every cell once per picture. Small frames have many cells for few pixels, so stacking saves work.
    """
    width, height = frames[0].size
    stacked = max(1, _STACKED // (width * height))
    indices: list[Image.Image] = []
    missed = 0
    for start in range(0, len(frames), stacked):
        part = frames[start : start + stacked]
        stack = Image.new("RGB", (width, height * len(part)))
        for place, frame in enumerate(part):
            stack.paste(frame, (0, height * place))
        mapped, far = _map_to_nearest(stack, colours)
        indices += [mapped.crop((0, top, width, top + height)) for top in range(0, stack.height, height)]
        missed += far
    return indices, missed


def _map_to_nearest(image: Image.Image, colours: list[_Colour]) -> tuple[Image.Image, int]:
    """Map every pixel to its nearest colour; return the indices, and the number of pixels far from their colour."""
    levels = [level for colour in colours for level in colour]
    (best, error), *others = (_look_up(image, levels, shift) for shift in _SHIFTS)
    for other, its_error in others:
        best.paste(other, mask=ImageChops.subtract(error, its_error).point([0] + [255] * 255))
        error = ImageChops.darker(error, its_error)
    return Image.frombytes("L", image.size, best.tobytes()), sum(error.histogram()[_FAR:])


def _look_up(image: Image.Image, colours: list[int], shift: int) -> tuple[Image.Image, Image.Image]:
    """Map pixels to colours; return the indices, and the squared error of each pixel.

    Pixels and colours are both shifted by some levels, which shifts Pillow's cells.
    """
    moved = Image.new("P", (1, 1))
    moved.putpalette([min(255, max(0, level + shift - _CORNER)) for level in colours])
    shifted = image.point([min(255, level + shift) for level in range(256)] * 3) if shift else image
    indexed = shifted.quantize(palette=moved, dither=Image.Dither.NONE)
    indexed.putpalette(colours)
    squares = ImageChops.difference(image, indexed.convert("RGB")).point(_SQUARES)
    return indexed, squares.convert("L", matrix=(1 / 3, 1 / 3, 1 / 3, 0))


def _arrange(
    indices: list[Image.Image],
    frames: Sequence[Image.Image],
    colours: list[_Colour],
    *,
    keeps_one: bool,
    exact: bool,
) -> Indexed:
    """Sort the colours by frequency, so that frames with few colours need few bits, and mark transparent pixels."""
    used = [0] * 256
    for image in indices:
        used = [one + other for one, other in zip(used, image.histogram(), strict=True)]
    order = sorted((index for index in range(len(colours)) if used[index]), key=lambda index: -used[index])
    table = [0] * 256
    for place, index in enumerate(order):
        table[index] = place + keeps_one
    arranged = []
    for image, frame in zip(indices, frames, strict=True):
        moved = image.point(table)
        if keeps_one:
            moved.paste(0, mask=ImageChops.invert(frame.getchannel("A")))
        arranged.append(moved)
    levels = bytes(level for index in order for level in colours[index])
    return Indexed(arranged, bytes(3 * keeps_one) + levels, 0 if keeps_one else None, exact)
