"""BMP: its headers, kinds that Pillow does not read, and whether a file was cut short (Microsoft's BITMAPFILEHEADER).

Files that Pillow misreads or refuses are rewritten as plain BMP.
"""

# ruff: noqa: PLR2004 - offsets, sizes and codes are those of BITMAPFILEHEADER, BITMAPV5HEADER and "Bitmap Compression".

import struct
from dataclasses import dataclass

from PIL import Image, ImageChops

from functions.resize.errors import CorruptImageError, TruncatedImageError, UnsupportedImageError
from functions.resize.formats.structure import Structure
from functions.resize.limits import Limits, check_parts, check_pixels

# Sizes of the header after the file header. Each version has its own size.
_HEADER_SIZES = {12, 16, 40, 52, 56, 64, 108, 124}
# OS/2 has its own versions. The header of the second one, 64 bytes, may be cut after 16.
_OS2_SIZES = {12, 16, 64}
_FILE_HEADER = 14
_DEPTHS = {1, 4, 8, 16, 24, 32}
_RGB, _RLE8, _RLE4, _BITFIELDS, _ALPHA_BITFIELDS = 0, 1, 2, 3, 6
_COMPRESSIONS = {4: "JPEG data", 5: "PNG data", 11: "CMYK samples", 12: "CMYK samples", 13: "CMYK samples"}
_OS2_COMPRESSIONS = {3: "Huffman coding", 4: "24-bit runs"}
# The masks of red, green, blue and alpha that Pillow reads. It treats masks that are all zero as the plain ones.
_PLAIN_MASKS = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
_PILLOW_MASKS = {
    16: {(0xF800, 0x7E0, 0x1F, 0), (0x7C00, 0x3E0, 0x1F, 0)},
    24: {(*_PLAIN_MASKS[:3], 0)},
    32: {_PLAIN_MASKS, (*_PLAIN_MASKS[:3], 0), (0, 0, 0, 0)},
}
# Offset of the mask of alpha in files with a header of 56 bytes or more.
_ALPHA_MASK = 66
# Pixels unpacked at a time, to limit the memory.
_STRIP = 1_000_000
_BYTES = [bytes([value]) for value in range(256)]
_NIBBLE_PAIRS = [bytes([value >> 4, value & 15]) for value in range(256)]


def is_bmp(original: bytes) -> bool:
    """Return whether the file begins with BMP headers; the two letters of the signature are not enough."""
    return original[:2] == b"BM" and int.from_bytes(original[14:18], "little") in _HEADER_SIZES


def inspect(original: bytes, limits: Limits) -> Structure:
    """Refuse unsupported kinds, and unpack run-length coding and colours with unusual masks.

    Raises
    ------
    UnsupportedImageError
    TooManyPixelsError, TooManyPartsError
    CorruptImageError, TruncatedImageError
    """
    try:
        header = _read_header(original)
    except struct.error:
        return Structure()  # Pillow also fails without the missing bytes
    _check_kind(header)
    if header.width < 1 or header.height < 1:
        return Structure()
    check_pixels(header.width, header.height, limits)
    return Structure(data=_rewrite(original, header, limits))


def is_cut_short(original: bytes) -> bool:
    """Return whether the file is shorter than its header states."""
    return int.from_bytes(original[2:6], "little") > len(original)


@dataclass(frozen=True, slots=True)
class _Header:
    """Fields of the headers.

    Attributes
    ----------
    size : int
        Bytes of the header after the file header; they identify its version.
    width, height : int
        Pixels.
    is_top_down : bool
        Whether the first row in the file is the top row.
    bits : int
        Bits of a pixel.
    compression : int
    colours : int
        Colours in the palette; 0 for as many as the bits allow.
    offset : int
        Offset of the pixels.
    masks : tuple of int or None
        Which bits of a pixel are red, green, blue and alpha.
    """

    size: int
    width: int
    height: int
    is_top_down: bool
    bits: int
    compression: int
    colours: int
    offset: int
    masks: tuple[int, int, int, int] | None

    @property
    def row_bytes(self) -> int:
        """Bytes of a row, which is padded to a multiple of 4."""
        return (self.width * self.bits + 31) // 32 * 4


