"""template.yaml as it stands, with CloudFormation's short forms read as their long forms."""

from pathlib import Path
from typing import Any

import yaml

from local.intrinsics import Intrinsics

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


def example_stack(parameters: dict[str, str]) -> Intrinsics:
    """Return the template as a stack that nothing was deployed for: its resources have made-up ids.

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
