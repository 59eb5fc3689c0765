"""What each upload asks of AWS, counted with the real functions, is what the cost model prices."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse, HTTPHeaders
from moto.core.botocore_stubber import MockRawResponse

from cost.requests import RESIZE, START, START_AGAIN, Deed
from functions.start_from_s3.pacing import Pacing
from functions.start_from_s3.workflows import ExpressWorkflow, StandardWorkflow
from samples.files import picture
from tests.conftest import ACCOUNT
from tests.functional.conftest import ORIGINALS, STATE_MACHINE_ARN, THUMBNAILS, Context, Function
from tests.functional.test_resize_handler import event_for
from tests.functional.test_start_from_s3_handler import batch
from tests.s3_events import event_text

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_stepfunctions import SFNClient

ONE = [{"width": 128, "height": 128}]
FIVE = [{"width": side, "height": side} for side in (16, 32, 64, 96, 128)]


@contextmanager
def counted(client: Any) -> Iterator[Counter[str]]:
    """Count requests by operation, those that botocore repeats included."""
    counts: Counter[str] = Counter()

    def count(request: Any, event_name: str, **_: Any) -> None:  # noqa: ARG001 - botocore passes it by name
        counts[event_name.rpartition(".")[2]] += 1

    client.meta.events.register("request-created", count)
    try:
        yield counts
    finally:
        client.meta.events.unregister("request-created", count)


def upload(s3: "S3Client", colour: str) -> None:
    s3.put_object(Bucket=ORIGINALS, Key="a.jpg", Body=picture(colour=colour))


# What brings a key into the state from which each deed starts, and what the deed does.
BEFORE: dict[Deed, Callable[["S3Client"], None]] = {
    Deed.REPLACED: lambda s3: upload(s3, "red"),
    Deed.REPEATED: lambda s3: upload(s3, "blue"),
    Deed.DELETED: lambda s3: upload(s3, "red"),
}
DEEDS: dict[Deed, Callable[["S3Client"], None]] = {
    **dict.fromkeys((Deed.UPLOADED, Deed.REPLACED, Deed.REPEATED), lambda s3: upload(s3, "blue")),
    Deed.DELETED: lambda s3: s3.delete_object(Bucket=ORIGINALS, Key="a.jpg") and None,
}


@pytest.mark.parametrize("sizes", [ONE, FIVE], ids=["one thumbnail", "five thumbnails"])
@pytest.mark.parametrize("deed", list(Deed))
def test_requests_of_the_resize_function(
    deed: Deed, sizes: list[dict[str, int]], resize: Function, s3: "S3Client"
) -> None:
    event = event_for("a.jpg", sizes=sizes, if_missing="remove")
    if before := BEFORE.get(deed):
        before(s3)
        assert resize(event)["status"] == "SUCCESS"
    DEEDS[deed](s3)

    with counted(resize.module._S3) as counts:
        result = resize(event)

    assert result["status"] == "SUCCESS"
    assert counts == {operation: each.count(len(sizes)) for operation, each in RESIZE[deed].items()}
    left = s3.list_objects_v2(Bucket=THUMBNAILS, Prefix="thumbnails/")["KeyCount"]
    assert left == (0 if deed is Deed.DELETED else len(sizes))


@pytest.fixture
def machine(aws: boto3.Session) -> "SFNClient":
    """Give Step Functions with a machine of the deployment's name whose executions end at once."""
    client = aws.client("stepfunctions")
    created = client.create_state_machine(
        name="ImageResizeStateMachine",
        definition='{"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}',
        roleArn=f"arn:aws:iam::{ACCOUNT}:role/ImageResizeStateMachine",
    )
    assert created["stateMachineArn"] == STATE_MACHINE_ARN
    return client


def started_calmly(start_from_s3: Function, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give the function a Standard workflow that has not looked yet, and return its client."""
    client = start_from_s3.module._create_client(read_timeout=2)
    workflow = StandardWorkflow(client, STATE_MACHINE_ARN, Pacing(pictures=8, starters=2))
    monkeypatch.setattr(start_from_s3.module, "_WORKFLOW", workflow)
    return client


def test_requests_of_a_start(start_from_s3: Function, machine: "SFNClient", monkeypatch: pytest.MonkeyPatch) -> None:
    with counted(started_calmly(start_from_s3, monkeypatch)) as counts:
        result = start_from_s3(batch(event_text("put")))

    assert result == {"batchItemFailures": []}
    assert counts == START["STANDARD"]
    assert len(machine.list_executions(stateMachineArn=STATE_MACHINE_ARN)["executions"]) == 1


def test_requests_of_an_event_that_comes_again(
    start_from_s3: Function, machine: "SFNClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    started_calmly(start_from_s3, monkeypatch)
    start_from_s3(batch(event_text("put")))
    while machine.list_executions(stateMachineArn=STATE_MACHINE_ARN, statusFilter="RUNNING")["executions"]:
        time.sleep(0.05)

    with counted(started_calmly(start_from_s3, monkeypatch)) as counts:
        result = start_from_s3(batch(event_text("put")))

    assert result == {"batchItemFailures": []}
    assert counts == START_AGAIN
    assert len(machine.list_executions(stateMachineArn=STATE_MACHINE_ARN)["executions"]) == 1


@pytest.mark.usefixtures("aws")
def test_requests_of_an_express_run(start_from_s3: Function, monkeypatch: pytest.MonkeyPatch) -> None:
    client = start_from_s3.module._create_client(read_timeout=310)
    monkeypatch.setattr(start_from_s3.module, "_WORKFLOW", ExpressWorkflow(client, STATE_MACHINE_ARN))
    # moto has no StartSyncExecution. Only this operation is answered; any other is counted and fails.
    answer = {"status": "SUCCEEDED", "executionArn": f"{STATE_MACHINE_ARN}:run", "output": "{}"}
    client.meta.events.register(
        "before-send.sfn.StartSyncExecution",
        lambda request, **_: AWSResponse(request.url, 200, HTTPHeaders(), MockRawResponse(json.dumps(answer).encode())),
    )

    with counted(client) as counts:
        result = start_from_s3(batch(event_text("put")), Context(remaining_time=330_000))

    assert result == {"batchItemFailures": []}
    assert counts == START["EXPRESS"]
