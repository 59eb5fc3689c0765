"""Nobody in: each role tries what it has no business with, and IAM refuses."""

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from local.stack import StackError
from tests.e2e.pipeline import Pipeline, photograph

Attempt = Callable[[Callable[[str], Any], Pipeline], Any]

FORBIDDEN: dict[str, dict[str, Attempt]] = {
    "ResizeFunctionRole": {
        "read beside thumbnails/": lambda client, at: client("s3").get_object(Bucket=at.thumbnails, Key="index.html"),
        "write an original": lambda client, at: client("s3").put_object(Bucket=at.originals, Key="x.jpg", Body=b"x"),
        "write beside thumbnails/": lambda client, at: client("s3").put_object(
            Bucket=at.thumbnails, Key="index.html", Body=b"x"
        ),
        "delete beside thumbnails/": lambda client, at: client("s3").delete_object(
            Bucket=at.thumbnails, Key="index.html"
        ),
        "list the versions of an original": lambda client, at: client("s3").list_object_versions(Bucket=at.originals),
        "delete an original": lambda client, at: client("s3").delete_object(Bucket=at.originals, Key="allowed.jpg"),
        "start an execution": lambda client, at: client("stepfunctions").start_execution(stateMachineArn=at.machine),
    },
    "StartFromS3FunctionRole": {
        "read an original": lambda client, at: client("s3").get_object(Bucket=at.originals, Key="allowed.jpg"),
        "send a message": lambda client, at: client("sqs").send_message(QueueUrl=at.uploads_queue, MessageBody="x"),
        "read dead letters": lambda client, at: client("sqs").receive_message(QueueUrl=at.dead_letters),
        "stop an execution": lambda client, at: client("stepfunctions").stop_execution(
            executionArn=at.machine.replace("stateMachine", "execution") + ":x"
        ),
    },
    "ResizeApiRole": {
        "describe an execution of another state machine": lambda client, at: client("stepfunctions").describe_execution(
            executionArn=at.machine.replace("stateMachine", "execution").replace("ImageResize", "Other") + ":x"
        ),
        "read an original": lambda client, at: client("s3").get_object(Bucket=at.originals, Key="allowed.jpg"),
        "invoke a function": lambda client, _: client("lambda").invoke(
            FunctionName="alison-image-resizer", Payload=b"{}"
        ),
        "stop an execution": lambda client, at: client("stepfunctions").stop_execution(
            executionArn=at.machine.replace("stateMachine", "execution") + ":x"
        ),
    },
}


def clients_of(role: str, pipeline: Pipeline) -> Callable[[str], Any]:
    """Give a maker of clients with the credentials of one of the template's roles."""
    answer = pipeline.stack.aws(
        *("cloudformation", "describe-stack-resources", "--stack-name", pipeline.settings.stack_name),
        *("--query", f"StackResources[?LogicalResourceId=='{role}'].PhysicalResourceId", "--output", "text"),
    )
    assumed = json.loads(
        pipeline.stack.aws(
            *("sts", "assume-role", "--role-session-name", "permissions", "--output", "json"),
            *("--role-arn", f"arn:aws:iam::000000000000:role/{answer.strip()}"),
        )
    )["Credentials"]
    session = boto3.Session(assumed["AccessKeyId"], assumed["SecretAccessKey"], assumed["SessionToken"], "us-east-1")
    return lambda service: session.client(
        service,  # type: ignore[call-overload]  # the overloads want a literal
        endpoint_url=pipeline.settings.endpoint,
    )


@pytest.mark.parametrize("role", FORBIDDEN)
def test_a_role_may_not_do_what_it_does_not_need(pipeline: Pipeline, role: str) -> None:
    pipeline.upload("allowed.jpg", photograph())
    client = clients_of(role, pipeline)

    outcomes = {}
    for what, attempt in FORBIDDEN[role].items():
        with pytest.raises(ClientError) as refused:
            attempt(client, pipeline)
        outcomes[what] = refused.value.response["Error"]["Code"].removesuffix("Exception")

    assert outcomes == dict.fromkeys(FORBIDDEN[role], "AccessDenied")


def test_the_resize_role_may_do_what_it_needs(pipeline: Pipeline) -> None:
    pipeline.upload("allowed.jpg", photograph())
    s3 = clients_of("ResizeFunctionRole", pipeline)("s3")

    s3.get_object(Bucket=pipeline.originals, Key="allowed.jpg", ExpectedBucketOwner="000000000000")
    for key in ("thumbnails/allowed by role.jpg", "manifests/allowed by role.jpg.json"):
        etag = s3.put_object(Bucket=pipeline.thumbnails, Key=key, Body=b"x", IfNoneMatch="*")["ETag"]
        etag = s3.put_object(Bucket=pipeline.thumbnails, Key=key, Body=b"y", IfMatch=etag)["ETag"]
        assert s3.get_object(Bucket=pipeline.thumbnails, Key=key)["Body"].read() == b"y"
        s3.delete_object(Bucket=pipeline.thumbnails, Key=key, IfMatch=etag)

    missing = {}
    for bucket in (pipeline.originals, pipeline.thumbnails):
        with pytest.raises(ClientError) as caught:
            s3.get_object(Bucket=bucket, Key="thumbnails/there is no such.jpg")
        missing[bucket] = caught.value.response["Error"]["Code"]
    assert set(missing.values()) == {"NoSuchKey"}


def test_the_local_s3_holds_writes_and_deletes_to_their_conditions(pipeline: Pipeline) -> None:
    s3: Any = pipeline.s3
    where = {"Bucket": pipeline.thumbnails, "Key": "thumbnails/conditions.jpg"}
    etag = s3.put_object(**where, Body=b"x")["ETag"]
    attempts: dict[str, Callable[[], Any]] = {
        "write a second one": lambda: s3.put_object(**where, Body=b"z", IfNoneMatch="*"),
        "write over another one": lambda: s3.put_object(**where, Body=b"z", IfMatch='"another"'),
        "delete another one": lambda: s3.delete_object(**where, IfMatch='"another"'),
        "download it again": lambda: s3.get_object(**where, IfNoneMatch=etag),
    }

    statuses = {}
    for what, attempt in attempts.items():
        with pytest.raises(ClientError) as refused:
            attempt()
        statuses[what] = refused.value.response["ResponseMetadata"]["HTTPStatusCode"]
    s3.delete_object(**where, IfMatch=etag)

    assert statuses == {
        "write a second one": 412,
        "write over another one": 412,
        "delete another one": 412,
        "download it again": 304,
    }
    for call in (s3.put_object, s3.delete_object):
        with pytest.raises(ClientError) as missing:
            call(**where, IfMatch=etag)
        assert missing.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404


def test_nobody_but_step_functions_of_this_account_becomes_the_state_machine(pipeline: Pipeline) -> None:
    with pytest.raises(StackError, match="AccessDenied"):
        clients_of("ImageResizeStateMachineRole", pipeline)
