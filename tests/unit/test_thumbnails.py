"""The engine's contract: formats, orientation, colour, fits, metadata, animation, limits and errors."""

import io
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress

import numpy as np
import pytest
import pyvips  # type: ignore[import-untyped]  # ships no type hints
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from functions.resize import errors, libvips
from functions.resize.limits import Limits, check_recipe
from functions.resize.recipe import Box, Fit, Original, OutputFormat, Recipe, Thumbnail
from functions.resize.thumbnails import make_thumbnails
from samples import profiles
from samples.files import encoded, png
from samples.pictures import cut_out, moving, photograph, stored_as

SCENE = photograph(320, 240)
CUT_OUT = cut_out(320, 240)
MOVING = moving(4)
KEYED = SCENE.copy()
KEYED.paste((1, 2, 3), (100, 100, 180, 180))


def _animated(format: str, **options: object) -> bytes:
    timing = {"duration": [40, 80, 120, 200], "loop": 0, **options}
    return encoded(MOVING[0], format, save_all=True, append_images=MOVING[1:], **timing)


ORIGINALS: dict[str, Callable[[], bytes]] = {
    "JPEG": lambda: encoded(SCENE, "JPEG"),
    "JPEG progressive": lambda: encoded(SCENE, "JPEG", progressive=True),
    "JPEG grey": lambda: encoded(SCENE.convert("L"), "JPEG"),
    "JPEG CMYK": lambda: encoded(SCENE.convert("CMYK"), "JPEG"),
    "PNG": lambda: encoded(SCENE, "PNG"),
    "PNG alpha": lambda: encoded(CUT_OUT, "PNG"),
    "PNG grey alpha": lambda: encoded(CUT_OUT.convert("LA"), "PNG"),
    "PNG palette": lambda: encoded(SCENE.quantize(64), "PNG"),
    "PNG palette alpha": lambda: encoded(SCENE.quantize(64), "PNG", transparency=3),
    "PNG key colour": lambda: encoded(KEYED, "PNG", transparency=(1, 2, 3)),
    "PNG 1-bit": lambda: encoded(SCENE.convert("1"), "PNG"),
    "PNG 16-bit": lambda: encoded(Image.fromarray(np.asarray(SCENE.convert("L")).astype("u2") * 257), "PNG"),
    "WEBP": lambda: encoded(SCENE, "WEBP"),
    "WEBP lossless": lambda: encoded(SCENE, "WEBP", lossless=True),
    "WEBP alpha": lambda: encoded(CUT_OUT, "WEBP"),
    "WEBP animated": lambda: _animated("WEBP"),
    "GIF": lambda: encoded(SCENE, "GIF"),
    "GIF animated": lambda: _animated("GIF"),
    "TIFF": lambda: encoded(SCENE, "TIFF"),
    "TIFF alpha": lambda: encoded(CUT_OUT, "TIFF", compression="tiff_lzw"),
    "TIFF CMYK": lambda: encoded(SCENE.convert("CMYK"), "TIFF"),
    "TIFF JPEG": lambda: encoded(SCENE, "TIFF", compression="jpeg"),
    "BMP": lambda: encoded(SCENE, "BMP"),
    "AVIF": lambda: encoded(SCENE, "AVIF", speed=10),
    "AVIF alpha": lambda: encoded(CUT_OUT, "AVIF", speed=10),
    "HEIF": lambda: encoded(SCENE, "HEIF"),
    "HEIF alpha": lambda: encoded(CUT_OUT, "HEIF"),
}


def _make(original: bytes, *boxes: Box, **recipe: object) -> tuple[Thumbnail, ...]:
    return make_thumbnails(original, Recipe(boxes or (Box(80, 80),), **recipe)).thumbnails  # type: ignore[arg-type] # each test passes the recipe's own fields


def _open(thumbnail: Thumbnail) -> Image.Image:
    image = Image.open(io.BytesIO(thumbnail.data))
    assert (image.format, image.size) == (thumbnail.format, (thumbnail.width, thumbnail.height))
    return image


def _rgb(thumbnail: Thumbnail) -> NDArray[np.int64]:
    return np.asarray(_open(thumbnail).convert("RGB")).astype(np.int64)


def assert_near(first: NDArray[np.int64], second: NDArray[np.int64], tolerance: float) -> None:
    difference = float(np.abs(first - second).mean())
    assert difference <= tolerance, f"mean difference {difference:.2f} is above {tolerance}"


# ---- formats


