"""Other ways to start executions, for comparison; the way that was chosen is functions/start_from_s3/pacing.py."""

import math
from collections import deque
from dataclasses import replace

from burst.deployed import Deployed, Retrier
from burst.simulation import NO_ROOM, OUTAGE


class AtOnce:
    """Start whatever comes."""

    most = 0

    def __init__(self, pictures: int, starters: int) -> None:
        pass

    def may_start(self, now: float) -> bool:  # noqa: ARG002 - a parameter of Pace
        """Return that an execution may be started."""
        return True

    def may_look(self, now: float) -> bool:  # noqa: ARG002 - a parameter of Pace
        """Return that there is nothing to look for."""
        return False

    def seconds_to_wait(self, now: float) -> float:  # noqa: ARG002 - a parameter of Pace
        """Return that there is nothing to wait for."""
        return 0.0

    def looked(self, running: int, now: float) -> None:
        """Take in nothing: it never looks."""

    def started(self, now: float) -> None:
        """Take in nothing."""

    def refused(self, now: float) -> None:
        """Take in nothing: the call is made again."""


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
        """Take in a start; a starter that is late catches up by a second at most."""
        self._next = max(self._next, now - 1) + self._between


class FixedLimit(AtOnce):
    """Look, and start what is missing of a fixed number at once.

    Attributes
    ----------
    looks_a_second : float
        Of all starters together.
    seconds_beside : float
        Little's law adds the starts of so much time to the limit.
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
        """Take in how many executions run: this starter may start its share of what is missing."""
        while self._starts and self._starts[0] < now - self._rate_seconds:
            self._starts.popleft()
        beside = len(self._starts) * self._starters / self._rate_seconds * self.seconds_beside
        self.most = min(999, self._pictures + math.ceil(beside))
        self._room = max(0, math.ceil((self.most - running) / self._starters))
        self._look_at = now + self._starters / self.looks_a_second

    def started(self, now: float) -> None:
        """Take in a start, which takes room."""
        self._room -= 1
        self._starts.append(now)


class LittlesLaw(FixedLimit):
    """A limit that grows with the rate, and four looks a second."""

    looks_a_second = 4.0
    seconds_beside = 0.3


def as_before(deployed: Deployed) -> Deployed:
    """Return the deployment as it was at commit 50b7d26: start at once, and retry for some 100 minutes."""
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
