"""The files that are deployed, read as they are: tests hold no copies of them."""

import json
from pathlib import Path
from typing import Any

from local.template import PATH as TEMPLATE_PATH
from local.template import read_template

ROOT = Path(__file__).parents[1]
STATE_MACHINE_PATH = ROOT / "statemachine" / "image_resize.asl.json"
RECONCILE_PATH = ROOT / "statemachine" / "reconcile.asl.json"
SCHEMA_PATH = ROOT / "schemas" / "resize_request.json"

__all__ = [
    "RECONCILE_PATH",
    "ROOT",
    "SCHEMA_PATH",
    "STATE_MACHINE_PATH",
    "TEMPLATE_PATH",
    "read_schema",
    "read_state_machine",
    "read_template",
]


def read_state_machine(substitutions: dict[str, str] | None = None, path: Path = STATE_MACHINE_PATH) -> dict[str, Any]:
    """Read a state machine, its ``${Names}`` filled where values are given."""
    text = path.read_text(encoding="utf-8")
    for name, value in (substitutions or {}).items():
        text = text.replace(f"${{{name}}}", value)
    definition: dict[str, Any] = json.loads(text)
    return definition


def read_schema() -> dict[str, Any]:
    """Read the schema of a resize request."""
    schema: dict[str, Any] = json.loads(SCHEMA_PATH.read_text(encoding="utf-8"))
    return schema
