"""The smoke test finds the deployed stack as promised, and finds out what somebody broke."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from local.processes import free_port
from local.stack import ROOT
from tests.e2e.pipeline import Pipeline

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import NotificationConfigurationTypeDef


def command(pipeline: Pipeline, *options: str) -> list[str]:
    return [
        *(sys.executable, "-m", "smoke", "--stack", pipeline.settings.stack_name),
        *("--api-url", pipeline.settings.api, "--wait", "15", *options),
    ]


def smoke(pipeline: Pipeline, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - the command is ours
        command(pipeline, *options),
        cwd=ROOT,
        # A proxy that does not answer: what stays on loopback asks none.
        env=pipeline.settings.environment() | {"HTTP_PROXY": f"http://127.0.0.1:{free_port()}"} | environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def broken(output: str) -> list[str]:
    """Return what the table marks as broken, the promise and what was found, each on one line."""
    rows: list[str] = []
    for line in output.splitlines():
        if line.startswith(("  ✓", "  ✗", "  …")):
            rows.append(line[2:])
        elif line.startswith("    ") and rows:
            rows[-1] += f" {line.strip()}"
    return [row for row in rows if row.startswith("✗")]


def left_over(pipeline: Pipeline) -> list[str]:
    versions = pipeline.s3.list_object_versions(Bucket=pipeline.originals, Prefix="smoke/")
    made = [
        each["Key"]
        for folder in ("thumbnails", "manifests")
        for each in pipeline.s3.list_objects_v2(Bucket=pipeline.thumbnails, Prefix=f"{folder}/smoke/").get(
            "Contents", []
        )
    ]
    return [
        *(each["Key"] for each in versions.get("Versions", [])),
        *(each["Key"] for each in versions.get("DeleteMarkers", [])),
        *made,
    ]


def test_the_deployment_keeps_its_word(pipeline: Pipeline) -> None:
    done = smoke(pipeline, "--wait", "90")

    assert (done.returncode, broken(done.stdout), done.stderr) == (0, [], ""), done.stdout
    first, *_, last = done.stdout.splitlines()
    assert "$0.01" in first
    assert last.startswith("This deployment keeps its promises (")
    assert " Next: " in last
    assert left_over(pipeline) == []


@contextmanager
def no_notification(pipeline: Pipeline) -> Iterator[None]:
    before = pipeline.s3.get_bucket_notification_configuration(Bucket=pipeline.originals)
    pipeline.s3.put_bucket_notification_configuration(Bucket=pipeline.originals, NotificationConfiguration={})
    try:
        yield
    finally:
        again: NotificationConfigurationTypeDef = {
            "QueueConfigurations": [
                {"QueueArn": each["QueueArn"], "Events": each["Events"]} for each in before["QueueConfigurations"]
            ]
        }
        pipeline.s3.put_bucket_notification_configuration(Bucket=pipeline.originals, NotificationConfiguration=again)


@contextmanager
def an_alarm_on_nothing(pipeline: Pipeline) -> Iterator[None]:
    cloudwatch = pipeline.settings.client("cloudwatch")
    (alarm,) = (
        alarm for alarm in cloudwatch.describe_alarms()["MetricAlarms"] if alarm.get("MetricName") == "ResizesFailed"
    )
    settings = {name: value for name, value in alarm.items() if not name.startswith(("AlarmArn", "AlarmConf", "State"))}
    cloudwatch.put_metric_alarm(**settings | {"MetricName": "ResizesFailing"})
    try:
        yield
    finally:
        cloudwatch.put_metric_alarm(**settings)


@contextmanager
def an_open_bucket(pipeline: Pipeline) -> Iterator[None]:
    access = pipeline.s3.get_public_access_block(Bucket=pipeline.thumbnails)["PublicAccessBlockConfiguration"]
    policy = pipeline.s3.get_bucket_policy(Bucket=pipeline.thumbnails)["Policy"]
    pipeline.s3.delete_public_access_block(Bucket=pipeline.thumbnails)
    pipeline.s3.delete_bucket_policy(Bucket=pipeline.thumbnails)
    try:
        yield
    finally:
        pipeline.s3.put_public_access_block(Bucket=pipeline.thumbnails, PublicAccessBlockConfiguration=access)
        pipeline.s3.put_bucket_policy(Bucket=pipeline.thumbnails, Policy=policy)


@contextmanager
def another_box(pipeline: Pipeline) -> Iterator[None]:
    functions = pipeline.settings.client("lambda")
    name = "alison-image-start-from-s3"
    before = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    _configure(functions, name, before | {"THUMBNAIL_SIZES": "64x64"})
    try:
        yield
    finally:
        _configure(functions, name, before)


def _configure(functions: Any, name: str, variables: dict[str, str]) -> None:
    functions.update_function_configuration(FunctionName=name, Environment={"Variables": variables})
    functions.get_waiter("function_updated_v2").wait(FunctionName=name)


@pytest.mark.parametrize(
    ("sabotage", "found"),
    [
        (no_notification, ["✗ every upload and removal is sent to the queue", "no execution was started for"]),
        (an_alarm_on_nothing, ["nothing sends alison-image ResizesFailing"]),
        (an_open_bucket, ["BlockPublicAcls is off", "✗ alison-image-thumbnails-01 refuses plain HTTP"]),
        (another_box, ["✗ JPEG becomes thumbnails", "there is no thumbnails/smoke/"]),
    ],
)
def test_what_was_broken_is_found(
    pipeline: Pipeline, sabotage: Callable[[Pipeline], AbstractContextManager[None]], found: list[str]
) -> None:
    with sabotage(pipeline):
        done = smoke(pipeline)

    assert done.returncode == 1, done.stdout + done.stderr
    rows = "\n".join(broken(done.stdout))
    assert [sentence for sentence in found if sentence not in rows] == []
    assert done.stdout.splitlines()[-1].startswith("This deployment breaks a promise (")
    pipeline.wait_until_idle()
    assert left_over(pipeline) == []


def test_an_interrupted_run_leaves_nothing_behind(pipeline: Pipeline) -> None:
    with subprocess.Popen(  # noqa: S603 - the command is ours
        command(pipeline),
        cwd=ROOT,
        env=pipeline.settings.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("Posting"):
                assert left_over(pipeline) != []
                os.kill(process.pid, signal.SIGINT)
                break
        _, errors = process.communicate(timeout=120)

    assert process.returncode == 130, errors
    assert "Interrupted" in errors
    # An execution that outlasts the visit removes what it made: its original is gone.
    pipeline.wait_until_idle()
    assert left_over(pipeline) == []


@pytest.mark.parametrize(
    ("options", "environment", "sentence"),
    [
        (("--stack", "nothing-here"), {}, "There is no stack 'nothing-here' in this account in us-east-1"),
        (
            (),
            {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE"},
            "These credentials have no permission to call DescribeStacks",
        ),
        (
            (),
            {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
            "The call to AWS failed: Unable to locate",
        ),
    ],
)
def test_what_keeps_it_from_running_is_one_sentence(
    pipeline: Pipeline, options: tuple[str, ...], environment: dict[str, str], sentence: str
) -> None:
    done = smoke(pipeline, *options, **environment)

    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.startswith(f"Error: {sentence}")
    assert done.stderr.count("\n") == 1
    assert "Next: " in done.stderr


def test_without_a_permission_nothing_is_left_behind(pipeline: Pipeline) -> None:
    iam = pipeline.settings.client("iam")
    iam.create_user(UserName="half")
    actions = ["cloudformation:*", "s3:*", "states:*"]
    allowed = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]}
    iam.put_user_policy(UserName="half", PolicyName="half", PolicyDocument=json.dumps(allowed))
    key = iam.create_access_key(UserName="half")["AccessKey"]
    environment = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}

    done = smoke(pipeline, **environment)

    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stdout + done.stderr
    assert done.stderr.startswith("Error: These credentials have no permission to call ")
    pipeline.wait_until_idle()
    assert left_over(pipeline) == []
