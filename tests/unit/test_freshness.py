"""Nothing stale: in every order of the steps of concurrent runs and uploads of one key, the last upload wins.

Every run is the real ``job.run`` on a thread that stops before each call to the store until the schedule lets it
go on. Every schedule is tried, except that what follows a state which another schedule has already reached is not
tried again: what happens next depends on the state alone.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

import pytest

from functions.resize import job
from functions.resize.errors import OriginalChangedError
from functions.resize.job import Buckets, Measurements
from functions.resize.limits import Limits
from functions.resize.recipe import Box, Original, Recipe, Result, Thumbnail
from functions.resize.request import ResizeRequest
from functions.resize.storage import StoredOriginal

KEY = "example.jpg"
REQUEST = ResizeRequest("originals", "thumbnails", KEY, Recipe((Box(8, 8), Box(4, 4))))
BUCKETS = Buckets("originals", "thumbnails")


@dataclass
class World:
    """One key in S3: the version of the original, and the version each thumbnail was made of."""

    original: int = 1
    thumbnails: dict[str, int] = field(default_factory=dict)


class Run:
    """One invocation of the function, which goes from one call of the store to the next when told to.

    An invocation that raises is started again, as the state machine does.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._go = threading.Semaphore(0)
        self._stopped = threading.Semaphore(0)
        self._is_abandoned = False
        self.is_over = False
        # What the rest of the run depends on: how often it has read, what, and the calls since.
        self.state = (0, 0, 0)
        self._thread = threading.Thread(target=self._work)
        self._thread.start()
        self._stopped.acquire()

    def step(self) -> None:
        """Let one call to the store happen."""
        self._go.release()
        self._stopped.acquire()

    def abandon(self) -> None:
        """End the thread wherever it is."""
        self._is_abandoned = True
        self._go.release()
        self._thread.join()

    def _work(self) -> None:
        try:
            while True:
                try:
                    job.run(REQUEST, self, BUCKETS, Limits(), Measurements())
                except OriginalChangedError:
                    continue
                break
        except _AbandonedError:
            return
        self.is_over = True
        self._stopped.release()

    def _wait_for_turn(self) -> None:
        self._stopped.release()
        self._go.acquire()
        if self._is_abandoned:
            raise _AbandonedError
        reads, version, calls = self.state
        self.state = (reads, version, calls + 1)

    def read_original(self, bucket: str, key: str, limits: Limits) -> StoredOriginal:  # noqa: ARG002 - the store's door
        self._wait_for_turn()
        self.state = (self.state[0] + 1, self._world.original, 0)
        return StoredOriginal(bytes([self._world.original]), str(self._world.original))

    def original_etag(self, bucket: str, key: str) -> str:  # noqa: ARG002 - the store's door
        self._wait_for_turn()
        return str(self._world.original)

    def write_thumbnail(self, bucket: str, key: str, thumbnail: Thumbnail, original_etag: str) -> str:  # noqa: ARG002
        self._wait_for_turn()
        self._world.thumbnails[key] = thumbnail.data[0]
        return "etag"


class _AbandonedError(Exception):
    """The schedule ends here."""


@pytest.fixture(autouse=True)
def _no_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thumbnails of the first byte, written one after the other: what is under test is the order of calls."""

    def make(data: bytes, recipe: Recipe, limits: Limits) -> Result:  # noqa: ARG001 - the engine's door
        made = tuple(Thumbnail(box, data, "JPEG", "image/jpeg", ".jpg", 1, 1) for box in recipe.boxes)
        return Result(Original("JPEG", 1, 1, 1), made, ())

    monkeypatch.setattr(job, "make_thumbnails", make)
    monkeypatch.setattr(job, "ThreadPoolExecutor", _OneAfterTheOther)


class _OneAfterTheOther:
    def __init__(self, workers: int) -> None:
        """Take the number of workers and have none."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def map(self, call: Callable[[Thumbnail], object], items: tuple[Thumbnail, ...]) -> list[object]:
        return [call(item) for item in items]


@dataclass(frozen=True)
class State:
    """Where a schedule has led: everything that what comes next depends on."""

    original: int
    thumbnails: frozenset[tuple[str, int]]
    remaining_uploads: int
    runs: tuple[tuple[int, int, int, bool], ...]

    @property
    def is_fresh(self) -> bool:
        return {version for _, version in self.thumbnails} == {self.original}


def play(schedule: tuple[int, ...], uploads: int) -> tuple[State, int]:
    """Play one schedule from the start.

    At each step one of the actors that can move is chosen: a run, or, last, the uploader, whose uploads each start
    a run.

    Returns
    -------
    The state it leads to, and how many actors can move there.
    """
    world = World()
    runs = [Run(world)]
    remaining = uploads - 1
    try:
        for chosen in schedule:
            movable = [run for run in runs if not run.is_over]
            if chosen < len(movable):
                movable[chosen].step()
            else:
                remaining -= 1
                world.original += 1
                runs.append(Run(world))
        positions = tuple((*run.state, run.is_over) for run in runs)
        state = State(world.original, frozenset(world.thumbnails.items()), remaining, positions)
        return state, sum(not run.is_over for run in runs) + (remaining > 0)
    finally:
        for run in runs:
            run.abandon()


def every_end(uploads: int) -> list[State]:
    """Give every state in which nothing moves any more."""
    seen: set[State] = set()
    ends = []
    schedules: list[tuple[int, ...]] = [()]
    while schedules:
        schedule = schedules.pop()
        state, movable = play(schedule, uploads)
        if state in seen:
            continue
        seen.add(state)
        if not movable:
            ends.append(state)
        schedules += [(*schedule, actor) for actor in range(movable)]
    return ends


@pytest.mark.parametrize("uploads", [2, 3])
def test_every_order_ends_with_the_last_upload(uploads: int) -> None:
    ends = every_end(uploads)
    assert len(ends) > uploads
    assert [end for end in ends if not end.is_fresh] == []


def test_without_the_check_some_order_ends_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    def whatever_was_read(self: Run, bucket: str, key: str) -> str:  # noqa: ARG001 - the store's door
        return _Anything()

    monkeypatch.setattr(Run, "original_etag", whatever_was_read)
    assert {end.is_fresh for end in every_end(uploads=2)} == {True, False}


class _Anything(str):
    """An ETag that equals every other: a check that always passes."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0
