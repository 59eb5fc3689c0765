"""All limits and their checks, for a function with 1,769 to 2,048 MB of memory.

Bytes are checked before the download, thumbnails and output pixels before anything is read, pixels and
frames before anything is decoded.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self

from functions.resize.errors import (
    OriginalEmptyError,
    OriginalTooLargeError,
    OutputTooLargeError,
    TooManyPartsError,
    TooManyPixelsError,
)
from functions.resize.recipe import Fit, Recipe

_GIF_FRAME = 8_000


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one resize.

    Attributes
    ----------
    max_bytes : int
        Size of the original, bytes.
    max_pixels : int
        Pixels of one frame of the original, as stored.
    max_frame_pixels : int
        Pixels of one frame of an animation, even if only the first one is shown.
    max_frames : int
        Frames of an animation that is kept animated.
    max_total_pixels : int
        Pixels of all frames together of an animation that is kept animated.
    max_outputs : int
        Thumbnails of one request.
    max_thumbnails : int
        Thumbnails that the manifest of an original lists.
    max_side : int
        Width or height of the original, pixels.
    max_jpeg_segments : int
        Marker segments of a JPEG file, scans and metadata alike.
    max_metadata_parts : int
        Chunks of a PNG file except IDAT, or comment blocks before one frame of a GIF file.
    max_tiff_values : int
        Numbers in the tags of a TIFF file, including the offsets and byte counts of strips and tiles.
    max_item_parts : int
        Items of an AVIF or HEIF file, plus their references and properties.
    max_output_pixels : int
        Pixels of all thumbnails together, times the frames of an animation that is kept animated.
    max_avif_pixels, max_gif_pixels : int
        The same limit for AVIF thumbnails, and for animated GIF thumbnails.
    max_webp_pixels : int
        Pixels of all transparent WebP thumbnails together; of an animation, those of one frame.
    max_output_side : int
        Width or height of one thumbnail, pixels.
    """

    # A 100-megapixel camera's JPEG has 50 to 60 MB, a 12-megapixel 16-bit PNG about 70 MB. The original
    # stays in memory while it is decoded.
    max_bytes: int = 100_000_000
    # The still pictures that need most memory (AVIF and WebP with alpha: planes or a canvas, a copy and the picture)
    # take 11 to 16 bytes a pixel, 0.8 to 1.2 GB at this limit. Phones of 2026 save 50 megapixels by default.
    max_pixels: int = 75_000_000
    # libwebp keeps two canvases and the decoded frame, and the previous frame is still in memory: 20 bytes a pixel.
    max_frame_pixels: int = 50_000_000
    # A minute at 10 frames a second.
    max_frames: int = 600
    # Frames are decoded one at a time, so this limits time, not memory: about 10 s of decoding.
    max_total_pixels: int = 500_000_000
    # As many as the request schema allows: 16 sizes in 5 formats.
    max_outputs: int = 80
    # This many make a manifest of about 70 KB. All are made again when the original is replaced.
    max_thumbnails: int = 200
    # JPEG and WebP cannot have more than 65,535. Decoders buffer dozens of rows: 0.8 GB at 250,000 pixels a row with
    # alpha, and 2.1 GB at 1,000,000.
    max_side: int = 100_000
    # Each scan is a pass over the whole picture, about 30 ms for 75 megapixels, and may have only a few bytes; encoders
    # write ten scans. Metadata is split into segments of 64 KB; a panorama with an embedded second picture has 200.
    max_jpeg_segments: int = 500
    # A file may repeat its colour profile, which takes 2 ms each time; old Fireworks files have hundreds of private
    # chunks.
    max_metadata_parts: int = 2_000
    # Pillow makes an object of up to 300 bytes for each. 100,000 rows in four planes, with a strip for each row, have
    # 800,000 numbers.
    max_tiff_values: int = 1_000_000
    # A burst of a hundred shots, each with 48 tiles that have three properties, has 30,000.
    max_item_parts: int = 40_000
    # 6000 x 6000.
    max_output_pixels: int = 36_000_000
    # 4000 x 4000. Noise with alpha takes 23 s and 42 bytes a pixel to encode at quality 100: 0.7 GB at this limit.
    max_avif_pixels: int = 16_000_000
    # 58 frames of 854 x 480. 16.6 million pixels of noise in 600 frames take 9 s to choose the colours and map them.
    max_gif_pixels: int = 24_000_000
    # 5000 x 4000. Noise with alpha takes 34 bytes a pixel to encode, without alpha 18.
    max_webp_pixels: int = 20_000_000
    # The limit of the request schema; the maximum of WebP is 16,383.
    max_output_side: int = 10_000

    @property
    def max_runs(self) -> int:
        """Runs of pixels in a BMP file: 0.6 s a million; a 12-megapixel photograph has about 4 million."""
        return self.max_pixels // 8

    @property
    def max_shrunk_pixels(self) -> int:
        """Pixels of all frames of an animation, counted once for each thumbnail: 6 s with transparency."""
        return 8 * self.max_total_pixels

    @property
    def max_tiled_pixels(self) -> int:
        """Pixels of all tiles of a TIFF, including the padding of edge tiles."""
        return 2 * self.max_pixels

    @property
    def max_tile_row_bytes(self) -> int:
        """Unpacked bytes of a row of tiles of a TIFF, which are in memory at the same time."""
        return 6 * self.max_pixels

    @property
    def max_scanned_pixels(self) -> int:
        """Pixels in the scans of a JPEG, counted for each component; libjpeg's default scans have 14 times as many."""
        return 40 * self.max_pixels

    @property
    def max_derived_pixels(self) -> int:
        """Pixels of an AVIF or HEIF picture, its tiles and its alpha, counted again for each rotation, mirror and crop.

        Normal files have up to 6 times the pixels of the picture.
        """
        return 8 * self.max_pixels

    def max_coded_pixels(self, canvas: int) -> int:
        """Return how many pixels may be decoded for an AVIF or HEIF picture.

        Edge tiles have padding, a small picture may be one large tile, and alpha is a second picture.

        Parameters
        ----------
        canvas : int
            Pixels of the picture.
        """
        return canvas * 9 // 4 + 4_194_304

    def max_coded_bytes(self, size: int) -> int:
        """Return how many coded bytes may be decoded for an AVIF or HEIF picture; identical tiles may share bytes.

        Parameters
        ----------
        size : int
            Bytes of the file.
        """
        return 2 * size + 1_000_000

    @property
    def max_deep_pixels(self) -> int:
        """Pixels of an AVIF or HEIF picture with more than 8 bits in 4:4:4, which takes up to 21 bytes a pixel."""
        return self.max_pixels * 2 // 3

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read ``LIMIT_MAX_BYTES`` and so on; unset variables keep the defaults.

        Parameters
        ----------
        environ : Mapping of str to str
            The variables; the process environment by default.

        Raises
        ------
        ValueError
            A value is not a whole number of at least 1.
        """
        numbers: dict[str, int] = {}
        for field in fields(cls):
            name = f"LIMIT_{field.name.upper()}"
            if name not in environ:
                continue
            text = environ[name].strip()
            if not (text.isascii() and text.isdigit()) or int(text) < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, not '{environ[name]}'.")
            numbers[field.name] = int(text)
        return cls(**numbers)


def check_size(size: int, limits: Limits) -> None:
    """Refuse an empty or too large original before it is downloaded.

    Parameters
    ----------
    size : int
        Bytes.
    limits : Limits

    Raises
    ------
    OriginalEmptyError
    OriginalTooLargeError
        More than ``limits.max_bytes``.
    """
    if size == 0:
        raise OriginalEmptyError
    if size > limits.max_bytes:
        raise OriginalTooLargeError(size, limits.max_bytes)


def check_recipe(recipe: Recipe, limits: Limits) -> None:
    """Refuse too many or too large thumbnails before the original is read.

    Raises
    ------
    OutputTooLargeError
        With the unit ``thumbnails``, ``pixels on a side``, ``output pixels`` or ``AVIF output pixels``.
        A box for ``inside`` is checked when the size of the original is known, because it never enlarges.
    """
    if len(recipe.renditions) > limits.max_outputs:
        raise OutputTooLargeError(len(recipe.renditions), limits.max_outputs, "thumbnails")
    side = max((max(each.box.width, each.box.height) for each in recipe.renditions), default=0)
    if side > limits.max_output_side:
        raise OutputTooLargeError(side, limits.max_output_side, "pixels on a side")
    outputs: dict[str, list[int]] = {}
    for each in recipe.renditions:
        if each.fit is not Fit.INSIDE:
            outputs.setdefault(each.format.name, []).append(each.box.width * each.box.height)
    check_output(outputs, limits)


def check_parts(parts: int, limit: int, what: str) -> None:
    """Refuse a file that consists of too many parts.

    Raises
    ------
    TooManyPartsError
    """
    if parts > limit:
        raise TooManyPartsError(parts, limit, what)


def check_pixels(width: int, height: int, limits: Limits) -> None:
    """Refuse a picture, or the canvas of an animation, that is too large.

    Raises
    ------
    TooManyPixelsError
    """
    if width * height > limits.max_pixels:
        raise TooManyPixelsError(width * height, limits.max_pixels)
    if max(width, height) > limits.max_side:
        raise TooManyPixelsError(max(width, height), limits.max_side, " on a side")


def check_frame(width: int, height: int, frames: int, limits: Limits) -> None:
    """Refuse a picture, or a frame of an animation, that would need too much memory to decode.

    Parameters
    ----------
    width, height : int
        Pixels of each frame.
    frames : int
        Frames of the original, even if only the first one is decoded.
    limits : Limits

    Raises
    ------
    TooManyPixelsError
    """
    check_pixels(width, height, limits)
    if frames > 1 and width * height > limits.max_frame_pixels:
        raise TooManyPixelsError(width * height, limits.max_frame_pixels, " in each frame")


def why_still(frames: int, pixels: int, outputs: Mapping[str, list[int]], limits: Limits) -> str | None:
    """Return a warning if an animation would take too much time, so that only its first frame is kept.

    Parameters
    ----------
    frames : int
        1 for a still picture.
    pixels : int
        Pixels that are decoded for each frame.
    outputs : Mapping of str to list of int
        Pixels of each animated thumbnail, for each frame, by the format they are written in (Pillow's name).
    limits : Limits
    """
    amounts = [
        (frames, limits.max_frames, "frames"),
        (frames * pixels, limits.max_total_pixels, "pixels in all frames"),
        (
            frames * pixels * sum(map(len, outputs.values())),
            limits.max_shrunk_pixels,
            "pixels in all frames to be shrunk",
        ),
        (frames * sum(map(sum, outputs.values())), limits.max_output_pixels, "output pixels"),
        # Even a tiny frame takes as long as this many pixels.
        (
            frames * sum(max(output, _GIF_FRAME) for output in outputs.get("GIF", ())),
            limits.max_gif_pixels,
            "GIF output pixels",
        ),
    ]
    for amount, limit, what in amounts:
        if frames > 1 and amount > limit:
            return (
                f"Only the first frame was kept: the animation has {amount:,} {what} or more, the limit is {limit:,}."
            )
    return None


def check_output(outputs: Mapping[str, list[int]], limits: Limits) -> None:
    """Refuse thumbnails that are too large together.

    Parameters
    ----------
    outputs : Mapping of str to list of int
        Pixels of each thumbnail (of one frame if it is animated), by the format it is written in (Pillow's name).
    limits : Limits

    Raises
    ------
    OutputTooLargeError
    """
    if (total := sum(map(sum, outputs.values()))) > limits.max_output_pixels:
        raise OutputTooLargeError(total, limits.max_output_pixels, "output pixels")
    if (avif := sum(outputs.get("AVIF", ()))) > limits.max_avif_pixels:
        raise OutputTooLargeError(avif, limits.max_avif_pixels, "AVIF output pixels")


def check_transparent_output(outputs: Mapping[str, list[int]], limits: Limits) -> None:
    """Refuse transparent thumbnails that would need too much memory to encode.

    Parameters
    ----------
    outputs, limits
        As in ``check_output``.

    Raises
    ------
    OutputTooLargeError
    """
    if (webp := sum(outputs.get("WEBP", ()))) > limits.max_webp_pixels:
        raise OutputTooLargeError(webp, limits.max_webp_pixels, "transparent WebP output pixels")
