"""PNG: its chunks, the file that decoders read, and whether a file was cut short (PNG, third edition)."""

import zlib
from collections.abc import Iterator

from PIL import ImageFile

from functions.resize.errors import CorruptImageError, TruncatedImageError
from functions.resize.formats.structure import Structure
from functions.resize.limits import Limits, check_parts

# Sections 11.2.3 and 11.3.5.
_PIXEL_CHUNKS = {b"IDAT", b"fcTL", b"fdAT"}
# Section 11.2: the critical chunks.
_ALWAYS_SEEN = {b"IHDR", b"IDAT", b"IEND"}
_CRITICAL = {b"IHDR", b"PLTE", b"IDAT"}
_READ_ONCE = {b"PLTE", b"tRNS", b"iCCP", b"eXIf"}
_CHECKED = _CRITICAL | _READ_ONCE
# Section 11.2.1: the colour type follows width, height and depth in the first chunk of every file.
_COLOUR_TYPE = slice(25, 26)
_PALETTE = b"\3"
# Bytes of the colour that is transparent, for the colour types grey and RGB (section 11.3.1.1).
_KEY_BYTES = {b"\0": 2, b"\2": 6}
# The largest printer profiles have 3 MB.
_MOST_PROFILE_BYTES = 4_000_000
# Grey of 2 and 4 bits, grey and RGB of 16, by Pillow's name: it scales these samples to 8 bits, but not the colour
# that is transparent.
_SCALED_MODES = {"L;2", "L;4", "I;16B", "RGB;16B"}


def inspect(original: bytes, limits: Limits) -> Structure:
    """Read the colour profile and Exif, and pass only the chunks of the picture to the decoders.

    So damage in other chunks does not matter, and only the default picture of an animation is decoded. Like libpng,
    this ignores ancillary chunks that have a wrong checksum, are in the wrong place, or are duplicates.

    Raises
    ------
    TooManyPartsError
    CorruptImageError, TruncatedImageError
        A critical chunk has a wrong checksum. Neither Pillow nor libvips checks the checksums of pixels.
    """
    colour_type = original[_COLOUR_TYPE]
    kept = [(0, 8)]
    found: dict[bytes, bytes] = {}
    behind, parts, has_pixels = 8, 0, False
    for name, start, end in _chunks(original):
        behind = end + 4
        parts += name not in _PIXEL_CHUNKS or start == end
        check_parts(parts, limits.max_metadata_parts, "chunks of metadata")
        is_intact = name not in _CHECKED or _is_intact(original, start, end)
        if name in _CRITICAL and not is_intact:
            raise (TruncatedImageError if is_cut_short(original) else CorruptImageError)("PNG")
        has_pixels = has_pixels or name == b"IDAT"
        is_seen = name in _ALWAYS_SEEN
        if name in _READ_ONCE and is_intact and name not in found and (name == b"eXIf" or not has_pixels):
            found[name] = original[start:end]
            is_seen = _is_seen(name, found, colour_type)
        if is_seen:
            _keep(kept, start - 8, behind)
        if name == b"IEND":
            break
    else:
        # There is no IEND, and the decoders do not need it.
        _keep(kept, behind, len(original))
    view = memoryview(original)
    data = b"".join(view[start:end] for start, end in kept) if len(kept) > 1 else None
    profile = _unpack_profile(found[b"iCCP"]) if b"iCCP" in found else None
    return Structure(exif=found.get(b"eXIf"), profile=profile, data=data)


def is_cut_short(original: bytes) -> bool:
    """Return whether the last chunk is missing."""
    return all(name != b"IEND" for name, _, _ in _chunks(original))


def strip(data: bytes, _frames: int) -> bytes | None:
    """Return the file with only the chunks of the picture.

    ``None`` if one colour is transparent, because readers disagree on which pixels have that colour.
    """
    kept = [data[:8]]
    for name, start, end in _chunks(data):
        if name == b"tRNS" and data[_COLOUR_TYPE] != _PALETTE:
            return None
        if name in _ALWAYS_SEEN | _CRITICAL or name == b"tRNS":
            kept.append(data[start - 8 : end + 4])
        if name == b"IEND":
            break
    return b"".join(kept)


def has_scaled_key(image: ImageFile.ImageFile) -> bool:
    """Return whether Pillow would compare the transparent colour with scaled samples."""
    return "transparency" in image.info and image.tile[0].args in _SCALED_MODES


def _is_seen(name: bytes, found: dict[bytes, bytes], colour_type: bytes) -> bool:
    """Return whether decoders need the chunk that was just found: a palette, or transparency that fits the picture."""
    if name == b"PLTE":
        return colour_type == _PALETTE
    if name == b"tRNS" and colour_type == _PALETTE:
        return len(found[name]) <= len(found.get(b"PLTE", b"")) // 3
    return name == b"tRNS" and len(found[name]) == _KEY_BYTES.get(colour_type)


def _keep(kept: list[tuple[int, int]], start: int, end: int) -> None:
    """Add a span of the file for the decoders; merge adjacent spans."""
    if kept[-1][1] == start:
        start = kept.pop()[0]
    kept.append((start, end))


def _unpack_profile(chunk: bytes) -> bytes:
    """Return the colour profile; the packed bytes, which are not a valid profile, if they cannot be unpacked."""
    _, _, packed = chunk.partition(b"\0")
    if packed[:1] == b"\0":  # deflate, the only method (section 11.3.2.3)
        try:
            return zlib.decompressobj().decompress(packed[1:], _MOST_PROFILE_BYTES)
        except zlib.error:
            pass
    return packed


def _is_intact(original: bytes, start: int, end: int) -> bool:
    checksum = zlib.crc32(memoryview(original)[start - 4 : end])
    return checksum == int.from_bytes(original[end : end + 4], "big")


def _chunks(original: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start and end of the payload of every complete chunk."""
    at = 8
    while at + 12 <= len(original):
        end = at + 8 + int.from_bytes(original[at : at + 4], "big")
        if end + 4 > len(original):
            return
        yield original[at + 4 : at + 8], at + 8, end
        at = end + 4
