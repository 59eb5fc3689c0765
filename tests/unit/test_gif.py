"""GIF: what a person sees of its frames, how often it plays, and what damage in it costs."""

import io
import struct
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from functions.resize import errors
from functions.resize.recipe import Box, Fit, OutputFormat, Recipe, Result
from functions.resize.thumbnails import make_thumbnails

RED, GREEN, BLUE, WHITE = range(4)
COLOURS = np.array([(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)], np.uint8)
CLEAR = (0, 0, 0, 0)
KEEP, TO_BACKGROUND, TO_PREVIOUS = 1, 2, 3
LOOP_FOR_EVER = b"\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0"


@dataclass
class Drawn:
    """A rectangle of one colour, or of given indices."""

    colour: int
    box: tuple[int, int, int, int]
    disposal: int = KEEP
    transparent: int | None = None
    palette: bytes = b""

    def encode(self) -> bytes:
        """Return control extension and image (GIF89a, sections 20 to 23)."""
        left, top, right, bottom = self.box
        flags = self.disposal << 2 | (self.transparent is not None)
        control = b"\x21\xf9\4" + struct.pack("<BHB", flags, 5, self.transparent or 0) + b"\0"
        local = 0x81 if self.palette else 0
        descriptor = b"\x2c" + struct.pack("<4HB", left, top, right - left, bottom - top, local)
        image = Image.new("P", (right - left, bottom - top), self.colour)
        return control + descriptor + self.palette + b"\2" + image.tobytes("gif", "P", 2, 0) + b"\0"


def gif(frames: Iterable[Drawn | bytes], size: tuple[int, int] = (64, 64), trailer: bytes = b";") -> bytes:
    """Return a file whose blocks, given as they are or as rectangles, share four colours."""
    blocks = [block if isinstance(block, bytes) else block.encode() for block in frames]
    return b"GIF89a" + struct.pack("<2H3B", *size, 0x81, 0, 0) + COLOURS.tobytes() + b"".join(blocks) + trailer


def made(original: bytes, wanted: OutputFormat = OutputFormat.SOURCE, side: int = 64) -> Result:
    return make_thumbnails(original, Recipe((Box(side, side),), Fit.INSIDE, wanted))


def pixels(result: Result) -> list[NDArray[np.uint8]]:
    """Return the frames of the thumbnail, RGBA."""
    with Image.open(io.BytesIO(result.thumbnails[0].data)) as image:
        frames = []
        for index in range(getattr(image, "n_frames", 1)):
            image.seek(index)
            frames.append(np.asarray(image.convert("RGBA")))
        return frames


def assert_shows(frame: NDArray[np.uint8], x: int, y: int, colour: int | tuple[int, ...]) -> None:
    expected = (*COLOURS[colour], 255) if isinstance(colour, int) else colour
    shown = frame[y, x]
    assert shown[3] == expected[3], f"alpha {shown[3]} at {x}, {y}, expected {expected}"
    if expected[3]:
        assert np.abs(shown.astype(int) - np.asarray(expected)).max() <= 12, f"{shown} at {x}, {y}"


WHOLE, MIDDLE, CORNER = (0, 0, 64, 64), (16, 16, 48, 48), (0, 0, 16, 16)


