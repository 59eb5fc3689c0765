"""Every format, mode and fit against a full decode that is resampled in floating point."""

import io
import zlib
from collections.abc import Callable

import numpy as np
import pillow_heif
import pytest
from numpy.typing import NDArray
from PIL import Image

from functions.resize.encoders import ENCODERS
from functions.resize.recipe import Box, Fit, OutputFormat, Recipe, Thumbnail
from functions.resize.thumbnails import make_thumbnails
from samples import profiles
from samples.files import encoded, png
from samples.pictures import cut_out, moving, photograph
from samples.reference import Pixels, lanczos, ssim

WIDTH, HEIGHT = 1640, 1230
SIZES = (128, 320, 800)
SCENE = photograph(WIDTH, HEIGHT)
CUT_OUT = cut_out(WIDTH, HEIGHT)


def _png_16_bit(samples: NDArray[np.uint16], colour_type: int) -> bytes:
    """Write a 16-bit PNG by hand: Pillow writes no more than 8 bits but for grey."""
    rows = samples.astype(">u2").reshape(samples.shape[0], -1).view(np.uint8)
    raw = np.concatenate([np.zeros((len(rows), 1), np.uint8), rows], axis=1).tobytes()
    height, width = samples.shape[:2]
    return png(width, height, 16, colour_type, zlib.compress(raw, 1))


def _deep(image: Image.Image) -> NDArray[np.uint16]:
    return np.asarray(image).astype(np.uint16) * 257


GREY = SCENE.convert("L")
PALETTE = SCENE.quantize(128)

ORIGINALS: dict[str, Callable[[], bytes]] = {
    "jpeg": lambda: encoded(SCENE, "JPEG", quality=90),
    "jpeg-4:4:4": lambda: encoded(SCENE, "JPEG", quality=90, subsampling="4:4:4"),
    "jpeg-progressive": lambda: encoded(SCENE, "JPEG", quality=90, progressive=True),
    "jpeg-grey": lambda: encoded(GREY, "JPEG", quality=90),
    "jpeg-cmyk": lambda: encoded(SCENE.convert("CMYK"), "JPEG", quality=90),
    "png": lambda: encoded(SCENE, "PNG", compress_level=1),
    "png-grey": lambda: encoded(GREY, "PNG", compress_level=1),
    "png-grey-alpha": lambda: encoded(CUT_OUT.convert("LA"), "PNG", compress_level=1),
    "png-alpha": lambda: encoded(CUT_OUT, "PNG", compress_level=1),
    "png-palette": lambda: encoded(PALETTE, "PNG", compress_level=1),
    "png-1-bit": lambda: encoded(SCENE.convert("1"), "PNG", compress_level=1),
    "png-16-bit": lambda: _png_16_bit(_deep(SCENE), 2),
    "png-16-bit-grey": lambda: _png_16_bit(_deep(GREY), 0),
    "png-16-bit-alpha": lambda: _png_16_bit(_deep(CUT_OUT), 6),
    "webp": lambda: encoded(SCENE, "WEBP", quality=90, method=0),
    "webp-lossless": lambda: encoded(SCENE, "WEBP", lossless=True, method=0, quality=0),
    "webp-alpha": lambda: encoded(CUT_OUT, "WEBP", quality=90, method=0, exact=True),
    "gif": lambda: encoded(PALETTE, "GIF"),
    "tiff-lzw": lambda: encoded(SCENE, "TIFF", compression="tiff_lzw"),
    "tiff-deflate": lambda: encoded(SCENE, "TIFF", compression="tiff_adobe_deflate"),
    "tiff-jpeg": lambda: encoded(SCENE, "TIFF", compression="jpeg"),
    "tiff-cmyk": lambda: encoded(SCENE.convert("CMYK"), "TIFF", compression="tiff_lzw"),
    "tiff-16-bit-grey": lambda: encoded(Image.fromarray(_deep(GREY)), "TIFF"),
    "bmp": lambda: encoded(SCENE, "BMP"),
    "avif": lambda: encoded(SCENE, "AVIF", quality=85, speed=10),
    "heif": lambda: encoded(SCENE, "HEIF", quality=85),
}


