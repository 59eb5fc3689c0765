"""Facts about a file that its format module reads without decoding."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Structure:
    """Facts that the decoder does not report, or reports too late.

    Attributes
    ----------
    frames : int or None
        Frames of an animation; ``None`` if the decoder counts them.
    plays : int
        How often the animation plays, 0 for ever; set if ``frames`` is.
    frame_pixels : int or None
        Pixels decoded for each frame; ``None`` if these are the pixels of the canvas.
    exif : bytes or None
        An Exif block that the decoder would find too late.
    profile : bytes or None
        An ICC profile that the decoder does not see.
    data : bytes or None
        The file that the decoders read instead of the original; ``None`` for the original.
    orientation : int or None
        1 to 8, as in Exif; ``None`` if it is read from Exif or applied by the decoder.
    shown : (int, int, int, int) or None
        Left, top, right and bottom of the visible part, in pixels as stored; ``None`` if all of it is visible.
    """

    frames: int | None = None
    plays: int = 1
    frame_pixels: int | None = None
    exif: bytes | None = None
    profile: bytes | None = None
    data: bytes | None = None
    orientation: int | None = None
    shown: tuple[int, int, int, int] | None = None
