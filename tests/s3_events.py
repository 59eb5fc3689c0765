"""The S3 event notifications in tests/events/."""

from pathlib import Path

EVENTS = Path(__file__).parent / "events"


def event_text(name: str) -> str:
    """Read the notification as it stands in the body of a queue message."""
    return (EVENTS / f"{name}.json").read_text(encoding="utf-8")
