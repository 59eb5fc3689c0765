"""TIFF: what the samples of a pixel mean, and which kinds are not supported (TIFF 6.0, part 2)."""

# ruff: noqa: PLR2004 - values of tags are those of TIFF 6.0 and the registry of libtiff (tiff.h).

from dataclasses import dataclass, replace

from functions.resize.errors import UnsupportedImageError
from functions.resize.formats.tiff_layout import (
    BITS,
    COLOUR_MAP,
    COMPRESSION,
    EXTRA_SAMPLES,
    INK_SET,
    PHOTOMETRIC,
    PLANAR,
    PREDICTOR,
    SAMPLE_FORMAT,
    SAMPLES,
    STRIP_LENGTHS,
    STRIP_OFFSETS,
    TILE_HEIGHT,
    TILE_LENGTHS,
    TILE_OFFSETS,
    TILE_WIDTH,
    WIDTH,
    YCBCR_SUBSAMPLING,
    Changes,
    Layout,
)

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _INKS, _YCBCR = 0, 1, 2, 3, 5, 6
_COLOURS = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _PALETTE: 1, _INKS: 4, _YCBCR: 3}
_MODES = {_WHITE_IS_ZERO: "L", _BLACK_IS_ZERO: "L", _RGB: "RGB", _PALETTE: "RGB", _INKS: "CMYK", _YCBCR: "RGB"}
_OTHER_COLOURS = {
    4: "a transparency mask",
    8: "Lab samples",
    9: "Lab samples",
    10: "Lab samples",
    32803: "raw sensor samples",
    32844: "LogLuv samples",
    32845: "LogLuv samples",
    34892: "raw sensor samples",
}
_FORMATS = {2: "signed samples", 3: "floating-point samples", 5: "complex samples", 6: "complex samples"}

_NONE, _OLD_JPEG, _JPEG = 1, 6, 7
# Compressions of bytes, independent of the size of a sample: none, LZW, deflate (which has two numbers), PackBits.
_OF_BYTES = {_NONE, 5, 8, 32946, 32773}
# The libtiff in libvips' wheel is built without these, Pillow's with them.
_PILLOWS = {_OLD_JPEG: "old-style JPEG", 34925: "LZMA", 50000: "Zstandard"}
# Corel Draw 10 writes 999 for alpha.
_PREMULTIPLIED, _ALPHAS = 1, {1, 2, 999}
_IN_PLANES = 2
# Enough for CMYK, alpha and spot colours. A small file can declare thousands, and each sample is decompressed.
_MOST_SAMPLES = 16
# Measured: libvips reports a file with larger tiles as damaged.
_TILE_SIDE = 8192
_TILE_BYTES = 1 << 26


@dataclass(frozen=True, slots=True)
class Samples:
    """How to interpret the samples that libtiff decompresses.

    Attributes
    ----------
    mode : str
        Mode of the decoded picture: ``1``, ``L``, ``LA``, ``RGB``, ``RGBA``, ``CMYK`` or ``YCbCr``.
    colours : int
        Number of colour samples, which come first in a pixel.
    alpha : bool
        The sample after the colours is alpha. CMYK with alpha is flattened onto white.
    pages : tuple of Changes
        Directories that replace the first one: one for each plane, or a single one for samples that are not in
        planes. They declare the samples as grey, so that libvips does not interpret them, and the engine does.
        Empty if libvips interprets the samples correctly.
    inverted : bool
        Zero is white, and libvips does not invert the samples.
    premultiplied : bool
        The colours are premultiplied by alpha, and libvips does not undo that.
    packed : int
        Bits of a sample if libvips does not support that number and reads plain bytes instead; else 0.
    width, together : int
        If packed: pixels of a row, and interleaved samples of a pixel (1 if each sample has its own plane).
    by_pillow : bool
        libvips cannot decompress the file, so Pillow does.
    """

    mode: str
    colours: int
    alpha: bool = False
    pages: tuple[Changes, ...] = ()
    inverted: bool = False
    premultiplied: bool = False
    packed: int = 0
    width: int = 0
    together: int = 1
    by_pillow: bool = False


