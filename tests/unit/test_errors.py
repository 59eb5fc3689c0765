import inspect
import re

import pytest

from functions.resize import errors
from functions.resize.errors import (
    BucketNotAllowedError,
    ConflictError,
    CorruptImageError,
    InvalidKeyError,
    InvalidRequestError,
    KeyNotAllowedError,
    NotAnImageError,
    OriginalArchivedError,
    OriginalEmptyError,
    OriginalEncryptedError,
    OriginalNotFoundError,
    OriginalTooLargeError,
    OutputTooLargeError,
    PermanentError,
    ResizeError,
    StorageUnavailableError,
    TooManyPartsError,
    TooManyPixelsError,
    TooManyThumbnailsError,
    TransientError,
    TruncatedImageError,
    UnsupportedImageError,
)

EXAMPLES: list[tuple[ResizeError, dict[str, object]]] = [
    (
        InvalidRequestError("$.width", "0 is less than the minimum of 1"),
        {"path": "$.width", "reason": "0 is less than the minimum of 1"},
    ),
    (BucketNotAllowedError("source_bucket", "other"), {"field": "source_bucket", "bucket": "other"}),
    (KeyNotAllowedError("b/a.jpg", "photos/"), {"key": "b/a.jpg", "prefix": "photos/"}),
    (InvalidKeyError("a/", "it names a folder"), {"key": "a/", "rule": "it names a folder"}),
    (OriginalNotFoundError("originals", "a.jpg"), {"bucket": "originals", "key": "a.jpg"}),
    (OriginalArchivedError("a.jpg"), {"key": "a.jpg"}),
    (OriginalEncryptedError("a.jpg"), {"key": "a.jpg"}),
    (OriginalEmptyError(), {}),
    (OriginalTooLargeError(2000, 1000), {"size": 2000, "limit": 1000}),
    (NotAnImageError(), {}),
    (UnsupportedImageError("12-bit JPEG"), {"kind": "12-bit JPEG"}),
    (CorruptImageError("PNG"), {"format": "PNG"}),
    (TruncatedImageError("PNG"), {"format": "PNG"}),
    (TooManyPixelsError(2000, 1000, " in each frame"), {"pixels": 2000, "limit": 1000}),
    (TooManyPartsError(501, 500, "segments"), {"parts": 501, "limit": 500}),
    (OutputTooLargeError(17, 16, "thumbnails"), {"amount": 17, "limit": 16, "unit": "thumbnails"}),
    (TooManyThumbnailsError(201, 200), {"thumbnails": 201, "limit": 200}),
    (ConflictError("a.jpg", 3), {"key": "a.jpg", "attempts": 3}),
    (StorageUnavailableError("GetObject", "SlowDown"), {"operation": "GetObject", "code": "SlowDown"}),
]


def drawn_tree() -> dict[str, str]:
    """Read ``class -> parent`` from the tree in the docstring of the module."""
    parents: dict[str, str] = {}
    path: list[str] = []
    for line in inspect.getdoc(errors).splitlines():  # type: ignore[union-attr]  # it has one, or this fails
        found = re.match(r"^(?P<lines>[ │├└─]*)(?P<name>[A-Z]\w+Error)\b", line)
        if found is None:
            continue
        depth = (len(found["lines"]) - 4) // 4
        path[depth:] = [found["name"]]
        if depth:
            parents[found["name"]] = path[depth - 1]
    return parents


def real_tree() -> dict[str, str]:
    classes = [
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, ResizeError) and kind is not ResizeError
    ]
    return {kind.__name__: kind.__bases__[0].__name__ for kind in classes}


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    assert drawn_tree() == real_tree()


def test_every_error_has_an_example() -> None:
    kinds = {type(error).__name__ for error, _ in EXAMPLES}

    assert kinds == real_tree().keys() - {"PermanentError", "TransientError"}


@pytest.mark.parametrize(("error", "attributes"), EXAMPLES, ids=lambda value: type(value).__name__)
def test_an_error_keeps_what_it_was_made_of(error: ResizeError, attributes: dict[str, object]) -> None:
    assert vars(error) == attributes


@pytest.mark.parametrize("error", [error for error, _ in EXAMPLES], ids=lambda error: type(error).__name__)
def test_a_message_is_one_sentence(error: ResizeError) -> None:
    message = str(error)

    assert re.fullmatch(r"[A-Z][^\n]*[^.\n]\.", message)
    assert ". " not in message


@pytest.mark.parametrize("error", [error for error, _ in EXAMPLES], ids=lambda error: type(error).__name__)
def test_an_error_is_permanent_or_transient_and_never_both(error: ResizeError) -> None:
    assert isinstance(error, PermanentError) != isinstance(error, TransientError)


def test_what_is_transient() -> None:
    assert {type(error) for error, _ in EXAMPLES if isinstance(error, TransientError)} == {
        ConflictError,
        StorageUnavailableError,
    }
