"""Count the pixels that are decoded from coded bytes, independent of the sizes in the container.

AV1 Bitstream and Decoding Process Specification, section 5, and ITU-T H.265, section 7.3.
"""

# ruff: noqa: PLR2004 - field sizes are those of the two specifications; each function cites where from.

from collections.abc import Iterator
from dataclasses import dataclass

# Headers are within the first bytes of a unit.
_HEADER_BYTES = 256


@dataclass(frozen=True, slots=True)
class Coded:
    """Size of one item, coded and decoded.

    Attributes
    ----------
    size : int
        Bytes.
    units : int
        OBUs or NAL units.
    pixels : int
        Pixels of all pictures; layers of one picture count once.
    """

    size: int = 0
    units: int = 0
    pixels: int = 0


class _Bits:
    """Read a header bit by bit; bits beyond its end are zero."""

    def __init__(self, data: bytes) -> None:
        self._length = 8 * len(data)
        self._value = int.from_bytes(data, "big")
        self._at = 0

    def read(self, bits: int) -> int:
        """Return the next bits as an unsigned number."""
        self._at += bits
        shift = self._length - self._at
        value = self._value >> shift if shift >= 0 else self._value << -shift
        return value & ((1 << bits) - 1)

    def read_exp_golomb(self) -> int:
        """Return an Exp-Golomb number (H.265, section 9.2; AV1's ``uvlc``)."""
        zeros = 0
        while zeros < 32 and not self.read(1):
            zeros += 1
        return (1 << zeros) - 1 + self.read(zeros)


# ---- AV1

_KEY, _SWITCH = 0, 3  # types of frames
_MOST_LAYERS = 4  # the property a1lx of the AV1 image file format has sizes for four layers
_EACH_FRAME = 2  # each frame has a flag of its own for the tool


@dataclass(frozen=True, slots=True)
class _Sequence:
    """Fields of a sequence header that determine the size of frames (AV1, section 5.5.1)."""

    pixels: int = 0
    side_bits: tuple[int, int] = (0, 0)
    is_reduced: bool = True
    has_model: bool = False
    point_bits: int = 0
    screen_tools: int = 0
    integer_vectors: int = 0
    frame_number_bits: int = 0
    order_bits: int = 0


def measure_av1(data: bytes, most_units: int) -> Coded:
    """Add up the frames of an AV1 item.

    Parameters
    ----------
    data : bytes
    most_units : int
        Counting stops above this.
    """
    sequence = _Sequence()
    units = 0
    frames: list[int] = []
    for type_, payload in _obus(data):
        units += 1
        if units > most_units:
            break
        if type_ == 1:
            sequence = _read_sequence(_Bits(payload))
        elif type_ in {3, 6}:
            frames.append(_read_frame_size(_Bits(payload), sequence))
    # The layers of a progressive picture are up to four frames of it.
    pixels = sum(frames) if len(frames) > _MOST_LAYERS else max(frames, default=0)
    return Coded(len(data), units, pixels)


