"""Walk the Huffman codes of a JPEG scan without decoding pixels, to find the end of its last row.

An end-of-image marker does not show whether all rows exist: some cameras write none, and the data that they append may
contain one. libjpeg fills in missing rows without an error. The terms are those of ITU-T T.81, annexes B, C and F.
"""

# ruff: noqa: PLR2004 - marker bytes, field sizes and bit counts are those of T.81.

import re
import sys
from array import array
from dataclasses import dataclass

# Table B.1.
HUFFMAN_TABLES = 0xC4
START_OF_SCAN = 0xDA
QUANTISER_TABLES = 0xDB
RESTART_INTERVAL = 0xDD
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_BLOCK = 64
# The largest DC coefficient before quantisation: eight times the level of a black block (A.3.3).
_LARGEST_DC = 1024
# A walk takes half a second for each megabyte; a panorama has up to 12 MB.
_LONGEST_WALK = 12_000_000
# If this many bytes before and after the end are all equal, a part of the file was never written: zeros are valid
# codes.
_UNWRITTEN = 8


@dataclass(frozen=True, slots=True)
class Component:
    """A component of the frame header (B.2.2)."""

    identifier: int
    across: int
    down: int
    quantiser: int


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame header: the size in pixels, and the components."""

    width: int
    height: int
    components: tuple[Component, ...]

    @classmethod
    def parse(cls, segment: bytes) -> "Frame":
        """Read a frame header.

        Raises
        ------
        ValueError
            Decoders refuse the header.
        """
        fields = [segment[at : at + 3] for at in range(10, len(segment), 3)]
        if len(segment) < 13 or len(fields) != segment[9] or len(fields[-1]) != 3:
            raise ValueError("the frame header has the wrong length")
        components = tuple(Component(field[0], field[1] >> 4, field[1] & 15, field[2]) for field in fields)
        if not all(component.across and component.down for component in components):
            raise ValueError("a component has no samples")
        return cls(int.from_bytes(segment[7:9], "big"), int.from_bytes(segment[5:7], "big"), components)

    def find_components(self, scan: bytes) -> list[Component]:
        """Return the components of a scan (B.2.3)."""
        known = {component.identifier: component for component in self.components}
        return [known[identifier] for identifier in scan[5 : 5 + 2 * scan[4] : 2]]

    def count_units(self, scan: list[Component]) -> tuple[int, list[int]]:
        """Return the number of MCUs in a scan, and for each block of an MCU its component's index in ``scan`` (A.2)."""
        across = max(component.across for component in self.components)
        down = max(component.down for component in self.components)
        if len(scan) == 1:
            columns = -(-self.width * scan[0].across // (8 * across))
            rows = -(-self.height * scan[0].down // (8 * down))
            return columns * rows, [0]
        columns, rows = -(-self.width // (8 * across)), -(-self.height // (8 * down))
        blocks = [place for place, component in enumerate(scan) for _ in range(component.across * component.down)]
        return columns * rows, blocks


def find_end(frame: Frame, segments: list[bytes], data: bytes) -> int:
    """Return the end of the codes of the last block.

    Parameters
    ----------
    frame : Frame
        Of a sequential picture.
    segments : list of bytes
        All marker segments up to the header of the last scan.
    data : bytes
        The data of the last scan, up to the next marker that is not a restart.

    Raises
    ------
    ValueError
        The codes end before the last block, or are not those of a picture.
    """
    if len(data) > _LONGEST_WALK:
        raise ValueError("the scan is too long to be checked")
    try:
        if _scanned(segments) != {component.identifier for component in frame.components}:
            raise ValueError("a component has no scan")
        scan = segments[-1]
        tables, steps = _read_tables(segments), _read_steps(segments)
        selectors = zip(frame.find_components(scan), scan[6::2], strict=False)
        codes = [
            (place, _LARGEST_DC // steps[component.quantiser] + 1, tables[table >> 4][0], *tables[16 | table & 15])
            for place, (component, table) in enumerate(selectors)
        ]
        units, blocks = frame.count_units(frame.find_components(scan))
        start, end, before = _last_interval(segments, data, units)
        plain = data[start:end].replace(b"\xff\0", b"\xff")
        bits = _walk(plain, units - before, [codes[place] for place in blocks])
        used = -(-bits // 8)
        # F.1.2.3: the last byte is padded with ones.
        is_filled_up = bits % 8 == 0 or ~plain[used - 1] & (0xFF >> bits % 8) == 0
    except (IndexError, KeyError) as error:
        raise ValueError("the data ends before the last block") from error
    around = plain[used - _UNWRITTEN : used + _UNWRITTEN]
    if used > len(plain) or not is_filled_up or (len(around) == 2 * _UNWRITTEN and len(set(around)) == 1):
        raise ValueError("the data ends before the last block")
    return start + len(plain[:used].replace(b"\xff", b"\xff\0"))


def is_refined(frame: Frame, segments: list[bytes]) -> bool:
    """Return whether the scans of a progressive picture contain all bits of all coefficients (G.1.1.1)."""
    known = set()
    for scan in segments:
        # A scan down to bit 0 completes its coefficients, from the first to the last.
        if scan[1] == START_OF_SCAN and len(scan) == 8 + 2 * scan[4] and not scan[-1] & 15:
            known |= {(each, index) for each in scan[5:-3:2] for index in range(scan[-3], scan[-2] + 1)}
    return known >= {(component.identifier, index) for component in frame.components for index in range(_BLOCK)}


def has_all_restarts(frame: Frame, segments: list[bytes], data: bytes) -> bool:
    """Return whether the last scan has all its restarts; libjpeg replaces missing parts without an error."""
    try:
        units, _ = frame.count_units(frame.find_components(segments[-1]))
        _last_interval(segments, data, units)
    except (IndexError, KeyError):
        return False
    return True


def _last_interval(segments: list[bytes], data: bytes, units: int) -> tuple[int, int, int]:
    """Return start and end of the data after the last restart, and the number of MCUs before it (B.2.4.4).

    Raises
    ------
    IndexError
        Restarts are missing.
    """
    intervals = [int.from_bytes(each[4:6], "big") for each in segments if each[1] == RESTART_INTERVAL]
    restarts = (units - 1) // intervals[-1] if intervals and intervals[-1] else 0
    starts = [0, *(found.end() for found in _RESTART.finditer(data)), len(data) + 2]
    return starts[restarts], starts[restarts + 1] - 2, restarts * intervals[-1] if restarts else 0


def _scanned(segments: list[bytes]) -> set[int]:
    """Return the identifiers of all components that have a scan (B.2.3)."""
    return {identifier for scan in segments if scan[1] == START_OF_SCAN for identifier in scan[5 : 5 + 2 * scan[4] : 2]}


class _Codes(dict[int, tuple[int, int, bool]]):
    """What the next 16 bits of data begin with: number of code bits, their coefficients, and whether the block ends.

    For DC tables: number of code bits, and how many of them are the difference (F.1.2.1).

    Entries are made on first use, because a small picture needs few of them.
    """

    def __init__(self, lengths: bytes, symbols: bytes, *, several: bool, is_dc: bool) -> None:
        super().__init__()
        self._several = several
        self._is_dc = is_dc
        # C.2: the codes of one length are consecutive numbers.
        self._ranges = []
        code = place = 0
        for length, count in enumerate(lengths, 1):
            if count:
                self._ranges.append((length, code, symbols[place : place + count]))
            code, place = (code + count) << 1, place + count

    def __missing__(self, window: int) -> tuple[int, int, bool]:
        bits = coefficients = 0
        ends = False
        while not ends:
            length, symbol = self._find(window << bits & 0xFFFF)
            if bits and (not length or bits + length + (symbol & 15) > 16):
                break
            if not length:
                raise ValueError("the bits are not a code")
            bits += length + (symbol & 15)
            if self._is_dc:
                coefficients = symbol
                break
            # F.1.2.2: runs of zeros, 0xF0 for sixteen of them, and 0 for the end of the block.
            ends = symbol & 15 == 0 and symbol != 0xF0
            coefficients += not ends and (symbol >> 4) + 1
            if not self._several:
                break
        self[window] = entry = bits, coefficients, ends
        return entry

    def _find(self, window: int) -> tuple[int, int]:
        for length, code, symbols in self._ranges:
            place = (window >> 16 - length) - code
            if 0 <= place < len(symbols):
                return length, symbols[place]
        return 0, 0


def _read_tables(segments: list[bytes]) -> dict[int, tuple[_Codes, _Codes]]:
    """Read the Huffman tables (B.2.4.2), by number (plus 16 for AC): for one code at a time, and for several."""
    tables = {}
    for segment in segments:
        at = 4
        while segment[1] == HUFFMAN_TABLES and at + 17 <= len(segment):
            lengths = segment[at + 1 : at + 17]
            symbols = segment[at + 17 : at + 17 + sum(lengths)]
            is_dc = segment[at] < 16
            one, several = (_Codes(lengths, symbols, several=choice, is_dc=is_dc) for choice in (False, True))
            tables[segment[at]] = one, several
            at += 17 + sum(lengths)
    return tables


def _read_steps(segments: list[bytes]) -> dict[int, int]:
    """Read the DC step of every quantiser table (B.2.4.1)."""
    steps = {}
    for segment in segments:
        at = 4
        while segment[1] == QUANTISER_TABLES and at < len(segment):
            size = 2 if segment[at] >> 4 else 1
            steps[segment[at] & 15] = max(1, int.from_bytes(segment[at + 1 : at + 1 + size], "big"))
            at += 1 + 64 * size
    return steps


def _walk(data: bytes, units: int, blocks: list[tuple[int, int, _Codes, _Codes, _Codes]]) -> int:
    """Return the number of bits in the codes of all MCUs.

    Parameters
    ----------
    data : bytes
    units : int
        MCUs.
    blocks : list
        For each block of an MCU: its component, its largest DC coefficient, and its codes: DC, one AC coefficient at a
        time, and several AC coefficients.

    Raises
    ------
    IndexError, ValueError
        The data ends before that, or is not a picture's.
    """
    words = array("H", data + bytes(8 + len(data) % 2))
    if sys.byteorder == "little":
        words.byteswap()
    predictions = [0] * 4
    at = 0
    for _ in range(units):
        for component, largest, dc, ac, several in blocks:
            word, bit = at >> 4, at & 15
            bits, size, _ = dc[(words[word] << bit | words[word + 1] >> 16 - bit) & 0xFFFF]
            at += bits
            if size:
                word, bit = at >> 4, at & 15
                difference = (words[word - 1] << 16 | words[word]) >> 16 - bit & (1 << size) - 1
                predictions[component] += difference if difference >> size - 1 else difference + 1 - (1 << size)
                if abs(predictions[component]) > largest:
                    raise ValueError("a DC coefficient is beyond black or white")
            left = _BLOCK - 1
            while left:
                word, bit = at >> 4, at & 15
                window = (words[word] << bit | words[word + 1] >> 16 - bit) & 0xFFFF
                bits, coefficients, ends = several[window]
                if coefficients + ends > left:
                    bits, coefficients, ends = ac[window]
                    if coefficients > left:
                        raise ValueError("a block has more than 64 coefficients")
                at += bits
                if ends:
                    break
                left -= coefficients
    return at
