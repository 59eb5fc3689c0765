"""TIFF: libvips unpacks the samples, and the engine makes of them what they mean."""

from dataclasses import dataclass
from math import gcd
from typing import Any

import pyvips  # type: ignore[import-untyped]  # ships no type hints

from functions.resize.formats.tiff_layout import read_layout, with_directories
from functions.resize.formats.tiff_samples import Samples, read_samples

_WHITE = 255


@dataclass(frozen=True, slots=True)
class Unpacked:
    """The first picture of a file, to be read from top to bottom.

    Attributes
    ----------
    picture : pyvips.Image
        Bands of 8 bits. Damaged strips are errors when the pixels are read.
    mode : str
        Pillow's name for what the bands are.
    data : bytes
        What libvips reads, which must outlive the picture.
    """

    picture: Any
    mode: str
    data: bytes


def open_samples(original: bytes) -> Unpacked:
    """Open the first picture of a file.

    Raises
    ------
    UnsupportedImageError
    pyvips.Error
    """
    layout = read_layout(original)
    samples = read_samples(layout)
    data = original
    # libvips counts the pages, and for that libtiff reads the tags of all of them, which may name the same megabytes.
    if samples.pages or not layout.is_alone:
        data = with_directories(original, layout, list(samples.pages) or [{}])
    # Planes of samples that mean nothing are not read.
    pages = min(max(1, len(samples.pages)), samples.colours + samples.alpha)
    planes = [_open_page(data, page) for page in range(pages)]
    if samples.packed:
        planes = [_unpack(plane, samples) for plane in planes]
    picture = planes[0].bandjoin(planes[1:]) if len(planes) > 1 else planes[0]
    if picture.format != "uchar":
        picture = picture.cast("uchar", shift=True)
    # Of shades of grey, libvips takes the last band for alpha.
    interpretation = "b-w" if samples.mode in {"1", "L", "LA"} else "cmyk" if samples.mode == "CMYK" else "srgb"
    meant = _interpret(picture, samples).copy(interpretation=interpretation)
    return Unpacked(meant, samples.mode, data)


def _open_page(data: bytes, page: int) -> Any:
    # A source reads the bytes where they are; a buffer would copy them.
    source = pyvips.Source.new_from_memory(data)
    # A warning is mostly about a tag that libtiff does not know. libvips' own limits refuse large strips.
    return pyvips.Image.tiffload_source(source, page=page, access="sequential", fail_on="error", unlimited=True)


def _unpack(page: Any, samples: Samples) -> Any:
    """Make samples of 8 bits, the upper ones, from rows of packed bytes."""
    bits = samples.packed
    # The smallest group of bytes that ends with a sample.
    group = bits // gcd(bits, 8)
    padded = page.embed(0, 0, -(-page.width // group) * group, page.height)
    folded = padded.bandfold(factor=group).bandsplit()
    unpacked = []
    for place in range(0, 8 * group, bits):
        byte, shift = divmod(place, 8)
        upper = folded[byte] << shift
        if shift and byte + 1 < group:
            upper |= folded[byte + 1] >> (8 - shift)
        if bits < 8:  # noqa: PLR2004 - of a byte
            upper = ((upper >> (8 - bits)) * (_WHITE / (2**bits - 1))).rint()
        unpacked.append(upper.cast("uchar"))
    row = unpacked[0].bandjoin(unpacked[1:]).bandunfold()
    return row.crop(0, 0, samples.width * samples.together, page.height).bandfold(factor=samples.together)


def _interpret(picture: Any, samples: Samples) -> Any:
    """Choose the bands of the mode, and put CMYK with alpha on white."""
    if samples.mode in {"RGB", "RGBA"} and picture.bands < 3:  # noqa: PLR2004 - a colour map of shades of grey
        grey, *alpha = picture.bandsplit()
        picture = grey.bandjoin([grey, grey, *alpha])
    colours = len(samples.mode.removesuffix("A")) if samples.mode != "YCbCr" else 3
    colour = picture[0:colours]
    if samples.inverted:
        colour = colour.invert()
    if not samples.alpha:
        return colour
    alpha = picture[colours]
    if samples.mode == "CMYK":
        # Inks that are multiplied by alpha are on white already.
        return colour if samples.premultiplied else (colour * alpha / _WHITE).rint().cast("uchar")
    whole = colour.bandjoin(alpha)
    return whole.unpremultiply(max_alpha=_WHITE).cast("uchar") if samples.premultiplied else whole
