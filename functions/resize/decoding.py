"""Decode at the smallest scale that is sufficient for all crops."""

from collections.abc import Iterator
from contextlib import suppress

from PIL import Image, ImageFile

from functions.resize.formats import FORMATS
from functions.resize.formats.jpeg_scans import drop_scans
from functions.resize.geometry import Crop
from functions.resize.opening import Picture, decoder_errors, open_image
from functions.resize.pixels import TRANSPARENT, TWO_TONE, to_working_mode
from functions.resize.resampling import Raster, libvips, weigh_edges

# Two-tone pictures must be resampled by the kernel only, and libvips converts CMYK in another way than Pillow.
_NOT_STREAMED = {TWO_TONE, "CMYK", "YCbCr"}
# Streaming pictures with fewer pixels saves nothing.
_STREAMED_FROM = 500_000
# If the thumbnails cannot all be resampled from the largest, streaming leaves this many pixels for each output pixel.
_STREAMED_HEADROOM = 2.0
# A stored thumbnail has been shrunk and encoded once already. That is invisible if it is this much larger.
_STORED_HEADROOM = 2.0
# A DCT-scaled decode this much larger than the thumbnail keeps the quality of a full one; 1.0 costs 1 dB.
_DCT_HEADROOM = 1.2


def decode(picture: Picture, crops: list[Crop], frames: int) -> Iterator[Raster]:
    """Decode the first frames, one at a time; fewer if a later frame of a GIF is broken.

    Raises
    ------
    TruncatedImageError, CorruptImageError, UnsupportedImageError
    """
    with decoder_errors(picture.format, picture.original):
        if picture.format == "JPEG":
            yield _decode_jpeg(picture, crops)
        elif picture.format == "GIF":
            yield from _decode_gif(picture, frames)
        elif raster := (
            _decode_stored_thumbnail(picture, crops) or _decode_streamed(picture, crops) or _decode_keyed(picture)
        ):
            yield raster
        else:
            yield from _decode_frames(picture, frames)


def _decode_stored_thumbnail(picture: Picture, crops: list[Crop]) -> Raster | None:
    """Decode the thumbnail that phones store in a HEIC file, if it is large enough for all crops.

    ``None`` if there is none, if it differs from the picture in aspect ratio, transparency or profile, or if it cannot
    be decoded. Also ``None`` for files that were cut short, so that these are refused for every box.
    """
    if picture.format != "HEIF" or picture.image.mode != "RGB" or FORMATS["HEIF"].rules.is_cut_short(picture.original):
        return None
    from functions.resize.formats.iso_media import show_stored_thumbnail  # noqa: PLC0415 - HEIF only

    # The thumbnail may show the picture uncropped.
    if picture.shown:
        return None
    if (data := show_stored_thumbnail(picture.data)) is None:
        return None
    with suppress(OSError, SyntaxError, ValueError, EOFError, RuntimeError):
        stored = open_image("HEIF", data)
        whole = Crop(0, 0, picture.width, picture.height, *stored.size)
        if (
            abs(stored.width * picture.height - stored.height * picture.width) <= max(picture.width, picture.height)
            and whole.scale <= 1
            and all(whole.scale_x >= _STORED_HEADROOM * crop.scale_x for crop in crops)
            and all(whole.scale_y >= _STORED_HEADROOM * crop.scale_y for crop in crops)
            and stored.info.get("icc_profile") in {None, picture.profile}
            and stored.mode == picture.image.mode
        ):
            stored.load()
            return Raster(stored, whole)
    return None


def _decode_keyed(picture: Picture) -> Raster | None:
    """Decode a PNG with libvips, which compares a transparent colour with all bits of a sample.

    ``None`` if Pillow does so as well.
    """
    if picture.format != "PNG":
        return None
    from functions.resize.formats.png import has_scaled_key  # noqa: PLC0415 - PNG only

    if not has_scaled_key(picture.image):
        return None
    size = picture.image.size
    decoded = libvips().decode(picture.data, "PNG", size, (0, 0, *size))
    if decoded is None:
        raise OSError("libvips cannot decode the picture, and Pillow would make other pixels transparent.")
    image, shown = decoded
    return _place(to_working_mode(image, "PNG"), picture, shown)


