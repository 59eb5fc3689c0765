"""template.yaml as it stands, with CloudFormation's short forms read as their long forms."""

from pathlib import Path
from typing import Any

import yaml

PATH = Path(__file__).parents[1] / "template.yaml"


class _Loader(yaml.SafeLoader):
    """YAML with tags such as ``!GetAtt Queue.Arn``."""


def _long_form(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.MappingNode):
        value = loader.construct_mapping(node, deep=True)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = node.value
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _long_form)


def read_template() -> dict[str, Any]:
    """Read the template.

    Returns
    -------
    dict
        Every intrinsic function as ``{"Ref": …}`` or ``{"Fn::…": …}``; ``Fn::GetAtt`` as a list of two.
    """
    template: dict[str, Any] = yaml.load(PATH.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - a SafeLoader with tags
    return template
