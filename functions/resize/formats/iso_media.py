"""AVIF and HEIF: their boxes and items, what is refused of them, and whether the end is there.

ISO/IEC 14496-12 (boxes and items) and ISO/IEC 23008-12 (pictures made of items).
"""

# ruff: noqa: PLR2004 - box and field sizes are those of the two standards; each function cites where from.

import struct
from collections.abc import Iterator
from itertools import islice

from functions.resize.errors import CorruptImageError, TooManyPixelsError, UnsupportedImageError
from functions.resize.formats.structure import Structure
from functions.resize.limits import Limits, check_parts

# 23008-12, and the AV1 image file format: brands of still pictures and picture sequences.
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1"}

# 23008-12, sections 6.5.9 to 6.5.11; an association counts properties in 15 bits.
_TURNS = {b"irot", b"imir", b"clap"}
_MOST_PROPERTIES = 0x7FFF
_NOBODY = -1


def recognise(original: bytes) -> str:
    """Return ``AVIF`` or ``HEIF``, by the brands of a file that begins with a box of file types.

    Raises
    ------
    UnsupportedImageError
        Another media file.
    """
    end = min(int.from_bytes(original[:4], "big"), len(original), 1024)
    # The major brand, then a version number that no brand equals, then the compatible brands.
    brands = {original[at : at + 4] for at in range(8, end, 4)}
    if brands & _AVIF_BRANDS:
        return "AVIF"
    if brands & _HEIF_BRANDS:
        return "HEIF"
    raise UnsupportedImageError("video or another media file")


def inspect(original: bytes, limits: Limits) -> Structure:
    """Refuse too many items, and a picture that is made of too much.

    Raises
    ------
    TooManyPartsError, TooManyPixelsError
    CorruptImageError
        Two boxes where there must be one, of which decoders take the first or the last.
    """
    parts, pixels = _count_items(original, limits.max_item_parts)
    check_parts(parts, limits.max_item_parts, "parts")
    if pixels > limits.max_derived_pixels:
        raise TooManyPixelsError(pixels, limits.max_derived_pixels, " in what it is made of")
    return Structure()


def is_cut_short(original: bytes) -> bool:
    """Return whether the outermost boxes reach beyond the end (14496-12, section 4.2)."""
    at = 0
    while at + 8 <= len(original):
        size, _ = _read_box_size(original, at)
        if size < 8:  # 0 is to the end of the file, wherever that is; others are no size of a box
            return False
        at += size
    return at != len(original)


def show_stored_thumbnail(original: bytes) -> bytes | None:
    """Return the file with the thumbnail that it stores in place of its first picture.

    Phones store one of 320 to 512 pixels beside the picture, which decodes in a hundredth of the time. It is an item
    like the picture, so it is enough to name it as the first one (``pitm``), and to hide that it is a thumbnail
    (``thmb``; 23008-12, section 6.4.4).

    Returns
    -------
    bytes or None
        ``None`` where none is stored, or where the boxes are not as they should be.
    """
    try:
        children = _read_meta(original)
        first, references = children[b"pitm"][0], children[b"iref"]
        picture = _read_number(original, first)
        stored = {
            item
            for type_, item, other in _item_references(original, *references)
            if type_ == b"thmb" and other == picture
        }
        sizes = {item: area for item, _, area in _item_properties(original, *children[b"iprp"]) if area}
        largest = max(stored, key=lambda item: sizes.get(item, 0))
    except (struct.error, IndexError, KeyError, ValueError, CorruptImageError):
        return None
    shown = bytearray(original)
    struct.pack_into(">I" if original[first] else ">H", shown, first + 4, largest)
    for type_, start, _ in _boxes(original, references[0] + 4, references[1]):
        if type_ == b"thmb":
            shown[start - 4 : start] = b"skip"
    return bytes(shown)


def _count_items(original: bytes, max_parts: int) -> tuple[int, int]:
    """Add up what the first picture is made of, if the boxes are as they should be.

    Parameters
    ----------
    original : bytes
    max_parts : int
        Counting stops at the first part above this.

    Returns
    -------
    parts : int
        Items, references between them, and their properties.
    pixels : int
        Pixels of all pictures that the first one is made of, and again for each time that one of them is turned or
        cropped.

    Raises
    ------
    CorruptImageError

    Notes
    -----
    14496-12, section 8.11, and 23008-12, sections 6.5, 6.6 and 9.3.
    """
    parts = pixels = 0
    try:
        children = _read_meta(original)
        parts = _read_number(original, children[b"iinf"][0])
        sizes: dict[int, int] = {}
        turns: dict[int, int] = {}
        for item, name, area in _item_properties(original, *children[b"iprp"]):
            parts += 1
            if parts > max_parts:
                return parts, 0
            sizes[item] = sizes.get(item, 0) + area
            turns[item] = turns.get(item, 0) + (name in _TURNS)
        needed: dict[int, list[int]] = {}
        for type_, item, other in _item_references(original, *children.get(b"iref", (0, 0))):
            parts += 1
            if parts > max_parts:
                return parts, 0
            if type_ == b"dimg":
                needed.setdefault(item, []).append(other)
            # Transparency and the stored thumbnail name the picture that they belong to.
            elif type_ in {b"auxl", b"thmb"}:
                needed.setdefault(other, []).append(item)
        pending = [_read_number(original, children[b"pitm"][0])]
        while pending and parts <= max_parts:
            item = pending.pop()
            pixels += sizes.get(item, 0) * (1 + turns.get(item, 0))
            pending += needed.get(item, ())
            parts += 1 + len(needed.get(item, ()))
    except (struct.error, IndexError, KeyError):
        pass  # the decoder has the last word
    return parts, pixels


def _read_meta(original: bytes) -> dict[bytes, tuple[int, int]]:
    """Return the spans of the boxes that describe the items.

    Raises
    ------
    CorruptImageError
        One of them is there twice.
    KeyError
        There are none.
    """
    start, end = _only_boxes(original, 0, len(original), {b"meta"})[b"meta"]
    return _only_boxes(original, start + 4, end, {b"iinf", b"iprp", b"iref", b"pitm"})


def _only_boxes(original: bytes, start: int, end: int, names: set[bytes]) -> dict[bytes, tuple[int, int]]:
    """Return the span of each box that has one of the names, and is the only one that has it."""
    found: dict[bytes, tuple[int, int]] = {}
    for name, *span in _boxes(original, start, end):
        if name in names:
            if name in found:
                raise CorruptImageError(recognise(original))
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
    """Yield the type of a reference, and the items that it is from and to (14496-12, 8.11.12)."""
    if start == end:
        return
    number = "I" if original[start] else "H"
    size = struct.calcsize(">" + number)
    for type_, at, _ in _boxes(original, start + 4, end):
        item, count = struct.unpack_from(f">{number}H", original, at)
        yield b"", item, item
        for each in range(count):
            yield type_, item, struct.unpack_from(">" + number, original, at + size + 2 + each * size)[0]
