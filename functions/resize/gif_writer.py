"""GIF: write one shared palette if it is good enough, and only the changed part of each frame (GIF89a specification).

Pillow only compresses the rectangles. Its ``save`` would write larger files: whole frames if there is transparency, a
palette for each frame, and codes of eight bits for two colours.
"""

import struct
from collections.abc import Sequence

from PIL import Image, ImageChops, ImageStat

from functions.resize.gif_palette import Effort, Indexed, index_frames

# Pixels with less alpha than this become transparent: in a GIF, a pixel is either opaque or transparent.
_OPAQUE = 128
_NOTHING = (0, 0, 0, 0)
_CHANGED = [0] + [255] * 255
_TRANSPARENT_MODES = {"LA", "RGBA"}
# Section 23.
_KEEP, _CLEAR = 1, 2
_LONGEST = 65_535
_COLOURS = 256
_STILL = Effort(sample=15_000, settled=0.03)
_ANIMATION = Effort(sample=40_000, settled=0.1)
_ONE_FRAME = Effort(sample=4_000, settled=0.3, fills_gaps=False)
# A frame's own palette takes 768 bytes, and time to find. So a frame gets one only if its error (mean of squares) with
# the shared palette is above _VISIBLE, which is 37 dB, and its own palette removes the share _REMOVED of that error.
_VISIBLE = 12.0
_REMOVED = 0.3
# Trying one palette takes up to 0.07 s.
_MOST_TRIED = 20
# An animation's thumbnail may have more bytes than the original, because resizing turns thin lines into many greys. If
# it has more than _LARGER times the bytes, fewer colours are tried. With many frames that would take seconds.
_LARGER = 1.1
_FEWER_COLOURS = (128, 32)
_AGAIN_UP_TO = 60


def encode_gif(frames: Sequence[Image.Image], durations: Sequence[int], plays: int, enough: int | None = None) -> bytes:
    """Write a still picture or an animation.

    Parameters
    ----------
    frames : sequence of Image
        All of the same size and the same mode: ``L``, ``LA``, ``RGB`` or ``RGBA``.
    durations : sequence of int
        Milliseconds of each frame.
    plays : int
        How often an animation plays, 0 for ever.
    enough : int or None
        An animation with clearly more bytes than this gets fewer colours.
    """
    pictures, times = _merge_repeated([_hide(frame) for frame in frames], durations)
    keeps_one = len(pictures) > 1 or frames[0].mode in _TRANSPARENT_MODES
    data = _write(pictures, times, plays, _COLOURS, keeps_one=keeps_one)
    for colours in _FEWER_COLOURS if 1 < len(pictures) <= _AGAIN_UP_TO else ():
        if enough is None or len(data) <= _LARGER * enough:
            break
        data = min(data, _write(pictures, times, plays, colours, keeps_one=True), key=len)
    return data


def _hide(frame: Image.Image) -> Image.Image:
    """Return the frame as RGBA; every pixel is either opaque or all zeros."""
    rgba = frame.convert("RGBA")
    if frame.mode in _TRANSPARENT_MODES:
        alpha = rgba.getchannel("A").point([0] * _OPAQUE + [255] * (256 - _OPAQUE))
        rgba.putalpha(alpha)
        rgba.paste(_NOTHING, mask=ImageChops.invert(alpha))
    return rgba


