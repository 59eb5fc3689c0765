"""GIF: compose the frames as browsers show them, each drawn over the one before it (GIF89a, section 23).

Pillow only decompresses the rectangle of each frame. Its own composition is not used, because it differs from browsers:
it fills areas that no frame covers with a colour instead of leaving them transparent, and it enlarges the canvas for a
later frame that extends beyond it.
"""

from collections.abc import Iterator

from PIL import Image

from functions.resize.formats.gif import Frame, is_cut_short, read_frames

# Section 23. Some files have 4 by mistake, and browsers take it for 3.
_CLEAR, _RESTORE = 2, {3, 4}
_GREY_LEVELS = bytes(level for level in range(256) for _ in range(3))


def compose_frames(original: bytes, size: tuple[int, int], count: int) -> Iterator[tuple[Image.Image, int]]:
    """Decode and compose the first frames.

    Parameters
    ----------
    original : bytes
    size : (int, int)
        The canvas, pixels.
    count : int
        Number of frames; if a later one is broken, only those before it are yielded.

    Yields
    ------
    image : Image
        ``LA`` if every palette consists of the grey levels in order, else ``RGBA``.
    duration : int
        Milliseconds.

    Raises
    ------
    ValueError
        The first frame is broken, or a later frame of a file that was cut short.
    """
    frames = read_frames(original, count)
    if not frames:
        raise ValueError("no frame is complete")
    canvas = Image.new("LA" if all(map(_is_grey, frames)) else "RGBA", size)
    for index, frame in enumerate(frames):
        try:
            drawn = _decode(frame, original[frame.start : frame.end])
        except ValueError:
            if not index or is_cut_short(original):
                raise
            return
        box = _clip(frame, size)
        before = canvas.crop(box) if frame.control.disposal in _RESTORE else None
        if box:
            part = drawn.crop((0, 0, box[2] - box[0], box[3] - box[1])).convert(canvas.mode)
            canvas.paste(part, box, part)
        yield canvas.copy(), frame.control.duration
        if box and before:
            canvas.paste(before, box)
        elif box and frame.control.disposal == _CLEAR:
            canvas.paste((0,) * len(canvas.getbands()), box)


def _is_grey(frame: Frame) -> bool:
    return _GREY_LEVELS.startswith(frame.palette)


def _clip(frame: Frame, size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """Return the part of the canvas that the frame covers."""
    right, bottom = min(frame.left + frame.width, size[0]), min(frame.top + frame.height, size[1])
    return (frame.left, frame.top, right, bottom) if right > frame.left and bottom > frame.top else None


def _decode(frame: Frame, data: bytes) -> Image.Image:
    """Decompress a frame to the size of its rectangle.

    Raises
    ------
    ValueError
    """
    image = Image.new("P", (frame.width, frame.height))
    image.frombytes(data, "gif", (frame.bits, frame.is_interlaced, -1))
    colours = frame.palette + _GREY_LEVELS[len(frame.palette) :]
    entries = bytearray(b"\xff" * 1024)
    for band in range(3):
        entries[band::4] = colours[band::3]
    if frame.control.transparent is not None:
        entries[4 * frame.control.transparent + 3] = 0
    image.putpalette(entries, "RGBA")
    return image
