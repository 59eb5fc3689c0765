"""A discrete-event simulation of the pipeline under load: queue, event source mapping, starters, executions, functions.

Every event is a tuple ``(time, number, handler, argument)`` on one heap; an upload is an integer.
"""

import heapq
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol

from burst.assumptions import (
    ARRIVALS_A_SECOND,
    FIRST_BACKOFF,
    FIRST_PAUSE,
    FIRST_POLLERS,
    LARGE_REGION,
    LONGEST_BACKOFF,
    POLLERS_A_SECOND,
    Bucket,
    Quotas,
    Times,
)
from burst.deployed import Deployed
from burst.express import is_done
from burst.prices import Bill
from functions.start_from_s3.workflows import EXPRESS_SECONDS, SECONDS_TO_START

NO_ROOM = "Lambda.TooManyRequestsException"
OUTAGE = "Lambda.ServiceException"
TIMED_OUT = "Sandbox.Timedout"

# What became of an upload.
_ABSENT, _WAITING, _SUCCEEDED, _FAILED, _DEAD = range(5)
# A chart needs no more points.
_MOST_SAMPLES = 800
_ARRIVE_TOGETHER = 0.01


class Pace(Protocol):
    """When a starter may start executions: the part of ``Pacing`` that the simulation uses."""

    @property
    def enough(self) -> int:
        """Return how many executions a look counts at most."""

    def may_start(self, now: float) -> bool:
        """Return whether an execution may be started now."""

    def may_look(self, now: float) -> bool:
        """Return whether it is time to count the running executions."""

    def seconds_to_wait(self, now: float) -> float:
        """Return how long it is until an execution may be started or it is time to look."""

    def looked(self, running: int, now: float) -> None:
        """Record the number of running executions."""

    def not_counted(self, began: float, now: float) -> None:
        """Record that the running executions could not be counted."""

    def started(self, now: float) -> None:
        """Record that an execution was started."""

    def refused(self, now: float) -> None:
        """Record that a start was refused."""


@dataclass(frozen=True, slots=True)
class Load:
    """What happens to the pipeline.

    Attributes
    ----------
    uploads : int
        Size of the burst.
    arrivals_a_second : float
        How fast the burst arrives.
    poison_every : int
        Every n-th of them takes longer than the function may; 0 for none.
    outage : tuple of float
        From when to when every invocation of a function fails.
    live_a_second, posts_a_second : float
        Uploads and API requests beside the burst, until ``live_seconds``.
    remakes, remakes_at_once : int
        Pictures that a reconcile resizes meanwhile, and how many of them at the same time.
    """

    uploads: int
    arrivals_a_second: float = ARRIVALS_A_SECOND
    poison_every: int = 0
    outage: tuple[float, float] = (math.inf, math.inf)
    live_a_second: float = 0.0
    posts_a_second: float = 0.0
    live_seconds: float = 0.0
    remakes: int = 0
    remakes_at_once: int = 0

    @property
    def outage_seconds(self) -> float:
        """Return how long the outage lasts."""
        begin, end = self.outage
        return end - begin if end > begin else 0.0


@dataclass(slots=True)
class Sample:
    """The state at one time: uploads that wait, executions in progress, dollars so far."""

    seconds: float
    backlog: int
    executions: int
    dollars: float


