"""The image engine: the bytes of an original in, the bytes of its thumbnails out.

Pure: no S3, no events, no environment, and no setting of Pillow is changed for the process. The steps
stand in order in ``make_thumbnails``: identify, check limits, decode at the smallest sufficient scale,
shrink, colour, orient, encode.
"""

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from types import ModuleType

from PIL import Image, ImageFile

from functions.resize.colour import to_srgb
from functions.resize.containers import (
    GifStructure,
    check_jpeg_coding,
    count_jpeg_segments,
    count_png_metadata,
    is_cut_short,
    png_exif,
    read_gif,
    read_iso_media,
    read_tiff,
    recognise,
)
from functions.resize.encoders import ENCODERS, Encoder, Timing
from functions.resize.errors import (
    CorruptImageError,
    OutputTooLargeError,
    ResizeError,
    TooManyFramesError,
    TooManyPartsError,
    TooManyPixelsError,
    TruncatedImageError,
    UnsupportedImageError,
)
from functions.resize.limits import Limits, check_size
from functions.resize.progressive import drop_scans


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
    background : tuple of int
        Red, green, blue, 0 to 255: what shows through where the output has no transparency, and the
        border of ``pad``.
    """

    boxes: tuple[Box, ...]
    fit: Fit = Fit.INSIDE
    format: OutputFormat = OutputFormat.SOURCE
    quality: int | None = None
    background: tuple[int, int, int] = (255, 255, 255)


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


DEFAULT_LIMITS = Limits()


def make_thumbnails(original: bytes, recipe: Recipe, limits: Limits = DEFAULT_LIMITS) -> Result:
    """Make every thumbnail of a recipe from one decode of the original.

    Parameters
    ----------
    original : bytes
        A JPEG, PNG, WebP, GIF, TIFF, BMP, AVIF or HEIC file, told by its content.
    recipe : Recipe
    limits : Limits

    Returns
    -------
    Result
        Thumbnails are untagged sRGB, upright, without any metadata.

    Raises
    ------
    PermanentError
        One of ``OriginalEmptyError``, ``OriginalTooLargeError``, ``OutputTooLargeError``,
        ``NotAnImageError``, ``UnsupportedImageError``, ``TooManyPixelsError``, ``TooManyFramesError``,
        ``TooManyPartsError``, ``TruncatedImageError`` and ``CorruptImageError``.
    MemoryError
        Memory ran out, which another try may survive.
    """
    check_size(len(original), limits)
    check_recipe(recipe, limits)
    drawn = _draw(original, recipe, limits)
    transparent = any(frame.mode in _TRANSPARENT for frame in drawn.sequences[0])
    encoder = _choose_encoder(drawn.original.format, recipe.format, transparent=transparent)
    thumbnails = []
    for box, sequence in zip(recipe.boxes, drawn.sequences, strict=True):
        frames = _alike([_finish(frame, box, encoder, recipe) for frame in sequence])
        data = encoder.encode(frames, drawn.timing, recipe.quality)
        kind = (encoder.format, encoder.content_type, encoder.extension)
        thumbnails.append(Thumbnail(box, data, *kind, *frames[0].size))
    return Result(drawn.original, tuple(thumbnails), drawn.warnings)


def check_recipe(recipe: Recipe, limits: Limits) -> None:
    """Refuse too many or too large thumbnails, before anything is read.

    Parameters
    ----------
    recipe : Recipe
    limits : Limits

    Raises
    ------
    OutputTooLargeError
        With the unit ``thumbnails``, ``pixels on a side``, ``output pixels`` or ``AVIF output pixels``.
        A box for ``inside`` counts once the original is known, because it never enlarges.
    """
    if len(recipe.boxes) > limits.max_outputs:
        raise OutputTooLargeError(len(recipe.boxes), limits.max_outputs, "thumbnails")
    side = max((max(box.width, box.height) for box in recipe.boxes), default=0)
    if side > limits.max_output_side:
        raise OutputTooLargeError(side, limits.max_output_side, "pixels on a side")
    if recipe.fit is not Fit.INSIDE:
        pixels = sum(box.width * box.height for box in recipe.boxes)
        _check_output_pixels(pixels, recipe.format.name, limits)


# Reading classes by name: nothing outside this table is ever opened, and nothing asks Pillow to import
# and try its other plugins, which are more than sixty. Each is imported by the first original that needs it.
_READERS = {
    "JPEG": ("PIL.JpegImagePlugin", "JpegImageFile"),
    "PNG": ("PIL.PngImagePlugin", "PngImageFile"),
    "GIF": ("PIL.GifImagePlugin", "GifImageFile"),
    "WEBP": ("PIL.WebPImagePlugin", "WebPImageFile"),
    "TIFF": ("PIL.TiffImagePlugin", "TiffImageFile"),
    "BMP": ("PIL.BmpImagePlugin", "BmpImageFile"),
    "AVIF": ("PIL.AvifImagePlugin", "AvifImageFile"),
    "HEIF": ("pi_heif", "HeifImageFile"),
}
# Formats whose decoder turns the picture upright by itself and says so in the size.
_UPRIGHT_WHEN_READ = {"TIFF", "HEIF"}
# Formats whose decoder gives Pillow all the pixels at once, which it would then take over in small blocks.
_RAW_WHEN_READ = {"AVIF", "WEBP"}
_ORIENTATION_TAG = 0x0112  # Exif 3.0, table 4
# Orientation is asked for and nothing else, which stands among the first tags.
_EXIF_BYTES = 1_000_000

# How an orientation is undone: Exif 3.0, section 4.6.5.1.6.
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

# Animated when the source is and the format can; GIF is only ever kept.
_ANIMATED_OUTPUTS = {OutputFormat.SOURCE, OutputFormat.WEBP}

_TRANSPARENT = {"LA", "RGBA"}
_PREMULTIPLIED = {"LA": "La", "RGBA": "RGBa"}
_TWO_TONE = "1"
# Two-tone pictures need the kernel alone; what libvips makes of CMYK is not what Pillow does.
_NOT_STREAMED = {_TWO_TONE, "CMYK"}
# Decoded mode -> mode that is worked in, for pictures without transparency.
_WORKING_MODES = {
    "1": "L",
    "L": "L",
    "P": "RGB",
    "RGB": "RGB",
    "RGBX": "RGB",
    "YCbCr": "RGB",
    "CMYK": "CMYK",
}
_KINDS_OF_SAMPLES = {"I": "32-bit", "F": "floating-point", "LAB": "Lab"}

# From how many pixels on libvips pays: it costs 40 ms to import, and less from the second picture on.
_MANY_PIXELS = 250_000
# Up to how many: it gets a copy of them.
_TOO_MANY_PIXELS = 16_000_000
_LIBVIPS_MODES = {"RGB", "RGBa", "CMYK"}
# Formats whose large still pictures are shrunk while they are decoded; of others only the shrinking is libvips'.
_STREAMED = {"JPEG", "PNG", "WEBP"}
_STREAMED_FROM = 1_000_000
# What streaming leaves for each pixel wanted where not everything can be made from the largest thumbnail.
_STREAMED_HEADROOM = 2.0
# A DCT-scaled decode this much larger than the thumbnail keeps the quality of a full one; 1.0 costs 1 dB.
_DCT_HEADROOM = 1.2
# The box filter that goes before the kernel leaves at least this many pixels for each one wanted.
_REDUCING_GAP = 1.5
# Pillow's box filter divides by multiplying with 2^24 divided by the pixels of a box, and drops what is behind the
# point (Reduce.c, division_UINT32): boxes of more than this many pixels on a side would come out darker.
_LARGEST_FACTOR = 128
# Resampling a resampled picture again does not show when it was this much larger.
_STAGE_HEADROOM = 1.5
# Of the floating-point arithmetic of regions, pixels.
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class _Picture:
    """An original that was opened but not decoded; sizes in pixels as stored."""

    image: ImageFile.ImageFile
    format: str
    width: int
    height: int
    frames: int
    plays: int
    orientation: int
    profile: bytes | None

    def as_seen(self) -> Original:
        if self.orientation in _SIDEWAYS:
            return Original(self.format, self.height, self.width, self.frames)
        return Original(self.format, self.width, self.height, self.frames)


@dataclass(frozen=True, slots=True)
class _Placement:
    """Which region of the picture becomes a smaller picture, and of what size; pixels, all as stored."""

    left: float
    top: float
    right: float
    bottom: float
    width: int
    height: int

    @property
    def scale_x(self) -> float:
        return self.width / (self.right - self.left)

    @property
    def scale_y(self) -> float:
        return self.height / (self.bottom - self.top)

    @property
    def scale(self) -> float:
        """Thumbnail pixels per picture pixel along the axis that keeps more of them."""
        return max(self.scale_x, self.scale_y)

    def is_enough_for(self, other: "_Placement") -> bool:
        """Tell whether this holds the other's region, with pixels to spare for a second resampling."""
        return (
            self.left <= other.left + _ROUNDING
            and self.top <= other.top + _ROUNDING
            and self.right >= other.right - _ROUNDING
            and self.bottom >= other.bottom - _ROUNDING
            and self.scale_x >= _STAGE_HEADROOM * other.scale_x - _ROUNDING
            and self.scale_y >= _STAGE_HEADROOM * other.scale_y - _ROUNDING
        )


