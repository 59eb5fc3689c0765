"""More than one deployment: a changed parameter takes effect, and two stacks live side by side in one account."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from local.processes import free_ports
from local.stack import ROOT, Settings, Stack
from tests.e2e.pipeline import Answer, Pipeline, photograph

ORIGIN = "https://example.org"

RECIPES = [
    {"prefix": "avatars/", "sizes": ["32x32"], "fit": "cover", "formats": ["webp", "source"]},
    {"prefix": "private/", "sizes": []},
    {"prefix": ""},
]

Deploy = Callable[..., Pipeline]


@pytest.fixture(scope="module")
def deploy() -> Iterator[Deploy]:
    """Deploy into an account of its own, by stack name and parameters, and end all of it afterwards."""
    aws_port, api_port = free_ports(2)
    state = ROOT / ".local" / "e2e-deployments"

    def stack(name: str, **parameters: str) -> Stack:
        return Stack(Settings(aws_port, api_port, state, parameters, stack_name=name))

    def up(name: str, recipes: list[dict[str, Any]] | None = None, **parameters: str) -> Pipeline:
        def replace_recipes(build: Path) -> None:
            if recipes is not None:
                (build / "StartFromS3Function" / "recipes.json").write_text(json.dumps(recipes), encoding="utf-8")

        deployed = stack(name, **parameters)
        deployed.up(replace_recipes)
        return Pipeline(deployed)

    stack("alison-image").down()
    try:
        yield up
    finally:
        stack("alison-image").down()


@pytest.fixture(scope="module")
def two_stacks(deploy: Deploy) -> tuple[Pipeline, Pipeline]:
    """Deploy two stacks into one account, the second one with recipes of its own."""
    first = deploy("alison-image", ApiAuthorization="NONE")
    second = deploy(
        "second", RECIPES, ApiAuthorization="NONE", BucketPrefix="second-image", StateMachineName="SecondMachine"
    )
    return first, second


def send_signed(pipeline: Pipeline, credentials: Credentials, path: str = "", **headers: str) -> Answer:
    """Post a request for a resize, or get a path, as somebody."""
    body = b"" if path else json.dumps(pipeline.request("signed.jpg", width=64, height=64)).encode()
    url = pipeline.settings.api.removesuffix("/prod/resize") + (path or "/prod/resize")
    request = AWSRequest("GET" if path else "POST", url, data=body, headers={"Content-Type": "application/json"})
    SigV4Auth(credentials, "execute-api", "us-east-1").add_auth(request)
    signed = {name: str(value) for name, value in request.headers.items()}
    return pipeline.get(path, **signed) if path else pipeline.post(body, **signed, **headers)


def callers(pipeline: Pipeline) -> list[Credentials]:
    """Return who may sign: the account's root, an IAM user and an assumed role."""
    iam = pipeline.settings.client("iam")
    iam.create_user(UserName="ann")
    key = iam.create_access_key(UserName="ann")["AccessKey"]
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = iam.create_role(RoleName="uploader", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    session = pipeline.settings.client("sts").assume_role(RoleArn=role, RoleSessionName="night")["Credentials"]
    return [
        Credentials("test", "test"),
        Credentials(key["AccessKeyId"], key["SecretAccessKey"]),
        Credentials(session["AccessKeyId"], session["SecretAccessKey"], session["SessionToken"]),
    ]


def test_another_deployment_closes_the_api_and_opens_it_for_those_who_sign(deploy: Deploy) -> None:
    pipeline = deploy("alison-image", ApiAuthorization="NONE", AllowedOrigin="")
    request = pipeline.request("unsigned.jpg", width=64, height=64)
    before = pipeline.post(request)

    deploy("alison-image", ApiAuthorization="AWS_IAM", AllowedOrigin=ORIGIN)

    after = pipeline.post(request)
    assert (before.status, after.status) == (200, 403)
    assert "access-control-allow-origin" not in before.headers
    assert after.headers["access-control-allow-origin"] == ORIGIN
    assert "x-amzn-RequestId" in after.headers["access-control-expose-headers"].split(",")

    everybody = callers(pipeline)
    # The same key of three callers names three executions, and each of them reads its own and no other.
    started = [send_signed(pipeline, caller, Idempotency_Key="order-1") for caller in everybody]
    assert [answer.status for answer in started] == [200, 200, 200]
    assert len({answer.body["executionId"] for answer in started}) == 3
    for reader, caller in enumerate(everybody):
        read = [send_signed(pipeline, caller, answer.headers["location"]).status for answer in started]
        assert read == [200 if owner == reader else 404 for owner in range(3)]
    assert send_signed(pipeline, Credentials(everybody[1].access_key, "wrong")).status == 403


def test_two_stacks_live_side_by_side_in_one_account_and_region(two_stacks: tuple[Pipeline, Pipeline]) -> None:
    first, second = two_stacks

    first.upload("a.jpg", photograph())
    second.upload("a.jpg", photograph())
    posted = second.post(second.request("a.jpg", width=50, height=50))

    assert first.machine != second.machine
    assert ":SecondMachine:" in posted.body["executionArn"]
    for pipeline in (first, second):
        assert pipeline.end_of_upload("a.jpg")["status"] == "SUCCEEDED"
        assert pipeline.executions_of("a.jpg")
    assert second.end_of(posted.body["executionArn"])["status"] == "SUCCEEDED"
    listed = {
        bucket: [made["Key"] for made in first.s3.list_objects_v2(Bucket=bucket)["Contents"]]
        for bucket in (first.thumbnails, second.thumbnails)
    }
    assert listed == {
        first.thumbnails: ["manifests/a.jpg.json", "thumbnails/128x128_a.jpg"],
        second.thumbnails: ["manifests/a.jpg.json", "thumbnails/128x128_a.jpg", "thumbnails/50x50_a.jpg"],
    }


def test_recipes_are_chosen_by_prefix(two_stacks: tuple[Pipeline, Pipeline]) -> None:
    _, pipeline = two_stacks
    for key in ("private/a.jpg", "avatars/a.jpg", "others/a.jpg"):
        pipeline.upload(key, photograph())

    pipeline.wait_until_queue_is_empty()
    for key in ("avatars/a.jpg", "others/a.jpg"):
        pipeline.ends_of(key, 1)

    assert pipeline.stored_for("avatars/a.jpg") == [
        "manifests/avatars/a.jpg.json",
        "thumbnails/avatars/32x32-cover_a.jpg",
        "thumbnails/avatars/32x32-cover_a.jpg.webp",
    ]
    assert pipeline.stored_for("others/a.jpg") == ["manifests/others/a.jpg.json", "thumbnails/others/128x128_a.jpg"]
    assert pipeline.executions_of("private/a.jpg") == []
