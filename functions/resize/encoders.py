"""The formats that thumbnails are written in, and the settings that were measured best for each."""

import io
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageFile, JpegImagePlugin

from functions.resize.recipe import OutputFormat

# What the quantiser steps of an original are multiplied by until its pixels take no more bytes than it has.
_COARSER = (1, 1.15, 1.4)


@dataclass(frozen=True, slots=True)
class Timing:
    """How an animation plays: milliseconds of each frame, and how often it plays (0: for ever)."""

    durations: tuple[int, ...]
    plays: int


@dataclass(frozen=True, slots=True)
class JpegSettings:
    """How a JPEG was encoded: the steps of brightness and of colour, 8 x 8 each, and Pillow's number for its chroma."""

    tables: list[list[int]]
    subsampling: int

    @classmethod
    def of(cls, image: ImageFile.ImageFile) -> "JpegSettings | None":
        """Return those of a picture that was opened; ``None`` for other formats."""
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
        The quality unless another is asked for; ``None`` where the format has no such setting.
    settings : dict
        Pillow's other options for it.
    transparency : bool
        Whether the format keeps it.
    """

    format: str
    content_type: str
    extension: str
    quality: int | None
    settings: dict[str, Any]
    transparency: bool = True

    def encode(  # noqa: PLR0913 - three of them are of the original
        self,
        frames: Sequence[Image.Image],
        timing: Timing | None,
        quality: int | None,
        enough: int | None = None,
        own: JpegSettings | None = None,
        *,
        has_palette: bool = False,
    ) -> bytes:
        """Encode a still picture, or an animation where ``timing`` is given.

        Parameters
        ----------
        frames : sequence of Image
            All of one size and one mode of ``L``, ``LA``, ``RGB`` and ``RGBA``, in sRGB.
        timing : Timing or None
            For ``GIF`` and ``WEBP`` only; one duration for each frame.
        quality : int or None
            1 to 100.
        enough : int or None
            Bytes that an animated GIF or a PNG should not exceed.
        own : JpegSettings or None
            Of the original where this is a JPEG of its pixels: then it takes no more than ``enough`` bytes, if it can,
            unless a quality is asked for.
        has_palette : bool
            The original is a PNG with a palette, and so may this be.

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
        # The original's steps lose next to nothing again. Its encoder may have coded them better, which coarser ones
        # make up for.
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
    """A file in memory whose name says the format: saving by name, Pillow imports the plugin of that format only."""

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
            # Thumbnails are all detail: smoothing the edges that blocks are predicted from only costs.
            {"speed": 6, "subsampling": "4:4:4", "advanced": {"tune": "ssim", "enable-intra-edge-filter": "0"}},
        ),
    )
}
EXTENSIONS = tuple(encoder.extension for encoder in ENCODERS.values())


@dataclass(frozen=True, slots=True)
class Encoders:
    """What opaque and what transparent thumbnails are written with; the decoder tells which they are."""

    opaque: Encoder
    transparent: Encoder


def choose_encoders(format: str, wanted: OutputFormat) -> Encoders:
    """Choose the format asked for, or the original's, or the one that people can display."""
    chosen = ENCODERS.get(format if wanted is OutputFormat.SOURCE else wanted.name)
    return Encoders(chosen or ENCODERS["JPEG"], chosen or ENCODERS["PNG"])