@dataclass(slots=True)
class Outcome:
    """What became of everything. Times are seconds since the first upload landed.

    Attributes
    ----------
    uploads, posts : int
        Number of uploads and of API requests.
    succeeded : int
    failed_by_fault, failed_by_picture : int
        FAILED executions; a picture that takes too long fails by itself.
    dead_letters : int
    lost, doubled : int
        Uploads that ended not at all, or more than once.
    posts_refused : int
        API requests answered with 429, because the quota of starts was used up.
    retries : int
        Retries within executions.
    returned : int
        Messages that went back to the queue.
    most_receives : int
        The most receives of one message.
    looks, looks_refused, starts_refused : int
        Calls of ListExecutions, throttled calls of ListExecutions, and throttled calls of StartExecution.
    first_start : float
        From the end of the first upload to the start of its execution.
    drained : float
        When the resizes of 99 % of the burst had begun, because the last few may wait minutes for their next retry.
    drained_picture : float
        Mean duration of a picture until then, with second tries.
    ended : float
        When the last upload or API request ended.
    busy : float
        Duration of all resizes together, without cold starts.
    remade, remakes_faulted : int
        Pictures that a reconcile resized, and those that it left for its next run.
    most_resizing : int
        The largest number of pictures that were resized at the same time.
    post_seconds : list of float
        From each API request to the end of its execution.
    bill : Bill
    samples : list of Sample
    """

    uploads: int = 0
    posts: int = 0
    succeeded: int = 0
    failed_by_fault: int = 0
    failed_by_picture: int = 0
    dead_letters: int = 0
    lost: int = 0
    doubled: int = 0
    posts_refused: int = 0
    retries: int = 0
    returned: int = 0
    most_receives: int = 0
    looks: int = 0
    looks_refused: int = 0
    starts_refused: int = 0
    first_start: float = math.nan
    drained: float = 0.0
    drained_picture: float = 0.0
    ended: float = 0.0
    busy: float = 0.0
    remade: int = 0
    remakes_faulted: int = 0
    most_resizing: int = 0
    post_seconds: list[float] = field(default_factory=list)
    bill: Bill = field(default_factory=Bill)
    samples: list[Sample] = field(default_factory=list)


class _Tokens:
    """A token bucket."""

    __slots__ = ("_at", "_bucket", "_tokens")

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._tokens = bucket.size
        self._at = 0.0

    def take(self, now: float) -> bool:
        """Take a token; return whether there was one."""
        self._refill(now)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def delay(self, now: float, count: int) -> float:
        """Take tokens, even if too few are left; return the seconds until the bucket has refilled what was missing."""
        self._refill(now)
        self._tokens -= count
        return max(0.0, -self._tokens / self._bucket.refill)

    def _refill(self, now: float) -> None:
        self._tokens = min(self._bucket.size, self._tokens + (now - self._at) * self._bucket.refill)
        self._at = now


class _Starter:
    """One poller of the event source mapping, with the sandbox that it invokes."""

    __slots__ = ("backoff", "batch", "began", "index", "is_cold", "pace", "received", "returns", "tries")

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self.is_cold = True
        self.backoff = 0.0
        self.batch: list[int] = []
        self.index = 0
        self.tries = 0
        self.received = self.began = 0.0
        self.returns: list[int] = []


