"""Deliver the stage's access log to CloudWatch Logs, in batches after a short time, like API Gateway.

A delivery that fails affects no request; the gateway's own log reports the first failure.

https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
"""

import json
import queue
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

_PAUSE_SECONDS = 0.5
# PutLogEvents accepts 10,000 events and 1 MB; an entry has about 500 bytes.
_MOST_EVENTS = 1000
_LAST_SECONDS = 3.0


class LogDelivery(threading.Thread):
    """Delivers access log entries to one log group.

    Parameters
    ----------
    logs
        A client of CloudWatch Logs.
    group
        Name of the log group.
    report
        Called with one entry for the gateway's own log when a delivery fails for the first time.
    """

    def __init__(self, logs: Any, group: str, report: Callable[[dict[str, Any]], None]) -> None:
        super().__init__(name="access log", daemon=True)
        self._logs = logs
        self._place = {"logGroupName": group, "logStreamName": uuid.uuid4().hex}
        self._report = report
        self._entries: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._has_failed = False

    def put(self, entry: Mapping[str, Any]) -> None:
        """Add an entry to the next batch."""
        self._entries.put({"timestamp": int(time.time() * 1000), "message": json.dumps(dict(entry))})

    def close(self) -> None:
        """Deliver the remaining entries, and end."""
        self._entries.put(None)
        self.join(_LAST_SECONDS)

    def run(self) -> None:
        """Deliver until closed."""
        has_stream = is_closed = False
        while not is_closed:
            batch = [self._entries.get()]
            time.sleep(_PAUSE_SECONDS if batch[0] else 0)
            while len(batch) < _MOST_EVENTS and not self._entries.empty():
                batch.append(self._entries.get())
            is_closed = None in batch
            if events := [entry for entry in batch if entry]:
                try:
                    if not has_stream:
                        self._logs.create_log_stream(**self._place)
                        has_stream = True
                    self._logs.put_log_events(**self._place, logEvents=events)
                except (BotoCoreError, ClientError) as error:
                    self._fail(error)

    def _fail(self, error: Exception) -> None:
        if not self._has_failed:
            self._has_failed = True
            self._report({"error": f"The access log is not delivered to {self._place['logGroupName']}: {error}"})
