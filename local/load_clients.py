"""What each simulated client of ``make load`` does; run by Locust, see load.py.

A client posts a resize, asks for the execution until it has ended, and begins again: as many executions are under
way as there are clients, as with people who wait for their thumbnails.
"""

import os
import time
import uuid

from locust import FastHttpUser, constant, task  # type: ignore[import-not-found]  # lives in an environment of its own

_REQUEST = {
    "source_bucket": os.environ["LOAD_ORIGINALS"],
    "destination_bucket": os.environ["LOAD_THUMBNAILS"],
    "object_key": os.environ["LOAD_KEY"],
    "width": 64,
    "height": 64,
}
_POLL_SECONDS = 0.5
_GIVE_UP_SECONDS = 120
_TOO_MANY = 429


class Client(FastHttpUser):  # type: ignore[misc]  # as above
    """Sends one request after the other."""

    wait_time = constant(0)

    @task  # type: ignore[untyped-decorator]  # as above
    def resize(self) -> None:
        """Have one thumbnail made, and wait for it."""
        with self.client.post(
            "/prod/resize", json=_REQUEST, headers={"Idempotency-Key": str(uuid.uuid4())}, catch_response=True
        ) as started:
            if started.status_code == _TOO_MANY:
                # Documented, and the client is told how long to wait.
                started.success()
                started.request_meta["name"] = "429 /prod/resize"
                wait = float(started.headers["Retry-After"])
            else:
                wait = 0.0
        if wait:
            time.sleep(wait)
        elif started.status_code == 200:  # noqa: PLR2004  # HTTP OK
            self._wait_for(started.headers["Location"])

    def _wait_for(self, location: str) -> None:
        deadline = time.monotonic() + _GIVE_UP_SECONDS
        while time.monotonic() < deadline:
            with self.client.get(location, name="/prod/executions/{executionId}", catch_response=True) as answer:
                status = answer.json()["status"] if answer.status_code == 200 else "RUNNING"  # noqa: PLR2004  # HTTP OK
                if status not in ("RUNNING", "SUCCEEDED"):
                    answer.failure(f"the execution ended as {status}")
            if status != "RUNNING":
                return
            time.sleep(_POLL_SECONDS)
