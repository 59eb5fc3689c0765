"""Originals in a bucket that was there before the stack: its events come through EventBridge, and it stays as it is."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from local.processes import free_ports
from local.stack import ROOT, Settings, Stack
from tests.e2e.pipeline import Pipeline, photograph
from tests.e2e.test_smoke import broken, left_over, smoke

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET = "two-million-pictures"
PREFIX = "photos/"
ODD_KEY = 'photos/bob\'s + été/100% %20 📷 "a&b".jpg'


def command() -> str:
    """Return the documented command that switches on the events of a bucket, without its prompts."""
    section = (ROOT / "docs" / "deploying.md").read_text(encoding="utf-8").split("\n## A bucket that you have\n", 1)[1]
    block = re.search(r"```console\n(.*?)```", section, re.DOTALL)
    assert block is not None
    return re.sub(r"^\$ ", "", block[1], flags=re.MULTILINE)


def switch_on_events(settings: Settings, bucket: str) -> None:
    script = f"BUCKET={bucket}\n" + re.sub(r"^BUCKET=.*\n", "", command())
    tools = str(ROOT / ".tools" / "awscli" / "bin")
    environment = settings.environment()
    subprocess.run(  # noqa: S603 - a command of our own document
        ["bash", "-euo", "pipefail", "-c", script],  # noqa: S607 - the system's bash
        env=environment | {"PATH": os.pathsep.join([tools, environment["PATH"]])},
        check=True,
        timeout=60,
        capture_output=True,
    )


def notifications(s3: "S3Client", bucket: str) -> dict[str, Any]:
    answer = s3.get_bucket_notification_configuration(Bucket=bucket)
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


def contents(s3: "S3Client", bucket: str) -> list[Any]:
    """Return every version and delete marker of a bucket, and all that is set up on it."""
    versions = s3.list_object_versions(Bucket=bucket)
    return [versions.get("Versions"), versions.get("DeleteMarkers"), notifications(s3, bucket)]


@pytest.fixture(scope="module")
def existing() -> Iterator[Pipeline]:
    """Deploy on a bucket that has pictures and a notification of its owner's, and end the stack afterwards."""
    parameters = {"ApiAuthorization": "NONE", "ExistingOriginalsBucket": BUCKET, "OriginalsPrefix": PREFIX}
    aws_port, api_port = free_ports(2)
    stack = Stack(Settings(aws_port, api_port, ROOT / ".local" / "e2e-existing", parameters))
    stack.down()

    def make_bucket(_build: object) -> None:
        s3, sqs = stack.settings.client("s3"), stack.settings.client("sqs")
        s3.create_bucket(Bucket=BUCKET)
        url = sqs.create_queue(QueueName="of-the-owner")["QueueUrl"]
        queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        allow = {"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "sqs:SendMessage"}
        policy = {"Version": "2012-10-17", "Statement": [{**allow, "Resource": queue}]}
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
        only_pdf = {"Key": {"FilterRules": [{"Name": "suffix", "Value": ".pdf"}]}}
        mine = {"Id": "owner", "QueueArn": queue, "Events": ["s3:ObjectCreated:*"], "Filter": only_pdf}
        s3.put_bucket_notification_configuration(
            Bucket=BUCKET, NotificationConfiguration={"QueueConfigurations": [mine]}
        )

    try:
        stack.up(make_bucket)
        yield Pipeline(stack)
    finally:
        stack.down()


@pytest.fixture(scope="module")
def switched_on(existing: Pipeline) -> Pipeline:
    switch_on_events(existing.settings, BUCKET)
    return existing


def test_the_command_of_the_readme_keeps_the_notifications_of_the_owner(existing: Pipeline) -> None:
    before = notifications(existing.s3, BUCKET)
    assert before.keys() == {"QueueConfigurations"}

    for _ in range(2):
        switch_on_events(existing.settings, BUCKET)

        assert notifications(existing.s3, BUCKET) == {**before, "EventBridgeConfiguration": {}}


def test_the_command_of_the_readme_suits_a_bucket_without_notifications(existing: Pipeline) -> None:
    existing.s3.create_bucket(Bucket="quiet")

    switch_on_events(existing.settings, "quiet")

    assert notifications(existing.s3, "quiet") == {"EventBridgeConfiguration": {}}


def test_no_bucket_for_originals_was_made(existing: Pipeline) -> None:
    assert existing.originals == BUCKET
    names = {bucket["Name"] for bucket in existing.s3.list_buckets()["Buckets"]}
    assert "alison-image-originals-01" not in names
    assert "alison-image-thumbnails-01" in names


@pytest.mark.parametrize("versioning", [None, "Enabled", "Suspended"])
def test_thumbnails_follow_the_originals(switched_on: Pipeline, versioning: Any) -> None:
    pipeline = switched_on
    if versioning:
        pipeline.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": versioning})
    key = f"{PREFIX}{versioning}/a.jpg"

    first = pipeline.upload(key, photograph())
    pipeline.ends_of(key, 1)
    assert pipeline.manifest_of(key)["original"]["etag"] == first
    second = pipeline.upload(key, photograph(300, 400))
    pipeline.ends_of(key, 2)
    assert pipeline.manifest_of(key)["original"]["etag"] == second
    # The same bytes again are another event.
    pipeline.upload(key, photograph(300, 400))
    pipeline.ends_of(key, 3)
    pipeline.s3.delete_object(Bucket=BUCKET, Key=key)
    ends = pipeline.ends_of(key, 4)

    assert [end["status"] for end in ends] == ["SUCCEEDED"] * 4
    assert sorted(end["name"].partition("-")[0] for end in ends) == ["removed", "upload", "upload", "upload"]
    assert pipeline.stored_for(key) == []


def test_a_roll_back_brings_the_older_picture_back(switched_on: Pipeline) -> None:
    pipeline, key = switched_on, f"{PREFIX}back/a.jpg"
    pipeline.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    first = pipeline.upload(key, photograph())
    pipeline.ends_of(key, 1)
    newer = pipeline.s3.put_object(Bucket=BUCKET, Key=key, Body=photograph(300, 400))
    pipeline.ends_of(key, 2)

    pipeline.s3.delete_object(Bucket=BUCKET, Key=key, VersionId=newer["VersionId"])
    pipeline.ends_of(key, 3)

    assert pipeline.manifest_of(key)["original"]["etag"] == first


def test_a_key_keeps_every_character(switched_on: Pipeline) -> None:
    switched_on.upload(ODD_KEY, photograph())

    (execution,) = switched_on.ends_of(ODD_KEY, 1)

    assert execution["status"] == "SUCCEEDED", execution.get("cause")
    made = [thumbnail["key"] for thumbnail in json.loads(execution["output"])["thumbnails"]]
    folder, _, name = ODD_KEY.rpartition("/")
    assert made == [f"thumbnails/{folder}/128x128_{name}"]


def test_what_lies_outside_the_prefix_is_left_alone(switched_on: Pipeline) -> None:
    pipeline = switched_on
    pipeline.upload("invoices/a.jpg", photograph())
    pipeline.upload(f"{PREFIX}beside/a.jpg", photograph())
    pipeline.end_of_upload(f"{PREFIX}beside/a.jpg")
    pipeline.wait_until_queue_is_empty()
    assert pipeline.executions_of("invoices/a.jpg") == []

    posted = pipeline.post(pipeline.request("invoices/a.jpg", width=64, height=64))

    execution = pipeline.end_of(posted.body["executionArn"])
    assert (execution["status"], execution["error"]) == ("FAILED", "Permanent.KeyNotAllowedError")
    assert pipeline.stored_for("invoices/a.jpg") == []


def test_requests_for_originals_are_served(switched_on: Pipeline) -> None:
    key = f"{PREFIX}posted/a.jpg"
    switched_on.upload(key, photograph())
    switched_on.end_of_upload(key)

    posted = switched_on.post(switched_on.request(key, width=64, height=48))

    assert switched_on.end_of(posted.body["executionArn"])["status"] == "SUCCEEDED"
    missing = switched_on.post(switched_on.request(f"{PREFIX}posted/never.jpg", width=64, height=48))
    assert switched_on.end_of(missing.body["executionArn"])["error"] == "Permanent.OriginalNotFoundError"


def test_nothing_became_a_dead_letter(switched_on: Pipeline) -> None:
    switched_on.wait_until_queue_is_empty()
    attributes = switched_on.sqs.get_queue_attributes(QueueUrl=switched_on.dead_letters, AttributeNames=["All"])

    assert attributes["Attributes"]["ApproximateNumberOfMessages"] == "0"


def test_the_smoke_test_judges_what_the_stack_promises(switched_on: Pipeline) -> None:
    done = smoke(switched_on, "--wait", "90")

    assert (done.returncode, broken(done.stdout), done.stderr) == (0, [], ""), done.stdout
    assert "every upload and removal goes to EventBridge" in done.stdout
    assert f"s3://{BUCKET}/{PREFIX}smoke/" in done.stdout
    assert f"{BUCKET} refuses plain HTTP" not in done.stdout
    assert left_over(switched_on) == []


def test_the_prefix_limits_a_bucket_of_the_stacks_own(existing: Pipeline) -> None:
    settings = existing.settings
    parameters = {"BucketPrefix": "own-image", "StateMachineName": "OwnMachine", "OriginalsPrefix": PREFIX}
    stack = Stack(Settings(settings.aws_port, settings.api_port, settings.state, parameters, stack_name="own"))
    # The functions are built already.
    stack._deploy()
    own = Pipeline(stack)

    own.upload("invoices/a.jpg", photograph())
    own.upload(f"{PREFIX}a.jpg", photograph())
    own.ends_of(f"{PREFIX}a.jpg", 1)
    own.wait_until_queue_is_empty()

    assert own.originals == "own-image-originals-01"
    assert own.executions_of("invoices/a.jpg") == []
    assert own.stored_for(f"{PREFIX}a.jpg") == [
        f"manifests/{PREFIX}a.jpg.json",
        f"thumbnails/{PREFIX}128x128_a.jpg",
    ]


def test_deleting_the_stack_leaves_the_bucket_alone(switched_on: Pipeline) -> None:
    """Last in the file, because the other tests need the stack."""
    before = contents(switched_on.s3, BUCKET)
    cloudformation = switched_on.settings.client("cloudformation")

    cloudformation.delete_stack(StackName=switched_on.settings.stack_name)
    cloudformation.get_waiter("stack_delete_complete").wait(
        StackName=switched_on.settings.stack_name, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )

    assert contents(switched_on.s3, BUCKET) == before
    assert switched_on.settings.client("events").list_rules()["Rules"] == []
