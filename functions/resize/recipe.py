"""Input and output of the engine: plain values that import no decoder."""

from dataclasses import dataclass
from enum import StrEnum


class Fit(StrEnum):
    """How a picture is fitted to its box.

    ``inside`` keeps the aspect ratio and never enlarges; ``cover`` fills the box and crops the centre;
    ``pad`` fits inside, enlarging if necessary, and adds a border; ``fill`` stretches.
    """

    INSIDE = "inside"
    COVER = "cover"
    PAD = "pad"
    FILL = "fill"


class OutputFormat(StrEnum):
    """The format of a thumbnail; ``source`` keeps the original's format where browsers display it."""

    SOURCE = "source"
    JPEG = "jpeg"
    PNG = "png"
    WEBP = "webp"
    AVIF = "avif"


@dataclass(frozen=True, slots=True)
class Box:
    """The box that a thumbnail must fit, in pixels of the upright picture."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """The thumbnails to make.

    Attributes
    ----------
    boxes : tuple of Box
        One thumbnail each, in this order.
    fit : Fit
    format : OutputFormat
    quality : int or None
        1 to 100 for JPEG, WebP and AVIF; ``None`` for the default of the format.
    """

    boxes: tuple[Box, ...]
    fit: Fit = Fit.INSIDE
    format: OutputFormat = OutputFormat.SOURCE
    quality: int | None = None


@dataclass(frozen=True, slots=True)
class Original:
    """The original: Pillow's name of its format, its upright size in pixels, and its frames."""

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
    """The original, its thumbnails in the order of the boxes, and warnings for the log."""

    original: Original
    thumbnails: tuple[Thumbnail, ...]
    warnings: tuple[str, ...]