@pytest.mark.parametrize("wanted", OutputFormat)
@pytest.mark.parametrize("name", ORIGINALS)
def test_every_format_in_gives_every_format_out(name: str, wanted: OutputFormat) -> None:
    original = ORIGINALS[name]()
    result = make_thumbnails(original, Recipe((Box(80, 80),), format=wanted))
    kind = name.split(maxsplit=1)[0]
    frames = 4 if "animated" in name else 1
    assert result.original == Original(kind, 320, 240, frames)
    (thumbnail,) = result.thumbnails
    shown = kind if kind in {"JPEG", "PNG", "WEBP", "GIF", "AVIF"} else "PNG" if "alpha" in name else "JPEG"
    expected = shown if wanted is OutputFormat.SOURCE else wanted.name
    assert thumbnail.format == expected
    assert thumbnail.content_type == f"image/{expected.lower()}"
    assert thumbnail.extension == {"JPEG": ".jpg"}.get(expected, f".{expected.lower()}")
    assert (thumbnail.width, thumbnail.height) == (80, 60)
    image = _open(thumbnail)
    assert getattr(image, "n_frames", 1) == (frames if expected in {"GIF", "WEBP"} else 1)
    transparent = ("alpha" in name or "key" in name) and expected != "JPEG"
    assert (np.asarray(image.convert("RGBA"))[..., 3].min() < 255) == transparent
    assert result.warnings == ()


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF", "TIFF", "BMP"])
def test_the_picture_is_the_picture(name: str) -> None:
    expected = np.asarray(SCENE.resize((80, 60), Image.Resampling.LANCZOS)).astype(np.int64)
    assert_near(_rgb(_make(ORIGINALS[name](), format=OutputFormat.PNG)[0]), expected, 3)


def test_content_counts_not_the_name_of_the_format() -> None:
    bitmap = encoded(SCENE, "BMP")
    assert make_thumbnails(bitmap, Recipe((Box(9, 9),))).original.format == "BMP"


@pytest.mark.parametrize("format", [OutputFormat.JPEG, OutputFormat.WEBP, OutputFormat.AVIF])
def test_quality_changes_the_bytes(format: OutputFormat) -> None:
    original = ORIGINALS["PNG"]()
    low, high = (len(_make(original, format=format, quality=quality)[0].data) for quality in (20, 95))
    assert low < high


def test_quality_is_ignored_where_there_is_none() -> None:
    original = ORIGINALS["PNG"]()

    assert _make(original, quality=10)[0].data == _make(original)[0].data


def test_opaque_alpha_is_dropped() -> None:
    thumbnail = _make(encoded(SCENE.convert("RGBA"), "TIFF"))[0]
    assert thumbnail.format == "JPEG"
    assert _open(_make(encoded(SCENE.convert("LA"), "PNG"))[0]).mode == "L"


def test_transparency_is_flattened_on_white() -> None:
    thumbnail = _make(encoded(CUT_OUT, "PNG"), format=OutputFormat.JPEG)[0]
    assert_near(_rgb(thumbnail)[28:32, 38:42], np.full((4, 4, 3), 255), 3)


# ---- orientation

EXIF_CARRIERS = ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", EXIF_CARRIERS)
def test_orientation_is_applied_and_dropped(format: str, orientation: int) -> None:
    stored, exif = stored_as(SCENE, orientation)
    options = {"quality": 95} if format in {"JPEG", "AVIF", "HEIF"} else {}
    original = encoded(stored, format, exif=exif, **options)
    result = make_thumbnails(original, Recipe((Box(100, 50),), format=OutputFormat.PNG))
    assert result.original == Original(format, 320, 240, 1)
    (thumbnail,) = result.thumbnails
    expected = np.asarray(SCENE.resize((67, 50), Image.Resampling.LANCZOS)).astype(np.int64)
    assert_near(_rgb(thumbnail), expected, 3)
    assert 0x0112 not in _open(thumbnail).getexif()


@pytest.mark.parametrize("fit", Fit)
@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_boxes_are_meant_as_a_person_sees_them(fit: Fit, orientation: int) -> None:
    stored, exif = stored_as(SCENE, orientation)
    upright = _make(encoded(SCENE, "PNG"), Box(91, 40), fit=fit)[0]
    turned = _make(encoded(stored, "PNG", exif=exif), Box(91, 40), fit=fit)[0]
    assert_near(_rgb(turned), _rgb(upright), 0.6)


def test_orientation_behind_the_pixels_of_a_png_counts() -> None:
    stored, exif = stored_as(SCENE, 6)
    whole = encoded(stored, "PNG", exif=exif)
    start = whole.index(b"eXIf") - 4
    length = 12 + int.from_bytes(whole[start : start + 4], "big")
    end = whole.index(b"IEND") - 4
    moved = whole[:start] + whole[start + length : end] + whole[start : start + length] + whole[end:]
    assert make_thumbnails(moved, Recipe((Box(50, 50),))).original == Original("PNG", 320, 240, 1)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"Exif\0\0"])
def test_broken_exif_counts_as_none(exif: bytes) -> None:
    assert make_thumbnails(encoded(SCENE, "JPEG", exif=exif), Recipe((Box(9, 9),))).original.width == 320


# ---- colour

