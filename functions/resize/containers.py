"""What the bytes of a picture say undecoded: its format, how many frames, whether the end is there.

Every function reads headers only and trusts none: offsets are checked against the length, counts are bounded.
"""

# ruff: noqa: PLR2004 - marker bytes and field sizes are the formats' own; each function cites where from.

import re
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from functions.resize.errors import CorruptImageError, NotAnImageError, UnsupportedImageError

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
JPEG_END_OF_IMAGE = b"\xff\xd9"
_JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_JPEG_LOSSLESS_FRAMES = {0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF}
_JPEG_PROGRESSIVE_FRAMES = {0xC2, 0xCA}
# The next marker behind or before a scan: neither stuffing (B.1.1.5), nor fill, nor a restart among the pixels.
JPEG_SEGMENT = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")
# Pillow, or libjpeg where it looks for a restart, takes these for markers without a length and reads on behind them.
_JPEG_WITHOUT_LENGTH = {*range(0x02, 0xC0), 0xC8, 0xD8, 0xD9, *range(0xF0, 0xFE)}
# Pillow joins such segments one by one and reads numbers in them while it opens the file; more than one is rare.
_JPEG_EXIF = b"Exif\0\0"
_JPEG_EXIF_WEIGHT = 30

# An extension, a frame, the trailer: GIF89a, appendix A.
_GIF_BLOCK = re.compile(rb"[!,;]")

# PNG 3rd ed., 11.2.3 and 11.3.5.
_PNG_PIXEL_CHUNKS = {b"IDAT", b"fcTL", b"fdAT"}

