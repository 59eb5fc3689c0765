"""The items of an AVIF or HEIF file: types, locations, properties and references.

ISO/IEC 14496-12 (boxes and items) and ISO/IEC 23008-12 (pictures made of items).
"""

# ruff: noqa: PLR2004 - box and field sizes are those of the two standards; each function cites where from.

import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice

from functions.resize.errors import CorruptImageError
from functions.resize.limits import check_parts

# An association counts properties in 15 bits (23008-12, section 9.3).
_MOST_PROPERTIES = 0x7FFF


@dataclass(frozen=True, slots=True)
class Property:
    """One property of an item.

    Attributes
    ----------
    name : bytes
        Type of its box.
    start, end : int
        Its payload.
    number : int
        Its index in ``ipco``, from 1.
    association : slice
        The bytes of ``ipma`` that associate it with the item.
    """

    name: bytes
    start: int
    end: int
    number: int
    association: slice


@dataclass(slots=True)
class Item:
    """One item.

    Attributes
    ----------
    type : bytes
        Such as ``av01``, ``hvc1``, ``grid`` or ``Exif``.
    type_at : int
        Offset of the type in the file.
    properties : list of Property
        In the order in which they apply.
    associations_at : int
        Offset of its association count in ``ipma``.
    extents : list of (int, int)
        Start and end of its bytes in the file.
    needs : list of int
        The items that are decoded with it: its tiles, its alpha and its stored thumbnails.
    """

    type: bytes = b""
    type_at: int = 0
    properties: list[Property] = field(default_factory=list)
    associations_at: int = 0
    extents: list[tuple[int, int]] = field(default_factory=list)
    needs: list[int] = field(default_factory=list)

    def first(self, name: bytes) -> Property | None:
        """Return the first property with a name."""
        return next((each for each in self.properties if each.name == name), None)


@dataclass(slots=True)
class Items:
    """All items of a file.

    Attributes
    ----------
    primary : int
        The primary item, which is shown.
    parts : int
        Items, references, properties and additional extents, all of which a decoder walks.
    by_id : dict
    references : list of (bytes, int, int)
        Type, source and target.
    descriptions_at : list of int
        Offset of the type of each ``cdsc`` box, which links metadata to pictures.
    end : int
        End of the last extent, which may be beyond the end of the file.
    """

    primary: int
    parts: int = 0
    by_id: dict[int, Item] = field(default_factory=dict)
    references: list[tuple[bytes, int, int]] = field(default_factory=list)
    descriptions_at: list[int] = field(default_factory=list)
    end: int = 0

    def get(self, item: int) -> Item:
        """Return an item; an empty one if the file does not describe it."""
        return self.by_id.setdefault(item, Item())


def read_items(original: bytes, max_parts: int) -> Items:
    """Read all items (14496-12, section 8.11).

    Parameters
    ----------
    original : bytes
    max_parts : int
        Reading stops at the first part above this.

    Raises
    ------
    TooManyPartsError
    CorruptImageError
        A box occurs twice, and decoders differ in which one they use.
    struct.error, IndexError, KeyError
        There are no items.
    """
    children = read_meta(original)
    items = Items(read_number(original, children[b"pitm"][0]), read_number(original, children[b"iinf"][0]))
    check_parts(items.parts, max_parts, "parts")
    for walk in (_read_properties, _read_references, _read_extents, _read_types):
        # Ignore broken boxes here, because the decoder refuses them.
        with suppress(struct.error, IndexError, KeyError):
            for parts in walk(original, children, items):
                items.parts += parts
                check_parts(items.parts, max_parts, "parts")
    return items


def read_meta(original: bytes) -> dict[bytes, tuple[int, int]]:
    """Return the spans of the boxes that describe the items.

    Raises
    ------
    CorruptImageError
        One of them occurs twice.
    KeyError
        There are none.
    """
    start, end = _only_boxes(original, 0, len(original), {b"meta"})[b"meta"]
    return _only_boxes(original, start + 4, end, {b"idat", b"iinf", b"iloc", b"iprp", b"iref", b"pitm"})


def _only_boxes(original: bytes, start: int, end: int, names: set[bytes]) -> dict[bytes, tuple[int, int]]:
    """Return the span of each box with one of the names; refuse duplicates."""
    found: dict[bytes, tuple[int, int]] = {}
    for name, *span in read_boxes(original, start, end):
        if name in names:
            if name in found:
                raise CorruptImageError("AVIF or HEIF")
            found[name] = (span[0], span[1])
    return found


