"""Parse S3 event notifications into uploads. Pure.

Source of the format: https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html

Errors::

    EventError
    ├── UnreadableEventError     not an S3 event notification, or a record that lacks a field
    ├── ForeignBucketError       a record of a bucket other than the originals bucket
    └── UnexpectedEventError     a record of something other than a created object

The other records of such a message are started. The message returns to the queue and ends in the dead-letter queue.
"""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

# "ObjectCreated:Put", "…:Post", "…:Copy" and "…:CompleteMultipartUpload".
_CREATED = "ObjectCreated:"


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
    """A record of an event type other than ObjectCreated.

    Attributes
    ----------
    name, key : str
        Type and object of the record.
    """

    def __init__(self, name: str, key: str) -> None:
        super().__init__(f"The event '{name}' for '{key}' is not the creation of an object.")
        self.name = name
        self.key = key


@dataclass(frozen=True, slots=True)
class Upload:
    """One created object.

    ``key`` is raw; ``revision`` differs between uploads to the same key.
    """

    bucket: str
    key: str
    revision: str


def read_uploads(body: str, originals_bucket: str) -> tuple[list[Upload], list[EventError]]:
    """Read the body of one queue message.

    Parameters
    ----------
    body : str
    originals_bucket : str
        Records of other buckets are errors.

    Returns
    -------
    list of Upload
        Empty for the ``s3:TestEvent`` that S3 sends when a notification is configured, and without the
        folder markers (``photos/``, 0 bytes) that consoles create.
    list of EventError
        One for each record that cannot be started, so that it does not hold back the others.

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
    uploads: list[Upload] = []
    errors: list[EventError] = []
    for record in records:
        try:
            upload = _upload(record, originals_bucket)
        except EventError as error:
            errors.append(error)
        else:
            if upload is not None:
                uploads.append(upload)
    return uploads, errors


def _upload(record: Any, originals_bucket: str) -> Upload | None:
    """Return the upload of one record, or None for a folder marker."""
    try:
        name, bucket, created = record["eventName"], record["s3"]["bucket"]["name"], record["s3"]["object"]
        # Keys in notifications are form-encoded. They are decoded here only.
        key = unquote_plus(created["key"], errors="strict")
        if bucket != originals_bucket:
            raise ForeignBucketError(bucket, key)
        if not name.startswith(_CREATED):
            raise UnexpectedEventError(name, key)
        if created["key"].endswith("/") and created.get("size", 0) == 0:
            return None
        # A versioned bucket gives each upload its own version id; with versioning suspended all are "null". The
        # sequencer differs between uploads to a key in every bucket.
        revision = json.dumps([created.get("versionId"), created["eTag"], created["sequencer"]])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnreadableEventError(f"A record of the message is not an S3 event: {error!r}") from error
    return Upload(bucket, key, revision)
