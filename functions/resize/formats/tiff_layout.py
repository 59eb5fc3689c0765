"""TIFF: read the tags of the first directory, and write a file with changed directories (TIFF 6.0, and BigTIFF)."""

import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

# Bytes of a value by its type; 16 to 18 are BigTIFF's.
VALUE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_WHOLE_NUMBERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
STRIP_OFFSETS, ORIENTATION, SAMPLES, ROWS_PER_STRIP, STRIP_LENGTHS = 273, 274, 277, 278, 279
PLANAR, PREDICTOR, COLOUR_MAP, TILE_WIDTH, TILE_HEIGHT = 284, 317, 320, 322, 323
TILE_OFFSETS, TILE_LENGTHS, INK_SET, EXTRA_SAMPLES, SAMPLE_FORMAT = 324, 325, 332, 338, 339
YCBCR_SUBSAMPLING, XMP, ICC_PROFILE = 530, 700, 34675


@dataclass(frozen=True, slots=True)
class Entry:
    """One tag of a directory.

    Attributes
    ----------
    tag, type : int
    count : int
        Number of values.
    value : bytes
        The values, or their offset in the file if they do not fit here.
    """

    tag: int
    type: int
    count: int
    value: bytes

    @property
    def length(self) -> int:
        """Bytes of all values; 0 for an unknown type."""
        return self.count * VALUE_SIZES.get(self.type, 0)


@dataclass(frozen=True, slots=True)
class Header:
    """Byte order and field sizes of a file.

    Attributes
    ----------
    order : str
        ``<`` or ``>``, as ``struct`` spells them.
    big : bool
        A BigTIFF file.
    """

    order: str
    big: bool

    def first_directory(self, original: bytes) -> int:
        """Return the offset of the first directory; raises ``struct.error``."""
        (offset,) = struct.unpack_from(self.order + ("8xQ" if self.big else "4xI"), original)
        return int(offset)

    def entries(self, original: bytes, directory: int) -> Iterator[Entry]:
        """Yield the tags of a directory.

        Raises
        ------
        struct.error, OverflowError
            The directory extends beyond the end of the file, or its offset is too large for any file.
        """
        number, entry = ("Q", "HHQ8s") if self.big else ("H", "HHI4s")
        (entries,) = struct.unpack_from(self.order + number, original, directory)
        first, size = directory + struct.calcsize(self.order + number), struct.calcsize(self.order + entry)
        for at in range(first, first + entries * size, size):
            yield Entry(*struct.unpack_from(self.order + entry, original, at))

    def following(self, original: bytes, directory: int) -> int:
        """Return the offset of the next directory, 0 if there is none; raises like ``entries``."""
        number, entry, offset = ("Q", "HHQ8s", "Q") if self.big else ("H", "HHI4s", "I")
        (entries,) = struct.unpack_from(self.order + number, original, directory)
        size = struct.calcsize(self.order + number) + entries * struct.calcsize(self.order + entry)
        (place,) = struct.unpack_from(self.order + offset, original, directory + size)
        return int(place)

    def numbers(self, original: bytes, entry: Entry, most: int | None = None) -> tuple[int, ...]:
        """Read the values of a tag, at most ``most`` of them; none if they are not integers.

        Raises
        ------
        struct.error, OverflowError
            The values extend beyond the end of the file.
        """
        layout = _WHOLE_NUMBERS.get(entry.type)
        if layout is None:
            return ()
        count = entry.count if most is None else min(entry.count, most)
        data, place = self._find(original, entry)
        if count * struct.calcsize(layout) > len(data):
            raise struct.error("values beyond the file")
        return struct.unpack_from(f"{self.order}{count}{layout}", data, place)

    def data(self, original: bytes, entry: Entry) -> bytes:
        """Return the bytes of a tag; fewer if the file ends before them."""
        data, place = self._find(original, entry)
        return data[place : place + entry.length]

    def _find(self, original: bytes, entry: Entry) -> tuple[bytes, int]:
        """Return the bytes that contain the values, and the offset of the values: in the entry, or in the file."""
        if entry.length <= len(entry.value):
            return entry.value, 0
        (offset,) = struct.unpack(self.order + ("Q" if self.big else "I"), entry.value)
        return original, offset


def read_header(original: bytes) -> Header:
    """Read the byte order, and whether this is BigTIFF: as in libtiff, a 43 in the file's byte order."""
    order = "<" if original[:2] == b"II" else ">"
    return Header(order, original[2:4] == (b"+\0" if order == "<" else b"\0+"))


