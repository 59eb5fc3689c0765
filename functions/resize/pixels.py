"""Pixels: modes, transparency, and the border of ``pad``."""

from PIL import Image

from functions.resize.errors import UnsupportedImageError
from functions.resize.recipe import Box, Fit

TRANSPARENT = {"LA", "RGBA"}
TWO_TONE = "1"
_PREMULTIPLIED = {"LA": "La", "RGBA": "RGBa"}
# Decoded mode -> working mode, for pictures without transparency.
_WORKING_MODES = {
    "1": "L",
    "L": "L",
    "P": "RGB",
    "RGB": "RGB",
    "RGBX": "RGB",
    "YCbCr": "RGB",
    "CMYK": "CMYK",
}
_SAMPLES = {"I": "32-bit", "F": "floating-point", "LAB": "Lab"}
# The colour of transparent pixels and of the border of ``pad`` if the output has no alpha.
_BACKGROUND = "white"


def convert(image: Image.Image, mode: str) -> Image.Image:
    """Convert to a mode; a picture that already has it is not copied, because copying 12 megapixels takes 40 ms."""
    return image if image.mode == mode else image.convert(mode)


def premultiply(image: Image.Image) -> Image.Image:
    """Multiply colours by alpha, so that transparent pixels do not bleed into their neighbours."""
    return convert(image, _PREMULTIPLIED.get(image.mode, image.mode))


def to_working_mode(image: Image.Image, format: str) -> Image.Image:
    """Convert the decoded picture to L, LA, RGB, RGBA or CMYK; drop an opaque alpha channel.

    Raises
    ------
    UnsupportedImageError
        Samples of 32 bits, or another colour space such as Lab.
    """
    if image.mode.startswith("I;16"):
        # Pillow's own conversion to L clips at 255 instead of dropping the low byte.
        return image.convert("I").point(lambda sample: sample * (1 / 256)).convert("L")
    if image.has_transparency_data:
        working = convert(image, "LA" if image.mode in {"1", "L", "LA", "La"} else "RGBA")
        if working.getchannel("A").getextrema() != (255, 255):
            return working
        return working.convert(working.mode[:-1])
    mode = _WORKING_MODES.get(image.mode)
    if mode is None:
        samples = _SAMPLES.get(image.mode, image.mode)
        raise UnsupportedImageError(f"{format} picture with {samples} samples")
    return convert(image, mode)


def finish(image: Image.Image, box: Box, fit: Fit, *, keeps_transparency: bool) -> Image.Image:
    """Add the border of ``pad``, and flatten transparency onto white if the output has no alpha."""
    transparent = image.mode in TRANSPARENT
    flatten = transparent and not keeps_transparency
    size = (box.width, box.height) if fit is Fit.PAD else image.size
    if size == image.size and not flatten:
        return image
    if transparent and not flatten:
        canvas = Image.new(image.mode, size)
    else:
        mode = "L" if image.mode in {"L", "LA"} else "RGB"
        canvas = Image.new(mode, size, _BACKGROUND)
    offset = ((size[0] - image.width) // 2, (size[1] - image.height) // 2)
    canvas.paste(image, offset, mask=image.getchannel("A") if flatten else None)
    return canvas


def make_alike(frames: list[Image.Image]) -> list[Image.Image]:
    """Convert the frames to one mode, and drop their metadata."""
    modes = {frame.mode for frame in frames}
    mode = modes.pop() if len(modes) == 1 else "RGBA" if modes & TRANSPARENT else "RGB"
    alike = [convert(frame, mode) for frame in frames]
    for frame in alike:
        frame.info = {}
    return alike
