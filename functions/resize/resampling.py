"""Resampling: shrink a decoded picture to every crop, the largest first."""

from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType

from PIL import Image, ImageFile

from functions.resize.geometry import ROUNDING, Crop
from functions.resize.pixels import convert, premultiply

# Importing libvips takes 40 ms; below this many pixels it costs more than it saves.
_LIBVIPS_FROM = 250_000
# Above this, the copy that libvips needs takes too much memory.
_LIBVIPS_UP_TO = 16_000_000
_LIBVIPS_MODES = {"RGB", "RGBa", "CMYK"}
# The box filter before the kernel leaves at least this many pixels for each output pixel.
_REDUCING_GAP = 1.5
# Instead of dividing by the pixels of a box, Pillow's box filter multiplies by 2^24 / pixels, rounded down (Reduce.c,
# division_UINT32). Boxes with more than this many pixels on a side would become darker.
_LARGEST_REDUCTION = 128


@dataclass(frozen=True, slots=True)
class Raster:
    """A decoded picture, from which the thumbnails are made.

    Attributes
    ----------
    image : Image
        In a working mode.
    crop : Crop
        The region of the original that it shows.
    duration : int
        Milliseconds, for a frame of an animation.
    is_two_tone : bool
        Only black and white: any filter before the kernel would be visible.
    """

    image: Image.Image
    crop: Crop
    duration: int = 0
    is_two_tone: bool = False


def libvips() -> ModuleType:
    """Import libvips on first use: many originals are small JPEG files."""
    from functions.resize import libvips as module  # noqa: PLC0415 - as above

    return module


def shrink(decoded: Raster, crops: list[Crop]) -> Iterator[tuple[int, Image.Image]]:
    """Resize to every crop, largest first, each from the smallest picture that is large enough.

    Yields
    ------
    index : int
        Index in ``crops``.
    image : Image
    """
    rasters = [decoded]
    premultiplied: Image.Image | None = None
    for index in sorted(range(len(crops)), key=lambda index: -crops[index].scale):
        crop = crops[index]
        raster = next((raster for raster in reversed(rasters) if raster.crop.is_enough_for(crop)), decoded)
        if raster is decoded and crop != decoded.crop and not decoded.is_two_tone:
            # Premultiply once for all sizes: it takes 0.24 s for 50 megapixels, three times as long as the box filter.
            premultiplied = premultiplied or premultiply(decoded.image)
        small = _resample(raster, crop, premultiplied if raster is decoded else None)
        yield index, small
        if not decoded.is_two_tone:
            rasters.append(Raster(small, crop))


def _resample(raster: Raster, crop: Crop, premultiplied: Image.Image | None) -> Image.Image:
    """Resize a region: a box filter for the integer part of the factor, the Lanczos kernel for the rest."""
    if crop == raster.crop:
        # Copy, because the decoder reuses its picture for the next frame.
        return raster.image.copy() if isinstance(raster.image, ImageFile.ImageFile) else raster.image
    image, size = raster.image, (crop.width, crop.height)
    left, right = ((x - raster.crop.left) * raster.crop.scale_x for x in (crop.left, crop.right))
    top, bottom = ((y - raster.crop.top) * raster.crop.scale_y for y in (crop.top, crop.bottom))
    left, top, right, bottom = max(0, left), max(0, top), min(right, image.width), min(bottom, image.height)
    if raster.is_two_tone:
        return image.resize(size, Image.Resampling.LANCZOS, box=(left, top, right, bottom))
    image = premultiplied or premultiply(image)
    factor_x = min(max(1, int((right - left) / crop.width / _REDUCING_GAP)), _LARGEST_REDUCTION)
    factor_y = min(max(1, int((bottom - top) / crop.height / _REDUCING_GAP)), _LARGEST_REDUCTION)
    if (factor_x, factor_y) != (1, 1):
        beyond = -image.width % factor_x / factor_x, -image.height % factor_y / factor_y
        image = weigh_edges(image.reduce((factor_x, factor_y)), *beyond)
    region = (left / factor_x, top / factor_y, right / factor_x, bottom / factor_y)
    small = None
    if (
        image.mode in _LIBVIPS_MODES
        and image.width * image.height <= _LIBVIPS_UP_TO
        and (region[2] - region[0]) * (region[3] - region[1]) >= _LIBVIPS_FROM
    ):
        small = libvips().resample(image, size, region)
    if small is None:
        small = image.resize(size, Image.Resampling.LANCZOS, region)
    return convert(small, raster.image.mode)


def weigh_edges(image: Image.Image, beyond_x: float, beyond_y: float) -> Image.Image:
    """Reduce the weight of the last column and row to the fraction of them that is within the picture.

    The kernel gives all pixels equal weight, so a line at the edge would be far more visible than one inside. The last
    column and its neighbour are blended, so that the neighbour takes over the rest of the weight.

    Parameters
    ----------
    image : Image
        Changed in place.
    beyond_x, beyond_y : float
        Fraction of the last column, and of the last row, outside the picture.
    """
    width, height = image.size
    for beyond, last, before in (
        (beyond_x, (width - 1, 0, width, height), (width - 2, 0, width - 1, height)),
        (beyond_y, (0, height - 1, width, height), (0, height - 2, width, height - 1)),
    ):
        if beyond < ROUNDING or min(before) < 0:
            continue
        edge, neighbour = (premultiply(image.crop(side)) for side in (last, before))
        share = 1 - beyond
        image.paste(convert(Image.blend(neighbour, edge, share * (1 - beyond / 2)), image.mode), last[:2])
        image.paste(convert(Image.blend(neighbour, edge, share * beyond / 2), image.mode), before[:2])
    return image
