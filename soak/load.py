"""Execute the plan: upload, delete, post, deliver events again, and wait until nothing runs any more."""

import json
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from soak import pictures
from soak.deployment import Deployment
from soak.pictures import Kind
from soak.plan import Deed, Story, Version

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageTypeDef

# Keys that are changed at the same time: enough for uploads to overlap, but few enough for two processors, because each
# may start a process.
_KEYS_AT_ONCE = 8
_MOST_IN_FLIGHT = 8
_HELD_SECONDS = 30.0
_ANSWER_SECONDS = 30.0
# Requests ask for these, but the recipe does not.
_POSTED = {"width": 48, "height": 40, "formats": ["source", "webp"]}
_PROGRESS_SECONDS = 5.0
# While messages are hidden, nothing may happen for this many seconds.
_QUIET_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Upload:
    """One upload: its ETag and version, its kind, and its time (seconds since 1970)."""

    key: str
    version_id: str
    etag: str
    kind: Kind
    at: float


@dataclass(slots=True)
class Ledger:
    """All changes and requests of a soak.

    Attributes
    ----------
    uploads : dict of str to list of Upload
        By key, in their order.
    deeds : dict of str to Counter of Deed
        Number of other changes and requests by key.
    delivered_again : int
        Events that were put into the queue a second time.
    settled : bool
        Whether queue and executions were idle before the time limit.
    """

    uploads: dict[str, list[Upload]] = field(default_factory=dict)
    deeds: dict[str, Counter[Deed]] = field(default_factory=dict)
    delivered_again: int = 0
    settled: bool = False

    def count(self) -> int:
        """Return the number of uploads."""
        return sum(len(versions) for versions in self.uploads.values())

    def count_deeds(self) -> Counter[Deed]:
        """Return the number of other changes and requests of all keys."""
        return sum(self.deeds.values(), Counter[Deed]())

    def deeds_on(self, key: str) -> Counter[Deed]:
        """Return the number of other changes and requests of a key."""
        return self.deeds.get(key, Counter[Deed]())


