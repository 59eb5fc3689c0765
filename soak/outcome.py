"""Read the final state of a soak from the outside: the two buckets, the executions and the queues."""

import json
import re
from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from soak.deployment import Deployment

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions.type_defs import ExecutionListItemTypeDef

_READERS = 8
_MANIFEST = re.compile(r"manifests/(.+)\.json", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution.

    Attributes
    ----------
    name : str
        The same for all Express executions of one event.
    key : str
        The original that it was started for.
    is_posted : bool
        Whether a request started it.
    status : str
        Status of Step Functions.
    error, cause : str
        Why it failed; empty if it did not.
    source_etag : str
        ETag of the original from which it made thumbnails; empty if it failed or found no original.
    made : dict of str to str
        Key of each thumbnail to its ETag.
    retried_for : tuple of str
        Errors after which the function was invoked again, one for each retry.
    ended : float
        Seconds since 1970.
    """

    name: str
    key: str
    is_posted: bool
    status: str
    error: str
    cause: str
    source_etag: str
    made: dict[str, str]
    retried_for: tuple[str, ...]
    ended: float


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """One stored thumbnail: its own ETag, and the original's ETag in its metadata."""

    etag: str
    original_etag: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """One manifest: the ETag of the original that it describes, and the ETag of each thumbnail that it lists."""

    original_etag: str
    thumbnails: dict[str, str]
    error: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """The visible state after a soak.

    Attributes
    ----------
    versions : int
        Number of all versions of all originals.
    originals : dict of str to str
        ETag of each current original, by key.
    executions : list of Execution
    manifests : dict of str to Manifest
        By the key of the original.
    thumbnails : dict of str to Thumbnail
        All other objects of the thumbnails bucket, by key.
    dead_letters : list of str
        The key of each upload in the dead-letter queue, or the message if it is not an event.
    waiting : int
        Messages that are still in the uploads queue.
    """

    versions: int
    originals: dict[str, str]
    executions: list[Execution]
    manifests: dict[str, Manifest]
    thumbnails: dict[str, Thumbnail]
    dead_letters: list[str]
    waiting: int


def read_outcome(deployment: Deployment) -> Outcome:
    """Read buckets, executions and queues."""
    with ThreadPoolExecutor(_READERS) as pool:
        pages = deployment.step_functions.get_paginator("list_executions").paginate(stateMachineArn=deployment.machine)
        listed = [execution for page in pages for execution in page["executions"]]
        executions = list(pool.map(lambda execution: _execution(deployment, execution), listed))
        if deployment.log_group:
            executions += _express_executions(deployment, deployment.log_group)
        contents = deployment.s3.get_paginator("list_objects_v2").paginate(Bucket=deployment.thumbnails)
        keys = [stored["Key"] for page in contents for stored in page.get("Contents", ())]
        named = [key for key in keys if _MANIFEST.fullmatch(key)]
        others = [key for key in keys if not _MANIFEST.fullmatch(key)]
        manifests = dict(pool.map(lambda key: _manifest(deployment, key), named))
        thumbnails = dict(zip(others, pool.map(lambda key: _thumbnail(deployment, key), others), strict=True))
    pages_of_versions = deployment.s3.get_paginator("list_object_versions").paginate(Bucket=deployment.originals)
    versions = [version for page in pages_of_versions for version in page.get("Versions", ())]
    return Outcome(
        versions=len(versions),
        originals={version["Key"]: version["ETag"].strip('"') for version in versions if version["IsLatest"]},
        executions=executions,
        manifests=manifests,
        thumbnails=thumbnails,
        dead_letters=_dead_letters(deployment),
        waiting=sum(deployment.queued()),
    )


def _execution(deployment: Deployment, listed: "ExecutionListItemTypeDef") -> Execution:
    arn = listed["executionArn"]
    described = deployment.step_functions.describe_execution(executionArn=arn)
    pages = deployment.step_functions.get_paginator("get_execution_history").paginate(executionArn=arn)
    events = [event for page in pages for event in page["events"]]
    failures = [event["taskFailedEventDetails"] for event in events if event["type"] == "TaskFailed"]
    return _described(
        listed["name"],
        described["input"],
        described["status"],
        {name: str(described.get(name, "")) for name in ("error", "cause", "output")},
        tries=sum(event["type"] == "TaskScheduled" for event in events),
        failures=[_reason(failure.get("error", ""), failure.get("cause", "")) for failure in failures],
        ended=described["stopDate"].timestamp() if "stopDate" in described else 0.0,
    )


def _express_executions(deployment: Deployment, log_group: str) -> list[Execution]:
    """Read the Express executions, which are only in the log."""
    histories: dict[str, list[dict[str, Any]]] = defaultdict(list)
    logs = deployment.client("logs")
    streams = [
        stream["logStreamName"]
        for page in logs.get_paginator("describe_log_streams").paginate(logGroupName=log_group)
        for stream in page["logStreams"]
    ]
    for stream in streams:
        # One at a time: the local stack returns at most 10,000 lines, and does not report that there are more.
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=log_group, logStreamNames=[stream])
        for line in (line for page in pages for line in page["events"]):
            event = json.loads(line["message"])
            if ":express:" in event["execution_arn"]:
                histories[event["execution_arn"]].append(event)
    return [_logged(arn, sorted(events, key=lambda event: int(event["id"]))) for arn, events in histories.items()]


