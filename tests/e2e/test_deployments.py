"""What a second deployment changes: a parameter that the API's body depends on takes effect."""

import dataclasses
import json
from collections.abc import Iterator

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from local.stack import ROOT, Settings, Stack
from tests.e2e.pipeline import Answer, Pipeline, free_port

ORIGIN = "https://example.org"


@pytest.fixture
def open_pipeline() -> Iterator[Pipeline]:
    """Deploy a stack of its own whose API is open, and end it afterwards."""
    settings = Settings(
        free_port(), free_port(), ROOT / ".local" / "e2e-deployments", {"ApiAuthorization": "NONE", "AllowedOrigin": ""}
    )
    stack = Stack(settings)
    stack.down()
    try:
        stack.up()
        yield Pipeline(stack)
    finally:
        stack.down()


def post_signed(pipeline: Pipeline, credentials: Credentials) -> Answer:
    body = json.dumps(pipeline.request("signed.jpg", width=64, height=64)).encode()
    request = AWSRequest("POST", pipeline.settings.api, data=body, headers={"Content-Type": "application/json"})
    SigV4Auth(credentials, "execute-api", "us-east-1").add_auth(request)
    return pipeline.post(body, **{name: str(value) for name, value in request.headers.items()})


def test_another_deployment_closes_the_api_and_opens_it_for_those_who_sign(open_pipeline: Pipeline) -> None:
    settings = open_pipeline.settings
    request = open_pipeline.request("unsigned.jpg", width=64, height=64)
    before = open_pipeline.post(request)

    Stack(dataclasses.replace(settings, parameters={"ApiAuthorization": "AWS_IAM", "AllowedOrigin": ORIGIN})).up()

    after = open_pipeline.post(request)
    assert (before.status, after.status) == (200, 403)
    assert "access-control-allow-origin" not in before.headers
    assert after.headers["access-control-allow-origin"] == ORIGIN

    # Not only the account's root may sign: so may IAM users and assumed roles.
    iam = settings.client("iam")
    iam.create_user(UserName="ann")
    key = iam.create_access_key(UserName="ann")["AccessKey"]
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = iam.create_role(RoleName="uploader", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    session = settings.client("sts").assume_role(RoleArn=role, RoleSessionName="night")["Credentials"]
    for credentials in (
        Credentials("test", "test"),
        Credentials(key["AccessKeyId"], key["SecretAccessKey"]),
        Credentials(session["AccessKeyId"], session["SecretAccessKey"], session["SessionToken"]),
    ):
        assert post_signed(open_pipeline, credentials).status == 200
    assert post_signed(open_pipeline, Credentials(key["AccessKeyId"], "wrong")).status == 403