@dataclass(frozen=True, slots=True)
class _Stage:
    """A picture to shrink from, and where it lies in the original.

    ``two_tone`` pictures are all edges: what is cheaper than the kernel alone shows in them.
    """

    image: Image.Image
    placement: _Placement
    duration: int = 0
    two_tone: bool = False


@dataclass(frozen=True, slots=True)
class _Drawn:
    """Thumbnails before they are encoded: for each box the frames, upright and in sRGB; timing if they move."""

    original: Original
    sequences: list[list[Image.Image]]
    timing: Timing | None
    warnings: tuple[str, ...]


def _draw(original: bytes, recipe: Recipe, limits: Limits) -> _Drawn:
    """Decode, shrink, colour and orient; the original's pixels are given back before anything is encoded."""
    picture = _identify(original, limits)
    animated = picture.frames > 1 and recipe.format in _ANIMATED_OUTPUTS
    placements = [_place(picture, box, recipe.fit) for box in recipe.boxes]
    _check_limits(picture, placements, limits, recipe.format, frames=picture.frames if animated else 1)
    sequences: list[list[Image.Image]] = [[] for _ in placements]
    durations: list[int] = []
    warnings: dict[str, None] = {}
    for base in _decode(original, picture, placements, animated=animated):
        durations.append(base.duration)
        for index, small in _shrink(base, placements):
            coloured, warning = to_srgb(small, picture.profile)
            sequences[index].append(_orient(coloured, picture.orientation))
            if warning:
                warnings[warning] = None
    timing = Timing(tuple(durations), picture.plays) if animated else None
    return _Drawn(picture.as_seen(), sequences, timing, tuple(warnings))


