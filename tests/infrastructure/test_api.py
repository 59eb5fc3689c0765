"""The API as it is deployed, and the contract that is published of it."""

import json
import re
from typing import Any

import pytest
from samtranslator.translator.transform import transform  # type: ignore[import-untyped]  # ships no type hints

from api import contract, definition
from local.gateway.vtl import MappingTemplate, Parameters
from tests.deployed import read_schema, read_template

ALL_STATUSES = {"403", "413", "415", "429", "500", "502", "503", "504"}


def api() -> dict[str, Any]:
    properties: dict[str, Any] = read_template()["Resources"]["ResizeApi"]["Properties"]
    return properties


def test_what_the_template_includes_and_what_is_published_is_current() -> None:
    assert json.loads(definition.PATH.read_text(encoding="utf-8")) == definition.build(), "Run: make openapi"
    assert json.loads(contract.PATH.read_text(encoding="utf-8")) == contract.contract(), "Run: make openapi"


def test_the_template_includes_it_as_a_whole() -> None:
    assert api()["DefinitionBody"] == json.loads(definition.PATH.read_text(encoding="utf-8"))


def test_every_mapping_template_is_used() -> None:
    named = re.findall(r"!Templates \[([a-z_, ]+)\]", definition.SOURCE.read_text(encoding="utf-8"))

    assert {name for names in named for name in names.split(", ")} == {
        path.stem for path in definition.TEMPLATES.iterdir()
    }


def test_the_contract_is_plain_and_complete() -> None:
    document = contract.contract()
    assert "x-amazon" not in json.dumps(document)
    assert "Fn::" not in json.dumps(document)
    assert {f"{method} {path}" for path, item in document["paths"].items() for method in item} == {
        "post /resize",
        "get /executions/{executionId}",
    }
    assert document["components"]["schemas"]["ResizeRequest"] == read_schema()


def test_every_operation_says_how_it_may_be_refused() -> None:
    document = contract.contract()
    for item in document["paths"].values():
        for operation in item.values():
            assert set(operation["responses"]) >= ALL_STATUSES
            assert operation["security"] == [{"sigv4": []}]


def test_headers_that_are_mapped_are_declared() -> None:
    """API Gateway refuses to import a mapping to a header that the method response does not declare."""
    for path, item in api()["DefinitionBody"]["paths"].items():
        for method, declared in item.items():
            operation = declared["Fn::If"][1] if "Fn::If" in declared else declared
            for response in operation["x-amazon-apigateway-integration"]["responses"].values():
                headers = operation["responses"][response["statusCode"]].get("headers", {})
                mapped = {name.removeprefix("method.response.header.") for name in response["responseParameters"]}
                assert mapped <= set(headers), (path, method)


def test_the_stage_throttles_and_measures() -> None:
    assert api()["MethodSettings"] == [
        {
            "ResourcePath": "/*",
            "HttpMethod": "*",
            "MetricsEnabled": True,
            "ThrottlingRateLimit": {"Ref": "ApiRateLimit"},
            "ThrottlingBurstLimit": {"Ref": "ApiBurstLimit"},
        },
        {
            "ResourcePath": "/~1executions~1{executionId}",
            "HttpMethod": "GET",
            "MetricsEnabled": True,
            "ThrottlingRateLimit": 8,
            "ThrottlingBurstLimit": 200,
        },
    ]


def test_polling_is_throttled_before_step_functions_throttles_it() -> None:
    """Only the gateway's own 429 has a Retry-After that Step Functions' quota cannot get in front of."""
    (path,) = [path for path in api()["DefinitionBody"]["paths"] if "executionId" in path]
    _, polling = api()["MethodSettings"]

    # How a stage's settings name a path:
    # https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-apigateway-stage-methodsetting.html
    assert polling["ResourcePath"] == "/" + path.replace("/", "~1")
    # DescribeExecution, in the regions where least is allowed: a bucket of 250, filled up by 10 a second.
    # https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
    assert polling["ThrottlingRateLimit"] < 10
    assert polling["ThrottlingBurstLimit"] < 250


def test_pages_of_the_allowed_origin_can_read_what_they_need() -> None:
    exposed = {"Fn::If": ["CorsIsOn", "'Location,Retry-After,x-amzn-RequestId'", {"Ref": "AWS::NoValue"}]}
    body = api()["DefinitionBody"]
    answers = [*body["x-amazon-apigateway-gateway-responses"].values()]
    for item in body["paths"].values():
        for method, operation in item.items():
            if method != "options":
                answers += operation["x-amazon-apigateway-integration"]["responses"].values()

    for answer in answers:
        headers = {name.partition(".header.")[2]: value for name, value in answer["responseParameters"].items()}
        assert headers["Access-Control-Expose-Headers"] == exposed
        assert headers["Access-Control-Allow-Origin"]["Fn::If"][0] == "CorsIsOn"


