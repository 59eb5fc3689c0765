"""Read the deployed API of the only stage of a stack's REST API, from API Gateway itself.

The template is not read: a stage serves the deployment that it points to, which is a snapshot of the API at the time of
the deployment. Stage variables and the access log belong to the stage and change immediately.

https://docs.aws.amazon.com/apigateway/latest/developerguide/how-to-deploy-api.html
"""

import json
from dataclasses import dataclass
from typing import Any

from botocore.session import Session

from local.gateway import GatewayError


class StackError(GatewayError):
    """The deployed stack does not have exactly one readable API."""


@dataclass(frozen=True)
class DeployedApi:
    """An API as deployed to its stage.

    Attributes
    ----------
    body
        The OpenAPI document, without intrinsic functions.
    stage
        Name of the stage, the first segment of every path.
    variables
        The stage variables.
    api_id, account_id, region
        Their values in ``$context``.
    access_log_format
        Format of the stage's access log; empty if it has none.
    access_log_group
        Name of the access log's log group; empty if it has none.
    """

    body: dict[str, Any]
    stage: str
    variables: dict[str, str]
    api_id: str
    account_id: str
    region: str
    access_log_format: str = ""
    access_log_group: str = ""


def read_deployed_api(session: Session, endpoint: str, stack_name: str) -> DeployedApi:
    """Read the one REST API of a stack.

    Parameters
    ----------
    session
        Credentials and region.
    endpoint
        Endpoint of CloudFormation and API Gateway.
    stack_name
        Name of the stack.

    Raises
    ------
    StackError
        The stack has no REST API with one stage, or more than one.
    """
    cloudformation: Any = session.create_client("cloudformation", endpoint_url=endpoint)
    resources = cloudformation.describe_stack_resources(StackName=stack_name)["StackResources"]
    api = _only(
        [item for item in resources if item["ResourceType"] == "AWS::ApiGateway::RestApi"], stack_name, "REST API"
    )
    _, _, _, region, account_id, _ = api["StackId"].split(":", 5)
    api_id = api["PhysicalResourceId"]
    gateway: Any = session.create_client("apigateway", endpoint_url=endpoint)
    stage = _only(gateway.get_stages(restApiId=api_id)["item"], stack_name, "stage of its REST API")
    exported = gateway.get_export(
        restApiId=api_id,
        stageName=stage["stageName"],
        exportType="oas30",
        parameters={"extensions": "apigateway"},
        accepts="application/json",
    )
    access_log = stage.get("accessLogSettings", {})
    return DeployedApi(
        body=json.loads(exported["body"].read()),
        stage=stage["stageName"],
        variables={key: str(value) for key, value in stage.get("variables", {}).items()},
        api_id=api_id,
        account_id=account_id,
        region=region,
        access_log_format=access_log.get("format") or "",
        access_log_group=(access_log.get("destinationArn") or "").partition(":log-group:")[2].removesuffix(":*"),
    )


def _only(found: list[dict[str, Any]], stack_name: str, what: str) -> dict[str, Any]:
    if len(found) != 1:
        raise StackError(f"The stack {stack_name} must have exactly one {what}, but it has {len(found)}.")
    return found[0]
