"""BMP: whether its end is there (Microsoft's BITMAPFILEHEADER)."""

from functions.resize.formats.structure import Structure
from functions.resize.limits import Limits

# Sizes of the header behind the file header, one for each version of it.
_HEADER_SIZES = {12, 16, 40, 52, 56, 64, 108, 124}


def is_bmp(original: bytes) -> bool:
    """Return whether the file begins as one; two letters alone would be too little."""
    return original[:2] == b"BM" and int.from_bytes(original[14:18], "little") in _HEADER_SIZES


def inspect(_original: bytes, _limits: Limits) -> Structure:
    """Refuse nothing: the headers say all there is."""
    return Structure()


def is_cut_short(original: bytes) -> bool:
    """Return whether the file is shorter than it says."""
    return int.from_bytes(original[2:6], "little") > len(original)
