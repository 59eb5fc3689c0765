"""Small originals, made in code, and what encoded pictures show."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def picture(format: str = "JPEG", width: int = 400, height: int = 300, colour: str = "teal") -> bytes:
    """Make a picture of one colour in a format that Pillow writes."""
    file = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(file, format)
    return file.getvalue()


def size_of(data: bytes) -> tuple[int, int]:
    """Width and height of an encoded picture, pixels."""
    with Image.open(io.BytesIO(data)) as image:
        return image.size


def colour_of(data: bytes) -> tuple[int, int, int]:
    """Colour in the middle of an encoded picture."""
    with Image.open(io.BytesIO(data)) as image:
        red, green, blue = image.convert("RGB").resize((1, 1)).tobytes()
        return red, green, blue


def frames_of(data: bytes) -> list[NDArray[np.uint8]]:
    """Every frame of an encoded picture, RGBA."""
    with Image.open(io.BytesIO(data)) as image:
        frames = []
        for index in range(getattr(image, "n_frames", 1)):
            image.seek(index)
            frames.append(np.asarray(image.convert("RGBA")))
        return frames
