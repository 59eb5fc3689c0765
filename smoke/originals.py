"""The files to upload: a tiny picture of each format and one file that is not an image, with unusual names."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from samples.files import encoded

# Pillow cannot write HEIC itself.
_HEIC = Path(__file__).parents[1] / "samples" / "mandelbrot.heic"

_WIDTH, _HEIGHT = 240, 160


@dataclass(frozen=True, slots=True)
class Original:
    """One file.

    Attributes
    ----------
    format : str
        Its name in the table.
    name : str
        The end of its file name, after the id of the run.
    data : bytes
    size : (int, int)
        Pixels.
    content_type : str
        Of its thumbnails; empty if the file is not an image.
    extension : str
        Appended to the names of its thumbnails if they have another type.
    frames : int
    """

    format: str
    name: str
    data: bytes
    content_type: str
    extension: str = ""
    frames: int = 1
    size: tuple[int, int] = (_WIDTH, _HEIGHT)


def originals() -> Iterator[Original]:
    """Yield one original of each format and one file that is not an image."""
    scene = _scene(0)
    yield Original("JPEG", "dotted.name.v1.2.jpg", encoded(scene, "JPEG"), "image/jpeg")
    yield Original("PNG", "odd name + it's résumé 🏔 100%.png", encoded(scene, "PNG"), "image/png")
    yield Original("WebP", f"long-{'name-' * 50}.webp", encoded(scene, "WEBP"), "image/webp")
    moving = {"save_all": True, "append_images": [_scene(1), _scene(2)], "duration": 100}
    yield Original("GIF, animated", "moving.gif", encoded(scene, "GIF", **moving), "image/gif", frames=3)
    yield Original("TIFF", "scan.tiff", encoded(scene, "TIFF"), "image/jpeg", ".jpg")
    yield Original("BMP", "bitmap.bmp", encoded(scene, "BMP"), "image/jpeg", ".jpg")
    yield Original("AVIF", "small.avif", encoded(scene, "AVIF"), "image/avif")
    yield Original("HEIC", "phone.heic", _HEIC.read_bytes(), "image/jpeg", ".jpg")
    yield Original("no picture", "letter.jpg", b"This is a letter, whatever its name says.\n", "")


def to_be_removed() -> Original:
    """Return the original that is deleted while the others still exist."""
    return Original("JPEG", "removed.jpg", encoded(_scene(3), "JPEG"), "image/jpeg")


def to_be_replaced(times: int) -> Original:
    """Return the original that is uploaded again with other pictures, as it is after a number of times."""
    return Original("JPEG", "replaced.jpg", encoded(_scene(4 + times), "JPEG"), "image/jpeg")


def _scene(moment: int) -> Image.Image:
    return Image.effect_mandelbrot((_WIDTH, _HEIGHT), (-2.0 + moment / 4, -1.0, 1.0 + moment / 4, 1.0), 40).convert(
        "RGB"
    )
