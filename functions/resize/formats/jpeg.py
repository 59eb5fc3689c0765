"""JPEG: its marker segments, its limits, and whether a file was cut short (ITU-T T.81, annex B)."""

# ruff: noqa: PLR2004 - marker bytes and field sizes are those of T.81, annex B.

import io
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice

from PIL import JpegImagePlugin

from functions.resize.errors import TooManyPixelsError, TruncatedImageError, UnsupportedImageError
from functions.resize.formats.jpeg_codes import START_OF_SCAN, Frame, find_end, has_all_restarts, is_refined
from functions.resize.formats.structure import Structure
from functions.resize.limits import Limits, check_parts, check_pixels

# Table B.1.
START_OF_IMAGE = b"\xff\xd8"
END_OF_IMAGE = b"\xff\xd9"
# The next marker behind or before a scan: neither stuffing (B.1.1.5), nor fill, nor a restart among the pixels.
SEGMENT = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_LOSSLESS_FRAMES = {0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF}
_PROGRESSIVE_FRAMES = {0xC2, 0xCA}
_SEQUENTIAL_HUFFMAN_FRAMES = {0xC0, 0xC1}
_PROGRESSIVE_HUFFMAN_FRAME = 0xC2
_ARITHMETIC_FRAMES = {0xC9, 0xCA}
_NUMBER_OF_LINES = 0xDC
# Marker, name and smallest size of what Pillow reads numbers in: JFIF 1.02, the ICC profile specification (annex B.4),
# and Adobe's technical note 5116.
_APPLICATION_DATA = (
    (0xE0, b"JFIF", 18),
    (0xE2, b"ICC_PROFILE\0", 18),
    (0xEE, b"Adobe", 16),
)
# Its resources are a signature, a code, a name and data (Photoshop file formats specification); without these last two
# Pillow ends with an error.
_PHOTOSHOP = 0xED
# No segment follows these markers, only pixels, the end of the file, or another file (B.1.1.3).
_WITHOUT_SEGMENT = {0x01, *range(0xD0, 0xDA)}
# What is usual behind the end: nothing, another picture, zeros, or lengths of four bytes.
_BEHIND_THE_END = {b"", b"\xff\xd8", b"\xff\xff", b"\0\0"}
# Bits that a scan without its end would take for its own, and that are not those which libjpeg would make up: zeros.
_FILLER = b"\x5a\xc3\x96\x3c" * 1024
# Pillow, or libjpeg where it looks for a restart, takes these for markers without a length and reads on behind them.
_WITHOUT_LENGTH = {*range(0x02, 0xC0), 0xC8, 0xD8, 0xD9, *range(0xF0, 0xFE)}
# Pillow joins such segments one by one and reads numbers in them while it opens the file; more than one is rare.
_EXIF = b"Exif\0\0"
_EXIF_WEIGHT = 30


def is_jpeg(original: bytes) -> bool:
    """Return whether the file begins with a start of image, even if junk follows it."""
    if not original.startswith(START_OF_IMAGE):
        return False
    return original[2:3] == b"\xff" or any(marker == START_OF_SCAN for marker, _, _ in _header_segments(original))


def inspect(original: bytes, limits: Limits) -> Structure:
    """Refuse too many segments, codings that no browser shows, and missing rows; mend what decoders stumble over.

    Raises
    ------
    TooManyPartsError
    TooManyPixelsError
        In all scans together.
    UnsupportedImageError
        Samples of other than 8 bits, or a lossless or hierarchical coding.
    TruncatedImageError
        No end of the image, and rows are missing.
    """
    # Walking them reads all scans of a progressive file, so it is done once.
    segments = list(islice(_read_segments(original), limits.max_jpeg_segments + 1))
    check_parts(_weigh_segments(original, segments), limits.max_jpeg_segments, "segments")
    data = _mend_header(original)
    _check_coding(data)
    pixels = _count_scanned_pixels(data, segments if data is original else _read_segments(data))
    if pixels > limits.max_scanned_pixels:
        raise TooManyPixelsError(pixels, limits.max_scanned_pixels, " in its scans")
    data = _end_image(data, limits)
    return Structure(data=None if data is original else data)


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
        if marker in _WITHOUT_SEGMENT:
            return
        end = at + 2 + int.from_bytes(original[at + 2 : at + 4], "big")
        if end < at + 4 or end > len(original):
            return
        yield marker, at, end
        if marker == START_OF_SCAN:
            return
        at = end


