"""What the bytes of a file say undecoded, in one shape for all formats."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Structure:
    """What the decoder does not say, or only after it has taken long.

    Attributes
    ----------
    frames : int or None
        Frames of an animation; ``None`` where the decoder counts them.
    plays : int
        How often they play, 0 for ever; where ``frames`` is known.
    frame_pixels : int or None
        What is decoded for each frame; ``None`` where that is the canvas.
    exif : bytes or None
        An Exif block that the decoder would look for too late.
    profile : bytes or None
        An ICC profile that the decoder does not see.
    data : bytes or None
        The same picture in a file that the decoders read; ``None`` where that is the original.
    orientation : int or None
        1 to 8, as in Exif; ``None`` where Exif or the decoder has it.
    shown : (int, int, int, int) or None
        Left, top, right and bottom of the part that is shown, in pixels as stored; ``None`` where that is all.
    """

    frames: int | None = None
    plays: int = 1
    frame_pixels: int | None = None
    exif: bytes | None = None
    profile: bytes | None = None
    data: bytes | None = None
    orientation: int | None = None
    shown: tuple[int, int, int, int] | None = None
