"""Resolve CloudFormation's intrinsic functions for one stack, without CloudFormation.

Only the functions that template.yaml uses are supported; any other is an error.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


class IntrinsicError(Exception):
    """A function, name or attribute is not supported; the message names it."""


_ABSENT = object()


@dataclass
class Intrinsics:
    """CloudFormation's intrinsic functions for one deployed stack.

    See https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html

    Attributes
    ----------
    template
        The processed template.
    parameters
        Values that the stack was deployed with.
    physical_ids
        Physical id by logical id.
    stack_name, stack_id
        Name and ARN of the stack; region and account are read from the ARN.
    attribute
        Returns ``Fn::GetAtt`` for a resource type, a physical id and an attribute name.
    """

    template: dict[str, Any]
    parameters: dict[str, str]
    physical_ids: dict[str, str]
    stack_name: str
    stack_id: str
    attribute: Callable[[str, str, str], str]
    pseudo: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        _, partition, _, region, account, _ = self.stack_id.split(":", 5)
        self.pseudo = {
            "AWS::Partition": partition,
            "AWS::Region": region,
            "AWS::AccountId": account,
            "AWS::StackName": self.stack_name,
            "AWS::URLSuffix": "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com",
        }

    def resolve(self, value: Any) -> Any:
        """Return the value with all intrinsic functions resolved.

        Raises
        ------
        IntrinsicError
            A function, name or attribute is not supported.
        """
        resolved = self._resolve(value)
        return None if resolved is _ABSENT else resolved

    def has(self, logical_id: str) -> bool:
        """Return whether the stack has a resource of the template, whose condition may be false."""
        condition = self.template["Resources"][logical_id].get("Condition")
        return condition is None or self._condition(condition)

    def _resolve(self, value: Any) -> Any:
        if isinstance(value, list):
            return [item for item in map(self._resolve, value) if item is not _ABSENT]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            name, argument = next(iter(value.items()))
            if name == "Ref" or name.startswith("Fn::"):
                return self._call(name, argument)
        resolved = {key: self._resolve(item) for key, item in value.items()}
        return {key: item for key, item in resolved.items() if item is not _ABSENT}

    def _call(self, name: str, argument: Any) -> Any:
        resolved: Any
        match name:
            case "Ref":
                resolved = self._ref(argument)
            case "Fn::GetAtt":
                resolved = self._get_att(".".join(argument))
            case "Fn::Sub":
                resolved = self._sub(argument)
            case "Fn::If":
                condition, yes, no = argument
                resolved = self._resolve(yes if self._condition(condition) else no)
            case "Fn::FindInMap":
                table, first, second = map(str, self._resolve(argument))
                resolved = self.template["Mappings"][table][first][second]
            case "Fn::Join":
                separator, parts = argument
                resolved = separator.join(self._resolve(parts))
            case _:
                raise IntrinsicError(f"The template uses {name}, which is not supported.")
        return resolved

    def _ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return _ABSENT
        declared = self.template.get("Parameters", {})
        if name in declared:
            if "List" in declared[name]["Type"]:
                raise IntrinsicError(f"The parameter {name} is a list, which is not supported.")
            return self.parameters.get(name, declared[name].get("Default", ""))
        for known in (self.pseudo, self.physical_ids):
            if name in known:
                return known[name]
        raise IntrinsicError(f"The template refers to {name}, which is not in the stack.")

    def _get_att(self, path: str) -> str:
        logical_id, _, attribute = path.partition(".")
        if logical_id not in self.physical_ids:
            raise IntrinsicError(f"The template refers to {path}, which is not in the stack.")
        kind = self.template["Resources"][logical_id]["Type"]
        return self.attribute(kind, self.physical_ids[logical_id], attribute)

    def _sub(self, argument: Any) -> str:
        text, names = (argument, {}) if isinstance(argument, str) else argument

        def replace(match: re.Match[str]) -> str:
            name = match[1]
            if name in names:
                return str(self._resolve(names[name]))
            return str(self._get_att(name) if "." in name else self._ref(name))

        return re.sub(r"\$\{([^}]*)\}", replace, text)

    def _condition(self, condition: Any) -> bool:
        if isinstance(condition, str):
            return self._condition(self.template["Conditions"][condition])
        name, argument = next(iter(condition.items()))
        match name:
            case "Condition":
                return self._condition(argument)
            case "Fn::Equals":
                left, right = self._resolve(argument)
                # The value of a parameter is a string, even if its type is Number.
                return str(left) == str(right)
            case "Fn::And":
                return all(map(self._condition, argument))
            case "Fn::Not":
                return not self._condition(argument[0])
            case _:
                raise IntrinsicError(f"The template has the condition {name}, which is not supported.")