def _mend_header(original: bytes) -> bytes:
    """Return the file with a header that all decoders read, where browsers do and libjpeg or Pillow does not.

    That is without junk between the segments and application data that are too short for their kind, and with the
    height that an encoder did not know before it had written the first scan (DNL; B.2.5).
    """
    segments = list(_header_segments(original))
    if not segments or segments[-1][0] != START_OF_SCAN:
        return original
    header = segments[-1][2]
    parts = [START_OF_IMAGE]
    for marker, start, end in segments:
        segment = original[start:end]
        if marker in _FRAMES and segment[5:7] == b"\0\0":
            after = next(walk_segments(original, _find_marker(original, header)), None)
            if after and after[0] == _NUMBER_OF_LINES:
                segment = segment[:5] + original[after[1] + 4 : after[1] + 6] + segment[7:]
        if not _is_too_short(marker, segment):
            parts.append(segment)
    mended = b"".join(parts)
    return original if mended == original[:header] else mended + original[header:]


def _header_segments(original: bytes) -> Iterator[tuple[int, int, int]]:
    """Walk the segments up to the header of the first scan like ``walk_segments``, but skip junk as libjpeg does."""
    at = 2
    while found := SEGMENT.search(original, at):
        start = found.start()
        marker = original[start + 1]
        at = start + 2 + max(2, int.from_bytes(original[start + 2 : start + 4], "big"))
        if marker in _WITHOUT_SEGMENT or at > len(original):
            return
        yield marker, start, at
        if marker == START_OF_SCAN:
            return


def _is_too_short(marker: int, segment: bytes) -> bool:
    """Return whether Pillow would read beyond the end of application data."""
    if segment[2:4] < b"\0\2" or (marker == _PHOTOSHOP and segment[-6:-2] == b"8BIM"):
        return True
    return any(
        marker == kind and len(segment) < shortest and segment.startswith(name, 4)
        for kind, name, shortest in _APPLICATION_DATA
    )


def _end_image(original: bytes, limits: Limits) -> bytes:
    """Return the file with an end of the image behind the last row, where cameras have written something else there.

    Raises
    ------
    TruncatedImageError
        There is no end of the image, and rows are missing or cannot be seen to be all there.
    TooManyPixelsError
    """
    segments = list(walk_segments(original))
    frame = next((original[start:end] for marker, start, end in segments if marker in _FRAMES), None)
    if frame is None or segments[-1][0] != START_OF_SCAN:
        return original
    is_sequential = frame[1] in _SEQUENTIAL_HUFFMAN_FRAMES
    components = segments[-1][1] + 4
    if not is_sequential or original[components : components + 1] != frame[9:10]:
        segments += _later_segments(original, segments[-1][2])
    data = segments[-1][2]
    at = end = _find_marker(original, data)
    for _, _, behind in walk_segments(original, end):
        at = behind
    is_ended = original[at : at + 2] == END_OF_IMAGE
    # Arithmetic coding leaves out zeros at its end (D.1.8), and nothing says how many.
    if is_ended and (original[at + 2 : at + 4] in _BEHIND_THE_END or frame[1] in _ARITHMETIC_FRAMES):
        # Scans are left out only of a file that ends with the picture.
        return original if is_sequential else original[: at + 2]
    pieces = [original[start:stop] for _, start, stop in segments]
    scan = original[data:end]
    # Parts of a file that were never written are zeros, which are valid codes.
    written = original[:end].rstrip(b"\0")
    try:
        header = Frame.parse(frame)
        check_pixels(header.width, header.height, limits)
        if not is_ended and is_sequential:
            return original[: data + find_end(header, pieces, scan)] + END_OF_IMAGE
        if has_all_restarts(header, pieces, scan):
            if is_ended and not _runs_out(original[:at]):
                return original
            if frame[1] == _PROGRESSIVE_HUFFMAN_FRAME and is_refined(header, pieces) and not _runs_out(written):
                return written + END_OF_IMAGE
    except (OSError, SyntaxError, ValueError) as error:
        raise TruncatedImageError("JPEG") from error
    raise TruncatedImageError("JPEG")


