"""TIFF: its directories, what is refused of it, and whether its end is there (TIFF 6.0, and BigTIFF)."""

# ruff: noqa: PLR2004 - tags and field sizes are those of TIFF 6.0, section 2.

import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from functions.resize.errors import TooManyPixelsError
from functions.resize.formats.structure import Structure
from functions.resize.limits import Limits, check_parts

# Bytes of a value, of those types that Pillow makes numbers of; 16 to 18 are BigTIFF's.
_VALUE_SIZES = {3: 2, 4: 4, 5: 8, 6: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
# Exif, GPS and interoperability: Exif 3.0, section 4.6.3.
_DIRECTORIES = {34665, 34853, 40965}
_MOST_DIRECTORIES = 8
_WHOLE_NUMBERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_SIDES = (256, 257)
_TILE_SIDES = (322, 323)


def inspect(original: bytes, limits: Limits) -> Structure:
    """Refuse too many numbers in tags, and tiles that reach far beyond the picture.

    Raises
    ------
    TooManyPartsError, TooManyPixelsError
    """
    directories = _read_directories(original, limits.max_tiff_values)
    check_parts(directories.values, limits.max_tiff_values, "numbers in its tags")
    # Decoders also decode the padding of edge tiles.
    if directories.tiled_pixels > limits.max_tiled_pixels:
        raise TooManyPixelsError(directories.tiled_pixels, limits.max_tiled_pixels, " in its tiles")
    return Structure()


def is_cut_short(original: bytes) -> bool:
    """Return whether the first directory, or a strip or tile that it lists, lies beyond the end."""
    order = "<" if original[:2] == b"II" else ">"
    if original[2:4] in (b"+\0", b"\0+"):
        return False  # BigTIFF: not told apart
    try:
        (directory,) = struct.unpack_from(order + "I", original, 4)
        values = {}
        for tag, type_, count, value in _entries(original, directory, order, big=False):
            if tag in (273, 279, 324, 325):  # strip offsets and lengths, tile offsets and lengths
                letter = {3: "H", 4: "I"}.get(type_)
                if letter is None:
                    return False
                layout = f"{order}{count}{letter}"
                place = _find_values(original, order, struct.calcsize(layout), value)
                values[tag] = struct.unpack_from(layout, *place)
    except struct.error:
        return True
    offsets = (*values.get(273, ()), *values.get(324, ()))
    lengths = (*values.get(279, ()), *values.get(325, ()))
    return any(offset + length > len(original) for offset, length in zip(offsets, lengths, strict=False))


@dataclass(frozen=True, slots=True)
class _Directories:
    """What the directories of a TIFF file say.

    Attributes
    ----------
    values : int
        Numbers in tags, and tags that hold none.
    tiled_pixels : int
        Pixels of all tiles, their padding included; 0 where there are none.
    """

    values: int
    tiled_pixels: int


def _read_directories(original: bytes, max_values: int) -> _Directories:
    """Walk the first directory, and those of Exif, GPS and interoperability, without reading what the tags hold.

    Parameters
    ----------
    original : bytes
    max_values : int
        Counting stops at the first number above this.
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
            for tag, type_, count, value in _entries(original, directory, order, big=big):
                # What reaches beyond the file is not read.
                length = count * _VALUE_SIZES.get(type_, 0)
                values += max(1, count) if 0 < length <= len(original) else 1
                if values > max_values:
                    return _Directories(values, 0)
                if tag in _DIRECTORIES and len(directories) < _MOST_DIRECTORIES:
                    directories.append(_read_number(original, order, type_, length, value))
                elif tag in _SIDES + _TILE_SIDES and directory == directories[0]:
                    # Readers differ in which one of several they take.
                    one = _read_number(original, order, type_, length, value)
                    numbers[tag] = max(numbers.get(tag, 0), one)
    return _Directories(values, _count_tiled_pixels(numbers))


def _entries(original: bytes, directory: int, order: str, *, big: bool) -> Iterator[tuple[int, int, int, bytes]]:
    """Yield tag, type_, count, and the values or where they are.

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


def _find_values(original: bytes, order: str, length: int, value: bytes) -> tuple[bytes, int]:
    """Return the bytes and the offset in them where values of some length are: in their entry, or elsewhere."""
    if length <= len(value):
        return value, 0
    (offset,) = struct.unpack(order + ("I" if len(value) == 4 else "Q"), value)
    return original, offset


def _read_number(original: bytes, order: str, type_: int, length: int, value: bytes) -> int:
    """Read the first number of a tag, which stands elsewhere if it does not fit into the entry; 0 if there is none."""
    layout = _WHOLE_NUMBERS.get(type_)
    if layout is None:
        return 0
    try:
        return int(struct.unpack_from(order + layout, *_find_values(original, order, length, value))[0])
    except (struct.error, OverflowError):
        return 0


def _count_tiled_pixels(numbers: dict[int, int]) -> int:
    pixels = 1
    for side, tile_side in zip(_SIDES, _TILE_SIDES, strict=True):
        tile = numbers.get(tile_side, 0)
        pixels *= -(-numbers.get(side, 0) // tile) * tile if tile else 0
    return pixels
