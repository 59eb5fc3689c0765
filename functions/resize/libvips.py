"""Shrink with libvips: Lanczos with SIMD, for a picture in memory or row by row from its file.

Pillow's kernel is scalar, and three times slower. Its PNG and WebP decoders first decode the whole picture into
memory, 4 bytes a pixel for PNG and 16 for WebP. Most of their time goes into memory and scalar unfiltering. libvips
keeps only a few rows in memory, unfilters with SIMD, and lets libwebp scale while it decodes. The engine calls only
the four loaders in this module and in ``tiff_unpacking.py``.
"""

from typing import Any

import pyvips  # type: ignore[import-untyped]  # ships no type hints
from PIL import Image

from functions.resize.formats.tiff_unpacking import open_samples
from functions.resize.pixels import TWO_TONE

# The next call has another original, so caching operations and their inputs only costs memory.
pyvips.cache_set_max(0)
# The function has one processor, and more threads would request the rows of a file out of order.
pyvips.concurrency_set(1)

# libvips centres its kernel on whole pixels. If that shifts the result by more than this fraction of an output pixel,
# Pillow resamples instead, because it places a region exactly.
_SHIFT = 1 / 16
# The box filter shrinks by a whole number, and leaves at least this many pixels for each output pixel. The kernel does
# the rest.
_GAP = 2
# libvips pads boxes at the edge with copies of the last pixel. In larger boxes than this, a line at the edge would be
# far more visible than one inside, so larger steps average whole boxes only.
_LARGEST_FILLED_BOX = 2
_LARGE_STEP = 8
# Above this, Pillow's box filter is off by more than 0.1 %, and libvips raises an error.
_LARGEST_FACTOR = 10_000
# libwebp averages source pixels. With fewer than two for each output pixel, some get twice the weight of others.
_FINEST_WEBP_SCALE = 0.5
# libwebp leaves this many pixels for each output pixel; the kernel does the rest.
_WEBP_HEADROOM = 1.5
# Passed explicitly: after the cast libvips still assumes 16-bit alpha.
_OPAQUE = 255

_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
_PREMULTIPLIED = {1: "L", 2: "La", 3: "RGB", 4: "RGBa"}

Size = tuple[int, int]
Region = tuple[float, float, float, float]


def resample(image: Image.Image, size: Size, region: Region) -> Image.Image | None:
    """Shrink a region of a picture with the Lanczos kernel.

    Parameters
    ----------
    image : Image
        3 or 4 bands of 8 bits; alpha premultiplied (``RGBa``).
    size : (width, height)
        Pixels of the result.
    region : (left, top, right, bottom)
        The region, pixels of the picture, as in Pillow's ``resize``.

    Returns
    -------
    Image or None
        ``None`` if the region would be enlarged, if it cannot be placed to a sixteenth of a pixel, or if libvips has
        no kernel for the step: about 700 pixels are too many.
    """
    place = _align(size, region)
    if place is None:
        return None
    steps = (region[2] - region[0]) / size[0], (region[3] - region[1]) / size[1]
    try:
        return _to_pillow(_reduce(_from_pillow(image), place, steps), image.mode)
    except pyvips.Error:
        return None


def decode(
    original: bytes, format: str, size: Size, region: Region, denominator: int = 1
) -> tuple[Image.Image, Region] | None:
    """Decode a still picture and shrink it row by row, so that it is never in memory as a whole.

    Parameters
    ----------
    original : bytes
    format : str
        ``JPEG`` (grey or RGB), ``PNG``, ``WEBP`` or ``TIFF``.
    size : (width, height)
        Pixels of the result.
    region : (left, top, right, bottom)
        The region, pixels of the picture.
    denominator : int
        1, 2, 4 or 8: by how much the inverse DCT of a JPEG shrinks.

    Returns
    -------
    image : Image
        ``L``, ``LA``, ``RGB`` or ``RGBA``, in the colours of the file.
    shown : (left, top, right, bottom)
        What the image shows. If this is the region, the image has the requested size. Else it is the whole picture,
        shrunk by whole numbers, and Pillow has to do the rest. Its last column and row may then extend beyond the
        picture; they are the mean of the pixels within it.

    ``None`` if this would decode a whole JPEG, because Pillow is as fast. ``None`` also if libvips reports a problem
    with the file: then Pillow decodes it, and decides whether it is damaged.
    """
    try:
        scale = max(size[0] / (region[2] - region[0]), size[1] / (region[3] - region[1]))
        if format == "TIFF":
            tiff = open_samples(original)  # kept until the pixels are read
            picture, scale_x, scale_y = tiff.picture, 1.0, 1.0
        else:
            picture, scale_x, scale_y = _open(original, format, scale, denominator)
        scaled = (region[0] * scale_x, region[1] * scale_y, region[2] * scale_x, region[3] * scale_y)
        steps = (scaled[2] - scaled[0]) / size[0], (scaled[3] - scaled[1]) / size[1]
        place = _align(size, scaled) if format == "JPEG" or steps[1] < _LARGE_STEP else None
        if place is None and format == "JPEG":
            return None
        factors = tuple(min(max(1, int(step / _GAP)), _LARGEST_FACTOR) for step in steps)
        # Pixels that are not shrunk are not premultiplied, so that they do not change.
        transparent = picture.hasalpha() and max(steps if place else factors) > 1
        if transparent:
            picture = picture.premultiply(max_alpha=_OPAQUE).rint().cast("uchar")
        small = _reduce(picture, place, steps) if place else _shrink(picture, *factors)
        if transparent:
            small = small.unpremultiply(max_alpha=_OPAQUE).rint().cast("uchar")
        whole = (0, 0, small.width * factors[0] / scale_x, small.height * factors[1] / scale_y)
        return _to_pillow(small, _MODES[small.bands]), region if place else whole
    except pyvips.Error:
        return None


