"""The files that are deployed, read as they are: tests hold no copies of them."""

import json
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
TEMPLATE_PATH = ROOT / "template.yaml"
STATE_MACHINE_PATH = ROOT / "statemachine" / "image_resize.asl.json"
SCHEMA_PATH = ROOT / "schemas" / "resize_request.json"


class _CloudFormationLoader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms, such as ``!GetAtt Queue.Arn``, read as their long forms."""


def _long_form(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.MappingNode):
        value = loader.construct_mapping(node, deep=True)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = node.value
    if suffix == "Ref":
        return {"Ref": value}
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {f"Fn::{suffix}": value}


_CloudFormationLoader.add_multi_constructor("!", _long_form)


def read_template() -> dict[str, Any]:
    """Read template.yaml with the long form of every intrinsic function."""
    template: dict[str, Any] = yaml.load(TEMPLATE_PATH.read_text(encoding="utf-8"), Loader=_CloudFormationLoader)  # noqa: S506 - a SafeLoader with tags
    return template


def read_state_machine(substitutions: dict[str, str] | None = None) -> dict[str, Any]:
    """Read the state machine, its ``${Names}`` filled where values are given."""
    text = STATE_MACHINE_PATH.read_text(encoding="utf-8")
    for name, value in (substitutions or {}).items():
        text = text.replace(f"${{{name}}}", value)
    definition: dict[str, Any] = json.loads(text)
    return definition


def read_schema() -> dict[str, Any]:
    """Read the schema of a resize request."""
    schema: dict[str, Any] = json.loads(SCHEMA_PATH.read_text(encoding="utf-8"))
    return schema