@pytest.mark.parametrize("wanted", [OutputFormat.SOURCE, OutputFormat.PNG, OutputFormat.WEBP])
@pytest.mark.parametrize("side", [64, 32])
def test_what_the_first_frame_does_not_cover_is_transparent(side: int, wanted: OutputFormat) -> None:
    (frame,) = pixels(made(gif([Drawn(BLUE, MIDDLE)]), wanted, side))

    assert_shows(frame, 2, 2, CLEAR)
    assert_shows(frame, side // 2, side // 2, BLUE)


def test_what_the_first_frame_of_a_large_gif_does_not_cover_is_transparent() -> None:
    original = gif([Drawn(BLUE, (300, 300, 900, 900))], (1200, 1000))

    (frame,) = pixels(made(original, side=120))

    assert_shows(frame, 5, 5, CLEAR)
    assert_shows(frame, 60, 60, BLUE)


@pytest.mark.parametrize("wanted", [OutputFormat.SOURCE, OutputFormat.WEBP])
def test_what_a_frame_leaves_goes_by_its_disposal(wanted: OutputFormat) -> None:
    original = gif(
        [
            Drawn(RED, WHOLE),
            Drawn(GREEN, MIDDLE, TO_PREVIOUS),
            Drawn(BLUE, CORNER, TO_BACKGROUND),
            Drawn(WHITE, (56, 56, 64, 64)),
        ]
    )

    first, second, third, fourth = pixels(made(original, wanted))

    assert_shows(first, 32, 32, RED)
    assert_shows(second, 32, 32, GREEN)
    assert_shows(second, 4, 4, RED)
    assert_shows(third, 32, 32, RED)
    assert_shows(third, 4, 4, BLUE)
    assert_shows(fourth, 4, 4, CLEAR)
    assert_shows(fourth, 32, 32, RED)
    assert_shows(fourth, 60, 60, WHITE)


def test_a_disposal_is_for_its_own_frame_only() -> None:
    without_control = Drawn(GREEN, MIDDLE).encode()[8:]
    original = gif([Drawn(RED, WHOLE, TO_BACKGROUND), without_control, Drawn(BLUE, CORNER)])

    third = pixels(made(original))[2]

    assert_shows(third, 32, 32, GREEN)
    assert_shows(third, 4, 4, BLUE)
    assert_shows(third, 60, 60, CLEAR)


def test_a_transparent_index_leaves_what_is_below() -> None:
    hole = Drawn(GREEN, MIDDLE, transparent=GREEN)

    frames = pixels(made(gif([Drawn(RED, WHOLE), hole, Drawn(BLUE, CORNER)])))

    assert_shows(frames[-1], 32, 32, RED)


def test_a_frame_has_its_own_colours() -> None:
    own = Drawn(RED, MIDDLE, palette=COLOURS[::-1].tobytes())

    frames = pixels(made(gif([Drawn(RED, WHOLE), own])))

    assert_shows(frames[1], 32, 32, WHITE)
    assert_shows(frames[1], 4, 4, RED)


def test_later_frames_are_clipped_to_the_canvas() -> None:
    original = gif([Drawn(RED, WHOLE), Drawn(GREEN, (32, 0, 200, 300)), Drawn(BLUE, (100, 0, 130, 30))])

    result = made(original)

    assert (result.original.width, result.original.height, result.original.frames) == (64, 64, 3)
    second = pixels(result)[1]
    assert_shows(second, 4, 4, RED)
    assert_shows(second, 48, 48, GREEN)


def test_levels_of_grey_stay_grey() -> None:
    levels = bytes(level for level in range(4) for _ in range(3))

    data = made(gif([Drawn(WHITE, WHOLE, palette=levels)]), OutputFormat.PNG).thumbnails[0].data

    assert Image.open(io.BytesIO(data)).mode == "L"


@pytest.mark.parametrize("name", [b"NETSCAPE2.0", b"ANIMEXTS1.0"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_loop_counts_wherever_it_stands(place: int, name: bytes) -> None:
    blocks: list[Drawn | bytes] = [Drawn(RED, WHOLE), Drawn(GREEN, WHOLE)]
    blocks.insert(place, LOOP_FOR_EVER.replace(b"NETSCAPE2.0", name))

    data = made(gif(blocks)).thumbnails[0].data

    assert Image.open(io.BytesIO(data)).info["loop"] == 0


@pytest.mark.parametrize("wanted", [OutputFormat.SOURCE, OutputFormat.WEBP])
def test_an_animation_ends_before_a_broken_frame(wanted: OutputFormat) -> None:
    original = gif([Drawn(RED, WHOLE), Drawn(GREEN, WHOLE), broken(Drawn(BLUE, WHOLE)), Drawn(WHITE, WHOLE)])

    result = made(original, wanted)

    first, second = pixels(result)
    assert_shows(first, 32, 32, RED)
    assert_shows(second, 32, 32, GREEN)
    assert result.warnings == ("Frame 3 of 4 is broken; only the frames before it were kept.",)


def test_an_animation_whose_second_frame_is_broken_is_a_still() -> None:
    result = made(gif([LOOP_FOR_EVER, Drawn(RED, WHOLE), broken(Drawn(GREEN, WHOLE))]))

    (frame,) = pixels(result)
    assert_shows(frame, 32, 32, RED)
    assert len(result.warnings) == 1


def test_a_broken_first_frame_is_an_error() -> None:
    with pytest.raises(errors.CorruptImageError) as caught:
        made(gif([broken(Drawn(RED, WHOLE)), Drawn(GREEN, WHOLE)]))

    assert type(caught.value) is errors.CorruptImageError


def test_an_animation_that_is_cut_short_is_an_error() -> None:
    original = gif([Drawn(RED, WHOLE), Drawn(GREEN, WHOLE)])

    with pytest.raises(errors.TruncatedImageError):
        made(original[:-8])


def test_only_the_trailer_is_missing() -> None:
    assert len(pixels(made(gif([Drawn(RED, WHOLE), Drawn(GREEN, WHOLE)], trailer=b"")))) == 2


def broken(frame: Drawn) -> bytes:
    """Return a frame whose data end after the first code."""
    data = frame.encode()
    start = data.index(b"\2", data.index(b"\x2c") + 10)
    return data[: start + 1] + b"\1\x44\0"