def decode_tiff(original: bytes) -> Image.Image:
    """Decode all of a TIFF file's first picture.

    Raises
    ------
    UnsupportedImageError
    pyvips.Error
        Among others for damaged strips.
    """
    unpacked = open_samples(original)
    if unpacked.mode != TWO_TONE:
        return _to_pillow(unpacked.picture, unpacked.mode)
    size = (unpacked.picture.width, unpacked.picture.height)
    return Image.frombytes(TWO_TONE, size, unpacked.picture.write_to_memory(), "raw", "1;8")


def _open(original: bytes, format: str, scale: float, denominator: int) -> tuple[Any, float, float]:
    """Open a file for sequential reading, and return the scales at which it will be decoded."""
    # A source reads the bytes in place; a buffer would copy them.
    source = pyvips.Source.new_from_memory(original)
    # Pillow treats some of libjpeg's warnings as errors, so Pillow decides then. Those of libpng are about metadata.
    options = {"access": "sequential", "fail_on": "warning" if format == "JPEG" else "error"}
    if format == "JPEG":
        return pyvips.Image.jpegload_source(source, shrink=denominator, **options), 1 / denominator, 1 / denominator
    if format == "PNG":
        picture = pyvips.Image.pngload_source(source, **options)
        return picture.cast("uchar", shift=True) if picture.format == "ushort" else picture, 1, 1
    whole = pyvips.Image.webpload_source(source, **options)
    # libwebp scales colours without premultiplying them.
    if whole.hasalpha() or scale * _WEBP_HEADROOM > _FINEST_WEBP_SCALE:
        return whole, 1, 1
    picture = pyvips.Image.webpload_source(source, scale=scale * _WEBP_HEADROOM, **options)
    return picture, picture.width / whole.width, picture.height / whole.height


def _align(size: Size, region: Region) -> tuple[range, range] | None:
    """Choose whole columns and rows for a region; ``None`` if they would shift it visibly."""
    left, top, right, bottom = region
    columns, rows = _align_axis(left, right, size[0]), _align_axis(top, bottom, size[1])
    return None if columns is None or rows is None else (columns, rows)


def _align_axis(start: float, end: float, outputs: int) -> range | None:
    """Choose whole pixels with the same centre as start to end.

    libvips centres its output pixels on its input, so the edges of the input need not be those of the region. The
    number of output pixels is the size of the input divided by the step, rounded.
    """
    step = (end - start) / outputs
    first = round(start)
    last = round(start + end) - first
    shift = abs(first + last - start - end) / 2
    fitting = int((last - first) / step + 0.5)
    placed = shift <= _SHIFT * step and fitting == outputs
    return range(first, last) if 1 <= step <= _LARGEST_FACTOR and placed else None


def _reduce(picture: Any, place: tuple[range, range], steps: tuple[float, float]) -> Any:
    """Set up shrinking a region with the kernel; libvips computes the pixels on demand."""
    columns, rows = place
    gap_x, gap_y = (max(_GAP, step / (_LARGEST_FILLED_BOX + 0.5)) for step in steps)
    region = picture.crop(columns.start, rows.start, len(columns), len(rows))
    return region.reducev(steps[1], kernel="lanczos3", gap=gap_y).reduceh(steps[0], kernel="lanczos3", gap=gap_x)


def _shrink(picture: Any, factor_x: int, factor_y: int) -> Any:
    """Shrink the whole picture with a box filter; the remaining rows and columns form smaller boxes."""
    left_over = picture.height % factor_y
    whole = picture.height - left_over
    shrunk = picture.crop(0, 0, picture.width, whole).shrinkv(factor_y)
    if left_over:
        shrunk = shrunk.join(picture.crop(0, whole, picture.width, left_over).shrinkv(left_over), "vertical")
    # Joining columns in the same way overwrites pixels (docs/engine.md), so Pillow shrinks the width.
    return _from_pillow(_to_pillow(shrunk, _PREMULTIPLIED[shrunk.bands]).reduce((factor_x, 1)))


def _from_pillow(image: Image.Image) -> Any:
    bands = len(image.getbands())
    return pyvips.Image.new_from_memory(image.tobytes(), image.width, image.height, bands, "uchar")


def _to_pillow(picture: Any, mode: str) -> Image.Image:
    return Image.frombuffer(mode, (picture.width, picture.height), picture.write_to_memory(), "raw", mode, 0, 1)
