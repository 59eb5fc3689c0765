"""A real burst of small files on its own local stack, whose resize function has a concurrency of two."""

import json
import math
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from statistics import mean
from typing import Any

from PIL import Image

from burst.deployed import read_deployed
from burst.prices import Bill
from burst.scenarios import BEGUN, LEAST_RATE, MOST_DOLLARS, MOST_SECONDS_TO_START
from local.pipeline import Pipeline, billed_seconds, own_stack
from local.stack import Stack, StackError, functions_log, shown
from samples.files import encoded

# UploadConcurrency (4 means two pictures at the same time), and the reserved concurrency of the resize function.
_CONCURRENCY = 4
_AT_ONCE = 2
_CALM_UPLOADS = 20
# Seconds between pairs of calm uploads. They come in pairs, so that two resizes share the processors of a small
# machine, as in a burst.
_CALM_SECONDS = 2.0
_POLL_SECONDS = 0.02
_CLIENTS = 8
_SIDE = 5200
_PROGRESS_SECONDS = 5.0
_QUIET_SECONDS = 3.0
# Time limit of a burst: this, plus a time for each upload.
_MOST_SECONDS = 120.0
_MOST_SECONDS_EACH = 0.5


@dataclass(frozen=True, slots=True)
class _Figures:
    """What was measured. With EXPRESS ``retries`` counts the resizes beyond one for each upload."""

    bill: Bill
    resize_seconds: float
    retries: int


@dataclass(frozen=True, slots=True)
class _Calm:
    """What was measured before the burst.

    ``ideal``: executions a second if each begins when another ends; ``None`` for EXPRESS, where a starter does that.
    """

    figures: _Figures
    seconds_to_start: float
    ideal: float | None


def burst(uploads: int, workflow: str, state: Path) -> int:
    """Run one burst; return 0 when every promise was kept, 1 when not, 2 when it could not run."""
    # Raise SystemExit, so that the stack is stopped, as after Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    print(
        f"\nA real burst of {uploads:,} uploads, {workflow}, with a concurrency of {_AT_ONCE} for the resize function.",
        flush=True,
    )
    try:
        with _deployed(workflow, state / "stack") as stack:
            return _Burst(stack, workflow).run(uploads)
    except StackError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nInterrupted. The stack is stopped. Next: make burst", file=sys.stderr)
        return 128 + signal.SIGINT


@contextmanager
def _deployed(workflow: str, state: Path) -> Iterator[Stack]:
    parameters = {"UploadWorkflow": workflow, "UploadConcurrency": str(_CONCURRENCY)}
    with own_stack(state, parameters) as stack:
        stack.settings.client("lambda").put_function_concurrency(
            FunctionName="alison-image-resizer", ReservedConcurrentExecutions=_AT_ONCE
        )
        yield stack