def read_boxes(original: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start and end of the payload of every complete box within the span (14496-12, 4.2)."""
    while at + 8 <= end:
        size, header = read_box_size(original, at)
        size = size or end - at
        if size < header or at + size > end:
            return
        yield original[at + 4 : at + 8], at + header, at + size
        at += size


def read_box_size(original: bytes, at: int) -> tuple[int, int]:
    """Return the size of a box, 0 if it extends to the end, and the size of its header."""
    size = int.from_bytes(original[at : at + 4], "big")
    return (int.from_bytes(original[at + 8 : at + 16], "big"), 16) if size == 1 else (size, 8)


def read_number(original: bytes, at: int) -> int:
    """Read the first number of a box, which has 16 bits in version 0 and 32 in later ones."""
    return int(struct.unpack_from(">I" if original[at] else ">H", original, at + 4)[0])


def _read_properties(original: bytes, children: dict[bytes, tuple[int, int]], items: Items) -> Iterator[int]:
    """Read the properties of each item (23008-12, 9.3.1); yield the number of parts read."""
    start, end = children[b"iprp"]
    listed = _only_boxes(original, start, end, {b"ipco"})[b"ipco"]
    properties = list(islice(read_boxes(original, *listed), _MOST_PROPERTIES))
    for box, place, _ in read_boxes(original, start, end):
        yield 1
        if box != b"ipma":
            continue
        item_layout = ">IB" if original[place] else ">HB"
        size, most = (2, 0x7FFF) if original[place + 3] & 1 else (1, 0x7F)
        (entries,) = struct.unpack_from(">I", original, place + 4)
        at = place + 8
        for _ in range(entries):
            item, associations = struct.unpack_from(item_layout, original, at)
            at += struct.calcsize(item_layout)
            yield 1 + associations
            items.get(item).associations_at = at - 1
            for _ in range(associations):
                association = slice(at, at + size)
                number = int.from_bytes(original[association], "big") & most
                if 1 <= number <= len(properties):
                    items.get(item).properties.append(Property(*properties[number - 1], number, association))
                at += size


def _read_references(original: bytes, children: dict[bytes, tuple[int, int]], items: Items) -> Iterator[int]:
    """Read the references between items (14496-12, 8.11.12); yield the number of parts read."""
    start, end = children.get(b"iref", (0, 0))
    if start == end:
        return
    number = "I" if original[start] else "H"
    size = struct.calcsize(">" + number)
    for type_, at, _ in read_boxes(original, start + 4, end):
        item, count = struct.unpack_from(f">{number}H", original, at)
        yield 1 + count
        others = struct.unpack_from(f">{count}{number}", original, at + size + 2)
        items.references += [(type_, item, other) for other in others]
        if type_ == b"cdsc":
            items.descriptions_at.append(at - 4)
        elif type_ == b"dimg":
            items.get(item).needs += others
        # Alpha and stored thumbnails refer to the picture that they belong to.
        elif type_ in {b"auxl", b"thmb"}:
            for other in others:
                items.get(other).needs.append(item)


def _read_types(original: bytes, children: dict[bytes, tuple[int, int]], items: Items) -> Iterator[int]:
    """Read the type of each item (14496-12, 8.11.6); the items have been counted already."""
    start, end = children[b"iinf"]
    for type_, at, _ in read_boxes(original, start + (8 if original[start] else 6), end):
        # Earlier versions have no item type.
        if type_ == b"infe" and original[at] >= 2:
            layout = ">H2x4s" if original[at] == 2 else ">I2x4s"
            item, name = struct.unpack_from(layout, original, at + 4)
            items.get(item).type = name
            items.get(item).type_at = at + 4 + struct.calcsize(layout) - 4
        yield 0


def _read_extents(original: bytes, children: dict[bytes, tuple[int, int]], items: Items) -> Iterator[int]:
    """Read the extents of each item (14496-12, 8.11.3); yield the number of extents beyond the first."""
    if b"iloc" not in children:
        return
    start, _ = children[b"iloc"]
    version = original[start]
    sizes = original[start + 4 : start + 6]
    offset_size, length_size, base_size, index_size = sizes[0] >> 4, sizes[0] & 15, sizes[1] >> 4, sizes[1] & 15
    index_size = index_size if version in {1, 2} else 0
    number = ">I" if version == 2 else ">H"
    (entries,) = struct.unpack_from(number, original, start + 6)
    at = start + 6 + struct.calcsize(number)
    for _ in range(entries):
        (item,) = struct.unpack_from(number, original, at)
        at += struct.calcsize(number)
        method = 0
        if version in {1, 2}:
            method = original[at + 1] & 15
            at += 2
        base = int.from_bytes(original[at + 2 : at + 2 + base_size], "big")
        at += 2 + base_size
        # Method 2 locates the bytes within another item; libavif and libheif do not support it.
        within = {0: (0, len(original)), 1: children.get(b"idat", (0, 0))}.get(method, (0, 0))
        (extents,) = struct.unpack_from(">H", original, at)
        at += 2
        yield max(0, extents - 1)
        for _ in range(extents):
            at += index_size
            first = within[0] + base + int.from_bytes(original[at : at + offset_size], "big")
            length = int.from_bytes(original[at + offset_size : at + offset_size + length_size], "big")
            at += offset_size + length_size
            last = min(first + length, within[1]) if length else within[1]
            if method in {0, 1}:
                items.end = max(items.end, first + length)
            if first < last:
                items.get(item).extents.append((first, last))
