"""The measurements of an upload in docs/measured.json: durations and bytes of log."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATH = Path(__file__).parents[1] / "docs" / "measured.json"


@dataclass(frozen=True, slots=True)
class Measured:
    """Means of one upload, without waits and without cold starts.

    Attributes
    ----------
    source : str
        Command, machine and pictures of the measurement.
    resize_ms, start_ms : float
        Billed duration of the resize function with one thumbnail, and of the function that starts executions.
    resize_log_bytes, start_log_bytes : float
        Bytes of log of each for one upload, including Lambda's own lines.
    machine_log_bytes : float
        Bytes of log of the state machine for one success, with ``WorkflowLogLevel=ALL`` and ``WorkflowLogData=true``.
    resize_ms_5 : float
        Billed duration of the resize function with five thumbnails; equal to ``resize_ms`` if not measured.
    """

    source: str
    resize_ms: float
    start_ms: float
    resize_log_bytes: float
    start_log_bytes: float
    machine_log_bytes: float
    resize_ms_5: float

    def resize_seconds(self, thumbnails: int) -> float:
        """Return the duration of a resize, interpolated linearly between the two measured ones."""
        return (self.resize_ms + (self.resize_ms_5 - self.resize_ms) * (thumbnails - 1) / 4) / 1000


def read_measured(path: Path = PATH) -> Measured:
    """Read a file that ``python -m cost.measure`` or ``make burst`` has written."""
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return Measured(**{"resize_ms_5": values["resize_ms"], **values})