def _obus(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the type and the first bytes of every OBU (AV1, sections 5.3 and 4.10.5)."""
    at = 0
    while at < len(data):
        header = data[at]
        at += 2 if header & 4 else 1
        size = len(data) - at
        if header & 2:
            size = shift = 0
            while at < len(data) and shift < 56:
                byte = data[at]
                size |= (byte & 0x7F) << shift
                shift += 7
                at += 1
                if not byte & 0x80:
                    break
        yield header >> 3 & 15, data[at : at + min(size, _HEADER_BYTES)]
        at += size


def _read_sequence(bits: _Bits) -> _Sequence:
    """Read the fields of a sequence header that frame headers depend on (AV1, sections 5.5.1 to 5.5.5)."""
    bits.read(4)  # profile, still picture
    is_reduced = bool(bits.read(1))
    has_model = point_bits = delay_bits = 0
    if is_reduced:
        bits.read(5)  # level
    else:
        if bits.read(1):
            bits.read(64)
            has_equal_interval = bits.read(1)
            if has_equal_interval:
                bits.read_exp_golomb()
            has_model = bits.read(1)
            if has_model:
                delay_bits = bits.read(5) + 1
                bits.read(37)
                point_bits = bits.read(5) + 1
                point_bits = 0 if has_equal_interval else point_bits
        has_delay = bits.read(1)
        for _ in range(bits.read(5) + 1):
            bits.read(12)
            if bits.read(5) > 7:
                bits.read(1)
            if has_model and bits.read(1):
                bits.read(2 * delay_bits + 1)
            if has_delay and bits.read(1):
                bits.read(4)
    side_bits = (bits.read(4) + 1, bits.read(4) + 1)
    pixels = (bits.read(side_bits[0]) + 1) * (bits.read(side_bits[1]) + 1)
    if is_reduced:
        return _Sequence(pixels)
    frame_number_bits = bits.read(4) + 2 + bits.read(3) + 1 if bits.read(1) else 0
    bits.read(7)  # tools of prediction
    has_order = bits.read(1)
    bits.read(2 * has_order)
    screen_tools = _EACH_FRAME if bits.read(1) else bits.read(1)
    integer_vectors = _EACH_FRAME if not screen_tools or bits.read(1) else bits.read(1)
    order_bits = bits.read(3) + 1 if has_order else 0
    return _Sequence(
        pixels,
        side_bits,
        is_reduced,
        bool(has_model),
        point_bits,
        screen_tools,
        integer_vectors,
        frame_number_bits,
        order_bits,
    )


def _read_frame_size(bits: _Bits, sequence: _Sequence) -> int:
    """Return the pixels of a frame, or an upper bound; 0 for a frame that is shown again (AV1, section 5.9.2)."""
    if sequence.is_reduced:
        return sequence.pixels
    if bits.read(1):
        return 0
    type_, is_shown = bits.read(2), bits.read(1)
    bits.read(sequence.point_bits if is_shown else 1)
    is_first = type_ == _KEY and is_shown
    if type_ != _SWITCH and not is_first:
        bits.read(1)
    bits.read(1)
    has_screen_tools = bits.read(1) if sequence.screen_tools == _EACH_FRAME else sequence.screen_tools
    if has_screen_tools and sequence.integer_vectors == _EACH_FRAME:
        bits.read(1)
    bits.read(sequence.frame_number_bits)
    if type_ != _SWITCH and not bits.read(1):
        return sequence.pixels
    width_bits, height_bits = sequence.side_bits
    if not is_first or sequence.has_model:
        return 1 << (width_bits + height_bits)
    bits.read(sequence.order_bits)
    return (bits.read(width_bits) + 1) * (bits.read(height_bits) + 1)


# ---- HEVC


def measure_hevc(configuration: bytes, data: bytes, most_units: int) -> Coded:
    """Add up the pictures of an HEVC item.

    Parameters
    ----------
    configuration : bytes
        The payload of its ``hvcC`` (ISO/IEC 14496-15, section 8.3.3.1).
    data : bytes
    most_units : int
        Counting stops above this.
    """
    units = pictures = size = 0
    for unit in _nal_units(configuration, data):
        units += 1
        if units > most_units:
            break
        type_ = unit[0] >> 1 & 63
        if type_ == 33:
            size = max(size, _read_picture_size(unit))
        elif type_ < 32 and unit[2:3] >= b"\x80":  # the first slice of a picture
            pictures += 1
    return Coded(len(data), units, size * pictures)


def _nal_units(configuration: bytes, data: bytes) -> Iterator[bytes]:
    """Yield the first bytes of every NAL unit, in the configuration and then in the item."""
    at = 23
    for _ in range(configuration[22]):
        count = int.from_bytes(configuration[at + 1 : at + 3], "big")
        at += 3
        for _ in range(count):
            size = int.from_bytes(configuration[at : at + 2], "big")
            if unit := configuration[at + 2 : at + 2 + min(size, _HEADER_BYTES)]:
                yield unit
            at += 2 + size
    length = (configuration[21] & 3) + 1
    at = 0
    while at + length < len(data):
        size = int.from_bytes(data[at : at + length], "big")
        if unit := data[at + length : at + length + min(size, _HEADER_BYTES)]:
            yield unit
        at += length + size


def _read_picture_size(unit: bytes) -> int:
    """Return the pixels of a sequence parameter set (H.265, sections 7.3.2.2 and 7.3.3)."""
    # Remove emulation prevention bytes (7.3.1.1).
    bits = _Bits(unit[2:].replace(b"\0\0\3", b"\0\0"))
    bits.read(4)
    layers = bits.read(3)
    bits.read(1 + 88 + 8)
    if layers:
        flags = [(bits.read(1), bits.read(1)) for _ in range(layers)]
        bits.read(2 * (8 - layers))
        for has_profile, has_level in flags:
            bits.read(88 * has_profile + 8 * has_level)
    bits.read_exp_golomb()
    if bits.read_exp_golomb() == 3:
        bits.read(1)
    return bits.read_exp_golomb() * bits.read_exp_golomb()
