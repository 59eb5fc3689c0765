"""The simulated bursts, their targets, and their results."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

from burst.assumptions import (
    FIRST_POLLERS,
    LARGE_REGION,
    NEW_ACCOUNT,
    POLLERS_A_SECOND,
    SMALL_REGION,
    Quotas,
    Times,
)
from burst.deployed import Deployed, read_api_rate, read_deployed
from burst.simulation import Load, Outcome, Pace, Simulation
from burst.ways import AtOnce, as_before
from functions.reconcile.inputs import CONCURRENCY
from functions.start_from_s3.pacing import Pacing

# The targets: dollars of a burst, divided by those of the same uploads on a calm day; its rate, divided by the rate
# that the concurrency allows; and seconds until a single upload into an idle stack starts.
MOST_DOLLARS = 1.2
LEAST_RATE = 0.9
MOST_SECONDS_TO_START = 1.0
# The rate is that of this share of the burst, because the last uploads may wait minutes for their next retry.
BEGUN = 0.99

_CALM_UPLOADS = 1000
_CALM_A_SECOND = 1.0
# Slower, because some of these pictures take a minute.
_CALM_POISON_A_SECOND = 0.02
_CALM_POISON_PICTURES = 20
_ROOMY = 1000
_HOUR = (60.0, 3660.0)
_STEP_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Scenario:
    """One burst.

    Attributes
    ----------
    name : str
    workflow : str
    concurrency : int
        UploadConcurrency.
    load : Load
    quotas : Quotas
    functions : int
        The account's limit of concurrent executions; 0 for UploadConcurrency, but at least ten.
    reserved : int
        ReservedConcurrency of the resize function; 0 for none.
    is_old : bool
        Whether uploads are started without pacing, for comparison.
    """

    name: str
    workflow: str
    concurrency: int
    load: Load
    quotas: Quotas = LARGE_REGION
    functions: int = 0
    reserved: int = 0
    is_old: bool = False

    def deployed(self) -> Deployed:
        """Return what is deployed."""
        deployed = read_deployed(self.workflow, self.concurrency)
        return as_before(deployed) if self.is_old else deployed

    def pace(self) -> Callable[[int, int], Pace]:
        """Return the class of a starter's pace."""
        return AtOnce if self.is_old else Pacing


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a burst.

    Attributes
    ----------
    scenario : Scenario
    outcome : Outcome
    dollars : float
        Of the burst, without requests to S3.
    dollars_over_calm : float
        Divided by the dollars of the same uploads on a calm day.
    rate, rate_allowed : float
        Resizes begun a second, and the rate that the concurrency allows.
    """

    scenario: Scenario
    outcome: Outcome
    dollars: float
    dollars_over_calm: float
    rate: float
    rate_allowed: float

    @property
    def share_of_rate(self) -> float:
        """Return the rate divided by the allowed rate."""
        return self.rate / self.rate_allowed

    @property
    def share_after_outage(self) -> float:
        """Return the share without the time of the outage, in which nothing can be done."""
        begun, outage = BEGUN * self.scenario.load.uploads, self.scenario.load.outage_seconds
        return (begun / self.rate_allowed - outage) / (begun / self.rate - outage)

    def broken(self) -> list[str]:
        """Return the promises that were not kept."""
        outcome = self.outcome
        kept = {
            f"{outcome.failed_by_fault:,} FAILED by fault": outcome.failed_by_fault == 0,
            f"{outcome.lost:,} lost": outcome.lost == 0,
            f"{outcome.dead_letters:,} dead letters": outcome.dead_letters == 0,
            f"{outcome.doubled:,} ended twice": outcome.doubled == 0,
            f"{self.dollars_over_calm:.2f} x the calm price": self.dollars_over_calm <= MOST_DOLLARS,
            f"{self.share_of_rate:.2f} x the rate": self.share_of_rate >= LEAST_RATE,
            f"{outcome.remakes_faulted:,} left by the reconcile": outcome.remakes_faulted == 0,
        }
        return [text for text, is_kept in kept.items() if not is_kept]


@dataclass(frozen=True, slots=True)
class Calm:
    """One upload on a calm day.

    Attributes
    ----------
    dollars : float
    starter_seconds, resize_seconds : float
        Of the two functions.
    first_start : float
        Seconds from the end of a single upload into an idle stack until its execution starts.
    """

    dollars: float
    starter_seconds: float
    resize_seconds: float
    first_start: float


@cache
def calm(workflow: str, concurrency: int, poison_every: int = 0) -> Calm:
    """Simulate uploads that come one by one, with functions to spare."""
    deployed = read_deployed(workflow, concurrency)
    count = poison_every * _CALM_POISON_PICTURES or _CALM_UPLOADS
    a_second = _CALM_POISON_A_SECOND if poison_every else _CALM_A_SECOND
    load = Load(count, arrivals_a_second=a_second, poison_every=poison_every)
    outcome = Simulation(deployed, Pacing, load, functions=_ROOMY).run()
    bill = outcome.bill
    return Calm(
        dollars=bill.dollars(deployed) / count,
        starter_seconds=bill.starter_seconds / count,
        resize_seconds=bill.resize_seconds / count,
        first_start=outcome.first_start,
    )


def run(scenario: Scenario, seed: int = 1) -> Result:
    """Simulate one burst."""
    deployed = scenario.deployed()
    outcome = Simulation(
        deployed,
        scenario.pace(),
        scenario.load,
        quotas=scenario.quotas,
        functions=scenario.functions,
        reserved=scenario.reserved,
        seed=seed,
    ).run()
    one = calm(scenario.workflow, scenario.concurrency, scenario.load.poison_every)
    begun = BEGUN * scenario.load.uploads
    allowed = seconds_allowed(scenario, one, outcome)
    expected = one.dollars * outcome.uploads + calm("STANDARD", scenario.concurrency).dollars * outcome.posts
    return Result(
        scenario=scenario,
        outcome=outcome,
        dollars=outcome.bill.dollars(deployed),
        dollars_over_calm=outcome.bill.dollars(deployed) / expected,
        rate=begun / outcome.drained,
        rate_allowed=begun / allowed,
    )


def seconds_allowed(scenario: Scenario, one: Calm, outcome: Outcome) -> float:
    """Return the seconds in which the concurrency allows 99 % of a burst to begin.

    They include the first start, a cold start, an outage, and the longest of arrival, work and quotas. The starters
    that Lambda has added so far limit the work. So do, with STANDARD, the pictures at the same time divided by the mean
    duration of a picture; and with EXPRESS, the runs at the same time divided by the mean duration of a run, and the
    functions that these runs leave. API requests and a reconcile use a part of that.
    """
    deployed, load, times = scenario.deployed(), scenario.load, Times()
    uploads = BEGUN * load.uploads
    a_picture = outcome.drained_picture
    functions = scenario.functions or deployed.functions
    if deployed.is_express:
        runs = deployed.starters * (1 - load.remakes_at_once / functions)
        starter_seconds = a_picture + one.starter_seconds - one.resize_seconds
        # A run uses two functions, a request one.
        posts = load.posts_a_second * a_picture / (starter_seconds + a_picture)
        resizes = functions - load.remakes_at_once - runs
        most, quotas = min(runs / starter_seconds, resizes / a_picture) - posts, 0.0
    else:
        free = functions - deployed.starters - load.remakes_at_once
        starter_seconds = times.start + (times.receive + times.delete) / deployed.batch_size
        most = min(deployed.pictures, free) / a_picture - load.posts_a_second
        quotas = max(
            scenario.quotas.starts.seconds(uploads), scenario.quotas.transitions.seconds(uploads * deployed.transitions)
        )
    most = min(most, deployed.starters / starter_seconds)
    left, ramp = uploads, 0.0
    while left > 0 and FIRST_POLLERS + POLLERS_A_SECOND * ramp < deployed.starters:
        left -= min(most, (FIRST_POLLERS + POLLERS_A_SECOND * ramp) / starter_seconds) * _STEP_SECONDS
        ramp += _STEP_SECONDS
    work = ramp + max(0.0, left) / most
    arrival = uploads / load.arrivals_a_second
    return one.first_start + times.cold_start + load.outage_seconds + max(arrival, work, quotas)


def scenarios() -> list[Scenario]:
    """Return all bursts."""
    rows = [
        Scenario("burst", workflow, concurrency, Load(uploads))
        for workflow in ("STANDARD", "EXPRESS")
        for concurrency in (10, 100, 1000)
        for uploads in (1_000, 10_000, 100_000, 1_000_000)
    ]
    live = partial(Load, posts_a_second=0.5, live_seconds=600.0)
    busy = partial(Load, posts_a_second=read_api_rate(), live_seconds=600.0)
    reconcile = partial(live, remakes=5_000, remakes_at_once=CONCURRENCY)
    for workflow in ("STANDARD", "EXPRESS"):
        rows += [
            Scenario("1,000 poison pictures", workflow, 10, Load(10_000, poison_every=10)),
            Scenario("1,000 poison pictures", workflow, 100, Load(10_000, poison_every=10)),
            Scenario("Lambda is out for an hour", workflow, 10, Load(10_000, outage=_HOUR)),
            Scenario("Lambda is out for an hour", workflow, 100, Load(100_000, outage=_HOUR)),
            Scenario("burst and live traffic", workflow, 10, live(10_000, live_a_second=1.0)),
            Scenario("as many requests as the API accepts", workflow, 10, busy(600, arrivals_a_second=1.0)),
            Scenario("live traffic during a reconcile", workflow, 10, reconcile(600, arrivals_a_second=1.0)),
            Scenario("burst during a reconcile", workflow, 10, reconcile(1_000)),
            Scenario("10 functions reserved", workflow, 10, Load(100_000), functions=_ROOMY, reserved=10),
            Scenario("50 functions reserved", workflow, 50, Load(10_000), functions=_ROOMY, reserved=50),
            Scenario("small region", workflow, 1000, Load(100_000), SMALL_REGION),
            Scenario("new account's quotas", workflow, 10, Load(10_000), NEW_ACCOUNT),
        ]
    return rows


def old_scenarios() -> list[Scenario]:
    """Return bursts that the old way must fail."""
    rows = {"10 functions reserved": Load(100_000), "Lambda is out for an hour": Load(10_000, outage=_HOUR)}
    return [
        Scenario(name, "STANDARD", 10, load, functions=_ROOMY, reserved=10, is_old=True) for name, load in rows.items()
    ]
