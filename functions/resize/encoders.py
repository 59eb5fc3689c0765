"""The formats that thumbnails are written in, and the settings that were measured best for each."""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from PIL import Image, ImageChops

from functions.resize.recipe import OutputFormat

# Median cut, then k-means until fewer pixels than a share change their colour: as good as sharp's palettes to
# 0.003 of SSIM, at 1.1 times its bytes (docs/engine.md). The last 31 colours would cost a small picture
# 3 % more of them.
_GIF_COLOURS = 224
_GIF_SETTLED = 0.3
# A palette of every fifth pixel in both directions is as good as one of all, and 10 times faster to find. What it
# saves pays for more colours, better settled; one is left for transparency.
_GIF_SAMPLE = 15_000
_GIF_SAMPLED_COLOURS = 255
_GIF_SAMPLED_SETTLED = 0.03
# Pillow looks a pixel's colour up in cells of 4 levels, by the corner of the cell instead of its middle. Cells moved
# by some levels give other answers, and the best is nearly always the nearest colour.
_GIF_CORNER = 1
_GIF_SHIFTS = (0, 2, 1, 3)
# Pillow sums up the pixels of a colour in 32 bits (QuantTypes.h), so of more than this many white may become black.
_GIF_COUNTABLE = (2**32 - 1) // 255
# Where more than this share of the pixels is further than this from its colour (mean of squares of the channels),
# the sample has missed something.
_GIF_FAR = 200
_GIF_MISSED = 0.001
_SQUARES = [min(255, level * level) for level in range(256)] * 3
# Alpha below this is transparent in a GIF, which knows no more than on and off.
_GIF_OPAQUE = 128


@dataclass(frozen=True, slots=True)
class Timing:
    """How an animation plays: milliseconds of each frame, and how often it plays (0: for ever)."""

    durations: tuple[int, ...]
    plays: int


@dataclass(frozen=True, slots=True)
class Encoder:
    """One output format.

    Attributes
    ----------
    format : str
        Pillow's name.
    content_type, extension : str
        Such as ``image/jpeg`` and ``.jpg``.
    quality : int or None
        The quality unless another is asked for; ``None`` where the format has no such setting.
    settings : dict
        Pillow's other options for it.
    transparency : bool
        Whether the format keeps it.
    """

    format: str
    content_type: str
    extension: str
    quality: int | None
    settings: dict[str, Any]
    transparency: bool = True

    def encode(self, frames: Sequence[Image.Image], timing: Timing | None, quality: int | None) -> bytes:
        """Encode a still picture, or an animation where ``timing`` is given.

        Parameters
        ----------
        frames : sequence of Image
            All of one size and one mode of ``L``, ``LA``, ``RGB`` and ``RGBA``, in sRGB.
        timing : Timing or None
            For ``GIF`` and ``WEBP`` only; one duration for each frame.
        quality : int or None
            1 to 100.

        Returns
        -------
        bytes
            A file without metadata.
        """
        options = dict(self.settings)
        if self.quality is not None:
            options["quality"] = self.quality if quality is None else quality
        if self.format == "GIF":
            frames = [_to_palette(frame) for frame in frames]
        if timing is not None:
            options |= {"save_all": True, "append_images": frames[1:], "duration": list(timing.durations)}
            options |= self._play(timing.plays, transparent="transparency" in frames[0].info)
        output = _NamedFile(self.extension)
        frames[0].save(output, **options)
        return output.getvalue()

    def _play(self, plays: int, *, transparent: bool) -> dict[str, int]:
        if self.format == "WEBP":
            return {"loop": plays}
        # A frame that is see-through where the last one was not needs the canvas cleared in between.
        disposal = {"disposal": 2 if transparent else 1}
        # GIF counts repetitions, and one that plays once says nothing.
        return disposal if plays == 1 else disposal | {"loop": max(0, plays - 1)}


class _NamedFile(io.BytesIO):
    """A file in memory whose name says the format: saving by name, Pillow imports the plugin of that format only."""

    def __init__(self, extension: str) -> None:
        super().__init__()
        self.name = "thumbnail" + extension