WIDE_SPACES = {
    "Display P3": (profiles.display_p3, profiles.DISPLAY_P3_XY, profiles.D65_XY, profiles.srgb_to_linear),
    "Adobe RGB": (profiles.adobe_rgb, profiles.ADOBE_RGB_XY, profiles.D65_XY, lambda v: v ** (563 / 256)),
    "ProPhoto": (profiles.prophoto, profiles.PROPHOTO_XY, profiles.D50_XY, lambda v: v**1.8),
}
COLOURS = np.array([[[200, 100, 50], [90, 120, 180], [128, 128, 128], [60, 140, 70]]], np.uint8)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
@pytest.mark.parametrize("space", WIDE_SPACES)
def test_wide_colours_become_srgb(space: str, format: str) -> None:
    make_profile, xy, white, decode = WIDE_SPACES[space]
    patches = Image.fromarray(COLOURS.repeat(48, axis=0).repeat(48, axis=1))
    exact: dict[str, dict[str, int]] = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": 1}}
    options = exact.get(format, {} if format in {"PNG", "TIFF"} else {"quality": 98})
    original = encoded(patches, format, icc_profile=make_profile(), **options)
    thumbnail = _make(original, Box(192, 192), format=OutputFormat.PNG)[0]
    expected = np.round(255 * profiles.rgb_to_srgb(COLOURS / 255, xy, white, decode))
    assert_near(_rgb(thumbnail)[24:25, 24::48], expected.astype(np.int64), 1.5)
    assert "icc_profile" not in _open(thumbnail).info


def test_alpha_survives_the_colour_conversion() -> None:
    plain, converted = (
        _open(_make(encoded(CUT_OUT, "PNG", icc_profile=profile))[0])
        for profile in (profiles.srgb(), profiles.adobe_rgb())
    )
    assert plain.getchannel("A").tobytes() == converted.getchannel("A").tobytes()
    assert plain.getchannel("R").tobytes() != converted.getchannel("R").tobytes()


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_grey_profile_changes_grey(mode: str) -> None:
    image = Image.new(mode, (40, 40), 128 if mode == "L" else (128, 100))
    thumbnail = _make(encoded(image, "PNG", icc_profile=profiles.grey(1.8)))[0]
    expected = round(255 * float(profiles.linear_to_srgb(np.array((128 / 255) ** 1.8))))
    assert _open(thumbnail).mode == mode
    assert abs(int(_rgb(thumbnail)[20, 20, 0]) - expected) <= 1


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_inks_are_converted_by_their_profile(format: str) -> None:
    cyan = Image.new("CMYK", (64, 64), (255, 0, 0, 0))
    options = {"quality": 100} if format == "JPEG" else {}
    plain = _rgb(_make(encoded(cyan, format, **options), format=OutputFormat.PNG)[0])[30, 30]
    by_profile = encoded(cyan, format, icc_profile=profiles.cmyk(), **options)
    converted = _rgb(_make(by_profile, format=OutputFormat.PNG)[0])[30, 30]
    assert_near(plain, np.array([0, 255, 255]), 2)
    # The dull cyan of the profile: linear 0.05, 0.70, 0.85.
    expected = 255 * profiles.linear_to_srgb(np.array([0.05, 0.70, 0.85]))
    assert_near(converted, np.round(expected).astype(np.int64), 4)


def test_srgb_by_any_name_changes_nothing() -> None:
    tagged = _make(encoded(SCENE, "PNG", icc_profile=profiles.srgb()))
    assert tagged[0].data == _make(encoded(SCENE, "PNG"))[0].data


@pytest.mark.parametrize("profile", [b"not a profile", profiles.display_p3()[:200], profiles.cmyk(), profiles.grey()])
def test_a_profile_that_cannot_be_used_is_ignored_with_one_warning(profile: bytes) -> None:
    original = encoded(SCENE, "PNG", icc_profile=profile)
    result = make_thumbnails(original, Recipe((Box(80, 80), Box(40, 40))))
    assert len(result.warnings) == 1
    assert "colour profile" in result.warnings[0]
    assert result.thumbnails[0].data == _make(encoded(SCENE, "PNG"), Box(80, 80))[0].data


# ---- metadata


@pytest.mark.parametrize("wanted", OutputFormat)
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "AVIF", "HEIF"])
def test_no_metadata_reaches_a_thumbnail(format: str, wanted: OutputFormat) -> None:
    secret = b"SECRET-PLACE"
    exif = Image.Exif()
    exif[0x010E] = secret.decode()
    exif.get_ifd(0x8825)[29] = secret.decode()
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", secret.decode())
    options = {"exif": exif.tobytes(), "xmp": b"<x:xmpmeta>" + secret + b"</x:xmpmeta>", "comment": secret}
    if format == "PNG":
        options["pnginfo"] = text  # type: ignore[assignment] # the one option that is no bytes
    if format in {"GIF", "TIFF", "HEIF"}:
        options.pop("comment") if format != "GIF" else options.pop("xmp")
    original = encoded(SCENE, format, **options)
    assert secret in original
    thumbnail = _make(original, format=wanted)[0]
    assert secret not in thumbnail.data
    left = {"exif", "xmp", "icc_profile", "comment", "XML:com.adobe.xmp", "Comment", "photoshop"}
    assert not left & _open(thumbnail).info.keys()


