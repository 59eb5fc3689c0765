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
# The next marker outside a scan. Stuffing (B.1.1.5), fill bytes and restarts are part of a scan.
SEGMENT = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_LOSSLESS_FRAMES = {0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF}
_PROGRESSIVE_FRAMES = {0xC2, 0xCA}
_SEQUENTIAL_HUFFMAN_FRAMES = {0xC0, 0xC1}
_PROGRESSIVE_HUFFMAN_FRAME = 0xC2
_ARITHMETIC_FRAMES = {0xC9, 0xCA}
_NUMBER_OF_LINES = 0xDC
# Marker, name and minimum size of the application data in which Pillow reads numbers: JFIF 1.02, the ICC profile
# specification (annex B.4), and Adobe's technical note 5116.
_APPLICATION_DATA = (
    (0xE0, b"JFIF", 18),
    (0xE2, b"ICC_PROFILE\0", 18),
    (0xEE, b"Adobe", 16),
)
# Its resources consist of a signature, a code, a name and data (Photoshop file formats specification). Pillow fails if
# name and data are missing.
_PHOTOSHOP = 0xED
# Markers that are not followed by a segment, but by pixels, the end of the file, or another file (B.1.1.3).
_WITHOUT_SEGMENT = {0x01, *range(0xD0, 0xDA)}
# The usual bytes after the end: none, another picture, zeros, or lengths of four bytes.
_AFTER_THE_END = {b"", b"\xff\xd8", b"\xff\xff", b"\0\0"}
# Bits that an incomplete scan would read as its own data. libjpeg would insert zeros, so these differ from zeros.
_FILLER = b"\x5a\xc3\x96\x3c" * 1024
# Pillow, and libjpeg when it searches for a restart, read these as markers without a length and continue after them.
_WITHOUT_LENGTH = {*range(0x02, 0xC0), 0xC8, 0xD8, 0xD9, *range(0xF0, 0xFE)}
# Pillow joins Exif segments one by one and parses them when it opens the file. More than one is rare.
_EXIF = b"Exif\0\0"
_EXIF_WEIGHT = 30


def is_jpeg(original: bytes) -> bool:
    """Return whether the file begins with a start-of-image marker, even if junk follows it."""
    if not original.startswith(START_OF_IMAGE):
        return False
    return original[2:3] == b"\xff" or any(marker == START_OF_SCAN for marker, _, _ in _header_segments(original))


def inspect(original: bytes, limits: Limits) -> Structure:
    """Refuse too many segments, unsupported codings and missing rows, and repair errors that decoders do not accept.

    Raises
    ------
    TooManyPartsError
    TooManyPixelsError
        In the picture, or in all scans together.
    UnsupportedImageError
        Samples that do not have 8 bits, or lossless or hierarchical coding.
    TruncatedImageError
        Rows are missing, or may be missing.
    """
    # Walk them only once, because that reads all scans of a progressive file.
    segments = list(islice(_read_segments(original), limits.max_jpeg_segments + 1))
    check_parts(_weigh_segments(original, segments), limits.max_jpeg_segments, "segments")
    data = _repair_header(original)
    _check_coding(data)
    pixels = _count_scanned_pixels(data, segments if data is original else _read_segments(data))
    if pixels > limits.max_scanned_pixels:
        raise TooManyPixelsError(pixels, limits.max_scanned_pixels, " in its scans")
    data = _end_image(data, limits)
    return Structure(data=None if data is original else data)


def is_cut_short(original: bytes) -> bool:
    """Return whether there is no end-of-image marker after the header of the first scan."""
    first_scan = max((end for _, _, end in walk_segments(original)), default=0)
    return original.find(END_OF_IMAGE, first_scan) < 0


def walk_segments(original: bytes, at: int = 2) -> Iterator[tuple[int, int, int]]:
    """Walk the marker segments of a JPEG file up to and including the header of the next scan.

    Parameters
    ----------
    original : bytes
    at : int
        Offset of the first marker; by default, of the one after the start-of-image marker.

    Yields
    ------
    marker, start, end : int
        Second byte of the marker, offset of its ``0xFF``, and offset after its payload.
        The walk stops without an error at anything that is not a segment.
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


def _repair_header(original: bytes) -> bytes:
    """Return the file with a header that libjpeg and Pillow accept if browsers accept the original header.

    The result has no junk between the segments and no application data that is too short for its kind. If the encoder
    wrote the height only after the first scan (DNL; B.2.5), the height is inserted in the frame header.
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
    repaired = b"".join(parts)
    return original if repaired == original[:header] else repaired + original[header:]


