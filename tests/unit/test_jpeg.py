"""JPEG files as cameras write them: without an end, with something behind it, with headers that decoders differ on."""

import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from functions.resize import errors
from functions.resize.recipe import Box, OutputFormat, Recipe
from functions.resize.thumbnails import make_thumbnails
from samples.files import encoded
from samples.pictures import photograph, stored_as
from samples.reference import ssim

SMALL = photograph(120, 90)
LARGE = photograph(1300, 1000)
END = b"\xff\xd9"
PREVIEW = encoded(photograph(40, 30), "JPEG")
RANDOM = np.random.default_rng(13)
TRAILERS = {
    "nothing": b"",
    "Samsung": RANDOM.bytes(9_000) + b"SEFH" + bytes(20) + b"SEFT",
    "a film with a preview": b"\0\0\0\x18ftypmp42" + RANDOM.bytes(3_000) + PREVIEW + RANDOM.bytes(90),
    "a preview": PREVIEW,
    "zeros": bytes(3_000),
    "an end after something else": RANDOM.bytes(40).replace(b"\xff", b"") + END + RANDOM.bytes(300),
}
KINDS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "optimized": {"optimize": True},
    "restarts": {"restart_marker_blocks": 3},
    "full chroma": {"subsampling": "4:4:4"},
    "progressive": {"progressive": True},
    "progressive with restarts": {"progressive": True, "restart_marker_blocks": 3},
}


def make(original: bytes, side: int = 50) -> Image.Image:
    recipe = Recipe((Box(side, side),), format=OutputFormat.PNG)
    return Image.open(io.BytesIO(make_thumbnails(original, recipe).thumbnails[0].data))


def assert_same(one: bytes, other: bytes, side: int = 50) -> None:
    assert make(one, side).tobytes() == make(other, side).tobytes()


