"""The file of ReconcileThumbnails that is deployed, run by moto's interpreter with both real handlers behind it.

As in test_state_machine.py, moto runs no code, so its Lambda backend is replaced where it would. It writes no results
of a Distributed Map and its listing of parts is one page, which is enough here.
"""

import json
from itertools import count
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.wait_function import WaitFunction

from reconcile.deployed import Deployed
from samples.files import picture
from tests.conftest import ACCOUNT, REGION
from tests.deployed import RECONCILE_PATH, read_state_machine
from tests.functional.conftest import ORIGINALS, THUMBNAILS, Context, Function, run_by_moto

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ARN = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:"
MACHINE = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:reconcile"


def read_for_moto() -> dict[str, Any]:
    """Read the deployed definition, changed where moto's interpreter differs from AWS; what is done stays the same."""
    definition = read_state_machine(
        {
            "ReconcileFunctionArn": f"{ARN}reconcile",
            "ResizeFunctionArn": f"{ARN}resizer",
            "ThumbnailsBucket": THUMBNAILS,
        },
        RECONCILE_PATH,
    )
    maps = [state for state in definition["States"].values() if state["Type"] == "Map"]
    assert maps
    for state in maps:
        state["ItemProcessor"]["ProcessorConfig"]["ExecutionType"] = "STANDARD"
        state.pop("ToleratedFailurePercentage", None)
        # Its path is evaluated against the results, where AWS takes the input of the state.
        del state["ResultWriter"]
        # It bounds a run to a part of the plan, which test_reconcile_handler.py and the end-to-end tests do.
        state["ItemReader"].pop("ReaderConfig", None)
    return definition


class Reconcile:
    """The machine, and what it invoked."""

    def __init__(self, aws: boto3.Session, functions: dict[str, Function]) -> None:
        self._client = aws.client("stepfunctions")
        self._functions = functions
        self.invoked: list[str] = []
        self._numbers = count()
        self._client.create_state_machine(
            name="reconcile",
            definition=json.dumps(read_for_moto()),
            roleArn=f"arn:aws:iam::{ACCOUNT}:role/ReconcileThumbnails",
        )

    def invoke(self, function_arn: str, body: str, response_headers: dict[str, str]) -> bytes:
        """Do what Lambda does: run the handler on the payload, or report what it raised."""
        name, payload = function_arn.removeprefix(ARN), json.loads(body)
        self.invoked.append(payload.get("step", name))
        try:
            return json.dumps(self._functions[name](payload, Context(remaining_time=300_000))).encode()
        except Exception as error:  # noqa: BLE001 - as Lambda's runtime does
            response_headers["x-amz-function-error"] = "Unhandled"
            return json.dumps({"errorMessage": str(error), "errorType": type(error).__name__}).encode()

    def run(self, **wanted: Any) -> Any:
        name = f"execution-{next(self._numbers)}"
        started = self._client.start_execution(stateMachineArn=MACHINE, name=name, input=json.dumps(wanted))
        return self._client.describe_execution(executionArn=started["executionArn"])

    def output(self, **wanted: Any) -> Any:
        ended = self.run(**wanted)
        assert ended["status"] == "SUCCEEDED", (ended.get("error"), ended.get("cause"))
        return json.loads(ended["output"])


@pytest.fixture
def machine(aws: boto3.Session, resize: Function, reconcile: Function, monkeypatch: pytest.MonkeyPatch) -> Reconcile:
    found = Reconcile(aws, {"resizer": resize, "reconcile": reconcile})

    run_by_moto(monkeypatch, found.invoke)
    return found


def test_a_plan_and_its_run_bring_in_line_what_is_not(machine: Reconcile, s3: "S3Client") -> None:
    for number in range(3):
        s3.put_object(Bucket=ORIGINALS, Key=f"a {number}.jpg", Body=picture(width=200, height=100))
    s3.put_object(Bucket=ORIGINALS, Key="no picture", Body=b"a letter")

    plan = machine.output(mode="plan")
    planned, machine.invoked = machine.invoked, []
    done = machine.output(mode="run", plan=plan["plan"])
    again = machine.output(mode="plan")

    assert planned == ["begin", "list", "compare", "report_plan"]
    assert plan["counts"]["missing"] == 4
    assert (done["counts"]["resized"], done["counts"]["failed"], done["counts"]["left"]) == (3, 1, 0)
    assert done["failed"]["NotAnImageError"]["first"]["key"] == "no picture"
    assert machine.invoked.count("resizer") == 4
    assert (again["counts"]["in_line"], again["counts"]["out_of_line"]) == (3, 0)
    assert again["counts"]["skipped"] == {"type_not_read": 1}


def test_a_check_compares_after_it_has_waited(
    machine: Reconcile, s3: "S3Client", monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[int] = []

    def wait(_: WaitFunction, **given: Any) -> None:
        waits.append(given["wait_seconds"])
        # The event of the upload is worked on meanwhile.
        assert machine.invoked == ["begin", "list"]
        s3.delete_object(Bucket=ORIGINALS, Key="a.jpg")

    monkeypatch.setattr(WaitFunction, "_wait_interval", wait)
    s3.put_object(Bucket=ORIGINALS, Key="a.jpg", Body=picture(width=200, height=100))

    checked = machine.output(mode="plan", wait_minutes=60)

    assert waits == [3600]
    assert (checked["counts"]["in_line"], checked["counts"]["out_of_line"]) == (1, 0)


@pytest.mark.usefixtures("s3")
def test_an_empty_bucket_is_in_line(machine: Reconcile) -> None:
    plan = machine.output(mode="plan")

    assert plan["counts"]["out_of_line"] == 0
    assert machine.output(mode="run", plan=plan["plan"])["counts"]["resized"] == 0
    assert "resizer" not in machine.invoked


@pytest.mark.usefixtures("s3")
@pytest.mark.parametrize(
    ("wanted", "error"),
    [({"mode": "paint"}, "InvalidInputError"), ({"mode": "run", "plan": "no-such-plan"}, "PlanNotFoundError")],
)
def test_what_is_refused_ends_with_its_name(wanted: dict[str, Any], error: str, machine: Reconcile) -> None:
    ended = machine.run(**wanted)

    assert (ended["status"], ended["error"]) == ("FAILED", error)


def test_the_report_of_the_last_finished_plan_is_found_while_a_check_is_at_work(
    machine: Reconcile, aws: boto3.Session, s3: "S3Client"
) -> None:
    plan = machine.output(mode="plan")["plan"]
    s3.put_object(Bucket=THUMBNAILS, Key="plans/99991231T235959-ffffffff/plan.json", Body=b"{}")

    deployed = Deployed(aws.client("stepfunctions"), s3, MACHINE, THUMBNAILS)

    report = deployed.newest_report()
    assert report is not None
    assert report["plan"] == plan
