"""The formats that thumbnails are written in, and the settings that were measured best for each."""

import io
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageFile, JpegImagePlugin

from functions.resize.recipe import OutputFormat

# The quantiser steps of an original JPEG are multiplied by these, until the thumbnail is no larger than the original.
_COARSER = (1, 1.15, 1.4)


@dataclass(frozen=True, slots=True)
class Timing:
    """How an animation plays: milliseconds of each frame, and how often it plays (0: for ever)."""

    durations: tuple[int, ...]
    plays: int


@dataclass(frozen=True, slots=True)
class JpegSettings:
    """How a JPEG was encoded: 8 x 8 quantiser steps for luma and for chroma, and Pillow's number of the subsampling."""

    tables: list[list[int]]
    subsampling: int

    @classmethod
    def of(cls, image: ImageFile.ImageFile) -> "JpegSettings | None":
        """Return the settings of an opened picture; ``None`` for other formats."""
        if not isinstance(image, JpegImagePlugin.JpegImageFile):
            return None
        tables = [image.quantization[table] for *_, table in image.layer[:2]]
        return cls(tables, JpegImagePlugin.get_sampling(image))


@dataclass(frozen=True, slots=True)
class Encoder:
    """One output format.

    Attributes
    ----------
    format : str
        Pillow's name.
    content_type, extension : str
        Such as ``image/jpeg`` and ``.jpg``.
    quality : int or None
        The default quality; ``None`` if the format has no such setting.
    settings : dict
        Pillow's other options for it.
    transparency : bool
        Whether the format supports it.
    """

    format: str
    content_type: str
    extension: str
    quality: int | None
    settings: dict[str, Any]
    transparency: bool = True

    def encode(  # noqa: PLR0913 - three of them describe the original
        self,
        frames: Sequence[Image.Image],
        timing: Timing | None,
        quality: int | None,
        enough: int | None = None,
        own: JpegSettings | None = None,
        *,
        has_palette: bool = False,
    ) -> bytes:
        """Encode a still picture, or an animation if ``timing`` is given.

        Parameters
        ----------
        frames : sequence of Image
            All of the same size and the same mode: ``L``, ``LA``, ``RGB`` or ``RGBA``. In sRGB.
        timing : Timing or None
            For ``GIF`` and ``WEBP`` only; one duration for each frame.
        quality : int or None
            1 to 100.
        enough : int or None
            Bytes that an animated GIF or a PNG, or a JPEG with ``own``, should not exceed.
        own : JpegSettings or None
            Settings of the original, if the thumbnail is a JPEG of its unchanged pixels. They are used if the file
            would exceed ``enough`` bytes, unless ``quality`` is given.
        has_palette : bool
            The original is a PNG with a palette, so a PNG thumbnail may have one.

        Returns
        -------
        bytes
            A file without metadata.
        """
        if self.format == "GIF":
            from functions.resize.gif_writer import encode_gif  # noqa: PLC0415 - GIF only

            durations, plays = (timing.durations, timing.plays) if timing else ((0,), 1)
            return encode_gif(frames, durations, plays, enough)
        if self.format == "PNG":
            from functions.resize.png_writer import encode_png  # noqa: PLC0415 - PNG only

            return encode_png(frames[0], enough, has_palette=has_palette)
        options = dict(self.settings)
        if self.quality is not None:
            options["quality"] = self.quality if quality is None else quality
        if timing is not None:
            options |= {"save_all": True, "append_images": frames[1:], "duration": list(timing.durations)}
            options["loop"] = timing.plays
        data = self._save(frames[0], options)
        if own is None or enough is None or quality is not None:
            return data
        # Using the original's steps again loses next to nothing. The file may still be too large if the original's
        # encoder compresses better than libjpeg. Then coarser steps follow.
        for factor, progressive in itertools.product(_COARSER, (False, True)):
            if len(data) <= enough:
                break
            steps = [[min(255, round(step * factor)) for step in table] for table in own.tables]
            same = {"qtables": steps, "subsampling": own.subsampling, "progressive": progressive}
            data = min(data, self._save(frames[0], self.settings | same), key=len)
        return data

    def _save(self, image: Image.Image, options: dict[str, Any]) -> bytes:
        output = _NamedFile(self.extension)
        image.save(output, **options)
        return output.getvalue()


class _NamedFile(io.BytesIO):
    """A file in memory with a name: from its extension, Pillow imports the plugin of that format only."""

    def __init__(self, extension: str) -> None:
        super().__init__()
        self.name = "thumbnail" + extension


ENCODERS = {
    encoder.format: encoder
    for encoder in (
        Encoder("JPEG", "image/jpeg", ".jpg", 80, {"optimize": True, "subsampling": "4:2:0"}, transparency=False),
        Encoder("PNG", "image/png", ".png", None, {}),
        Encoder("WEBP", "image/webp", ".webp", 80, {"method": 4}),
        Encoder("GIF", "image/gif", ".gif", None, {}),
        Encoder(
            "AVIF",
            "image/avif",
            ".avif",
            54,
            # Thumbnails are full of detail, so smoothing the edges that blocks are predicted from makes them worse.
            {"speed": 6, "subsampling": "4:4:4", "advanced": {"tune": "ssim", "enable-intra-edge-filter": "0"}},
        ),
    )
}
EXTENSIONS = tuple(encoder.extension for encoder in ENCODERS.values())


@dataclass(frozen=True, slots=True)
class Encoders:
    """The encoders for opaque and for transparent thumbnails. Which one is needed is known after decoding."""

    opaque: Encoder
    transparent: Encoder


def choose_encoders(format: str, wanted: OutputFormat) -> Encoders:
    """Choose the requested format, or the original's; if that cannot be written, JPEG or (transparent) PNG."""
    chosen = ENCODERS.get(format if wanted is OutputFormat.SOURCE else wanted.name)
    return Encoders(chosen or ENCODERS["JPEG"], chosen or ENCODERS["PNG"])