@pytest.mark.parametrize(
    ("identity", "caller"),
    [
        ({"cognitoIdentityId": None, "caller": None}, "anybody"),
        ({"cognitoIdentityId": "", "caller": ""}, "anybody"),
        ({"cognitoIdentityId": "", "caller": "AIDACKCEVSQ6C2EXAMPLE"}, "AIDACKCEVSQ6C2EXAMPLE"),
        ({"cognitoIdentityId": "", "caller": "AROACKCEVSQ6C2EXAMPLE:night shift"}, "AROACKCEVSQ6C2EXAMPLE"),
        (
            {
                "cognitoIdentityId": "eu-north-1:12ab34cd-0000-4444-8888-fedcba987654",
                "caller": "AROACKCEVSQ6C2EXAMPLE:CognitoIdentityCredentials",
            },
            "12ab34cd000044448888fedcb",
        ),
        ({"cognitoIdentityId": "", "caller": "x" * 40}, "x" * 25),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_who_calls_is_in_the_name_of_an_execution(identity: dict[str, Any], caller: str) -> None:
    """Cognito identities share one role, so that the identity counts and not the role."""
    integration = api()["DefinitionBody"]["paths"]["/resize"]["post"]["x-amazon-apigateway-integration"]
    context = {"extendedRequestId": "r/1+2=", "identity": identity, "requestOverride": {"header": {}}}
    variables = {"stateMachineArn": "arn:machine"}
    template = MappingTemplate(
        integration["requestTemplates"]["application/json"],
        name="t",
        context=context,
        stage_variables=variables,
        overrides="requestOverride",
    )

    def name(**header: str) -> str:
        parameters = Parameters(path={}, querystring={}, header=header)
        sent = template.render(body="{}", parameters=parameters, context=context, stage_variables=variables)
        return str(json.loads(sent)["name"])

    assert name(**{"idempotency-key": "k" * 50}) == f"api-{caller}-{'k' * 50}"
    assert len(name(**{"idempotency-key": "k" * 50})) <= 80
    assert name() == f"api-{caller}-r12"


def test_the_access_log_names_request_execution_latency_and_reason() -> None:
    logged = json.loads(api()["AccessLogSetting"]["Fn::If"][1]["Format"])
    assert logged["requestId"] == "$context.requestId"
    assert logged["executionName"] == "$context.requestOverride.header.executionName"
    assert logged["latencyMs"] == "$context.responseLatency"
    assert logged["errorReason"] == "$context.error.validationErrorString"


def test_nothing_is_logged_where_the_account_has_no_role_for_it() -> None:
    resources = read_template()["Resources"]
    assert api()["AccessLogSetting"]["Fn::If"][0] == resources["ResizeApiLogs"]["Condition"] == "ApiIsLogged"
    # The stage refers to the log group and the log group to the account's setting, so that the setting comes first.
    assert json.dumps(resources["ResizeApiLogs"]["Properties"]["Tags"]).count("ApiLogsAccount") == 1
    for name in ("ApiLogsAccount", "ApiLogsRole"):
        assert resources[name]["Condition"] == "ApiLogsRoleIsNew"
        # "RetainExceptOnCreate" would delete the role, which the account logs through by then, if a later step failed.
        assert resources[name]["DeletionPolicy"] == resources[name]["UpdateReplacePolicy"] == "Retain"


def test_whatever_the_gateway_refuses_has_one_shape() -> None:
    responses = api()["DefinitionBody"]["x-amazon-apigateway-gateway-responses"]
    assert {"DEFAULT_4XX", "DEFAULT_5XX"} <= set(responses)
    for kind, response in responses.items():
        body = json.loads(response["responseTemplates"]["application/json"])
        # A variable ends the sentence: what stands behind one might be read as a part of its name.
        assert re.search(r"\$[\w.]+[^\w.]", body["message"]) is None, kind
        assert list(body) == ["error", "message"], kind
        # Other variables of $context.error tell of callers, accounts and roles.
        assert set(re.findall(r"\$[\w.]+", json.dumps(body))) <= {"$context.error.validationErrorString"}, kind


def test_who_is_throttled_learns_how_long_to_wait() -> None:
    response = api()["DefinitionBody"]["x-amazon-apigateway-gateway-responses"]["THROTTLED"]
    assert response["statusCode"] == 429
    assert response["responseParameters"]["gatewayresponse.header.Retry-After"] == "'2'"


def test_sam_deploys_no_stage_but_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    template = read_template()
    for resource in template["Resources"].values():
        for place in ("CodeUri", "DefinitionUri"):
            if place in resource.get("Properties", {}):
                resource["Properties"][place] = "s3://bucket/key"

    deployed = transform(template, {}, _NoManagedPolicies())["Resources"]

    stages = [item["Properties"] for item in deployed.values() if item["Type"] == "AWS::ApiGateway::Stage"]
    assert [stage["StageName"] for stage in stages] == ["prod"]
    deployments = [item["Properties"] for item in deployed.values() if item["Type"] == "AWS::ApiGateway::Deployment"]
    assert [deployment.get("StageName") for deployment in deployments] == [None]


class _NoManagedPolicies:
    """The template names no managed policy, so that SAM need not ask AWS for their ARNs."""

    def load(self) -> dict[str, str]:
        return {}
