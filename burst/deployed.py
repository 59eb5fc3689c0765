"""Read the deployed settings that matter in a burst from template.yaml and the state machine's definition."""

import json
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from burst.assumptions import FEWEST_FUNCTIONS
from cost.deployment import way_of_a_success
from local.template import example_stack

_DEFINITION = Path(__file__).parents[1] / "statemachine" / "image_resize.asl.json"
_RECONCILE_DEFINITION = _DEFINITION.with_name("reconcile.asl.json")


@dataclass(frozen=True, slots=True)
class Retrier:
    """One rule of the field Retry. Times are seconds.

    Attributes
    ----------
    interval : float
        The wait before the first retry.
    backoff : float
        Each further wait is this many times longer.
    longest : float
        The longest wait.
    most : int
        Retries; after them the error is final.
    has_jitter : bool
        Whether a wait is drawn between 0 and its length.
    """

    interval: float
    backoff: float
    longest: float
    most: int
    has_jitter: bool

    def wait(self, tried: int, random: Random) -> float:
        """Return the seconds until the next retry, after ``tried`` retries."""
        seconds = min(self.longest, self.interval * self.backoff ** min(tried, 30))
        return seconds * random.random() if self.has_jitter else seconds


@dataclass(frozen=True, slots=True)
class Deployed:
    """The pipeline as it is deployed with one UploadConcurrency. Times are seconds, memory is in MB.

    Attributes
    ----------
    is_express : bool
        UploadWorkflow.
    concurrency : int
        UploadConcurrency; in a simulation also the account's limit, unless the scenario has another.
    starters : int
        MaximumConcurrency of the event source mapping.
    pictures : int
        Pictures that can be resized at once.
    batch_size, visibility, receives : int
        Of the queue and its event source mapping; after ``receives`` a message is a dead letter.
    starter_timeout, starter_memory, resize_timeout, resize_memory : int
        Of the two functions.
    retriers, remake_retriers : dict of str to tuple of int and Retrier
        Of an execution, and of a reconcile. By error: the number of its rule, and the rule.
    transitions : int
        Billed state transitions of an execution that succeeds at once.
    """

    is_express: bool
    concurrency: int
    starters: int
    pictures: int
    batch_size: int
    visibility: int
    receives: int
    starter_timeout: int
    starter_memory: int
    resize_timeout: int
    resize_memory: int
    retriers: dict[str, tuple[int, Retrier]]
    remake_retriers: dict[str, tuple[int, Retrier]]
    transitions: int

    @property
    def functions(self) -> int:
        """Return how many functions the smallest account for this UploadConcurrency runs at the same time."""
        return max(self.concurrency, FEWEST_FUNCTIONS)


@cache
def read_api_rate() -> float:
    """Return the requests a second that the API accepts in the long run, with the default of every parameter."""
    return float(example_stack({}).resolve({"Ref": "ApiRateLimit"}))


def read_deployed(workflow: str, concurrency: int) -> Deployed:
    """Read what a deployment with these two parameters consists of.

    Parameters
    ----------
    workflow : str
        UploadWorkflow: STANDARD or EXPRESS.
    concurrency : int
        UploadConcurrency, one of its allowed values.
    """
    stack = example_stack({"UploadWorkflow": workflow, "UploadConcurrency": str(concurrency)})

    def property_of(resource: str, *path: str) -> int:
        value = stack.resolve(stack.template["Resources"][resource]["Properties"])
        for name in path:
            value = value[name]
        return int(value)

    mapping = ("Events", "Uploads", "Properties")
    variables = ("Environment", "Variables")
    is_express = workflow == "EXPRESS"
    starters = property_of("StartFromS3Function", *mapping, "ScalingConfig", "MaximumConcurrency")
    definition = json.loads(_DEFINITION.read_text(encoding="utf-8"))
    work = json.loads(_RECONCILE_DEFINITION.read_text(encoding="utf-8"))["States"]["Work"]
    return Deployed(
        is_express=is_express,
        concurrency=concurrency,
        starters=starters,
        # Each Express execution works on one picture.
        pictures=starters if is_express else property_of("StartFromS3Function", *variables, "PICTURES_AT_ONCE"),
        batch_size=property_of("StartFromS3Function", *mapping, "BatchSize"),
        visibility=property_of("UploadsQueue", "VisibilityTimeout"),
        receives=property_of("UploadsQueue", "RedrivePolicy", "maxReceiveCount"),
        starter_timeout=property_of("StartFromS3Function", "Timeout"),
        starter_memory=property_of("StartFromS3Function", "MemorySize"),
        resize_timeout=property_of("ResizeFunction", "Timeout"),
        resize_memory=property_of("ResizeFunction", "MemorySize"),
        retriers=_read_retriers(definition),
        remake_retriers=_read_retriers(work["ItemProcessor"]["States"]["WorkOnEachKey"]["ItemProcessor"]),
        transitions=len(way_of_a_success(definition)),
    )


def _read_retriers(machine: dict[str, Any]) -> dict[str, tuple[int, Retrier]]:
    """Read the rules of ResizeImage, with the defaults of Step Functions.

    https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
    """
    return {
        error: (
            number,
            Retrier(
                interval=rule.get("IntervalSeconds", 1),
                backoff=rule.get("BackoffRate", 2.0),
                longest=rule.get("MaxDelaySeconds", math.inf),
                most=rule.get("MaxAttempts", 3),
                has_jitter=rule.get("JitterStrategy") == "FULL",
            ),
        )
        for number, rule in enumerate(machine["States"]["ResizeImage"]["Retry"])
        for error in rule["ErrorEquals"]
    }
