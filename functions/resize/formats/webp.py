"""WebP: how often it plays, and whether it was cut short (RFC 9649)."""

from PIL import ImageFile

from functions.resize.formats.structure import Structure
from functions.resize.limits import Limits

# A RIFF header stores the size of what follows its first eight bytes (section 2.4).
_RIFF_HEADER = 8


def inspect(_original: bytes, _limits: Limits) -> Structure:
    """Refuse nothing: the decoder reads the headers when it opens the file."""
    return Structure()


def plays(image: ImageFile.ImageFile) -> int:
    """Return how often the animation plays, 0 for ever (section 2.7.1.1)."""
    return int(image.info.get("loop", 1))


def is_cut_short(original: bytes) -> bool:
    """Return whether the file is shorter than its header states."""
    return _RIFF_HEADER + int.from_bytes(original[4:8], "little") > len(original)