# TIFF 6.0, and BigTIFF's 64-bit kinds: bytes of a value, of those that Pillow makes numbers of.
_TIFF_VALUE_SIZES = {3: 2, 4: 4, 5: 8, 6: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
# Exif, GPS and interoperability: Exif 3.0, section 4.6.3.
_TIFF_DIRECTORIES = {34665, 34853, 40965}
_TIFF_MOST_DIRECTORIES = 8
_TIFF_WHOLE_NUMBERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_TIFF_SIDES = (256, 257)
_TIFF_TILE_SIDES = (322, 323)

# ISO/IEC 23008-12, sections 6.5.9 to 6.5.11; an association counts properties in 15 bits.
_TURNS = {b"irot", b"imir", b"clap"}
_MOST_PROPERTIES = 0x7FFF
_NOBODY = -1


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


def count_jpeg_segments(original: bytes, enough: int) -> int:
    """Count the marker segments that Pillow or libjpeg reads, scans among them, and each of Exif as 30.

    They read on behind junk, where ``jpeg_segments`` ends.

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
    segments = 0
    at = 2
    progressive = scanned = False
    components = b""
    while segments <= enough and (found := JPEG_SEGMENT.search(original, at)):
        start = found.start()
        marker = original[start + 1]
        if marker == JPEG_END_OF_IMAGE[1] and scanned:
            break
        segments += _JPEG_EXIF_WEIGHT if original.startswith(_JPEG_EXIF, start + 4) else 1
        length = 0 if marker in _JPEG_WITHOUT_LENGTH else int.from_bytes(original[start + 2 : start + 4], "big")
        at = start + 2 + length
        if marker in _JPEG_FRAMES:
            progressive = marker in _JPEG_PROGRESSIVE_FRAMES
            components = original[start + 9 : start + 10]
        elif marker == JPEG_START_OF_SCAN:
            # What follows is not read where the first scan holds all the components.
            if not progressive and not scanned and original[start + 4 : start + 5] == components:
                break
            scanned = True
    return segments


@dataclass(frozen=True, slots=True)
class GifStructure:
    """What the blocks of a GIF file say.

    Attributes
    ----------
    width, height : int
        The canvas that shows every frame whole, pixels; frames may reach beyond the logical screen.
    frames : int
        Frames counted.
    comments : int
        Blocks of comment since the last frame that was counted: above the most that was asked for, where there are.
    complete : bool
        Whether the walk met the trailer.
    """

    width: int
    height: int
    frames: int
    comments: int
    complete: bool


def read_gif(original: bytes, max_frames: int, max_comments: int) -> GifStructure:
    """Walk the blocks of a GIF file without decompressing any.

    Parameters
    ----------
    original : bytes
    max_frames, max_comments : int
        Counting stops at the first frame, or the first comment, above this.

    Notes
    -----
    GIF89a specification, sections 18 to 27.
    """
    width = int.from_bytes(original[6:8], "little")
    height = int.from_bytes(original[8:10], "little")
    frames = comments = 0
    complete = lost = False
    try:
        at = 13 + _colour_table_size(original[10])
        while frames <= max_frames and comments <= max_comments:
            introducer = original[at]
            if introducer == 0x2C:
                left, top, frame_width, frame_height, flags = struct.unpack_from("<4HB", original, at + 1)
                if not lost:
                    width, height = max(width, left + frame_width), max(height, top + frame_height)
                    frames += 1
                comments = 0
                at, _ = _skip_sub_blocks(original, at + 11 + _colour_table_size(flags))
            elif introducer == 0x21:
                is_comment = original[at + 1] == 0xFE
                at, blocks = _skip_sub_blocks(original, at + 2)
                if is_comment:
                    comments += blocks
                elif not blocks:  # Pillow reads on to the next empty block
                    at, _ = _skip_sub_blocks(original, at)
            elif introducer == 0x3B:
                complete = not lost
                break
            elif found := _GIF_BLOCK.search(original, at):
                # Pillow skips what it does not know, and collects comments behind it; browsers end here.
                at, lost = found.start(), True
            else:
                break
    except (IndexError, struct.error):
        pass  # the file ends inside a block: not complete
    return GifStructure(width, height, frames, comments, complete)


def _colour_table_size(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _skip_sub_blocks(original: bytes, at: int) -> tuple[int, int]:
    """Return the place behind the sub-blocks, and how many there are."""
    blocks = 0
    while size := original[at]:
        at += size + 1
        blocks += 1
    return at + 1, blocks


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
        return original.find(JPEG_END_OF_IMAGE, first_scan) < 0
    if format == "PNG":
        return all(name != b"IEND" for name, _, _ in _png_chunks(original))
    if format == "GIF":
        return not read_gif(original, len(original), len(original)).complete
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


def count_png_metadata(original: bytes, enough: int) -> int:
    """Count the chunks up to the last one that hold no pixels; stops at the first above ``enough``."""
    chunks = 0
    for name, start, end in _png_chunks(original):
        if name == b"IEND" or chunks > enough:
            break
        chunks += name not in _PNG_PIXEL_CHUNKS or start == end
    return chunks


def _png_chunks(original: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start and end of the payload of every chunk that lies whole within the file."""
    at = 8
    while at + 12 <= len(original):
        end = at + 8 + int.from_bytes(original[at : at + 4], "big")
        if end + 4 > len(original):
            return
        yield original[at + 4 : at + 8], at + 8, end
        at = end + 4


@dataclass(frozen=True, slots=True)
class TiffStructure:
    """What the directories of a TIFF file say.

    Attributes
    ----------
    values : int
        Numbers in tags, and tags that hold none.
    tiled_pixels : int
        Pixels of all tiles, with what of them lies beyond the picture; 0 where there are none.
    """

    values: int
    tiled_pixels: int


def read_tiff(original: bytes, max_values: int) -> TiffStructure:
    """Walk the first directory, and those of Exif, GPS and interoperability, without reading what the tags hold.

    Parameters
    ----------
    original : bytes
    max_values : int
        Counting stops at the first number above this.

    Notes
    -----
    TIFF 6.0, section 2; BigTIFF has wider counts and offsets.
    """
    order = "<" if original[:2] == b"II" else ">"
    big = original[2] == 43  # as Pillow tells it
    values = 0
    numbers: dict[int, int] = {}
    directories = [0]
    with suppress(struct.error):
        directories = list(struct.unpack_from(order + ("8xQ" if big else "4xI"), original))
    # Each of the others is named in one before it, so the list grows while it is walked.
    for directory in directories:
        # A directory may end with the file, or lie beyond it.
        with suppress(struct.error, OverflowError):
            for tag, kind, count, value in _tiff_entries(original, directory, order, big=big):
                # What reaches beyond the file is not read.
                length = count * _TIFF_VALUE_SIZES.get(kind, 0)
                values += max(1, count) if 0 < length <= len(original) else 1
                if values > max_values:
                    return TiffStructure(values, 0)
                if tag in _TIFF_DIRECTORIES and len(directories) < _TIFF_MOST_DIRECTORIES:
                    directories.append(_read_tiff_number(original, order, kind, length, value))
                elif tag in _TIFF_SIDES + _TIFF_TILE_SIDES and directory == directories[0]:
                    # Readers differ in which one of several they take.
                    one = _read_tiff_number(original, order, kind, length, value)
                    numbers[tag] = max(numbers.get(tag, 0), one)
    return TiffStructure(values, _count_tiled_pixels(numbers))


def _tiff_entries(original: bytes, directory: int, order: str, *, big: bool) -> Iterator[tuple[int, int, int, bytes]]:
    """Yield tag, kind, count, and the values or where they are.

    Raises
    ------
    struct.error, OverflowError
        The file, or all files, end before the directory does.
    """
    number, entry = ("Q", "HHQ8s") if big else ("H", "HHI4s")
    (entries,) = struct.unpack_from(order + number, original, directory)
    first, size = directory + struct.calcsize(order + number), struct.calcsize(order + entry)
    for at in range(first, first + entries * size, size):
        yield struct.unpack_from(order + entry, original, at)


def _find_tiff_values(original: bytes, order: str, length: int, value: bytes) -> tuple[bytes, int]:
    """Return the bytes and the offset in them where values of some length are: in their entry, or elsewhere."""
    if length <= len(value):
        return value, 0
    (offset,) = struct.unpack(order + ("I" if len(value) == 4 else "Q"), value)
    return original, offset


def _read_tiff_number(original: bytes, order: str, kind: int, length: int, value: bytes) -> int:
    """Read the first number of a tag, which stands elsewhere if it does not fit into the entry; 0 if there is none."""
    layout = _TIFF_WHOLE_NUMBERS.get(kind)
    if layout is None:
        return 0
    try:
        return int(struct.unpack_from(order + layout, *_find_tiff_values(original, order, length, value))[0])
    except (struct.error, OverflowError):
        return 0


def _count_tiled_pixels(numbers: dict[int, int]) -> int:
    pixels = 1
    for side, tile_side in zip(_TIFF_SIDES, _TIFF_TILE_SIDES, strict=True):
        tile = numbers.get(tile_side, 0)
        pixels *= -(-numbers.get(side, 0) // tile) * tile if tile else 0
    return pixels


def _tiff_is_cut_short(original: bytes) -> bool:
    """Look whether the first directory, or a strip or tile that it lists, lies beyond the end (TIFF 6.0)."""
    order = "<" if original[:2] == b"II" else ">"
    if original[2:4] in (b"+\0", b"\0+"):
        return False  # BigTIFF: not told apart
    try:
        (directory,) = struct.unpack_from(order + "I", original, 4)
        values = {}
        for tag, kind, count, value in _tiff_entries(original, directory, order, big=False):
            if tag in (273, 279, 324, 325):  # strip offsets and lengths, tile offsets and lengths
                letter = {3: "H", 4: "I"}.get(kind)
                if letter is None:
                    return False
                layout = f"{order}{count}{letter}"
                place = _find_tiff_values(original, order, struct.calcsize(layout), value)
                values[tag] = struct.unpack_from(layout, *place)
    except struct.error:
        return True
    offsets = (*values.get(273, ()), *values.get(324, ()))
    lengths = (*values.get(279, ()), *values.get(325, ()))
    return any(offset + length > len(original) for offset, length in zip(offsets, lengths, strict=False))


@dataclass(frozen=True, slots=True)
class IsoMediaStructure:
    """What the boxes of an AVIF or HEIF file say.

    Attributes
    ----------
    parts : int
        Items, references between them, and their properties.
    pixels : int
        Pixels of all pictures that the first one is made of, and again for each time that one of them is turned or
        cropped.
    """

    parts: int
    pixels: int


def read_iso_media(original: bytes, max_parts: int) -> IsoMediaStructure:
    """Add up what the first picture of an AVIF or HEIF file is made of, if the boxes are as they should be.

    Parameters
    ----------
    original : bytes
    max_parts : int
        Counting stops at the first part above this.

    Raises
    ------
    CorruptImageError
        Two boxes where there must be one, of which decoders take the first or the last.

    Notes
    -----
    ISO/IEC 14496-12, section 8.11, and ISO/IEC 23008-12, sections 6.5, 6.6 and 9.3.
    """
    parts = pixels = 0
    try:
        meta = _only_boxes(original, 0, len(original), {b"meta"})[b"meta"]
        children = _only_boxes(original, meta[0] + 4, meta[1], {b"iinf", b"iprp", b"iref", b"pitm"})
        parts = _read_number(original, children[b"iinf"][0])
        sizes: dict[int, int] = {}
        turns: dict[int, int] = {}
        for item, name, area in _item_properties(original, *children[b"iprp"]):
            parts += 1
            if parts > max_parts:
                return IsoMediaStructure(parts, 0)
            sizes[item] = sizes.get(item, 0) + area
            turns[item] = turns.get(item, 0) + (name in _TURNS)
        needed: dict[int, list[int]] = {}
        for kind, item, other in _item_references(original, *children.get(b"iref", (0, 0))):
            parts += 1
            if parts > max_parts:
                return IsoMediaStructure(parts, 0)
            if kind == b"dimg":
                needed.setdefault(item, []).append(other)
            elif kind == b"auxl":  # such as transparency, which names what it belongs to
                needed.setdefault(other, []).append(item)
        pending = [_read_number(original, children[b"pitm"][0])]
        while pending and parts <= max_parts:
            item = pending.pop()
            pixels += sizes.get(item, 0) * (1 + turns.get(item, 0))
            pending += needed.get(item, ())
            parts += 1 + len(needed.get(item, ()))
    except (struct.error, IndexError, KeyError):
        pass  # the decoder has the last word
    return IsoMediaStructure(parts, pixels)


def _only_boxes(original: bytes, start: int, end: int, names: set[bytes]) -> dict[bytes, tuple[int, int]]:
    """Return the span of each box that has one of the names, and is the only one that has it."""
    found: dict[bytes, tuple[int, int]] = {}
    for name, *span in _boxes(original, start, end):
        if name in names:
            if name in found:
                raise CorruptImageError(_recognise_iso_media(original))
            found[name] = (span[0], span[1])
    return found


def _boxes(original: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start and end of the payload of every box that lies whole within the span (14496-12, 4.2)."""
    while at + 8 <= end:
        size, header = _read_box_size(original, at)
        size = size or end - at
        if size < header or at + size > end:
            return
        yield original[at + 4 : at + 8], at + header, at + size
        at += size


def _read_box_size(original: bytes, at: int) -> tuple[int, int]:
    """Return the bytes of a box, 0 for all that follow, and how many of them are its header."""
    size = int.from_bytes(original[at : at + 4], "big")
    return (int.from_bytes(original[at + 8 : at + 16], "big"), 16) if size == 1 else (size, 8)


def _read_number(original: bytes, at: int) -> int:
    """Read the first number of a box, which has 16 bits in version 0 and 32 in later ones."""
    return int(struct.unpack_from(">I" if original[at] else ">H", original, at + 4)[0])


def _item_properties(original: bytes, start: int, end: int) -> Iterator[tuple[int, bytes, int]]:
    """Yield item, name of the property, and pixels where that is a size (23008-12, 9.3.1 and 6.5.3).

    Boxes and items without any are yielded as well, so that they count.
    """
    listed = _only_boxes(original, start, end, {b"ipco"})[b"ipco"]
    properties = list(islice(_boxes(original, *listed), _MOST_PROPERTIES))
    for box, place, _ in _boxes(original, start, end):
        yield _NOBODY, box, 0
        if box != b"ipma":
            continue
        item_layout = ">IB" if original[place] else ">HB"
        number_layout, most = (">H", 0x7FFF) if original[place + 3] & 1 else (">B", 0x7F)
        (entries,) = struct.unpack_from(">I", original, place + 4)
        at = place + 8
        for _ in range(entries):
            item, associations = struct.unpack_from(item_layout, original, at)
            at += struct.calcsize(item_layout)
            yield _NOBODY, box, 0
            for (number,) in struct.iter_unpack(
                number_layout, original[at : at + associations * struct.calcsize(number_layout)]
            ):
                if 1 <= number & most <= len(properties):
                    name, payload, _ = properties[(number & most) - 1]
                    width, height = struct.unpack_from(">II", original, payload + 4) if name == b"ispe" else (0, 0)
                    yield item, name, width * height
            at += associations * struct.calcsize(number_layout)


def _item_references(original: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the kind of a reference, and the items that it is from and to (14496-12, 8.11.12)."""
    if start == end:
        return
    number = "I" if original[start] else "H"
    size = struct.calcsize(">" + number)
    for kind, at, _ in _boxes(original, start + 4, end):
        item, count = struct.unpack_from(f">{number}H", original, at)
        yield b"", item, item
        for each in range(count):
            yield kind, item, struct.unpack_from(">" + number, original, at + size + 2 + each * size)[0]


def _iso_media_is_cut_short(original: bytes) -> bool:
    """Walk the outermost boxes (ISO/IEC 14496-12, section 4.2)."""
    at = 0
    while at + 8 <= len(original):
        size, _ = _read_box_size(original, at)
        if size < 8:  # 0 is to the end of the file, wherever that is; others are no size of a box
            return False
        at += size
    return at != len(original)
