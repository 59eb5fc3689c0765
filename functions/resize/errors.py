"""Every way a resize can fail, in one tree.

::

    ResizeError
    ├── PermanentError               the same request always fails again: returned as FAILED, never retried
    │   ├── InvalidRequestError          the request does not match schemas/resize_request.json
    │   ├── BucketNotAllowedError        a bucket outside the configured pair
    │   ├── KeyNotAllowedError           a key that does not begin with the prefix of the originals
    │   ├── InvalidKeyError              a key that is too long or escapes thumbnails/
    │   ├── OriginalNotFoundError        no such object
    │   ├── OriginalArchivedError        an object that must first be restored from an archive
    │   ├── OriginalEncryptedError       an object encrypted with a key that the deployment cannot use
    │   ├── OriginalEmptyError           an object of zero bytes
    │   ├── OriginalTooLargeError        more bytes than the limit
    │   ├── NotAnImageError              the bytes are not in a recognised image format
    │   ├── UnsupportedImageError        a kind of picture that is not supported
    │   ├── CorruptImageError            a damaged picture
    │   │   └── TruncatedImageError      a picture that was cut short
    │   ├── TooManyPixelsError           more pixels, in the picture or in each frame, than the limit
    │   ├── TooManyPartsError            a file with more parts than normal encoders write
    │   ├── OutputTooLargeError          more thumbnails or more output pixels than the limit
    │   └── TooManyThumbnailsError       more thumbnails of one original than its manifest may list
    └── TransientError               the same request may succeed later: raised, so that it is retried
        ├── ConflictError                other runs kept changing the same key
        └── StorageUnavailableError      S3 throttled, timed out or answered 5xx

The class name is the public name of the error, ``str(error)`` the public sentence: both reach the
execution's output, so sentences never name a role, an account or an internal path.
"""


class ResizeError(Exception):
    """Base class of the errors that this function raises itself."""


class PermanentError(ResizeError):
    """The same request always fails again.

    Attributes
    ----------
    etag : str or None
        ETag of the original that could not be read; ``None`` if S3 did not return it.
    """

    etag: str | None = None


class TransientError(ResizeError):
    """The same request may succeed later."""