# ---- fits and sizes


@pytest.mark.parametrize(
    ("fit", "box", "size"),
    [
        (Fit.INSIDE, Box(100, 100), (100, 75)),
        (Fit.INSIDE, Box(1000, 60), (80, 60)),
        (Fit.INSIDE, Box(1000, 1000), (320, 240)),
        (Fit.COVER, Box(100, 100), (100, 100)),
        (Fit.COVER, Box(640, 640), (640, 640)),
        (Fit.PAD, Box(100, 100), (100, 100)),
        (Fit.PAD, Box(500, 640), (500, 640)),
        (Fit.FILL, Box(50, 120), (50, 120)),
        (Fit.FILL, Box(640, 10), (640, 10)),
    ],
)
def test_fit_gives_the_size(fit: Fit, box: Box, size: tuple[int, int]) -> None:
    thumbnail = _make(ORIGINALS["JPEG"](), box, fit=fit)[0]
    assert thumbnail.rendition.box == box
    assert (thumbnail.width, thumbnail.height) == size
    _open(thumbnail)


def test_cover_crops_the_centre() -> None:
    bands = np.zeros((100, 300, 3), np.uint8)
    bands[:, :100], bands[:, 100:200], bands[:, 200:] = [255, 0, 0], [0, 255, 0], [0, 0, 255]
    thumbnail = _make(encoded(Image.fromarray(bands), "PNG"), Box(50, 50), fit=Fit.COVER)[0]
    assert_near(_rgb(thumbnail)[:, 3:-3], np.full((50, 44, 3), [0, 255, 0]), 0.5)


def test_pad_adds_a_white_border() -> None:
    thumbnail = _make(ORIGINALS["PNG"](), Box(80, 80), fit=Fit.PAD)[0]
    pixels = _rgb(thumbnail)
    assert (pixels[:10] == 255).all()
    assert (pixels[70:] == 255).all()
    assert_near(pixels[10:70], _rgb(_make(ORIGINALS["PNG"](), Box(80, 60))[0]), 0)


def test_pad_is_transparent_where_the_thumbnail_keeps_transparency() -> None:
    thumbnail = _make(ORIGINALS["PNG alpha"](), Box(80, 80), fit=Fit.PAD)[0]
    assert _open(thumbnail).getchannel("A").getpixel((40, 2)) == 0


@pytest.mark.parametrize("fit", Fit)
@pytest.mark.parametrize("size", [(1, 1), (10_000, 1), (1, 10_000), (3, 2000), (7, 7)])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF"])
def test_extreme_shapes_have_thumbnails(format: str, size: tuple[int, int], fit: Fit) -> None:
    original = encoded(Image.new("RGB", size, (200, 30, 60)), format)
    for box in (Box(128, 128), Box(1, 1), Box(1, 300)):
        thumbnail = _make(original, box, fit=fit)[0]
        assert min(thumbnail.width, thumbnail.height) >= 1
        if fit is Fit.INSIDE:
            assert thumbnail.width <= min(box.width, size[0])
            assert thumbnail.height <= min(box.height, size[1])
        else:
            assert (thumbnail.width, thumbnail.height) == (box.width, box.height)
        _open(thumbnail)


@pytest.mark.parametrize("side", [1, 2, 4, 8])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF"])
def test_a_few_pixels_are_as_light_as_the_picture(format: str, side: int) -> None:
    original = encoded(Image.new("RGB", (4000, 3000), (200, 30, 60)), format)
    thumbnail = _make(original, Box(side, side), fit=Fit.FILL, format=OutputFormat.PNG)[0]
    assert np.abs(_rgb(thumbnail) - [200, 30, 60]).max() <= 3


@pytest.mark.parametrize("size", [(1_000_001, 1), (1, 1_000_001), (2_100_000, 1), (1, 2_100_000)])
@pytest.mark.parametrize("format", ["PNG", "BMP"])
def test_millions_of_pixels_become_one_without_a_complaint(
    format: str, size: tuple[int, int], capfd: pytest.CaptureFixture[str]
) -> None:
    original = encoded(Image.new("RGB", size, (200, 30, 60)), format)
    thumbnails = make_thumbnails(original, Recipe((Box(1, 1),), Fit.FILL), Limits(max_side=3_000_000)).thumbnails
    assert_near(_rgb(thumbnails[0]), np.full((1, 1, 3), [200, 30, 60]), 0.5)
    assert capfd.readouterr().err == ""