class Simulation:
    """One run.

    Parameters
    ----------
    deployed : Deployed
    pace : callable
        Returns a new pace for one starter.
    load : Load
    quotas : Quotas
    times : Times
    functions : int
        The account's limit of concurrent executions. 0 is the hardest case: ``deployed.functions``.
    reserved : int
        ReservedConcurrency of the resize function; 0 for none.
    seed : int
    """

    def __init__(  # noqa: PLR0913 - what a run depends on
        self,
        deployed: Deployed,
        pace: Callable[[int, int], Pace],
        load: Load,
        *,
        quotas: Quotas = LARGE_REGION,
        times: Times | None = None,
        functions: int = 0,
        reserved: int = 0,
        seed: int = 1,
    ) -> None:
        self._deployed = deployed
        self._load = load
        self._times = times = times or Times()
        self._limit = functions or deployed.functions
        self._reserved = reserved or self._limit
        self._random = Random(seed)
        self._mu = math.log(times.picture) - times.picture_sigma**2 / 2
        self._heap: list[tuple[float, int, Callable[[float, Any], None], Any]] = []
        self._number = 0
        self._now = 0.0
        # The three arrays are indexed by upload. API requests have the numbers -1, -2, … and are only in the two dicts.
        self._state = bytearray()
        self._receives = bytearray()
        self._has_begun = bytearray()
        self._tried: dict[int, list[int]] = {}
        self._posted: dict[int, float] = {}
        self._queue: deque[int] = deque()
        self._starters = [_Starter(pace(deployed.pictures, deployed.starters)) for _ in range(deployed.starters)]
        self._idle: list[_Starter] = self._starters[:FIRST_POLLERS][::-1]
        self._pollers = len(self._idle)
        self._runs: dict[int, tuple[_Starter, float]] = {}
        self._in_flight = self._resizing = self._warm = 0
        self._starts = _Tokens(quotas.starts)
        self._looks = _Tokens(quotas.looks)
        self._transitions = _Tokens(quotas.transitions)
        self._started_at: deque[float] = deque()
        self._closed_at: deque[float] = deque()
        self._listed = self._running = 0
        self._waiting = self._burst_begun = self._begun = 0
        self._remakes = load.remakes
        self._sampled_every = 0.05
        self._out = Outcome()

    def run(self) -> Outcome:
        """Run until no event is left."""
        load, heap = self._load, self._heap
        self._at(0.0, self._arrive, load.uploads)
        if load.live_a_second:
            self._at(self._random.expovariate(load.live_a_second), self._upload_live, None)
        if load.posts_a_second:
            self._at(self._random.expovariate(load.posts_a_second), self._post, None)
        for _ in range(load.remakes_at_once):
            self._at(0.0, self._remake_next, None)
        self._at(0.0, self._sample, None)
        if self._pollers < len(self._starters):
            self._at(self._times.event, self._add_poller, None)
        pop = heapq.heappop
        while heap:
            self._now, _, handler, argument = pop(heap)
            handler(self._now, argument)
        return self._settle()

    def _at(self, time: float, handler: Callable[[float, Any], None], argument: Any) -> None:
        self._number += 1
        heapq.heappush(self._heap, (time, self._number, handler, argument))

    def _settle(self) -> Outcome:
        out, state = self._out, self._state
        out.uploads = len(state)
        out.succeeded = state.count(_SUCCEEDED)
        out.dead_letters = state.count(_DEAD)
        out.lost = state.count(_WAITING) + state.count(_ABSENT)
        out.most_receives = max(self._receives, default=0)
        out.samples.append(Sample(self._now, self._waiting, self._running, self._dollars()))
        return out

    def _dollars(self) -> float:
        return self._out.bill.dollars(self._deployed)

    def _sample(self, now: float, _: None) -> None:
        samples = self._out.samples
        samples.append(Sample(now, self._waiting, self._running, self._dollars()))
        if len(samples) >= _MOST_SAMPLES:
            del samples[1::2]
            self._sampled_every *= 2
        if self._heap:
            self._at(now + self._sampled_every, self._sample, None)

    # Arrivals.

    def _arrive(self, now: float, left: int) -> None:
        together = min(left, max(1, round(self._load.arrivals_a_second * _ARRIVE_TOGETHER)))
        for _ in range(together):
            self._land(now)
        if left > together:
            self._at(now + together / self._load.arrivals_a_second, self._arrive, left - together)

    def _upload_live(self, now: float, _: None) -> None:
        self._land(now)
        after = now + self._random.expovariate(self._load.live_a_second)
        if after < self._load.live_seconds:
            self._at(after, self._upload_live, None)

    def _land(self, now: float) -> None:
        upload = len(self._state)
        self._state.append(_WAITING)
        self._receives.append(0)
        self._has_begun.append(0)
        self._waiting += 1
        self._at(now + self._times.event, self._appear, upload)

    def _post(self, now: float, _: None) -> None:
        out = self._out
        out.posts += 1
        if self._starts.take(now):
            self._posted[-out.posts] = now
            self._open(now, -out.posts)
        else:
            out.posts_refused += 1
        after = now + self._random.expovariate(self._load.posts_a_second)
        if after < self._load.live_seconds:
            self._at(after, self._post, None)

    # The queue and its event source mapping.

    def _appear(self, now: float, upload: int) -> None:
        self._queue.append(upload)
        if self._idle:
            self._poll(now, self._idle.pop())

    def _add_poller(self, now: float, _: None) -> None:
        """Read the queue with one more poller while messages wait."""
        if self._queue:
            starter = self._starters[self._pollers]
            self._pollers += 1
            self._poll(now, starter)
        if self._pollers < len(self._starters) and (self._queue or self._waiting):
            self._at(now + 1 / POLLERS_A_SECOND, self._add_poller, None)

    def _poll(self, now: float, starter: _Starter) -> None:
        queue, receives, most = self._queue, self._receives, self._deployed.receives
        batch: list[int] = []
        while queue and len(batch) < self._deployed.batch_size:
            upload = queue.popleft()
            if receives[upload] >= most:
                self._end(now, upload, _DEAD)
            else:
                receives[upload] += 1
                batch.append(upload)
        if not batch:
            self._idle.append(starter)
            return
        starter.batch, starter.index, starter.received, starter.tries = batch, 0, now, 0
        starter.returns = []
        self._out.bill.queue_requests += 1
        self._at(now + self._times.receive, self._invoke_starter, starter)

    def _invoke_starter(self, now: float, starter: _Starter) -> None:
        if now >= starter.received + self._deployed.visibility:
            starter.returns = starter.batch
            self._give_back(now, starter, starter.received + self._deployed.visibility)
            self._poll(now, starter)
        elif self._is_out(now):
            starter.backoff = min(LONGEST_BACKOFF, max(FIRST_BACKOFF, 2 * starter.backoff))
            starter.returns = starter.batch
            self._give_back(now, starter, starter.received + self._deployed.visibility)
            self._at(now + starter.backoff, self._poll, starter)
        elif self._in_flight >= self._limit:
            starter.tries += 1
            pause = min(LONGEST_BACKOFF, FIRST_PAUSE * 2.0 ** min(starter.tries, 10)) * self._random.random()
            self._at(now + self._times.refusal + pause, self._invoke_starter, starter)
        else:
            self._in_flight += 1
            starter.backoff = 0.0
            if starter.is_cold:
                starter.is_cold = False
                self._out.bill.starter_seconds += self._times.starter_cold_start
                now += self._times.starter_cold_start
            starter.began = now
            self._at(now, self._step, starter)

    def _step(self, now: float, starter: _Starter) -> None:
        """Continue the batch: wait, look, start an execution, or return messages to the queue."""
        deployed, batch = self._deployed, starter.batch
        ends = starter.began + deployed.starter_timeout
        while starter.index < len(batch):
            if deployed.is_express:
                if ends - now >= EXPRESS_SECONDS:
                    self._run_express(now, starter)
                    return
            elif ends - now >= SECONDS_TO_START:
                if starter.pace.may_start(now):
                    self._at(now + self._times.start, self._start, starter)
                    return
                wait = starter.pace.seconds_to_wait(now)
                if ends - now - wait >= SECONDS_TO_START:
                    self._at(now + wait, self._woke, starter)
                    return
            starter.returns.append(batch[starter.index])
            starter.index += 1
        self._finish_batch(now, starter)

    def _woke(self, now: float, starter: _Starter) -> None:
        if starter.pace.may_look(now):
            self._out.looks += 1
            self._at(now + self._times.look, self._look, starter)
        else:
            self._step(now, starter)

    def _look(self, now: float, starter: _Starter) -> None:
        if self._looks.take(now):
            starter.pace.looked(min(self._list(now - self._times.list_lag), starter.pace.enough), now)
        else:
            self._out.looks_refused += 1
            starter.pace.not_counted(now - self._times.look, now)
        self._step(now, starter)

    def _list(self, then: float) -> int:
        """Return how many executions ran at a time; later calls must not ask for an earlier time."""
        for times, change in ((self._started_at, 1), (self._closed_at, -1)):
            while times and times[0] <= then:
                times.popleft()
                self._listed += change
        return self._listed

    def _start(self, now: float, starter: _Starter) -> None:
        if not self._starts.take(now):
            self._out.starts_refused += 1
            starter.pace.refused(now)
            self._step(now, starter)
            return
        upload = starter.batch[starter.index]
        starter.index += 1
        starter.pace.started(now)
        self._open(now, upload)
        self._step(now, starter)

    def _run_express(self, now: float, starter: _Starter) -> None:
        upload = starter.batch[starter.index]
        self._running += 1
        self._out.bill.express_runs += 1
        self._runs[upload] = starter, now
        self._note_first(now)
        self._at(now + self._times.start + self._times.before, self._task, upload)

    def _finish_batch(self, now: float, starter: _Starter) -> None:
        bill = self._out.bill
        bill.starters += 1
        bill.starter_seconds += now - starter.began
        self._in_flight -= 1
        if len(starter.returns) < len(starter.batch):
            bill.queue_requests += 1
        self._give_back(now, starter, starter.received + self._deployed.visibility)
        self._at(now + self._times.delete, self._poll, starter)

    def _give_back(self, now: float, starter: _Starter, visible: float) -> None:
        self._out.returned += len(starter.returns)
        self._out.bill.logged_errors += len(starter.returns)
        for upload in starter.returns:
            self._at(max(now, visible), self._appear, upload)

    # Executions.

    def _note_first(self, now: float) -> None:
        if math.isnan(self._out.first_start):
            self._out.first_start = now

    def _open(self, now: float, upload: int) -> None:
        self._running += 1
        self._started_at.append(now)
        if upload >= 0:
            self._note_first(now)
        self._at(now + self._times.before, self._enter, upload)

    def _enter(self, now: float, upload: int) -> None:
        self._out.bill.transitions += 1
        delay = self._transitions.delay(now, 1)
        if delay:
            self._at(now + delay, self._task, upload)
        else:
            self._task(now, upload)

    def _is_out(self, now: float) -> bool:
        begin, end = self._load.outage
        return begin <= now < end

    def _task(self, now: float, upload: int) -> None:
        """Invoke the resize function."""
        if self._is_out(now):
            self._retry(now + self._times.refusal, upload, OUTAGE)
            return
        if not self._has_room():
            self._retry(now + self._times.refusal, upload, NO_ROOM)
            return
        out = self._out
        seconds = float(self._deployed.resize_timeout) if self._is_poison(upload) else self._draw_seconds()
        out.busy += seconds
        self._begin(now, upload)
        seconds += self._take_function()
        out.bill.resizes += 1
        out.bill.resize_seconds += seconds
        self._at(now + seconds, self._resized, upload)

    def _begin(self, now: float, upload: int) -> None:
        """Count a resize that begins, unless it is a second try."""
        if upload >= 0:
            if self._has_begun[upload]:
                return
            self._has_begun[upload] = 1
            self._waiting -= 1
        self._begun += 1
        if 0 <= upload < self._load.uploads:
            self._burst_begun += 1
            if self._burst_begun * 100 <= self._load.uploads * 99:
                self._out.drained = now
                self._out.drained_picture = self._out.busy / self._begun

    def _has_room(self) -> bool:
        return self._in_flight < self._limit and self._resizing < self._reserved

    def _draw_seconds(self) -> float:
        return min(self._random.lognormvariate(self._mu, self._times.picture_sigma), 59.0)

    def _take_function(self) -> float:
        """Occupy a resize function; return the seconds of its cold start."""
        self._in_flight += 1
        self._resizing += 1
        self._out.most_resizing = max(self._out.most_resizing, self._resizing)
        if self._resizing <= self._warm:
            return 0.0
        self._warm = self._resizing
        return self._times.cold_start

    def _leave_function(self) -> None:
        self._in_flight -= 1
        self._resizing -= 1

    # A reconcile. Its children invoke the resize function directly, so ListExecutions does not count them. The price of
    # the burst does not include theirs.

    def _remake_next(self, now: float, _: None) -> None:
        if self._remakes:
            self._remakes -= 1
            self._remake(now, 0)

    def _remake(self, now: float, tried: int) -> None:
        if not self._is_out(now) and self._has_room():
            self._at(now + self._draw_seconds() + self._take_function(), self._remade, None)
            return
        _, rule = self._deployed.remake_retriers[OUTAGE if self._is_out(now) else NO_ROOM]
        if tried >= rule.most:
            self._out.remakes_faulted += 1
            self._at(now + self._times.refusal, self._remake_next, None)
            return
        self._at(now + self._times.refusal + rule.wait(tried, self._random), self._remake, tried + 1)

    def _remade(self, now: float, _: None) -> None:
        self._leave_function()
        self._out.remade += 1
        self._at(now + self._times.before + self._times.after, self._remake_next, None)

    def _is_poison(self, upload: int) -> bool:
        every = self._load.poison_every
        return every > 0 and 0 <= upload < self._load.uploads and upload % every == every // 2

    def _resized(self, now: float, upload: int) -> None:
        self._leave_function()
        if self._is_poison(upload):
            # The sandbox of a run that timed out is gone.
            self._warm -= 1
            self._retry(now, upload, TIMED_OUT)
            return
        if upload in self._runs:
            self._at(now + self._times.after, self._answer, (upload, ""))
            return
        self._out.bill.transitions += self._deployed.transitions - 1
        self._close(now + self._transitions.delay(now, self._deployed.transitions - 1), upload)
        self._end(now, upload, _SUCCEEDED)

    def _close(self, now: float, upload: int) -> None:
        """End a Standard execution."""
        self._running -= 1
        self._closed_at.append(now + self._times.after)
        if upload < 0:
            self._out.post_seconds.append(now + self._times.after - self._posted.pop(upload))

    def _retry(self, now: float, upload: int, error: str) -> None:
        """Wait as the state machine's definition says, or fail."""
        number, retrier = self._deployed.retriers[error]
        tried = self._tried.get(upload)
        if tried is None:
            self._tried[upload] = tried = [0] * (1 + max(number for number, _ in self._deployed.retriers.values()))
        count = tried[number]
        is_express = upload in self._runs
        self._out.bill.logged_errors += 1
        if count >= retrier.most:
            self._fail(now, upload, error)
            return
        tried[number] += 1
        wait = retrier.wait(count, self._random)
        if is_express and now + wait >= self._runs[upload][1] + EXPRESS_SECONDS:
            self._at(self._runs[upload][1] + EXPRESS_SECONDS, self._answer, (upload, "States.Timeout"))
            return
        self._out.retries += 1
        self._at(now + wait, self._task if is_express else self._enter, upload)

    def _fail(self, now: float, upload: int, error: str) -> None:
        if upload in self._runs:
            self._at(now + self._times.after, self._answer, (upload, error))
            return
        self._tried.pop(upload, None)
        self._out.bill.transitions += 1
        self._close(now, upload)
        self._end_failed(now, upload, error)

    def _answer(self, now: float, ended: tuple[int, str]) -> None:
        """End an Express run, and go on with the batch."""
        upload, error = ended
        starter, began = self._runs.pop(upload)
        self._tried.pop(upload, None)
        self._running -= 1
        self._out.bill.express_seconds += now - began
        starter.index += 1
        if not error:
            self._end(now, upload, _SUCCEEDED)
        elif is_done(error, receives=self._receives[upload]):
            self._end_failed(now, upload, error)
        else:
            starter.returns.append(upload)
        self._step(now, starter)

    def _end_failed(self, now: float, upload: int, error: str) -> None:
        if error == TIMED_OUT and self._is_poison(upload):
            self._out.failed_by_picture += 1
        else:
            self._out.failed_by_fault += 1
        self._end(now, upload, _FAILED)

    def _end(self, now: float, upload: int, state: int) -> None:
        self._out.ended = now
        if upload < 0:
            return
        self._tried.pop(upload, None)
        if self._state[upload] != _WAITING:
            self._out.doubled += 1
        self._state[upload] = state
        if state == _DEAD and not self._has_begun[upload]:
            self._waiting -= 1