@pytest.mark.parametrize("trailer", TRAILERS.values(), ids=TRAILERS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_end_behind_all_rows(kind: str, trailer: bytes) -> None:
    whole = encoded(SMALL, "JPEG", **KINDS[kind])

    assert_same(whole.removesuffix(END) + trailer, whole)


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_a_missing_end_of_other_colours(mode: str) -> None:
    whole = encoded(SMALL.convert(mode), "JPEG")

    assert_same(whole.removesuffix(END) + TRAILERS["Samsung"], whole)


@pytest.mark.parametrize("trailer", TRAILERS.values(), ids=TRAILERS)
@pytest.mark.parametrize("kind", KINDS)
def test_missing_rows_before_a_trailer(kind: str, trailer: bytes) -> None:
    whole = encoded(SMALL, "JPEG", **KINDS[kind])

    with pytest.raises(errors.TruncatedImageError):
        make(whole[: len(whole) // 2] + trailer)


@pytest.mark.parametrize("kind", KINDS)
def test_missing_rows_at_the_end(kind: str) -> None:
    whole = encoded(SMALL, "JPEG", **KINDS[kind])

    for trailer in (b"", PREVIEW, bytes(3_000)):
        with pytest.raises(errors.TruncatedImageError):
            make(whole[: int(len(whole) * 0.95)] + trailer)


def test_a_missing_end_of_a_component_in_a_scan_of_its_own() -> None:
    whole = encoded(SMALL.convert("L"), "JPEG")
    frame, scan = whole.index(b"\xff\xc0"), whole.index(b"\xff\xda")
    # Three components that are alike, each in a scan of its own (B.2.2, B.2.3).
    header = whole[frame : frame + 9] + b"\3" + b"".join(bytes([each, 0x11, 0]) for each in (1, 2, 3))
    header = header[:2] + (17).to_bytes(2, "big") + header[4:]
    pixels = whole[scan + 10 :].removesuffix(END)
    scans = [b"\xff\xda\0\x08\1" + bytes([each, 0, 0, 63, 0]) + pixels for each in (1, 2, 3)]
    start = whole[:frame] + header + whole[frame + 13 : scan]

    assert_same(start + b"".join(scans) + b"trailer", start + b"".join(scans) + END)
    with pytest.raises(errors.TruncatedImageError):
        make(start + b"".join(scans[:2]) + PREVIEW)


@pytest.mark.parametrize("side", [50, 1200])
@pytest.mark.parametrize("progressive", [False, True])
def test_large_pictures_get_the_same_verdict(side: int, *, progressive: bool) -> None:
    whole = encoded(LARGE, "JPEG", progressive=progressive)
    trailer = TRAILERS["a film with a preview"]

    assert_same(whole.removesuffix(END) + trailer, whole, side)
    with pytest.raises(errors.TruncatedImageError):
        make(whole[: int(len(whole) * 0.9)] + trailer, side)


def test_a_missing_end_of_one_colour() -> None:
    """Where every code is a single bit, zeros are the picture."""
    whole = encoded(Image.new("RGB", (400, 300)), "JPEG", optimize=True)

    assert_same(whole.removesuffix(END), whole)


@pytest.mark.parametrize("trailer", [b"", PREVIEW, b"\0\0\0\x18ftypmp42", b"SEFT", b"\n"])
def test_what_follows_an_end_does_not_matter(trailer: bytes) -> None:
    for options in KINDS.values():
        whole = encoded(SMALL, "JPEG", **options)
        assert_same(whole + trailer, whole)


def test_segments_behind_the_pixels() -> None:
    whole = encoded(SMALL, "JPEG")

    assert_same(whole.removesuffix(END) + b"\xff\xfe\0\6note" + END + b"trailer", whole)


def test_scans_are_left_out_whatever_follows_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = encoded(SMALL, "JPEG", progressive=True)
    seen = []
    monkeypatch.setattr("functions.resize.decoding.drop_scans", lambda data, *_: seen.append(data))

    for trailer in (b"", bytes(100_000), PREVIEW):
        make(whole + trailer, 10)

    assert seen == [whole] * 3


def segment(marker: int, payload: bytes) -> bytes:
    return bytes([0xFF, marker]) + (2 + len(payload)).to_bytes(2, "big") + payload


# What stands in place of the first segment, which is JFIF's and has 18 bytes.
JFIF = encoded(SMALL, "JPEG")[2:20]
HEADERS = {
    "junk": b"\0\0junk" + JFIF,
    "a line end": b"\n" + JFIF,
    "stuffing": b"\xff\0\xff\0" + JFIF,
    "fill": b"\xff" * 300 + JFIF,
    "junk behind a segment": JFIF + b"junk",
    "a lone marker": JFIF + b"\xff\1",
    "no JFIF": b"",
    "empty JFIF": segment(0xE0, b""),
    "JFIF of its name alone": segment(0xE0, b"JFIF\0"),
    "short JFIF": segment(0xE0, b"JFIF\0\1"),
    "a length of 0": b"\xff\xe0\0\0",
    "a comment with a length of 1": JFIF + b"\xff\xfe\0\1",
    "short Adobe": JFIF + segment(0xEE, b"Adobe\0"),
    "short profile": JFIF + segment(0xE2, b"ICC_PROFILE\0\1"),
    "short Photoshop": JFIF + segment(0xED, b"Photoshop 3.0\x008BIM\4\4"),
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_headers_that_browsers_read(header: bytes) -> None:
    for options in ({}, {"progressive": True}):
        whole = encoded(SMALL, "JPEG", **options)
        assert_same(whole[:2] + header + whole[20:], whole)


@pytest.mark.parametrize("header", ["junk", "short JFIF", "short Adobe"])
@pytest.mark.parametrize("side", [50, 1200])
def test_headers_of_large_pictures(header: str, side: int) -> None:
    whole = encoded(LARGE, "JPEG")

    assert_same(whole[:2] + HEADERS[header] + whole[20:], whole, side)


@pytest.mark.parametrize("end", [END, b"", b"trailer"])
@pytest.mark.parametrize(("scene", "side"), [(SMALL, 50), (LARGE, 1200)])
def test_a_height_behind_the_first_scan(scene: Image.Image, side: int, end: bytes) -> None:
    whole = encoded(scene, "JPEG")
    height = whole.index(b"\xff\xc0") + 5
    unknown = whole[:height] + b"\0\0" + whole[height + 2 :].removesuffix(END)
    lines = segment(0xDC, whole[height : height + 2])

    assert_same(unknown + b"\xff" + lines + end, whole, side)
    with pytest.raises(errors.CorruptImageError):
        make(unknown + END, side)


def test_a_height_that_is_too_large_is_refused_by_it() -> None:
    whole = encoded(SMALL, "JPEG")
    width = whole.index(b"\xff\xc0") + 7
    unknown = whole[: width - 2] + b"\0\0\xff\xff" + whole[width + 2 :].removesuffix(END)

    with pytest.raises(errors.TooManyPixelsError):
        make(unknown + segment(0xDC, b"\xff\xff") + END)


def test_a_start_of_image_alone_is_no_picture() -> None:
    for original in (b"\xff\xd8", b"\xff\xd8 text", b"\xff\xd8" + RANDOM.bytes(9_000)):
        with pytest.raises(errors.NotAnImageError):
            make(original)


@pytest.mark.parametrize("options", [{}, {"optimize": True}, {"progressive": True}, {"subsampling": "4:4:4"}])
@pytest.mark.parametrize(("scene", "quality"), [(SMALL, 20), (SMALL, 30), (LARGE, 30)])
def test_a_thumbnail_of_the_original_size_is_no_larger(
    scene: Image.Image, quality: int, options: dict[str, Any]
) -> None:
    original = encoded(scene, "JPEG", quality=quality, **options)

    made = make_thumbnails(original, Recipe((Box(*scene.size),))).thumbnails[0]

    assert (made.format, made.width, made.height) == ("JPEG", *scene.size)
    assert len(made.data) <= len(original)
    assert ssim(_pixels(original), _pixels(made.data)) > 0.97


def test_a_thumbnail_of_the_original_size_that_is_turned_is_no_larger() -> None:
    stored, exif = stored_as(SMALL, 6)
    original = encoded(stored, "JPEG", quality=40, exif=exif)

    made = make_thumbnails(original, Recipe((Box(*SMALL.size),))).thumbnails[0]

    assert (made.width, made.height) == SMALL.size
    assert len(made.data) <= len(original)
    assert b"Exif" not in made.data


def test_a_quality_that_is_asked_for_wins() -> None:
    original = encoded(SMALL, "JPEG", quality=20)

    same, better = (
        make_thumbnails(original, Recipe((Box(*SMALL.size),), quality=quality)).thumbnails[0].data
        for quality in (20, 90)
    )

    assert len(same) <= len(original) < len(better)


def test_a_thumbnail_of_another_size_keeps_the_quality() -> None:
    coarse = make_thumbnails(encoded(SMALL, "JPEG", quality=5), Recipe((Box(110, 110),))).thumbnails[0].data

    assert len(coarse) > len(encoded(SMALL, "JPEG", quality=5))


def _pixels(data: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