def test_thumbnails_come_in_the_order_of_the_boxes_and_may_repeat() -> None:
    boxes = (Box(50, 50), Box(200, 200), Box(50, 50), Box(120, 30))
    thumbnails = _make(ORIGINALS["JPEG"](), *boxes)
    assert tuple(thumbnail.rendition.box for thumbnail in thumbnails) == boxes
    assert [thumbnail.width for thumbnail in thumbnails] == [50, 200, 50, 40]
    assert thumbnails[0].data == thumbnails[2].data


def test_a_large_picture_goes_through() -> None:
    original = encoded(Image.new("RGB", (9000, 6000), (120, 130, 140)), "JPEG")
    thumbnail = _make(original, Box(300, 300))[0]
    assert (thumbnail.width, thumbnail.height) == (300, 200)
    assert_near(_rgb(thumbnail), np.full((200, 300, 3), [120, 130, 140]), 1.5)


# ---- animation


@pytest.mark.parametrize("source", ["GIF", "WEBP"])
@pytest.mark.parametrize("wanted", [OutputFormat.SOURCE, OutputFormat.WEBP])
def test_animation_keeps_timing(source: str, wanted: OutputFormat) -> None:
    image = _open(_make(_animated(source), format=wanted)[0])
    durations = []
    for frame in range(image.n_frames):  # type: ignore[attr-defined] # only on animated files
        image.seek(frame)
        image.load()
        durations.append(image.info["duration"])
    assert durations == [40, 80, 120, 200]


@pytest.mark.parametrize(
    ("source", "options", "wanted", "expected"),
    [
        ("GIF", {"loop": 0}, OutputFormat.SOURCE, 0),
        ("GIF", {"loop": 3}, OutputFormat.SOURCE, 3),
        ("GIF", {"loop": None}, OutputFormat.SOURCE, None),
        ("GIF", {"loop": 0}, OutputFormat.WEBP, 0),
        ("GIF", {"loop": 3}, OutputFormat.WEBP, 4),
        ("GIF", {"loop": None}, OutputFormat.WEBP, 1),
        ("WEBP", {"loop": 0}, OutputFormat.SOURCE, 0),
        ("WEBP", {"loop": 5}, OutputFormat.SOURCE, 5),
    ],
)
def test_animation_keeps_its_loop(
    source: str, options: dict[str, object], wanted: OutputFormat, expected: int | None
) -> None:
    """A GIF counts repetitions and one without a count plays once; a WebP counts plays."""
    timing = {key: value for key, value in {"duration": 50, **options}.items() if value is not None}
    original = encoded(MOVING[0], source, save_all=True, append_images=MOVING[1:], **timing)
    assert _open(_make(original, format=wanted)[0]).info.get("loop") == expected


@pytest.mark.parametrize("wanted", [OutputFormat.SOURCE, OutputFormat.WEBP])
@pytest.mark.parametrize("source", ["GIF", "WEBP"])
def test_what_a_frame_uncovers_is_transparent_again(source: str, wanted: OutputFormat) -> None:
    frames = []
    for index in range(3):
        pixels = np.zeros((60, 180, 4), np.uint8)
        rows, columns = np.mgrid[0:60, 0:180]
        disc = (rows - 30) ** 2 + (columns - 30 - 60 * index) ** 2 < 28**2
        pixels[disc] = [200, 40, 40, 255]
        frames.append(Image.fromarray(pixels))
    options = {"disposal": 2} if source == "GIF" else {"lossless": True}
    original = encoded(frames[0], source, save_all=True, append_images=frames[1:], duration=90, loop=0, **options)
    image = _open(_make(original, Box(90, 90), format=wanted)[0])
    for index in range(3):
        image.seek(index)
        alpha = np.asarray(image.convert("RGBA"))[15, 15::30, 3]
        assert [value > 128 for value in alpha] == [place == index for place in range(3)]


@pytest.mark.parametrize("size", [(160, 120), MOVING[0].size])
@pytest.mark.parametrize("wanted", [OutputFormat.SOURCE, OutputFormat.WEBP])
@pytest.mark.parametrize("source", ["GIF", "WEBP"])
def test_frames_look_like_the_frames(source: str, wanted: OutputFormat, size: tuple[int, int]) -> None:
    image = _open(_make(_animated(source), Box(*size), format=wanted)[0])
    for index, frame in enumerate(MOVING):
        image.seek(index)
        expected = np.asarray(frame.resize(size, Image.Resampling.LANCZOS)).astype(np.int64)
        assert_near(np.asarray(image.convert("RGB")).astype(np.int64), expected, 6)


def test_only_the_first_frame_is_left_where_the_format_is_still() -> None:
    thumbnail = _make(_animated("GIF"), Box(160, 120), format=OutputFormat.PNG)[0]
    expected = np.asarray(MOVING[0].resize((160, 120), Image.Resampling.LANCZOS)).astype(np.int64)
    assert_near(_rgb(thumbnail), expected, 6)


# ---- limits


