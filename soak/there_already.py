"""``python -m soak.there_already``: test that thousands of originals with every kind of drift end in line.

It fills its own stack with originals whose events never arrived, with correct, wrong and missing manifests. While
ReconcileThumbnails runs, a client uploads, overwrites and deletes keys of the same folder, and functions are killed.
Then it checks all objects: every original must have its thumbnails, and none may be stale or made twice.
"""

import argparse
import hashlib
import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

from local.pipeline import Pipeline, own_stack
from local.stack import ROOT, Stack
from soak.pictures import picture

_BOX = {"width": 64, "height": 64}
_SHARES = {
    "missing": 40,
    "in_line": 30,
    "stale": 8,
    "other_recipe": 8,
    "orphan": 6,
    "letter": 4,
    "archived": 2,
    "film": 2,
}
_MOST_RUNS = 12


class Drift(Pipeline):
    """The two buckets, and the changes in them."""

    def __init__(self, stack: Stack, random: Random) -> None:
        super().__init__(stack)
        self._random = random
        self._pictures = [picture("JPEG", random) for _ in range(20)]
        self._events: Any = {}

    def fill(self, count: int) -> Counter[str]:
        """Put originals and manifests without events; return the number of each kind."""
        configuration = self.s3.get_bucket_notification_configuration(Bucket=self.originals)
        self._events = {name: value for name, value in configuration.items() if name.endswith("Configurations")}
        self.s3.put_bucket_notification_configuration(Bucket=self.originals, NotificationConfiguration={})
        kinds = self._random.choices(list(_SHARES), list(_SHARES.values()), k=count)
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(self._put, range(count), kinds))
        return Counter(kinds)

    def switch_events_on(self) -> None:
        """Enable events again, so that clients' changes start executions."""
        self.s3.put_bucket_notification_configuration(Bucket=self.originals, NotificationConfiguration=self._events)

    def _put(self, number: int, kind: str) -> None:
        key = f"there/{number:06}.{'mp4' if kind == 'film' else 'jpg'}"
        data = b"a letter, not a picture" if kind in {"letter", "film"} else self._pictures[number % 20]
        etag = hashlib.md5(data, usedforsecurity=False).hexdigest()
        if kind != "orphan":
            more: Any = {"StorageClass": "GLACIER"} if kind == "archived" else {}
            self.s3.put_object(Bucket=self.originals, Key=key, Body=data, **more)
        if kind in {"in_line", "stale", "other_recipe", "orphan"}:
            box = {"width": 32, "height": 32} if kind == "other_recipe" else _BOX
            self._put_manifest(key, "another" if kind == "stale" else etag, box)

    def _put_manifest(self, key: str, etag: str, box: dict[str, int]) -> None:
        folder, _, name = key.rpartition("/")
        thumbnail = f"thumbnails/{folder}/{box['width']}x{box['height']}_{name}"
        stored = self.s3.put_object(
            Bucket=self.thumbnails, Key=thumbnail, Body=key.encode(), Metadata={"original-etag": etag}
        )
        entry: dict[str, Any] = {
            "key": thumbnail,
            "box": box,
            "fit": "inside",
            "format": "source",
            "quality": None,
            "width": 1,
        }
        entry |= {"height": 1, "bytes": 1, "content_type": "image/jpeg", "asked_by": ["recipe"]}
        manifest: dict[str, Any] = {"revision": key, "original": {"key": key, "etag": etag}, "placeholder": None}
        manifest["thumbnails"] = [entry | {"etag": stored["ETag"].strip('"')}]
        body = json.dumps(manifest).encode()
        self.s3.put_object(Bucket=self.thumbnails, Key=f"manifests/{key}.json", Body=body)

    def change_something(self, count: int) -> str:
        """Upload, overwrite or delete one random key, like a client."""
        key = f"there/{self._random.randrange(count + count // 20):06}.jpg"
        if self._random.random() < 0.3:  # noqa: PLR2004 - a third
            self.s3.delete_object(Bucket=self.originals, Key=key)
            return "deleted"
        body = self._random.choice(self._pictures)
        self.s3.put_object(Bucket=self.originals, Key=key, Body=body)
        return "uploaded"

    def run(self, **wanted: Any) -> dict[str, Any]:
        """Run an execution of ReconcileThumbnails, and wait until it ends."""
        started = self.step_functions.start_execution(stateMachineArn=self.reconcile_machine, input=json.dumps(wanted))
        arn = started["executionArn"]
        while (ended := self.step_functions.describe_execution(executionArn=arn))["status"] == "RUNNING":
            time.sleep(0.5)
        if ended["status"] != "SUCCEEDED":
            return {"error": ended.get("error"), "cause": ended.get("cause")}
        output: dict[str, Any] = json.loads(ended["output"])
        return output

    def wait_for_uploads(self) -> None:
        """Wait until the queue is empty and no upload is being processed."""
        while self.running() or any(self.queued()):
            time.sleep(0.5)

    def look(self) -> Counter[str]:
        """Check all objects with code that shares nothing with the pipeline; return the number of each fault."""
        originals = self._list(self.originals, "there/")
        manifests = self._list(self.thumbnails, "manifests/there/")
        thumbnails = self._list(self.thumbnails, "thumbnails/there/")
        wrong: Counter[str] = Counter()
        listed: set[str] = set()
        for key, (etag, storage) in originals.items():
            body = self._read(f"manifests/{key}.json") if f"manifests/{key}.json" in manifests else None
            if body is None:
                wrong["lost"] += storage != "GLACIER" and not key.endswith(".mp4")
                continue
            wrong["stale"] += body["original"].get("etag") != etag
            boxes = [entry["box"] for entry in body["thumbnails"]]
            wrong["of another recipe"] += not (boxes == [_BOX] or (not boxes and "error" in body))
            for entry in body["thumbnails"]:
                listed.add(entry["key"])
                wrong["listed but missing"] += thumbnails.get(entry["key"], ("", ""))[0] != entry["etag"]
        wrong["doubled"] = len(thumbnails.keys() - listed)
        wrong["orphans"] = sum(name[len("manifests/") : -len(".json")] not in originals for name in manifests)
        return +wrong

    def _list(self, bucket: str, prefix: str) -> dict[str, tuple[str, str]]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return {
            each["Key"]: (each["ETag"].strip('"'), each.get("StorageClass", "STANDARD"))
            for page in pages
            for each in page.get("Contents", [])
        }

    def _read(self, key: str) -> Any:
        return json.load(self.s3.get_object(Bucket=self.thumbnails, Key=key)["Body"])