def _merge_repeated(pictures: list[Image.Image], durations: Sequence[int]) -> tuple[list[Image.Image], list[int]]:
    """Merge equal frames that follow each other, and return durations in hundredths of a second."""
    kept, times = pictures[:1], [durations[0] // 10]
    for picture, duration in zip(pictures[1:], durations[1:], strict=True):
        time = duration // 10
        if times[-1] + time <= _LONGEST and not _difference(kept[-1], picture).getbbox():
            times[-1] += time
        else:
            kept.append(picture)
            times.append(time)
    return kept, times


def _difference(picture: Image.Image, other: Image.Image) -> Image.Image:
    """Return an ``L`` picture that is 255 where two pictures differ."""
    red, green, blue, alpha = ImageChops.difference(picture, other).split()
    return ImageChops.lighter(ImageChops.lighter(red, green), ImageChops.lighter(blue, alpha)).point(_CHANGED)


def _write(pictures: list[Image.Image], times: list[int], plays: int, most: int, *, keeps_one: bool) -> bytes:
    shared = index_frames(pictures, _ANIMATION if len(pictures) > 1 else _STILL, most=most, keeps_one=keeps_one)
    bits, table = _colour_table(shared.colours)
    blocks = [b"GIF89a", struct.pack("<2H3B", *pictures[0].size, 0x80 | (bits - 1), 0, 0), table]
    # The file has the number of repetitions, so an animation that plays once does not need the block.
    if len(pictures) > 1 and plays != 1:
        blocks += [b"\x21\xff\x0bNETSCAPE2.0\x03\x01", struct.pack("<HB", max(0, plays - 1), 0)]
    own = _find_own_palettes(shared, pictures) if most == _COLOURS else {}
    # The canvas as it is shown, and the pixels that it was made from.
    canvas = source = Image.new("RGBA", pictures[0].size)
    for place, picture in enumerate(pictures):
        indexed, index = (own[place], 0) if place in own else (shared, place)
        shown = indexed.show(index)
        # A pixel that does not change keeps its colour, even if the frame's palette maps it to another.
        changed = ImageChops.darker(_difference(canvas, shown), _difference(source, picture))
        box = changed.getbbox() or (0, 0, 1, 1)
        cleared = _find_cleared(picture, pictures[place + 1 : place + 2])
        if cleared:
            left, top, right, bottom = cleared
            box = (min(box[0], left), min(box[1], top), max(box[2], right), max(box[3], bottom))
        disposal = (_CLEAR if cleared else _KEEP) if len(pictures) > 1 else 0
        unchanged = ImageChops.invert(changed.crop(box)) if place else None
        coded = _compress_smaller(indexed.frames[index].crop(box), unchanged, indexed.transparent)
        blocks += _control(times[place], disposal, indexed.transparent)
        blocks += _image(box, coded, None if indexed is shared else indexed.colours)
        canvas = Image.composite(shown, canvas, changed)
        source = picture
        if cleared:
            source = picture.copy()
            canvas.paste(_NOTHING, box)
            source.paste(_NOTHING, box)
    return b"".join([*blocks, b";"])


def _find_own_palettes(shared: Indexed, pictures: list[Image.Image]) -> dict[int, Indexed]:
    """Return the frames that look better with their own palette, by their index."""
    if shared.is_exact or len(pictures) == 1:
        return {}
    errors = [_measure_error(picture, shared.show(place)) for place, picture in enumerate(pictures)]
    worst = sorted(range(len(pictures)), key=lambda place: -errors[place])[:_MOST_TRIED]
    found = {}
    for place in worst:
        if errors[place] <= _VISIBLE:
            break
        own = index_frames([pictures[place]], _ONE_FRAME, most=_COLOURS, keeps_one=True)
        if _measure_error(pictures[place], own.show(0)) <= (1 - _REMOVED) * errors[place]:
            found[place] = own
    return found


def _measure_error(picture: Image.Image, shown: Image.Image) -> float:
    """Return the mean squared error over the channels of all pixels."""
    return sum(ImageStat.Stat(ImageChops.difference(picture, shown)).sum2[:3]) / 3 / (picture.width * picture.height)


def _find_cleared(picture: Image.Image, following: list[Image.Image]) -> tuple[int, int, int, int] | None:
    """Return the rectangle of pixels that are opaque now and transparent in the next frame, ``None`` if there are none.

    It has to be cleared, because drawing the next frame cannot remove pixels.
    """
    for other in following:
        return ImageChops.subtract(picture.getchannel("A"), other.getchannel("A")).getbbox()
    return None


def _control(duration: int, disposal: int, transparent: int | None) -> list[bytes]:
    """Return the graphic control extension (section 23), or nothing if all its fields are zero."""
    if transparent is None and not duration and not disposal:
        return []
    flags = disposal << 2 | (transparent is not None)
    return [b"\x21\xf9\4", struct.pack("<BHBB", flags, duration, transparent or 0, 0)]


def _image(box: tuple[int, int, int, int], coded: tuple[int, bytes], own: bytes | None) -> list[bytes]:
    """Return the blocks of a rectangle, with its own palette if it has one (sections 20 to 22)."""
    left, top, right, bottom = box
    table_bits, table = _colour_table(own) if own else (1, b"")
    flags = 0x80 | (table_bits - 1) if own else 0
    descriptor = struct.pack("<4HB", left, top, right - left, bottom - top, flags)
    bits, data = coded
    return [b"\x2c", descriptor, table, bytes([bits]), data, b"\0"]


def _compress_smaller(part: Image.Image, unchanged: Image.Image | None, transparent: int | None) -> tuple[int, bytes]:
    """Compress a rectangle as it is, and with unchanged pixels made transparent; return the smaller result."""
    coded = _compress(part)
    if unchanged is None or transparent is None:
        return coded
    part.paste(transparent, mask=unchanged)
    return min(coded, _compress(part), key=lambda bits_and_data: len(bits_and_data[1]))


def _compress(part: Image.Image) -> tuple[int, bytes]:
    """Return the smallest code size for the indices, and the data (appendix F)."""
    highest = max(index for index, used in enumerate(part.histogram()) if used)
    bits = max(2, highest.bit_length())
    return bits, part.tobytes("gif", "L", bits, 0)


def _colour_table(colours: bytes) -> tuple[int, bytes]:
    """Return the bits of an index, and the colours padded to a power of two."""
    bits = max(1, (len(colours) // 3 - 1).bit_length())
    return bits, colours.ljust(3 << bits, b"\0")