def _read_header(original: bytes) -> _Header:
    offset, size = struct.unpack_from("<II", original, 10)
    compression = colours = 0
    masks = None
    if size == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", original, 18)
    elif size == 16:
        width, height, _, bits = struct.unpack_from("<IIHH", original, 18)
    else:
        width, height, _, bits, compression, _, _, _, colours = struct.unpack_from("<iiHHIIiiI", original, 18)
    if compression in {_BITFIELDS, _ALPHA_BITFIELDS} and bits in _PILLOW_MASKS and size not in _OS2_SIZES:
        # The masks follow a header of 40 bytes. Longer headers contain them.
        has_alpha = compression == _ALPHA_BITFIELDS or size >= 56
        *colour_masks, alpha = (*struct.unpack_from("<4I" if has_alpha else "<3I", original, 54), 0)[:4]
        masks = (*colour_masks, alpha)
    return _Header(size, width, abs(height), height < 0, bits, compression, colours, offset, masks)


def _check_kind(header: _Header) -> None:
    if header.size == 16:
        raise UnsupportedImageError("BMP picture with a short OS/2 header")
    named = _OS2_COMPRESSIONS if header.size == 64 else _COMPRESSIONS
    if kind := named.get(header.compression):
        raise UnsupportedImageError(f"BMP picture with {kind}")
    if header.bits not in _DEPTHS:
        raise UnsupportedImageError(f"{header.bits}-bit BMP picture")


def _rewrite(original: bytes, header: _Header, limits: Limits) -> bytes | None:
    """Return a file that Pillow reads correctly; ``None`` if it reads the original correctly."""
    if header.compression in {_RLE8, _RLE4}:
        return _unpack_runs(original, header, limits)
    if header.masks:
        if header.compression == _ALPHA_BITFIELDS or header.masks not in _PILLOW_MASKS[header.bits]:
            return _unpack_fields(original, header)
        if header.masks == _PLAIN_MASKS and not any(original[header.offset + 3 :: 4]):
            # Browsers show a picture as opaque if all of its alpha is zero.
            return original[:_ALPHA_MASK] + bytes(4) + original[_ALPHA_MASK + 4 :]
    elif header.bits <= 8 and _is_palette_misread(original, header):
        return _write(header, header.bits, _read_palette(original, header), original[header.offset :])
    return None


def _read_palette(original: bytes, header: _Header) -> bytes:
    """Return a palette of 256 colours of 4 bytes, padded with black."""
    at, each = _FILE_HEADER + header.size, 3 if header.size == 12 else 4
    end = at + each * min(header.colours or 1 << header.bits, 1 << header.bits)
    return b"".join(original[at : at + 3].ljust(4, b"\0") for at in range(at, end, each)).ljust(4 * 256, b"\0")


def _is_palette_misread(original: bytes, header: _Header) -> bool:
    """Return whether Pillow takes the indices for grey levels, or refuses a palette with more colours than indices."""
    colours = header.colours or 1 << header.bits
    if colours > 1 << header.bits:
        return True
    palette = _read_palette(original, header)
    ramp = [0, 255] if colours == 2 else range(colours)
    is_ramp = all(palette[4 * index : 4 * index + 3] == _BYTES[level] * 3 for index, level in enumerate(ramp))
    return is_ramp and header.bits > 1 and colours < 256


