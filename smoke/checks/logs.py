"""Whether the logs of this visit arrived: of both functions, of the executions and of the API."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

from smoke.deployment import Deployment
from smoke.report import Mark, Row, judged_all
from smoke.visit import Visit

_PAUSE_SECONDS = 2.0
_CLOCK_SECONDS = 60.0
_ENDS = {"ExecutionSucceeded", "ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted"}

_T = TypeVar("_T")

# Set when nobody waits for the checks any more.
interrupted = threading.Event()


def functions_log(deployment: Deployment, visit: Visit) -> Iterator[Row]:
    """Check that both functions logged every upload under its key."""
    # An upload that started nothing is found out elsewhere; its lines are not waited for.
    keys = {upload.key for upload in visit.uploads if upload.execution}
    for group, name in (("StartFromS3FunctionLogs", "start_from_s3"), ("ResizeFunctionLogs", "resize")):
        # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
        pattern = f'{{ $.object_key = "smoke/{visit.id}/*" }}'
        ask = partial(_lines, deployment, group, visit, pattern)
        lines = until(ask, lambda lines: keys <= {line.get("object_key") for line in lines}, visit.patience)
        yield function_lines(name, keys, lines)


def function_lines(function: str, keys: set[str], lines: list[dict[str, Any]]) -> Row:
    """Judge the lines of one function: one or more for each upload."""
    promise = f"{function} logs every upload"
    if not keys:
        return Row(Mark.BROKEN, promise, "no upload started an execution")
    logged = {line.get("object_key") for line in lines}
    missing = sorted(keys - logged)
    found = f"{len(lines)} lines for {len(keys)} uploads"
    return judged_all(promise, found, [f"no line for {key}" for key in missing])


def executions_are_logged(deployment: Deployment, visit: Visit) -> Iterator[Row]:
    """Check that Step Functions logged the start and the end of every upload's execution."""
    names = {upload.execution.name for upload in visit.uploads if upload.execution}
    executions = deployment.machine.replace(":stateMachine:", ":execution:")
    pattern = f'{{ $.execution_arn = "{executions}:upload-{visit.id}-*" }}'
    events = until(
        partial(_lines, deployment, "ImageResizeStateMachineLogs", visit, pattern),
        lambda events: not _unlogged(names, events),
        visit.patience,
    )
    yield execution_events(names, events)


def execution_events(names: set[str], events: list[dict[str, Any]]) -> Row:
    """Judge what the log of the state machine has of the executions with these names."""
    promise = "executions of dotted, odd and long names are logged"
    if not names:
        return Row(Mark.BROKEN, promise, "no upload started an execution")
    found = f"ExecutionStarted and an end of all {len(names)}"
    return judged_all(promise, found, _unlogged(names, events))


def _unlogged(names: set[str], events: list[dict[str, Any]]) -> list[str]:
    types: dict[str, set[str]] = {name: set() for name in names}
    for event in events:
        name = str(event.get("execution_arn", "")).rpartition(":")[2]
        if name in types:
            types[name].add(event.get("type", ""))
    faults = []
    for name, seen in sorted(types.items()):
        if not seen:
            faults.append(f"{name} is not logged")
        elif "ExecutionStarted" not in seen:
            faults.append(f"{name} has no ExecutionStarted")
        elif not seen & _ENDS:
            faults.append(f"{name} has no end")
    return faults


def api_requests_are_logged(deployment: Deployment, visit: Visit) -> Iterator[Row]:
    """Check that the API's access log has the good request, with the name of its execution."""
    promise = "the API logs requests with their executions"
    if deployment.parameters["ApiAccessLogs"] == "NONE":
        yield Row(Mark.KEPT, "the API logs nothing: ApiAccessLogs=NONE", "nothing was looked for")
        return
    execution = visit.posts["good"].execution
    if execution is None:
        yield Row(Mark.BROKEN, promise, "the good request started no execution")
        return
    pattern = f'{{ $.executionName = "{execution.name}" }}'
    lines = until(partial(_lines, deployment, "ResizeApiLogs", visit, pattern), bool, visit.patience / 3)
    yield access_log_lines(lines, execution.name)


def access_log_lines(lines: list[dict[str, Any]], execution: str) -> Row:
    """Report whether a line names an execution; delivery has no deadline, so a missing line is open, not broken."""
    promise = "the API logs requests with their executions"
    if any(line.get("executionName") == execution for line in lines):
        return Row(Mark.KEPT, promise, f"a line names {execution}")
    return Row(Mark.OPEN, promise, f"no line yet names {execution}: API Gateway may take some minutes")


def _lines(deployment: Deployment, group: str, visit: Visit, pattern: str) -> list[dict[str, Any]]:
    return list(read(deployment, group, visit, pattern))


def read(deployment: Deployment, group: str, visit: Visit, pattern: str) -> Iterator[dict[str, Any]]:
    """Yield the JSON lines since the visit began that match a pattern; lines of other kinds are left out."""
    pages = deployment.client("logs").get_paginator("filter_log_events")
    since = int((visit.started - _CLOCK_SECONDS) * 1000)
    for page in pages.paginate(logGroupName=deployment.id_of(group), startTime=since, filterPattern=pattern):
        for event in page["events"]:
            try:
                line = json.loads(event["message"])
            except ValueError:
                continue
            if isinstance(line, dict):
                yield line


def until(ask: Callable[[], _T], is_enough: Callable[[_T], bool], seconds: float, pause: float = _PAUSE_SECONDS) -> _T:
    """Ask again until it is enough or the time is up; return the last answer."""
    deadline = time.monotonic() + seconds
    while not is_enough(answer := ask()) and time.monotonic() < deadline and not interrupted.wait(pause):
        pass
    return answer
