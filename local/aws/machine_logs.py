"""Write the history of an execution to the log group of its state machine, which MiniStack leaves empty.

All events are written when the execution has ended; AWS delivers them within seconds and promises no order. Executions
whose names have other characters than ``0-9 A-Z a-z - _`` are not logged here, because AWS does not promise to log
them.

https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html
https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
"""

import datetime as dt
import json
import re
from typing import Any

from ministack.services import cloudwatch_logs, stepfunctions  # type: ignore[import-not-found]

_LOGGED_NAME = re.compile(r"[0-9A-Za-z_-]+")
_TYPES = {"ALL": r".*", "ERROR": r".*(Failed|Aborted|TimedOut)", "FATAL": r"Execution(Failed|Aborted|TimedOut)"}
_DATA = {"input", "output", "parameters"}

_ministack_emit = stepfunctions._emit_execution_status_event  # noqa: SLF001 - MiniStack has no public place for it


def install() -> None:
    """Make MiniStack log executions as below."""
    stepfunctions._emit_execution_status_event = _emit  # noqa: SLF001 - as above


def _emit(execution: dict[str, Any]) -> None:
    _ministack_emit(execution)
    if execution["status"] != "RUNNING" and _LOGGED_NAME.fullmatch(execution["name"]):
        _log(execution)


def _log(execution: dict[str, Any]) -> None:
    machine = stepfunctions._state_machines.get(execution["stateMachineArn"])  # noqa: SLF001 - as above
    settings = _lower(machine["loggingConfiguration"]) if machine else {}
    types = _TYPES.get(settings.get("level", "OFF"))
    if types is None:
        return
    with_data = str(settings.get("includeExecutionData", False)).lower() == "true"
    events = [
        {"timestamp": _milliseconds(event["timestamp"]), "message": json.dumps(_entry(execution, event, with_data))}
        for event in execution["events"]
        if re.fullmatch(types, event["type"])
    ]
    for destination in settings.get("destinations", []):
        group = destination["cloudWatchLogsLogGroup"]["logGroupArn"].partition(":log-group:")[2].removesuffix(":*")
        stream = f"states/{machine['name']}/{dt.datetime.now(dt.UTC):%Y-%m-%d-%H-%M}/local"
        request = {"logGroupName": group, "logStreamName": stream}
        # If the stream exists already, this is refused without consequences.
        cloudwatch_logs._create_log_stream(request)  # noqa: SLF001 - as above
        cloudwatch_logs._put_log_events({**request, "logEvents": events})  # noqa: SLF001 - as above


def _entry(execution: dict[str, Any], event: dict[str, Any], with_data: bool) -> dict[str, Any]:  # noqa: FBT001
    details: dict[str, Any] = next((value for key, value in event.items() if key.endswith("EventDetails")), {})
    return {
        "id": str(event["id"]),
        "type": event["type"],
        "details": {key: value for key, value in details.items() if with_data or key not in _DATA},
        "redrive_count": "0",
        "previous_event_id": str(event["id"] - 1),
        "event_timestamp": str(_milliseconds(event["timestamp"])),
        "execution_arn": execution["executionArn"],
    }


def _milliseconds(timestamp: str) -> int:
    return round(dt.datetime.fromisoformat(timestamp).timestamp() * 1000)


def _lower(value: Any) -> Any:
    """Return the settings with keys in lower camel case, as in the API; templates begin them with a capital."""
    if isinstance(value, list):
        return [_lower(item) for item in value]
    if isinstance(value, dict):
        return {key[:1].lower() + key[1:]: _lower(item) for key, item in value.items()}
    return value
