"""The image engine: turns the bytes of an original into the bytes of its thumbnails.

Pure: it uses no S3, no events and no environment, and changes no global settings of Pillow.
"""

from dataclasses import dataclass

from PIL import Image

from functions.resize.colour import to_srgb
from functions.resize.decoding import decode
from functions.resize.encoders import Encoders, JpegSettings, Timing, choose_encoders
from functions.resize.formats import strip
from functions.resize.geometry import Crop, choose_crop
from functions.resize.limits import Limits, check_frame, check_output, check_transparent_output, why_still
from functions.resize.opening import Picture, open_original, turn_upright
from functions.resize.pixels import TRANSPARENT, finish, make_alike
from functions.resize.placeholder import make_placeholder
from functions.resize.recipe import Box, Fit, Original, OutputFormat, Recipe, Rendition, Result, Thumbnail
from functions.resize.resampling import shrink

# The engine's public interface.
__all__ = ["DEFAULT_LIMITS", "Box", "Fit", "Limits", "OutputFormat", "Recipe", "Result", "make_thumbnails"]

# These stay animated if the original is and its output format supports it; GIF is written only for GIF originals.
_ANIMATED_OUTPUTS = {OutputFormat.SOURCE, OutputFormat.WEBP}
DEFAULT_LIMITS = Limits()


def make_thumbnails(original: bytes, recipe: Recipe, limits: Limits = DEFAULT_LIMITS) -> Result:
    """Make all thumbnails of a recipe from one decode of the original.

    Parameters
    ----------
    original : bytes
        A JPEG, PNG, WebP, GIF, TIFF, BMP, AVIF or HEIC file, recognised by its content. ``check_size`` has checked
        its size.
    recipe : Recipe
        Checked with ``check_recipe``.
    limits : Limits

    Returns
    -------
    Result
        Thumbnails are untagged sRGB, upright, without any metadata.

    Raises
    ------
    PermanentError
        One of ``OutputTooLargeError``, ``NotAnImageError``, ``UnsupportedImageError``, ``TooManyPixelsError``,
        ``TooManyPartsError``, ``TruncatedImageError`` and ``CorruptImageError``.
    MemoryError
        Out of memory; a retry may succeed.
    """
    picture = open_original(original, limits)
    seen, timing = picture.as_seen(), None
    warnings: dict[str, None] = {}
    plans = [_plan(picture, rendition) for rendition in recipe.renditions]
    crops = list(dict.fromkeys(plan.crop for plan in plans))
    animated = [plan for plan in plans if plan.is_animated]
    frames = picture.frames if animated else 1
    check_frame(picture.width, picture.height, picture.frames, limits)
    check_output(_count_pixels(plans), limits)
    if warning := why_still(frames, picture.frame_pixels, _count_pixels(animated), limits):
        frames = 1
        warnings[warning] = None

    sequences: dict[Crop, list[Image.Image]] = {crop: [] for crop in crops}
    durations: list[int] = []
    is_as_stored = picture.orientation == 1
    for raster in decode(picture, crops, frames):
        durations.append(raster.duration)
        for index, small in shrink(raster, crops):
            coloured, warning = to_srgb(small, picture.profile)
            is_as_stored = is_as_stored and coloured is small
            sequences[crops[index]].append(turn_upright(coloured, picture.orientation))
            if warning:
                warnings[warning] = None
    if len(durations) < frames:
        warnings[f"Frame {len(durations) + 1} of {frames} is broken; only the frames before it were kept."] = None
    if len(durations) > 1:
        timing = Timing(tuple(durations), picture.plays)
    is_as_stored = is_as_stored and len(durations) == picture.frames
    has_palette = picture.format == "PNG" and picture.image.mode == "P"
    settings = JpegSettings.of(picture.image)
    file = _File(seen, len(original), picture.data, settings, has_palette=has_palette, is_as_stored=is_as_stored)
    # Free the original's pixels before encoding.
    del picture, raster

    if any(frame.mode in TRANSPARENT for sequence in sequences.values() for frame in sequence):
        check_transparent_output(_count_pixels(plans), limits)
    thumbnails = []
    for plan in plans:
        moves = timing if plan.is_animated else None
        sequence = sequences[plan.crop] if moves else sequences[plan.crop][:1]
        thumbnails.append(_encode(plan, sequence, moves, file))
    smallest = min(crops, key=lambda crop: crop.width * crop.height)
    return Result(seen, tuple(thumbnails), make_placeholder(sequences[smallest][0]), tuple(warnings))


@dataclass(frozen=True, slots=True)
class _Plan:
    """One thumbnail: the request, the region and the size before turning upright, and the possible encoders."""

    rendition: Rendition
    crop: Crop
    encoders: Encoders

    @property
    def is_animated(self) -> bool:
        """Whether it is animated if the original is."""
        return self.rendition.format in _ANIMATED_OUTPUTS


@dataclass(frozen=True, slots=True)
class _File:
    """The original: its upright size, its bytes, the file that is decoded, and whether its pixels are unchanged."""

    seen: Original
    size: int
    stored: bytes
    settings: JpegSettings | None
    has_palette: bool
    is_as_stored: bool


def _plan(picture: Picture, rendition: Rendition) -> _Plan:
    sideways = picture.is_sideways
    crop = choose_crop(picture.width, picture.height, rendition.box, rendition.fit, sideways=sideways)
    return _Plan(rendition, crop, choose_encoders(picture.format, rendition.format))


def _count_pixels(plans: list[_Plan]) -> dict[str, list[int]]:
    """Return the pixels of a frame of each thumbnail, by format."""
    pixels: dict[str, list[int]] = {}
    for plan in plans:
        size = plan.rendition.box if plan.rendition.fit is Fit.PAD else plan.crop
        pixels.setdefault(plan.encoders.opaque.format, []).append(size.width * size.height)
    return pixels


def _encode(plan: _Plan, frames: list[Image.Image], timing: Timing | None, file: _File) -> Thumbnail:
    rendition, seen = plan.rendition, file.seen
    is_transparent = any(frame.mode in TRANSPARENT for frame in frames)
    encoder = plan.encoders.transparent if is_transparent else plan.encoders.opaque
    finished = [finish(each, rendition.box, rendition.fit, keeps_transparency=encoder.transparency) for each in frames]
    alike = make_alike(finished)
    is_whole = (encoder.format, *alike[0].size) == (seen.format, seen.width, seen.height)
    own = file.settings if is_whole else None
    data = encoder.encode(alike, timing, rendition.quality, enough=file.size, own=own, has_palette=file.has_palette)
    if is_whole and file.is_as_stored and len(data) > file.size:
        data = strip(file.stored, seen) or data
    return Thumbnail(rendition, data, encoder.format, encoder.content_type, encoder.extension, *alike[0].size)
