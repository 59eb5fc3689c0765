"""Read the deployed API out of CloudFormation, with every intrinsic function of it resolved."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore.session import Session

from local.gateway import GatewayError


class StackError(GatewayError):
    """The deployed stack does not hold one API that can be read."""


@dataclass(frozen=True)
class DeployedApi:
    """An API as it stands in the stack.

    Attributes
    ----------
    body
        The OpenAPI document, without intrinsic functions.
    stage
        Name of the stage, the first segment of every path.
    variables
        The stage variables.
    api_id, account_id, region
        What ``$context`` tells about them.
    """

    body: dict[str, Any]
    stage: str
    variables: dict[str, str]
    api_id: str
    account_id: str
    region: str


def read_deployed_api(session: Session, endpoint: str, stack_name: str) -> DeployedApi:
    """Read the one REST API of a stack.

    Parameters
    ----------
    session
        Holds credentials and region.
    endpoint
        Where CloudFormation, IAM and Lambda answer.
    stack_name
        Name of the stack, deployed with or without the SAM transform.

    Raises
    ------
    StackError
        The stack has no REST API with an inline body and one stage, or more than one.
    """
    cloudformation: Any = session.create_client("cloudformation", endpoint_url=endpoint)
    template = cloudformation.get_template(StackName=stack_name, TemplateStage="Processed")["TemplateBody"]
    if isinstance(template, str):  # botocore parses JSON bodies; YAML would stay text
        try:
            template = json.loads(template)
        except ValueError as error:
            raise StackError(f"The processed template of {stack_name} is not JSON.") from error
    stack = cloudformation.describe_stacks(StackName=stack_name)["Stacks"][0]
    resources = cloudformation.describe_stack_resources(StackName=stack_name)["StackResources"]
    intrinsics = Intrinsics(
        template=template,
        parameters={item["ParameterKey"]: item["ParameterValue"] for item in stack.get("Parameters", [])},
        physical_ids={item["LogicalResourceId"]: item["PhysicalResourceId"] for item in resources},
        stack_name=stack_name,
        stack_id=stack["StackId"],
        attribute=_attribute_reader(session, endpoint),
    )
    api_name, api = _only(template, stack_name, "AWS::ApiGateway::RestApi", lambda properties: "Body" in properties)
    _, stage = _only(
        template,
        stack_name,
        "AWS::ApiGateway::Stage",
        lambda properties: properties.get("RestApiId") == {"Ref": api_name},
    )
    return DeployedApi(
        body=intrinsics.resolve(api["Body"]),
        stage=intrinsics.resolve(stage["StageName"]),
        variables={key: str(value) for key, value in intrinsics.resolve(stage.get("Variables", {})).items()},
        api_id=intrinsics.resolve({"Ref": api_name}),
        account_id=intrinsics.pseudo["AWS::AccountId"],
        region=intrinsics.pseudo["AWS::Region"],
    )


def _only(
    template: dict[str, Any], stack_name: str, kind: str, wanted: Callable[[dict[str, Any]], bool]
) -> tuple[str, dict[str, Any]]:
    found = [
        (name, resource.get("Properties", {}))
        for name, resource in template["Resources"].items()
        if resource["Type"] == kind and wanted(resource.get("Properties", {}))
    ]
    if len(found) != 1:
        raise StackError(f"The stack {stack_name} has {len(found)} resources of type {kind} to serve; one is needed.")
    return found[0]


def _attribute_reader(session: Session, endpoint: str) -> Callable[[str, str, str], str]:
    def read(kind: str, physical_id: str, attribute: str) -> str:
        match (kind, attribute):
            case ("AWS::IAM::Role", "Arn"):
                iam: Any = session.create_client("iam", endpoint_url=endpoint)
                return str(iam.get_role(RoleName=physical_id)["Role"]["Arn"])
            case ("AWS::Lambda::Function", "Arn"):
                functions: Any = session.create_client("lambda", endpoint_url=endpoint)
                return str(functions.get_function_configuration(FunctionName=physical_id)["FunctionArn"])
            case ("AWS::StepFunctions::StateMachine", "Arn"):
                return physical_id
            case _:
                raise StackError(f"Fn::GetAtt {attribute} of a {kind} is not known to the local gateway.")

    return read


_ABSENT = object()


@dataclass
class Intrinsics:
    """CloudFormation's intrinsic functions over one deployed stack.

    See https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html

    Attributes
    ----------
    template
        The processed template.
    parameters
        Values the stack was deployed with.
    physical_ids
        Physical id by logical id.
    stack_name, stack_id
        Name and ARN of the stack; region and account are read from the ARN.
    attribute
        Answers ``Fn::GetAtt`` for a resource type, a physical id and an attribute name.
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
            "AWS::StackId": self.stack_id,
            "AWS::URLSuffix": "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com",
        }

    def resolve(self, value: Any) -> Any:
        """Return the value with every intrinsic function in it replaced by what it stands for.

        Raises
        ------
        StackError
            A function, name or attribute is not known.
        """
        resolved = self._resolve(value)
        return None if resolved is _ABSENT else resolved

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
                resolved = self._get_att(argument if isinstance(argument, str) else ".".join(argument))
            case "Fn::Sub":
                resolved = self._sub(argument)
            case "Fn::If":
                condition, yes, no = argument
                resolved = self._resolve(yes if self._condition(condition) else no)
            case "Fn::Join":
                separator, parts = argument
                resolved = separator.join(self._resolve(parts))
            case "Fn::Select":
                index, options = argument
                resolved = self._resolve(options)[int(self._resolve(index))]
            case "Fn::Split":
                separator, text = argument
                resolved = self._resolve(text).split(separator)
            case _:
                raise StackError(f"The API uses {name}, which is not known to the local gateway.")
        return resolved

    def _ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return _ABSENT
        declared = self.template.get("Parameters", {})
        if name in declared:
            value = self.parameters.get(name, declared[name].get("Default", ""))
            is_list = declared[name]["Type"].startswith("List<") or declared[name]["Type"] == "CommaDelimitedList"
            return [item.strip() for item in value.split(",")] if is_list else value
        for known in (self.pseudo, self.physical_ids):
            if name in known:
                return known[name]
        raise StackError(f"The API refers to {name}, which the stack does not hold.")

    def _get_att(self, path: str) -> str:
        logical_id, _, attribute = path.partition(".")
        if logical_id not in self.physical_ids:
            raise StackError(f"The API refers to {path}, which the stack does not hold.")
        kind = self.template["Resources"][logical_id]["Type"]
        return self.attribute(kind, self.physical_ids[logical_id], attribute)

    def _sub(self, argument: Any) -> str:
        text, names = (argument, {}) if isinstance(argument, str) else argument

        def replace(match: re.Match[str]) -> str:
            name = match[1].strip()
            if name.startswith("!"):
                return "${" + name[1:] + "}"
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
                return bool(left == right)
            case "Fn::And":
                return all(map(self._condition, argument))
            case "Fn::Or":
                return any(map(self._condition, argument))
            case "Fn::Not":
                return not self._condition(argument[0])
            case _:
                raise StackError(f"The condition {name} is not known to the local gateway.")
