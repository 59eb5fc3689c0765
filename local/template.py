"""Read template.yaml like CloudFormation: with long forms instead of short forms, and with included files."""

import json
from pathlib import Path
from typing import Any

import yaml

from local.intrinsics import Intrinsics

ROOT = Path(__file__).parents[1]
PATH = ROOT / "template.yaml"


class TemplateLoader(yaml.SafeLoader):
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


TemplateLoader.add_multi_constructor("!", _long_form)


def read_template() -> dict[str, Any]:
    """Read the template.

    Returns
    -------
    dict
        Every intrinsic function as ``{"Ref": …}`` or ``{"Fn::…": …}``; ``Fn::GetAtt`` as a list of two. Every
        ``AWS::Include`` is replaced by the content of its file.
    """
    template: dict[str, Any] = _include(yaml.load(PATH.read_text(encoding="utf-8"), TemplateLoader))  # noqa: S506 - a SafeLoader with tags
    return template


def _include(value: Any) -> Any:
    if isinstance(value, list):
        return [_include(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "Fn::Transform" in value:
        return json.loads((ROOT / value["Fn::Transform"]["Parameters"]["Location"]).read_text(encoding="utf-8"))
    return {key: _include(item) for key, item in value.items()}


def example_stack(parameters: dict[str, str]) -> Intrinsics:
    """Return the template as an example of a stack, which is not deployed and whose resources have fictitious ids.

    Parameters
    ----------
    parameters : dict of str to str
        Values of template parameters; the others have their defaults.
    """
    template = read_template()
    return Intrinsics(
        template=template,
        parameters=parameters,
        physical_ids={name: name for name in template["Resources"]},
        stack_name="stack",
        stack_id="arn:aws:cloudformation:us-east-1:123456789012:stack/stack/1",
        attribute=lambda _kind, physical_id, attribute: f"{physical_id}.{attribute}",
    )
