"""The reference for thumbnails: resampling in floating point, and SSIM."""

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Single precision is sufficient: its errors are 1e-5 of a level.
Pixels = NDArray[np.float32]


def lanczos(pixels: ArrayLike, size: tuple[int, int], region: tuple[float, float, float, float]) -> Pixels:
    """Resample with the 3-lobed Lanczos kernel, widened by the scale when shrinking.

    Parameters
    ----------
    pixels : array_like of shape (height, width, channels)
        Encoded (not linear) values, which Pillow and libvips resize by default.
    size : (width, height)
        Pixels of the result.
    region : (left, top, right, bottom)
        Region of the source, pixels.

    Returns
    -------
    ndarray of float of shape (height, width, channels)
        Neither rounded nor clipped to 0..255.

    Notes
    -----
    L(x) = sinc(x) sinc(x/3) for |x| < 3 (Duchon, 1979); taps beyond the edge are omitted, and the others are
    normalised.
    """
    source = np.asarray(pixels, dtype=np.float32)
    height, width, _ = source.shape
    left, top, right, bottom = region
    across = _weights(width, size[0], left, right)
    down = _weights(height, size[1], top, bottom)
    return _apply(down, across, source)


def _apply(down: Pixels, across: Pixels, pixels: Pixels) -> Pixels:
    """Multiply the columns by one matrix and the rows by another, as two large products."""
    height, width, channels = pixels.shape
    rows = (down @ pixels.reshape(height, -1)).reshape(-1, width, channels)
    turned = np.ascontiguousarray(rows.transpose(1, 0, 2)).reshape(width, -1)
    return (across @ turned).reshape(len(across), len(down), channels).transpose(1, 0, 2)


@lru_cache(maxsize=64)
def _weights(inputs: int, outputs: int, start: float, end: float) -> Pixels:
    """Return the matrix (outputs, inputs) that resamples one axis."""
    scale = (end - start) / outputs
    centres = start + (np.arange(outputs) + 0.5) * scale
    distance = (np.arange(inputs)[None, :] + 0.5 - centres[:, None]) / max(scale, 1)
    weights = np.where(np.abs(distance) < 3, np.sinc(distance) * np.sinc(distance / 3), 0)
    normalised: Pixels = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return normalised


def ssim(first: ArrayLike, second: ArrayLike) -> float:
    """Return the mean structural similarity of two pictures of 0..255, averaged over their channels.

    Parameters
    ----------
    first, second : array_like of shape (height, width, channels)

    Notes
    -----
    Wang, Bovik, Sheikh and Simoncelli (2004): Gaussian window of 11 with deviation 1.5 (smaller if the picture is
    smaller), K1 = 0.01, K2 = 0.03, only at positions where the whole window is within the picture.
    """
    x, y = np.asarray(first, dtype=np.float32), np.asarray(second, dtype=np.float32)
    mean_x, mean_y = _blur(x), _blur(y)
    variance_x, variance_y = _blur(x * x) - mean_x**2, _blur(y * y) - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    structure = (2 * covariance + c2) / (variance_x + variance_y + c2)
    return float(np.mean(luminance * structure))


def _blur(pixels: Pixels) -> Pixels:
    return _apply(_window(pixels.shape[0]), _window(pixels.shape[1]), pixels)


@lru_cache(maxsize=64)
def _window(length: int) -> Pixels:
    """Return the matrix that averages one axis with the Gaussian window."""
    taps = min(11, length)
    window = np.exp(-0.5 * ((np.arange(taps) - (taps - 1) / 2) / 1.5) ** 2)
    matrix = np.zeros((length - taps + 1, length), np.float32)
    for row in range(len(matrix)):
        matrix[row, row : row + taps] = window / window.sum()
    return matrix
