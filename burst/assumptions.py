"""What the simulation assumes of AWS and of the pictures: quotas that AWS publishes, and times that it does not."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bucket:
    """A quota as a token bucket: at most ``size`` calls at once, and ``refill`` a second in the long run."""

    size: float
    refill: float

    def seconds(self, calls: float) -> float:
        """Return the seconds until so many calls have been allowed."""
        return max(0.0, (calls - self.size) / self.refill)


@dataclass(frozen=True, slots=True)
class Quotas:
    """Quotas of Step Functions in one region.

    See https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
    """

    starts: Bucket
    looks: Bucket
    transitions: Bucket


# us-east-1, us-west-2 and eu-west-1.
LARGE_REGION = Quotas(starts=Bucket(1300, 300), looks=Bucket(200, 5), transitions=Bucket(5000, 5000))
# All others.
SMALL_REGION = Quotas(starts=Bucket(800, 150), looks=Bucket(100, 2), transitions=Bucket(800, 800))
# The same page says "New Amazon accounts have reduced state transition quotas", but not by how much: this is a guess.
NEW_ACCOUNT = Quotas(starts=Bucket(800, 150), looks=Bucket(100, 2), transitions=Bucket(100, 50))


@dataclass(frozen=True, slots=True)
class Times:
    """How long things take, in seconds. AWS publishes none of them; these are of the order that people measure.

    Attributes
    ----------
    picture, picture_sigma : float
        Mean and shape (lognormal) of a resize.
    cold_start, starter_cold_start : float
        First run in a new sandbox: the resize function's, the starter's.
    event : float
        From the end of an upload until its message is in the queue.
    receive, delete : float
        Between the queue and a starter, for a batch.
    start, look : float
        A call to Step Functions.
    before, after : float
        From the start of an execution to the invocation of its function, and from the function's end to its own end.
    list_lag : float
        How old the list of executions is. "This operation is eventually consistent":
        https://docs.aws.amazon.com/step-functions/latest/apireference/API_ListExecutions.html
    refusal : float
        Until Lambda responds that all functions are busy, or that it failed.
    """

    picture: float = 0.4
    picture_sigma: float = 0.5
    cold_start: float = 0.9
    starter_cold_start: float = 0.45
    event: float = 0.2
    receive: float = 0.03
    delete: float = 0.015
    start: float = 0.035
    look: float = 0.05
    before: float = 0.08
    after: float = 0.07
    list_lag: float = 0.4
    refusal: float = 0.03


# How fast a burst arrives, uploads a second.
ARRIVALS_A_SECOND = 2000.0
# Lambda begins with FIRST_POLLERS concurrent batches and adds POLLERS_A_SECOND each second:
# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
FIRST_POLLERS = 5
POLLERS_A_SECOND = 5.0
# After a failed invocation Lambda reads the queue more slowly; AWS does not say how much. Seconds.
FIRST_BACKOFF = 1.0
LONGEST_BACKOFF = 30.0
# If all functions are busy, Lambda invokes a starter again after up to twice this long, then up to four times, …;
# seconds.
FIRST_PAUSE = 0.5
# An account runs at least this many functions at once:
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
FEWEST_FUNCTIONS = 10
