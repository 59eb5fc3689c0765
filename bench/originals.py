"""The pictures of the bench: photographs with the sizes, formats and bytes per pixel of real uploads.

They come from two Debian packages (the licences, CC-BY and CC-BY-SA, are beside them in ``.bench``). They are enlarged
and get grain, because a smooth enlargement would decode faster than a camera's file.
"""

import io
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pillow_heif
from PIL import Image

from samples import profiles
from samples.files import encoded, png

LANDSCAPE = "picosdeeuropa_by_Aitzol_Berasategi.jpg"
STILL_LIFE = "greentock_by_Peter_Nerlich.jpg"
ANIMAL = "Kleiber_by_Lukas_Baubkus.jpg"


def make_originals(photographs: Path, folder: Path) -> dict[str, Path]:
    """Make the missing files of all classes.

    Parameters
    ----------
    photographs : Path
        Folder of the unpacked packages.
    folder : Path
        Folder for the files.

    Returns
    -------
    dict of str to Path
        Class name to file, in the order of the table.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    for name, make in _CLASSES.items():
        path = folder / name
        if not path.exists():
            print(f"making {name}", flush=True)
            path.write_bytes(make(photographs))
        paths[name] = path
    return paths


def _scene(photographs: Path, name: str, width: int, height: int, grain: float = 4.0) -> Image.Image:
    """Return a photograph at a size, cropped to its aspect ratio, with grain like a sensor's."""
    image: Image.Image = Image.open(next(photographs.rglob(name)))
    scale = max(width / image.width, height / image.height)
    cut_x, cut_y = (image.width - width / scale) / 2, (image.height - height / scale) / 2
    region = (cut_x, cut_y, image.width - cut_x, image.height - cut_y)
    image = image.resize((width, height), Image.Resampling.BICUBIC, box=region)
    noise = np.random.default_rng(width).normal(0, grain, (height, width, 1)).astype(np.float32)
    noise = noise + np.random.default_rng(height).normal(0, grain / 2, (height, width, 3)).astype(np.float32)
    return Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))


def _jpeg(width: int, height: int, scene: str = LANDSCAPE, **options: object) -> Callable[[Path], bytes]:
    def make(photographs: Path) -> bytes:
        return encoded(_scene(photographs, scene, width, height), "JPEG", quality=88, **options)

    return make


def _rotated(photographs: Path) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(_scene(photographs, ANIMAL, 4032, 3024), "JPEG", quality=88, exif=exif)


def _cmyk(photographs: Path) -> bytes:
    scene = _scene(photographs, STILL_LIFE, 4032, 3024).convert("CMYK")
    return encoded(scene, "JPEG", quality=88, icc_profile=profiles.cmyk())


def _png(photographs: Path) -> bytes:
    return encoded(_scene(photographs, LANDSCAPE, 4000, 3000, grain=1.5), "PNG", compress_level=6)


def _png_alpha(photographs: Path) -> bytes:
    image = _scene(photographs, STILL_LIFE, 4000, 3000, grain=1.5)
    rows, columns = np.mgrid[-1:1:3000j, -1:1:4000j]
    alpha = np.clip((1.15 - np.hypot(rows, columns)) * 400, 0, 255).astype(np.uint8)
    image.putalpha(Image.fromarray(alpha))
    return encoded(image, "PNG", compress_level=6)


def _png_16_bit(photographs: Path) -> bytes:
    """Return a PNG of 16-bit RGB, which Pillow cannot write: big-endian rows with the Sub filter (PNG, 9.2)."""
    scene = np.asarray(_scene(photographs, ANIMAL, 4000, 3000, grain=1.5)).astype(np.uint16) * 257
    scene = scene + np.random.default_rng(16).integers(0, 128, scene.shape, dtype=np.uint16)
    scene = np.clip(scene.astype(np.uint32), 0, 65535).astype(">u2")
    height, width, _ = scene.shape
    rows = scene.reshape(height, -1).view(np.uint8)
    filtered = rows.copy()
    filtered[:, 6:] -= rows[:, :-6]
    raw = np.concatenate([np.ones((height, 1), np.uint8), filtered], axis=1).tobytes()
    return png(width, height, 16, 2, zlib.compress(raw, 6))


def _webp(photographs: Path) -> bytes:
    return encoded(_scene(photographs, LANDSCAPE, 4000, 3000), "WEBP", quality=82, method=4)


def _avif(photographs: Path) -> bytes:
    return encoded(_scene(photographs, STILL_LIFE, 4000, 3000), "AVIF", quality=65, speed=8)


def _heic(*, stored_thumbnails: list[int]) -> Callable[[Path], bytes]:
    """Return a maker of HEIC files with embedded thumbnails of these longest sides; phones embed one of 320 to 512."""

    def make(photographs: Path) -> bytes:
        file = pillow_heif.from_pillow(_scene(photographs, ANIMAL, 4032, 3024))
        file[0].info["thumbnails"] = stored_thumbnails  # type: ignore[assignment]  # pillow-heif takes the sizes to embed here
        output = io.BytesIO()
        file.save(output, quality=60)
        return output.getvalue()

    return make


def _gif(photographs: Path) -> bytes:
    """Return a slow pan over a photograph, similar to screen captures and memes: 50 frames of 854 x 480."""
    wide = _scene(photographs, LANDSCAPE, 1200, 640, grain=0)
    boxes = [(4 * frame, 2 * frame) for frame in range(50)]
    frames = [wide.crop((left, top, left + 854, top + 480)) for left, top in boxes]
    palette = frames[25].quantize(256)
    frames = [frame.quantize(palette=palette) for frame in frames]
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=40, loop=0)


_CLASSES: dict[str, Callable[[Path], bytes]] = {
    "jpeg-2mp.jpg": _jpeg(1632, 1224),
    "jpeg-12mp.jpg": _jpeg(4032, 3024),
    "jpeg-24mp.jpg": _jpeg(6000, 4000, ANIMAL),
    "jpeg-48mp.jpg": _jpeg(8064, 6048),
    "progressive-12mp.jpg": _jpeg(4032, 3024, STILL_LIFE, progressive=True),
    "rotated-12mp.jpg": _rotated,
    "display-p3-12mp.jpg": _jpeg(4032, 3024, icc_profile=profiles.display_p3()),
    "cmyk-12mp.jpg": _cmyk,
    "png-rgb-12mp.png": _png,
    "png-rgba-12mp.png": _png_alpha,
    "png-16-bit-12mp.png": _png_16_bit,
    "webp-12mp.webp": _webp,
    "avif-12mp.avif": _avif,
    "heic-12mp.heic": _heic(stored_thumbnails=[]),
    "heic-12mp-phone.heic": _heic(stored_thumbnails=[320]),
    "gif-480p-50.gif": _gif,
}
