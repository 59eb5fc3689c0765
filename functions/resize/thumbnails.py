"""The image engine: the bytes of an original in, the bytes of its thumbnails out.

Pure: no S3, no events, no environment, and no setting of Pillow is changed for the process.
"""

from typing import TYPE_CHECKING

from functions.resize.colour import to_srgb
from functions.resize.decoding import decode
from functions.resize.encoders import JpegSettings, Timing, choose_encoders
from functions.resize.formats import strip
from functions.resize.geometry import choose_crop
from functions.resize.limits import Limits, check_frame, check_output, check_transparent_output, why_still
from functions.resize.opening import open_original, turn_upright
from functions.resize.pixels import TRANSPARENT, finish, make_alike
from functions.resize.recipe import Fit, OutputFormat, Recipe, Result, Thumbnail
from functions.resize.resampling import shrink

if TYPE_CHECKING:
    from PIL import Image

# These stay animated if the original is and its output format supports it; GIF is written only for GIF originals.
_ANIMATED_OUTPUTS = {OutputFormat.SOURCE, OutputFormat.WEBP}
DEFAULT_LIMITS = Limits()


def make_thumbnails(original: bytes, recipe: Recipe, limits: Limits = DEFAULT_LIMITS) -> Result:
    """Make every thumbnail of a recipe from one decode of the original.

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
    frames = picture.frames if recipe.format in _ANIMATED_OUTPUTS else 1
    crops = [
        choose_crop(picture.width, picture.height, box, recipe.fit, sideways=picture.is_sideways)
        for box in recipe.boxes
    ]
    encoders = choose_encoders(picture.format, recipe.format)
    pixels = [size.width * size.height for size in (recipe.boxes if recipe.fit is Fit.PAD else crops)]
    check_frame(picture.width, picture.height, picture.frames, limits)
    check_output(sum(pixels), encoders.opaque.format, limits)
    if warning := why_still(frames, picture.frame_pixels, pixels, encoders.opaque.format, limits):
        frames = 1
        warnings[warning] = None

    sequences: list[list[Image.Image]] = [[] for _ in crops]
    durations: list[int] = []
    is_as_stored = picture.orientation == 1
    for raster in decode(picture, crops, frames):
        durations.append(raster.duration)
        for index, small in shrink(raster, crops):
            coloured, warning = to_srgb(small, picture.profile)
            is_as_stored = is_as_stored and coloured is small
            sequences[index].append(turn_upright(coloured, picture.orientation))
            if warning:
                warnings[warning] = None
    if len(durations) < frames:
        warnings[f"Frame {len(durations) + 1} of {frames} is broken; only the frames before it were kept."] = None
    if len(durations) > 1:
        timing = Timing(tuple(durations), picture.plays)
    settings = JpegSettings.of(picture.image)
    is_as_stored = is_as_stored and len(durations) == picture.frames
    stored, has_palette = picture.data, picture.format == "PNG" and picture.image.mode == "P"
    # The original's pixels are given back before anything is encoded.
    del picture, raster

    is_transparent = any(frame.mode in TRANSPARENT for frame in sequences[0])
    encoder = encoders.transparent if is_transparent else encoders.opaque
    if is_transparent:
        check_transparent_output(sum(pixels), encoder.format, limits)
    thumbnails = []
    for box, sequence in zip(recipe.boxes, sequences, strict=True):
        finished = [finish(frame, box, recipe.fit, keeps_transparency=encoder.transparency) for frame in sequence]
        alike = make_alike(finished)
        is_whole = (encoder.format, *alike[0].size) == (seen.format, seen.width, seen.height)
        own = settings if is_whole else None
        data = encoder.encode(alike, timing, recipe.quality, enough=len(original), own=own, has_palette=has_palette)
        if is_whole and is_as_stored and len(data) > len(original):
            data = strip(stored, seen) or data
        type_ = (encoder.format, encoder.content_type, encoder.extension)
        thumbnails.append(Thumbnail(box, data, *type_, *alike[0].size))
    return Result(seen, tuple(thumbnails), tuple(warnings))
