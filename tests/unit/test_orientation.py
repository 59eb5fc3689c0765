"""Orientation is Exif's, or the tag of a TIFF file; XMP is not asked, as in browsers."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from functions.resize.recipe import Box, Original, OutputFormat, Recipe
from functions.resize.thumbnails import make_thumbnails
from samples.files import encoded
from samples.pictures import photograph, stored_as

SCENE = photograph(320, 240)
# At least a million pixels, which libvips decodes.
LARGE = SCENE.resize((1280, 960))

ATTRIBUTE = 'tiff:Orientation="6"/>'
ELEMENT = "><tiff:Orientation>6</tiff:Orientation></rdf:Description>"


def xmp_packet(orientation: str) -> bytes:
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" {orientation}</rdf:RDF></x:xmpmeta>'
    ).encode()


def png_with(image: Image.Image, packet: bytes) -> bytes:
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", packet.decode())
    return encoded(image, "PNG", pnginfo=text)


WITH_XMP: dict[str, Callable[[Image.Image, bytes], bytes]] = {
    "JPEG": lambda image, packet: encoded(image, "JPEG", xmp=packet, quality=95),
    "PNG": png_with,
    "WEBP": lambda image, packet: encoded(image, "WEBP", xmp=packet, quality=95),
}


def thumbnail_of(original: bytes) -> tuple[Original, np.ndarray]:
    result = make_thumbnails(original, Recipe((Box(80, 60),), format=OutputFormat.PNG))
    return result.original, np.asarray(Image.open(io.BytesIO(result.thumbnails[0].data)).convert("RGB"), np.int64)


@pytest.mark.parametrize("image", [SCENE, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("spelling", [ATTRIBUTE, ELEMENT], ids=["attribute", "element"])
@pytest.mark.parametrize("format", WITH_XMP)
def test_an_orientation_in_xmp_alone_is_not_applied(format: str, spelling: str, image: Image.Image) -> None:
    original = WITH_XMP[format](image, xmp_packet(spelling))

    seen, pixels = thumbnail_of(original)

    assert seen == Original(format, image.width, image.height, 1)
    assert np.abs(pixels - np.asarray(SCENE.resize((80, 60), Image.Resampling.LANCZOS), np.int64)).mean() < 4


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_exif_counts_beside_xmp(format: str, orientation: int) -> None:
    stored, exif = stored_as(SCENE, orientation)
    options = {"exif": exif} | ({} if format == "PNG" else {"xmp": xmp_packet(ATTRIBUTE), "quality": 95})
    original = encoded(stored, format, **options)

    seen, pixels = thumbnail_of(original)

    assert seen == Original(format, 320, 240, 1)
    assert np.abs(pixels - np.asarray(SCENE.resize((80, 60), Image.Resampling.LANCZOS), np.int64)).mean() < 4
