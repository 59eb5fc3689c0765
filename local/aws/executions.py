"""Executions as AWS documents them.

StartExecution refuses invalid names, and is idempotent while the execution runs:
https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html

Each Express execution has its own ARN, even if its name is not unique, and exists only in the log: it cannot be listed.
In MiniStack a second execution with the same name overwrites the first one, even while that runs.
https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartSyncExecution.html
https://docs.aws.amazon.com/step-functions/latest/apireference/API_ListExecutions.html
"""

import json
import re
from typing import Any
from uuid import uuid4

from ministack.core.responses import error_response_json, json_response  # type: ignore[import-not-found]
from ministack.services import stepfunctions  # type: ignore[import-not-found]

_LEGAL_NAME = re.compile(r"""[^\s<>{}\[\]?*"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f\ufffe\uffff]{1,80}""")

# MiniStack has no public place to change any of this.
_ministack_start_execution = stepfunctions._start_execution  # noqa: SLF001
_ministack_start_sync_execution = stepfunctions._start_sync_execution  # noqa: SLF001
_ministack_list_executions = stepfunctions._list_executions  # noqa: SLF001
_ministack_run = stepfunctions._run_execution  # noqa: SLF001


def install() -> None:
    """Make MiniStack start executions as below."""
    stepfunctions._start_execution = _start_execution  # noqa: SLF001
    stepfunctions._start_sync_execution = _start_sync_execution  # noqa: SLF001
    stepfunctions._list_executions = _list_executions  # noqa: SLF001
    stepfunctions._run_execution = _run  # noqa: SLF001


def _start_execution(data: dict[str, Any]) -> Any:
    name = data.get("name")
    if name is None:
        return _ministack_start_execution(data)
    if not _LEGAL_NAME.fullmatch(name):
        return error_response_json("InvalidName", f"Invalid Name: '{name}'")
    arn = f"{data.get('stateMachineArn', '').replace(':stateMachine:', ':execution:')}:{name}"
    first = stepfunctions._executions.get(arn)  # noqa: SLF001 - as above
    if first and (first["status"], first["input"]) == ("RUNNING", data.get("input", "{}")):
        return json_response({"executionArn": arn, "startDate": first["startDate"]})
    return _ministack_start_execution(data)


def _start_sync_execution(data: dict[str, Any]) -> Any:
    machine = stepfunctions._state_machines.get(data.get("stateMachineArn"))  # noqa: SLF001
    if machine is not None and machine["type"] != "EXPRESS":
        return _wrong_type(data)
    # MiniStack stores executions by name, so this one gets a unique name until it runs.
    name = data.get("name") or str(uuid4())
    status, headers, content = _ministack_start_sync_execution({**data, "name": f"{name}:{uuid4()}"})
    answer = json.loads(content)
    execution = stepfunctions._executions.pop(answer.get("executionArn"), None)  # noqa: SLF001
    if execution is None:
        return status, headers, content
    return json_response(answer | {"name": name, "executionArn": execution["executionArn"]})


def _run(arn: str) -> None:
    execution = stepfunctions._executions.get(arn)  # noqa: SLF001
    if execution and execution.get("sync"):
        execution["name"] = execution["name"].rpartition(":")[0]
        execution["executionArn"] = arn.replace(":execution:", ":express:")
    _ministack_run(arn)


def _list_executions(data: dict[str, Any]) -> Any:
    machine = stepfunctions._state_machines.get(data.get("stateMachineArn"))  # noqa: SLF001
    return _wrong_type(data) if machine and machine["type"] == "EXPRESS" else _ministack_list_executions(data)


def _wrong_type(data: dict[str, Any]) -> Any:
    return error_response_json(
        "StateMachineTypeNotSupported",
        f"This operation is not supported by this type of state machine: '{data['stateMachineArn']}'",
    )
