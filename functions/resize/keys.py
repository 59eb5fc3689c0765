"""The key of a thumbnail: one rule for every key that S3 allows."""

from functions.resize.errors import InvalidKeyError
from functions.resize.recipe import Box, Fit

THUMBNAILS_PREFIX = "thumbnails/"

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
MAX_KEY_BYTES = 1024


def thumbnail_key(object_key: str, box: Box, fit: Fit, extension: str = "") -> str:
    """Return the key of one thumbnail.

    ``2026/trip/example.jpg`` in the box 128x128 becomes ``thumbnails/2026/trip/128x128_example.jpg``: the
    folder is kept, so that originals with the same name in different folders get different thumbnails.

    Parameters
    ----------
    object_key : str
        Raw key of the original.
    box : Box
        The requested box, not the resulting size, so that a client knows the key in advance.
    fit : Fit
        Appended to the box unless it is ``inside``, because the same box gives another thumbnail.
    extension : str
        Appended (with its dot) when the thumbnail is of another type than the original.
    """
    folder, slash, name = object_key.rpartition("/")
    suffix = "" if fit is Fit.INSIDE else f"-{fit}"
    return f"{THUMBNAILS_PREFIX}{folder}{slash}{box.width}x{box.height}{suffix}_{name}{extension}"


def check_key(object_key: str, boxes: tuple[Box, ...], fit: Fit) -> None:
    """Refuse keys that S3 would reject, of the original and its thumbnails, before any call to S3.

    The thumbnails' keys count without an extension: whether one is appended depends on the original's content.

    Raises
    ------
    InvalidKeyError
        The key is over 1,024 bytes, names a folder, has ``.`` or ``..`` as a segment (HTTP clients and
        proxies resolve these, so the thumbnail would escape ``thumbnails/``), has a character
        that UTF-8 cannot encode, or a thumbnail's key would be over 1,024 bytes.
    """
    try:
        size = len(object_key.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise InvalidKeyError(ascii(object_key)[1:-1], "it cannot be encoded in UTF-8") from error
    if size > MAX_KEY_BYTES:
        raise InvalidKeyError(object_key, f"it has {size:,} bytes and S3 allows {MAX_KEY_BYTES:,}")
    *folders, name = object_key.split("/")
    if not name:
        raise InvalidKeyError(object_key, "it names a folder, not a picture")
    if any(segment in {".", ".."} for segment in (*folders, name)):
        raise InvalidKeyError(object_key, "'.' and '..' cannot be segments of a key")
    check_thumbnail_keys(object_key, [thumbnail_key(object_key, box, fit) for box in boxes])


def check_thumbnail_keys(object_key: str, keys: list[str]) -> None:
    """Refuse thumbnail keys that S3 would reject.

    Raises
    ------
    InvalidKeyError
        One of ``keys`` is over 1,024 bytes.
    """
    longest = max(len(key.encode()) for key in keys)
    if longest > MAX_KEY_BYTES:
        raise InvalidKeyError(
            object_key, f"its thumbnail's key would have {longest:,} bytes and S3 allows {MAX_KEY_BYTES:,}"
        )
