"""What the bytes of a picture say undecoded: its format, how many frames, whether the end is there.

Every function reads headers only and trusts none: offsets are checked against the length, counts are bounded.
"""

# ruff: noqa: PLR2004 - marker bytes and field sizes are the formats' own; each function cites where from.

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from functions.resize.errors import NotAnImageError, UnsupportedImageError

_SIGNATURES = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
}

# Each reads as the end of "The original is a ...".
_UNSUPPORTED_SIGNATURES = {
    b"\xff\x0a": "JPEG XL picture",
    b"\0\0\0\x0cJXL \r\n\x87\n": "JPEG XL picture",
    b"\xff\x4f\xff\x51": "JPEG 2000 picture",
    b"\0\0\0\x0cjP  \r\n\x87\n": "JPEG 2000 picture",
    b"8BPS": "Photoshop document",
    b"\0\0\1\0": "Windows icon",
    b"%PDF": "PDF document",
    b"%!PS": "PostScript document",
    b"<svg": "vector drawing (SVG)",
    b"<?xml": "vector drawing or another XML document",
}

_BMP_HEADER_SIZES = {12, 16, 40, 52, 56, 64, 108, 124}

# ISO/IEC 23008-12 (HEIF) and the AV1 image file format: brands of still pictures and picture sequences.
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1"}

# ITU-T T.81, table B.1.
JPEG_START_OF_SCAN = 0xDA
_JPEG_END_OF_IMAGE = b"\xff\xd9"
_JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_JPEG_LOSSLESS_FRAMES = {0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF}


def recognise(original: bytes) -> str:
    """Name the format that the first bytes announce, by Pillow's name for it.

    Parameters
    ----------
    original : bytes
        The whole file.

    Returns
    -------
    str
        ``JPEG``, ``PNG``, ``GIF``, ``WEBP``, ``TIFF``, ``BMP``, ``AVIF`` or ``HEIF``.

    Raises
    ------
    UnsupportedImageError
        A format that is known but not read.
    NotAnImageError
        Anything else.
    """
    for signature, name in _SIGNATURES.items():
        if original.startswith(signature):
            return name
    if original[:4] == b"RIFF" and original[8:12] == b"WEBP":
        return "WEBP"
    if original[:2] == b"BM" and int.from_bytes(original[14:18], "little") in _BMP_HEADER_SIZES:
        return "BMP"
    if original[4:8] == b"ftyp":
        return _recognise_iso_media(original)
    for signature, kind in _UNSUPPORTED_SIGNATURES.items():
        if original.startswith(signature):
            raise UnsupportedImageError(kind)
    raise NotAnImageError


def _recognise_iso_media(original: bytes) -> str:
    end = min(int.from_bytes(original[:4], "big"), len(original), 1024)
    # The major brand, then a version number that no brand equals, then the compatible brands.
    brands = {original[at : at + 4] for at in range(8, end, 4)}
    if brands & _AVIF_BRANDS:
        return "AVIF"
    if brands & _HEIF_BRANDS:
        return "HEIF"
    raise UnsupportedImageError("video or another media file")


def jpeg_segments(original: bytes, at: int = 2) -> Iterator[tuple[int, int, int]]:
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
        if marker == JPEG_START_OF_SCAN:
            return
        at = end


def check_jpeg_coding(original: bytes) -> None:
    """Refuse the JPEG codings that no browser shows either.

    Raises
    ------
    UnsupportedImageError
        Samples of other than 8 bits, or a lossless or hierarchical coding.
    """
    for marker, start, end in jpeg_segments(original):
        if marker in _JPEG_FRAMES and end >= start + 5:
            precision = original[start + 4]
            if precision != 8:
                raise UnsupportedImageError(f"{precision}-bit JPEG")
            if marker in _JPEG_LOSSLESS_FRAMES:
                raise UnsupportedImageError("lossless or hierarchical JPEG")


@dataclass(frozen=True, slots=True)
class GifStructure:
    """What the blocks of a GIF file say.

    Attributes
    ----------
    width, height : int
        The canvas that shows every frame whole, pixels; frames may reach beyond the logical screen.
    frames : int
        Frames counted.
    complete : bool
        Whether the walk met the trailer.
    """

    width: int
    height: int
    frames: int
    complete: bool


