"""AVIF and HEIF: limits, turning and cropping, and whether a file was cut short.

ISO/IEC 14496-12 (boxes and items) and ISO/IEC 23008-12 (pictures made of items).
"""

# ruff: noqa: PLR2004 - box and field sizes are those of the two standards; each function cites where from.

import struct
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from math import ceil, floor

from functions.resize.errors import CorruptImageError, TooManyPartsError, TooManyPixelsError, UnsupportedImageError
from functions.resize.formats.iso_media_coded import Coded, measure_av1, measure_hevc
from functions.resize.formats.iso_media_items import Item, Items, read_box_size, read_boxes, read_items, read_meta
from functions.resize.formats.structure import Structure
from functions.resize.limits import Limits, check_parts

# 23008-12, and the AV1 image file format: brands of still pictures and picture sequences.
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1"}

# 23008-12, sections 6.5.9, 6.5.10 and 6.5.12.
_TURNS = {b"irot", b"imir", b"clap"}
# Types of alpha: 23008-12, section 6.6.2.1, and ISO/IEC 23091-2.
_TRANSPARENCY = (b"urn:mpeg:hevc:2015:auxid:1\0", b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0")
# Top-level boxes that contain items and tracks (14496-12, table 1).
_OUTERMOST = {b"ftyp", b"mdat", b"meta", b"moov"}
_IN_PIECES = " in its tiles and transparency"
# Decoders ignore boxes and items of this type.
_HIDDEN = b"skip"
# For the Exif orientations 1 to 8: which stored corner (a, b, c, d in reading order) appears in each upright corner.
_CORNERS = ["abcd", "badc", "dcba", "cdab", "acbd", "cadb", "dbca", "bdac"]


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
    """Refuse too many items and too many coded pixels, and read how the picture is turned and cropped.

    libavif neither turns nor crops. libheif does both, but shifts the chroma of a crop with an odd offset, and pads one
    that reaches beyond the picture. So cropped HEIF pictures are turned and cropped by the engine as well.

    Raises
    ------
    TooManyPartsError, TooManyPixelsError
    CorruptImageError
        A box occurs twice, and decoders differ in which one they use.
    """
    is_avif = recognise(original) == "AVIF"
    if is_sequence := is_avif and _plays_tracks(original):
        _check_first_samples(original, limits)
    try:
        items = read_items(original, limits.max_item_parts)
    except (struct.error, IndexError, KeyError):
        return Structure()  # the decoder reports the damage
    _check_work(original, items, limits)
    if is_sequence:
        return Structure()
    picture = items.get(items.primary)
    shown = _read_clean_aperture(original, picture)
    if is_avif:
        return Structure(data=_simplify(original, items), orientation=_read_orientation(original, picture), shown=shown)
    # libheif copies the metadata of every picture in the file, and hundreds of pictures may share one block.
    hidden = items.descriptions_at
    associations = [turn.association for turn in picture.properties if turn.name in _TURNS] if shown else []
    if not hidden and not associations:
        return Structure()
    data = bytearray(original)
    for at in hidden:
        data[at : at + 4] = _HIDDEN
    for association in associations:
        data[association] = bytes(association.stop - association.start)
    return Structure(data=bytes(data), orientation=_read_orientation(original, picture) if shown else None, shown=shown)


def is_cut_short(original: bytes) -> bool:
    """Return whether an item or a top-level box extends beyond the end of the file (14496-12, section 4.2).

    Camera makers append data that need not be a box.
    """
    end = 0
    with suppress(struct.error, IndexError, KeyError, TooManyPartsError, CorruptImageError):
        end = read_items(original, len(original)).end
    if end > len(original):
        return True
    at, name = 0, b""
    while at + 8 <= len(original):
        size, _ = read_box_size(original, at)
        name = original[at + 4 : at + 8]
        if size < 8:  # 0 means up to the end of the file; the other numbers are not valid sizes
            return False
        at += size
    return at != len(original) and (not end or name in _OUTERMOST)


def show_stored_thumbnail(original: bytes) -> bytes | None:
    """Return the file with its stored thumbnail as the primary item.

    Phones store a thumbnail of 320 to 512 pixels, which decodes in a hundredth of the time. It is an item like the
    picture, so it is sufficient to enter it in ``pitm`` and to hide its ``thmb`` reference (23008-12, section 6.4.4).

    Returns
    -------
    bytes or None
        ``None`` if there is no stored thumbnail, or the boxes are malformed.
    """
    try:
        items = read_items(original, len(original))
        children = read_meta(original)
    except (struct.error, IndexError, KeyError, CorruptImageError):
        return None
    stored = [item for type_, item, other in items.references if type_ == b"thmb" and other == items.primary]
    if not stored:
        return None
    largest = max(stored, key=lambda item: _area(original, items.get(item)))
    shown = bytearray(original)
    first, references = children[b"pitm"][0], children[b"iref"]
    struct.pack_into(">I" if original[first] else ">H", shown, first + 4, largest)
    for type_, start, _ in read_boxes(original, references[0] + 4, references[1]):
        if type_ == b"thmb":
            shown[start - 4 : start] = _HIDDEN
    return bytes(shown)


def _check_work(original: bytes, items: Items, limits: Limits) -> None:
    """Add up the items of the primary picture, and the pixels and bytes that decoders decode for it.

    Raises
    ------
    TooManyPartsError, TooManyPixelsError
    """
    canvas = _area(original, items.get(items.primary))
    parts, pixels, coded_pixels, coded_bytes = items.parts, 0, 0, 0
    measured: dict[int, Coded] = {}
    pending = [items.primary]
    while pending:
        number = pending.pop()
        item = items.get(number)
        if number not in measured:
            measured[number] = _measure(original, item, limits.max_item_parts)
            parts += measured[number].units
        coded = measured[number]
        coded_pixels += coded.pixels
        coded_bytes += coded.size
        turns = sum(each.name in _TURNS for each in item.properties)
        # Coded pictures are padded to whole blocks.
        pixels += max(_area(original, item), coded.pixels // 2) * (1 + turns)
        needed = [each for each in item.needs if not _is_other_auxiliary(original, items.get(each))]
        pending += needed
        parts += 1 + len(needed)
        check_parts(parts, limits.max_item_parts, "parts")
    if pixels > limits.max_derived_pixels:
        raise TooManyPixelsError(pixels, limits.max_derived_pixels, " in its tiles, transparency, rotations and crops")
    most = limits.max_coded_pixels(canvas or limits.max_pixels)
    if coded_pixels > most:
        raise TooManyPixelsError(coded_pixels, most, _IN_PIECES)
    # Decoders decode shared bytes once for each tile.
    check_parts(coded_bytes, limits.max_coded_bytes(len(original)), f"bytes{_IN_PIECES}")
    if canvas > limits.max_deep_pixels and any(_is_deep(original, items.get(number)) for number in measured):
        raise TooManyPixelsError(canvas, limits.max_deep_pixels, " of more than 8 bits in 4:4:4")


def _is_deep(original: bytes, item: Item) -> bool:
    """Return whether an item has more than 8 bits a sample, and as many samples of chroma as of luma.

    The fields are those of the AV1 ISO media binding, section 2.3.3, and ISO/IEC 14496-15, section 8.3.3.1.
    """
    if configuration := item.first(b"av1C"):
        # High depth, and neither monochrome nor chroma of half the width.
        return int.from_bytes(original[configuration.start + 2 : configuration.end][:1]) & 0b01011000 == 0b01000000
    if configuration := item.first(b"hvcC"):
        fields = original[configuration.start : configuration.end][16:18]
        return len(fields) == 2 and fields[0] & 3 == 3 and fields[1] & 7 > 0
    return False


def _area(original: bytes, item: Item) -> int:
    """Return the pixels of an item according to its ``ispe``, 0 without one (23008-12, section 6.5.3)."""
    size = item.first(b"ispe")
    if size is None or size.end - size.start < 12:
        return 0
    width, height = struct.unpack_from(">II", original, size.start + 4)
    return int(width * height)


def _is_other_auxiliary(original: bytes, item: Item) -> bool:
    """Return whether an item is an auxiliary picture other than alpha, such as a depth map, which is not decoded."""
    type_ = item.first(b"auxC")
    return type_ is not None and not original[type_.start + 4 : type_.end].startswith(_TRANSPARENCY)


def _measure(original: bytes, item: Item, most_units: int) -> Coded:
    if item.type == b"av01":
        return measure_av1(_read_bytes(original, item), most_units)
    if item.type in {b"hvc1", b"hev1"} and (configuration := item.first(b"hvcC")):
        data = _read_bytes(original, item)
        return measure_hevc(original[configuration.start : configuration.end], data, most_units)
    return Coded()


def _read_bytes(original: bytes, item: Item) -> bytes:
    """Return the coded bytes of an item; stop once they exceed the size of the file."""
    if len(item.extents) == 1:
        return original[slice(*item.extents[0])]
    data = bytearray()
    for start, end in item.extents:
        data += original[start:end]
        if len(data) > len(original):
            break
    return bytes(data)


# ---- turned and cropped


def _read_orientation(original: bytes, picture: Item) -> int:
    """Return the Exif orientation, 1 to 8, that equals the item's rotations and mirrors in their order."""
    corners = _CORNERS[0]
    for turn in picture.properties:
        value = original[turn.start] if turn.start < turn.end else 0
        if turn.name == b"irot":
            for _ in range(value & 3):  # each is a quarter turn to the left
                corners = _rearrange(corners, "bdac")
        elif turn.name == b"imir":
            corners = _rearrange(corners, "badc" if value & 1 else "cdab")
    return _CORNERS.index(corners) + 1


def _rearrange(corners: str, order: str) -> str:
    return "".join(corners["abcd".index(corner)] for corner in order)


def _read_clean_aperture(original: bytes, picture: Item) -> tuple[int, int, int, int] | None:
    """Return the clean aperture in pixels as stored: left, top, right, bottom (14496-12, section 12.1.4).

    ``None`` if it is the whole picture, outside of it, or after a rotation, which the standard forbids.
    """
    crop, size = picture.first(b"clap"), picture.first(b"ispe")
    if not crop or not size or crop.end - crop.start < 32 or not _area(original, picture):
        return None
    if next(each for each in picture.properties if each.name in _TURNS) is not crop:
        return None
    sides = struct.unpack_from(">II", original, size.start + 4)
    numbers = struct.unpack_from(">IIIIiIiI", original, crop.start)
    if not all(numbers[1::2]):
        return None
    width, height, *offsets = (Fraction(*numbers[at : at + 2]) for at in range(0, 8, 2))
    spans = []
    for side, length, offset in zip(sides, (width, height), offsets, strict=True):
        # The offset is from the centre of the picture to the centre of the aperture.
        start = ceil((side - length) / 2 + offset - Fraction(1, 2))
        spans.append((max(0, start), min(side, start + floor(length + Fraction(1, 2)))))
    (left, right), (top, bottom) = spans
    if left >= right or top >= bottom or (left, top, right, bottom) == (0, 0, *sides):
        return None
    return left, top, right, bottom


# ---- files that libavif reads


def _plays_tracks(original: bytes) -> bool:
    """Return whether libavif reads the tracks of an image sequence instead of its items."""
    return original[8:12] != b"avif" and any(name == b"moov" for name, *_ in read_boxes(original, 0, len(original)))


def _check_first_samples(original: bytes, limits: Limits) -> None:
    """Add up the coded pixels of the first frame of every track (14496-12, sections 8.7.3 and 8.7.5).

    Raises
    ------
    TooManyPartsError, TooManyPixelsError
    """
    parts = pixels = 0
    for track in _find_boxes(original, (0, len(original)), [b"moov", b"trak"]):
        (table,) = [*_find_boxes(original, track, [b"mdia", b"minf", b"stbl"]), (0, 0)][:1]
        boxes = {name: (start, end) for name, start, end in read_boxes(original, *table)}
        if b"stsz" not in boxes or not boxes.keys() & {b"stco", b"co64"}:
            continue
        sizes, places = boxes[b"stsz"][0], boxes.get(b"stco") or boxes[b"co64"]
        size = int.from_bytes(original[sizes + 4 : sizes + 8], "big")
        size = size or int.from_bytes(original[sizes + 12 : sizes + 16], "big")
        width = 4 if b"stco" in boxes else 8
        place = int.from_bytes(original[places[0] + 8 : places[0] + 8 + width], "big")
        coded = measure_av1(original[place : place + size], limits.max_item_parts)
        parts += 1 + coded.units
        pixels += coded.pixels
        check_parts(parts, limits.max_item_parts, "parts")
        most = limits.max_coded_pixels(limits.max_pixels)
        if pixels > most:
            raise TooManyPixelsError(pixels, most, _IN_PIECES)


def _find_boxes(original: bytes, span: tuple[int, int], path: list[bytes]) -> Iterator[tuple[int, int]]:
    """Yield the payload of every box at the end of a path."""
    for name, start, end in read_boxes(original, *span):
        if name == path[0]:
            if path[1:]:
                yield from _find_boxes(original, (start, end), path[1:])
            else:
                yield start, end


def _simplify(original: bytes, items: Items) -> bytes | None:
    """Return the file with only the picture and its alpha visible, and with an ``ispe`` for each of them.

    libavif refuses files with an unknown kind of gain map, and files with an item without ``ispe``, such as the alpha
    of early encoders. Pillow would parse the whole Exif block to set the orientation.

    Returns
    -------
    bytes or None
        ``None`` if nothing changes.
    """
    needed: set[int] = set()
    pending = [items.primary]
    while pending:
        number = pending.pop()
        if number in needed:
            continue
        needed.add(number)
        pending += [each for each in items.get(number).needs if not _is_other_auxiliary(original, items.get(each))]
    needed -= {item for type_, item, _ in items.references if type_ == b"thmb"}
    hidden = [item.type_at for number, item in items.by_id.items() if number not in needed and item.type_at]
    sizes = _find_missing_sizes(items, needed)
    if not hidden and not sizes:
        return None
    data = bytearray(original)
    for at in hidden:
        data[at : at + 4] = _HIDDEN
    # With this brand, libavif requires a gain map.
    for at in range(8, min(int.from_bytes(original[:4], "big"), len(original)), 4):
        if data[at : at + 4] == b"tmap":
            data[at : at + 4] = b"mif1"
    return _add_associations(data, sizes) if sizes else bytes(data)


def _find_missing_sizes(items: Items, needed: set[int]) -> dict[int, bytes]:
    """Return the ``ispe`` association that each alpha item lacks, by the offset of the item's associations."""
    missing = {}
    for type_, number, other in items.references:
        item, size = items.get(number), items.get(other).first(b"ispe")
        if type_ == b"auxl" and number in needed and size and item.properties and not item.first(b"ispe"):
            width = item.properties[0].association.stop - item.properties[0].association.start
            missing[item.associations_at] = size.number.to_bytes(width, "big")
    return missing


def _add_associations(data: bytearray, added: dict[int, bytes]) -> bytes:
    """Add associations of properties to items.

    Item locations are offsets from the start of the file, so no byte may move. The larger ``meta`` box is therefore
    appended, and the old one is hidden.
    """
    original = bytes(data)
    outermost = list(read_boxes(original, 0, len(original)))
    place, end = next((start, end) for name, start, end in outermost if name == b"meta")
    start = place - (16 if original[place - 16 : place - 12] == b"\0\0\0\1" else 8)
    again = bytearray(original[start:end])
    for at, association in sorted(added.items(), reverse=True):
        last = at + 1 + original[at] * len(association)
        again[last - start : last - start] = association
        again[at - start] += 1
        outer = [(place + 4, end)]
        for name in (b"iprp", b"ipma"):
            outer += [
                (first, final)
                for found, first, final in read_boxes(original, *outer[-1])
                if found == name and first <= at < final
            ]
        for box in (start, *(first - 8 for first, _ in outer[1:])):
            _enlarge(again, box - start, len(association))
    data[start + 4 : start + 8] = b"free"
    last = outermost[-1][2]
    final = outermost[-1][1] - 8
    if original[final : final + 4] == bytes(4):  # to the end of the file
        struct.pack_into(">I", data, final, last - final)
    return bytes(data[:last] + again)


def _enlarge(data: bytearray, box: int, added: int) -> None:
    size, header = read_box_size(bytes(data[box : box + 16]), 0)
    if size:
        struct.pack_into(*((">Q", data, box + 8) if header == 16 else (">I", data, box)), size + added)
