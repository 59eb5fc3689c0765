"""Check that the saved queries of Logs Insights exist and find this visit; each is run as it was saved."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from local.amounts import counted
from smoke.checks.logs import interrupted, until
from smoke.deployment import Deployment
from smoke.report import Mark, Row, judged_all
from smoke.visit import Visit

# How often a query is repeated if log lines have not arrived yet; each run is billed for what it scans.
QUERIES_ASKED = 3
# The placeholder for the key in the saved query.
EXAMPLE = "/cat.jpg/"

_POLL_SECONDS = 1.0
_CLOCK_SECONDS = 60
_ENDED = {"Complete", "Failed", "Cancelled", "Timeout", "Unknown"}
_NO_PICTURE = "NotAnImageError"

Found = dict[str, str]
# Takes the rows that a query found, and returns the faults.
_Judge = Callable[[list[Found]], list[str]]


@dataclass(frozen=True, slots=True)
class _Answer:
    status: str
    rows: list[Found]


def saved_queries_answer(deployment: Deployment, visit: Visit) -> Iterator[Row]:
    """Run every saved query over the time of this visit."""
    logs = deployment.client("logs")
    prefix = f"{deployment.parameters['BucketPrefix']}/"
    listed = logs.describe_query_definitions(queryDefinitionNamePrefix=prefix)["queryDefinitions"]
    saved = {each["queryDefinitionId"]: each for each in listed}
    group = deployment.id_of
    judges: dict[str, _Judge] = {
        "OneKeyQuery": partial(
            one_key_faults,
            keys={upload.key for upload in visit.uploads if upload.execution},
            groups=(group("StartFromS3FunctionLogs"), group("ResizeFunctionLogs")),
            machine=group("ImageResizeStateMachineLogs"),
        ),
        "SlowestPicturesQuery": slowest_faults,
        "FailuresQuery": partial(failures_faults, folder=f"{deployment.prefix}{visit.id}/"),
    }
    for logical_id, judge in judges.items():
        definition = saved.get(group(logical_id))
        if definition is None:
            yield Row(Mark.BROKEN, f"{logical_id} is saved", "somebody deleted it")
            continue
        text = definition["queryString"].replace(EXAMPLE, f"/{visit.id}/")
        ask = partial(_ask, deployment, definition["logGroupNames"], text, int(visit.started))
        patience = visit.patience
        answer = until(ask, partial(_is_found, judge), patience, patience / QUERIES_ASKED)
        faults = judge(answer.rows) if answer.status == "Complete" else [f"it ended as {answer.status}"]
        yield judged_all(f"saved query: {definition['name']}", counted(len(answer.rows), "row"), faults)


def one_key_faults(rows: list[Found], *, keys: set[str], groups: tuple[str, ...], machine: str) -> list[str]:
    """Return the lines of uploads that the query for one key did not find.

    Parameters
    ----------
    rows : list of dict
    keys : set of str
        Keys of the uploads.
    groups : tuple of str
        Log groups that must have a line for each key.
    machine : str
        Log group that must have the end of the upload that is not a picture.
    """
    found = {(row["@log"].partition(":")[2], row.get("object_key")) for row in rows}
    faults = [f"no line for {key} in {group}" for group in groups for key in sorted(keys) if (group, key) not in found]
    ends = [row for row in rows if row["@log"].endswith(machine) and row.get("failure") == f"Permanent.{_NO_PICTURE}"]
    return faults if ends else [*faults, f"no {_NO_PICTURE} in {machine}"]


def slowest_faults(rows: list[Found]) -> list[str]:
    """Return the faults of the query for slow pictures: each row needs a key and a duration, the slowest first."""
    if not rows:
        return ["no picture"]
    if not all(row.get("object_key") and row.get("total_ms") for row in rows):
        return ["a row has no key or no duration"]
    times = [float(row["total_ms"]) for row in rows]
    return [] if times == sorted(times, reverse=True) else ["the slowest is not first"]


def failures_faults(rows: list[Found], *, folder: str) -> list[str]:
    """Return a fault if the failure in the folder of this visit is missing."""
    found = {(row.get("failure"), row.get("folder")) for row in rows}
    return [] if (_NO_PICTURE, folder) in found else [f"no {_NO_PICTURE} in {folder}"]


def _is_found(judge: _Judge, answer: _Answer) -> bool:
    return not judge(answer.rows)


def _ask(deployment: Deployment, groups: list[str], query: str, since: int) -> _Answer:
    logs: Any = deployment.client("logs")
    identifier = logs.start_query(
        logGroupNames=groups,
        startTime=since - _CLOCK_SECONDS,
        endTime=int(time.time()) + _CLOCK_SECONDS,
        queryString=query,
    )["queryId"]
    while (answer := logs.get_query_results(queryId=identifier))["status"] not in _ENDED:
        if interrupted.wait(_POLL_SECONDS):
            break
    rows = [{each["field"]: each["value"] for each in row} for row in answer["results"]]
    return _Answer(answer["status"], rows)
