"""Colour: from the embedded ICC profile to plain sRGB."""

import io
from functools import lru_cache

from PIL import Image, ImageChops, ImageCms, ImageStat

_SRGB = ImageCms.createProfile("sRGB")
# Levels of a grid in the colour cube, which detects profiles that equal sRGB, even if they have another name.
_LATTICE = bytes(range(0, 256, 17))
# ICC.1:2022, section 7.3.1: the tag table follows the header and the tag count. LittleCMS reads 100 tags.
_ICC_TAGS = 132
_ICC_TAG_BYTES = 12
_ICC_MOST_TAGS = 100
# The tag of a floating-point pipeline of any length. Its steps may share the same bytes, so a profile of 36 KB can take
# minutes, and one of 0.5 MB 6 GB of memory. LittleCMS prefers the pipeline. Browsers ignore it, and a profile with one
# also has plain tables (sections 8.3 and 9.2.17).
_ICC_PIPELINE = b"D2B0"
_ICC_UNKNOWN = b"d2b0"
_BROKEN = "The colour profile is broken or does not fit the picture, so its colours were taken as sRGB."


def to_srgb(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, str | None]:
    """Convert a picture to sRGB.

    Parameters
    ----------
    image : Image
        ``L``, ``LA``, ``RGB``, ``RGBA`` or ``CMYK``, alpha not premultiplied.
    profile : bytes or None
        The embedded ICC profile; without one the colours are taken as sRGB.

    Returns
    -------
    image : Image
        ``L`` or ``LA`` for grey, else ``RGB`` or ``RGBA``: grey stays grey.
    warning : str or None
        A message if the profile could not be applied.
    """
    if profile is None:
        return _without_profile(image), None
    try:
        transform = _find_transform(profile, "CMYK" if image.mode == "CMYK" else image.mode[0])
    except (ImageCms.PyCMSError, OSError, ValueError):
        return _without_profile(image), _BROKEN
    if transform is None:
        return image, None
    if image.mode in {"L", "LA"}:
        grey = image.getchannel("L").convert(transform.input_mode)
        converted = transform.apply(grey).convert("L")
        if image.mode == "LA":
            converted.putalpha(image.getchannel("A"))
        return converted, None
    if image.mode == "RGBA":
        converted = transform.apply(image.convert("RGB"))
        converted.putalpha(image.getchannel("A"))
        return converted, None
    return transform.apply(image), None


def _without_profile(image: Image.Image) -> Image.Image:
    return image.convert("RGB") if image.mode == "CMYK" else image


def _find_transform(profile: bytes, kind: str) -> ImageCms.ImageCmsTransform | None:
    """Return the transform from the cache, or build it. The cache keys are whole profiles: large ones are not kept."""
    # ICC.1:2022, section 7.2.2: bytes beyond the size in the header are not part of the profile.
    profile = profile[: int.from_bytes(profile[:4], "big")]
    build = _build_transform if len(profile) <= _LARGEST_KEPT else _build_transform.__wrapped__
    return build(profile, kind)


# Building a transform parses the profile and samples its curves, which takes 1 to 30 ms. Uploads from one phone model
# share a profile. The largest common profiles are of CMYK, 500 KB.
_LARGEST_KEPT = 600_000


@lru_cache(maxsize=16)
def _build_transform(profile: bytes, kind: str) -> ImageCms.ImageCmsTransform | None:
    """Build the transform from a profile to sRGB.

    Parameters
    ----------
    profile : bytes
    kind : str
        ``CMYK``, ``R`` for RGB or ``L`` for grey.

    Returns
    -------
    ImageCmsTransform or None
        ``None`` if the transform changes nothing beyond rounding.

    Raises
    ------
    PyCMSError, OSError, ValueError
        A broken profile, or a profile for another colour space.
    """
    source = ImageCms.ImageCmsProfile(io.BytesIO(_hide_pipeline(profile)))
    space = source.profile.xcolor_space.strip()
    if kind == "L" and space == "GRAY":
        mode = "L"
    elif kind in {"R", "L"}:
        mode = "RGB"
    else:
        mode = "CMYK"
    # Perceptual, like browsers and libvips: colours outside sRGB are compressed, not clipped.
    transform = ImageCms.buildTransform(source, _SRGB, mode, "RGB", ImageCms.Intent.PERCEPTUAL)
    if mode == "RGB" and _changes_nothing(transform):
        return None
    return transform


def _hide_pipeline(profile: bytes) -> bytes:
    """Rename the pipeline tag, so that LittleCMS ignores it."""
    tags = min(int.from_bytes(profile[_ICC_TAGS - 4 : _ICC_TAGS], "big"), _ICC_MOST_TAGS)
    end = _ICC_TAGS + tags * _ICC_TAG_BYTES
    table = bytearray(profile[:end])
    for at in range(_ICC_TAGS, end, _ICC_TAG_BYTES):
        if table[at : at + 4] == _ICC_PIPELINE:
            table[at : at + 4] = _ICC_UNKNOWN
    return bytes(table) + profile[end:]


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    side = len(_LATTICE)
    cube = bytes(value for red in _LATTICE for green in _LATTICE for blue in _LATTICE for value in (red, green, blue))
    lattice = Image.frombytes("RGB", (side * side, side), cube)
    difference = ImageChops.difference(lattice, transform.apply(lattice))
    return all(highest <= 1 for _, highest in ImageStat.Stat(difference).extrema)
