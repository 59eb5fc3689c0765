"""Nothing stale: whatever happens to an original, in whatever order, its thumbnails and manifest end in line with it.

Every run is the real ``job.run`` on a thread that stops before each call to the store until the schedule lets it go on.
S3 is one key in memory: versions and delete markers of the original, and ETags that are a digest of the content, so
that two equal thumbnails look alike to a condition. The first tests try every order of some histories, except that what
follows a state which another schedule has reached is not tried again: what happens next depends on the state alone.
The last tests walk at random through longer histories.
"""

import hashlib
import json
import random
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from functions.resize import job
from functions.resize.errors import (
    ConflictError,
    CorruptImageError,
    OriginalNotFoundError,
    PermanentError,
)
from functions.resize.job import Buckets, Measurements
from functions.resize.limits import Limits
from functions.resize.recipe import Box, Original, Placeholder, Recipe, Result, Thumbnail
from functions.resize.request import IfMissing, ResizeRequest
from functions.resize.storage import ConditionFailedError, NewObject, StoredObject, StoredOriginal

Answer = TypeVar("Answer")

KEY = "example.jpg"
MANIFEST = f"manifests/{KEY}.json"
BUCKETS = Buckets("originals", "thumbnails")
BY_RECIPE = ResizeRequest("originals", "thumbnails", KEY, Recipe((Box(8, 8),)), IfMissing.REMOVE)
BY_REQUEST = ResizeRequest("originals", "thumbnails", KEY, Recipe((Box(4, 4),)))
# The engine cannot read it.
BROKEN = "broken"
# This one becomes a thumbnail of another type.
TIFF = "tiff"


