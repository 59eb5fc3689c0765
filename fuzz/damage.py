"""Damage a file. Pure functions: the same random numbers produce the same damage."""

import random
import struct
import zlib

# Boundary values for lengths, sizes and offsets.
AWKWARD = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]
# In every format, sizes, counts and offsets are in the first bytes.
_HEADER_BYTES = 400
_MOST_INSERTED = 64
# PNG has a checksum in each chunk: with wrong checksums the decoder would stop at the first damaged chunk.
_CHECKSUMS_FIXED = 0.7
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def damage(source: bytes, other: bytes, chance: random.Random) -> bytes:
    """Damage a file one to four times.

    Parameters
    ----------
    source : bytes
        The file.
    other : bytes
        Another file, from which pieces are taken.
    chance : random.Random
    """
    data = bytearray(source)
    for _ in range(chance.randint(1, 4)):
        if len(data) < 2:  # noqa: PLR2004 - nothing left to damage
            break
        chance.choice(_WAYS)(data, other, chance)
    if chance.random() < _CHECKSUMS_FIXED:
        fix_checksums(data)
    return bytes(data)


def fix_checksums(data: bytearray) -> None:
    """Set the checksums of a PNG's chunks to match their content."""
    if not data.startswith(_PNG_SIGNATURE):
        return
    at = len(_PNG_SIGNATURE)
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        end = at + 8 + length
        if end + 4 > len(data):
            return
        struct.pack_into(">I", data, end, zlib.crc32(data[at + 4 : end]))
        at = end + 4


def _position(data: bytearray, chance: random.Random) -> int:
    limit = min(len(data), _HEADER_BYTES) if chance.random() < 0.5 else len(data)  # noqa: PLR2004 - even odds
    return chance.randrange(limit)


def _flip_bits(data: bytearray, _: bytes, chance: random.Random) -> None:
    for _flip in range(chance.choice([1, 1, 2, 8, 64])):
        data[_position(data, chance)] ^= 1 << chance.randrange(8)


def _set_number(data: bytearray, _: bytes, chance: random.Random) -> None:
    width = chance.choice([1, 2, 4])
    number = chance.choice(AWKWARD) & ((1 << 8 * width) - 1)
    at = _position(data, chance)
    data[at : at + width] = number.to_bytes(width, "big" if chance.random() < 0.5 else "little")  # noqa: PLR2004 - even odds


def _cut_end(data: bytearray, _: bytes, chance: random.Random) -> None:
    del data[chance.randrange(1, len(data)) :]


def _cut_out(data: bytearray, _: bytes, chance: random.Random) -> None:
    at = _position(data, chance)
    del data[at : at + chance.randint(1, _MOST_INSERTED)]


def _repeat(data: bytearray, _: bytes, chance: random.Random) -> None:
    at = _position(data, chance)
    piece = data[at : at + chance.randint(1, _MOST_INSERTED)]
    data[at:at] = piece * chance.choice([1, 2, 50])


def _insert_noise(data: bytearray, _: bytes, chance: random.Random) -> None:
    at = _position(data, chance)
    data[at:at] = chance.randbytes(chance.randint(1, _MOST_INSERTED))


def _overwrite_with_zeros(data: bytearray, _: bytes, chance: random.Random) -> None:
    at = _position(data, chance)
    length = min(chance.randint(1, 4 * _MOST_INSERTED), len(data) - at)
    data[at : at + length] = bytes(length)


def _splice(data: bytearray, other: bytes, chance: random.Random) -> None:
    at = _position(data, chance)
    start = chance.randrange(len(other))
    data[at:] = other[start:]


_WAYS = [
    *([_flip_bits] * 4),
    *([_set_number] * 4),
    *(_repeat, _insert_noise, _overwrite_with_zeros, _overwrite_with_zeros, _splice, _cut_out, _cut_end),
]
