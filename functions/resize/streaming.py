"""Large PNG and WebP files, decoded row by row and shrunk on the way by libvips.

Pillow decodes these two into the whole picture first: 4 bytes a pixel for PNG, 16 for WebP, and most of
the time goes into memory and scalar unfiltering. libvips holds a few rows, unfilters with SIMD, and lets
libwebp scale while it decodes. Only the two loaders named here are ever called.
"""

import pyvips  # type: ignore[import-untyped]  # ships no type hints
from PIL import Image

# Operations and their inputs would be kept for the next call, which has another original.
pyvips.cache_set_max(0)

# libwebp averages source pixels; with fewer than two for each, some weigh twice what their neighbours do.
_FINEST_WEBP_SCALE = 0.5

_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def decode_shrunk(original: bytes, format: str, scale: float) -> tuple[Image.Image, float, float] | None:
    """Decode a still picture at a fraction of its size.

    Parameters
    ----------
    original : bytes
    format : str
        ``PNG``, or ``WEBP`` without transparency (libwebp scales colours that are not premultiplied).
    scale : float
        Up to 1: the result has at least this fraction of the picture's width and height. PNG shrinks by
        the next smaller whole number with a box filter.

    Returns
    -------
    image : Image
        ``L``, ``LA``, ``RGB`` or ``RGBA``, in the colours of the file.
    scale_x, scale_y : float
        Pixels of it for each pixel of the file; the last column and row may be part of one.

    ``None`` instead where libvips does not decode the file without complaint, so that the plain decoder
    has the last word.
    """
    try:
        if format == "WEBP":
            whole = pyvips.Image.webpload_buffer(original, fail_on="error")
            picture = (
                whole
                if scale > _FINEST_WEBP_SCALE
                else pyvips.Image.webpload_buffer(original, scale=scale, fail_on="error")
            )
            scales = picture.width / whole.width, picture.height / whole.height
        else:
            factor = max(1, int(1 / scale))
            picture = pyvips.Image.pngload_buffer(original, access="sequential", fail_on="error")
            picture = _shrink(picture, factor)
            scales = 1 / factor, 1 / factor
        pixels = picture.write_to_memory()
    except pyvips.Error:
        return None
    mode = _MODES[picture.bands]
    return Image.frombuffer(mode, (picture.width, picture.height), pixels, "raw", mode, 0, 1), *scales


def _shrink(picture: pyvips.Image, factor: int) -> pyvips.Image:
    """Average blocks of factor x factor pixels, with the alpha premultiplied, into 8-bit samples."""
    if picture.format == "ushort":
        picture = (picture >> 8).cast("uchar")
    if factor == 1:
        return picture
    if picture.hasalpha():
        return picture.premultiply().shrink(factor, factor, ceil=True).unpremultiply().rint().cast("uchar")
    return picture.shrink(factor, factor, ceil=True)