@pytest.fixture(scope="module")
def originals() -> dict[str, tuple[bytes, Pixels]]:
    """Each original with its full decode, premultiplied where it has alpha, filled when first used."""
    return {}


def _full_decode(original: bytes) -> Pixels:
    """Return float (height, width, channels); colours premultiplied when there are 2 or 4 channels."""
    if original[4:8] == b"ftyp" and b"hei" in original[8:24]:
        image = pillow_heif.open_heif(original).to_pillow()
    else:
        image = Image.open(io.BytesIO(original))
        image.load()
    if image.mode == "I;16":
        return (np.asarray(image)[..., None] / 257).astype(np.float32)
    if image.has_transparency_data:
        image = image.convert("LA" if image.mode == "LA" else "RGBA")
    elif image.mode in {"1", "L"}:
        image = image.convert("L")
    else:
        image = image.convert("RGB")
    pixels = np.asarray(image).astype(np.float32).reshape(image.height, image.width, -1)
    if pixels.shape[2] in {2, 4}:
        pixels[..., :-1] *= pixels[..., -1:] / 255
    return pixels


def _region(fit: Fit, box: Box, width: int, height: int) -> tuple[tuple[float, float, float, float], tuple[int, int]]:
    """Return the region and the size that a fit means for a picture of width x height."""
    whole = (0.0, 0.0, float(width), float(height))
    if fit is Fit.FILL:
        return whole, (box.width, box.height)
    if fit is Fit.COVER:
        scale = max(box.width / width, box.height / height)
        across, down = box.width / scale, box.height / scale
        left, top = (width - across) / 2, (height - down) / 2
        return (left, top, left + across, top + down), (box.width, box.height)
    scale = min(box.width / width, box.height / height)
    return whole, (round(width * scale), round(height * scale))


