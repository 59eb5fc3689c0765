"""PNG: its chunks, what is refused of it, and whether its end is there (PNG, third edition)."""

from collections.abc import Iterator

from functions.resize.formats.structure import Structure
from functions.resize.limits import Limits, check_parts

# Sections 11.2.3 and 11.3.5.
_PIXEL_CHUNKS = {b"IDAT", b"fcTL", b"fdAT"}


def inspect(original: bytes, limits: Limits) -> Structure:
    """Refuse too many chunks, and find the Exif block, which may stand behind the pixels (section 11.3.4.5).

    Raises
    ------
    TooManyPartsError
    """
    chunks = _count_metadata(original, limits.max_metadata_parts)
    check_parts(chunks, limits.max_metadata_parts, "chunks of metadata")
    exif = next((original[start:end] for name, start, end in _chunks(original) if name == b"eXIf"), None)
    return Structure(exif=exif)


def is_cut_short(original: bytes) -> bool:
    """Return whether the last chunk is missing."""
    return all(name != b"IEND" for name, _, _ in _chunks(original))


def _count_metadata(original: bytes, enough: int) -> int:
    """Count the chunks up to the last one that hold no pixels; stops at the first above ``enough``."""
    chunks = 0
    for name, start, end in _chunks(original):
        if name == b"IEND" or chunks > enough:
            break
        chunks += name not in _PIXEL_CHUNKS or start == end
    return chunks


def _chunks(original: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start and end of the payload of every chunk that lies whole within the file."""
    at = 8
    while at + 12 <= len(original):
        end = at + 8 + int.from_bytes(original[at : at + 4], "big")
        if end + 4 > len(original):
            return
        yield original[at + 4 : at + 8], at + 8, end
        at = end + 4
