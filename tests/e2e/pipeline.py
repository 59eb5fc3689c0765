"""The deployed pipeline as its users see it, and the pictures that the end-to-end tests send through it."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from PIL import Image

from local.pipeline import Pipeline as DeployedPipeline
from local.stack import Stack
from samples.files import encoded
from tests.waiting import wait_for

UPLOAD_SIZES = ("64x64", "128x96")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API answered: status, headers (lower-case names) and decoded JSON."""

    status: int
    headers: dict[str, str]
    body: Any


class Pipeline(DeployedPipeline):
    """The deployed pipeline as its users see it: two buckets, the API, the executions and the queues."""

    def __init__(self, stack: Stack) -> None:
        super().__init__(stack)
        self._inputs: dict[str, Any] = {}

    def post(self, body: Any, *, path: str = "/prod/resize", **headers: str) -> Answer:
        """Post JSON (or raw bytes) to the API."""
        data = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._send("POST", path, data, {"Content-Type": "application/json", **names})

    def get(self, path: str, **headers: str) -> Answer:
        """Get a path of the API."""
        return self._send("GET", path, None, headers)

    def _send(self, method: str, path: str, data: bytes | None, headers: dict[str, str]) -> Answer:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.settings.api_port}{path}", data=data, headers=headers, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - a loopback URL of ours
                return Answer(answer.status, _lower(answer.headers.items()), json.load(answer))
        except urllib.error.HTTPError as refusal:
            with refusal:
                return Answer(refusal.code, _lower(refusal.headers.items()), json.load(refusal))

    def request(self, key: str, **more: Any) -> dict[str, Any]:
        """Give a request for the configured buckets."""
        return {"source_bucket": self.originals, "destination_bucket": self.thumbnails, "object_key": key} | more

    def upload(self, key: str, data: bytes) -> str:
        """Put an original and give its ETag."""
        return self.s3.put_object(Bucket=self.originals, Key=key, Body=data)["ETag"].strip('"')

    def executions_of(self, key: str) -> list[str]:
        """Give the ARNs of every execution whose input names this key."""
        pages = self.step_functions.get_paginator("list_executions").paginate(stateMachineArn=self.machine)
        arns = [execution["executionArn"] for page in pages for execution in page["executions"]]
        for arn in arns:
            if arn not in self._inputs:
                self._inputs[arn] = json.loads(self.step_functions.describe_execution(executionArn=arn)["input"])
        return [arn for arn in arns if self._inputs[arn].get("object_key") == key]

    def end_of(self, arn: str) -> Any:
        """Wait until an execution has ended and describe it."""

        def ended() -> Any:
            execution = self.step_functions.describe_execution(executionArn=arn)
            return execution if execution["status"] != "RUNNING" else None

        return wait_for(ended, f"the end of {arn}")

    def end_of_upload(self, key: str) -> Any:
        """Wait until the execution that an upload started has ended and describe it; requests start others."""

        def started() -> list[str]:
            return [arn for arn in self.executions_of(key) if arn.rpartition(":")[2].startswith("upload-")]

        arns: list[str] = wait_for(started, f"an execution for the upload of {key!r}")
        return self.end_of(arns[0])

    def ends_of(self, key: str, count: int) -> list[Any]:
        """Wait until a key has had so many executions and all have ended; describe them, the newest first."""
        arns: list[str] = wait_for(
            lambda: found if len(found := self.executions_of(key)) >= count else [], f"{count} executions for {key!r}"
        )
        assert len(arns) == count
        return [self.end_of(arn) for arn in arns]

    def stored_for(self, key: str) -> list[str]:
        """Return the keys of what the thumbnails bucket has of an original that is alone in its folder."""
        folder = key.rpartition("/")[0]
        return [
            stored["Key"]
            for prefix in ("manifests", "thumbnails")
            for stored in self.s3.list_objects_v2(Bucket=self.thumbnails, Prefix=f"{prefix}/{folder}/").get(
                "Contents", []
            )
        ]

    def manifest_of(self, key: str) -> Any:
        """Return what the manifest of an original says."""
        stored = self.s3.get_object(Bucket=self.thumbnails, Key=f"manifests/{key}.json")
        return json.load(stored["Body"])

    @contextmanager
    def held_uploads(self) -> Iterator[None]:
        """Keep new uploads in their queue until the block ends."""
        functions = self.client("lambda")
        found = functions.list_event_source_mappings(FunctionName="alison-image-start-from-s3")
        (mapping,) = found["EventSourceMappings"]
        functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
        try:
            yield
        finally:
            functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)

    @contextmanager
    def without_events(self, changes: int) -> Iterator[None]:
        """Drop the events of so many changes of originals, so that these are only found by looking.

        Not by an empty notification configuration: MiniStack reads it only when it sends an event, which may be after
        the configuration was restored.
        """
        with self.held_uploads():
            yield
            wait_for(lambda: self.queued()[0] >= changes, "the events to drop")
            self.sqs.purge_queue(QueueUrl=self.uploads_queue)

    def wait_until_queue_is_empty(self) -> None:
        """Wait until every upload's message was worked on and deleted."""
        wait_for(lambda: self.queued() == (0, 0), "an empty uploads queue")

    def wait_until_idle(self) -> None:
        """Wait until no upload is in the queue and no execution runs."""
        wait_for(lambda: self.queued() == (0, 0) and not self.running(), "the end of all executions")


def photograph(width: int = 400, height: int = 300, format: str = "JPEG") -> bytes:
    """Return an encoded picture with detail of every size."""
    return encoded(Image.effect_mandelbrot((width, height), (-2, -1.5, 1, 1.5), 60).convert("RGB"), format)


def _lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers}