def _measure(original: bytes, full: Pixels, fit: Fit, side: int, format: OutputFormat) -> float:
    box = Box(side, side // 2 if fit is Fit.COVER else round(side * 0.9))
    thumbnail = make_thumbnails(original, Recipe((box,), fit, format)).thumbnails[0]
    return _compare(thumbnail, full, fit)


def _compare(thumbnail: Thumbnail, full: Pixels, fit: Fit) -> float:
    height, width, channels = full.shape
    region, size = _region(fit, thumbnail.rendition.box, width, height)
    reference = np.clip(lanczos(full, size, region), 0, 255)
    return ssim(reference, _comparable(thumbnail, size, channels))


def _comparable(thumbnail: Thumbnail, size: tuple[int, int], channels: int) -> Pixels:
    """Return the thumbnail without the border of ``pad``, premultiplied, in as many channels."""
    mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[channels]
    image = Image.open(io.BytesIO(thumbnail.data)).convert(mode)
    left, top = (image.width - size[0]) // 2, (image.height - size[1]) // 2
    image = image.crop((left, top, left + size[0], top + size[1]))
    pixels = np.asarray(image).astype(np.float32).reshape(size[1], size[0], channels)
    if channels in {2, 4}:
        pixels[..., :-1] *= pixels[..., -1:] / 255
    return pixels


def assert_similar(measured: float, least: float) -> None:
    assert measured >= least, f"SSIM {measured:.4f} is below {least}"


@pytest.mark.parametrize("fit", Fit)
@pytest.mark.parametrize("name", ORIGINALS)
def test_thumbnail_is_near_the_float_lanczos_reference(
    name: str, fit: Fit, originals: dict[str, tuple[bytes, Pixels]]
) -> None:
    if name not in originals:
        originals.clear()  # one full decode in memory at a time
        original = ORIGINALS[name]()
        originals[name] = original, _full_decode(original)
    original, full = originals[name]
    measured = {side: _measure(original, full, fit, side, OutputFormat.PNG) for side in SIZES}
    assert all(value >= 0.99 for value in measured.values()), f"SSIM {measured} below 0.99"


@pytest.mark.parametrize("side", SIZES)
def test_gif_keeps_its_colours_as_well_as_256_allow(side: int) -> None:
    original = ORIGINALS["gif"]()
    measured = _measure(original, _full_decode(original), Fit.INSIDE, side, OutputFormat.SOURCE)
    assert_similar(measured, 0.96)


def test_a_large_gif_gets_its_nearest_colours() -> None:
    """Its palette comes from a sample and is looked up in cells; both may cost no more than a little."""
    frame = SCENE.resize((900, 675))
    pixels = np.asarray(frame, dtype=np.float32).reshape(-1, 3)
    image = Image.open(io.BytesIO(ENCODERS["GIF"].encode([frame], None, None)))
    palette = np.array(image.getpalette(), dtype=np.float32).reshape(-1, 3)
    chosen = palette[np.asarray(image).ravel()]
    nearest = np.min([((pixels - colour) ** 2).sum(axis=1) for colour in palette], axis=0)
    error, least = ((pixels - chosen) ** 2).sum(axis=1).mean(), nearest.mean()
    assert error <= 1.03 * least


def test_what_lies_between_the_samples_of_a_large_gif_stays() -> None:
    """Scan lines, and a border: a regular sample sees none of them."""
    lines = np.array(SCENE.resize((640, 480)))
    lines[1::2] = 0
    bordered = np.array(SCENE.resize((640, 480)))
    bordered[:2] = bordered[-2:] = [255, 0, 0]
    for pixels in (lines, bordered):
        gif = Image.open(io.BytesIO(ENCODERS["GIF"].encode([Image.fromarray(pixels)], None, None))).convert("RGB")
        difference = np.abs(np.asarray(gif).astype(int) - pixels)
        assert difference.mean() < 5
        assert difference[:2].mean() < 6


def test_a_grey_ramp_in_a_large_gif_keeps_its_levels() -> None:
    ramp = Image.linear_gradient("L").resize((600, 400)).convert("RGB")
    gif = Image.open(io.BytesIO(ENCODERS["GIF"].encode([ramp], None, None))).convert("RGB")
    assert len(np.unique(np.asarray(gif))) >= 200


def test_a_colour_of_few_pixels_stays_in_a_large_gif() -> None:
    drawing = Image.new("RGB", (1000, 600), "white")
    for index in range(100):
        drawing.paste((index * 2, 255 - index, 7), (index * 10, 100, index * 10 + 10, 500))
    drawing.putpixel((501, 301), (250, 10, 240))
    gif = Image.open(io.BytesIO(ENCODERS["GIF"].encode([drawing], None, None))).convert("RGB")
    assert gif.tobytes() == drawing.tobytes()


@pytest.mark.parametrize("colour", [(255, 255, 255), (3, 200, 90)])
def test_a_gif_of_many_million_pixels_keeps_its_background(colour: tuple[int, int, int]) -> None:
    drawing = Image.new("RGB", (5000, 3600), colour)
    drawing.paste((200, 0, 0), (100, 1000, 4900, 1001))
    gif = Image.open(io.BytesIO(ENCODERS["GIF"].encode([drawing], None, None))).convert("RGB")
    assert gif.tobytes() == drawing.tobytes()


def test_a_gif_of_many_million_pixels_and_colours_keeps_them() -> None:
    scene = SCENE.resize((600, 500))
    picture = Image.new("RGB", (5000, 3600), "white")
    picture.paste(scene, (2000, 1000))
    gif = Image.open(io.BytesIO(ENCODERS["GIF"].encode([picture], None, None))).convert("RGB")
    assert gif.getpixel((10, 10)) == (255, 255, 255)
    shown = gif.crop((2000, 1000, 2600, 1500))
    assert ssim(np.asarray(scene, dtype=np.float32), np.asarray(shown)) >= 0.9


# From the largest down: each from the one before; sizes too near for that; regions that no single one holds.
BOXES = {
    "chain": [(1024, 1024), (640, 640), (400, 400), (240, 240), (128, 128), (64, 64)],
    "near": [(1000, 1000), (900, 900), (800, 800), (700, 700)],
    "shapes": [(900, 300), (300, 900), (400, 400)],
}


@pytest.mark.parametrize("boxes", BOXES)
@pytest.mark.parametrize("fit", [Fit.INSIDE, Fit.COVER])
@pytest.mark.parametrize("name", ["jpeg", "png-alpha", "webp", "tiff-lzw"])
def test_each_of_several_sizes_is_near_the_reference(name: str, fit: Fit, boxes: str) -> None:
    original = ORIGINALS[name]()
    full = _full_decode(original)
    recipe = Recipe(tuple(Box(*box) for box in BOXES[boxes]), fit, OutputFormat.PNG)
    for thumbnail in make_thumbnails(original, recipe).thumbnails:
        assert_similar(_compare(thumbnail, full, fit), 0.99)


@pytest.mark.parametrize("size", [(1641, 1231), (2003, 1499)])
@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "BMP"])
def test_sides_that_nothing_divides_move_nothing(name: str, size: tuple[int, int]) -> None:
    """Scaled decodes and box filters end in part of a pixel, and kernels are centred on whole ones."""
    options = {"JPEG": {"quality": 90}, "PNG": {"compress_level": 1}, "WEBP": {"quality": 90, "method": 0}}
    original = encoded(photograph(*size), name, **options.get(name, {}))
    full = _full_decode(original)
    for fit, box in ((Fit.INSIDE, (500, 500)), (Fit.COVER, (701, 333)), (Fit.FILL, (640, 640)), (Fit.COVER, (80, 99))):
        thumbnail = make_thumbnails(original, Recipe((Box(*box),), fit, OutputFormat.PNG)).thumbnails[0]
        assert_similar(_compare(thumbnail, full, fit), 0.99)


