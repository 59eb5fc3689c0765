"""How many executions may be started now, so that uploads start no faster than they are worked on. Pure.

What waits in the queue costs nothing; what waits in an execution is billed for every retry. So a starter looks at how
many executions run (ListExecutions), and starts as many as are missing. docs/decisions/0060 compares this with other
ways; ``make burst`` simulates it.
"""

import math
from collections import deque

# All starters together look this often. Quota of ListExecutions: a bucket of 100 to 200, refilled with 2 to 5 a second:
# https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
_LOOKS_A_SECOND = 4.0
# Seconds of an execution in which no picture is resized: its start, its transitions, and until a look shows its end.
_SECONDS_BESIDE = 0.3
# What was started within this time tells how fast pictures are worked on.
_RATE_SECONDS = 10.0


class Pacing:
    """The pace of one of several starters, which see one another's executions when they look.

    Parameters
    ----------
    pictures : int
        Pictures that can be resized at once.
    starters : int
        How many start executions at the same time.
    """

    def __init__(self, pictures: int, starters: int) -> None:
        self._pictures = pictures
        self._starters = starters
        self._starts: deque[float] = deque()
        self._looked_at = -math.inf
        self._room = 0

    def may_start(self, now: float) -> bool:
        """Return whether the last look leaves room for one more execution."""
        return self._room > 0 and not self.may_look(now)

    def may_look(self, now: float) -> bool:
        """Return whether it is time to look again."""
        return now >= self._looked_at + self._seconds_between_looks

    def seconds_until_look(self, now: float) -> float:
        """Return how long it is until it is time to look again, 0 at least."""
        return max(0.0, self._looked_at + self._seconds_between_looks - now)

    def looked(self, running: int, now: float) -> None:
        """Take in how many executions run."""
        self._looked_at = now
        room = self.most(now) - running
        self._room = math.ceil(room / self._starters) if room > 0 else 0

    def started(self, now: float) -> None:
        """Take in that an execution was started."""
        self._room -= 1
        self._starts.append(now)

    def most(self, now: float) -> int:
        """Return how many executions should run: one a picture, and by Little's law those on the way to and from it."""
        while self._starts and self._starts[0] < now - _RATE_SECONDS:
            self._starts.popleft()
        starts_a_second = len(self._starts) * self._starters / _RATE_SECONDS
        return self._pictures + math.ceil(starts_a_second * _SECONDS_BESIDE)

    @property
    def _seconds_between_looks(self) -> float:
        return self._starters / _LOOKS_A_SECOND
