"""Files whose pieces repeat, overlap or lie about their size. Pure: the same random numbers give the same file.

Random damage hardly ever makes what an attacker would: a valid piece a thousand times, two numbers that name the same
bytes, a length that reaches into the next piece. So the pieces of a file are found first: PNG and WebP chunks, JPEG
segments with their scans, GIF blocks, the tags of a TIFF, ISO boxes and what stands in their lists.
"""

# ruff: noqa: PLR2004 - sizes and places are those of the formats.

import random
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from fuzz.damage import AWKWARD, mend_checksums

# A piece is repeated up to this many bytes: small files are what the engine promises to be quick with.
_MOST_BYTES = 2_000_000
_JPEG_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")
# Boxes that hold boxes, and the bytes before the first (ISO/IEC 14496-12).
_ISO_CONTAINERS = {b"meta": 4, b"iprp": 0, b"ipco": 0, b"iinf": 6, b"iref": 4, b"dinf": 0, b"grpl": 0}


# How a length is written, in the language of struct, and where.
Length = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a file.

    Attributes
    ----------
    start, end : int
    numbers : int
        Where the numbers in it start: its payload.
    length : Length
        Its own.
    parents : tuple of Length
        Those of what it lies in.
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
        The file and what was done last; ``None`` for a file without known pieces.
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
    mend_checksums(data)
    return bytes(data), done


def _repeat(data: bytearray, pieces: list[Piece], chance: random.Random) -> None:
    piece = chance.choice(pieces)
    content = data[piece.start : piece.end]
    times = min(chance.choice([1, 2, 50, 3_000, 100_000]), max(1, _MOST_BYTES // len(content)))
    data[piece.end : piece.end] = content * times
    for length in piece.parents:
        # A directory counts its tags, everything else its bytes.
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
    """Write numbers of one piece over those of another: counts, offsets and sizes that are then the same."""
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
    """Yield the pieces of a file as far as they are whole."""
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
    """Yield marker segments; what a scan codes belongs to its header."""
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
    """Yield extensions and frames; the length of the first of their sub-blocks counts as theirs."""
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
    """Yield the tags of the first directory: count, then offset or value; one more of them is one more to count."""
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