def _to_palette(image: Image.Image) -> Image.Image:
    """Choose at most 256 colours for a picture, one of them transparent where it has alpha."""
    if image.mode == "L":
        return image
    opaque = _quantize(image.convert("RGB"))
    if image.mode == "RGB":
        return opaque
    hidden = image.getchannel("A").point(lambda alpha: 255 if alpha < _GIF_OPAQUE else 0)
    opaque.paste(255, mask=hidden)
    opaque.info["transparency"] = 255
    return opaque


def _quantize(image: Image.Image) -> Image.Image:
    """Choose the colours of an RGB picture and give every pixel the nearest one."""
    pixels = image.width * image.height
    stride = round(math.sqrt(pixels / _GIF_SAMPLE))
    # A colour of few pixels may be in no sample, and where there are few colours each is meant.
    few = cast("list[tuple[int, tuple[int, int, int]]] | None", image.getcolors(256))
    if pixels > _GIF_COUNTABLE or (stride > 1 and not few):
        colours = [level for _, colour in few for level in colour] if few else _sample_colours(image, stride)
        mapped, missed = _map_to_nearest(image, colours[: 3 * _GIF_SAMPLED_COLOURS])
        if pixels > _GIF_COUNTABLE or missed <= pixels * _GIF_MISSED:
            return mapped
    return _choose_colours(image, _GIF_COLOURS, _GIF_SETTLED)


def _sample_colours(image: Image.Image, stride: int) -> list[int]:
    """Choose the colours of every stride-th pixel."""
    size = (max(1, image.width // stride), max(1, image.height // stride))
    sample = image.resize(size, Image.Resampling.NEAREST)
    return _choose_colours(sample, _GIF_SAMPLED_COLOURS, _GIF_SAMPLED_SETTLED).getpalette() or []


def _map_to_nearest(image: Image.Image, colours: list[int]) -> tuple[Image.Image, int]:
    """Give every pixel the nearest of some colours; with the number of pixels that are far from theirs."""
    (best, error), *others = (_look_up(image, colours, shift) for shift in _GIF_SHIFTS)
    for other, its_error in others:
        best.paste(other, mask=ImageChops.subtract(error, its_error).point([0] + [255] * 255))
        error = ImageChops.darker(error, its_error)
    return best, sum(error.histogram()[_GIF_FAR:])


def _choose_colours(image: Image.Image, colours: int, settled: float) -> Image.Image:
    changing = max(1, int(image.width * image.height * settled))
    return image.quantize(colours, Image.Quantize.MEDIANCUT, kmeans=changing)


def _look_up(image: Image.Image, colours: list[int], shift: int) -> tuple[Image.Image, Image.Image]:
    """Map to given colours, both moved by some levels, which moves the cells; with each pixel's squared error."""
    moved = Image.new("P", (1, 1))
    moved.putpalette([min(255, max(0, level + shift - _GIF_CORNER)) for level in colours])
    shifted = image.point([min(255, level + shift) for level in range(256)] * 3) if shift else image
    indexed = shifted.quantize(palette=moved, dither=Image.Dither.NONE)
    indexed.putpalette(colours)
    squares = ImageChops.difference(image, indexed.convert("RGB")).point(_SQUARES)
    return indexed, squares.convert("L", matrix=(1 / 3, 1 / 3, 1 / 3, 0))


ENCODERS = {
    encoder.format: encoder
    for encoder in (
        Encoder("JPEG", "image/jpeg", ".jpg", 80, {"optimize": True, "subsampling": "4:2:0"}, transparency=False),
        Encoder("PNG", "image/png", ".png", None, {"compress_level": 3}),
        Encoder("WEBP", "image/webp", ".webp", 80, {"method": 4}),
        Encoder("GIF", "image/gif", ".gif", None, {}),
        Encoder(
            "AVIF",
            "image/avif",
            ".avif",
            54,
            # Thumbnails are all detail: smoothing the edges that blocks are predicted from only costs.
            {"speed": 6, "subsampling": "4:4:4", "advanced": {"tune": "ssim", "enable-intra-edge-filter": "0"}},
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Encoders:
    """What opaque and what transparent thumbnails are written with; the decoder tells which they are."""

    opaque: Encoder
    transparent: Encoder


def choose_encoders(format: str, wanted: OutputFormat) -> Encoders:
    """Choose the format asked for, or the original's, or the one that people can display."""
    chosen = ENCODERS.get(format if wanted is OutputFormat.SOURCE else wanted.name)
    return Encoders(chosen or ENCODERS["JPEG"], chosen or ENCODERS["PNG"])
