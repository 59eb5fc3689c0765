"""The pace at which a starter may start executions: no faster than uploads are processed. Pure.

Waiting in the queue costs nothing, but an execution that waits is billed for each retry. So a starter counts the
running executions (ListExecutions). If fewer run than should, it starts more a second; if more run, fewer. Between two
counts ("looks") it starts them evenly, because a dozen at once would find no free function. docs/decisions/0060
compares this with other ways; ``make burst`` simulates it.
"""

import math
from collections import deque

# All starters together look this often. The smallest quota of ListExecutions is a bucket of 100, refilled with 2 a
# second, and it belongs to the account: https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
_LOOKS_A_SECOND = 1.0
# At first a starter looks more often: t seconds after it became busy, the next look comes t / _FIRST_LOOKS seconds
# later, but not sooner than a second later.
_FIRST_LOOKS = 3.0
# Executions that should run for each picture that can be resized at once: an execution of 0.55 s resizes for 0.4 s.
# Too few leave functions idle; too many find none free and cost a retry.
_EXECUTIONS_EACH = 1.42
# Added to that. With two pictures at once, it makes the target four executions instead of three, because many of them
# wait for a retry and count as running. With more pictures it hardly matters.
_EXECUTIONS_ADDED = 0.5
# The past pace is measured over the second half (_PACE_SHARE) of the time since the starter became busy, but over at
# least one second and at most _PACE_SECONDS. The first half misleads: its executions began together, with cold starts.
_PACE_SECONDS = 5.0
_PACE_SHARE = 0.5
# The pace makes up for missing executions within this time divided by the target, but within the two limits below. If
# the time is too short, the pace swings between too fast and too slow; if it is too long, a burst begins too slowly. A
# small target needs more time, because each execution is a large share of it. Long executions need more time, because a
# change of the pace shows only after their duration: the time is at least _CORRECTION_SHARE of that.
_CORRECTION_SECONDS = 8.0
_SOONEST_CORRECTION = 0.3
_LATEST_CORRECTION = 1.25
_CORRECTION_SHARE = 0.6
# Below this share of what should run, executions are started at once: a single upload must not wait for a pace.
_FEW = 0.95
# The most executions in a page of ListExecutions. The target is smaller, so that one page shows whether more run.
_PAGE = 1000
# A look counts at most this many times the target. If it counted only one more than the target, it could not see how
# many too many run, and the pace would fall too slowly.
_COUNTED = 4
# The lowest pace of all starters together if the executions cannot be counted. Six functions keep up with it if a
# picture takes up to six seconds.
_LEAST_PACE = 1.0
# How long after a failed look the next one may come. A failed look may take seconds, in which nothing is started.
_AFTER_FAILED_LOOK = 5.0
# How long a starter rests after Step Functions has refused a start.
_REST_SECONDS = 1.0


class Pacing:
    """The pace of one of several starters; each look counts the executions of all of them.

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
        """Return whether it is time to count the running executions."""
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
        """Record the number of running executions."""
        self._grow(now)
        self._note_idleness(now)
        pace, most = self._past_pace(now), self.most
        if running > most:
            # In proportion, so that a starter that is ahead of the others yields more.
            self._pace = pace * most / running
        else:
            self._pace = pace + (most - running) / self._starters / self._correction_seconds(running, pace)
        # Rounded up, a look that finds two of four executions would let each of two starters start one immediately.
        self._room = max(self._room, math.floor((most * _FEW - running) / self._starters))
        self._look_at = now + self._between_looks(now)

    def not_counted(self, began: float, now: float) -> None:
        """Record a failed look: the pace goes on, and one execution may be started immediately."""
        self._grow(now)
        self._note_idleness(began)
        # The lower one, because without a number nothing corrects a pace that is too high.
        pace = min(self._past_pace(began), self._pace)
        self._pace = max(pace, _LEAST_PACE / self._starters)
        self._room = max(self._room, 1.0)
        self._look_at = now + max(_AFTER_FAILED_LOOK, self._between_looks(now))

    def started(self, now: float) -> None:
        """Record that an execution was started."""
        self._room -= 1
        self._starts.append(now)

    def refused(self, now: float) -> None:
        """Record that Step Functions has throttled a start: the account's quota is used up for now."""
        self._rests_until = now + _REST_SECONDS

    @property
    def most(self) -> int:
        """Return how many executions should run."""
        return min(_PAGE - 1, math.ceil(self._pictures * _EXECUTIONS_EACH + _EXECUTIONS_ADDED))

    @property
    def enough(self) -> int:
        """Return how many executions a look counts at most."""
        return min(_PAGE, self.most * _COUNTED)

    def _grow(self, now: float) -> None:
        """Increase the room by the pace, up to the executions of one second."""
        most = max(self._room, self._pace, 1.0)
        self._room = min(most, self._room + (now - self._grown_at) * self._pace)
        self._grown_at = now

    def _note_idleness(self, now: float) -> None:
        """Record that the starter was idle until now, if its look is long overdue."""
        if now > self._look_at + _PACE_SECONDS:
            self._busy_since = now

    def _between_looks(self, now: float) -> float:
        """Return the seconds until the next look."""
        return min(self._starters / _LOOKS_A_SECOND, max(1.0, (now - self._busy_since) / _FIRST_LOOKS))

    def _correction_seconds(self, running: int, pace: float) -> float:
        """Return the seconds within which the pace makes up for missing executions."""
        seconds = min(_LATEST_CORRECTION, max(_SOONEST_CORRECTION, _CORRECTION_SECONDS / self.most))
        # Little's law, if all starters have the same pace.
        duration = running / (pace * self._starters) if pace else 0.0
        return max(seconds, duration * _CORRECTION_SHARE)

    def _past_pace(self, now: float) -> float:
        """Return how many executions a second this starter has recently started."""
        seconds = min(_PACE_SECONDS, max(1.0, (now - self._busy_since) * _PACE_SHARE))
        while self._starts and self._starts[0] < now - seconds:
            self._starts.popleft()
        return len(self._starts) / seconds
