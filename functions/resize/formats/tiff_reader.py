"""TIFF: a reader to use instead of Pillow's, which misreads planar 16-bit samples, 8-bit colour maps and others."""

import io
from typing import Any

from PIL import Image, ImageFile, TiffImagePlugin

from functions.resize.errors import UnsupportedImageError
from functions.resize.formats.tiff_layout import (
    HEIGHT,
    ICC_PROFILE,
    ORIENTATION,
    WIDTH,
    XMP,
    read_layout,
    with_directories,
)
from functions.resize.formats.tiff_samples import read_samples
from functions.resize.resampling import libvips


class TiffFile(ImageFile.ImageFile):
    """The first picture of a TIFF file, as stored: not turned upright."""

    format = "TIFF"
    format_description = "TIFF, by libvips"

    def _open(self) -> None:
        self._data = self.fp.read()  # type: ignore[union-attr]  # a file that was just opened
        self._layout = read_layout(self._data)
        self._samples = read_samples(self._layout)
        self._mode = self._samples.mode
        self._size = self._layout.get(WIDTH, 0), self._layout.get(HEIGHT, 0)
        if profile := self._layout.entries.get(ICC_PROFILE):
            self.info["icc_profile"] = self._layout.header.data(self._data, profile)

    def load(self) -> Any:
        """Decode the pixels, all at once; raises ``OSError`` or ``pyvips.Error``."""
        if self._im is None:
            decoded = self._load_by_pillow() if self._samples.by_pillow else libvips().decode_tiff(self._data)
            self._mode, self.im, self.palette = decoded.mode, decoded.im, decoded.palette
        return Image.Image.load(self)

    def _load_by_pillow(self) -> Image.Image:
        # Pillow turns a picture upright if the tag or XMP has an orientation; without both it does not.
        data = with_directories(self._data, self._layout, [{ORIENTATION: None, XMP: None}])
        image = TiffImagePlugin.TiffImageFile(io.BytesIO(data))
        image.load()
        if image.palette and not any(image.palette.getdata()[1]):
            raise UnsupportedImageError("compressed TIFF picture with a colour map of 8-bit values")
        return image