def _unpack_runs(original: bytes, header: _Header, limits: Limits) -> bytes:
    """Unpack run-length coded palette indices; pixels that no run covers get the first colour.

    Raises
    ------
    TooManyPartsError, CorruptImageError, TruncatedImageError
    """
    if header.bits != (4 if header.compression == _RLE4 else 8):
        raise CorruptImageError("BMP")
    padded = (header.width + 3) // 4 * 4
    pixels = bytearray(padded * header.height)
    nibbles = header.compression == _RLE4
    table, values_each = (_NIBBLE_PAIRS, 2) if nibbles else (_BYTES, 1)
    column = row = runs = 0
    at = header.offset
    try:
        while row < header.height:
            count, value = original[at], original[at + 1]
            at += 2
            runs += 1
            if runs > limits.max_runs:
                check_parts(runs, limits.max_runs, "runs of pixels")
            if count:
                values = table[value] * ((count + 1) // values_each)
            elif value == 0:  # end of the row
                column, row = 0, row + 1
                continue
            elif value == 1:  # end of the picture
                break
            elif value == 2:  # a step to the right and up
                column, row = column + original[at], row + original[at + 1]
                at += 2
                continue
            else:  # uncompressed values, padded to 16 bits
                count, length = value, (value + values_each - 1) // values_each
                packed = original[at : at + length]
                at += length + length % 2
                values = b"".join(table[byte] for byte in packed) if nibbles else packed
                _ = original[at - 1]
            shown = max(0, min(count, header.width - column))
            start = row * padded + column
            pixels[start : start + shown] = values[:shown]
            column += count
    except IndexError:
        if is_cut_short(original) or not int.from_bytes(original[2:6], "little"):
            raise TruncatedImageError("BMP") from None
    return _write(header, 8, _read_palette(original, header), pixels)


def _unpack_fields(original: bytes, header: _Header) -> bytes:
    """Unpack pixels with unusual colour masks to one byte for each colour.

    Raises
    ------
    CorruptImageError, TruncatedImageError
        A mask whose bits are not contiguous, or missing pixels.
    """
    masks = header.masks or _PLAIN_MASKS
    end = header.offset + header.row_bytes * header.height
    if end > len(original):
        raise (TruncatedImageError if is_cut_short(original) else CorruptImageError)("BMP")
    if any(mask // (mask & -mask) & (mask // (mask & -mask) + 1) for mask in masks if mask):
        raise CorruptImageError("BMP")
    mode = {16: "LA", 24: "RGB", 32: "RGBA"}[header.bits]
    pixels = bytearray()
    rows = max(1, _STRIP // header.width)
    for top in range(0, header.height, rows):
        size = (header.width, min(rows, header.height - top))
        start = header.offset + top * header.row_bytes
        strip = original[start : start + size[1] * header.row_bytes]
        planes = Image.frombuffer(mode, size, strip, "raw", mode, header.row_bytes, 1).split()
        red, green, blue, alpha = (_unpack_field(planes, mask) for mask in masks)
        pixels += Image.merge("RGBA", (blue, green, red, alpha)).tobytes()
    plain = _PLAIN_MASKS if masks[3] else (*_PLAIN_MASKS[:3], 0)
    return _write(header, 32, struct.pack("<4I", *plain), pixels)


def _unpack_field(planes: tuple[Image.Image, ...], mask: int) -> Image.Image:
    """Return one colour in 8 bits; each plane has one byte of every pixel, the lowest byte first."""
    field = Image.new("L", planes[0].size)
    bits, lowest = mask.bit_count(), (mask & -mask).bit_length() - 1
    dropped = lowest + max(0, bits - 8)
    for index, plane in enumerate(planes):
        if part := mask & 0xFF << 8 * index:
            field = ImageChops.add(field, plane.point([(byte << 8 * index & part) >> dropped for byte in range(256)]))
    largest = (1 << min(bits, 8)) - 1
    return field.point([min(255, round(value * 255 / largest)) for value in range(256)]) if bits else field


def _write(header: _Header, bits: int, colours: bytes, pixels: bytes | bytearray) -> bytes:
    """Return a BMP file.

    ``colours`` is a palette of 256 colours or, for 32 bits, the four masks at the end of a 56-byte header.
    """
    size, compression, count = (56, _BITFIELDS, 0) if bits == 32 else (40, _RGB, 256)
    offset = _FILE_HEADER + 40 + len(colours)
    height = -header.height if header.is_top_down else header.height
    head = struct.pack("<2sIHHI", b"BM", offset + len(pixels), 0, 0, offset)
    head += struct.pack("<IiiHHIIiiII", size, header.width, height, 1, bits, compression, len(pixels), 0, 0, count, 0)
    return b"".join((head, colours, pixels))
