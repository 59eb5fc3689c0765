"""Keys of thumbnails and manifests: one rule for every key that S3 allows."""

from collections.abc import Iterable
from urllib.parse import quote

from functions.resize.errors import InvalidKeyError
from functions.resize.recipe import Fit, Rendition

THUMBNAILS_PREFIX = "thumbnails/"
MANIFESTS_PREFIX = "manifests/"
MANIFEST_SUFFIX = ".json"

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
MAX_KEY_BYTES = 1024


def manifest_key(object_key: str) -> str:
    """Return the key of the manifest of an original."""
    return f"{MANIFESTS_PREFIX}{object_key}{MANIFEST_SUFFIX}"


def thumbnail_key(object_key: str, rendition: Rendition, extension: str = "") -> str:
    """Return the key of one thumbnail.

    ``2026/trip/example.jpg`` in the box 128x128 becomes ``thumbnails/2026/trip/128x128_example.jpg``: the
    folder is kept, so that originals with the same name in different folders get different thumbnails.

    Parameters
    ----------
    object_key : str
        Raw key of the original.
    rendition : Rendition
        Its box is part of the key, not the resulting size, so that a client can predict the key. Any fit except
        ``inside`` is added to the box, because it results in another picture for the same box.
    extension : str
        Appended (with its dot) if the thumbnail's type differs from the original's.
    """
    box, fit = rendition.box, rendition.fit
    folder, slash, name = object_key.rpartition("/")
    suffix = "" if fit is Fit.INSIDE else f"-{fit}"
    return f"{THUMBNAILS_PREFIX}{folder}{slash}{box.width}x{box.height}{suffix}_{name}{extension}"


def thumbnail_url(key: str, version: str) -> str:
    """Return the URL of one version of a thumbnail, relative to the root of the server that serves the bucket.

    All characters except ``/`` and the unreserved ones of RFC 3986 are percent-encoded, so that browsers, CloudFront
    and S3 read the same key: S3 reads a plain ``+`` as a space, browsers read a plain backslash as a slash, and a comma
    or a space may end a URL in a ``srcset``. ``check_key`` refuses the segments ``.`` and ``..``, which cannot be
    encoded.
    """
    return f"{quote(key, safe='/')}?v={version}"


def check_key(object_key: str, renditions: Iterable[Rendition]) -> None:
    """Refuse a key whose original, manifest or thumbnails S3 could not store, before any call to S3.

    The thumbnails' keys are checked without an extension, because whether one is appended depends on the original's
    content.

    Raises
    ------
    InvalidKeyError
        The key is over 1,024 bytes, is that of a folder, has ``.`` or ``..`` as a segment (HTTP clients and
        proxies resolve these, so that the thumbnail would not be below ``thumbnails/``), contains a character
        that UTF-8 cannot encode, or the key of its manifest or a thumbnail would be over 1,024 bytes.
    """
    try:
        size = len(object_key.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise InvalidKeyError(ascii(object_key)[1:-1], "it cannot be encoded in UTF-8") from error
    if size > MAX_KEY_BYTES:
        raise InvalidKeyError(object_key, f"it has {size:,} bytes; the limit is {MAX_KEY_BYTES:,}")
    *folders, name = object_key.split("/")
    if not name:
        raise InvalidKeyError(object_key, "it names a folder, not a picture")
    if any(segment in {".", ".."} for segment in (*folders, name)):
        raise InvalidKeyError(object_key, "it must not have '.' or '..' as a path segment")
    size = len(manifest_key(object_key).encode())
    if size > MAX_KEY_BYTES:
        raise InvalidKeyError(
            object_key, f"its manifest's key would have {size:,} bytes; the limit is {MAX_KEY_BYTES:,}"
        )
    check_thumbnail_keys(object_key, [thumbnail_key(object_key, rendition) for rendition in renditions])


def check_thumbnail_keys(object_key: str, keys: Iterable[str]) -> None:
    """Refuse thumbnail keys that S3 would reject.

    Raises
    ------
    InvalidKeyError
        One of ``keys`` is over 1,024 bytes.
    """
    longest = max((len(key.encode()) for key in keys), default=0)
    if longest > MAX_KEY_BYTES:
        raise InvalidKeyError(
            object_key, f"its thumbnail's key would have {longest:,} bytes; the limit is {MAX_KEY_BYTES:,}"
        )