def _logged(arn: str, events: list[dict[str, Any]]) -> Execution:
    first, last = events[0], events[-1]
    failures = [event["details"] for event in events if event["type"] == "TaskFailed"]
    return _described(
        arn.split(":")[7],
        first["details"]["input"],
        last["type"].removeprefix("Execution").upper(),
        last["details"],
        tries=sum(event["type"] == "TaskScheduled" for event in events),
        failures=[_reason(failure.get("error", ""), failure.get("cause", "")) for failure in failures],
        ended=int(last["event_timestamp"]) / 1000,
    )


def _described(  # noqa: PLR0913 - it combines the results of two APIs
    name: str,
    request: str,
    status: str,
    end: Mapping[str, str],
    *,
    tries: int,
    failures: list[str],
    ended: float,
) -> Execution:
    output: dict[str, Any] = json.loads(end.get("output") or "{}")
    return Execution(
        name=name,
        key=json.loads(request)["object_key"],
        is_posted=name.startswith("api-"),
        status=status,
        error=end.get("error", ""),
        cause=end.get("cause", ""),
        source_etag=output.get("source", {}).get("etag", ""),
        made={made["key"]: made["etag"] for made in output.get("thumbnails", ())},
        retried_for=tuple(failures[: max(0, tries - 1)]),
        ended=ended,
    )


def _reason(error: str, cause: str) -> str:
    """Return a short reason for a failed attempt."""
    try:
        details = json.loads(cause)
        return str(details.get("errorMessage") or details.get("errorType"))
    except ValueError:
        return cause or error


def _manifest(deployment: Deployment, key: str) -> tuple[str, Manifest]:
    """Return the key of the original in a manifest's key, and the content of the manifest."""
    content = json.loads(deployment.s3.get_object(Bucket=deployment.thumbnails, Key=key)["Body"].read())
    match = _MANIFEST.fullmatch(key)
    assert match is not None  # noqa: S101 - the caller selected it by the same expression
    return match[1], Manifest(
        content["original"].get("etag", ""),
        {each["key"]: each["etag"] for each in content["thumbnails"]},
        content.get("error", {}).get("name", ""),
    )


def _thumbnail(deployment: Deployment, key: str) -> Thumbnail:
    head = deployment.s3.head_object(Bucket=deployment.thumbnails, Key=key)
    return Thumbnail(head["ETag"].strip('"'), head["Metadata"].get("original-etag", ""))


def _dead_letters(deployment: Deployment) -> list[str]:
    found: list[str] = []
    while True:
        answer = deployment.sqs.receive_message(
            QueueUrl=deployment.dead_letters, MaxNumberOfMessages=10, VisibilityTimeout=600
        )
        messages = answer.get("Messages", [])
        if not messages:
            return found
        for message in messages:
            try:
                records = json.loads(message["Body"])["Records"]
                found += [unquote_plus(record["s3"]["object"]["key"]) for record in records]
            except (ValueError, KeyError, TypeError):
                found.append(message["Body"][:80])
