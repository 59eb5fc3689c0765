"""What was measured of one upload: durations and bytes of log, as kept in docs/measured.json."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATH = Path(__file__).parents[1] / "docs" / "measured.json"


@dataclass(frozen=True, slots=True)
class Measured:
    """Means of one upload on its calm way, without cold starts.

    Attributes
    ----------
    source : str
        What measured this, where, and of what pictures.
    resize_ms, start_ms : float
        Billed duration of the resize function with one thumbnail, and of the function that starts executions.
    resize_log_bytes, start_log_bytes : float
        What each writes to its log for one upload, Lambda's own lines included.
    machine_log_bytes : float
        What the state machine writes to its log for one success, with ``WorkflowLogLevel=ALL`` and
        ``WorkflowLogData=true``.
    resize_ms_5 : float
        Billed duration of the resize function with five thumbnails; as with one where nobody measured it.
    """

    source: str
    resize_ms: float
    start_ms: float
    resize_log_bytes: float
    start_log_bytes: float
    machine_log_bytes: float
    resize_ms_5: float

    def resize_seconds(self, thumbnails: int) -> float:
        """Return how long a resize takes: on the straight line through the two that were measured."""
        return (self.resize_ms + (self.resize_ms_5 - self.resize_ms) * (thumbnails - 1) / 4) / 1000


def read_measured(path: Path = PATH) -> Measured:
    """Read the file that ``python -m cost.measure`` and ``make burst`` write."""
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return Measured(**{"resize_ms_5": values["resize_ms"], **values})