def read_samples(layout: Layout) -> Samples:
    """Find out what the samples mean.

    Raises
    ------
    UnsupportedImageError
    """
    samples = layout.get(SAMPLES, 1)
    bits = layout.get(BITS, 1)
    compression = layout.get(COMPRESSION, _NONE)
    photometric = _read_photometric(layout, samples)
    _check_kind(layout, photometric, samples, bits)
    _check_size(layout, samples, bits)

    colours = _COLOURS[photometric]
    extra = layout.numbers.get(EXTRA_SAMPLES, ())
    # libtiff takes one extra sample for alpha if the file does not declare its meaning.
    undeclared = not extra and samples == colours + 1 and photometric in {_BLACK_IS_ZERO, _WHITE_IS_ZERO, _RGB}
    alpha = samples > colours and (undeclared or (bool(extra) and extra[0] in _ALPHAS))
    premultiplied = alpha and bool(extra) and extra[0] == _PREMULTIPLIED
    mode = _MODES[photometric]
    if alpha and mode != "CMYK":
        mode += "A"
    if compression in _PILLOWS:
        return _leave_to_pillow(layout, photometric, mode, bits)
    if photometric == _PALETTE:
        return _read_palette(layout, mode, alpha=alpha, premultiplied=premultiplied)
    if photometric == _YCBCR:
        # libvips asks libtiff for RGB, unless every pixel has its own chroma samples.
        is_plain = compression != _JPEG and layout.numbers.get(YCBCR_SUBSAMPLING, (2, 2)) == (1, 1)
        return Samples("YCbCr" if is_plain else "RGB", colours)
    if bits == 1 and samples == 1 and PHOTOMETRIC in layout.entries:
        return Samples("1", colours)
    packed = bits not in {8, 16} and (bits not in {2, 4} or samples > 1)
    planar = layout.get(PLANAR, 1) == _IN_PLANES and samples > 1
    is_known = PHOTOMETRIC in layout.entries and not packed and not planar
    # libvips takes any premultiplied sample for alpha, and divides 16-bit inks by it as if they had 8 bits.
    if is_known and (_PREMULTIPLIED not in extra or (extra == (_PREMULTIPLIED,) and photometric != _INKS)):
        return Samples(mode, colours, alpha)
    inverted = photometric == _WHITE_IS_ZERO
    meant = Samples(mode, colours, alpha, inverted=inverted, premultiplied=premultiplied)
    return _rewrite(meant, layout, packed=bits if packed else 0, planar=planar)


def _read_palette(layout: Layout, mode: str, *, alpha: bool, premultiplied: bool) -> Samples:
    bits, samples = layout.get(BITS, 1), layout.get(SAMPLES, 1)
    is_alone = samples == 1 and bits in {1, 2, 4, 8}
    if not is_alone and (bits != 8 or premultiplied or layout.get(PLANAR, 1) == _IN_PLANES):
        raise _unsupported(f"a colour map for {bits}-bit samples" if samples == 1 else "a colour map and alpha")
    return Samples(mode, _COLOURS[_PALETTE], alpha)