class _Burst(Pipeline):
    """One burst on one stack."""

    def __init__(self, stack: Stack, workflow: str) -> None:
        super().__init__(stack)
        self._deployed = read_deployed(workflow, _CONCURRENCY)

    def run(self, uploads: int) -> int:
        """Upload calmly, then all at the same time; count, print, and return the exit status."""
        print(f"Uploading {_CALM_UPLOADS} pictures, {_AT_ONCE} at a time …", flush=True)
        self._upload("warm")
        self._wait(_MOST_SECONDS)
        first = self._seconds_to_start()
        began = time.time()
        for first_of_some in range(0, _CALM_UPLOADS, _AT_ONCE):
            for number in range(first_of_some, first_of_some + _AT_ONCE):
                self._upload(f"calm/calm-{number:05}")
            time.sleep(_CALM_SECONDS)
        self._wait(_MOST_SECONDS)
        figures = self._measure("calm/", began, _CALM_UPLOADS)
        calm = _Calm(figures, first, None if self._deployed.is_express else self._ideal_rate())
        print(f"Uploading {uploads:,} pictures as fast as possible …", flush=True)
        began = time.time()
        with ThreadPoolExecutor(_CLIENTS) as pool:
            list(pool.map(self._upload, (f"burst/burst-{number:05}" for number in range(uploads))))
        print(f"Uploaded in {time.time() - began:.0f} s.", flush=True)
        has_ended = self._wait(_MOST_SECONDS + _MOST_SECONDS_EACH * uploads)
        figures = self._measure("burst/", began, uploads)
        return self._judge(uploads, calm, figures, began, has_ended=has_ended)

    def _ideal_rate(self) -> float:
        """Return how many executions a second there are if each begins when another ends: none waits, none collides.

        It includes what Step Functions takes beside the function, which is longer on the local stack than on AWS.
        """
        print(f"Executing {_CALM_UPLOADS} requests, {_AT_ONCE} at a time …", flush=True)
        keys = [f"calm/calm-{number:05}.gif" for number in range(_CALM_UPLOADS)]
        began = time.time()
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(self._execute, keys))
        return len(keys) / (time.time() - began)

    def _execute(self, key: str) -> None:
        request = {"source_bucket": self.originals, "destination_bucket": self.thumbnails, "object_key": key}
        arn = self.step_functions.start_execution(
            stateMachineArn=self.machine, input=json.dumps({**request, "width": 128, "height": 128})
        )["executionArn"]
        while (status := self.step_functions.describe_execution(executionArn=arn)["status"]) == "RUNNING":
            time.sleep(_POLL_SECONDS)
        if status != "SUCCEEDED":
            raise StackError(f"The request for {key} ended {status}; see make status.")

    def _judge(self, uploads: int, calm: _Calm, burst: _Figures, began: float, *, has_ended: bool) -> int:
        statuses = self._statuses("burst/")
        written = self._written()
        lost = _count_lost(uploads, written)
        dead = sum(self.queued(self.dead_letters))
        price = burst.bill.dollars(self._deployed) / uploads
        calm_price = calm.figures.bill.dollars(self._deployed) / _CALM_UPLOADS
        # Measured in the burst itself, because resizes that share the processors of a small machine take longer.
        a_run = burst.bill.starter_seconds / uploads if self._deployed.is_express else burst.resize_seconds
        busy = _AT_ONCE / a_run
        allowed = calm.ideal or busy
        rate = _rate(uploads, began, written)
        rows = (
            ("executions that FAILED or timed out", f"{statuses['FAILED'] + statuses['TIMED_OUT']:,}", "must be 0"),
            ("lost (no manifest or thumbnail)", f"{lost:,}", "must be 0"),
            ("dead letters", f"{dead:,}", "must be 0"),
            ("retries", f"{burst.retries:,}", f"{burst.retries / uploads:.2f} for each upload"),
            ("transitions", f"{burst.bill.transitions:,}", f"{burst.bill.transitions / uploads:.2f} for each upload"),
            ("dollars a million", f"{price * 1e6:.2f}", f"{price / calm_price:.2f} x calm; at most {MOST_DOLLARS}"),
            ("resize, seconds", f"{burst.resize_seconds:.3f}", f"calm {calm.figures.resize_seconds:.3f}"),
            ("uploads a second", f"{rate:.1f}", f"{rate / allowed:.2f} x the {allowed:.1f} allowed; >= {LEAST_RATE}"),
            ("if functions were never idle", f"{busy:.1f}", f"the burst had {rate / busy:.2f} x that"),
            ("single upload, s to its start", f"{calm.seconds_to_start:.2f}", f"at most {MOST_SECONDS_TO_START}"),
        )
        print("\n" + "\n".join(f"  {name:<37}{number:>10}  {note}" for name, number, note in rows) + "\n")
        is_kept = (
            has_ended
            and statuses["FAILED"] + statuses["TIMED_OUT"] + lost + dead == 0
            and price <= MOST_DOLLARS * calm_price
            and rate >= LEAST_RATE * allowed
            and calm.seconds_to_start <= MOST_SECONDS_TO_START
        )
        if not has_ended:
            print("  The burst was still running when the time limit was reached.")
        if is_kept:
            print("Every promise was kept. Next: make burst N=3000 WORKFLOW=EXPRESS, or read docs/decisions")
            return 0
        print(f"A promise was broken. Next: read the rows above, and {shown(functions_log(self.stack.settings.state))}")
        return 1

    def _upload(self, name: str) -> None:
        self.s3.put_object(Bucket=self.originals, Key=f"{name}.gif", Body=_picture(name))

    def _seconds_to_start(self) -> float:
        """Upload a picture into the idle stack; return the seconds to its execution, or to its manifest (EXPRESS)."""
        self._upload("single")
        began = time.time()
        while time.time() < began + _MOST_SECONDS:
            if self._deployed.is_express:
                if self.s3.list_objects_v2(Bucket=self.thumbnails, Prefix="manifests/single.gif").get("KeyCount"):
                    return time.time() - began
            else:
                listed = self.step_functions.list_executions(stateMachineArn=self.machine, maxResults=10)
                for execution in listed["executions"]:
                    if execution["name"].startswith("upload-single"):
                        return max(0.0, execution["startDate"].timestamp() - began)
            time.sleep(0.02)
        raise StackError("A single upload was not processed. See: make status")

    def _wait(self, most: float) -> bool:
        """Print the progress until nothing waits or runs; return False if that takes more than ``most`` seconds."""
        began = moved = said = time.monotonic()
        while time.monotonic() < began + most:
            (waiting, hidden), running = self.queued(), self.running()
            now = time.monotonic()
            if waiting or hidden or running:
                moved = now
            elif now - moved > _QUIET_SECONDS:
                return True
            if now - said > _PROGRESS_SECONDS:
                said = now
                print(
                    f"{now - began:5.0f} s  in the queue {waiting + hidden:,}, executions running {running}", flush=True
                )
            time.sleep(0.5)
        return False

    def _measure(self, prefix: str, began: float, uploads: int) -> _Figures:
        resizes, starters = (
            billed_seconds(self.logged(function, began, "REPORT")) for function in ("resizer", "start-from-s3")
        )
        if not resizes or not starters:
            raise StackError("The functions logged no durations. See: make status")
        bill = Bill(
            resizes=len(resizes),
            resize_seconds=sum(resizes),
            starters=len(starters),
            starter_seconds=sum(starters),
            queue_requests=2 * len(starters),
        )
        if self._deployed.is_express:
            retries = max(0, len(resizes) - uploads)
            # A run takes about as long as its starter, which waits for it.
            bill.express_runs, bill.express_seconds = len(starters), sum(starters)
        else:
            retries = self._count_retries(prefix)
            bill.transitions = self._deployed.transitions * uploads + retries
        return _Figures(bill, mean(resizes), retries)

    def _executions(self, prefix: str) -> list[Any]:
        name = f"upload-{prefix.rstrip('/')}"
        pages = self.step_functions.get_paginator("list_executions").paginate(stateMachineArn=self.machine)
        return [found for page in pages for found in page["executions"] if found["name"].startswith(name)]

    def _statuses(self, prefix: str) -> Counter[str]:
        return Counter(execution["status"] for execution in self._executions(prefix))

    def _count_retries(self, prefix: str) -> int:
        def retries(execution: Any) -> int:
            history = self.step_functions.get_execution_history(
                executionArn=execution["executionArn"], maxResults=1000, includeExecutionData=False
            )
            return sum(event["type"] == "TaskScheduled" for event in history["events"]) - 1

        with ThreadPoolExecutor(_CLIENTS) as pool:
            return sum(pool.map(retries, self._executions(prefix)))

    def _written(self) -> dict[str, float]:
        """Return when each object in the bucket of thumbnails was written, in seconds since 1970."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.thumbnails)
        return {
            stored["Key"]: stored["LastModified"].timestamp() for page in pages for stored in page.get("Contents", ())
        }


def _rate(uploads: int, began: float, written: dict[str, float]) -> float:
    """Return how many uploads ended a second, without the last ones, which may wait a minute for their next retry.

    The simulation measures until the same share.
    """
    ended = sorted(seconds for key, seconds in written.items() if key.startswith("manifests/burst/"))
    counted = ended[: math.ceil(BEGUN * uploads)]
    return len(counted) / (counted[-1] - began) if counted else 0.0


def _count_lost(uploads: int, written: dict[str, float]) -> int:
    return sum(
        f"manifests/burst/burst-{number:05}.gif.json" not in written
        or f"thumbnails/burst/128x128_burst-{number:05}.gif" not in written
        for number in range(uploads)
    )


def _picture(name: str) -> bytes:
    """Return a GIF of 150 KB that takes half a second to resize; a comment makes each file unique."""
    comment = name.encode()
    # A comment is an extension block, and the last byte of a GIF is its trailer: GIF89a, sections 24 and 27.
    return _plain_picture()[:-1] + b"\x21\xfe" + bytes([len(comment)]) + comment + b"\0;"


@cache
def _plain_picture() -> bytes:
    few = Image.frombytes("RGB", (4, 4), Random(1).randbytes(48))
    return encoded(few.resize((_SIDE, _SIDE), Image.Resampling.NEAREST), "GIF")
