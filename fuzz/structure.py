"""Make files with repeated or overlapping pieces, or pieces of the wrong size.

Random damage rarely produces what an attacker would: a valid piece repeated a thousand times, two offsets to the same
bytes, a length that extends into the next piece. So this module first finds the pieces of a file: PNG and WebP chunks,
JPEG segments with their scans, GIF blocks, TIFF tags, ISO boxes and the entries of their lists.
Pure functions: the same random numbers produce the same file.
"""

# ruff: noqa: PLR2004 - the numbers are sizes and offsets defined by the formats.

import random
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from fuzz.damage import AWKWARD, fix_checksums

# A piece is repeated up to this many bytes, because the engine promises to be quick for small files only.
_MOST_BYTES = 2_000_000
_JPEG_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")
# Boxes that contain boxes, and the number of bytes before the first (ISO/IEC 14496-12).
_ISO_CONTAINERS = {b"meta": 4, b"iprp": 0, b"ipco": 0, b"iinf": 6, b"iref": 4, b"dinf": 0, b"grpl": 0}


# The struct format of a length, and its offset in the file.
Length = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a file.

    Attributes
    ----------
    start, end : int
        Offsets in the file.
    numbers : int
        Offset of its payload, which contains counts, offsets and sizes.
    length : Length
        Where its own length is stored.
    parents : tuple of Length
        Where the lengths of the pieces around it are stored.
    """

    start: int
    end: int
    numbers: int
    length: Length
    parents: tuple[Length, ...] = ()


def rearrange(source: bytes, chance: random.Random) -> tuple[bytes, str] | None:
    """Repeat, move, resize or overlap pieces of a file once or twice.

    Returns
    -------
    (bytes, str) or None
        The file and the last change; ``None`` for a file without known pieces.
    """
    data, done = bytearray(source), None
    for _ in range(chance.choice([1, 1, 2])):
        pieces = list(_pieces(data))
        if not pieces:
            break
        done, way = chance.choice(list(_WAYS.items()))
        way(data, pieces, chance)
    if done is None:
        return None
    fix_checksums(data)
    return bytes(data), done


def _repeat(data: bytearray, pieces: list[Piece], chance: random.Random) -> None:
    piece = chance.choice(pieces)
    content = data[piece.start : piece.end]
    times = min(chance.choice([1, 2, 50, 3_000, 100_000]), max(1, _MOST_BYTES // len(content)))
    data[piece.end : piece.end] = content * times
    for length in piece.parents:
        # A TIFF directory stores its number of tags; all other pieces store their number of bytes.
        grown = times if length[0].endswith("H") else len(content) * times
        _write(data, length, _read(data, length) + grown)


def _move(data: bytearray, pieces: list[Piece], chance: random.Random) -> None:
    piece, before = chance.choice(pieces), chance.choice(pieces)
    content = data[piece.start : piece.end]
    del data[piece.start : piece.end]
    at = before.start if before.start <= piece.start else before.start - len(content)
    data[at:at] = content


def _resize(data: bytearray, pieces: list[Piece], chance: random.Random) -> None:
    piece, other = chance.choice(pieces), chance.choice(pieces)
    now = _read(data, piece.length)
    sizes = [now - 1, now + 1, now * 2, other.end - other.start, len(data) - piece.start, chance.choice(AWKWARD)]
    _write(data, piece.length, chance.choice(sizes))


def _overlap(data: bytearray, pieces: list[Piece], chance: random.Random) -> None:
    """Copy numbers of one piece over those of another, so that counts, offsets and sizes are equal."""
    piece, other = chance.choice(pieces), chance.choice(pieces)
    size = chance.choice([2, 4, 4, 8])
    source, target = (
        chance.randrange(max(1, min(each.end, each.numbers + 64) - each.numbers - size + 1)) for each in (piece, other)
    )
    numbers = data[piece.numbers + source : piece.numbers + source + size]
    times = chance.choice([1, 1, 4])
    end = min(other.end, other.numbers + target + len(numbers) * times)
    at = other.numbers + target
    data[at:end] = (numbers * times)[: max(0, end - at)]


_WAYS = {
    "pieces repeated": _repeat,
    "pieces moved": _move,
    "pieces resized": _resize,
    "numbers repeated": _overlap,
}


def _read(data: bytearray, length: Length) -> int:
    (number,) = struct.unpack_from(length[0], data, length[1])
    return int(number)


def _write(data: bytearray, length: Length, number: int) -> None:
    code, at = length
    struct.pack_into(code, data, at, number & ((1 << 8 * struct.calcsize(code)) - 1))


def _pieces(data: bytearray) -> Iterator[Piece]:
    """Yield the pieces of a file up to the first incomplete one."""
    if data.startswith(b"\x89PNG"):
        yield from _png_chunks(data)
    elif data.startswith(b"RIFF"):
        yield from _webp_chunks(data)
    elif data.startswith(b"\xff\xd8"):
        yield from _jpeg_segments(data)
    elif data.startswith(b"GIF"):
        yield from _gif_blocks(data)
    elif data.startswith((b"II*\0", b"MM\0*")):
        yield from _tiff_tags(data)
    elif data[4:8] == b"ftyp":
        yield from _boxes(data, 0, len(data), ())


def _png_chunks(data: bytearray) -> Iterator[Piece]:
    at = 8
    while at + 12 <= len(data) and (end := at + 12 + _read(data, (">I", at))) <= len(data):
        yield Piece(at, end, at + 8, (">I", at))
        at = end


def _webp_chunks(data: bytearray) -> Iterator[Piece]:
    at = 12
    while at + 8 <= len(data):
        size = _read(data, ("<I", at + 4))
        end = at + 8 + size + size % 2
        if end > len(data):
            return
        yield Piece(at, end, at + 8, ("<I", at + 4), (("<I", 4),))
        at = end


def _jpeg_segments(data: bytearray) -> Iterator[Piece]:
    """Yield marker segments; a scan's header and its coded data are one piece."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xD9:
        end = at + 2 + _read(data, (">H", at + 2))
        if data[at + 1] == 0xDA:
            found = _JPEG_MARKER.search(data, end)
            end = found.start() if found else len(data)
        if end > len(data):
            return
        yield Piece(at, end, at + 4, (">H", at + 2))
        at = end


