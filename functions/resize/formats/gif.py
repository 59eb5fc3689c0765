"""GIF: its blocks, what is refused of it, and whether its end is there (GIF89a specification)."""

# ruff: noqa: PLR2004 - block bytes and field sizes are those of GIF89a, sections 18 to 27 and appendix A.

import re
import struct
from dataclasses import dataclass

from PIL import ImageFile

from functions.resize.formats.structure import Structure
from functions.resize.limits import Limits, check_parts, check_pixels

# An extension, a frame, the trailer: appendix A.
_BLOCK = re.compile(rb"[!,;]")


def inspect(original: bytes, limits: Limits) -> Structure:
    """Count the frames, and refuse too many comments and too large a canvas.

    Raises
    ------
    TooManyPartsError, TooManyPixelsError
    """
    blocks = _read_blocks(original, limits.max_frames, limits.max_metadata_parts)
    check_parts(blocks.comments, limits.max_metadata_parts, "blocks of comment")
    # Pillow makes room for the first frame when it opens the file.
    check_pixels(blocks.width, blocks.height, limits)
    return Structure(frames=max(1, blocks.frames))


def plays(image: ImageFile.ImageFile) -> int:
    """Return how often the animation plays, 0 for ever: the file counts repetitions, and without a count plays once."""
    repetitions = image.info.get("loop")
    if repetitions is None:
        return 1
    return int(repetitions and repetitions + 1)


def is_cut_short(original: bytes) -> bool:
    """Return whether the trailer is missing."""
    return not _read_blocks(original, len(original), len(original)).complete


@dataclass(frozen=True, slots=True)
class _Blocks:
    """What the blocks of a GIF file say.

    Attributes
    ----------
    width, height : int
        The canvas that shows every frame whole, pixels; frames may reach beyond the logical screen.
    frames : int
        Frames counted.
    comments : int
        Comment blocks since the last frame; counting stops once this exceeds ``max_comments``.
    complete : bool
        Whether the walk met the trailer.
    """

    width: int
    height: int
    frames: int
    comments: int
    complete: bool


def _read_blocks(original: bytes, max_frames: int, max_comments: int) -> _Blocks:
    """Walk the blocks of a GIF file without decompressing any.

    Parameters
    ----------
    original : bytes
    max_frames, max_comments : int
        Counting stops at the first frame, or the first comment, above this.
    """
    width = int.from_bytes(original[6:8], "little")
    height = int.from_bytes(original[8:10], "little")
    frames = comments = 0
    complete = lost = False
    try:
        at = 13 + _colour_table_size(original[10])
        while frames <= max_frames and comments <= max_comments:
            introducer = original[at]
            if introducer == 0x2C:
                left, top, frame_width, frame_height, flags = struct.unpack_from("<4HB", original, at + 1)
                if not lost:
                    width, height = max(width, left + frame_width), max(height, top + frame_height)
                    frames += 1
                comments = 0
                at, _ = _skip_sub_blocks(original, at + 11 + _colour_table_size(flags))
            elif introducer == 0x21:
                is_comment = original[at + 1] == 0xFE
                at, blocks = _skip_sub_blocks(original, at + 2)
                if is_comment:
                    comments += blocks
                elif not blocks:  # Pillow reads on to the next empty block
                    at, _ = _skip_sub_blocks(original, at)
            elif introducer == 0x3B:
                complete = not lost
                break
            elif found := _BLOCK.search(original, at):
                # Pillow skips what it does not know, and collects comments behind it; browsers end here.
                at, lost = found.start(), True
            else:
                break
    except (IndexError, struct.error):
        pass  # the file ends inside a block: not complete
    return _Blocks(width, height, frames, comments, complete)


def _colour_table_size(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _skip_sub_blocks(original: bytes, at: int) -> tuple[int, int]:
    """Return the place behind the sub-blocks, and how many there are."""
    blocks = 0
    while size := original[at]:
        at += size + 1
        blocks += 1
    return at + 1, blocks
