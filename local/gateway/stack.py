"""Read what is deployed to the one stage of a stack's REST API, as API Gateway itself tells it.

The template is not asked: a stage serves the deployment that it points at, which is a snapshot of the API as it was
then, whatever the template says by now. Stage variables and the access log belong to the stage and change at once.

https://docs.aws.amazon.com/apigateway/latest/developerguide/how-to-deploy-api.html
"""

import json
from dataclasses import dataclass
from typing import Any

from botocore.session import Session

from local.gateway import GatewayError


class StackError(GatewayError):
    """The deployed stack does not hold one API that can be read."""


@dataclass(frozen=True)
class DeployedApi:
    """An API as it was deployed to its stage.

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
    access_log_format
        Format of the stage's access log; empty when it has none.
    access_log_group
        Name of the log group that it goes to; empty when it has none.
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
        Holds credentials and region.
    endpoint
        Where CloudFormation and API Gateway answer.
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
        raise StackError(f"The stack {stack_name} has {len(found)} of what is to be served, a {what}; one is needed.")
    return found[0]