def read_gif(original: bytes, max_frames: int) -> GifStructure:
    """Walk the blocks of a GIF file without decompressing any.

    Parameters
    ----------
    original : bytes
    max_frames : int
        Counting stops at the first frame above this.

    Notes
    -----
    GIF89a specification, sections 18 to 27.
    """
    width = int.from_bytes(original[6:8], "little")
    height = int.from_bytes(original[8:10], "little")
    frames = 0
    complete = False
    try:
        at = 13 + _colour_table_size(original[10])
        while frames <= max_frames:
            introducer = original[at]
            if introducer == 0x2C:
                left, top, frame_width, frame_height, flags = struct.unpack_from("<4HB", original, at + 1)
                width, height = max(width, left + frame_width), max(height, top + frame_height)
                frames += 1
                at = _skip_sub_blocks(original, at + 11 + _colour_table_size(flags))
            elif introducer == 0x21:
                at = _skip_sub_blocks(original, at + 2)
            else:
                complete = introducer == 0x3B
                break
    except (IndexError, struct.error):
        pass  # the file ends inside a block: not complete
    return GifStructure(width, height, frames, complete)


def _colour_table_size(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _skip_sub_blocks(original: bytes, at: int) -> int:
    while size := original[at]:
        at += size + 1
    return at + 1


def is_cut_short(format: str, original: bytes) -> bool:
    """Tell whether the end of the file is missing, for a picture that could not be decoded.

    Parameters
    ----------
    format : str
        As ``recognise`` named it.
    original : bytes
    """
    if format == "JPEG":
        first_scan = max((end for _, _, end in jpeg_segments(original)), default=0)
        return original.find(_JPEG_END_OF_IMAGE, first_scan) < 0
    if format == "PNG":
        return all(name != b"IEND" for name, _, _ in _png_chunks(original))
    if format == "GIF":
        return not read_gif(original, max_frames=len(original)).complete
    if format == "TIFF":
        return _tiff_is_cut_short(original)
    if format in {"AVIF", "HEIF"}:
        return _iso_media_is_cut_short(original)
    # A BMP file says its whole size, a RIFF file (WebP) the size behind its first 8 bytes.
    at, header = (2, 0) if format == "BMP" else (4, 8)
    return header + int.from_bytes(original[at : at + 4], "little") > len(original)


def png_exif(original: bytes) -> bytes | None:
    """Return the payload of the ``eXIf`` chunk, which may stand behind the pixels (PNG 3rd ed., 11.3.4.5)."""
    for name, start, end in _png_chunks(original):
        if name == b"eXIf":
            return original[start:end]
    return None


def _png_chunks(original: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start and end of the payload of every chunk that lies whole within the file."""
    at = 8
    while at + 12 <= len(original):
        end = at + 8 + int.from_bytes(original[at : at + 4], "big")
        if end + 4 > len(original):
            return
        yield original[at + 4 : at + 8], at + 8, end
        at = end + 4


def _tiff_is_cut_short(original: bytes) -> bool:
    """Look whether the first directory, or a strip or tile that it lists, lies beyond the end (TIFF 6.0)."""
    order = "<" if original[:2] == b"II" else ">"
    if original[2:4] in (b"+\0", b"\0+"):
        return False  # BigTIFF: not told apart
    try:
        (directory,) = struct.unpack_from(order + "I", original, 4)
        (entries,) = struct.unpack_from(order + "H", original, directory)
        values = {}
        for entry in range(entries):
            tag, kind, count = struct.unpack_from(order + "HHI", original, directory + 2 + 12 * entry)
            if tag in (273, 279, 324, 325):  # strip offsets and lengths, tile offsets and lengths
                letter = {3: "H", 4: "I"}.get(kind)
                if letter is None:
                    return False
                layout = f"{order}{count}{letter}"
                at = directory + 10 + 12 * entry
                if struct.calcsize(layout) > 4:
                    (at,) = struct.unpack_from(order + "I", original, at)
                values[tag] = struct.unpack_from(layout, original, at)
    except struct.error:
        return True
    offsets = (*values.get(273, ()), *values.get(324, ()))
    lengths = (*values.get(279, ()), *values.get(325, ()))
    return any(offset + length > len(original) for offset, length in zip(offsets, lengths, strict=False))


def _iso_media_is_cut_short(original: bytes) -> bool:
    """Walk the outermost boxes (ISO/IEC 14496-12, section 4.2)."""
    at = 0
    while at + 8 <= len(original):
        size = int.from_bytes(original[at : at + 4], "big")
        if size == 1:
            size = int.from_bytes(original[at + 8 : at + 16], "big")
        if size < 8:  # 0 is to the end of the file, wherever that is; others are no size of a box
            return False
        at += size
    return at != len(original)