class InvalidRequestError(PermanentError):
    """The request does not match the schema.

    Attributes
    ----------
    path : str
        JSON path of the invalid value, ``$`` for the whole request.
    reason : str
        The rule that it breaks.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"The request is invalid at {path}: {reason}.")
        self.path = path
        self.reason = reason


class BucketNotAllowedError(PermanentError):
    """The bucket is not the one that this deployment reads from or writes to.

    Attributes
    ----------
    field : str
        ``source_bucket`` or ``destination_bucket``.
    bucket : str
        The bucket in the request.
    """

    def __init__(self, field: str, bucket: str) -> None:
        super().__init__(f"The {field} '{bucket}' is not the bucket of this deployment.")
        self.field = field
        self.bucket = bucket


class KeyNotAllowedError(PermanentError):
    """The key does not begin with the prefix of the originals.

    Attributes
    ----------
    key, prefix : str
    """

    def __init__(self, key: str, prefix: str) -> None:
        super().__init__(f"The key '{key}' is not allowed: keys of originals must begin with '{prefix}'.")
        self.key = key
        self.prefix = prefix


class InvalidKeyError(PermanentError):
    """S3 would reject the key, or its thumbnail would escape ``thumbnails/``.

    Attributes
    ----------
    key : str
        The key of the original or of the thumbnail.
    rule : str
        The rule that it breaks, as the end of a sentence.
    """

    def __init__(self, key: str, rule: str) -> None:
        super().__init__(f"The key '{key}' is invalid: {rule}.")
        self.key = key
        self.rule = rule


class OriginalNotFoundError(PermanentError):
    """The object does not exist.

    Attributes
    ----------
    bucket, key : str
    """

    def __init__(self, bucket: str, key: str) -> None:
        super().__init__(f"There is no object '{key}' in the bucket '{bucket}'.")
        self.bucket = bucket
        self.key = key


class OriginalArchivedError(PermanentError):
    """The object is in an archive, such as S3 Glacier.

    Attributes
    ----------
    key : str
    """

    def __init__(self, key: str) -> None:
        super().__init__(f"The original '{key}' is archived; restore it from its archive first.")
        self.key = key


class OriginalEncryptedError(PermanentError):
    """The object is encrypted with a customer-provided key (SSE-C), or with a KMS key that the deployment cannot use.

    Attributes
    ----------
    key : str
    """

    def __init__(self, key: str) -> None:
        super().__init__(f"The original '{key}' is encrypted with a key that this deployment cannot use.")
        self.key = key


class OriginalEmptyError(PermanentError):
    """The original has no bytes."""

    def __init__(self) -> None:
        super().__init__("The original is empty (0 bytes).")


class OriginalTooLargeError(PermanentError):
    """The original is larger than the limit.

    Attributes
    ----------
    size, limit : int
        Bytes.
    """

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"The original has {size:,} bytes; the limit is {limit:,}.")
        self.size = size
        self.limit = limit


class NotAnImageError(PermanentError):
    """The original is not in a recognised image format."""

    def __init__(self) -> None:
        super().__init__("The original is not in a recognised image format.")


class UnsupportedImageError(PermanentError):
    """The kind of picture is not supported.

    Attributes
    ----------
    kind : str
        Such as ``12-bit JPEG``.
    """

    def __init__(self, kind: str) -> None:
        super().__init__(f"The original is a {kind}, which is not supported.")
        self.kind = kind


class CorruptImageError(PermanentError):
    """The picture is damaged.

    Attributes
    ----------
    format : str
        The format that its signature indicates, such as ``PNG``.
    """

    def __init__(self, format: str) -> None:
        super().__init__(f"The {format} original is damaged and cannot be decoded.")
        self.format = format


class TruncatedImageError(CorruptImageError):
    """The picture was cut short, as by an interrupted upload."""

    def __init__(self, format: str) -> None:
        PermanentError.__init__(self, f"The end of the {format} original is missing.")
        self.format = format


class TooManyPixelsError(PermanentError):
    """Decoding the picture would take more memory or time than the function has.

    Attributes
    ----------
    pixels, limit : int
        Pixels of the picture, of a side or of each frame; ``what`` names which.
    """

    def __init__(self, pixels: int, limit: int, what: str = "") -> None:
        super().__init__(f"The original has {pixels:,} pixels{what}; the limit is {limit:,}.")
        self.pixels = pixels
        self.limit = limit


class TooManyPartsError(PermanentError):
    """The file has more parts than normal encoders write, and could take minutes or gigabytes to read.

    Attributes
    ----------
    parts, limit : int
        Counting stops above the limit, so there may be more than ``parts``.
    """

    def __init__(self, parts: int, limit: int, what: str) -> None:
        super().__init__(f"The original has at least {parts:,} {what}; the limit is {limit:,}.")
        self.parts = parts
        self.limit = limit


class OutputTooLargeError(PermanentError):
    """The request asks for too many thumbnails, or too many pixels.

    Attributes
    ----------
    amount, limit : int
        Both in ``unit``, which is ``thumbnails``, ``pixels on a side``, ``output pixels``, ``AVIF output pixels`` or
        ``transparent WebP output pixels``.
    """

    def __init__(self, amount: int, limit: int, unit: str) -> None:
        super().__init__(f"The request asks for {amount:,} {unit}; the limit is {limit:,}.")
        self.amount = amount
        self.limit = limit
        self.unit = unit


class TooManyThumbnailsError(PermanentError):
    """The original would have more thumbnails than its manifest may list.

    Attributes
    ----------
    thumbnails, limit : int
    """

    def __init__(self, thumbnails: int, limit: int) -> None:
        super().__init__(f"The original would have {thumbnails:,} thumbnails; the limit is {limit:,}.")
        self.thumbnails = thumbnails
        self.limit = limit


class ConflictError(TransientError):
    """Other runs changed the same key during all attempts.

    Attributes
    ----------
    key : str
    attempts : int
    """

    def __init__(self, key: str, attempts: int) -> None:
        super().__init__(f"Other runs changed the thumbnails of '{key}' during all {attempts} attempts.")
        self.key = key
        self.attempts = attempts


class StorageUnavailableError(TransientError):
    """S3 throttled, timed out, closed the connection or answered 5xx.

    Attributes
    ----------
    operation : str
        The S3 operation, such as ``GetObject``.
    code : str
        The error code of S3 or the class of the transport error.
    """

    def __init__(self, operation: str, code: str) -> None:
        super().__init__(f"S3 did not complete {operation} ({code}).")
        self.operation = operation
        self.code = code
