"""Build definition.json, which template.yaml includes, from openapi.yaml, templates/ and schemas/.

AWS::Include accepts no short forms, cannot be nested, and inserts objects but not text. CloudFormation accepts no YAML
aliases. So this module resolves all of these. Intrinsic functions stay, because CloudFormation resolves them.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/transform-aws-include.html
"""

import json
from pathlib import Path
from typing import Any

import yaml

from local.template import ROOT, TemplateLoader

PATH = Path(__file__).with_name("definition.json")
SOURCE = Path(__file__).with_name("openapi.yaml")
TEMPLATES = Path(__file__).with_name("templates")
_SCHEMAS = ROOT / "schemas"


class _Loader(TemplateLoader):
    """CloudFormation's YAML with ``!Templates [name, …]`` and ``!Schema name``."""


def _templates(loader: yaml.SafeLoader, node: yaml.Node) -> str:
    # PyYAML raises an error with the line if the node is not a sequence.
    names = loader.construct_sequence(node)  # type: ignore[arg-type]
    return "".join((TEMPLATES / f"{name}.vtl").read_text(encoding="utf-8") for name in names).removesuffix("\n")


def _schema(_loader: yaml.SafeLoader, node: yaml.Node) -> Any:
    return json.loads((_SCHEMAS / f"{node.value}.json").read_text(encoding="utf-8"))


_Loader.add_constructor("!Templates", _templates)
_Loader.add_constructor("!Schema", _schema)


def build() -> dict[str, Any]:
    """Return the document that API Gateway imports, intrinsic functions still in it."""
    document: dict[str, Any] = yaml.load(SOURCE.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - a SafeLoader with tags
    del document["x-shared"]
    return document