def _identify(original: bytes, limits: Limits) -> _Picture:
    """Open the original by its content and read what its headers say."""
    kind = recognise(original)
    structure = _check_structure(kind, original, limits)
    frames = plays = 1
    with _decoding(kind, original):
        image = _open(kind, original)
        width, height = image.size
        if structure:
            frames = max(1, structure.frames)
            # The count in a GIF says how often to repeat; without one it plays once.
            plays = image.info["loop"] and image.info["loop"] + 1 if "loop" in image.info else 1
        elif kind == "WEBP":
            frames, plays = getattr(image, "n_frames", 1), image.info.get("loop", 1)
        if kind == "PNG" and (exif := png_exif(original)):
            image.info["exif"] = exif
    orientation = 1 if kind in _UPRIGHT_WHEN_READ else _read_orientation(image)
    profile = image.info.get("icc_profile") or None
    return _Picture(image, kind, width, height, frames, plays, orientation, profile)


def _open(format: str, data: bytes) -> ImageFile.ImageFile:
    module, name = _READERS[format]
    image: ImageFile.ImageFile = getattr(import_module(module), name)(io.BytesIO(data))
    return image


def _check_structure(kind: str, original: bytes, limits: Limits) -> GifStructure | None:
    """Refuse what would take long or much memory to open already; return what the blocks of a GIF say."""
    structure = None
    if kind == "JPEG":
        segments = count_jpeg_segments(original, limits.max_jpeg_segments)
        _check_parts(segments, limits.max_jpeg_segments, "segments")
        check_jpeg_coding(original)
    elif kind == "PNG":
        chunks = count_png_metadata(original, limits.max_metadata_parts)
        _check_parts(chunks, limits.max_metadata_parts, "chunks of metadata")
    elif kind == "TIFF":
        tiff = read_tiff(original, limits.max_tiff_values)
        _check_parts(tiff.values, limits.max_tiff_values, "numbers in its tags")
        # What of tiles lies beyond the picture is decoded as well.
        if tiff.tiled_pixels > limits.max_tiled_pixels:
            raise TooManyPixelsError(tiff.tiled_pixels, limits.max_tiled_pixels, " in its tiles")
    elif kind in {"AVIF", "HEIF"}:
        media = read_iso_media(original, limits.max_item_parts)
        _check_parts(media.parts, limits.max_item_parts, "parts")
        if media.pixels > limits.max_derived_pixels:
            raise TooManyPixelsError(media.pixels, limits.max_derived_pixels, " in what it is made of")
    elif kind == "GIF":
        structure = read_gif(original, limits.max_frames, limits.max_metadata_parts)
        _check_parts(structure.comments, limits.max_metadata_parts, "blocks of comment")
        # Pillow makes room for the first frame when it opens the file.
        _check_pixels(structure.width, structure.height, limits)
    return structure


