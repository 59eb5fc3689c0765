"""An Express execution is run to its end, and only a fault returns its upload to the queue."""

import json
from contextlib import nullcontext, suppress
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from functions.start_from_s3.executions import Execution
from functions.start_from_s3.pacing import Pacing
from functions.start_from_s3.workflows import (
    EXPRESS_SECONDS,
    ExecutionFaultedError,
    ExpressWorkflow,
    NoRoomError,
    NoTimeLeftError,
    StandardWorkflow,
)
from tests.deployed import read_state_machine

UPLOAD = Execution("upload-a-jpg-0123", {"object_key": "a.jpg", "if_missing": "remove"})


class StepFunctions:
    """Answers StartSyncExecution; keeps what it was asked."""

    def __init__(self, **answer: str) -> None:
        self._answer = answer
        self.asked: list[dict[str, Any]] = []

    def start_sync_execution(self, **request: Any) -> dict[str, str]:
        self.asked.append(request)
        return self._answer


def run(client: Any, *, is_retry: bool = False, seconds_left: float = 330.0) -> str:
    return ExpressWorkflow(client, "machine").run(UPLOAD, is_retry=is_retry, seconds_left=lambda: seconds_left)


def test_an_execution_that_succeeds_is_done() -> None:
    client = StepFunctions(status="SUCCEEDED", output="{}")

    assert run(client) == "execution succeeded"
    assert client.asked == [{"stateMachineArn": "machine", "name": UPLOAD.name, "input": UPLOAD.input}]


def test_one_that_fails_because_of_the_picture_is_done() -> None:
    prefix = read_state_machine()["States"]["ResizeFailed"]["ErrorPath"].split("'")[1]
    client = StepFunctions(status="FAILED", error=prefix.format("NotAnImageError"), cause="'a.jpg' is no image.")

    assert "NotAnImageError" in run(client)


@pytest.mark.parametrize(
    "answer",
    [
        {"status": "FAILED", "error": "StorageUnavailableError", "cause": "S3 did not answer."},
        {"status": "FAILED", "error": "InvalidResult", "cause": "…"},
        {"status": "FAILED"},
        {"status": "TIMED_OUT"},
    ],
    ids=str,
)
def test_a_fault_is_raised_with_its_reason(answer: dict[str, str]) -> None:
    with pytest.raises(ExecutionFaultedError) as raised:
        run(StepFunctions(**answer))

    assert UPLOAD.name in str(raised.value)
    for word in answer.values():
        assert word in str(raised.value)


def test_what_was_tried_before_is_asked_for_as_a_retry() -> None:
    client = StepFunctions(status="SUCCEEDED")

    run(client, is_retry=True)

    (asked,) = client.asked
    assert asked["name"] == UPLOAD.name
    assert json.loads(asked["input"]) == {**UPLOAD.request, "retry": True}


def test_nothing_is_started_that_would_not_end_in_time() -> None:
    client = StepFunctions(status="SUCCEEDED")

    with pytest.raises(NoTimeLeftError):
        run(client, seconds_left=EXPRESS_SECONDS - 1)

    assert client.asked == []


@pytest.mark.parametrize(
    ("answer", "is_retry", "is_last", "is_told"),
    [
        ({"status": "SUCCEEDED"}, False, False, True),
        ({"status": "FAILED", "error": "Permanent.NotAnImageError"}, False, False, True),
        # The queue has it tried again; the end is yet to come.
        ({"status": "FAILED", "error": "StorageUnavailableError"}, True, False, False),
        ({"status": "TIMED_OUT"}, True, False, False),
        ({"status": "FAILED", "error": "StorageUnavailableError"}, True, True, True),
        ({"status": "TIMED_OUT"}, True, True, True),
        # Too much time or memory, for the second time.
        ({"status": "FAILED", "error": "Lambda.Unknown"}, False, False, False),
        ({"status": "FAILED", "error": "Lambda.Unknown"}, True, False, True),
    ],
    ids=str,
)
def test_the_end_of_an_upload_is_told_once(
    answer: dict[str, str], *, is_retry: bool, is_last: bool, is_told: bool
) -> None:
    told: list[Any] = []
    client: Any = StepFunctions(**answer)
    workflow = ExpressWorkflow(client, "machine", told.append)

    with suppress(ExecutionFaultedError):
        workflow.run(UPLOAD, is_retry=is_retry, is_last=is_last, seconds_left=lambda: 330.0)

    assert told == [answer] * is_told


