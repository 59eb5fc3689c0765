"""The valid files that are damaged: at least one of each format, and of each kind that has code of its own."""

from PIL import Image

from samples.files import encoded
from samples.pictures import cut_out, moving, photograph, stored_as
from samples.profiles import adobe_rgb


def seeds() -> dict[str, bytes]:
    """Return small valid files by name."""
    scene, hole, frames = photograph(96, 64), cut_out(96, 64), moving(4, 48, 32)
    sideways, exif = stored_as(scene, 6)
    followers = {"save_all": True, "append_images": frames[1:], "duration": 80, "loop": 0}
    return {
        "jpeg": encoded(scene, "JPEG", quality=85),
        "jpeg-progressive": encoded(photograph(320, 240), "JPEG", quality=85, progressive=True),
        "jpeg-exif-icc": encoded(sideways, "JPEG", exif=exif, icc_profile=adobe_rgb()),
        "jpeg-cmyk": encoded(scene.convert("CMYK"), "JPEG"),
        "jpeg-grey": encoded(scene.convert("L"), "JPEG"),
        "jpeg-restarts": encoded(scene, "JPEG", restart_marker_blocks=2),
        "png": encoded(scene, "PNG"),
        "png-alpha": encoded(hole, "PNG"),
        "png-palette": encoded(scene.quantize(16), "PNG"),
        "png-16": encoded(scene.convert("L").convert("I;16"), "PNG"),
        "png-bits": encoded(scene.convert("1"), "PNG"),
        "jpeg-large": encoded(photograph(1600, 1200), "JPEG", quality=60),
        "png-large": encoded(photograph(1600, 1200), "PNG", compress_level=1),
        "gif": encoded(scene.quantize(32), "GIF"),
        "gif-animated": encoded(frames[0], "GIF", **followers),
        "webp": encoded(scene, "WEBP", quality=80),
        "webp-lossless": encoded(hole, "WEBP", lossless=True),
        "webp-animated": encoded(frames[0], "WEBP", **followers),
        "webp-large": encoded(photograph(1600, 1200), "WEBP", quality=60, method=0),
        "tiff": encoded(scene, "TIFF"),
        "tiff-deflate": encoded(scene, "TIFF", compression="tiff_adobe_deflate"),
        "tiff-lzw": encoded(hole, "TIFF", compression="tiff_lzw"),
        "tiff-jpeg": encoded(scene, "TIFF", compression="jpeg"),
        "bmp": encoded(scene, "BMP"),
        "bmp-palette": encoded(scene.quantize(16), "BMP"),
        "avif": encoded(scene, "AVIF", quality=60, speed=10),
        "heic": encoded(scene, "HEIF", quality=60),
        "text": b"This is a letter and not a picture at all.",
        "jpeg-thin": encoded(Image.new("RGB", (4000, 1), "red"), "JPEG"),
    }
