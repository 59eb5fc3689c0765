"""Animated GIF thumbnails: what is in their bytes, and that nobody sees the difference."""

import math

import numpy as np
import pytest
from PIL import Image, ImageDraw

from functions.resize.encoders import ENCODERS, Timing
from functions.resize.formats.gif import read_frames
from functions.resize.gif_writer import encode_gif
from samples.files import encoded, frames_of
from samples.pictures import cut_out, moving, photograph


def write(frames: list[Image.Image], duration: int = 80, enough: int | None = None) -> bytes:
    return encode_gif(frames, [duration] * len(frames), 0, enough)


def psnr(frames: list[Image.Image], data: bytes) -> float:
    """Return the mean over frames and channels, dB."""
    pairs = zip(frames, frames_of(data), strict=True)
    errors = [(np.asarray(frame.convert("RGB")).astype(float) - image[..., :3]) ** 2 for frame, image in pairs]
    return 10 * math.log10(255**2 / max(float(np.mean(errors)), 1e-9))


def typed(frames: int = 30, side: int = 320) -> list[Image.Image]:
    """Return lines of text that appear one after another, with soft edges in a few colours."""
    page = Image.new("RGB", (side, side), (20, 20, 30))
    result = []
    for index in range(frames):
        colour = ((230, 230, 230), (90, 220, 90), (240, 120, 60))[index % 3]
        ImageDraw.Draw(page).text((4, 4 + 10 * index), f"{index:3} the quick brown fox {index * 37}", fill=colour)
        result.append(page.resize((side // 2, side // 2), Image.Resampling.LANCZOS))
    return result


def test_text_takes_few_bytes_and_keeps_its_colours() -> None:
    frames = typed()

    data = write(frames)

    assert len(data) < 18_000, f"{len(data)} bytes"
    assert psnr(frames, data) > 48
    assert all(image[-1, -1].tolist() == [20, 20, 30, 255] for image in frames_of(data))


def test_a_still_scene_is_written_once() -> None:
    frames = moving(8, 160, 120)

    data = write(frames)

    assert len(data) < 3 * len(write(frames[:1]))
    assert psnr(frames, data) > 35
    first, *others = read_frames(data, 8)
    assert (first.width, first.height) == (160, 120)
    assert all(frame.width < 100 and frame.palette == first.palette for frame in others)


def test_scenes_with_nothing_in_common_have_colours_of_their_own() -> None:
    frames = [photograph(160, 120, seed).point([level // (seed + 1) for level in range(256)] * 3) for seed in range(4)]
    frames += [Image.merge("RGB", frame.split()[::-1]) for frame in frames]

    data = write(frames)

    assert len({frame.palette for frame in read_frames(data, 8)}) > 1
    assert psnr(frames, data) > 35


@pytest.mark.parametrize("count", [2, 16, 200, 255, 256])
def test_few_colours_stay_exact(count: int) -> None:
    random = np.random.default_rng(count)
    colours = np.unique(random.integers(90, 110, (4 * count, 3)), axis=0)[:count].astype(np.uint8)
    frames = [Image.fromarray(colours[random.integers(0, count, (40, 50))]) for _ in range(3)]

    for made in (write(frames), write(frames[:1])):
        images = frames_of(made)
        assert all(image[..., :3].tobytes() == frame.tobytes() for frame, image in zip(frames, images, strict=False))


def test_255_colours_and_transparency_stay_exact() -> None:
    colours = np.unique(np.random.default_rng(0).integers(0, 255, (900, 3)), axis=0)[:255]
    pixels = np.dstack([colours[np.arange(1020).reshape(30, 34) % 255], np.full((30, 34), 255)]).astype(np.uint8)
    pixels[10:20] = 0

    (image,) = frames_of(write([Image.fromarray(pixels)]))

    assert image.tobytes() == pixels.tobytes()


def test_what_moves_over_nothing_leaves_nothing() -> None:
    picture = cut_out(40, 40)
    frames = [Image.new("RGBA", (160, 60)) for _ in range(5)]
    for index, frame in enumerate(frames):
        frame.paste(picture, (index * 25, 10))

    data = write(frames)

    for frame, image in zip(frames, frames_of(data), strict=True):
        assert (image[..., 3] == np.where(np.asarray(frame)[..., 3] >= 128, 255, 0)).all()


def test_frames_that_repeat_are_shown_longer() -> None:
    red, blue = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")

    data = encode_gif([red, red, blue, blue, blue], [40, 60, 50, 50, 50], 1)

    assert [frame.control.duration for frame in read_frames(data, 5)] == [100, 150]


def test_a_time_that_has_no_room_is_not_added_up() -> None:
    red = Image.new("RGB", (8, 8), "red")

    data = encode_gif([red, red], [400_000, 400_000], 1)

    assert [frame.control.duration for frame in read_frames(data, 2)] == [400_000, 400_000]


def test_more_bytes_than_the_original_cost_colours() -> None:
    frames = []
    for index in range(6):
        picture = Image.new("RGB", (400, 400), "white")
        for line in range(9):
            angle = index / 9 + line
            ends = (200, 200, 200 + 190 * math.cos(angle), 200 + 190 * math.sin(angle))
            ImageDraw.Draw(picture).line(ends, fill=(line * 28, 60, 200 - line * 20), width=3)
        frames.append(picture.resize((240, 240), Image.Resampling.LANCZOS))
    most = len(write(frames))

    data = write(frames, enough=most * 2 // 3)

    assert len(data) < most * 0.9
    assert psnr(frames, data) > 30


def test_grey_stays_grey() -> None:
    ramp = Image.linear_gradient("L")

    (image,) = frames_of(write([ramp]))

    assert image[..., 0].tobytes() == image[..., 2].tobytes() == ramp.tobytes()


def test_an_animation_takes_less_than_the_one_pillow_writes() -> None:
    frames = typed(10, 200)
    timing = Timing((80,) * 10, 0)

    data = ENCODERS["GIF"].encode(frames, timing, None)

    assert len(data) < len(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=80, loop=0)) / 2