@dataclass(frozen=True, slots=True)
class Layout:
    """The first directory of a file.

    Attributes
    ----------
    header : Header
    entries : dict of int to Entry
        By tag; if a tag occurs twice, its first entry, as in libtiff.
    numbers : dict of int to tuple of int
        The values of the tags that describe the picture.
    is_alone : bool
        No other directory follows.
    """

    header: Header
    entries: dict[int, Entry]
    numbers: dict[int, tuple[int, ...]]
    is_alone: bool

    def get(self, tag: int, default: int) -> int:
        """Return the first value of a tag."""
        return next(iter(self.numbers.get(tag, ())), default)

    @property
    def chunks(self) -> list[tuple[int, int]]:
        """Offset and length of every strip or tile."""
        offsets, lengths = (
            (TILE_OFFSETS, TILE_LENGTHS) if TILE_WIDTH in self.entries else (STRIP_OFFSETS, STRIP_LENGTHS)
        )
        return list(zip(self.numbers.get(offsets, ()), self.numbers.get(lengths, ()), strict=False))


# Tags whose values are read. Only those of strips and tiles can need more than a thousand values.
_DESCRIBING = {
    *(WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, ORIENTATION, SAMPLES, ROWS_PER_STRIP, PLANAR, PREDICTOR),
    *(TILE_WIDTH, TILE_HEIGHT, INK_SET, EXTRA_SAMPLES, SAMPLE_FORMAT, YCBCR_SUBSAMPLING),
}
_MOST_VALUES = 1_000
_CHUNKS = {STRIP_OFFSETS, STRIP_LENGTHS, TILE_OFFSETS, TILE_LENGTHS}


def read_layout(original: bytes) -> Layout:
    """Read the first directory.

    Raises
    ------
    struct.error, OverflowError
        The file ends before the directory or its values do.
    """
    header = read_header(original)
    entries: dict[int, Entry] = {}
    is_alone = False
    directory = header.first_directory(original)
    for entry in header.entries(original, directory):
        entries.setdefault(entry.tag, entry)
    # The file may end before the offset of the next directory.
    with suppress(struct.error, OverflowError):
        is_alone = not header.following(original, directory)
    numbers = {
        tag: header.numbers(original, entry, None if tag in _CHUNKS else _MOST_VALUES)
        for tag, entry in entries.items()
        if tag in _DESCRIBING | _CHUNKS
    }
    return Layout(header, entries, numbers, is_alone)


# All the new values of each tag; None removes the tag.
Changes = dict[int, tuple[int, ...] | None]


def with_directories(original: bytes, layout: Layout, pages: list[Changes]) -> bytes:
    """Return the file with new directories, one for each page: copies of its first one with changed values.

    They are appended to the file, so that all its offsets stay valid.
    """
    header = layout.header
    number, entry, offset = ("Q", "HHQ", "Q") if header.big else ("H", "HHI", "I")
    type_, room = (16, 8) if header.big else (4, 4)
    # Directories and values begin at even offsets (section 2).
    place = len(original) + len(original) % 2
    start = 8 if header.big else 4
    parts: list[bytes | memoryview] = [
        original[:start],
        struct.pack(header.order + offset, place),
        memoryview(original)[start + room :],
        bytes(place - len(original)),
    ]
    for page, changes in enumerate(pages):
        entries = {tag: each for tag, each in layout.entries.items() if tag not in changes}
        count = len(entries) + sum(values is not None for values in changes.values())
        behind = place + struct.calcsize(header.order + number) + count * (4 + 2 * room) + room
        outside = b""
        for tag, values in changes.items():
            if values is None:
                continue
            value = struct.pack(f"{header.order}{len(values)}{offset}", *values)
            if len(value) > room:
                pointer = struct.pack(header.order + offset, behind + len(outside))
                outside, value = outside + value, pointer
            entries[tag] = Entry(tag, type_, len(values), value)
        following = behind + len(outside)
        parts.append(struct.pack(header.order + number, count))
        parts += [
            struct.pack(header.order + entry, tag, entries[tag].type, entries[tag].count) + entries[tag].value
            for tag in sorted(entries)
        ]
        parts.append(struct.pack(header.order + offset, 0 if page + 1 == len(pages) else following) + outside)
        place = following
    return b"".join(parts)