def _check_parts(parts: int, limit: int, what: str) -> None:
    if parts > limit:
        raise TooManyPartsError(parts, limit, what)


@contextmanager
def _decoding(format: str, original: bytes) -> Iterator[None]:
    """Turn whatever a decoder raises into an error of the tree.

    Raises
    ------
    TruncatedImageError, CorruptImageError
    """
    try:
        yield
    except (ResizeError, MemoryError, ImportError):  # an incomplete artefact is not the picture's fault
        raise
    # Hostile bytes make decoders raise nearly anything (OSError, SyntaxError, ValueError, EOFError,
    # RuntimeError, struct.error, ZeroDivisionError, ...), so there is no narrower list that would hold.
    except Exception as error:
        cause = TruncatedImageError if is_cut_short(format, original) else CorruptImageError
        raise cause(format) from error


def _read_orientation(image: ImageFile.ImageFile) -> int:
    """Orientation 1 to 8; 1 where there is none or the metadata are broken, as browsers do."""
    if exif := image.info.get("exif"):
        image.info["exif"] = exif[:_EXIF_BYTES]
    try:
        # Not image.getexif(): that of PNG decodes the whole picture first, to reach a late chunk.
        orientation = Image.Image.getexif(image).get(_ORIENTATION_TAG, 1)
    except (SyntaxError, ValueError, TypeError, KeyError, EOFError, OSError, struct.error):
        return 1
    return orientation if orientation in _TRANSPOSITIONS else 1


def _place(picture: _Picture, box: Box, fit: Fit) -> _Placement:
    """Work out a thumbnail's region and size, in the picture as stored.

    The centre crop is symmetric, so a picture that is stored on its side only swaps the box's sides.
    """
    width, height = picture.width, picture.height
    wide, high = (box.height, box.width) if picture.orientation in _SIDEWAYS else (box.width, box.height)
    if fit is Fit.FILL:
        return _Placement(0, 0, width, height, wide, high)
    if fit is Fit.COVER:
        # Integer cross products, so that a box of the picture's own shape crops nothing.
        region_width = min(width, height * wide / high)
        region_height = min(height, width * high / wide)
        left, top = (width - region_width) / 2, (height - region_height) / 2
        return _Placement(left, top, left + region_width, top + region_height, wide, high)
    if fit is Fit.INSIDE and wide >= width and high >= height:
        return _Placement(0, 0, width, height, width, height)
    if width * high >= height * wide:
        return _Placement(0, 0, width, height, wide, _round_to_side(height * wide, width))
    return _Placement(0, 0, width, height, _round_to_side(width * high, height), high)


