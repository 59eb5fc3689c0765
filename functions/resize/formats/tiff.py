"""TIFF: limits of its directories, orientation, and whether a file was cut short (TIFF 6.0, and BigTIFF)."""

import struct
from contextlib import suppress
from dataclasses import dataclass, field

from functions.resize.errors import TooManyPixelsError
from functions.resize.formats.structure import Structure
from functions.resize.formats.tiff_layout import (
    BITS,
    HEIGHT,
    ORIENTATION,
    SAMPLES,
    STRIP_LENGTHS,
    TILE_HEIGHT,
    TILE_LENGTHS,
    TILE_WIDTH,
    VALUE_SIZES,
    WIDTH,
    Entry,
    Header,
    read_header,
    read_layout,
)
from functions.resize.limits import Limits, check_parts

# Exif, GPS and interoperability: Exif 3.0, section 4.6.3.
_DIRECTORIES = {34665, 34853, 40965}
_MOST_DIRECTORIES = 8
_SIZES = {WIDTH, HEIGHT, BITS, SAMPLES, TILE_WIDTH, TILE_HEIGHT}
_LENGTHS = {STRIP_LENGTHS, TILE_LENGTHS}
_UPRIGHT = 1
# Bytes and text, which decoders do not convert to numbers.
_BYTES = {1, 2, 7}
# Values of tags may overlap by this many bytes in normal files.
_OVERLAP = 100_000


def inspect(original: bytes, limits: Limits) -> Structure:
    """Refuse too many numbers or bytes in tags, and strips or tiles with too many bytes or pixels.

    Raises
    ------
    TooManyPartsError, TooManyPixelsError
    """
    directories = _read_directories(original, limits.max_tiff_values)
    check_parts(directories.values, limits.max_tiff_values, "numbers in its tags")
    # libtiff copies the values of every tag, and many tags may point to the same bytes.
    check_parts(directories.tag_bytes, len(original) + _OVERLAP, "bytes in its tags")
    # Many strips may point to the same bytes, which are decompressed once for each strip.
    check_parts(directories.chunk_bytes, limits.max_bytes, "bytes in its strips and tiles")
    sizes = directories.sizes
    # Decoders also decode the padding of edge tiles.
    if (pixels := _count_tiled_pixels(sizes)) > limits.max_tiled_pixels:
        raise TooManyPixelsError(pixels, limits.max_tiled_pixels, " in its tiles")
    if (row := _count_row_bytes(sizes)) > limits.max_tile_row_bytes:
        raise TooManyPixelsError(row, limits.max_tile_row_bytes, ", counted once per byte, in a row of tiles")
    return Structure(orientation=_read_orientation(original))


def is_cut_short(original: bytes) -> bool:
    """Return whether the first directory, or one of its strips or tiles, extends beyond the end of the file."""
    try:
        layout = read_layout(original)
    except (struct.error, OverflowError):
        return True
    return any(offset + length > len(original) for offset, length in layout.chunks)


def _read_orientation(original: bytes) -> int:
    with suppress(struct.error, OverflowError):
        return read_layout(original).get(ORIENTATION, _UPRIGHT)
    return _UPRIGHT


@dataclass(slots=True)
class _Directories:
    """Totals of the directories of a TIFF file.

    Attributes
    ----------
    values : int
        Numbers in tags; a tag without numbers counts as one.
    tag_bytes : int
        Bytes of all tags in the first directory.
    chunk_bytes : int
        Bytes of all strips or tiles.
    sizes : dict of int to int
        The largest value of each size tag: if a tag occurs twice, readers differ in which one they use.
    """

    values: int = 0
    tag_bytes: int = 0
    chunk_bytes: int = 0
    sizes: dict[int, int] = field(default_factory=dict)


def _read_directories(original: bytes, max_values: int) -> _Directories:
    """Walk the first directory, and those of Exif, GPS and interoperability, without reading the values.

    Parameters
    ----------
    original : bytes
    max_values : int
        Counting stops once there are more numbers than this.
    """
    header = read_header(original)
    found = _Directories()
    directories = [0]
    with suppress(struct.error):
        directories = [header.first_directory(original)]
    # Each further directory is referenced by an earlier one, so the list grows during the walk.
    for directory in directories:
        # A directory may be cut off by the end of the file, or lie beyond it.
        with suppress(struct.error, OverflowError):
            for entry in header.entries(original, directory):
                # Values beyond the end of the file are not read.
                is_read = entry.length <= len(original)
                is_numbers = entry.type in VALUE_SIZES.keys() - _BYTES
                found.values += max(1, entry.count) if is_numbers and is_read else 1
                if found.values > max_values:
                    return found
                if entry.tag in _DIRECTORIES and len(directories) < _MOST_DIRECTORIES:
                    directories.append(_first_number(header, original, entry))
                elif directory == directories[0] and is_read:
                    found.tag_bytes += entry.length
                    _add_sizes(found, header, original, entry)
    return found


def _add_sizes(found: _Directories, header: Header, original: bytes, entry: Entry) -> None:
    if entry.tag in _LENGTHS:
        with suppress(struct.error, OverflowError):
            found.chunk_bytes = max(found.chunk_bytes, sum(header.numbers(original, entry)))
    elif entry.tag in _SIZES:
        found.sizes[entry.tag] = max(found.sizes.get(entry.tag, 0), _first_number(header, original, entry))


def _first_number(header: Header, original: bytes, entry: Entry) -> int:
    """Read the first number of a tag; 0 if there is none."""
    with suppress(struct.error, OverflowError):
        return next(iter(header.numbers(original, entry, 1)), 0)
    return 0


def _count_tiled_pixels(sizes: dict[int, int]) -> int:
    """Count the pixels of all tiles, including their padding; 0 if there are no tiles."""
    pixels = 1
    for side, tile_side in ((WIDTH, TILE_WIDTH), (HEIGHT, TILE_HEIGHT)):
        tile = sizes.get(tile_side, 0)
        pixels *= -(-sizes.get(side, 0) // tile) * tile if tile else 0
    return pixels


def _count_row_bytes(sizes: dict[int, int]) -> int:
    """Count the decompressed bytes of one row of tiles; 0 for strips, which are read row by row."""
    tile = sizes.get(TILE_WIDTH, 0)
    width = -(-sizes.get(WIDTH, 0) // tile) * tile if tile else 0
    return width * sizes.get(TILE_HEIGHT, 0) * sizes.get(SAMPLES, 1) * -(-sizes.get(BITS, 1) // 8)