@pytest.mark.parametrize("size", [(4001, 3001), (1999, 1499), (811, 607)])
@pytest.mark.parametrize("name", ["JPEG", "PNG", "PNG with alpha", "WEBP", "BMP"])
def test_a_line_at_an_edge_is_seen_no_more_than_the_reference_shows(name: str, size: tuple[int, int]) -> None:
    """What is left of the sides by whole-number shrinking must not weigh as much as a whole pixel."""
    width, height = size
    pixels = np.zeros((height, width, 4 if name == "PNG with alpha" else 3), np.uint8)
    pixels[[0, -1], :, :3] = 255
    pixels[:, [0, -1], :3] = 255
    if name == "PNG with alpha":
        pixels[..., 3] = 255
        pixels[height // 4, width // 4, 3] = 0
    options: dict[str, dict[str, object]] = {
        "JPEG": {"quality": 95, "subsampling": "4:4:4"},
        "WEBP": {"lossless": True},
    }
    original = encoded(Image.fromarray(pixels), name.partition(" ")[0], **options.get(name, {}))
    thumbnail = make_thumbnails(original, Recipe((Box(128, 128),), format=OutputFormat.PNG)).thumbnails[0]

    made = _comparable(thumbnail, (thumbnail.width, thumbnail.height), 3)
    reference = lanczos(pixels[..., :3], (thumbnail.width, thumbnail.height), (0.0, 0.0, width, height))
    middle = np.s_[thumbnail.height // 2, [0, -1], 0], np.s_[[0, -1], thumbnail.width // 2, 0]
    assert max(np.abs(made[sides] - reference[sides]).max() for sides in middle) <= 0.075 * 255


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_a_transparent_line_at_an_edge_has_no_halo(format: str) -> None:
    """Its hidden green, or the black that hidden colours become, would show in what is mixed at the edge."""
    picture = Image.new("RGBA", (1499, 1201), (128, 128, 128, 255))
    picture.paste((0, 255, 0, 0), (0, 0, 3, 1201))
    picture.paste((0, 255, 0, 0), (1496, 0, 1499, 1201))
    picture.paste((0, 255, 0, 0), (0, 1199, 1499, 1201))
    thumbnail = make_thumbnails(encoded(picture, format), Recipe((Box(64, 64),), format=OutputFormat.PNG)).thumbnails[0]
    made = np.asarray(Image.open(io.BytesIO(thumbnail.data))).astype(int)
    assert made[..., 3].min() < 255
    assert np.abs(made[..., :3] - 128).max() <= 4


def test_enlarging_is_near_the_reference() -> None:
    small = photograph(90, 60)
    original = encoded(small, "PNG")
    recipe = Recipe((Box(300, 200),), Fit.FILL, OutputFormat.PNG)
    thumbnail = make_thumbnails(original, recipe).thumbnails[0]
    reference = np.clip(lanczos(np.asarray(small), (300, 200), (0, 0, 90, 60)), 0, 255)
    assert_similar(ssim(reference, _comparable(thumbnail, (300, 200), 3)), 0.99)


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF", "AVIF"])
def test_alpha_edges_have_no_halo(format: str) -> None:
    """A grey disc on transparent green: green that bleeds in would show at the edge."""
    side = 1200  # large enough for the streaming decoder
    rows, columns = np.mgrid[0:side, 0:side]
    inside = np.hypot(rows - side / 2, columns - side / 2) < side * 0.4
    pixels = np.zeros((side, side, 4), np.uint8)
    pixels[...] = [0, 255, 0, 0]
    pixels[inside] = [128, 128, 128, 255]
    exact: dict[str, dict[str, object]] = {
        "WEBP": {"lossless": True, "exact": True},
        "AVIF": {"quality": 100, "subsampling": "4:4:4"},
    }
    original = encoded(Image.fromarray(pixels), format, **exact.get(format, {}))
    recipe = Recipe((Box(97, 97),), format=OutputFormat.PNG)
    thumbnail = make_thumbnails(original, recipe).thumbnails[0]
    result = np.asarray(Image.open(io.BytesIO(thumbnail.data)).convert("RGBA")).astype(float)
    edge = (result[..., 3] > 0) & (result[..., 3] < 255)
    assert edge.sum() > 50
    # In levels of what is seen: a colour counts by its alpha.
    shown = (result[edge][:, :3] - 128) * result[edge][:, 3:] / 255
    bleeding = np.abs(shown[:, 1] - shown[:, 0]).max()
    assert bleeding <= 1, f"{bleeding:.1f} levels of the green that nothing shows of"
    # Inside an edge the step response of Lanczos overshoots by 7.3 %.
    assert np.abs(shown).max() <= 128 * 0.073, f"the edge is off by {np.abs(shown).max():.1f} levels"


@pytest.mark.parametrize("name", ["jpeg-grey", "png-grey", "png-16-bit-grey", "tiff-16-bit-grey", "png-1-bit"])
@pytest.mark.parametrize("profile", [None, profiles.grey()])
def test_grey_stays_grey(name: str, profile: bytes | None) -> None:
    original = ORIGINALS[name]()
    if profile:
        original = encoded(GREY, "PNG", icc_profile=profile, compress_level=1)
    thumbnail = make_thumbnails(original, Recipe((Box(200, 200),), format=OutputFormat.PNG)).thumbnails[0]
    assert Image.open(io.BytesIO(thumbnail.data)).mode == "L"


@pytest.mark.parametrize("format", OutputFormat)
@pytest.mark.parametrize("name", ["jpeg-progressive", "png-alpha", "gif", "webp"])
def test_a_second_run_gives_the_same_bytes(name: str, format: OutputFormat) -> None:
    original = ORIGINALS[name]()
    recipe = Recipe((Box(300, 200), Box(90, 90)), Fit.COVER, format)
    assert make_thumbnails(original, recipe) == make_thumbnails(original, recipe)


def test_animation_frames_are_near_the_reference() -> None:
    frames = [frame.quantize(256) for frame in moving(4, 480, 360)]
    original = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=50)
    thumbnail = make_thumbnails(original, Recipe((Box(160, 120),))).thumbnails[0]
    result = Image.open(io.BytesIO(thumbnail.data))
    for index, frame in enumerate(frames):
        result.seek(index)
        pixels = np.asarray(frame.convert("RGB"))
        reference = np.clip(lanczos(pixels, (160, 120), (0, 0, 480, 360)), 0, 255)
        assert_similar(ssim(reference, np.asarray(result.convert("RGB"))), 0.96)
