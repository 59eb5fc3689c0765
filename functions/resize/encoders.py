"""The formats that thumbnails are written in, and the settings that were measured best for each."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

# Median cut, then k-means until it has nearly settled: as good as sharp's palettes to 0.003 of SSIM. The
# last 32 colours would cost 3 % more bytes for 0.0006 (docs/decisions/0013).
_GIF_COLOURS = 224
_GIF_SETTLED = 0.3
# Alpha below this is transparent in a GIF, which knows no more than on and off.
_GIF_OPAQUE = 128


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

    def encode(self, frames: Sequence[Image.Image], timing: Timing | None, quality: int | None) -> bytes:
        """Encode a still picture, or an animation where ``timing`` is given.

        Parameters
        ----------
        frames : sequence of Image
            All of one size and one mode of ``L``, ``LA``, ``RGB`` and ``RGBA``, in sRGB.
        timing : Timing or None
            For ``GIF`` and ``WEBP`` only; one duration for each frame.
        quality : int or None
            1 to 100.

        Returns
        -------
        bytes
            A file without metadata.
        """
        options = dict(self.settings)
        if self.quality is not None:
            options["quality"] = self.quality if quality is None else quality
        if self.format == "GIF":
            frames = [_to_palette(frame) for frame in frames]
        if timing is not None:
            options |= {"save_all": True, "append_images": frames[1:], "duration": list(timing.durations)}
            options |= self._play(timing.plays, transparent="transparency" in frames[0].info)
        output = io.BytesIO()
        frames[0].save(output, self.format, **options)
        return output.getvalue()

    def _play(self, plays: int, *, transparent: bool) -> dict[str, int]:
        if self.format == "WEBP":
            return {"loop": plays}
        # A frame that is see-through where the last one was not needs the canvas cleared in between.
        disposal = {"disposal": 2 if transparent else 1}
        # GIF counts repetitions, and one that plays once says nothing.
        return disposal if plays == 1 else disposal | {"loop": max(0, plays - 1)}


def _to_palette(image: Image.Image) -> Image.Image:
    """Choose at most 256 colours for a picture, one of them transparent where it has alpha."""
    if image.mode == "L":
        return image
    # The refinement stops when fewer pixels than this change their colour.
    settled = int(image.width * image.height * _GIF_SETTLED)
    opaque = image.convert("RGB").quantize(_GIF_COLOURS, Image.Quantize.MEDIANCUT, kmeans=settled)
    if image.mode == "RGB":
        return opaque
    hidden = image.getchannel("A").point(lambda alpha: 255 if alpha < _GIF_OPAQUE else 0)
    opaque.paste(255, mask=hidden)
    opaque.info["transparency"] = 255
    return opaque


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
            {"speed": 6, "subsampling": "4:4:4", "advanced": {"tune": "ssim"}},
        ),
    )
}