def _round_to_side(dividend: int, divisor: int) -> int:
    """Divide, round half up, and give at least one pixel."""
    return max(1, (2 * dividend + divisor) // (2 * divisor))


def _check_pixels(width: int, height: int, limits: Limits) -> int:
    """Return the number of pixels, unless they are too many."""
    if width * height > limits.max_pixels:
        raise TooManyPixelsError(width * height, limits.max_pixels)
    if max(width, height) > limits.max_side:
        raise TooManyPixelsError(max(width, height), limits.max_side, " on a side")
    return width * height


def _check_limits(
    picture: _Picture, placements: list[_Placement], limits: Limits, wanted: OutputFormat, frames: int
) -> None:
    """Refuse what would take too much memory or time, before anything is decoded."""
    pixels = _check_pixels(picture.width, picture.height, limits)
    if picture.frames > 1 and pixels > limits.max_frame_pixels:
        raise TooManyPixelsError(pixels, limits.max_frame_pixels, " in each frame")
    if frames > limits.max_frames:
        raise TooManyFramesError(frames, limits.max_frames)
    if frames > 1 and pixels * frames > limits.max_total_pixels:
        raise TooManyPixelsError(pixels * frames, limits.max_total_pixels, " in all frames")
    output_pixels = frames * sum(placement.width * placement.height for placement in placements)
    # Without transparency or with it: that only decides between formats that have no limit of their own.
    _check_output_pixels(output_pixels, _choose_encoder(picture.format, wanted, transparent=False).format, limits)


def _check_output_pixels(pixels: int, format: str, limits: Limits) -> None:
    if pixels > limits.max_output_pixels:
        raise OutputTooLargeError(pixels, limits.max_output_pixels, "output pixels")
    if format == "AVIF" and pixels > limits.max_avif_pixels:
        raise OutputTooLargeError(pixels, limits.max_avif_pixels, "AVIF output pixels")


def _decode(original: bytes, picture: _Picture, placements: list[_Placement], *, animated: bool) -> Iterator[_Stage]:
    """Decode the first frame, or each one, at the smallest scale that all the placements can be made from."""
    image = picture.image
    with _decoding(picture.format, original):
        if picture.format == "JPEG":
            yield _decode_jpeg(original, picture, placements)
            return
        if stage := _decode_streamed(original, picture, placements):
            yield stage
            return
        if picture.format in _RAW_WHEN_READ:
            image.decodermaxblock = 4 * image.width * image.height
        for frame in range(picture.frames if animated else 1):
            if frame:
                image.seek(frame)
            image.load()
            working = _to_working_mode(image, picture.format)
            if working.size != (picture.width, picture.height):
                # Pillow enlarges the canvas for a later GIF frame that reaches beyond it; browsers clip the frame.
                working = working.crop((0, 0, picture.width, picture.height))
            duration = image.info.get("duration", 0)
            whole = _Placement(0, 0, *working.size, *working.size)
            yield _Stage(working, whole, duration, two_tone=image.mode == _TWO_TONE)


def _decode_jpeg(original: bytes, picture: _Picture, placements: list[_Placement]) -> _Stage:
    """Let the inverse DCT do the first shrinking, by 2, 4 or 8, and leave out scans that it does not show."""
    scale = max(placement.scale for placement in placements)
    denominator = next((n for n in (8, 4, 2) if scale * _DCT_HEADROOM * n <= 1), 1)
    image: Image.Image | None = None
    if coarse := drop_scans(original, denominator, 1 / (scale * denominator)):
        # What libjpeg does not take without its other scans, it gets whole.
        with suppress(OSError, SyntaxError, ValueError):
            image = _load_jpeg(_open("JPEG", coarse), denominator, len(coarse))
    elif stage := _decode_streamed(original, picture, placements, denominator):
        return stage
    if image is None:
        image = _load_jpeg(picture.image, denominator, len(original))
    shown = (0, 0, image.width * denominator, image.height * denominator)
    return _stage(_to_working_mode(image, picture.format), picture, shown)


def _stage(image: Image.Image, picture: _Picture, shown: tuple[float, float, float, float]) -> _Stage:
    """Say where a shrunk picture lies, of which the last column and row may reach beyond the edge."""
    placement = _Placement(*shown, *image.size)
    beyond_x = (placement.right - picture.width) * placement.scale_x
    beyond_y = (placement.bottom - picture.height) * placement.scale_y
    return _Stage(_weigh_edges(image, beyond_x, beyond_y), placement)


def _load_jpeg(image: ImageFile.ImageFile, denominator: int, size: int) -> Image.Image:
    image.draft(None, (image.width // denominator, image.height // denominator))
    # One block: libjpeg starts again from the first byte of a block that it could not finish.
    image.decodermaxblock = size
    image.load()
    return image


def _decode_streamed(
    original: bytes, picture: _Picture, placements: list[_Placement], denominator: int = 1
) -> _Stage | None:
    """Decode a large still picture without ever holding all of it; ``None`` where that does not work.

    That is straight to the largest thumbnail where it shows every row and the others can be made from it.
    """
    pixels = picture.width * picture.height / denominator**2
    if picture.format not in _STREAMED or picture.frames > 1 or pixels < _STREAMED_FROM:
        return None
    if picture.image.mode in _NOT_STREAMED:
        return None
    largest = max(placements, key=lambda placement: placement.scale)
    holds_others = all(placement is largest or largest.is_enough_for(placement) for placement in placements)
    # Rows that are left out are not read, and damage in them would be no error for this box but one for another.
    if not holds_others or (largest.top, largest.bottom) != (0, picture.height):
        scale = min(1 / denominator, largest.scale * _STREAMED_HEADROOM)
        size = (max(1, int(picture.width * scale)), max(1, int(picture.height * scale)))
        largest = _Placement(0, 0, picture.width, picture.height, *size)
    decoded = _libvips().decode(
        original,
        picture.format,
        (largest.width, largest.height),
        (largest.left, largest.top, largest.right, largest.bottom),
        denominator,
    )
    if decoded is None:
        return None
    image, shown = decoded
    # libvips goes by a WebP file's header where Pillow looks at the pixels.
    if picture.image.mode == "RGBA" and image.mode not in _TRANSPARENT:
        return None
    return _stage(_to_working_mode(image, picture.format), picture, shown)


def _libvips() -> ModuleType:
    """Import it when it is needed: many originals are small JPEG files."""
    from functions.resize import libvips  # noqa: PLC0415 - as above

    return libvips


def _to_working_mode(image: Image.Image, format: str) -> Image.Image:
    """Bring the decoded picture to L, LA, RGB, RGBA or CMYK, without alpha where it hides nothing.

    Raises
    ------
    UnsupportedImageError
        Samples of 32 bits, or another colour space such as Lab.
    """
    if image.mode.startswith("I;16"):
        # Pillow's own conversion to L clips at 255 instead of dropping the low byte.
        return image.convert("I").point(lambda sample: sample * (1 / 256)).convert("L")
    if image.has_transparency_data:
        working = _convert(image, "LA" if image.mode in {"1", "L", "LA", "La"} else "RGBA")
        if working.getchannel("A").getextrema() != (255, 255):
            return working
        return working.convert(working.mode[:-1])
    mode = _WORKING_MODES.get(image.mode)
    if mode is None:
        kind = _KINDS_OF_SAMPLES.get(image.mode, image.mode)
        raise UnsupportedImageError(f"{format} picture with {kind} samples")
    return _convert(image, mode)


def _convert(image: Image.Image, mode: str) -> Image.Image:
    """Convert, but do not copy a picture that is of that mode: 12 megapixels take 40 ms."""
    return image if image.mode == mode else image.convert(mode)


def _shrink(base: _Stage, placements: list[_Placement]) -> Iterator[tuple[int, Image.Image]]:
    """Resize to every placement, largest first, each from the smallest picture that is large enough."""
    stages = [base]
    for index in sorted(range(len(placements)), key=lambda index: -placements[index].scale):
        placement = placements[index]
        stage = next((stage for stage in reversed(stages) if stage.placement.is_enough_for(placement)), base)
        small = _resample(stage, placement)
        yield index, small
        if not base.two_tone:
            stages.append(_Stage(small, placement))


def _resample(stage: _Stage, placement: _Placement) -> Image.Image:
    """Resize a region with a box filter for the whole number in the factor and the Lanczos kernel for the rest."""
    if placement == stage.placement:
        # The decoder's own picture becomes the next frame.
        return stage.image.copy() if isinstance(stage.image, ImageFile.ImageFile) else stage.image
    image, size = stage.image, (placement.width, placement.height)
    left, right = ((x - stage.placement.left) * stage.placement.scale_x for x in (placement.left, placement.right))
    top, bottom = ((y - stage.placement.top) * stage.placement.scale_y for y in (placement.top, placement.bottom))
    left, top, right, bottom = max(0, left), max(0, top), min(right, image.width), min(bottom, image.height)
    if stage.two_tone:
        return image.resize(size, Image.Resampling.LANCZOS, box=(left, top, right, bottom))
    # A pixel that nothing shows of must not colour its neighbours.
    image = _convert(image, _PREMULTIPLIED.get(image.mode, image.mode))
    factor_x = min(max(1, int((right - left) / placement.width / _REDUCING_GAP)), _LARGEST_FACTOR)
    factor_y = min(max(1, int((bottom - top) / placement.height / _REDUCING_GAP)), _LARGEST_FACTOR)
    if (factor_x, factor_y) != (1, 1):
        beyond = -image.width % factor_x / factor_x, -image.height % factor_y / factor_y
        image = _weigh_edges(image.reduce((factor_x, factor_y)), *beyond)
    box = (left / factor_x, top / factor_y, right / factor_x, bottom / factor_y)
    small = None
    if (
        image.mode in _LIBVIPS_MODES
        and image.width * image.height <= _TOO_MANY_PIXELS
        and (box[2] - box[0]) * (box[3] - box[1]) >= _MANY_PIXELS
    ):
        small = _libvips().resample(image, size, box)
    if small is None:
        small = image.resize(size, Image.Resampling.LANCZOS, box)
    return _convert(small, stage.image.mode)


def _weigh_edges(image: Image.Image, beyond_x: float, beyond_y: float) -> Image.Image:
    """Let the last column and row weigh as much as the part of them that lies within the picture.

    The kernel weighs every pixel alike, and would show a line at the edge far more than one within. So the rest of
    their weight goes to their neighbours, and the part is shared with these as its middle lies between the two.

    Parameters
    ----------
    image : Image
        Is changed.
    beyond_x, beyond_y : float
        What part of a pixel's side lies beyond the picture.
    """
    width, height = image.size
    mode = _PREMULTIPLIED.get(image.mode, image.mode)
    for beyond, last, before in (
        (beyond_x, (width - 1, 0, width, height), (width - 2, 0, width - 1, height)),
        (beyond_y, (0, height - 1, width, height), (0, height - 2, width, height - 1)),
    ):
        if beyond < _ROUNDING or min(before) < 0:
            continue
        edge, neighbour = (_convert(image.crop(side), mode) for side in (last, before))
        share = 1 - beyond
        image.paste(_convert(Image.blend(neighbour, edge, share * (1 - beyond / 2)), image.mode), last[:2])
        image.paste(_convert(Image.blend(neighbour, edge, share * beyond / 2), image.mode), before[:2])
    return image


def _orient(image: Image.Image, orientation: int) -> Image.Image:
    """Turn and mirror the picture the way a person sees it."""
    transposition = _TRANSPOSITIONS.get(orientation)
    return image if transposition is None else image.transpose(transposition)


def _choose_encoder(format: str, wanted: OutputFormat, *, transparent: bool) -> Encoder:
    """Choose the format asked for, or the original's, or the one that people can display."""
    if wanted is not OutputFormat.SOURCE:
        return ENCODERS[wanted.name]
    return ENCODERS.get(format) or ENCODERS["PNG" if transparent else "JPEG"]


def _finish(image: Image.Image, box: Box, encoder: Encoder, recipe: Recipe) -> Image.Image:
    """Add the border of ``pad``, and put the background under what the output cannot leave transparent."""
    transparent = image.mode in _TRANSPARENT
    flatten = transparent and not encoder.transparency
    size = (box.width, box.height) if recipe.fit is Fit.PAD else image.size
    if size == image.size and not flatten:
        return image
    if transparent and not flatten:
        canvas = Image.new(image.mode, size)
    elif image.mode in {"L", "LA"} and len(set(recipe.background)) == 1:
        canvas = Image.new("L", size, recipe.background[0])
    else:
        canvas = Image.new("RGB", size, recipe.background)
    offset = ((size[0] - image.width) // 2, (size[1] - image.height) // 2)
    canvas.paste(image, offset, mask=image.getchannel("A") if flatten else None)
    return canvas


def _alike(frames: list[Image.Image]) -> list[Image.Image]:
    """Bring the frames to one mode, and drop what the decoder left beside the pixels: metadata."""
    modes = {frame.mode for frame in frames}
    mode = modes.pop() if len(modes) == 1 else "RGBA" if modes & _TRANSPARENT else "RGB"
    alike = [_convert(frame, mode) for frame in frames]
    for frame in alike:
        frame.info = {}
    return alike
