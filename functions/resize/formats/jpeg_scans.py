"""Drop the scans of a progressive JPEG that are not visible in a decode at a small scale.

A progressive file stores the frequencies of the whole picture in passes ("scans"): first the block averages (DC), then
coarse AC coefficients, then refinements. A decode at 1/8 needs only the averages, and one at 1/4 little more. But
libjpeg decodes all scans of the file, and Huffman decoding takes nine tenths of the time. So this module writes a
smaller progressive file with only the scans that are needed.

The terms are those of ITU-T T.81 (1992), annexes B and G.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from functions.resize.formats.jpeg import END_OF_IMAGE, SEGMENT, walk_segments
from functions.resize.formats.jpeg_codes import (
    HUFFMAN_TABLES,
    QUANTISER_TABLES,
    RESTART_INTERVAL,
    START_OF_SCAN,
    Frame,
)

# ruff: noqa: PLR2004 - marker bytes and field sizes are those of T.81, annex B.

_PROGRESSIVE_FRAME = 0xC2
# JFIF and Adobe segments define the colour coding; decoding needs no other application data.
_KEPT_APPLICATION_DATA = {0xE0, 0xEE}
_APPLICATION_DATA_AND_COMMENTS = {*range(0xE0, 0xF0), 0xFE}

# Without its refinement a DC coefficient is wrong by up to one quantiser step, which is an eighth of a step per pixel.
# An error of two of 256 levels is invisible; larger ones may be visible.
_COARSE_DC_STEP = 16
# Chroma is usually stored at half size, so its AC coefficients are visible in a decode at 1/8, unless the thumbnail is
# at most half as large as that decode.
_CHROMA_SHOWS_BELOW = 2.0
# Cameras append data to the picture. The end-of-image marker is searched in this many bytes at the end.
_TRAILING_BYTES = 65_536
# The smaller file must have less than this share of the original's bytes, because it must be parsed again.
_WORTH_IT = 0.9
# In a 2 x 2 decode (0, 1), (1, 0) and (1, 1) have most weight; their zigzag indices are at most 4.
_LAST_LOW_COEFFICIENT = 4
_LAST_COEFFICIENT = 63
# Coefficients that are known to multiples of this look like exact ones: SSIM 0.99 down to a headroom of 1.2.
_COARSE_AC_STEP = 20
# More bits than a coefficient has: the whole coefficient is unknown.
_ALL = 99


@dataclass(frozen=True, slots=True)
class _Component:
    """One colour component of the frame: its identifier, number of blocks, and quantiser table."""

    identifier: int
    blocks: int
    table: int


@dataclass(frozen=True, slots=True)
class _Scan:
    """One scan: where its tables, its header and its end are, components, first and last coefficient, bit positions."""

    tables: int
    start: int
    end: int
    components: frozenset[int]
    first: int
    last: int
    high: int
    low: int


def drop_scans(original: bytes, denominator: int, headroom: float) -> bytes | None:
    """Drop the scans that are not visible in a decode at 1/``denominator``.

    Parameters
    ----------
    original : bytes
        A JPEG file.
    denominator : int
        8 or 4; for others the result is ``None``.
    headroom : float
        Pixels of the scaled decode for each pixel of the largest thumbnail, along one axis.

    Returns
    -------
    bytes or None
        A smaller progressive file; ``None`` if the file is not progressive, is incomplete, or is unusual in any way, so
        that the original should be decoded.
    """
    end_of_image = original.rfind(END_OF_IMAGE)
    if denominator not in {4, 8} or end_of_image < len(original) - _TRAILING_BYTES:
        return None
    header = list(walk_segments(original))
    segments = {marker: (start, end) for marker, start, end in header}
    if not {_PROGRESSIVE_FRAME, START_OF_SCAN} <= segments.keys() or RESTART_INTERVAL in segments:
        return None
    components = _read_frame(original[slice(*segments[_PROGRESSIVE_FRAME])])
    if not components:
        return None
    steps = _quantiser_steps(original, header)
    needs = _choose_needs(components, steps, denominator, headroom)
    parts = [b"\xff\xd8"]
    for marker, start, end in header[:-1]:
        if marker not in _APPLICATION_DATA_AND_COMMENTS or marker in _KEPT_APPLICATION_DATA:
            parts.append(original[start:end])
    # (component, coefficient) -> low bits that are still unknown.
    unknown: dict[tuple[int, int], int] = {}
    for scan in _read_scans(original, segments[START_OF_SCAN][0], end_of_image):
        shown = any(needs[each].shows(scan, unknown) for each in scan.components if each in needs)
        # Keep the tables, because a later scan may use them.
        parts.append(original[scan.tables : scan.end if shown else scan.start])
        if shown:
            coefficients = range(scan.first, scan.last + 1)
            unknown |= {(each, index): scan.low for each in scan.components for index in coefficients}
        if all(need.is_met(unknown) for need in needs.values()):
            break
    if any((component.identifier, 0) not in unknown for component in components):
        return None
    parts += [_empty_scan(component) for component in components if _is_interpolated(component, unknown)]
    coarse = b"".join([*parts, END_OF_IMAGE])
    return coarse if len(coarse) < len(original) * _WORTH_IT else None


@dataclass(frozen=True, slots=True)
class _Need:
    """Which coefficients of one component are visible in a decode at a small scale.

    ``average`` and ``low`` are how many low bits may stay unknown: of the average (DC), and of the coefficients 1 to
    ``last``. ``last`` is 0 if no AC coefficient is visible.
    """

    component: int
    average: int
    low: int
    last: int

    def shows(self, scan: _Scan, unknown: dict[tuple[int, int], int]) -> bool:
        """Return whether the scan is needed."""
        if scan.first == 0:
            return scan.high == 0 or unknown.get((self.component, 0), _ALL) > self.average
        still_coarse = unknown.get((self.component, 1), _ALL) > self.low
        if scan.high == 0:
            # A later refinement can only be decoded if all first passes over its coefficients are kept.
            return self.last > 0 and (still_coarse or scan.first <= self.last)
        return self.last > 0 and (still_coarse or self.last == _LAST_COEFFICIENT)

    def is_met(self, unknown: dict[tuple[int, int], int]) -> bool:
        """Return whether no later scan is needed, so that the search can stop."""
        return unknown.get((self.component, 0), _ALL) <= self.average and all(
            unknown.get((self.component, index), _ALL) <= self.low for index in range(1, self.last + 1)
        )


def _choose_needs(
    components: list[_Component], steps: dict[int, list[int]], denominator: int, headroom: float
) -> dict[int, _Need]:
    """Choose for each component, by its quantiser steps, which coefficients are visible and how precise they are."""
    needs = {}
    for place, component in enumerate(components):
        fine = steps.get(component.table, [255] * 5)
        average = 0 if denominator == 4 or fine[0] >= _COARSE_DC_STEP else _ALL - 1
        low = max(0, (_COARSE_AC_STEP // max(1, *fine[1:])).bit_length() - 1)
        last = 0
        if denominator == 4:
            # Chroma of half the size is decoded at 1/2, where all coefficients are visible.
            low, last = (low, _LAST_LOW_COEFFICIENT) if place == 0 else (0, _LAST_COEFFICIENT)
        elif place > 0 and headroom < _CHROMA_SHOWS_BELOW:
            last = _LAST_LOW_COEFFICIENT
        needs[component.identifier] = _Need(component.identifier, average, low, last)
    return needs


def _is_interpolated(component: _Component, unknown: dict[tuple[int, int], int]) -> bool:
    """Return whether libjpeg would interpolate the missing AC coefficients (block smoothing)."""
    return any(unknown.get((component.identifier, index), _ALL) for index in range(1, 10))


def _read_frame(segment: bytes) -> list[_Component]:
    """Read the frame header (B.2.2); empty unless it has one or three components of 8 bits."""
    try:
        frame = Frame.parse(segment)
    except ValueError:
        return []
    if len(frame.components) not in {1, 3} or segment[4] != 8 or not frame.width or not frame.height:
        return []
    # A scan of one component has one MCU for each of its blocks (A.2.2).
    return [_Component(each.identifier, frame.count_units([each])[0], each.quantiser) for each in frame.components]


def _quantiser_steps(original: bytes, header: list[tuple[int, int, int]]) -> dict[int, list[int]]:
    """Read the steps of coefficients 0 to 4 of every quantiser table (B.2.4.1)."""
    steps = {}
    for marker, start, end in header:
        at = start + 4
        while marker == QUANTISER_TABLES and at < end:
            size = 2 if original[at] >> 4 else 1
            places = range(at + 1, at + 1 + 5 * size, size)
            steps[original[at] & 15] = [int.from_bytes(original[each : each + size], "big") for each in places]
            at += 1 + 64 * size
    return steps


def _read_scans(original: bytes, at: int, end_of_image: int) -> Iterator[_Scan]:
    """Yield the scans in order; stop if there is anything but tables between them."""
    while at < end_of_image:
        tables = at
        segments = list(walk_segments(original, at))
        if not segments or {marker for marker, _, _ in segments} - {HUFFMAN_TABLES, START_OF_SCAN}:
            return
        marker, start, data = segments[-1]
        scan = original[start:data]
        if marker != START_OF_SCAN or len(scan) != 8 + 2 * scan[4] or not scan[4]:
            return
        found = SEGMENT.search(original, data, end_of_image)
        at = found.start() if found else end_of_image
        first, last, bits = scan[-3:]
        identifiers = frozenset(scan[5 : 5 + 2 * scan[4] : 2])
        yield _Scan(tables, start, at, identifiers, first, last, bits >> 4, bits & 15)


def _empty_scan(component: _Component) -> bytes:
    """Return a scan in which no block of a component has further AC coefficients.

    Without it libjpeg would interpolate the missing coefficients from the neighbouring blocks, which is slower and
    blurs. If a coarse scan was kept, this scan repeats coefficients that libjpeg has already decoded; libjpeg counts a
    warning and does not change them.
    """
    # As table 0: fifteen codes of 4 bits for runs of 2**0 to 2**14 blocks that end here (G.1.2.2, table G.1).
    lengths = bytes([0, 0, 0, 15] + [0] * 12)
    table = b"\xff\xc4" + (2 + 1 + 16 + 15).to_bytes(2, "big") + b"\x10" + lengths + bytes(range(0, 0xF0, 0x10))
    header = b"\xff\xda\0\x08\x01" + bytes([component.identifier, 0, 1, 63, 0])
    bits = ""
    left = component.blocks
    while left:
        run = min(left, 0x7FFF)
        size = run.bit_length() - 1
        bits += f"{size:04b}" + f"{run:b}"[1:]
        left -= run
    bits += "1" * (-len(bits) % 8)
    data = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    return table + header + data