def _header_segments(original: bytes) -> Iterator[tuple[int, int, int]]:
    """Walk the segments like ``walk_segments`` up to the header of the first scan, but skip junk like libjpeg."""
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
    """Return whether Pillow would read beyond the end of this application data."""
    if segment[2:4] < b"\0\2" or (marker == _PHOTOSHOP and segment[-6:-2] == b"8BIM"):
        return True
    return any(
        marker == kind and len(segment) < shortest and segment.startswith(name, 4)
        for kind, name, shortest in _APPLICATION_DATA
    )


def _end_image(original: bytes, limits: Limits) -> bytes:
    """Return the file with an end-of-image marker after the last row, where some cameras write other data.

    Raises
    ------
    TruncatedImageError
        There is no end-of-image marker, and rows are missing or may be missing.
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
    # Arithmetic coding omits zeros at its end (D.1.8), so the length of its data cannot be checked.
    if is_ended and (original[at + 2 : at + 4] in _AFTER_THE_END or frame[1] in _ARITHMETIC_FRAMES):
        # Cut what follows: scans are dropped only if the file ends with the picture.
        return original if is_sequential else original[: at + 2]
    pieces = [original[start:stop] for _, start, stop in segments]
    scan = original[data:end]
    # If a part of the file was never written, it consists of zeros, which are valid codes.
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
    """Return the segments after the first scan up to the header of the last one."""
    segments: list[tuple[int, int, int]] = []
    while following := list(walk_segments(original, _find_marker(original, data))):
        if following[-1][0] != START_OF_SCAN:
            break
        segments += following
        data = following[-1][2]
    return segments


def _runs_out(scans: bytes) -> bool:
    """Return whether libjpeg needs more data than these scans: whether the pixels depend on the bytes after them."""
    checksums = set()
    for filler in (b"", _FILLER):
        image = JpegImagePlugin.JpegImageFile(io.BytesIO(scans + filler + END_OF_IMAGE))
        # In one block: libjpeg would start again at the first byte of a block that it could not finish.
        image.decodermaxblock = len(scans) + len(_FILLER) + 2
        checksums.add(zlib.crc32(image.tobytes()))
    return len(checksums) > 1


def _find_marker(original: bytes, at: int) -> int:
    """Return the end of a scan's data: the next marker, or the end of the file."""
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
    """Count marker segments; an Exif segment counts as 30."""
    return sum(_EXIF_WEIGHT if original.startswith(_EXIF, start + 4) else 1 for _, start, _ in segments)


def _count_scanned_pixels(data: bytes, segments: Iterable[tuple[int, int, int]]) -> int:
    """Count the pixels that decoders process, once for each scan of a component, in blocks of 64 (A.2.3).

    A scan may have only a few bytes: "Two Issues with the JPEG Standard and Their Potential Effect on Applications",
    libjpeg-turbo.org, issue LJT-01-003.
    """
    pixels = 0
    frame = None
    # Decoders refuse the file from the first invalid header on.
    with suppress(IndexError, KeyError, ValueError):
        for marker, start, end in segments:
            if marker in _FRAMES:
                frame = Frame.parse(data[start:end])
            elif marker == START_OF_SCAN and frame:
                units, blocks = frame.count_units(frame.find_components(data[start:end]))
                pixels += 64 * units * len(blocks)
    return pixels


def _read_segments(original: bytes) -> Iterator[tuple[int, int, int]]:
    """Walk all segments that Pillow or libjpeg reads; unlike ``walk_segments``, they continue after junk.

    Yields
    ------
    marker, start, end : int
        As in ``walk_segments``; the end may be beyond the end of the file.
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
            # If the first scan of a sequential file has all components, nothing after it is read.
            if not progressive and not scanned and original[start + 4 : start + 5] == components:
                return
            scanned = True