def _kill_one(stack: Stack, random: Random) -> bool:
    """Kill one process of the resize or the reconcile function of this stack."""
    folders = tuple(f"{stack.scratch()}/ministack-lambda-alison-image-{name}-" for name in ("resizer", "reconcile"))
    victims = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_text().split("\0")
        except OSError:
            continue
        if any(argument.startswith(folders) for argument in command):
            victims.append(int(process.name))
    if victims:
        os.kill(random.choice(victims), signal.SIGKILL)
    return bool(victims)


def main() -> int:
    """Return 0 if everything ends in line."""
    parser = argparse.ArgumentParser(prog="python -m soak.there_already", description=__doc__)
    parser.add_argument("--originals", type=int, default=5000)
    parser.add_argument("--concurrency", type=int, default=4)
    parser.add_argument("--seed", type=int, default=16)
    options = parser.parse_args()
    with own_stack(ROOT / ".local" / "there-already", {"ThumbnailSizes": "64x64"}) as stack:
        return _soak(stack, options.originals, options.concurrency, Random(options.seed))


def _soak(stack: Stack, count: int, concurrency: int, random: Random) -> int:
    drift = Drift(stack, random)
    began = time.monotonic()
    _say(f"{time.monotonic() - began:6.0f} s  stored: {dict(drift.fill(count))}")
    plan = drift.run(mode="plan", prefix="there/", concurrency=concurrency)
    _say(f"{time.monotonic() - began:6.0f} s  planned: {plan}")
    drift.switch_events_on()
    done, happened = threading.Event(), Counter[str]()
    others = [
        threading.Thread(target=_change, args=(drift, count, done, happened)),
        threading.Thread(target=_kill, args=(stack, random, done, happened)),
    ]
    for other in others:
        other.start()
    resized = 0
    for number in range(1, _MOST_RUNS + 1):
        ran = drift.run(mode="run", plan=plan["plan"], prune="all", concurrency=concurrency)
        _say(f"{time.monotonic() - began:6.0f} s  run {number}: {ran}")
        resized += ran.get("counts", {}).get("resized", 0)
        if ran.get("counts", {}).get("left") == 0:
            break
    done.set()
    for other in others:
        other.join()
    drift.wait_for_uploads()
    wrong = drift.look()
    _say(f"{time.monotonic() - began:6.0f} s  meanwhile: {dict(happened)}; faults at the end: {dict(wrong)}")
    again = drift.run(mode="plan", prefix="there/", strays=True, concurrency=concurrency)
    nothing = drift.run(mode="run", plan=again["plan"], prune="all", concurrency=concurrency)
    _say(f"{time.monotonic() - began:6.0f} s  planned again: {again}", f"          run again: {nothing}")
    counts = again["counts"]
    is_fine = not wrong and not counts["out_of_line"] and not nothing["counts"]["resized"] and resized > 0
    _say(
        f"{'Everything' if is_fine else 'Not everything'} is in line. Next: "
        + (
            "make soak, for uploads under faults"
            if is_fine
            else "read the lines above, then .local/there-already/*.log"
        )
    )
    return 0 if is_fine else 1


def _change(drift: Drift, count: int, done: threading.Event, happened: Counter[str]) -> None:
    while not done.wait(0.7):
        happened[drift.change_something(count)] += 1


def _kill(stack: Stack, random: Random, done: threading.Event, happened: Counter[str]) -> None:
    while not done.wait(4):
        happened["killed"] += _kill_one(stack, random)


def _say(*lines: str) -> None:
    for line in lines:
        print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
