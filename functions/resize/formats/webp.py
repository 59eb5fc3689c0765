"""WebP: how often it plays, and whether it was cut short (RFC 9649)."""

from PIL import ImageFile

from functions.resize.formats.structure import Structure
from functions.resize.limits import Limits

# A RIFF header stores the size of what follows its first eight bytes (section 2.4).
_RIFF_HEADER = 8
_PICTURE_CHUNKS = {b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF"}
# Transparency and animation, without colour profile, Exif and XMP (figure 7).
_PICTURE_FLAGS = 0x12


def inspect(_original: bytes, _limits: Limits) -> Structure:
    """Refuse nothing: the decoder reads the headers when it opens the file."""
    return Structure()


def plays(image: ImageFile.ImageFile) -> int:
    """Return how often the animation plays, 0 for ever (section 2.7.1.1)."""
    return int(image.info.get("loop", 1))


def strip(original: bytes, _frames: int) -> bytes:
    """Return the file with only the chunks of the picture (section 2.7)."""
    kept = []
    at = 12
    while at + 8 <= len(original):
        name, size = original[at : at + 4], int.from_bytes(original[at + 4 : at + 8], "little")
        end = at + 8 + size + size % 2
        chunk = original[at:end]
        if name == b"VP8X":
            chunk = chunk[:8] + bytes([chunk[8] & _PICTURE_FLAGS]) + chunk[9:]
        if name in _PICTURE_CHUNKS:
            kept.append(chunk)
        at = end
    chunks = b"".join(kept)
    return b"RIFF" + (4 + len(chunks)).to_bytes(4, "little") + b"WEBP" + chunks


def is_cut_short(original: bytes) -> bool:
    """Return whether the file is shorter than its header states."""
    return _RIFF_HEADER + int.from_bytes(original[4:8], "little") > len(original)
