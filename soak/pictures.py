"""Originals for the soak: pictures of five formats, and files that are not pictures, each with different bytes.

Every upload needs different bytes, because two versions of a key with the same ETag could not be distinguished.
"""

import struct
import zlib
from enum import StrEnum
from pathlib import Path
from random import Random

from PIL import Image

from samples.files import encoded, png, png_chunk

_HEIC = Path(__file__).parents[1] / "samples" / "mandelbrot.heic"

_BOMB_SIDE = 20_000


class Kind(StrEnum):
    """The kind of an upload."""

    PICTURE = "picture"
    NO_IMAGE = "not an image"
    BOMB = "bomb"


FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "HEIC")
EXTENSIONS = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "GIF": ".gif", "HEIC": ".heic"}


def picture(format: str, random: Random) -> bytes:
    """Make a small picture of random colours in one of FORMATS."""
    if format == "HEIC":
        # Pillow cannot write HEIC. A box of free space with random bytes makes each copy different: ISO/IEC 14496-12,
        # 8.1.2.
        return _HEIC.read_bytes() + _box(b"free", random.randbytes(16))
    width, height = random.randint(150, 500), random.randint(150, 500)
    image = _colours(width, height, random)
    if format == "GIF":
        frames = [_colours(width, height, random) for _ in range(2)]
        return encoded(image, format, save_all=True, append_images=frames, duration=100)
    return encoded(image, format)


def no_image(random: Random) -> bytes:
    """Make a file that is not a picture, or only the beginning of one."""
    return random.choice(
        (
            random.randbytes(500),
            b"<!doctype html><title>Not found</title>" + random.randbytes(8).hex().encode(),
            b"%PDF-1.7\n" + random.randbytes(200),
            _half(picture("JPEG", random)),
            _half(picture("PNG", random)),
        )
    )


def bomb(random: Random) -> bytes:
    """Make a PNG of about 50 KB that decodes to 400 megapixels."""
    comment = b"Comment\0" + random.randbytes(8).hex().encode()
    return png(_BOMB_SIDE, _BOMB_SIDE, 1, 0, _blank_rows(), png_chunk(b"tEXt", comment))


def _colours(width: int, height: int, random: Random) -> Image.Image:
    few = Image.frombytes("RGB", (8, 6), random.randbytes(8 * 6 * 3))
    return few.resize((width, height), Image.Resampling.BICUBIC)


def _half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _box(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", 8 + len(data)) + kind + data


def _blank_rows() -> bytes:
    compress = zlib.compressobj(9)
    row = bytes(1 + _BOMB_SIDE // 8)
    return b"".join(compress.compress(row) for _ in range(_BOMB_SIDE)) + compress.flush()
