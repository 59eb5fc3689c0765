"""Check that the logs of this visit arrived: of both functions, of the executions and of the API."""

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

from local.amounts import counted
from smoke.deployment import Deployment
from smoke.report import Mark, Row, judged_all
from smoke.visit import Visit

_PAUSE_SECONDS = 2.0
_ALL = "ALL"
_ENDS = {"ExecutionSucceeded", "ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted"}

_T = TypeVar("_T")

# Set when the run is interrupted, so that the checks stop waiting.
interrupted = threading.Event()


def functions_log(deployment: Deployment, visit: Visit) -> Iterator[Row]:
    """Check that both functions logged every upload under its key."""
    # Other checks report uploads that started no execution, so their lines are not awaited here.
    keys = {upload.key for upload in visit.uploads if upload.execution}
    for group, name in (("StartFromS3FunctionLogs", "start_from_s3"), ("ResizeFunctionLogs", "resize")):
        # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
        pattern = f'{{ $.object_key = "{deployment.prefix}{visit.id}/*" }}'
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
    """Check that Step Functions logged the uploads' executions as the parameter ``WorkflowLogLevel`` requires."""
    level = deployment.parameters["WorkflowLogLevel"]
    executions = [upload.execution for upload in visit.uploads if upload.execution]
    names = {each.name for each in executions if level == _ALL or each.status == "FAILED"}
    pattern = f'{{ $.execution_arn = "{deployment.upload_executions}:upload-{visit.id}-*" }}'
    events = until(
        partial(_lines, deployment, "ImageResizeStateMachineLogs", visit, pattern),
        lambda events: not _unlogged(names, events, level),
        visit.patience,
    )
    yield execution_events(names, events, level)


def execution_events(names: set[str], events: list[dict[str, Any]], level: str) -> Row:
    """Judge the lines of the executions with these names in the log of the state machines."""
    if level == _ALL:
        promise = "executions of dotted, unusual and long names are logged"
        found = f"ExecutionStarted and the end of {counted(len(names), 'execution')}"
    else:
        promise, found = "executions that fail are logged", f"the end of {counted(len(names), 'execution')}"
    if not names:
        return Row(Mark.BROKEN, promise, "no upload started such an execution")
    return judged_all(promise, found, _unlogged(names, events, level))


def _unlogged(names: set[str], events: list[dict[str, Any]], level: str) -> list[str]:
    types: dict[str, set[str]] = {name: set() for name in names}
    nameless: set[str] = set()
    for event in events:
        # arn:aws:states:<region>:<account>:execution:<state machine>:<name>; an Express one ends with an id.
        name = ":".join(str(event.get("execution_arn", "")).split(":")[7:8])
        if name in types:
            types[name].add(event.get("type", ""))
            # The alarms use this name to tell bad pictures from faults. AWS does not document whether the log has it
            # without execution data.
            if event.get("type") == "ExecutionFailed" and not event.get("details", {}).get("error"):
                nameless.add(name)
    faults = []
    for name, seen in sorted(types.items()):
        if not seen:
            faults.append(f"{name} is not logged")
        elif level == _ALL and "ExecutionStarted" not in seen:
            faults.append(f"{name} has no ExecutionStarted")
        elif not seen & _ENDS:
            faults.append(f"{name} has no end")
        elif name in nameless:
            faults.append(f"{name} failed without the name of an error")
    return faults


def api_requests_are_logged(deployment: Deployment, visit: Visit) -> Iterator[Row]:
    """Check that the API's access log has the valid request, with the name of its execution."""
    promise = "the API logs requests with their executions"
    if deployment.parameters["ApiAccessLogs"] == "NONE":
        yield Row(Mark.KEPT, "the API logs nothing: ApiAccessLogs=NONE", "not checked")
        return
    execution = visit.posts["good"].execution
    if execution is None:
        yield Row(Mark.BROKEN, promise, "the valid request started no execution")
        return
    pattern = f'{{ $.executionName = "{execution.name}" }}'
    lines = until(partial(_lines, deployment, "ResizeApiLogs", visit, pattern), bool, visit.patience / 3)
    yield access_log_lines(lines, execution.name)


def access_log_lines(lines: list[dict[str, Any]], execution: str) -> Row:
    """Report whether a line names an execution. API Gateway promises no delivery time, so a missing line is open."""
    promise = "the API logs requests with their executions"
    if any(line.get("executionName") == execution for line in lines):
        return Row(Mark.KEPT, promise, f"a line names {execution}")
    return Row(Mark.OPEN, promise, f"no line yet names {execution}: API Gateway may take some minutes")


def _lines(deployment: Deployment, group: str, visit: Visit, pattern: str) -> list[dict[str, Any]]:
    return list(deployment.log_lines(group, visit.started, pattern))


def until(ask: Callable[[], _T], is_enough: Callable[[_T], bool], seconds: float, pause: float = _PAUSE_SECONDS) -> _T:
    """Repeat a call until its result is sufficient or the time is up; return the last result."""
    deadline = time.monotonic() + seconds
    while not is_enough(answer := ask()) and time.monotonic() < deadline and not interrupted.wait(pause):
        pass
    return answer
