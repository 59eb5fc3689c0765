"""Generated ICC profiles for tests and the bench, so that no licensed files are necessary.

The layout is that of ICC.1:2001-04 (version 2.4); each function names its colorimetry.
"""

import struct
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

D50 = np.array([0.9642, 1.0, 0.8249])
D65_XY = (0.3127, 0.3290)
D50_XY = (0.3457, 0.3585)

# Chromaticities of red, green, blue: SMPTE EG 432-1 (P3), Adobe RGB (1998), ROMM RGB (ISO 22028-2).
DISPLAY_P3_XY = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
ADOBE_RGB_XY = ((0.640, 0.330), (0.210, 0.710), (0.150, 0.060))
PROPHOTO_XY = ((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001))
SRGB_XY = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060))

_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def display_p3() -> bytes:
    """Return the profile of recent phones and screens: P3 primaries with the sRGB curve."""
    return _rgb("Display P3", DISPLAY_P3_XY, D65_XY, _sampled(srgb_to_linear))


def display_p3_with_a_pipeline(steps: int) -> bytes:
    """Return the same with a pipeline of repeated steps that makes everything black (ICC.1:2022, 10.17 and 10.17.4)."""
    black = struct.pack(">4s4xHH12f", b"matf", 3, 3, *[0.0] * 12)
    places = struct.pack(">II", 16 + 8 * steps, len(black)) * steps
    pipeline = struct.pack(">4s4xHHI", b"mpet", 3, 3, steps) + places + black
    return _rgb("Display P3", DISPLAY_P3_XY, D65_XY, _sampled(srgb_to_linear), {b"D2B0": pipeline})


def adobe_rgb() -> bytes:
    """Return the profile of many cameras: gamma 563/256."""
    return _rgb("Adobe RGB", ADOBE_RGB_XY, D65_XY, _gamma(563 / 256))


def prophoto() -> bytes:
    """Return the profile of raw converters: gamma 1.8, white D50."""
    return _rgb("ProPhoto", PROPHOTO_XY, D50_XY, _gamma(1.8))


def srgb() -> bytes:
    """Return the profile of sRGB, with which a conversion changes nothing."""
    return _rgb("sRGB", SRGB_XY, D65_XY, _sampled(srgb_to_linear))


def grey(gamma: float = 1.8) -> bytes:
    """Return a grey profile with this gamma, which makes it darker or lighter than sRGB."""
    tags = {b"wtpt": _xyz(D50), b"kTRC": _gamma(gamma)}
    return _profile(b"mntr", b"GRAY", b"XYZ ", "Grey", tags)


def cmyk() -> bytes:
    """Return the profile of a fictitious press with dull inks: a lookup table from 9 steps of each ink to Lab."""
    steps = np.linspace(0, 1, 9)
    cyan, magenta, yellow, black = np.meshgrid(steps, steps, steps, steps, indexing="ij")
    linear = (
        np.stack(
            [
                (1 - 0.95 * cyan) * (1 - 0.10 * magenta) * (1 - 0.02 * yellow),
                (1 - 0.30 * cyan) * (1 - 0.90 * magenta) * (1 - 0.05 * yellow),
                (1 - 0.15 * cyan) * (1 - 0.35 * magenta) * (1 - 0.90 * yellow),
            ],
            axis=-1,
        )
        * (1 - 0.97 * black)[..., None]
    )
    lab = _xyz_to_lab(linear @ _primaries(SRGB_XY, D65_XY).T)
    table = np.clip(np.round(lab * [2.55, 1, 1] + [0, 128, 128]), 0, 255).astype(np.uint8)
    identity = bytes(range(256))
    matrix = struct.pack(">9i", *(65536 * value for value in (1, 0, 0, 0, 1, 0, 0, 0, 1)))
    lut = b"mft1\0\0\0\0" + bytes([4, 3, 9, 0]) + matrix + 4 * identity + table.tobytes() + 3 * identity
    return _profile(b"prtr", b"CMYK", b"Lab ", "Inks", {b"wtpt": _xyz(D50), b"A2B0": lut})


def srgb_to_linear(value: NDArray[np.float64]) -> NDArray[np.float64]:
    """Undo the sRGB curve (IEC 61966-2-1), 0 to 1."""
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(value: NDArray[np.float64]) -> NDArray[np.float64]:
    """Apply the sRGB curve (IEC 61966-2-1), 0 to 1; values outside are clipped."""
    value = np.clip(value, 0, 1)
    return np.where(value <= 0.0031308, 12.92 * value, 1.055 * value ** (1 / 2.4) - 0.055)


def rgb_to_srgb(
    pixels: NDArray[np.float64],
    primaries: tuple[tuple[float, float], ...],
    white: tuple[float, float],
    decode: Callable[[NDArray[np.float64]], NDArray[np.float64]],
) -> NDArray[np.float64]:
    """Convert (..., 3) pixels, 0 to 1, to sRGB by the definition of both spaces, as a reference for tests."""
    to_srgb = np.linalg.inv(_primaries(SRGB_XY, D65_XY)) @ _primaries(primaries, white)
    return linear_to_srgb(decode(pixels) @ to_srgb.T)


def _primaries(xy: tuple[tuple[float, float], ...], white: tuple[float, float]) -> NDArray[np.float64]:
    """Return the matrix from linear RGB to XYZ, adapted to D50 by the Bradford transform."""
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in xy]).T
    white_xyz = np.array([white[0] / white[1], 1, (1 - white[0] - white[1]) / white[1]])
    to_xyz = columns * np.linalg.solve(columns, white_xyz)
    adaptation = np.linalg.inv(_BRADFORD) @ np.diag(_BRADFORD @ D50 / (_BRADFORD @ white_xyz)) @ _BRADFORD
    adapted: NDArray[np.float64] = adaptation @ to_xyz
    return adapted


def _xyz_to_lab(xyz: NDArray[np.float64]) -> NDArray[np.float64]:
    ratio = xyz / D50
    root = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = np.moveaxis(root, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def _rgb(
    name: str,
    primaries: tuple[tuple[float, float], ...],
    white: tuple[float, float],
    curve: bytes,
    more: dict[bytes, bytes] | None = None,
) -> bytes:
    columns = _primaries(primaries, white).T
    tags = {b"wtpt": _xyz(D50)}
    tags |= {key: _xyz(column) for key, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    return _profile(b"mntr", b"RGB ", b"XYZ ", name, tags | (more or {}))


def _gamma(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))


def _sampled(curve: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> bytes:
    samples = np.round(65535 * curve(np.linspace(0, 1, 1024))).astype(">u2")
    return b"curv\0\0\0\0" + struct.pack(">I", len(samples)) + samples.tobytes()


def _xyz(values: NDArray[np.float64]) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(float(value) * 65536) for value in values))


def _profile(kind: bytes, space: bytes, connection: bytes, name: str, tags: dict[bytes, bytes]) -> bytes:
    text = name.encode() + b"\0"
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(78),
        b"cprt": b"text\0\0\0\0none\0",
        **tags,
    }
    offset = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for key, value in tags.items():
        padded = value + bytes(-len(value) % 4)
        table += struct.pack(">4sII", key, offset + len(body), len(value))
        body += padded
    header = struct.pack(">I4sI4s4s4s", offset + len(body), b"none", 0x02400000, kind, space, connection)
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp"
    header += bytes(68 - len(header)) + struct.pack(">3i", *(round(value * 65536) for value in D50))
    return header + bytes(128 - len(header)) + table + body
