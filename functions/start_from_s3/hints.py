"""Parse events of S3 into hints that a key may be out of line. Pure functions.

Events have two forms. The stack's own bucket sends notifications to the queue, with form-encoded keys:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
An existing bucket sends events through EventBridge, with raw keys:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html

Errors::

    EventError
    ├── UnreadableEventError     not an event of S3, or an event without a field that a hint needs
    ├── ForeignBucketError       a record of a bucket other than the originals bucket
    └── UnexpectedEventError     a record of something that neither creates nor removes an object

The other records of such a message are processed. The message returns to the queue and ends in the dead-letter queue.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import unquote_plus


class Change(StrEnum):
    """The change of an object; the names of executions begin with it."""

    UPLOAD = "upload"
    REMOVED = "removed"


# Events caused by a client or by a lifecycle rule. A removal may make an older version current again. A lifecycle rule
# also sends LifecycleExpiration when it deletes an old version, and then the key's original stays:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/lifecycle-configure-notification.html
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-event-types-and-destinations.html
_CHANGES = {
    "ObjectCreated": Change.UPLOAD,
    "ObjectRemoved": Change.REMOVED,
    "LifecycleExpiration": Change.REMOVED,
}
# The same in EventBridge, where an expiration by a lifecycle rule is also "Object Deleted":
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventBridge.html
_EVENTBRIDGE_CHANGES = {"Object Created": Change.UPLOAD, "Object Deleted": Change.REMOVED}


class EventError(Exception):
    """Base class of all errors of events, which are permanent."""


class UnreadableEventError(EventError):
    """The message or record is not an event of S3."""


class ForeignBucketError(EventError):
    """The record is of a bucket other than the originals bucket.

    Attributes
    ----------
    bucket, key : str
        The object of the record.
    """

    def __init__(self, bucket: str, key: str) -> None:
        super().__init__(f"The event for '{key}' is for the bucket '{bucket}', which this stack does not use.")
        self.bucket = bucket
        self.key = key


class UnexpectedEventError(EventError):
    """The record is of an event type that neither creates nor removes an object.

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
        Not URL-encoded.
    change : Change
    event : str
        Different for each change of the same key.
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
        Empty for the ``s3:TestEvent`` that S3 sends when a notification is configured. Folder markers (``photos/``,
        0 bytes), which consoles create and delete, are not included.
    list of EventError
        One for each record that cannot be processed. The other records are processed nevertheless.

    Raises
    ------
    UnreadableEventError
        The body has no records.
    """
    try:
        event = json.loads(body)
        if event.get("Event") == "s3:TestEvent":
            return [], []
        read: Callable[[Any], _Event]
        if "detail-type" in event:
            read, records = _read_eventbridge, [event]
        else:
            read, records = _read_notification, list(event["Records"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnreadableEventError(f"The message is not an event of S3: {error!r}") from error
    hints: list[Hint] = []
    errors: list[EventError] = []
    for record in records:
        try:
            hint = _read_hint(read, record, originals_bucket)
        except EventError as error:
            errors.append(error)
        else:
            if hint is not None:
                hints.append(hint)
    return hints, errors


@dataclass(frozen=True, slots=True)
class _Event:
    """One change, from an event of either form.

    Attributes
    ----------
    name : str
        Its type.
    change : Change or None
        ``None`` if it neither creates nor removes an object.
    bucket, key : str
        The key is not URL-encoded.
    changed : Mapping of str to Any
        The object: ``size``, ``sequencer``, and version id and ETag under the names below.
    version_id, etag : str
        Names in ``changed``.
    kind : tuple
        Distinguishes removals with the same version id, ETag and sequencer.
    """

    name: str
    change: Change | None
    bucket: str
    key: str
    changed: Mapping[str, Any]
    version_id: str
    etag: str
    kind: tuple[Any, ...]


def _read_notification(record: Any) -> _Event:
    name, changed = record["eventName"], record["s3"]["object"]
    return _Event(
        name,
        _CHANGES.get(name.partition(":")[0]),
        record["s3"]["bucket"]["name"],
        # Keys in notifications are form-encoded. This is the only place that decodes them.
        unquote_plus(changed["key"], errors="strict"),
        changed,
        "versionId",
        "eTag",
        (name,),
    )


def _read_eventbridge(event: Any) -> _Event:
    name, detail = event["detail-type"], event["detail"]
    changed = detail["object"]
    key = changed["key"]
    if not isinstance(key, str):
        raise TypeError(f"the key is {key!r}")
    return _Event(
        name,
        _EVENTBRIDGE_CHANGES.get(name),
        detail["bucket"]["name"],
        # Not encoded: a "+" or "%20" in it is part of the key.
        key,
        changed,
        "version-id",
        "etag",
        (name, detail.get("reason"), detail.get("deletion-type")),
    )


def _read_hint(read: Callable[[Any], _Event], record: Any, originals_bucket: str) -> Hint | None:
    """Return the hint of one record, or ``None`` for a folder marker."""
    try:
        event = read(record)
        if event.bucket != originals_bucket:
            raise ForeignBucketError(event.bucket, event.key)
        if event.change is None:
            raise UnexpectedEventError(event.name, event.key)
        changed = event.changed
        # Removals have no size.
        if event.key.endswith("/") and changed.get("size", 0) == 0:
            return None
        # With versioning each upload has its own version id. If versioning is suspended, the id is always "null", and
        # without versioning there is none. The sequencer distinguishes changes of a key in every bucket. A removal may
        # have no ETag.
        if event.change is Change.UPLOAD:
            identity = [changed.get(event.version_id), changed[event.etag], changed["sequencer"]]
        else:
            identity = [*event.kind, changed.get(event.version_id), changed.get(event.etag), changed["sequencer"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnreadableEventError(f"A record of the message is not an event of S3: {error!r}") from error
    return Hint(event.bucket, event.key, event.change, json.dumps(identity))
