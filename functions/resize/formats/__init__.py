"""The supported formats, one row each, and their signatures.

A new format is a module of its own, one row in ``FORMATS`` and its signature. How a picture is decoded stands in
``decoding.py``, because most formats share it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from PIL import ImageFile

from functions.resize.errors import NotAnImageError, UnsupportedImageError
from functions.resize.formats import bmp, gif, iso_media, jpeg, png, tiff, webp
from functions.resize.formats.structure import Structure
from functions.resize.limits import Limits
from functions.resize.recipe import Original


@dataclass(frozen=True, slots=True)
class Format:
    """One format.

    Attributes
    ----------
    reader : (str, str)
        Module and class that reads it, imported by the first original that needs it. Nothing outside this table is
        ever opened, and nothing asks Pillow to import and try its other plugins, which are more than sixty.
    inspect : callable
        Walks the structure of a file before it is opened. Refuses files that would take too much time or memory.
    is_cut_short : callable
        Returns whether a file that failed to decode was cut short.
    plays : callable or None
        Returns how often an opened animation plays, 0 for ever; ``None`` where only the first frame is read, or where
        ``inspect`` found it out.
    strip : callable or None
        Returns a file with so many frames and no metadata, its pixels as they are, or ``None``.
    is_upright_when_read : bool
        The decoder returns the picture and its size upright.
    is_raw_when_read : bool
        The decoder returns all pixels at once, which Pillow would otherwise copy in small blocks.
    is_streamed : bool
        libvips shrinks large still pictures while it decodes them.
    """

    reader: tuple[str, str]
    inspect: Callable[[bytes, Limits], Structure]
    is_cut_short: Callable[[bytes], bool]
    plays: Callable[[ImageFile.ImageFile], int] | None = None
    strip: Callable[[bytes, int], bytes | None] | None = None
    is_upright_when_read: bool = False
    is_raw_when_read: bool = False
    is_streamed: bool = False


FORMATS = {
    "JPEG": Format(("PIL.JpegImagePlugin", "JpegImageFile"), jpeg.inspect, jpeg.is_cut_short, is_streamed=True),
    "PNG": Format(
        ("PIL.PngImagePlugin", "PngImageFile"), png.inspect, png.is_cut_short, strip=png.strip, is_streamed=True
    ),
    "GIF": Format(("PIL.GifImagePlugin", "GifImageFile"), gif.inspect, gif.is_cut_short, strip=gif.strip),
    "WEBP": Format(
        ("PIL.WebPImagePlugin", "WebPImageFile"),
        webp.inspect,
        webp.is_cut_short,
        webp.plays,
        webp.strip,
        is_raw_when_read=True,
        is_streamed=True,
    ),
    "TIFF": Format(
        ("functions.resize.formats.tiff_reader", "TiffFile"), tiff.inspect, tiff.is_cut_short, is_streamed=True
    ),
    "BMP": Format(("PIL.BmpImagePlugin", "BmpImageFile"), bmp.inspect, bmp.is_cut_short),
    "AVIF": Format(
        ("PIL.AvifImagePlugin", "AvifImageFile"), iso_media.inspect, iso_media.is_cut_short, is_raw_when_read=True
    ),
    "HEIF": Format(("pi_heif", "HeifImageFile"), iso_media.inspect, iso_media.is_cut_short, is_upright_when_read=True),
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
    if bmp.is_bmp(original):
        return "BMP"
    if original[4:8] == b"ftyp":
        return iso_media.recognise(original)
    for signature, description in _UNSUPPORTED_SIGNATURES.items():
        if original.startswith(signature):
            raise UnsupportedImageError(description)
    raise NotAnImageError


def strip(stored: bytes, original: Original) -> bytes | None:
    """Return the file without metadata, its pixels as they are; ``None`` for some formats, and without its end."""
    row = FORMATS[original.format]
    return None if row.strip is None or row.is_cut_short(stored) else row.strip(stored, original.frames)