def _decode_frames(picture: Picture, frames: int) -> Iterator[Raster]:
    image = picture.image
    if FORMATS[picture.format].is_raw_when_read:
        image.decodermaxblock = 4 * image.width * image.height
    for frame in range(frames):
        if frame:
            image.seek(frame)
        image.load()
        working = to_working_mode(image.crop(picture.shown) if picture.shown else image, picture.format)
        whole = Crop(0, 0, *working.size, *working.size)
        yield Raster(working, whole, image.info.get("duration", 0), is_two_tone=image.mode == TWO_TONE)


def _decode_gif(picture: Picture, frames: int) -> Iterator[Raster]:
    from functions.resize.formats.gif_frames import compose_frames  # noqa: PLC0415 - GIF only

    size = (picture.width, picture.height)
    for image, duration in compose_frames(picture.data, size, frames):
        yield Raster(to_working_mode(image, picture.format), Crop(0, 0, *size, *size), duration)


def _decode_jpeg(picture: Picture, crops: list[Crop]) -> Raster:
    """Shrink by 2, 4 or 8 in the inverse DCT, and drop the scans that are not visible at that scale."""
    scale = max(crop.scale for crop in crops)
    denominator = next((n for n in (8, 4, 2) if scale * _DCT_HEADROOM * n <= 1), 1)
    image: Image.Image | None = None
    if coarse := drop_scans(picture.data, denominator, 1 / (scale * denominator)):
        # If libjpeg refuses the file without these scans, decode the whole file.
        with suppress(OSError, SyntaxError, ValueError):
            image = _load_jpeg(open_image("JPEG", coarse), denominator, len(coarse))
    elif raster := _decode_streamed(picture, crops, denominator):
        return raster
    if image is None:
        image = _load_jpeg(picture.image, denominator, len(picture.data))
    shown = (0, 0, image.width * denominator, image.height * denominator)
    return _place(to_working_mode(image, picture.format), picture, shown)


def _load_jpeg(image: ImageFile.ImageFile, denominator: int, size: int) -> Image.Image:
    image.draft(None, (image.width // denominator, image.height // denominator))
    # In one block: libjpeg would start again at the first byte of a block that it could not finish.
    image.decodermaxblock = size
    image.load()
    return image


def _decode_streamed(picture: Picture, crops: list[Crop], denominator: int = 1) -> Raster | None:
    """Decode a large still picture row by row, so that it is never completely in memory; ``None`` if that fails.

    It is decoded directly to the size of the largest thumbnail if that shows every row and the others can be made from
    it.
    """
    pixels = picture.width * picture.height / denominator**2
    if not FORMATS[picture.format].is_streamed or picture.frames > 1 or pixels < _STREAMED_FROM:
        return None
    if picture.image.mode in _NOT_STREAMED:
        return None
    largest = max(crops, key=lambda crop: crop.scale)
    holds_others = all(crop is largest or largest.is_enough_for(crop) for crop in crops)
    # Rows outside a crop are not read, so damage in them would be an error for some boxes only.
    if not holds_others or (largest.top, largest.bottom) != (0, picture.height):
        scale = min(1 / denominator, largest.scale * _STREAMED_HEADROOM)
        size = (max(1, int(picture.width * scale)), max(1, int(picture.height * scale)))
        largest = Crop(0, 0, picture.width, picture.height, *size)
    decoded = libvips().decode(
        picture.data,
        picture.format,
        (largest.width, largest.height),
        (largest.left, largest.top, largest.right, largest.bottom),
        denominator,
    )
    if decoded is None:
        return None
    image, shown = decoded
    # For WebP, libvips relies on the header for transparency, while Pillow checks the pixels.
    if picture.image.mode == "RGBA" and image.mode not in TRANSPARENT:
        return None
    return _place(to_working_mode(image, picture.format), picture, shown)


def _place(image: Image.Image, picture: Picture, shown: tuple[float, float, float, float]) -> Raster:
    """Return a shrunk picture with the region of the original that it shows, which may extend beyond the edge."""
    crop = Crop(*shown, *image.size)
    beyond_x = (crop.right - picture.width) * crop.scale_x
    beyond_y = (crop.bottom - picture.height) * crop.scale_y
    return Raster(weigh_edges(image, beyond_x, beyond_y), crop)
