"""Open an original by its content and read its headers, without decoding it."""

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module

from PIL import Image, ImageFile

from functions.resize.errors import CorruptImageError, ResizeError, TruncatedImageError
from functions.resize.formats import FORMATS, recognise
from functions.resize.limits import Limits, check_pixels
from functions.resize.recipe import Original

_ORIENTATION_TAG = 0x0112  # Exif 3.0, table 4
# Only the orientation is read, which is among the first tags.
_EXIF_BYTES = 1_000_000

# Orientation -> the transposition that turns the picture upright: Exif 3.0, section 4.6.5.1.6.
_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = {5, 6, 7, 8}


@dataclass(frozen=True, slots=True)
class Picture:
    """An opened original that is not decoded yet. Sizes are pixels of the visible part, before turning upright.

    Attributes
    ----------
    original : bytes
        The whole file.
    data : bytes
        The file that the decoders read, usually the same.
    image : ImageFile
        Pillow's image, which decodes on ``load``.
    format : str
        A key of ``FORMATS``.
    width, height : int
    frames : int
        1 for still pictures, and for formats whose animations are read as stills.
    plays : int
        How often an animation plays, 0 for ever.
    frame_pixels : int
        Pixels that are decoded for each frame.
    orientation : int
        1 to 8, as in Exif; 1 if the decoder turns the picture upright.
    profile : bytes or None
        The embedded ICC profile.
    shown : (int, int, int, int) or None
        Left, top, right and bottom of the visible part of the decoded picture; ``None`` if all of it is visible.
    """

    original: bytes
    data: bytes
    image: ImageFile.ImageFile
    format: str
    width: int
    height: int
    frames: int
    plays: int
    frame_pixels: int
    orientation: int
    profile: bytes | None
    shown: tuple[int, int, int, int] | None = None

    @property
    def is_sideways(self) -> bool:
        """Whether turning it upright swaps width and height."""
        return self.orientation in _SIDEWAYS

    def as_seen(self) -> Original:
        """Return format, upright size and frames."""
        width, height = (self.height, self.width) if self.is_sideways else (self.width, self.height)
        return Original(self.format, width, height, self.frames)


def open_original(original: bytes, limits: Limits) -> Picture:
    """Recognise the original by its content, and read its headers.

    Raises
    ------
    NotAnImageError, UnsupportedImageError, TooManyPartsError, TooManyPixelsError, TruncatedImageError,
    CorruptImageError
    """
    name = recognise(original)
    row = FORMATS[name]
    structure = row.rules.inspect(original, limits)
    data = structure.data or original
    frames, plays = structure.frames or 1, structure.plays
    with decoder_errors(name, original):
        image = open_image(name, data)
        width, height = image.size
        if count_plays := row.plays:
            frames, plays = getattr(image, "n_frames", 1), count_plays(image)
        if structure.exif:
            image.info["exif"] = structure.exif
    frame_pixels = structure.frame_pixels or width * height
    orientation = structure.orientation
    if orientation is None:
        orientation = 1 if row.is_upright_when_read else _read_orientation(image)
    profile = structure.profile or image.info.get("icc_profile") or None
    shown = structure.shown
    if shown:
        check_pixels(width, height, limits)
        width, height = shown[2] - shown[0], shown[3] - shown[1]
    return Picture(original, data, image, name, width, height, frames, plays, frame_pixels, orientation, profile, shown)


def open_image(format: str, data: bytes) -> ImageFile.ImageFile:
    """Open a file with the reader of its format only."""
    module, name = FORMATS[format].reader
    image: ImageFile.ImageFile = getattr(import_module(module), name)(io.BytesIO(data))
    return image


@contextmanager
def decoder_errors(format: str, original: bytes) -> Iterator[None]:
    """Convert every exception of a decoder to an error of the tree.

    Raises
    ------
    TruncatedImageError, CorruptImageError
    """
    try:
        yield
    except (ResizeError, MemoryError, ImportError):  # ImportError: the artefact is incomplete, the picture is fine
        raise
    # With damaged files, decoders raise almost any exception (OSError, SyntaxError, ValueError, EOFError,
    # RuntimeError, struct.error, ZeroDivisionError, ...).
    except Exception as error:
        cause = TruncatedImageError if FORMATS[format].rules.is_cut_short(original) else CorruptImageError
        raise cause(format) from error


def _read_orientation(image: ImageFile.ImageFile) -> int:
    """Return the Exif orientation, 1 to 8; 1 if there is none or the metadata is broken, as in browsers."""
    block = image.info.get("exif")
    if block is None:
        return 1
    # The image's getexif() is not used: without an Exif orientation it reads that of XMP, which browsers do not, and
    # for PNG it decodes the whole picture to reach a late chunk.
    exif = Image.Exif()
    try:
        exif.load(block[:_EXIF_BYTES])
        orientation = exif.get(_ORIENTATION_TAG, 1)
    except (SyntaxError, ValueError, TypeError, KeyError, EOFError, OSError, struct.error):
        return 1
    return orientation if orientation in _TRANSPOSITIONS else 1


def turn_upright(image: Image.Image, orientation: int) -> Image.Image:
    """Turn and mirror a picture upright."""
    transposition = _TRANSPOSITIONS.get(orientation)
    return image if transposition is None else image.transpose(transposition)
