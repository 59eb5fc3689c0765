"""S3 event notifications, read into uploads. Pure: text in, values out.

Source of the format: https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
"""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus


class UnreadableEventError(Exception):
    """A message that is no S3 event; it returns to the queue and ends in the dead-letter queue."""


@dataclass(frozen=True, slots=True)
class Upload:
    """One object that was created.

    ``key`` is raw; ``revision`` tells this upload from every other one under the same key.
    """

    bucket: str
    key: str
    revision: str


def read_uploads(body: str) -> list[Upload]:
    """Read the body of one queue message.

    Returns
    -------
    list of Upload
        Empty for the ``s3:TestEvent`` that S3 sends when a notification is configured, and without the
        folder markers (``photos/``, 0 bytes) that consoles create.

    Raises
    ------
    UnreadableEventError
        The body is not an S3 event notification.
    """
    try:
        event = json.loads(body)
        if event.get("Event") == "s3:TestEvent":
            return []
        return [_upload(record["s3"]) for record in event["Records"] if not _is_folder_marker(record["s3"]["object"])]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnreadableEventError(f"The message is not an S3 event notification: {error!r}") from error


def _upload(s3: dict[str, Any]) -> Upload:
    created = s3["object"]
    # A versioned bucket gives every upload its own id. Without one the sequencer orders uploads of a key.
    revision = created.get("versionId") or f"{created['eTag']}-{created['sequencer']}"
    # Keys in notifications are form-encoded; this is the one place that decodes them.
    return Upload(s3["bucket"]["name"], unquote_plus(created["key"], errors="strict"), revision)


def _is_folder_marker(created: dict[str, Any]) -> bool:
    return bool(created["key"].endswith("/") and created.get("size", 0) == 0)
