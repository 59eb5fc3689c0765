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
        "read a thumbnail": lambda client, at: client("s3").get_object(Bucket=at.thumbnails, Key="thumbnails/x.jpg"),
        "write an original": lambda client, at: client("s3").put_object(Bucket=at.originals, Key="x.jpg", Body=b"x"),
        "write beside thumbnails/": lambda client, at: client("s3").put_object(
            Bucket=at.thumbnails, Key="index.html", Body=b"x"
        ),
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
    s3.put_object(Bucket=pipeline.thumbnails, Key="thumbnails/allowed.jpg", Body=b"x")

    with pytest.raises(ClientError) as missing:
        s3.get_object(Bucket=pipeline.originals, Key="there is no such.jpg")
    assert missing.value.response["Error"]["Code"] == "NoSuchKey"


def test_nobody_but_step_functions_of_this_account_becomes_the_state_machine(pipeline: Pipeline) -> None:
    with pytest.raises(StackError, match="AccessDenied"):
        clients_of("ImageResizeStateMachineRole", pipeline)
