"""Check the messages of the stack's NotificationTopicArn about this visit's pictures."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jsonschema import Draft4Validator

from smoke.deployment import Deployment
from smoke.report import Row, judged_all
from smoke.visit import Upload, Visit

_SCHEMA = Path(__file__).parents[2] / "schemas" / "notification.json"


def ends_are_told(deployment: Deployment, visit: Visit) -> Iterator[Row]:
    """Check that the topic, if there is one, got one message about each upload, as in the schema."""
    if deployment.notification_topic:
        yield told(visit.uploads, visit.notifications)


def told(uploads: list[Upload], notifications: list[dict[str, Any]]) -> Row:
    """Judge the messages about the uploads."""
    validator = Draft4Validator(json.loads(_SCHEMA.read_text(encoding="utf-8")))
    faults = [
        f"a message is invalid: {error.message}" for each in notifications for error in validator.iter_errors(each)
    ]
    # A message that was delivered twice has the same id.
    once = {each["id"]: each for each in notifications if each.get("trigger") == "upload"}
    counts = Counter(each["key"] for each in once.values())
    statuses = {each["key"]: each["status"] for each in once.values()}
    for upload in uploads:
        if counts[upload.key] != 1:
            faults.append(f"{upload.key} has {counts[upload.key]} messages")
        elif upload.execution and (upload.execution.status == "SUCCEEDED") != (statuses[upload.key] == "SUCCESS"):
            faults.append(f"{upload.key} is {upload.execution.status} and its message has {statuses[upload.key]}")
    return judged_all(
        "each ended execution has one message", f"{len(uploads)} uploads, in messages of the schema", faults
    )
