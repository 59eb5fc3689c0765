"""Measure uploads on the running local stack, and write docs/measured.json: ``python -m cost.measure``.

Uploads pictures like a phone's, one at a time, then requests five sizes of each. Durations and bytes of log are those
of the local Lambda; S3 is on the loopback interface. Cold starts are excluded, because every function runs once before
the first measurement.
"""

import argparse
import json
import statistics
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bench.machine import processor
from cost.measured import PATH
from local.amounts import counted
from local.pipeline import Pipeline, billed_seconds
from local.stack import ROOT, Settings, Stack, StackError
from samples.files import encoded

_PHOTOGRAPH = ROOT / ".tools" / "photos" / "skimage" / "data" / "coffee.png"
_SIZE = (4000, 3000)
_VARIANTS = 4
_WARM_UP = 6
# The same sizes as "five" in bench/measure.py.
_FIVE = (128, 320, 640, 1024, 1600)
_SECONDS_BETWEEN = 0.6
_SECONDS_TO_END = 30.0
# CloudWatch Logs adds 26 bytes to the text of each event:
# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
_EVENT_BYTES = 26


@dataclass(frozen=True, slots=True)
class _Log:
    """The log of one function since a point in time: seconds of each invocation, and bytes."""

    billed: list[float]
    bytes: int


def main() -> int:
    """Measure and write; return 0, or 1 if the stack is not running."""
    parser = argparse.ArgumentParser(prog="python -m cost.measure", description="Measure uploads on the local stack.")
    parser.add_argument("--uploads", type=int, default=100, help="number of uploads (default %(default)s)")
    parser.add_argument("--output", type=Path, default=PATH, help="default docs/measured.json")
    options = parser.parse_args()
    if options.uploads < 1:
        parser.error("--uploads must be at least 1")
    try:
        measured = _measure(Pipeline(_running_stack()), options.uploads)
    except StackError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    options.output.write_text(json.dumps(measured, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(json.dumps(measured, indent=2, ensure_ascii=False))
    print("Next: make cost, then make down")
    return 0


def _running_stack() -> Stack:
    stack = Stack(Settings.from_environment())
    if missing := stack.missing():
        raise StackError(f"The local stack is not up. Not running: {', '.join(missing)}. Run: make up")
    return stack


def _measure(pipeline: Pipeline, uploads: int) -> dict[str, Any]:
    pictures = [_picture(seed) for seed in range(_VARIANTS)]

    def upload(number: int) -> None:
        key, body = f"measured/{number:06}.jpg", pictures[number % _VARIANTS]
        pipeline.s3.put_object(Bucket=pipeline.originals, Key=key, Body=body)

    def ask_for_five(number: int) -> None:
        _post(
            pipeline.settings.api,
            {
                "source_bucket": pipeline.originals,
                "destination_bucket": pipeline.thumbnails,
                "object_key": f"measured/{number:06}.jpg",
                "sizes": [{"width": side, "height": side} for side in _FIVE],
            },
        )

    print(f"Uploading {counted(uploads, 'picture')} of {len(pictures[0]) / 1e6:.1f} MB, one at a time …", flush=True)
    for number in range(_WARM_UP):
        upload(uploads + number)
        time.sleep(_SECONDS_BETWEEN)
    began = _begin(pipeline)
    _one_by_one(upload, uploads)
    _wait(pipeline)
    resize, start = (_read_log(pipeline, function, began) for function in ("resizer", "start-from-s3"))
    if len(resize.billed) != uploads:
        raise StackError(f"{counted(uploads, 'upload')}, but {counted(len(resize.billed), 'resize')}. See: make status")
    print(f"Requesting five sizes of {counted(uploads, 'picture')} …", flush=True)
    began = _begin(pipeline)
    _one_by_one(ask_for_five, uploads)
    _wait(pipeline)
    five = _read_log(pipeline, "resizer", began)
    size = "x".join(map(str, _SIZE))
    return {
        "source": f"python -m cost.measure --uploads {uploads} on the local stack, S3 on loopback, {processor()}; "
        f"JPEG {size}, {len(pictures[0]) / 1e6:.1f} MB",
        "resize_ms": round(1000 * statistics.mean(resize.billed), 1),
        "start_ms": round(1000 * sum(start.billed) / uploads, 1),
        "resize_log_bytes": round(resize.bytes / uploads),
        "start_log_bytes": round(start.bytes / uploads),
        "machine_log_bytes": _machine_log_bytes(pipeline),
        "resize_ms_5": round(1000 * statistics.mean(five.billed), 1),
    }


def _picture(seed: int) -> bytes:
    """Return a photograph of 12 megapixels with grain, so that it has as many bytes per pixel as a camera's files."""
    if not _PHOTOGRAPH.exists():
        raise StackError("The demo's photographs are not installed. Run: make setup")
    with Image.open(_PHOTOGRAPH) as photograph:
        image = np.asarray(photograph.convert("RGB").resize(_SIZE, Image.Resampling.BICUBIC), dtype=np.float32)
    noise = np.random.default_rng(seed).normal(0, 4, (*image.shape[:2], 1)).astype(np.float32)
    return encoded(Image.fromarray(np.clip(image + noise, 0, 255).astype(np.uint8)), "JPEG", quality=93)


def _post(url: str, body: dict[str, Any]) -> None:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)  # noqa: S310 - the URL is the local API's
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        answer.read()


def _one_by_one(call: Callable[[int], None], count: int) -> None:
    for number in range(count):
        call(number)
        time.sleep(_SECONDS_BETWEEN)


def _begin(pipeline: Pipeline) -> float:
    """Wait until nothing runs; return the time."""
    _wait(pipeline)
    time.sleep(1)
    return time.time()


def _wait(pipeline: Pipeline) -> None:
    deadline = time.monotonic() + _SECONDS_TO_END
    time.sleep(_SECONDS_BETWEEN)
    while pipeline.running():
        if time.monotonic() > deadline:
            raise StackError("Executions did not end in time. See: make status")
        time.sleep(_SECONDS_BETWEEN)
    # MiniStack writes the log after the function has responded.
    time.sleep(1)


def _read_log(pipeline: Pipeline, function: str, since: float) -> _Log:
    lines = pipeline.logged(function, since)
    return _Log(billed_seconds(lines), sum(len(line.encode()) + _EVENT_BYTES for line in lines))


def _machine_log_bytes(pipeline: Pipeline) -> int:
    """Return the bytes that one success would log at ALL with data, calculated from its history.

    The local stack writes no such log.
    """
    client: Any = pipeline.step_functions
    listed = client.list_executions(stateMachineArn=pipeline.machine, statusFilter="SUCCEEDED", maxResults=1000)
    arn = next(each["executionArn"] for each in listed["executions"] if each["name"].startswith("upload-"))
    total = 0
    for event in client.get_execution_history(executionArn=arn)["events"]:
        (details,) = [value for name, value in event.items() if name.endswith("EventDetails")] or [{}]
        # The fields that a log event has: https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html
        logged = {
            "id": str(event["id"]),
            "type": event["type"],
            "details": details | {"inputDetails": {"truncated": False}},
            "previous_event_id": str(event["id"] - 1),
            "event_timestamp": "1732790470853",
            "execution_arn": arn,
            "redrive_count": "0",
        }
        total += len(json.dumps(logged, separators=(",", ":")).encode()) + _EVENT_BYTES
    return total


if __name__ == "__main__":
    sys.exit(main())