def test_limits_come_from_the_environment() -> None:
    limits = Limits.from_environment({"LIMIT_MAX_BYTES": "5", "LIMIT_MAX_FRAMES": " 7 ", "OTHER": "x"})
    assert (limits.max_bytes, limits.max_frames, limits.max_pixels) == (5, 7, Limits().max_pixels)


@pytest.mark.parametrize("value", ["", "0", "-1", "1.5", "many", "१"])
def test_a_bad_limit_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="LIMIT_MAX_PIXELS must be a whole number of at least 1"):
        Limits.from_environment({"LIMIT_MAX_PIXELS": value})


@pytest.mark.parametrize(
    ("recipe", "amount", "limit", "unit"),
    [
        (Recipe((Box(1, 1),) * 4), 4, 3, "thumbnails"),
        (Recipe((Box(5, 2001),)), 2001, 2000, "pixels on a side"),
        (Recipe((Box(800, 800), Box(700, 700)), Fit.FILL), 1_130_000, 1_000_000, "output pixels"),
    ],
)
def test_too_much_output_is_refused_before_anything_is_read(recipe: Recipe, amount: int, limit: int, unit: str) -> None:
    limits = Limits(max_outputs=3, max_output_side=2000, max_output_pixels=1_000_000)
    with pytest.raises(errors.OutputTooLargeError) as caught:
        check_recipe(recipe, limits)
    assert (caught.value.amount, caught.value.limit, caught.value.unit) == (amount, limit, unit)


@pytest.mark.parametrize(("source", "wanted"), [("AVIF", OutputFormat.SOURCE), ("PNG", OutputFormat.AVIF)])
def test_avif_has_its_own_limit(source: str, wanted: OutputFormat) -> None:
    limits = Limits(max_avif_pixels=320 * 240 - 1)
    for fit in (Fit.INSIDE, Fit.FILL):
        with pytest.raises(errors.OutputTooLargeError) as caught:
            make_thumbnails(ORIGINALS[source](), Recipe((Box(320, 240),), fit, wanted), limits)
        assert (caught.value.amount, caught.value.limit) == (320 * 240, 320 * 240 - 1)
        assert caught.value.unit == "AVIF output pixels"
    other = Recipe((Box(320, 240),), format=OutputFormat.WEBP)
    assert make_thumbnails(ORIGINALS[source](), other, limits).thumbnails
    with pytest.raises(errors.OutputTooLargeError):
        check_recipe(Recipe((Box(320, 240),), Fit.FILL, OutputFormat.AVIF), limits)


def test_inside_counts_what_it_really_makes() -> None:
    limits = Limits(max_output_pixels=320 * 240)
    recipe = Recipe((Box(2000, 2000),))
    check_recipe(recipe, limits)
    assert make_thumbnails(ORIGINALS["PNG"](), recipe, limits).thumbnails[0].width == 320


def _bomb(width: int, height: int) -> bytes:
    """Return a PNG of a few dozen bytes that claims to be huge."""
    return png(width, height, 8, 2, zlib.compress(bytes(9)))


@pytest.mark.parametrize(("width", "height"), [(13_000, 13_000), (50_000, 50_000), (2**31 - 1, 2**31 - 1)])
def test_a_bomb_is_refused_before_it_is_decoded(width: int, height: int) -> None:
    with pytest.raises(errors.TooManyPixelsError) as caught:
        _make(_bomb(width, height))
    assert (caught.value.pixels, caught.value.limit) == (width * height, Limits().max_pixels)


@pytest.mark.parametrize(("width", "height"), [(100_001, 7), (7, 100_001)])
def test_a_side_that_is_too_long_is_refused_before_it_is_decoded(width: int, height: int) -> None:
    with pytest.raises(errors.TooManyPixelsError, match="on a side") as caught:
        _make(_bomb(width, height))
    assert (caught.value.pixels, caught.value.limit) == (100_001, Limits().max_side)


@pytest.mark.parametrize("size", [(90_000, 400), (400, 90_000)])
def test_a_step_that_libvips_has_no_kernel_for(size: tuple[int, int]) -> None:
    original = encoded(Image.new("RGB", size, (200, 100, 50)), "TIFF", compression="tiff_adobe_deflate")
    box = Box(*(side if side == 400 else 1 for side in size))
    thumbnail = _make(original, box, fit=Fit.FILL, format=OutputFormat.PNG)[0]
    assert (thumbnail.width, thumbnail.height) == (box.width, box.height)
    assert_near(_rgb(thumbnail), np.asarray((200, 100, 50)), 1)


def test_a_gif_frame_larger_than_its_screen_counts() -> None:
    original = bytearray(encoded(Image.new("L", (16, 16)), "GIF"))
    place = original.index(b"\x2c")
    original[place + 5 : place + 9] = struct.pack("<HH", 60_000, 60_000)
    with pytest.raises(errors.TooManyPixelsError) as caught:
        _make(bytes(original))
    assert caught.value.pixels == 60_000 * 60_000


