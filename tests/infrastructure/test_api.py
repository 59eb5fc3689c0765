"""The API as it is deployed, and the contract that is published of it."""

import json
import re
from typing import Any

import pytest
from samtranslator.translator.transform import transform  # type: ignore[import-untyped]  # ships no type hints

from local.openapi import PATH, contract
from tests.deployed import read_schema, read_template

ALL_STATUSES = {"403", "413", "415", "429", "500", "502", "503", "504"}


def api() -> dict[str, Any]:
    properties: dict[str, Any] = read_template()["Resources"]["ResizeApi"]["Properties"]
    return properties


def test_the_published_contract_is_current() -> None:
    assert json.loads(PATH.read_text(encoding="utf-8")) == contract(), "Run: make openapi"


def test_the_contract_is_plain_and_complete() -> None:
    document = contract()
    assert "x-amazon" not in json.dumps(document)
    assert "Fn::" not in json.dumps(document)
    assert {f"{method} {path}" for path, item in document["paths"].items() for method in item} == {
        "post /resize",
        "get /executions/{executionId}",
    }
    assert document["components"]["schemas"]["ResizeRequest"] == read_schema()


def test_every_operation_says_how_it_may_be_refused() -> None:
    document = contract()
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
        }
    ]


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
        assert resources[name]["DeletionPolicy"] == "RetainExceptOnCreate"


def test_whatever_the_gateway_refuses_has_one_shape() -> None:
    responses = api()["DefinitionBody"]["x-amazon-apigateway-gateway-responses"]
    assert {"DEFAULT_4XX", "DEFAULT_5XX"} <= set(responses)
    for kind, response in responses.items():
        body = json.loads(response["responseTemplates"]["application/json"])
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
