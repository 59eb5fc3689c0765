"""The formats that thumbnails are written in, and the settings that were measured best for each."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from functions.resize.gif_writer import encode_gif
from functions.resize.recipe import OutputFormat


@dataclass(frozen=True, slots=True)
class Timing:
    """How an animation plays: milliseconds of each frame, and how often it plays (0: for ever)."""

    durations: tuple[int, ...]
    plays: int


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

    def encode(
        self, frames: Sequence[Image.Image], timing: Timing | None, quality: int | None, enough: int | None = None
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
            Bytes that an animated GIF should not exceed.

        Returns
        -------
        bytes
            A file without metadata.
        """
        if self.format == "GIF":
            durations, plays = (timing.durations, timing.plays) if timing else ((0,), 1)
            return encode_gif(frames, durations, plays, enough)
        options = dict(self.settings)
        if self.quality is not None:
            options["quality"] = self.quality if quality is None else quality
        if timing is not None:
            options |= {"save_all": True, "append_images": frames[1:], "duration": list(timing.durations)}
            options["loop"] = timing.plays
        output = _NamedFile(self.extension)
        frames[0].save(output, **options)
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
        Encoder("PNG", "image/png", ".png", None, {"compress_level": 3}),
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


@dataclass(frozen=True, slots=True)
class Encoders:
    """What opaque and what transparent thumbnails are written with; the decoder tells which they are."""

    opaque: Encoder
    transparent: Encoder


def choose_encoders(format: str, wanted: OutputFormat) -> Encoders:
    """Choose the format asked for, or the original's, or the one that people can display."""
    chosen = ENCODERS.get(format if wanted is OutputFormat.SOURCE else wanted.name)
    return Encoders(chosen or ENCODERS["JPEG"], chosen or ENCODERS["PNG"])