def digest(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


@dataclass
class World:
    """One key in S3.

    ``versions`` of the original, the current one last, ``None`` for a delete marker; ``objects`` of the thumbnails
    bucket; ``late``: writes that have left their client and have not arrived.
    """

    versions: list[str | None] = field(default_factory=list)
    objects: dict[str, NewObject] = field(default_factory=dict)
    late: list[tuple[NewObject, str | None]] = field(default_factory=list)
    checks_writes: bool = True
    checks_deletes: bool = True

    @property
    def original(self) -> str | None:
        return self.versions[-1] if self.versions else None

    def write(self, new: NewObject, replaces: str | None) -> str:
        if self.checks_writes and self.etag_of(new.key) != replaces:
            raise ConditionFailedError
        self.objects[new.key] = new
        return digest(new.data)

    def delete(self, key: str, etag: str) -> None:
        if self.checks_deletes and self.etag_of(key) != etag:
            raise ConditionFailedError
        self.objects.pop(key, None)

    @property
    def manifest(self) -> dict[str, Any]:
        return dict(json.loads(self.objects[MANIFEST].data))

    def etag_of(self, key: str) -> str | None:
        return digest(self.objects[key].data) if key in self.objects else None

    def what_is_wrong(self) -> str | None:  # noqa: PLR0911 - one sentence each
        """Compare what the original says with what the bucket has."""
        thumbnails = {key: new.data.decode() for key, new in self.objects.items() if key != MANIFEST}
        if outside := [key for key in thumbnails if not key.startswith("thumbnails/")]:
            return f"written outside: {outside}"
        if self.original is None:
            return f"the original is gone, and there are {sorted(self.objects)}" if self.objects else None
        if MANIFEST not in self.objects:
            return "there is an original and no manifest"
        if self.manifest["original"]["etag"] != digest(self.original.encode()):
            return f"the manifest describes another original than {self.original}"
        if stale := {key for key, shown in thumbnails.items() if shown.split(":")[0] != self.original}:
            return f"not of {self.original}: {stale}"
        listed = {entry["key"]: entry["etag"] for entry in self.manifest["thumbnails"]}
        if listed != {key: self.etag_of(key) for key in thumbnails}:
            return f"the manifest lists {listed}, and there are {sorted(thumbnails)}"
        if not thumbnails and self.original != BROKEN:
            return f"there is no thumbnail of {self.original}"
        return None


class Run:
    """One execution, which goes from one call of the store to the next when told to.

    An invocation that raises a fault or is killed is started again, as the state machine does.
    """

    def __init__(self, world: World, number: int, request: ResizeRequest) -> None:
        self.world = world
        self.request = request
        self.number = number
        self.is_over = False
        self.has_failed = False
        self.answer: StoredOriginal | None = None
        self.bug: Exception | None = None
        # The calls and their answers: what the rest of the run depends on.
        self.history: list[object] = []
        self.next_call = ""
        self._fate = ""
        self._go = threading.Semaphore(0)
        self._stopped = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()
        self._stopped.acquire()

    def step(self, fate: str = "") -> None:
        """Let one call to the store happen; ``killed``, ``repeated`` and ``late`` are what else may become of it."""
        self._fate = fate
        self._go.release()
        self._stopped.acquire()
        if self.bug:
            raise self.bug

    def abandon(self) -> None:
        """End the thread wherever it is."""
        self._fate = "abandoned"
        self._go.release()
        self._thread.join()

    def _work(self) -> None:
        _RUNS.run = self
        is_retry = False
        try:
            while True:
                try:
                    job.run(self.request, self, BUCKETS, Limits(), Measurements(), is_retry=is_retry)
                except (ConflictError, _KilledError):
                    is_retry = True
                    self.history.append("retry")
                    continue
                except PermanentError as error:
                    self.has_failed = True
                    self.history.append(type(error).__name__)
                break
        except _AbandonedError:
            return
        except Exception as error:  # noqa: BLE001 - a bug: it must not leave the test waiting
            self.bug = error
        self.is_over = True
        self._stopped.release()

    def _turn(self, call: str) -> str:
        self.next_call = call
        self._stopped.release()
        self._go.acquire()
        if self._fate == "abandoned":
            raise _AbandonedError
        if self._fate == "killed":
            raise _KilledError
        return self._fate

    def _answered(self, answer: Answer) -> Answer:
        self.history.append(answer)
        return answer

    def read_original(self, bucket: str, key: str, limits: Limits, unless: str | None = None) -> StoredOriginal | None:  # noqa: ARG002 - the store's door
        self._turn("read_original")
        content = self.world.original
        if content is None:
            self.history.append("missing")
            raise OriginalNotFoundError(bucket, key)
        etag = digest(content.encode())
        version = str(len(self.world.versions))
        return self._answered(None if etag == unless else StoredOriginal(content.encode(), etag, version))

    def has_original(self, bucket: str, key: str) -> bool:  # noqa: ARG002 - the store's door
        self._turn("has_original")
        return self._answered(self.world.original is not None)

    def read(self, bucket: str, key: str) -> StoredObject | None:
        self._turn("read")
        return self._look(bucket, key)

    def find(self, bucket: str, key: str) -> StoredObject | None:
        self._turn("find")
        return self._look(bucket, key)

    def _look(self, bucket: str, key: str) -> StoredObject | None:
        assert bucket == BUCKETS.thumbnails
        found = self.world.objects.get(key)
        answer = None if found is None else StoredObject(digest(found.data), found.revision, found.data)
        return self._answered(answer)

    def write(self, bucket: str, new: NewObject, replaces: str | None) -> str:
        assert bucket == BUCKETS.thumbnails
        fate = self._turn("write")
        if fate == "late":
            # botocore gives up on its first try and sends a second one; the first one is still on its way.
            self.world.late.append((new, replaces))
        try:
            etag = self.world.write(new, replaces)
            if fate == "repeated":
                # The answer is lost, and botocore sends it again.
                etag = self.world.write(new, replaces)
        except ConditionFailedError:
            self.history.append("412")
            raise
        return self._answered(etag)

    def delete(self, bucket: str, key: str, etag: str) -> None:
        assert bucket == BUCKETS.thumbnails
        fate = self._turn("delete")
        try:
            self.world.delete(key, etag)
            if fate == "repeated":
                self.world.delete(key, etag)
        except ConditionFailedError:
            self.history.append("412")
            raise
        self.history.append("deleted")


class _AbandonedError(BaseException):
    """The schedule ends here."""


class _KilledError(BaseException):
    """The function was killed between two calls."""


class _Local(threading.local):
    run: Run


_RUNS = _Local()


@pytest.fixture(autouse=True)
def _no_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thumbnails that name what they show, one call after the other: what is under test is the order of calls."""

    def make(data: bytes, recipe: Recipe, limits: Limits) -> Result:  # noqa: ARG001 - the engine's door
        content = data.decode()
        if content == BROKEN:
            raise CorruptImageError("JPEG")
        type_ = ("PNG", "image/png", ".png") if content.startswith(TIFF) else ("JPEG", "image/jpeg", ".jpg")
        made = tuple(
            Thumbnail(each, f"{content}:{each.box.width}".encode(), *type_, 1, 1) for each in recipe.renditions
        )
        return Result(
            Original("TIFF" if content.startswith(TIFF) else "JPEG", 1, 1, 1), made, Placeholder("hash", "#000000"), ()
        )

    def name(_bytes: int) -> str:
        run = _RUNS.run
        return f"{run.number}-{len(run.history)}"

    def one_after_the_other(_self: object, call: Callable[[str], object], keys: object) -> dict[str, object]:
        return {key: call(key) for key in sorted(keys)}  # type: ignore[call-overload]  # strings

    monkeypatch.setattr(job, "make_thumbnails", make)
    monkeypatch.setattr("functions.resize.job.secrets.token_hex", name)
    monkeypatch.setattr("functions.resize.job._Key._at_once", one_after_the_other)


class Play:
    """Runs and events of one key, played move by move.

    Parameters
    ----------
    events : list of str
        What will happen to the original, in this order: ``upload A``; ``delete`` (a marker); ``pop`` (the last version
        or marker is removed: an undelete, a roll-back, or the end); and ``post``, which only starts a run.
    faults : list of str
        What may go wrong once each, at any call: ``killed``, ``repeated`` (botocore sends a write or delete again whose
        answer was lost), ``late`` (it sends a write again, and the first one arrives later).
    world : bool
        ``writes=False``, ``deletes=False``: S3 does not look at the conditions of those.
    """

    def __init__(self, events: list[str], faults: list[str], **world: bool) -> None:
        self.world = World(checks_writes=world.get("writes", True), checks_deletes=world.get("deletes", True))
        self.runs: list[Run] = []
        self._events = list(events)
        self._faults = list(faults)
        self._current: Run | None = None
        self.happened: list[str] = []
        self.told: list[str] = []
        # How often something else moved while a run could go on.
        self.switches = 0

    def moves(self) -> list[tuple[str, int]]:
        """Return everything that can happen next; nothing at the end."""
        moves = []
        for run in self.runs:
            if not run.is_over:
                moves.append(("step", run.number))
                moves += [(fault, run.number) for fault in self._faults if run.next_call in _FAULTS[fault]]
        moves += [("event", 0)] * bool(self._events) + [("arrive", 0)] * bool(self.world.late)
        return moves

    def move(self, what: str, number: int) -> None:
        is_other = what in {"event", "arrive"} or self.runs[number] is not self._current
        self.switches += bool(is_other and self._current and not self._current.is_over)
        if what == "event":
            self._happen(self._events.pop(0))
        elif what == "arrive":
            with suppress(ConditionFailedError):
                self.world.write(*self.world.late.pop(0))
        else:
            if what != "step":
                self._faults.remove(what)
            self._current = run = self.runs[number]
            call, seen = run.next_call, len(run.history)
            run.step(what)
            self.told.append(f"run {number}: {call} {what}: {run.history[seen:]}")

    def is_same_run(self, move: tuple[str, int]) -> bool:
        """Return whether a move lets the same run go on."""
        return self._current is not None and move == ("step", self._current.number)

    def _happen(self, event: str) -> None:
        self.told.append(event)
        self.happened.append(event)
        name, _, content = event.partition(" ")
        if name == "upload":
            self.world.versions.append(content)
        elif name == "delete":
            self.world.versions.append(None)
        elif name == "pop" and self.world.versions:
            self.world.versions.pop()
        request = BY_REQUEST if name == "post" else BY_RECIPE
        self.runs.append(Run(self.world, len(self.runs), request))

    def state(self) -> object:
        """Return everything that what comes next depends on."""
        return (
            tuple(self.world.versions),
            tuple(sorted((key, new.data) for key, new in self.world.objects.items())),
            tuple((new.key, new.data, replaces) for new, replaces in self.world.late),
            tuple(repr(run.history) for run in self.runs),
            len(self._events),
            tuple(self._faults),
            self._current and self._current.number,
        )

    def what_is_wrong(self) -> str | None:
        """Return what is not in line at the end."""
        listed = self.world.manifest["thumbnails"] if MANIFEST in self.world.objects else []
        by_request = [entry for entry in listed if "request" in entry["asked_by"]]
        is_served = any(run.request is BY_REQUEST and not run.has_failed for run in self.runs)
        is_gone = {"delete", "pop"} & set(self.happened) or self.world.original == BROKEN
        if is_served and not is_gone and not by_request:
            return "what a request asked for is not there"
        return self.world.what_is_wrong()

    def end(self) -> None:
        for run in self.runs:
            run.abandon()

    def tell(self, wrong: str) -> str:
        """Return a short history for people."""
        return "\n".join([wrong, *self.told])


_CALLS = {"read", "read_original", "has_original", "find", "write", "delete"}
_FAULTS = {"killed": _CALLS, "repeated": {"write", "delete"}, "late": {"write"}}


# Some thousand are usual; without a safeguard, runs may take each other's work back for ever.
_MOST_STATES = 40_000


def find_wrong_end(events: list[str], faults: list[str], switches: int, **world: bool) -> str | None:
    """Try every order with at most so many switches, and return how the first one ends wrongly, or ``None``.

    A switch is a move of something else while a run could go on; most faults of concurrency need two.
    """
    # State -> the most switches that were left there.
    seen: dict[object, int] = {}
    pending: list[list[tuple[str, int]]] = [[]]
    ends = 0
    while pending:
        moves = pending.pop()
        play = Play(events, faults, **world)
        try:
            for move in moves:
                play.move(*move)
            while (left := switches - play.switches) >= 0 and seen.get(state := play.state(), -1) < left:
                seen[state] = left
                assert len(seen) < _MOST_STATES, "too many states for every order"
                following = play.moves()
                if not following:
                    ends += 1
                    if wrong := play.what_is_wrong():
                        return play.tell(wrong)
                    break
                pending += [[*moves, move] for move in following[1:]]
                moves = [*moves, following[0]]
                play.move(*following[0])
        finally:
            play.end()
    assert ends
    return None


def walk(events: list[str], faults: list[str], chance: random.Random, **world: bool) -> str | None:
    """Go one way at random, and return how it ends wrongly, or ``None``."""
    play = Play(events, faults, **world)
    try:
        while moves := play.moves():
            # Mostly one run goes on, as in life; else all runs would be at the same place all the time.
            again = [move for move in moves if play.is_same_run(move)]
            play.move(*chance.choice(again if again and chance.random() < 0.6 else moves))
        wrong = play.what_is_wrong()
        return play.tell(wrong) if wrong else None
    finally:
        play.end()


@pytest.mark.parametrize(
    ("events", "faults", "switches"),
    [
        (["upload A", "upload B"], [], 5),
        (["upload A", "delete"], [], 5),
        (["upload A", "upload broken"], [], 4),
        (["upload A", "upload tiff"], [], 4),
        (["upload A", "upload B", "pop"], [], 2),
        (["upload A", "delete", "pop"], [], 2),
        (["upload A", "post", "upload B"], [], 2),
        (["upload A", "post", "delete"], [], 2),
        (["upload A", "upload B"], ["killed"], 2),
        (["upload A", "delete"], ["killed"], 2),
        (["upload A", "post"], ["killed"], 2),
        (["upload A", "upload B"], ["repeated"], 2),
        (["upload A", "delete"], ["repeated"], 2),
        (["upload A", "upload B"], ["late"], 2),
    ],
    ids=str,
)
def test_every_order_ends_in_line(events: list[str], faults: list[str], switches: int) -> None:
    wrong = find_wrong_end(events, faults, switches)

    assert wrong is None, wrong


_EVENTS = ["upload A", "upload B", "upload broken", "upload tiff", "delete", "pop", "post"]


_HISTORIES = st.lists(st.sampled_from(_EVENTS), min_size=1, max_size=6).map(lambda events: ["upload A", *events])
_KINDS_OF_FAULTS = st.lists(st.sampled_from(["killed", "repeated"]), max_size=3)
_WALKS = settings(max_examples=600, deadline=None, derandomize=True, database=None)
# Every draw of a walk is Hypothesis's, so that it shortens a history that ends wrongly.
_CHANCES = st.randoms(use_true_random=False)


@_WALKS
@given(events=_HISTORIES, faults=_KINDS_OF_FAULTS, chance=_CHANCES)
def test_random_walks_end_in_line(events: list[str], faults: list[str], chance: random.Random) -> None:
    wrong = walk(events, faults, chance)

    assert wrong is None, f"{events}, {faults}\n{wrong}"


def test_random_walks_find_a_wrong_end_where_there_is_one() -> None:
    def ends_wrongly(history: tuple[list[str], list[str], random.Random]) -> bool:
        return walk(*history, writes=False) is not None

    # NoSuchExample, if they do not.
    find(
        st.tuples(_HISTORIES, _KINDS_OF_FAULTS, _CHANCES),
        ends_wrongly,
        settings=settings(_WALKS, phases=[Phase.generate]),
    )


# What the pipeline rests on: without it, some order ends wrongly. Each is a history that shows it.


def test_without_conditions_on_writes_some_order_ends_wrongly() -> None:
    assert find_wrong_end(["upload A", "upload B"], [], 2, writes=False)


def test_without_conditions_on_deletes_some_order_ends_wrongly() -> None:
    assert find_wrong_end(["upload A", "delete", "pop"], [], 2, deletes=False)


def test_without_reading_the_manifest_first_some_order_ends_wrongly(monkeypatch: pytest.MonkeyPatch) -> None:
    read, read_original = Run.read, Run.read_original

    def original_first(self: Run, bucket: str, key: str) -> StoredObject | None:
        try:
            self.answer = read_original(self, bucket, KEY, Limits())
        except OriginalNotFoundError:
            self.answer = None
        return read(self, bucket, key)

    def answer(self: Run, bucket: str, key: str, _limits: Limits, unless: str | None = None) -> StoredOriginal | None:
        if self.answer is None:
            raise OriginalNotFoundError(bucket, key)
        return None if self.answer.etag == unless else self.answer

    monkeypatch.setattr(Run, "read", original_first)
    monkeypatch.setattr(Run, "read_original", answer)

    assert find_wrong_end(["upload A", "upload B"], [], 3)


def test_without_the_old_manifest_what_requests_asked_for_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("functions.resize.manifest.Manifest.renditions", lambda _self: {})

    assert find_wrong_end(["upload A", "post", "upload B"], [], 0)


def test_without_a_second_look_after_the_first_manifest_some_order_ends_wrongly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "functions.resize.job._Key._commit", lambda self, manifest: self._write_manifest(manifest) and None
    )

    assert find_wrong_end(["upload A", "delete"], [], 2)


def test_without_writing_the_manifest_that_is_in_line_some_order_ends_wrongly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("functions.resize.job._Key._renew", lambda _self: {})

    assert find_wrong_end(["upload A", "upload B", "pop"], [], 2)


def test_without_looking_around_a_killed_run_leaves_something(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("functions.resize.job._Key._possible_keys", lambda _self: set())

    assert find_wrong_end(["upload A", "upload tiff"], ["killed"], 2)
