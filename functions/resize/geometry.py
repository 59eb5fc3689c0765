"""Crops: the region of a picture that becomes a thumbnail, and the size of the thumbnail."""

from dataclasses import dataclass

from functions.resize.recipe import Box, Fit

# Tolerance in pixels when comparing crops.
ROUNDING = 1e-6
# A picture this much larger than the result can be resampled a second time without a visible loss.
_SECOND_RESAMPLING_HEADROOM = 1.5


@dataclass(frozen=True, slots=True)
class Crop:
    """A region of the original and the size in pixels that it is resampled to, both before turning upright."""

    left: float
    top: float
    right: float
    bottom: float
    width: int
    height: int

    @property
    def scale_x(self) -> float:
        """Result pixels per picture pixel, across."""
        return self.width / (self.right - self.left)

    @property
    def scale_y(self) -> float:
        """Result pixels per picture pixel, down."""
        return self.height / (self.bottom - self.top)

    @property
    def scale(self) -> float:
        """The larger of the two scales."""
        return max(self.scale_x, self.scale_y)

    def is_enough_for(self, other: "Crop") -> bool:
        """Return whether the other crop can be resampled from this one."""
        return (
            self.left <= other.left + ROUNDING
            and self.top <= other.top + ROUNDING
            and self.right >= other.right - ROUNDING
            and self.bottom >= other.bottom - ROUNDING
            and self.scale_x >= _SECOND_RESAMPLING_HEADROOM * other.scale_x - ROUNDING
            and self.scale_y >= _SECOND_RESAMPLING_HEADROOM * other.scale_y - ROUNDING
        )


def choose_crop(width: int, height: int, box: Box, fit: Fit, *, sideways: bool) -> Crop:
    """Choose the region and the size for one box.

    Parameters
    ----------
    width, height : int
        Pixels of the picture as stored.
    box : Box
    fit : Fit
    sideways : bool
        Whether turning the picture upright swaps width and height. The box is then swapped instead.
    """
    wide, high = (box.height, box.width) if sideways else (box.width, box.height)
    if fit is Fit.FILL:
        return Crop(0, 0, width, height, wide, high)
    if fit is Fit.COVER:
        # Integer cross products are exact: a box with the picture's aspect ratio crops nothing.
        region_width = min(width, height * wide / high)
        region_height = min(height, width * high / wide)
        left, top = (width - region_width) / 2, (height - region_height) / 2
        return Crop(left, top, left + region_width, top + region_height, wide, high)
    if fit is Fit.INSIDE and wide >= width and high >= height:
        return Crop(0, 0, width, height, width, height)
    if width * high >= height * wide:
        return Crop(0, 0, width, height, wide, _round_to_side(height * wide, width))
    return Crop(0, 0, width, height, _round_to_side(width * high, height), high)


def _round_to_side(dividend: int, divisor: int) -> int:
    """Divide, round half up, and return at least one pixel."""
    return max(1, (2 * dividend + divisor) // (2 * divisor))
