"""The name of a state machine is unique in the account and region.

CreateStateMachine returns the existing machine if name, definition, type, logging and tracing are the same, and
StateMachineAlreadyExists otherwise; it ignores role and tags. CloudFormation uses the same action, so a second stack
with the same StateMachineName fails and rolls back. In MiniStack's CloudFormation the second machine overwrites the
first one.

https://docs.aws.amazon.com/step-functions/latest/apireference/API_CreateStateMachine.html
"""

import json
from typing import Any

from ministack.core.responses import (  # type: ignore[import-not-found]
    error_response_json,
    get_account_id,
    get_region,
)
from ministack.services import stepfunctions  # type: ignore[import-not-found]
from ministack.services.cloudformation import provisioners  # type: ignore[import-not-found]

_Properties = dict[str, Any]

_TYPE = "AWS::StepFunctions::StateMachine"
_NO_LOGGING = {"level": "OFF", "includeExecutionData": False}

_ministack_create = provisioners._sfn_state_machine_create  # noqa: SLF001 - MiniStack has no public place to change it


def install() -> None:
    """Make MiniStack's CloudFormation create state machines as below."""
    # In two places, because updates that rename a machine call the function in the module.
    provisioners._sfn_state_machine_create = _create  # noqa: SLF001 - as above
    provisioners._RESOURCE_HANDLERS[_TYPE]["create"] = _create  # noqa: SLF001 - as above


def _create(logical_id: str, properties: _Properties, stack_name: str) -> Any:
    name = properties.get("StateMachineName")
    arn = f"arn:aws:states:{get_region()}:{get_account_id()}:stateMachine:{name}"
    existing = stepfunctions._state_machines.get(arn)  # noqa: SLF001 - as above
    if existing is not None and _identity(properties) != _identity_of(existing):
        # The message is that of AWS: https://github.com/serverless-operations/serverless-step-functions/issues/394
        words = f"State Machine Already Exists: '{arn}' (Error Code: StateMachineAlreadyExists)"
        raise provisioners._sfn_service_error(error_response_json("StateMachineAlreadyExists", words))  # noqa: SLF001
    if existing is not None:
        return arn, provisioners._sfn_attrs(arn, name)  # noqa: SLF001 - as above
    arn, attributes = _ministack_create(logical_id, properties, stack_name)
    tracing = properties.get("TracingConfiguration", {})
    stepfunctions._state_machines[arn]["tracingConfiguration"] = {"enabled": _is_enabled(tracing)}  # noqa: SLF001
    return arn, attributes


def _identity(properties: _Properties) -> tuple[Any, ...]:
    return (
        provisioners._sfn_definition(properties),  # noqa: SLF001 - as above
        properties.get("StateMachineType", "STANDARD"),
        _canonical(properties.get("LoggingConfiguration", _NO_LOGGING)),
        _is_enabled(properties.get("TracingConfiguration", {})),
    )


def _identity_of(existing: dict[str, Any]) -> tuple[Any, ...]:
    return (
        existing["definition"],
        existing["type"],
        _canonical(existing["loggingConfiguration"]),
        _is_enabled(existing.get("tracingConfiguration", {})),
    )


def _canonical(logging: Any) -> str:
    """Return a logging configuration in one form: templates write names and booleans differently than the API."""
    return json.dumps(logging, sort_keys=True).lower().replace('"true"', "true").replace('"false"', "false")


def _is_enabled(tracing: dict[str, Any]) -> bool:
    return str(tracing.get("Enabled", tracing.get("enabled", False))).lower() == "true"
