"""TIFF: libvips decompresses the samples, and the engine interprets them."""

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
        Bands of 8 bits. Damaged strips raise an error only when the pixels are read.
    mode : str
        Pillow's mode for the bands.
    data : bytes
        The file that libvips reads. Keep it as long as the picture.
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
    # libvips counts the pages. For that libtiff reads the tags of every page, and all may point to the same megabytes.
    if samples.pages or not layout.is_alone:
        data = with_directories(original, layout, list(samples.pages) or [{}])
    # Planes that are neither colour nor alpha are not read.
    pages = min(max(1, len(samples.pages)), samples.colours + samples.alpha)
    planes = [_open_page(data, page) for page in range(pages)]
    if samples.packed:
        planes = [_unpack(plane, samples) for plane in planes]
    picture = planes[0].bandjoin(planes[1:]) if len(planes) > 1 else planes[0]
    if picture.format != "uchar":
        picture = picture.cast("uchar", shift=True)
    # If the interpretation stayed grey, libvips would take the last band of a colour for alpha.
    interpretation = "b-w" if samples.mode in {"1", "L", "LA"} else "cmyk" if samples.mode == "CMYK" else "srgb"
    meant = _interpret(picture, samples).copy(interpretation=interpretation)
    return Unpacked(meant, samples.mode, data)


def _open_page(data: bytes, page: int) -> Any:
    # A source reads the bytes in place; a buffer would copy them.
    source = pyvips.Source.new_from_memory(data)
    # Most warnings are about tags that libtiff does not know. Without ``unlimited``, libvips refuses large strips.
    return pyvips.Image.tiffload_source(source, page=page, access="sequential", fail_on="error", unlimited=True)


def _unpack(page: Any, samples: Samples) -> Any:
    """Unpack rows of packed bytes to samples of 8 bits, and drop the lower bits of larger samples."""
    bits = samples.packed
    # Bytes of the smallest group that ends with a whole sample.
    group = bits // gcd(bits, 8)
    padded = page.embed(0, 0, -(-page.width // group) * group, page.height)
    folded = padded.bandfold(factor=group).bandsplit()
    unpacked = []
    for place in range(0, 8 * group, bits):
        byte, shift = divmod(place, 8)
        upper = folded[byte] << shift
        if shift and byte + 1 < group:
            upper |= folded[byte + 1] >> (8 - shift)
        if bits < 8:  # noqa: PLR2004 - bits of a byte
            upper = ((upper >> (8 - bits)) * (_WHITE / (2**bits - 1))).rint()
        unpacked.append(upper.cast("uchar"))
    row = unpacked[0].bandjoin(unpacked[1:]).bandunfold()
    return row.crop(0, 0, samples.width * samples.together, page.height).bandfold(factor=samples.together)


def _interpret(picture: Any, samples: Samples) -> Any:
    """Select the bands of the mode, and flatten CMYK with alpha onto white."""
    if samples.mode in {"RGB", "RGBA"} and picture.bands < 3:  # noqa: PLR2004 - a colour map of greys
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
        # Premultiplied inks are on white already.
        return colour if samples.premultiplied else (colour * alpha / _WHITE).rint().cast("uchar")
    whole = colour.bandjoin(alpha)
    return whole.unpremultiply(max_alpha=_WHITE).cast("uchar") if samples.premultiplied else whole