@pytest.mark.parametrize("format", ["GIF", "WEBP"])
def test_too_many_pixels_in_each_frame(format: str) -> None:
    limits = Limits(max_frame_pixels=320 * 240 - 1)
    for wanted in (OutputFormat.SOURCE, OutputFormat.JPEG):
        with pytest.raises(errors.TooManyPixelsError, match="in each frame") as caught:
            make_thumbnails(_animated(format), Recipe((Box(9, 9),), format=wanted), limits)
        assert (caught.value.pixels, caught.value.limit) == (320 * 240, 320 * 240 - 1)
    assert make_thumbnails(encoded(Image.new("RGB", (320, 240)), format), Recipe((Box(9, 9),)), limits).thumbnails


# ---- bad input


@pytest.mark.parametrize("original", [b"\0", b"hello", b"BM hello, I am a letter", b"RIFF\0\0\0\0AVI ", b"GIF88a"])
def test_not_an_image(original: bytes) -> None:
    with pytest.raises(errors.NotAnImageError):
        _make(original)


@pytest.mark.parametrize(
    ("original", "kind"),
    [
        (b"8BPS\0\1" + bytes(20), "Photoshop document"),
        (b"%PDF-1.7", "PDF document"),
        (b"<svg xmlns='...'/>", "vector drawing (SVG)"),
        (b"\xff\x0a" + bytes(9), "JPEG XL picture"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000 picture"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "video or another media file"),
        (b"\0\0\1\0\1\0", "Windows icon"),
    ],
)
def test_a_kind_that_is_known_but_not_read(original: bytes, kind: str) -> None:
    with pytest.raises(errors.UnsupportedImageError) as caught:
        _make(original)
    assert caught.value.kind == kind


@pytest.mark.parametrize(
    ("marker", "precision", "kind"),
    [(0xC1, 12, "12-bit JPEG"), (0xC3, 8, "lossless or hierarchical JPEG")],
)
def test_jpeg_codings_that_nobody_shows(marker: int, precision: int, kind: str) -> None:
    original = bytearray(ORIGINALS["JPEG"]())
    place = original.index(b"\xff\xc0")
    original[place + 1], original[place + 4] = marker, precision
    with pytest.raises(errors.UnsupportedImageError) as caught:
        _make(bytes(original))
    assert caught.value.kind == kind


def test_samples_of_32_bits() -> None:
    original = encoded(Image.fromarray(np.zeros((8, 8), np.float32)), "TIFF")
    with pytest.raises(errors.UnsupportedImageError) as caught:
        _make(original)
    assert caught.value.kind == "TIFF picture with floating-point samples"


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("name", ORIGINALS)
def test_a_missing_end(name: str, share: float) -> None:
    original = ORIGINALS[name]()
    with pytest.raises(errors.TruncatedImageError) as caught:
        _make(original[: int(len(original) * share)])
    assert caught.value.format == name.split(maxsplit=1)[0]


@pytest.mark.parametrize("name", ["PNG", "PNG 16-bit", "WEBP", "AVIF", "HEIF"])
def test_damage(name: str) -> None:
    """Overwrite some bytes and keep the length; decoders of JPEG, GIF and BMP show what is left."""
    original = bytearray(ORIGINALS[name]())
    # WebP, AVIF and HEIC have no checksums; their first bytes of coded data have to make sense.
    start = {"WEBP": 23, "AVIF": original.find(b"mdat") + 4, "HEIF": original.find(b"mdat") + 4}
    place = start.get(name, len(original) // 2)
    original[place : place + 600] = b"\xa5" * 600
    with pytest.raises(errors.CorruptImageError) as caught:
        _make(bytes(original))
    assert type(caught.value) is errors.CorruptImageError
    assert caught.value.format == name.split(maxsplit=1)[0]


@pytest.mark.parametrize("left", [0.5, 0.95])
@pytest.mark.parametrize("fit", [Fit.INSIDE, Fit.COVER])
@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP"])
def test_a_missing_end_of_a_large_file_that_is_streamed(name: str, fit: Fit, left: float) -> None:
    """With ``cover``, of which nothing below the middle is needed for this box."""
    original = encoded(photograph(1400, 1000), name)
    with pytest.raises(errors.TruncatedImageError):
        _make(original[: int(len(original) * left)], Box(1300, 30), fit=fit)


@pytest.mark.parametrize("at", [0.3, 0.97])
@pytest.mark.parametrize("name", ["JPEG", "PNG"])
def test_damage_is_an_error_for_every_box(name: str, at: float) -> None:
    """Small boxes, large boxes and boxes that show only the middle are decoded in different ways."""
    original = bytearray(encoded(photograph(1400, 1000), name))
    place = int(len(original) * at)
    # A start of image within coded data: libjpeg goes on behind it with grey, and Pillow does not.
    original[place : place + 2] = b"\xff\xd8"
    for fit, box in ((Fit.INSIDE, (90, 90)), (Fit.FILL, (1300, 900)), (Fit.COVER, (1300, 30)), (Fit.COVER, (30, 900))):
        with pytest.raises(errors.CorruptImageError):
            _make(bytes(original), Box(*box), fit=fit)


def test_a_region_that_rounding_moves_beyond_the_edge() -> None:
    original = encoded(photograph(8, 8).crop((0, 0, 7, 1)).convert("L"), "PNG")
    made = _make(original, Box(370, 1472), Box(231, 919), fit=Fit.COVER, format=OutputFormat.PNG)
    assert [(thumbnail.width, thumbnail.height) for thumbnail in made] == [(370, 1472), (231, 919)]


def test_hidden_colours_of_a_large_picture_that_is_not_resized_stay() -> None:
    picture = photograph(1200, 1000)
    picture.putalpha(3)
    made = _make(encoded(picture, "PNG", compress_level=1), Box(1200, 1000))[0]
    assert _open(made).tobytes() == picture.tobytes()


def test_a_large_16_bit_grey_picture_with_alpha_stays_grey(monkeypatch: pytest.MonkeyPatch) -> None:
    grey = np.asarray(photograph(1200, 1000).convert("L")).astype("u2") * 257
    samples = np.dstack([grey, grey[::-1]])
    picture = pyvips.Image.new_from_memory(samples.tobytes(), 1200, 1000, 2, "ushort")
    original = picture.copy(interpretation="grey16").pngsave_buffer(bitdepth=16, compression=1)
    # Pillow opens it as RGBA, and would decode it in full.
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", pytest.fail)
    assert [_open(made).mode for made in _make(original, Box(300, 300), Box(90, 90))] == ["LA", "LA"]


def test_a_tall_picture_is_read_in_order() -> None:
    """Where rows are left over, a second thread would read them before the others."""
    tall = Image.effect_noise((30, 40_003), 60).convert("RGB")
    assert libvips.decode(encoded(tall, "PNG", compress_level=1), "PNG", (30, 64), (0, 0, 30, 40_003)) is not None


@pytest.mark.parametrize("side", [300, 1300])
def test_transparency_that_a_webp_header_denies_is_kept_for_every_size(side: int) -> None:
    picture = Image.new("RGBA", (side, side), (200, 30, 30, 255))
    picture.paste((0, 0, 0, 0), (0, 0, side, side // 2))
    original = bytearray(encoded(picture, "WEBP", lossless=True, icc_profile=profiles.srgb()))
    # The flags of the extended header: RFC 9649, section 2.7.1.
    assert original[12:16] == b"VP8X"
    original[20] &= ~0x10
    image = _open(_make(bytes(original), Box(64, 64))[0])
    assert image.mode == "RGBA"
    assert image.getchannel("A").getextrema() == (0, 255)


@pytest.mark.parametrize("box", [Box(700, 300), Box(925, 812), Box(1300, 50)])
def test_transparency_of_a_large_16_bit_grey_picture_is_kept_for_every_box(box: Box) -> None:
    grey = np.asarray(photograph(1201, 999).convert("L")).astype("u2") * 257
    original = encoded(Image.fromarray(grey), "PNG", transparency=int(grey[500, 600]))
    assert _open(_make(original, box, fit=Fit.COVER)[0]).mode == "LA"


def test_only_errors_of_the_tree_come_out_of_noise() -> None:
    random = np.random.default_rng(3)
    for name, make in ORIGINALS.items():
        original = make()
        for _ in range(6):
            damaged = bytearray(original)
            for place in random.integers(8, len(original), 12):
                damaged[place] = random.integers(256)
            with suppress(errors.PermanentError):
                result = make_thumbnails(bytes(damaged), Recipe((Box(40, 40),)))
                assert result.thumbnails[0].data, name


def test_memory_that_runs_out_may_be_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def run_out(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", run_out)
    with pytest.raises(MemoryError):
        _make(ORIGINALS["PNG"]())


def test_a_gif_frame_beyond_the_canvas_is_clipped() -> None:
    frames = [Image.new("P", (48, 32), index) for index in (1, 2)]
    for frame in frames:
        frame.putpalette([0, 0, 0, 255, 0, 0, 0, 0, 255])
    data = bytearray(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=50, optimize=False))
    # The width in the second image descriptor (GIF89a, section 20): the frame is said to reach far to the right.
    second = data.index(b"\x2c", data.index(b"\x2c", 13) + 10)
    data[second + 5 : second + 7] = (176).to_bytes(2, "little")

    for fit in Fit:
        result = make_thumbnails(bytes(data), Recipe((Box(24, 24),), fit, OutputFormat.JPEG))
        assert (result.original.width, result.original.height) == (48, 32)
        with Image.open(io.BytesIO(result.thumbnails[0].data)) as thumbnail:
            middle = thumbnail.convert("RGB").getpixel((thumbnail.width // 2, thumbnail.height // 2))
        assert middle == pytest.approx((254, 0, 0), abs=6)