def _later_segments(original: bytes, data: int) -> list[tuple[int, int, int]]:
    """Return the segments behind the first scan up to the header of the last one."""
    segments: list[tuple[int, int, int]] = []
    while following := list(walk_segments(original, _find_marker(original, data))):
        if following[-1][0] != START_OF_SCAN:
            break
        segments += following
        data = following[-1][2]
    return segments


def _runs_out(scans: bytes) -> bool:
    """Return whether libjpeg needs more than a file holds: whether the pixels depend on what comes next."""
    checksums = set()
    for filler in (b"", _FILLER):
        image = JpegImagePlugin.JpegImageFile(io.BytesIO(scans + filler + END_OF_IMAGE))
        # One block: libjpeg starts again from the first byte of a block that it could not finish.
        image.decodermaxblock = len(scans) + len(_FILLER) + 2
        checksums.add(zlib.crc32(image.tobytes()))
    return len(checksums) > 1


def _find_marker(original: bytes, at: int) -> int:
    """Return where the data of a scan end: at the next marker, or with the file."""
    found = SEGMENT.search(original, at)
    end = found.start() if found else len(original)
    while original[end - 1] == 0xFF:  # fill bytes
        end -= 1
    return end


def _check_coding(original: bytes) -> None:
    for marker, start, end in walk_segments(original):
        if marker in _FRAMES and end >= start + 5:
            precision = original[start + 4]
            if precision != 8:
                raise UnsupportedImageError(f"{precision}-bit JPEG")
            if marker in _LOSSLESS_FRAMES:
                raise UnsupportedImageError("lossless or hierarchical JPEG")


def _weigh_segments(original: bytes, segments: Sequence[tuple[int, int, int]]) -> int:
    """Count marker segments, each of Exif as 30."""
    return sum(_EXIF_WEIGHT if original.startswith(_EXIF, start + 4) else 1 for _, start, _ in segments)


def _count_scanned_pixels(data: bytes, segments: Iterable[tuple[int, int, int]]) -> int:
    """Count the pixels that decoders go through, once for each scan of a component, in blocks of 64 (A.2.3).

    Scans cost next to no bytes: "Two Issues with the JPEG Standard and Their Potential Effect on Applications",
    libjpeg-turbo.org, issue LJT-01-003.
    """
    pixels = 0
    frame = None
    # What decoders refuse is not counted.
    with suppress(IndexError, KeyError, ValueError):
        for marker, start, end in segments:
            if marker in _FRAMES:
                frame = Frame.parse(data[start:end])
            elif marker == START_OF_SCAN and frame:
                units, blocks = frame.count_units(frame.find_components(data[start:end]))
                pixels += 64 * units * len(blocks)
    return pixels


def _read_segments(original: bytes) -> Iterator[tuple[int, int, int]]:
    """Walk all segments that Pillow or libjpeg reads; they read on behind junk, where ``walk_segments`` ends.

    Yields
    ------
    marker, start, end : int
        As from ``walk_segments``; the end may lie beyond the file.
    """
    at = 2
    progressive = scanned = False
    components = b""
    while found := SEGMENT.search(original, at):
        start = found.start()
        marker = original[start + 1]
        if marker == END_OF_IMAGE[1] and scanned:
            return
        length = 0 if marker in _WITHOUT_LENGTH else int.from_bytes(original[start + 2 : start + 4], "big")
        at = start + 2 + length
        yield marker, start, at
        if marker in _FRAMES:
            progressive = marker in _PROGRESSIVE_FRAMES
            components = original[start + 9 : start + 10]
        elif marker == START_OF_SCAN:
            # What follows is not read where the first scan holds all the components.
            if not progressive and not scanned and original[start + 4 : start + 5] == components:
                return
            scanned = True
