"""Other ways to start executions, for comparison; the way that was chosen is functions/start_from_s3/pacing.py."""

import math
from collections import deque
from dataclasses import replace

from burst.deployed import Deployed, Retrier
from burst.simulation import NO_ROOM, OUTAGE


class AtOnce:
    """Start each upload immediately."""

    most = 0
    enough = 1

    def __init__(self, pictures: int, starters: int) -> None:
        pass

    def may_start(self, now: float) -> bool:  # noqa: ARG002 - a parameter of Pace
        """Return True: an execution may always be started."""
        return True

    def may_look(self, now: float) -> bool:  # noqa: ARG002 - a parameter of Pace
        """Return False: this way does not count executions."""
        return False

    def seconds_to_wait(self, now: float) -> float:  # noqa: ARG002 - a parameter of Pace
        """Return 0: this way does not wait."""
        return 0.0

    def looked(self, running: int, now: float) -> None:
        """Ignore the number: this way does not count executions."""

    def not_counted(self, began: float, now: float) -> None:
        """Ignore the failure: this way does not count executions."""

    def started(self, now: float) -> None:
        """Ignore the start."""

    def refused(self, now: float) -> None:
        """Ignore the refusal: the call is made again."""


class KnownRate(AtOnce):
    """Start evenly at a rate that an oracle knows, in executions a second."""

    def __init__(self, pictures: int, starters: int, rate: float) -> None:
        super().__init__(pictures, starters)
        self._between = starters / rate
        self._next = 0.0

    def may_start(self, now: float) -> bool:
        """Return whether the next start is due."""
        return now >= self._next

    def seconds_to_wait(self, now: float) -> float:
        """Return how long it is until the next start is due."""
        return max(0.0, self._next - now)

    def started(self, now: float) -> None:
        """Record a start; a late starter catches up on at most one second."""
        self._next = max(self._next, now - 1) + self._between


class FixedLimit(AtOnce):
    """Look, then immediately start as many executions as are missing from a fixed number.

    Attributes
    ----------
    looks_a_second : float
        Of all starters together.
    seconds_beside : float
        The limit is raised by the executions that start within this time (Little's law).
    """

    looks_a_second = 1.0
    seconds_beside = 0.0
    _rate_seconds = 10.0

    def __init__(self, pictures: int, starters: int) -> None:
        super().__init__(pictures, starters)
        self._pictures, self._starters = pictures, starters
        self._starts: deque[float] = deque()
        self._look_at = -math.inf
        self._room = 0

    def may_start(self, now: float) -> bool:
        """Return whether the last look found room that is left."""
        return self._room > 0 and not self.may_look(now)

    def may_look(self, now: float) -> bool:
        """Return whether the next look is due."""
        return now >= self._look_at

    def seconds_to_wait(self, now: float) -> float:
        """Return how long it is until the next look is due."""
        return max(0.0, self._look_at - now)

    def looked(self, running: int, now: float) -> None:
        """Record the number of running executions: this starter may start its share of the missing ones."""
        while self._starts and self._starts[0] < now - self._rate_seconds:
            self._starts.popleft()
        beside = len(self._starts) * self._starters / self._rate_seconds * self.seconds_beside
        self.most = min(999, self._pictures + math.ceil(beside))
        self.enough = self.most + 1
        self._room = max(0, math.ceil((self.most - running) / self._starters))
        self._look_at = now + self._starters / self.looks_a_second

    def not_counted(self, began: float, now: float) -> None:  # noqa: ARG002 - a parameter of Pace
        """Assume that enough executions run."""
        self.looked(self.most, now)

    def started(self, now: float) -> None:
        """Record a start, which uses up room."""
        self._room -= 1
        self._starts.append(now)


class LittlesLaw(FixedLimit):
    """A limit that grows with the rate, and four looks a second."""

    looks_a_second = 4.0
    seconds_beside = 0.3


def as_before(deployed: Deployed) -> Deployed:
    """Return the deployment of commit 50b7d26: it retries 200 times if Lambda is busy, but 8 times if Lambda fails."""
    patient = Retrier(interval=2, backoff=2, longest=60, most=200, has_jitter=True)
    outage = Retrier(interval=2, backoff=2, longest=60, most=8, has_jitter=True)
    rules = len({number for number, _ in deployed.retriers.values()})
    return replace(
        deployed,
        starters=10,
        batch_size=4,
        starter_timeout=30,
        visibility=180,
        retriers={**deployed.retriers, NO_ROOM: (0, patient), OUTAGE: (rules, outage)},
    )
