"""Input and output of the engine: plain values that import no decoder."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


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
class Rendition:
    """One requested thumbnail.

    Attributes
    ----------
    box : Box
    fit : Fit
    format : OutputFormat
    quality : int or None
        1 to 100 for JPEG, WebP and AVIF; ``None`` for the default of the format.
    """

    box: Box
    fit: Fit = Fit.INSIDE
    format: OutputFormat = OutputFormat.SOURCE
    quality: int | None = None


@dataclass(frozen=True, slots=True)
class Recipe:
    """The thumbnails to make from one original.

    Attributes
    ----------
    boxes : tuple of Box
    fit : Fit
    format : OutputFormat or tuple of OutputFormat
        Each box is made in each format.
    quality : int or None
        1 to 100 for JPEG, WebP and AVIF; ``None`` for the default of the format.
    others : tuple of Rendition
        Additional thumbnails, such as those of earlier requests.
    """

    boxes: tuple[Box, ...]
    fit: Fit = Fit.INSIDE
    format: OutputFormat | tuple[OutputFormat, ...] = OutputFormat.SOURCE
    quality: int | None = None
    others: tuple[Rendition, ...] = ()

    @property
    def renditions(self) -> tuple[Rendition, ...]:
        """One for each thumbnail, in the order in which they are made."""
        formats = (self.format,) if isinstance(self.format, OutputFormat) else self.format
        own = (Rendition(box, self.fit, each, self.quality) for box in self.boxes for each in formats)
        return (*own, *self.others)


def read_recipe(request: Mapping[str, Any]) -> Recipe:
    """Return the recipe in a valid request, or in an entry of recipes.json.

    Parameters
    ----------
    request : Mapping
        As in schemas/resize_request.json.
    """
    sizes = request.get("sizes", [request])
    formats = request.get("formats")
    return Recipe(
        tuple(Box(int(size["width"]), int(size["height"])) for size in sizes),
        Fit(request.get("fit", Fit.INSIDE)),
        tuple(map(OutputFormat, formats)) if formats else OutputFormat(request.get("format", OutputFormat.SOURCE)),
        int(request["quality"]) if "quality" in request else None,
    )


@dataclass(frozen=True, slots=True)
class Original:
    """The original: Pillow's name of its format, its upright size in pixels, and its number of frames."""

    format: str
    width: int
    height: int
    frames: int


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """One thumbnail.

    Attributes
    ----------
    rendition : Rendition
        The requested box, fit, format and quality.
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

    rendition: Rendition
    data: bytes
    format: str
    content_type: str
    extension: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Placeholder:
    """A tiny preview that a page shows until a thumbnail has arrived.

    Attributes
    ----------
    thumbhash : str
        ThumbHash of the picture, base64.
    colour : str
        Mean colour over white, such as ``#4a7f92``.
    """

    thumbhash: str
    colour: str


@dataclass(frozen=True, slots=True)
class Result:
    """The thumbnails of one original, and what the engine found out about it.

    Attributes
    ----------
    original : Original
    thumbnails : tuple of Thumbnail
        In the order of the recipe.
    placeholder : Placeholder
    warnings : tuple of str
        Messages for the log.
    """

    original: Original
    thumbnails: tuple[Thumbnail, ...]
    placeholder: Placeholder
    warnings: tuple[str, ...]
