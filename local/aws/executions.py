"""StartExecution as AWS documents it: illegal names are refused, and it is idempotent while the execution runs.

https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
"""

import re
from typing import Any

from ministack.core.responses import error_response_json, json_response  # type: ignore[import-not-found]
from ministack.services import stepfunctions  # type: ignore[import-not-found]

_LEGAL_NAME = re.compile(r"""[^\s<>{}\[\]?*"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f\ufffe\uffff]{1,80}""")

_ministack_start_execution = stepfunctions._start_execution  # noqa: SLF001 - MiniStack has no public place to change it


def install() -> None:
    """Make MiniStack start executions as below."""
    stepfunctions._start_execution = _start_execution  # noqa: SLF001 - as above


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
