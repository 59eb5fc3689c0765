"""What a thumbnail is measured against: a full decode, resampled in floating point, and SSIM."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Pixels = NDArray[np.float64]


def lanczos(pixels: ArrayLike, size: tuple[int, int], region: tuple[float, float, float, float]) -> Pixels:
    """Resample with the 3-lobed Lanczos kernel, widened by the scale when shrinking.

    Parameters
    ----------
    pixels : array_like of shape (height, width, channels)
        In the encoding they are stored in, as Pillow's and libvips' resizing work by default.
    size : (width, height)
        Pixels of the result.
    region : (left, top, right, bottom)
        Of the source, pixels.

    Returns
    -------
    ndarray of float of shape (height, width, channels)
        Not rounded, and cut to 0..255 only by the caller.

    Notes
    -----
    L(x) = sinc(x) sinc(x/3) for |x| < 3 (Duchon, 1979); taps beyond the edge are left out and the rest
    is normalised.
    """
    source = np.asarray(pixels, dtype=np.float64)
    left, top, right, bottom = region
    across = _weights(source.shape[1], size[0], left, right)
    down = _weights(source.shape[0], size[1], top, bottom)
    rows = np.tensordot(down, source, axes=(1, 0))
    result: Pixels = np.moveaxis(np.tensordot(across, rows, axes=(1, 1)), 0, 1)
    return result


def _weights(inputs: int, outputs: int, start: float, end: float) -> Pixels:
    """Return the matrix (outputs, inputs) that resamples one axis."""
    scale = (end - start) / outputs
    centres = start + (np.arange(outputs) + 0.5) * scale
    distance = (np.arange(inputs)[None, :] + 0.5 - centres[:, None]) / max(scale, 1)
    weights = np.where(np.abs(distance) < 3, np.sinc(distance) * np.sinc(distance / 3), 0)
    normalised: Pixels = weights / weights.sum(axis=1, keepdims=True)
    return normalised


def ssim(first: ArrayLike, second: ArrayLike) -> float:
    """Return the mean structural similarity of two pictures of 0..255, averaged over their channels.

    Parameters
    ----------
    first, second : array_like of shape (height, width, channels)

    Notes
    -----
    Wang, Bovik, Sheikh and Simoncelli (2004): Gaussian window of 11 with deviation 1.5 (a smaller one
    where the picture is smaller), K1 = 0.01, K2 = 0.03, only where the window lies whole within.
    """
    x, y = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    mean_x, mean_y = _blur(x), _blur(y)
    variance_x, variance_y = _blur(x * x) - mean_x**2, _blur(y * y) - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    structure = (2 * covariance + c2) / (variance_x + variance_y + c2)
    return float(np.mean(luminance * structure))


def _blur(pixels: Pixels) -> Pixels:
    for axis in (0, 1):
        taps = min(11, pixels.shape[axis])
        window = np.exp(-0.5 * ((np.arange(taps) - (taps - 1) / 2) / 1.5) ** 2)
        kept = pixels.shape[axis] - taps + 1
        slices = (np.take(pixels, range(tap, tap + kept), axis=axis) for tap in range(taps))
        weighted = zip(slices, window / window.sum(), strict=True)
        pixels = sum((part * weight for part, weight in weighted), start=np.zeros(1))
    return pixels