def _rewrite(meant: Samples, layout: Layout, *, packed: int, planar: bool) -> Samples:
    """Declare the samples as grey, plane by plane, and as bytes if libvips does not support their size."""
    if packed and (layout.get(COMPRESSION, _NONE) not in _OF_BYTES or layout.get(PREDICTOR, 1) != 1):
        raise _unsupported(f"compressed {packed}-bit samples")
    samples, bits, width = layout.get(SAMPLES, 1), layout.get(BITS, 1), layout.get(WIDTH, 0)
    together = 1 if planar else samples
    changes: Changes = dict.fromkeys((COLOUR_MAP, EXTRA_SAMPLES, INK_SET, SAMPLE_FORMAT))
    changes |= {PHOTOMETRIC: (_BLACK_IS_ZERO,), SAMPLES: (together,), PLANAR: (1,), BITS: (bits,) * together}
    if packed:
        changes |= {SAMPLES: (1,), BITS: (8,), WIDTH: (-(-width * together * bits // 8),)}
        if tile := layout.get(TILE_WIDTH, 0):
            changes[TILE_WIDTH] = (-(-tile * together * bits // 8),)
    planes = _read_planes(layout, samples) if planar else [{}]
    pages = tuple(changes | plane for plane in planes)
    return replace(meant, pages=pages, packed=packed, width=width, together=together)


def _read_planes(layout: Layout, samples: int) -> list[Changes]:
    """Return the strips or tiles of each plane.

    libvips refuses planar tiles, and mixes up the planes of grey with alpha.
    """
    planes: list[Changes] = [{} for _ in range(samples)]
    for tag in (STRIP_OFFSETS, STRIP_LENGTHS, TILE_OFFSETS, TILE_LENGTHS):
        places = layout.numbers.get(tag, ())
        each = len(places) // samples
        for index, plane in enumerate(planes):
            if each:
                plane[tag] = places[index * each : (index + 1) * each]
    return planes


def _read_photometric(layout: Layout, samples: int) -> int:
    if layout.get(COMPRESSION, _NONE) == _OLD_JPEG:
        return _YCBCR
    # The tag is mandatory; where it is missing, Pillow takes zero for white.
    return layout.get(PHOTOMETRIC, _RGB if samples >= 3 else _WHITE_IS_ZERO)


def _check_kind(layout: Layout, photometric: int, samples: int, bits: int) -> None:
    """Refuse kinds that neither libvips nor Pillow decodes correctly."""
    if photometric not in _COLOURS:
        raise _unsupported(_OTHER_COLOURS.get(photometric, f"PhotometricInterpretation {photometric}"))
    for number in layout.numbers.get(SAMPLE_FORMAT, ()):
        if number in _FORMATS:
            raise _unsupported(_FORMATS[number])
    if len(set(layout.numbers.get(BITS, ())[:samples])) > 1:
        raise _unsupported("samples of different sizes")
    if samples < _COLOURS[photometric] or (photometric == _INKS and layout.get(INK_SET, 1) != 1):
        raise _unsupported("inks other than CMYK" if photometric == _INKS else f"{samples} samples a pixel")
    if photometric == _YCBCR and layout.get(COMPRESSION, _NONE) != _OLD_JPEG:
        if bits != 8 or samples != 3:
            raise _unsupported(f"YCbCr samples of {bits} bits" if bits != 8 else "YCbCr and extra samples")
        if layout.get(PLANAR, 1) == _IN_PLANES:
            raise _unsupported("YCbCr samples in planes")


def _check_size(layout: Layout, samples: int, bits: int) -> None:
    if samples > _MOST_SAMPLES:
        raise _unsupported(f"{samples} samples a pixel")
    if bits > 16:
        raise _unsupported(f"{bits}-bit samples")
    tile = layout.get(TILE_WIDTH, 0), layout.get(TILE_HEIGHT, 0)
    together = 1 if layout.get(PLANAR, 1) == _IN_PLANES else samples
    if max(tile) > _TILE_SIDE or tile[0] * tile[1] * together * -(-bits // 8) > _TILE_BYTES:
        raise _unsupported("very large tiles")


def _leave_to_pillow(layout: Layout, photometric: int, mode: str, bits: int) -> Samples:
    """Accept the kinds that Pillow decodes correctly, and refuse the others."""
    colours, compression = _COLOURS[photometric], layout.get(COMPRESSION, _NONE)
    name = _PILLOWS[compression]
    if compression == _OLD_JPEG:
        return Samples("RGB", colours, by_pillow=True)
    samples = layout.get(SAMPLES, 1)
    right = (
        layout.get(PLANAR, 1) == 1
        and PHOTOMETRIC in layout.entries
        and samples in {colours, colours + 1}
        and (
            (bits == 1 and samples == 1 and photometric in {_WHITE_IS_ZERO, _BLACK_IS_ZERO})
            or (bits == 8 and photometric in {_RGB, _BLACK_IS_ZERO})
            or (bits == 8 and samples == colours and photometric in {_WHITE_IS_ZERO, _INKS})
            or (bits == 16 and (photometric == _RGB or (photometric == _BLACK_IS_ZERO and samples == 1)))
        )
    )
    if not right:
        raise _unsupported(f"{name} compression of this kind of samples")
    return Samples("1" if bits == 1 else mode, colours, by_pillow=True)


def _unsupported(what: str) -> UnsupportedImageError:
    return UnsupportedImageError(f"TIFF picture with {what}")