class Load:
    """Executes the stories of one soak.

    Parameters
    ----------
    deployment : Deployment
    stories : list of Story
    seconds : float
        Time limit of the soak.
    say : callable
        Called with each line of progress.
    """

    def __init__(
        self, deployment: Deployment, stories: list[Story], seconds: float, say: Callable[[str], None]
    ) -> None:
        self._deployment = deployment
        self._stories = stories
        self._started = time.monotonic()
        self._deadline = self._started + seconds
        self._say = say
        self._lock = threading.Lock()
        self._ledger = Ledger()
        # Number of keys that were begun, in total and at the last measurement, and the result of that measurement.
        self._begun = self._begun_then = self._busy = 0
        # The first key runs alone, because all others would wait for the first start of a function.
        self._most = 1
        self._repeats: dict[tuple[str, str], float] = {}
        self._to_repeat = sum(
            version.deliver_again_after is not None for story in stories for version in story.versions()
        )

    def run(self) -> Ledger:
        """Execute all stories, then wait until queue and executions are idle."""
        total = sum(1 for story in self._stories for _ in story.versions())
        with ThreadPoolExecutor(_KEYS_AT_ONCE) as pool:
            playing = [pool.submit(self._play, story) for story in self._stories]
            repeating = threading.Thread(target=self._deliver_again)
            repeating.start()
            try:
                self._watch(playing, total)
            except BaseException:
                # After an interruption, do not wait for stories that have not begun.
                self._deadline = self._started
                pool.shutdown(wait=False, cancel_futures=True)
                raise
            finally:
                repeating.join()
        for future in playing:
            future.result()
        return self._ledger

    def _watch(self, playing: list[Future[None]], total: int) -> None:
        """Print the progress until nothing runs any more or the time is up."""
        quiet_since = said = time.monotonic()
        while time.monotonic() < self._deadline:
            waiting, hidden, running = self._measure()
            now = time.monotonic()
            done = all(future.done() for future in playing) and self._ledger.delivered_again == self._to_repeat
            if waiting or hidden or running or not done:
                quiet_since = now
            if now - quiet_since > _QUIET_SECONDS:
                self._ledger.settled = True
                return
            if now - said > _PROGRESS_SECONDS:
                said = now
                self._say(
                    f"{now - self._started:5.0f} s  uploaded {self._ledger.count():,} of {total:,}, "
                    f"in the queue {waiting + hidden}, executions running {running}"
                )
            time.sleep(0.5)

    def _play(self, story: Story) -> None:
        while not self._takes_place() and time.monotonic() < self._deadline:
            time.sleep(0.1)
        marker = ""
        for index, step in enumerate(story.steps):
            if index == 1 and story.is_race:
                self._wait_until_held(story.key)
            elif index:
                time.sleep(step.wait)
            if time.monotonic() > self._deadline:
                return
            if isinstance(step.what, Version):
                self._upload(story, step.what)
            else:
                marker = self._do(step.what, story.key, marker)

    def _do(self, deed: Deed, key: str, marker: str) -> str:
        """Execute a step that is not an upload; return the resulting delete marker, if any."""
        match deed:
            case Deed.POST:
                self._post(key)
            case Deed.DELETE:
                marker = self._delete(key)
            case Deed.UNDELETE:
                self._delete(key, marker)
            case Deed.ROLL_BACK:
                self._delete(key, self._ledger.uploads[key][-1].version_id)
        with self._lock:
            self._ledger.deeds.setdefault(key, Counter())[deed] += 1
        return marker

    def _measure(self) -> tuple[int, int, int]:
        """Return the number of waiting messages, of hidden messages, and of running executions."""
        begun = self._begun
        (waiting, hidden), running = self._deployment.queued(), self._deployment.running()
        with self._lock:
            # Hidden messages usually wait for their next attempt and need no processor.
            self._busy, self._begun_then = waiting + running, begun
            if self._ledger.count() and not (waiting or hidden or running):
                self._most = _MOST_IN_FLIGHT
        return waiting, hidden, running

    def _takes_place(self) -> bool:
        """Begin another key if not too many are in progress; return whether it may begin."""
        with self._lock:
            if self._busy + self._begun - self._begun_then >= self._most:
                return False
            self._begun += 1
            return True

    def _upload(self, story: Story, version: Version) -> None:
        key, data = story.key, _bytes(version, story.format)
        answer = self._deployment.s3.put_object(Bucket=self._deployment.originals, Key=key, Body=data)
        upload = Upload(key, answer["VersionId"], answer["ETag"].strip('"'), version.kind, time.time())
        with self._lock:
            self._ledger.uploads.setdefault(key, []).append(upload)
            if version.deliver_again_after is not None:
                self._repeats[key, upload.version_id] = time.monotonic() + version.deliver_again_after

    def _delete(self, key: str, version_id: str | None = None) -> str:
        """Delete an original, or one version of it; return the id of the delete marker or of the deleted version."""
        which: Any = {} if version_id is None else {"VersionId": version_id}
        return self._deployment.s3.delete_object(Bucket=self._deployment.originals, Key=key, **which)["VersionId"]

    def _post(self, key: str) -> None:
        body = {
            "source_bucket": self._deployment.originals,
            "destination_bucket": self._deployment.thumbnails,
            "object_key": key,
            **_POSTED,
        }
        data, headers = json.dumps(body).encode(), {"Content-Type": "application/json"}
        request = urllib.request.Request(self._deployment.api, data=data, headers=headers)  # noqa: S310 - as below
        with urllib.request.urlopen(request, timeout=_ANSWER_SECONDS):  # noqa: S310 - a loopback URL of ours
            pass

    def _wait_until_held(self, key: str) -> None:
        """Wait until the first version of a key has been resized and its thumbnail is delayed in the proxy."""
        folder, _, name = key.rpartition("/")
        deadline = time.monotonic() + _HELD_SECONDS
        while time.monotonic() < deadline:
            for fault in self._deployment.faults():
                held = fault["object"]
                if fault["fault"] == "hold" and f"/{folder}/" in held and name in held:
                    return
            time.sleep(0.3)

    def _deliver_again(self) -> None:
        """Send the copies of selected events to the uploads queue when they are due."""
        copies: dict[tuple[str, str], str] = {}
        while self._ledger.delivered_again < self._to_repeat and time.monotonic() < self._deadline:
            for message in self._receive_copies():
                for record in json.loads(message["Body"]).get("Records", ()):
                    created = record["s3"]["object"]
                    copies[unquote_plus(created["key"]), created["versionId"]] = message["Body"]
            now = time.monotonic()
            with self._lock:
                due = [upload for upload, at in self._repeats.items() if at <= now and upload in copies]
                for upload in due:
                    del self._repeats[upload]
            for upload in due:
                self._deployment.sqs.send_message(QueueUrl=self._deployment.uploads_queue, MessageBody=copies[upload])
                self._ledger.delivered_again += 1

    def _receive_copies(self) -> "list[MessageTypeDef]":
        answer = self._deployment.sqs.receive_message(
            QueueUrl=self._deployment.copies, MaxNumberOfMessages=10, WaitTimeSeconds=1
        )
        messages = answer.get("Messages", [])
        if messages:
            entries: Any = [
                {"Id": str(index), "ReceiptHandle": message["ReceiptHandle"]} for index, message in enumerate(messages)
            ]
            self._deployment.sqs.delete_message_batch(QueueUrl=self._deployment.copies, Entries=entries)
        return messages


def _bytes(version: Version, format: str) -> bytes:
    random = Random(version.seed)
    if version.kind is Kind.NO_IMAGE:
        return pictures.no_image(random)
    if version.kind is Kind.BOMB:
        return pictures.bomb(random)
    return pictures.picture(format, random)
