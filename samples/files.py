"""Encode pictures with Pillow, or kinds of PNG that Pillow cannot write; and read size, colour and frames of files."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import Image


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    """Return a picture as a file, in a format that Pillow can write or as ``HEIF``."""
    output = io.BytesIO()
    if format == "HEIF":
        pillow_heif.from_pillow(image).save(output, **options)
    else:
        image.save(output, format, **options)
    return output.getvalue()


def picture(format: str = "JPEG", width: int = 400, height: int = 300, colour: str = "teal") -> bytes:
    """Return a file of one colour."""
    return encoded(Image.new("RGB", (width, height), colour), format)


def png_chunk(name: bytes, payload: bytes = b"") -> bytes:
    """Return a chunk of a PNG file, with its checksum."""
    return struct.pack(">I", len(payload)) + name + payload + struct.pack(">I", zlib.crc32(name + payload))


def png(width: int, height: int, bits: int, colour_type: int, pixels: bytes, *chunks: bytes) -> bytes:
    """Return a PNG file that is not interlaced, from compressed rows.

    Parameters
    ----------
    width, height : int
    bits : int
        Bits of a sample.
    colour_type : int
        0 grey, 2 RGB, 3 palette, 4 grey with alpha, 6 RGBA (PNG, 11.2.1).
    pixels : bytes
        Content of ``IDAT``: a zlib stream of the rows, each preceded by the number of its filter.
    *chunks : bytes
        Chunks between header and pixels.
    """
    header = png_chunk(b"IHDR", struct.pack(">2I5B", width, height, bits, colour_type, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + png_chunk(b"IDAT", pixels) + png_chunk(b"IEND")


def size_of(data: bytes) -> tuple[int, int]:
    """Return width and height of an encoded picture, pixels."""
    with Image.open(io.BytesIO(data)) as image:
        return image.size


def colour_of(data: bytes) -> tuple[int, int, int]:
    """Return the mean colour of an encoded picture."""
    with Image.open(io.BytesIO(data)) as image:
        red, green, blue = image.convert("RGB").resize((1, 1)).tobytes()
        return red, green, blue


def frames_of(data: bytes) -> list[NDArray[np.uint8]]:
    """Return every frame of an encoded picture, RGBA."""
    with Image.open(io.BytesIO(data)) as image:
        frames = []
        for index in range(getattr(image, "n_frames", 1)):
            image.seek(index)
            frames.append(np.asarray(image.convert("RGBA")))
        return frames
