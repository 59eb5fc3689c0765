"""The supported formats, one row each, and their signatures.

To add a format, add a module, one row in ``FORMATS`` and the signature. ``decoding.py`` decodes pictures, because most
formats share that code.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol, cast

from PIL import ImageFile

from functions.resize.errors import NotAnImageError, UnsupportedImageError
from functions.resize.formats import jpeg
from functions.resize.formats.structure import Structure
from functions.resize.limits import Limits
from functions.resize.recipe import Original


class Rules(Protocol):
    """The functions of a format's module.

    A module may also have ``plays``, which returns how often an opened animation plays (0 for ever) if ``inspect`` does
    not; and ``strip``, which returns the file with this number of frames, unchanged pixels and no metadata, or
    ``None``.
    """

    def inspect(self, original: bytes, limits: Limits, /) -> Structure:
        """Walk the structure of a file before it is opened, and refuse files that need too much time or memory."""

    def is_cut_short(self, original: bytes, /) -> bool:
        """Return whether a file that failed to decode was cut short."""


@dataclass(frozen=True, slots=True)
class Format:
    """One format. Its modules are imported by the first original that needs them.

    Attributes
    ----------
    module : str
        Its module in this package, see ``Rules``.
    reader : (str, str)
        Module and class that read it. Only the readers in this table are ever used, so Pillow does not import and try
        its more than sixty other plugins.
    is_upright_when_read : bool
        The decoder returns the picture and its size upright.
    is_raw_when_read : bool
        The decoder returns all pixels at once, and Pillow must not copy them in small blocks.
    is_streamed : bool
        libvips shrinks large still pictures while it decodes them.
    """

    module: str
    reader: tuple[str, str]
    is_upright_when_read: bool = False
    is_raw_when_read: bool = False
    is_streamed: bool = False

    @property
    def rules(self) -> Rules:
        """The module."""
        return cast("Rules", import_module(f"{__name__}.{self.module}"))

    @property
    def plays(self) -> Callable[[ImageFile.ImageFile], int] | None:
        """The module's ``plays``, if it has one."""
        return getattr(self.rules, "plays", None)

    @property
    def strip(self) -> Callable[[bytes, int], bytes | None] | None:
        """The module's ``strip``, if it has one."""
        return getattr(self.rules, "strip", None)


FORMATS = {
    "JPEG": Format("jpeg", ("PIL.JpegImagePlugin", "JpegImageFile"), is_streamed=True),
    "PNG": Format("png", ("PIL.PngImagePlugin", "PngImageFile"), is_streamed=True),
    "GIF": Format("gif", ("PIL.GifImagePlugin", "GifImageFile")),
    "WEBP": Format("webp", ("PIL.WebPImagePlugin", "WebPImageFile"), is_raw_when_read=True, is_streamed=True),
    "TIFF": Format("tiff", ("functions.resize.formats.tiff_reader", "TiffFile"), is_streamed=True),
    "BMP": Format("bmp", ("PIL.BmpImagePlugin", "BmpImageFile")),
    "AVIF": Format("iso_media", ("PIL.AvifImagePlugin", "AvifImageFile"), is_raw_when_read=True),
    "HEIF": Format("iso_media", ("pi_heif", "HeifImageFile"), is_upright_when_read=True),
}

_SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
}
# Each reads as the end of "The original is a ...".
_UNSUPPORTED_SIGNATURES = {
    b"\xff\x0a": "JPEG XL picture",
    b"\0\0\0\x0cJXL \r\n\x87\n": "JPEG XL picture",
    b"\xff\x4f\xff\x51": "JPEG 2000 picture",
    b"\0\0\0\x0cjP  \r\n\x87\n": "JPEG 2000 picture",
    b"8BPS": "Photoshop document",
    b"\0\0\1\0": "Windows icon",
    b"%PDF": "PDF document",
    b"%!PS": "PostScript document",
    b"<svg": "vector drawing (SVG)",
    b"<?xml": "vector drawing or another XML document",
}


def recognise(original: bytes) -> str:
    """Return the format of a file by its signature: a key of ``FORMATS``, which is Pillow's name.

    Parameters
    ----------
    original : bytes
        The whole file.

    Raises
    ------
    UnsupportedImageError
        A recognised format that is not supported.
    NotAnImageError
        Anything else.
    """
    for signature, name in _SIGNATURES.items():
        if original.startswith(signature):
            return name
    if original[:4] == b"RIFF" and original[8:12] == b"WEBP":
        return "WEBP"
    if jpeg.is_jpeg(original):
        return "JPEG"
    if original[:2] == b"BM":
        from functions.resize.formats import bmp  # noqa: PLC0415 - imported by the first file that may be one

        if bmp.is_bmp(original):
            return "BMP"
    if original[4:8] == b"ftyp":
        from functions.resize.formats import iso_media  # noqa: PLC0415 - as above

        return iso_media.recognise(original)
    for signature, description in _UNSUPPORTED_SIGNATURES.items():
        if original.startswith(signature):
            raise UnsupportedImageError(description)
    raise NotAnImageError


def strip(stored: bytes, original: Original) -> bytes | None:
    """Return the file with unchanged pixels and no metadata; ``None`` for some formats, and for incomplete files."""
    row = FORMATS[original.format]
    return None if row.strip is None or row.rules.is_cut_short(stored) else row.strip(stored, original.frames)