class Pages:
    """Answers ListExecutions with pages that have fewer executions than asked for; starts everything."""

    exceptions = SimpleNamespace(ExecutionAlreadyExists=ClientError)

    def __init__(self, *sizes: int) -> None:
        self._sizes = sizes
        self.asked: list[int] = []
        self.started: list[str] = []

    def list_executions(self, **request: Any) -> dict[str, Any]:
        place = int(request.get("nextToken", 0))
        self.asked.append(place)
        page: dict[str, Any] = {"executions": [{}] * self._sizes[place]}
        return page if place + 1 == len(self._sizes) else page | {"nextToken": str(place + 1)}

    def start_execution(self, **request: Any) -> None:
        self.started.append(request["name"])


def answering_slowly(client: Any, now: list[float], seconds: float) -> Any:
    """Make each answer take some seconds of a clock."""
    answer = client.list_executions

    def look_slowly(**request: Any) -> dict[str, Any]:
        now[0] += seconds
        page: dict[str, Any] = answer(**request)
        return page

    client.list_executions = look_slowly
    return client


def test_the_last_uploads_of_a_batch_that_waited_for_room_wait_as_well() -> None:
    """Otherwise a stall that passes would be counted, and an alarm raised, as uploads that cannot be started."""
    now = [0.0]
    client = answering_slowly(Pages(9), now, 0.2)
    workflow = StandardWorkflow(client, "machine", Pacing(5, 1), clock=lambda: now[0], sleep=lambda _: None)

    for _ in range(5):
        with pytest.raises(NoRoomError):
            workflow.run(UPLOAD, is_retry=False, seconds_left=lambda: 15.1 - now[0])


@pytest.mark.parametrize(
    ("sizes", "is_started", "pages"), [((0, 2, 0, 3), True, 4), ((2, 0, 17, 15, 9, 9), False, 4), ((40, 9), False, 1)]
)
def test_short_pages_are_counted_together_until_it_is_enough(
    sizes: tuple[int, ...], pages: int, *, is_started: bool
) -> None:
    client: Any = Pages(*sizes)
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    workflow = StandardWorkflow(client, "machine", Pacing(5, 1), clock=lambda: now[0], sleep=sleep)

    with nullcontext() if is_started else pytest.raises(NoRoomError):
        workflow.run(UPLOAD, is_retry=False, seconds_left=lambda: 15.5 - now[0])

    assert client.asked == list(range(pages))
    assert (client.started == [UPLOAD.name]) is is_started


def error(code: str, status: int) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": "Not now."}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]  # the rest does not matter
        "ListExecutions",
    )


@pytest.mark.parametrize(
    "failure",
    [
        error("ThrottlingException", 400),
        error("InternalFailure", 500),
        error("ServiceUnavailable", 503),
        ReadTimeoutError(endpoint_url="https://states"),
        EndpointConnectionError(endpoint_url="https://states"),
    ],
    ids=["throttled", "500", "503", "timeout", "unreachable"],
)
def test_uploads_are_started_slowly_while_executions_cannot_be_counted(failure: Exception) -> None:
    client: Any = Pages()
    now = [0.0]
    told: list[Exception] = []

    def fail(**_: Any) -> None:
        raise failure

    def sleep(seconds: float) -> None:
        now[0] += seconds

    client.list_executions = fail
    workflow = StandardWorkflow(client, "machine", Pacing(6, 2), told.append, clock=lambda: now[0], sleep=sleep)

    for _ in range(30):
        workflow.run(UPLOAD, is_retry=False, seconds_left=lambda: 120.0)

    assert len(client.started) == 30
    # One of two starters, which together start one a second, and one more after each look.
    assert 30 < now[0] < 70
    assert set(told) == {failure}


def test_uploads_return_to_the_queue_if_executions_must_not_be_counted() -> None:
    client: Any = Pages()
    denied = error("AccessDeniedException", 400)

    def refuse(**_: Any) -> None:
        raise denied

    client.list_executions = refuse

    with pytest.raises(ClientError, match="AccessDenied"):
        StandardWorkflow(client, "machine", Pacing(6, 2)).run(UPLOAD, is_retry=False, seconds_left=lambda: 120.0)

    assert client.started == []


def test_nothing_is_started_if_the_count_took_too_long() -> None:
    now = [0.0]
    client = answering_slowly(Pages(0), now, 7)
    workflow = StandardWorkflow(client, "machine", Pacing(6, 2), clock=lambda: now[0], sleep=lambda _: None)

    with pytest.raises(NoTimeLeftError):
        workflow.run(UPLOAD, is_retry=False, seconds_left=lambda: 20 - now[0])

    assert client.started == []
