"""How fast executions may be started, so that uploads are started no faster than they are worked on. Pure.

What waits in the queue costs nothing; what waits in an execution is billed for every retry. So a starter looks at how
many executions run (ListExecutions), and starts them faster when too few do, more slowly when too many. Between two
looks it starts them evenly: a dozen at once would find no function free. docs/decisions/0060 compares this with other
ways; ``make burst`` simulates them.
"""

import math
from collections import deque

# All starters together look this often. The smallest quota of ListExecutions is a bucket of 100, refilled with 2 a
# second, and it belongs to the account: https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
_LOOKS_A_SECOND = 1.0
# At first a starter looks more often: the next look comes after the time since it became busy, divided by this, but not
# within a second.
_FIRST_LOOKS = 3.0
# Executions that should run for each picture that can be resized at once: an execution of 0.55 s resizes for 0.4 s.
# Too few leave functions idle; too many find none free and cost a retry.
_EXECUTIONS_EACH = 1.375
# Added to that. It matters only if two pictures can be resized at once, because a third of their executions wait for a
# retry and count as running.
_EXECUTIONS_ADDED = 0.5
# The past pace is measured over the second half of the time since a starter became busy, but over a second at least and
# these seconds at most. The first half says little: its executions began together, and their functions were new.
_PACE_SECONDS = 5.0
_PACE_SHARE = 0.5
# A pace makes up for missing executions within this time, divided by the executions that should run, but no sooner and
# no later than the two times below. Sooner, the pace swings between too fast and too slow. Later, a burst begins too
# slowly. With few executions the pace swings more, because one of them is a large share.
_CORRECTION_SECONDS = 8.0
_SOONEST_CORRECTION = 0.3
_LATEST_CORRECTION = 1.25
# Below this share of what should run, executions are started at once: a single upload must not wait for a pace.
_FEW = 0.95
# A page of ListExecutions has at most 1,000, so this is the most that can be seen to be exceeded.
_MOST = 999
# How long a starter rests after Step Functions has refused a start.
_REST_SECONDS = 1.0


class Pacing:
    """The pace of one of several starters, which see one another's executions when they look.

    Times are seconds on a clock that never goes back.

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
        self._busy_since = 0.0
        self._look_at = -math.inf
        self._rests_until = -math.inf
        # Executions that may be started now; it grows with the pace.
        self._room = 0.0
        self._grown_at = 0.0
        # Executions a second.
        self._pace = 0.0

    def may_start(self, now: float) -> bool:
        """Return whether an execution may be started now."""
        if now < self._rests_until or self.may_look(now):
            return False
        self._grow(now)
        return self._room >= 1

    def may_look(self, now: float) -> bool:
        """Return whether it is time to look how many executions run."""
        return now >= self._look_at

    def seconds_to_wait(self, now: float) -> float:
        """Return how long it is until an execution may be started or it is time to look; 0 at least."""
        self._grow(now)
        until = self._look_at
        if self._pace:
            # A millisecond more, or rounding may leave a room of 0.999….
            until = min(until, now + (1 - self._room) / self._pace + 0.001)
        return max(0.0, until - now, self._rests_until - now)

    def looked(self, running: int, now: float) -> None:
        """Take in how many executions run."""
        self._grow(now)
        if now > self._look_at + _PACE_SECONDS:
            self._busy_since = now
        pace, most = self._past_pace(now), self.most
        if running > most:
            # In proportion, so that a starter that is ahead of the others yields more.
            self._pace = pace * most / running
        else:
            correction = min(_LATEST_CORRECTION, max(_SOONEST_CORRECTION, _CORRECTION_SECONDS / most))
            self._pace = pace + (most - running) / self._starters / correction
        # Rounded up, each look would find room for one more execution if two pictures can be resized at once.
        self._room = max(self._room, math.floor((most * _FEW - running) / self._starters))
        between = self._starters / _LOOKS_A_SECOND
        self._look_at = now + min(between, max(1.0, (now - self._busy_since) / _FIRST_LOOKS))

    def started(self, now: float) -> None:
        """Take in that an execution was started."""
        self._room -= 1
        self._starts.append(now)

    def refused(self, now: float) -> None:
        """Take in that Step Functions has refused a start: the account's quota is used up for now."""
        self._rests_until = now + _REST_SECONDS

    @property
    def most(self) -> int:
        """Return how many executions should run."""
        return min(_MOST, math.ceil(self._pictures * _EXECUTIONS_EACH + _EXECUTIONS_ADDED))

    def _grow(self, now: float) -> None:
        """Let the room grow with the pace, by what a second brings at most."""
        most = max(self._room, self._pace, 1.0)
        self._room = min(most, self._room + (now - self._grown_at) * self._pace)
        self._grown_at = now

    def _past_pace(self, now: float) -> float:
        """Return how many executions this starter has started a second."""
        seconds = min(_PACE_SECONDS, max(1.0, (now - self._busy_since) * _PACE_SHARE))
        while self._starts and self._starts[0] < now - seconds:
            self._starts.popleft()
        return len(self._starts) / seconds
