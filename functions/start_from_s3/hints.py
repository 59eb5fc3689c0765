"""S3 event notifications, read into hints that a key may be out of line. Pure: text in, values out.

Source of the format: https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html

Errors::

    EventError
    ├── UnreadableEventError     not an S3 event notification, or a record without what a hint needs
    ├── ForeignBucketError       a record of a bucket other than the originals bucket
    └── UnexpectedEventError     a record of something that neither creates nor removes an object

The other records of such a message are started. The message returns to the queue and ends in the dead-letter queue.
"""

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import unquote_plus


class Change(StrEnum):
    """What happened to an object: it is the door through which an execution is started."""

    UPLOAD = "upload"
    REMOVED = "removed"


# Events of a user or a client, and of a lifecycle rule; a removal may also bring an older version back.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-event-types-and-destinations.html
_CHANGES = {
    "ObjectCreated": Change.UPLOAD,
    "ObjectRemoved": Change.REMOVED,
    "LifecycleExpiration": Change.REMOVED,
}


class EventError(Exception):
    """Base of all errors of notifications, which are permanent."""


class UnreadableEventError(EventError):
    """A message or a record that is not an S3 event notification."""


class ForeignBucketError(EventError):
    """A record of a bucket other than the originals bucket.

    Attributes
    ----------
    bucket, key : str
        The object of the record.
    """

    def __init__(self, bucket: str, key: str) -> None:
        super().__init__(f"The event for '{key}' is for the bucket '{bucket}', which is not served here.")
        self.bucket = bucket
        self.key = key


class UnexpectedEventError(EventError):
    """A record of an event type that neither creates nor removes an object.

    Attributes
    ----------
    name, key : str
        Type and object of the record.
    """

    def __init__(self, name: str, key: str) -> None:
        super().__init__(f"The event '{name}' for '{key}' neither creates nor removes an object.")
        self.name = name
        self.key = key


@dataclass(frozen=True, slots=True)
class Hint:
    """One key that may be out of line.

    Attributes
    ----------
    bucket : str
    key : str
        Raw.
    change : Change
    event : str
        Tells this change from every other one of the same key.
    """

    bucket: str
    key: str
    change: Change
    event: str


def read_hints(body: str, originals_bucket: str) -> tuple[list[Hint], list[EventError]]:
    """Read the body of one queue message.

    Parameters
    ----------
    body : str
    originals_bucket : str
        The only bucket whose events are served.

    Returns
    -------
    list of Hint
        Empty for the ``s3:TestEvent`` that S3 sends when a notification is configured, and without the
        folder markers (``photos/``, 0 bytes) that consoles create and delete.
    list of EventError
        One for each record that cannot be served: one bad record does not hold back the others.

    Raises
    ------
    UnreadableEventError
        The body has no records.
    """
    try:
        event = json.loads(body)
        if event.get("Event") == "s3:TestEvent":
            return [], []
        records = list(event["Records"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnreadableEventError(f"The message is not an S3 event notification: {error!r}") from error
    hints: list[Hint] = []
    errors: list[EventError] = []
    for record in records:
        try:
            hint = _read_record(record, originals_bucket)
        except EventError as error:
            errors.append(error)
        else:
            if hint is not None:
                hints.append(hint)
    return hints, errors


def _read_record(record: Any, originals_bucket: str) -> Hint | None:
    """Return the hint of one record, or None for a folder marker."""
    try:
        name, bucket, changed = record["eventName"], record["s3"]["bucket"]["name"], record["s3"]["object"]
        # Keys in notifications are form-encoded. They are decoded here only.
        key = unquote_plus(changed["key"], errors="strict")
        if bucket != originals_bucket:
            raise ForeignBucketError(bucket, key)
        change = _CHANGES.get(name.partition(":")[0])
        if change is None:
            raise UnexpectedEventError(name, key)
        # Removals have no size.
        if key.endswith("/") and changed.get("size", 0) == 0:
            return None
        # A versioned bucket gives each upload a version id of its own, but a suspended one calls all of them "null".
        # The sequencer tells changes of a key apart in every bucket. Removals have no ETag.
        identity = [name, changed.get("versionId"), changed.get("eTag"), changed["sequencer"]]
        if change is Change.UPLOAD:
            identity = [changed.get("versionId"), changed["eTag"], changed["sequencer"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnreadableEventError(f"A record of the message is not an S3 event: {error!r}") from error
    return Hint(bucket, key, change, json.dumps(identity))
