"""PNG: write a palette if there are few colours, and choose the compression that suits the picture."""

import io
import zlib
from collections.abc import Iterator
from typing import Any, cast

from PIL import Image, PngImagePlugin

from functions.resize.gif_palette import index_exactly

# Level 3 with filters makes 0.78 times sharp's bytes.
_LEVEL = 3
# Photographs repeat hardly anything except runs. Looking for runs only (Z_RLE of deflateInit2,
# https://www.zlib.net/manual.html) takes two thirds of the time, and makes mostly 0.83 to 1.01 times the bytes. For
# graphics it makes up to 1.3 times the bytes.
_STRATEGIES = (zlib.Z_DEFAULT_STRATEGY, zlib.Z_RLE)
# For a large picture, the strategy is chosen by compressing some bands of rows. Small ones are compressed both ways.
_BANDS = 4
_BAND_ROWS = 8
_LARGE = 100_000
# The faster strategy is used if it makes at most this many times the bytes.
_AS_SMALL = 1.02
# Grey without a palette takes 8 bits a pixel. More greys than this need 8 bits with a palette too, which saves nothing.
_FEW_GREYS = 16
_FEW = 256
# Compressing more pixels than this a second time takes seconds.
_MOST_PIXELS = 4_000_000
_OPAQUE = 255


def encode_png(image: Image.Image, enough: int | None, *, has_palette: bool) -> bytes:
    """Write a picture without changing its colours.

    Parameters
    ----------
    image : Image
        ``L``, ``LA``, ``RGB`` or ``RGBA``.
    enough : int or None
        A file with more bytes than this is compressed again with zlib's best level.
    has_palette : bool
        The original has one, so the file gets one if that is smaller. Without it the mode stays, because programs
        that read the thumbnails may rely on it.
    """
    data = _compress(image)
    if image.width * image.height > _MOST_PIXELS:
        return data
    found = image.getcolors(_FEW_GREYS if image.mode == "L" else _FEW) if has_palette else None
    # A picture of a single colour gains nothing from a palette.
    if found and len(found) > 1:
        data = min(data, _save_with_palette(image), key=len)
    if enough is not None and len(data) > enough:
        data = min(data, _save(image, optimize=True), key=len)
    return data


def _compress(image: Image.Image) -> bytes:
    """Compress with the strategy that suits the picture."""
    width, height = image.size
    if width * height < _LARGE or height < 2 * _BANDS * _BAND_ROWS:
        return min(_compress_in_each_way(image), key=len)
    bands = Image.new(image.mode, (width, _BANDS * _BAND_ROWS))
    for band in range(_BANDS):
        top = (2 * band + 1) * height // (2 * _BANDS)
        bands.paste(image.crop((0, top, width, top + _BAND_ROWS)), (0, band * _BAND_ROWS))
    thorough, fast = map(len, _compress_in_each_way(bands))
    return _save(image, compress_level=_LEVEL, compress_type=_STRATEGIES[fast <= thorough * _AS_SMALL])


def _compress_in_each_way(image: Image.Image) -> Iterator[bytes]:
    for strategy in _STRATEGIES:
        yield _save(image, compress_level=_LEVEL, compress_type=strategy)


def _save(image: Image.Image, **options: Any) -> bytes:
    output = io.BytesIO()
    image.save(output, PngImagePlugin.PngImageFile.format, **options)
    return output.getvalue()


def _save_with_palette(image: Image.Image) -> bytes:
    """Write the indices of at most 256 colours, in 1, 2, 4 or 8 bits."""
    rgba = image.convert("RGBA")
    counts = cast("list[tuple[int, tuple[int, int, int, int]]]", rgba.getcolors(_FEW))
    # tRNS ends with the last index that is not opaque, so opaque colours come last.
    entries = sorted((entry for _, entry in counts), key=lambda entry: entry[3] == _OPAQUE)
    # Median cut takes three channels, and RGBA has four. So alpha needs a second pass, on colour indices and alpha.
    colours = list({entry[:3]: None for entry in entries})
    places = {colour: place for place, colour in enumerate(colours)}
    indices = index_exactly(rgba, colours)
    if entries[0][3] != _OPAQUE:
        pairs = Image.merge("RGB", (indices, rgba.getchannel("A"), Image.new("L", rgba.size)))
        indices = index_exactly(pairs, [(places[entry[:3]], entry[3], 0) for entry in entries])
    coded = Image.frombytes("P", image.size, indices.tobytes())
    coded.putpalette([level for entry in entries for level in entry[:3]])
    alphas = bytes(entry[3] for entry in entries if entry[3] != _OPAQUE)
    return _save(coded, optimize=True, **({"transparency": alphas} if alphas else {}))
