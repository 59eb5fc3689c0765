"""GIF: its blocks, its limits, and whether a file was cut short (GIF89a specification)."""

# ruff: noqa: PLR2004 - block bytes and field sizes are those of GIF89a, sections 18 to 27 and appendix A.

import re
import struct
from dataclasses import dataclass, field

from functions.resize.formats.structure import Structure
from functions.resize.limits import Limits, check_parts, check_pixels

# An extension, a frame, the trailer: appendix A.
_BLOCK = re.compile(rb"[!,;]")
# Extensions that set how often an animation plays: Netscape's, and a rarer one that browsers read as well.
_LOOPS = (b"\x0bNETSCAPE2.0", b"\x0bANIMEXTS1.0")


@dataclass(frozen=True, slots=True)
class Control:
    """How the next frame is drawn (section 23).

    Attributes
    ----------
    disposal : int
        What happens to its rectangle before the next frame is drawn.
    duration : int
        Milliseconds.
    transparent : int or None
        The index of transparent pixels.
    """

    disposal: int = 0
    duration: int = 0
    transparent: int | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame, still compressed (sections 20 to 23).

    Attributes
    ----------
    left, top, width, height : int
        Its rectangle, which may extend beyond the canvas.
    is_interlaced : bool
    palette : bytes
        Red, green and blue of each colour. Empty if the file has no palette; then the samples are grey levels.
    control : Control
    bits : int
        The smallest LZW code size.
    at, start, end : int
        Offsets in the file: of the image descriptor, and of the start and the end of the compressed data.
    """

    left: int
    top: int
    width: int
    height: int
    is_interlaced: bool
    palette: bytes
    control: Control
    bits: int
    at: int
    start: int
    end: int


def inspect(original: bytes, limits: Limits) -> Structure:
    """Count the frames, and refuse too many comments or too large a canvas.

    Raises
    ------
    TooManyPartsError, TooManyPixelsError
    """
    blocks = _read_blocks(original, limits.max_frames, limits.max_metadata_parts)
    check_parts(blocks.comments, limits.max_metadata_parts, "comment blocks")
    # Pillow allocates the first frame when it opens the file.
    check_pixels(blocks.width, blocks.height, limits)
    return Structure(frames=max(1, len(blocks.frames)), plays=blocks.plays, frame_pixels=blocks.width * blocks.height)


def read_frames(original: bytes, count: int) -> list[Frame]:
    """Return the first frames; end at the first junk, as browsers do."""
    return _read_blocks(original, count - 1, len(original)).frames


def strip(original: bytes, frames: int) -> bytes | None:
    """Return the file with only the logical screen, the first frames and the number of plays.

    ``None`` in the cases in which readers disagree: if the first frame does not cover the canvas, or if a frame is
    removed before the next one.
    """
    blocks = _read_blocks(original, frames - 1, len(original))
    first = blocks.frames[0]
    if original[6:10] != struct.pack("<2H", blocks.width, blocks.height) or any(
        frame.control.disposal > 1 for frame in blocks.frames
    ):
        return None
    if (first.left, first.top, first.width, first.height) != (0, 0, blocks.width, blocks.height):
        return None
    kept = [b"GIF89a", original[6 : 13 + _colour_table_size(original[10])]]
    if frames > 1 and blocks.plays != 1:
        kept += [b"\x21\xff", *_LOOPS[:1], struct.pack("<BBHB", 3, 1, max(0, blocks.plays - 1), 0)]
    for frame in blocks.frames:
        control = frame.control
        if control != Control():
            flags = control.disposal << 2 | (control.transparent is not None)
            kept.append(
                struct.pack("<3BBHBB", 0x21, 0xF9, 4, flags, control.duration // 10, control.transparent or 0, 0)
            )
        kept.append(original[frame.at : frame.end])
    return b"".join([*kept, b";"])


def is_cut_short(original: bytes) -> bool:
    """Return whether the trailer is missing."""
    return not _read_blocks(original, len(original), len(original)).complete


@dataclass(slots=True)
class _Blocks:
    """Contents of the blocks of a GIF file.

    Attributes
    ----------
    width, height : int
        The canvas, pixels. It contains every frame completely; frames may extend beyond the logical screen.
    frames : list of Frame
    plays : int
        How often the animation plays, 0 for ever. The file has the repetitions, one less; without them it plays once.
    comments : int
        Comment blocks since the last frame; counting stops once this exceeds ``max_comments``.
    control : Control
        For the next frame.
    complete : bool
        Whether the trailer was found.
    """

    width: int
    height: int
    frames: list[Frame] = field(default_factory=list)
    plays: int = 1
    comments: int = 0
    control: Control = field(default_factory=Control)
    complete: bool = False


def _read_blocks(original: bytes, max_frames: int, max_comments: int) -> _Blocks:
    """Walk the blocks of a GIF file without decompressing any.

    Parameters
    ----------
    original : bytes
    max_frames, max_comments : int
        The walk stops once there are more frames, or more comment blocks, than this.
    """
    blocks = _Blocks(int.from_bytes(original[6:8], "little"), int.from_bytes(original[8:10], "little"))
    lost = False
    try:
        at = 13 + _colour_table_size(original[10])
        global_palette = original[13:at]
        while len(blocks.frames) <= max_frames and blocks.comments <= max_comments:
            introducer = original[at]
            if introducer == 0x2C:
                frame = _read_frame(original, at, global_palette, blocks.control)
                # Pillow skips junk before the first frame.
                if not lost or not blocks.frames:
                    blocks.width = max(blocks.width, frame.left + frame.width)
                    blocks.height = max(blocks.height, frame.top + frame.height)
                    blocks.frames.append(frame)
                blocks.comments, blocks.control = 0, Control()
                at = frame.end
            elif introducer == 0x21:
                at = _read_extension(original, at, blocks)
            elif introducer == 0x3B:
                blocks.complete = not lost
                break
            elif found := _BLOCK.search(original, at):
                # Pillow skips unknown bytes and collects the comments after them; browsers stop here.
                at, lost = found.start(), True
            else:
                break
    except (IndexError, struct.error):
        pass  # the file ends inside a block
    return blocks


def _read_frame(original: bytes, at: int, palette: bytes, control: Control) -> Frame:
    left, top, width, height, flags = struct.unpack_from("<4HB", original, at + 1)
    start = at + 11 + _colour_table_size(flags)
    if flags & 0x80:
        palette = original[at + 10 : start - 1]
    bits = original[start - 1]
    try:
        end, _ = _skip_sub_blocks(original, start)
    except IndexError:
        end = len(original)
    return Frame(left, top, width, height, bool(flags & 0x40), palette, control, bits, at, start, end)


def _read_extension(original: bytes, at: int, blocks: _Blocks) -> int:
    """Read an extension, and return the offset of what follows it."""
    label, start = original[at + 1], at + 2
    at, count = _skip_sub_blocks(original, start)
    if label == 0xFE:
        blocks.comments += count
    elif not count:  # Pillow reads on to the next empty sub-block
        at, _ = _skip_sub_blocks(original, at)
    elif label == 0xF9 and original[start] >= 4:
        flags, duration, transparent = struct.unpack_from("<BHB", original, start + 1)
        blocks.control = Control(flags >> 2 & 7, duration * 10, transparent if flags & 1 else None)
    elif label == 0xFF and original[start : start + 12] in _LOOPS:
        size, kind, repetitions = struct.unpack_from("<BBH", original, start + 12)
        if size >= 3 and kind & 7 == 1:
            blocks.plays = repetitions and repetitions + 1
    return at


def _colour_table_size(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _skip_sub_blocks(original: bytes, at: int) -> tuple[int, int]:
    """Return the offset after the sub-blocks, and their number."""
    blocks = 0
    while size := original[at]:
        at += size + 1
        blocks += 1
    return at + 1, blocks
