"""What is wanted of the engine and what it makes: plain values, without a decoder behind them."""

from dataclasses import dataclass
from enum import StrEnum


class Fit(StrEnum):
    """How a picture meets its box.

    ``inside`` keeps the aspect ratio and never enlarges; ``cover`` fills the box and crops the centre;
    ``pad`` fits inside, enlarging if need be, and adds a border; ``fill`` stretches.
    """

    INSIDE = "inside"
    COVER = "cover"
    PAD = "pad"
    FILL = "fill"


class OutputFormat(StrEnum):
    """What a thumbnail is written as; ``source`` keeps the original's format where people display it."""

    SOURCE = "source"
    JPEG = "jpeg"
    PNG = "png"
    WEBP = "webp"
    AVIF = "avif"


@dataclass(frozen=True, slots=True)
class Box:
    """The box a thumbnail is made for, in pixels, in the orientation a person sees."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """What to make.

    Attributes
    ----------
    boxes : tuple of Box
        One thumbnail each, in this order.
    fit : Fit
    format : OutputFormat
    quality : int or None
        1 to 100 for JPEG, WebP and AVIF; ``None`` takes what was measured best for the format.
    """

    boxes: tuple[Box, ...]
    fit: Fit = Fit.INSIDE
    format: OutputFormat = OutputFormat.SOURCE
    quality: int | None = None


@dataclass(frozen=True, slots=True)
class Original:
    """What was read: ``format`` by Pillow's name, size in pixels as a person sees it, animation frames."""

    format: str
    width: int
    height: int
    frames: int


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """One thumbnail.

    Attributes
    ----------
    box : Box
        The box it was made for.
    data : bytes
        The encoded file.
    format : str
        Pillow's name, such as ``JPEG``.
    content_type : str
        Such as ``image/jpeg``.
    extension : str
        Such as ``.jpg``.
    width, height : int
        Pixels.
    """

    box: Box
    data: bytes
    format: str
    content_type: str
    extension: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Result:
    """The original as it was found, its thumbnails in the order of the boxes, and what a log should know."""

    original: Original
    thumbnails: tuple[Thumbnail, ...]
    warnings: tuple[str, ...]
