"""JPEG: its marker segments, what is refused of it, and whether its end is there (ITU-T T.81, annex B)."""

# ruff: noqa: PLR2004 - marker bytes and field sizes are those of T.81, annex B.

import re
from collections.abc import Iterator

from functions.resize.errors import UnsupportedImageError
from functions.resize.formats.structure import Structure
from functions.resize.limits import Limits, check_parts

# Table B.1.
START_OF_SCAN = 0xDA
END_OF_IMAGE = b"\xff\xd9"
# The next marker behind or before a scan: neither stuffing (B.1.1.5), nor fill, nor a restart among the pixels.
SEGMENT = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_LOSSLESS_FRAMES = {0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF}
_PROGRESSIVE_FRAMES = {0xC2, 0xCA}
# Pillow, or libjpeg where it looks for a restart, takes these for markers without a length and reads on behind them.
_WITHOUT_LENGTH = {*range(0x02, 0xC0), 0xC8, 0xD8, 0xD9, *range(0xF0, 0xFE)}
# Pillow joins such segments one by one and reads numbers in them while it opens the file; more than one is rare.
_EXIF = b"Exif\0\0"
_EXIF_WEIGHT = 30


def inspect(original: bytes, limits: Limits) -> Structure:
    """Refuse too many segments, and the codings that no browser shows either.

    Raises
    ------
    TooManyPartsError
    UnsupportedImageError
        Samples of other than 8 bits, or a lossless or hierarchical coding.
    """
    check_parts(_count_segments(original, limits.max_jpeg_segments), limits.max_jpeg_segments, "segments")
    _check_coding(original)
    return Structure()


def is_cut_short(original: bytes) -> bool:
    """Return whether there is no end of the image behind the header of the first scan."""
    first_scan = max((end for _, _, end in walk_segments(original)), default=0)
    return original.find(END_OF_IMAGE, first_scan) < 0


def walk_segments(original: bytes, at: int = 2) -> Iterator[tuple[int, int, int]]:
    """Walk the marker segments of a JPEG file up to the header of the next scan, which comes last.

    Parameters
    ----------
    original : bytes
    at : int
        Offset of the first marker; that after the start of the image unless given.

    Yields
    ------
    marker, start, end : int
        Second byte of the marker, and the span of the segment from its ``0xFF`` to behind its payload.
        The walk stops in silence where the structure ends.
    """
    while at + 4 <= len(original) and original[at] == 0xFF:
        marker = original[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        end = at + 2 + int.from_bytes(original[at + 2 : at + 4], "big")
        if end < at + 4 or end > len(original):
            return
        yield marker, at, end
        if marker == START_OF_SCAN:
            return
        at = end


def _check_coding(original: bytes) -> None:
    for marker, start, end in walk_segments(original):
        if marker in _FRAMES and end >= start + 5:
            precision = original[start + 4]
            if precision != 8:
                raise UnsupportedImageError(f"{precision}-bit JPEG")
            if marker in _LOSSLESS_FRAMES:
                raise UnsupportedImageError("lossless or hierarchical JPEG")


def _count_segments(original: bytes, enough: int) -> int:
    """Count the marker segments that Pillow or libjpeg reads, scans among them, and each of Exif as 30.

    They read on behind junk, where ``walk_segments`` ends.

    Parameters
    ----------
    original : bytes
    enough : int
        Counting stops at the first segment above this.

    Notes
    -----
    Of scans that cost next to no bytes and a pass over the picture each: "Two Issues with the JPEG Standard and
    Their Potential Effect on Applications", libjpeg-turbo.org, issue LJT-01-003.
    """
    counted = 0
    at = 2
    progressive = scanned = False
    components = b""
    while counted <= enough and (found := SEGMENT.search(original, at)):
        start = found.start()
        marker = original[start + 1]
        if marker == END_OF_IMAGE[1] and scanned:
            break
        counted += _EXIF_WEIGHT if original.startswith(_EXIF, start + 4) else 1
        length = 0 if marker in _WITHOUT_LENGTH else int.from_bytes(original[start + 2 : start + 4], "big")
        at = start + 2 + length
        if marker in _FRAMES:
            progressive = marker in _PROGRESSIVE_FRAMES
            components = original[start + 9 : start + 10]
        elif marker == START_OF_SCAN:
            # What follows is not read where the first scan holds all the components.
            if not progressive and not scanned and original[start + 4 : start + 5] == components:
                break
            scanned = True
    return counted