def _gif_blocks(data: bytearray) -> Iterator[Piece]:
    """Yield extensions and frames; the length of their first sub-block is taken as their length."""
    at = 13 + _colour_table_bytes(data, 10)
    while at + 12 < len(data) and data[at] in b"!,":
        first = at + 2 if data[at] == 0x21 else at + 11 + _colour_table_bytes(data, at + 9)
        end = first
        while end < len(data) and data[end]:
            end += data[end] + 1
        if end >= len(data):
            return
        yield Piece(at, end + 1, at + 1, ("B", first))
        at = end + 1


def _colour_table_bytes(data: bytearray, flags_at: int) -> int:
    flags = data[flags_at]
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _tiff_tags(data: bytearray) -> Iterator[Piece]:
    """Yield the tags of the first directory; their numbers are the count and the offset or value."""
    order = "<" if data[:2] == b"II" else ">"
    directory = _read(data, (order + "I", 4))
    if directory + 2 > len(data):
        return
    count = _read(data, (order + "H", directory))
    for at in range(directory + 2, min(directory + 2 + 12 * count, len(data) - 11), 12):
        yield Piece(at, at + 12, at + 4, (order + "I", at + 4), ((order + "H", directory),))


def _boxes(data: bytearray, at: int, end: int, parents: tuple[Length, ...]) -> Iterator[Piece]:
    while at + 8 <= end:
        size, name = _read(data, (">I", at)), bytes(data[at + 4 : at + 8])
        if size < 8 or at + size > end:
            return
        yield Piece(at, at + size, min(at + 8, at + size), (">I", at), parents)
        if name in _ISO_CONTAINERS:
            yield from _boxes(data, at + 8 + _ISO_CONTAINERS[name], at + size, (*parents, (">I", at)))
        at += size
