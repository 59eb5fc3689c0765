"""statemachine/reconcile.asl.json: the list is whole before anything is compared, and nothing can go on for ever."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from functions.reconcile.inputs import PlanInput, parse_input
from functions.start_from_s3.workflows import EXPRESS_SECONDS
from local.template import example_stack
from tests.deployed import RECONCILE_PATH, ROOT, read_state_machine, read_template

DEFINITION = read_state_machine(path=RECONCILE_PATH)
STATES: dict[str, Any] = DEFINITION["States"]
MAPS = {name: state for name, state in STATES.items() if state["Type"] == "Map"}


def states_in(states: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, state in states.items():
        yield name, state
        yield from states_in(state.get("ItemProcessor", {}).get("States", {}))


ALL = dict(states_in(STATES))
TASKS = {name: state for name, state in ALL.items() if state["Type"] == "Task"}


def following(name: str) -> set[str]:
    state = STATES[name]
    texts = re.findall(r'"(?:Next|Default)": "(\w+)"', json.dumps({**state, "ItemProcessor": None}))
    return set(texts)


def reachable(name: str) -> set[str]:
    found: set[str] = set()
    waiting = [name]
    while waiting:
        more = following(waiting.pop()) - found
        found |= more
        waiting += more
    return found


def test_no_name_is_there_twice() -> None:
    assert len(ALL) == len(list(states_in(STATES)))


def test_nothing_extends_a_list_that_is_being_compared_or_worked_on() -> None:
    for name in ("Compare", "ReportPlan", "Work", "ReportRun"):
        assert not {"List", "Begin"} & reachable(name)
    assert reachable("Begin") == STATES.keys() - {"Begin"}


def test_a_plan_changes_no_thumbnail() -> None:
    assert "ResizeFunctionArn" not in json.dumps([STATES[name] for name in ("Begin", "List", "Compare", "ReportPlan")])
    assert "Work" not in reachable("List")


def test_the_function_knows_every_step() -> None:
    handler = (ROOT / "functions" / "reconcile" / "handler.py").read_text(encoding="utf-8")
    steps = {task["Parameters"]["Payload"].get("step") for task in TASKS.values()} - {None}

    assert steps == {"begin", *re.findall(r'^        "(\w+)": lambda', handler, re.MULTILINE)}


@pytest.mark.parametrize("name", MAPS)
def test_children_are_express_and_their_results_do_not_fill_the_state(name: str) -> None:
    state = MAPS[name]

    assert state["ItemProcessor"]["ProcessorConfig"] == {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"}
    assert state["MaxConcurrencyPath"] == "$.concurrency"
    # Without it the results of all children are one state, which takes 256 KB:
    # https://docs.aws.amazon.com/step-functions/latest/dg/input-output-resultwriter.html
    assert state["ResultWriter"]["Parameters"] == {"Bucket": "${ThumbnailsBucket}", "Prefix.$": "$.maps"}
    assert state["ResultPath"] is None
    assert state["ItemReader"]["Resource"] == "arn:aws:states:::s3:listObjectsV2"
    assert state["Label"] == name
    # An empty list is not read.
    assert name not in {choice for other in STATES for choice in following(other) if STATES[other]["Type"] == "Task"}


def test_a_deployment_that_does_not_work_stops_a_run_early() -> None:
    work = STATES["Work"]

    # Of two limits the first that is exceeded counts.
    assert work["ToleratedFailurePercentage"] == 10
    assert work["ToleratedFailureCount"] == 50
    assert work["Catch"][0]["ErrorEquals"] == ["States.ExceedToleratedFailureThreshold"]
    assert "ToleratedFailurePercentage" not in STATES["Compare"]


def test_one_picture_at_a_time_in_a_child() -> None:
    assert ALL["WorkOnEachKey"]["MaxConcurrency"] == 1


def test_a_resize_is_the_one_of_the_other_machine() -> None:
    ours, theirs = ALL["ResizeImage"], read_state_machine()["States"]["ResizeImage"]
    payload = ours["Parameters"]["Payload"]

    assert ours["Parameters"]["FunctionName"] == theirs["Parameters"]["FunctionName"]
    assert ours["TimeoutSeconds"] == theirs["TimeoutSeconds"]
    assert payload["request.$"] == "$.request"
    assert payload["retries.$"] == theirs["Parameters"]["Payload"]["retries.$"]
    for patient, other in zip(ours["Retry"], theirs["Retry"], strict=True):
        assert set(patient["ErrorEquals"]) == set(other["ErrorEquals"])
    # What fails for good is counted, and no failure of the child.
    assert ALL["Failed"]["Type"] == "Pass"


@pytest.mark.parametrize("name", TASKS)
def test_every_retry_ends(name: str) -> None:
    task = TASKS[name]
    waits = sum(
        min(retry["IntervalSeconds"] * retry.get("BackoffRate", 1) ** attempt, retry["MaxDelaySeconds"])
        for retry in task["Retry"]
        for attempt in range(retry["MaxAttempts"])
    )

    assert task["Retry"][-1]["ErrorEquals"] == ["States.ALL"]
    assert all(retry["JitterStrategy"] == "FULL" for retry in task["Retry"] if retry["MaxAttempts"])
    assert waits < 1800
    if name not in STATES:
        # Within a child, which is Express.
        assert waits < EXPRESS_SECONDS


@pytest.mark.parametrize("name", ["ComparePart", "CompareAgain", "Record"])
def test_a_plan_survives_that_live_uploads_use_every_other_function(name: str) -> None:
    """One part that is not compared fails the plan, and two million keys are 20,000 parts."""
    throttled, parts = 0.5, 20_000
    (retry,) = (each for each in TASKS[name]["Retry"] if "Lambda.TooManyRequestsException" in each["ErrorEquals"])

    assert parts * throttled ** (retry["MaxAttempts"] + 1) < 0.001


def test_only_an_answer_is_an_answer() -> None:
    choice = ALL["CheckStatus"]
    compared = {rule["And"][1]["StringEquals"]: rule["Next"] for rule in choice["Choices"]}

    assert compared == {"SUCCESS": "Done", "FAILED": "Failed"}
    assert choice["Default"] == "AnsweredNothing"


def test_no_path_of_a_result_is_one_that_grows() -> None:
    """What a child records has a key and a sentence for each picture, not its thumbnails."""
    for name in ("Done", "Failed", "Faulted", "AnsweredNothing"):
        assert set(ALL[name]["Parameters"]) <= {"key.$", "verdict.$", "error.$", "message.$", "fault.$", "fault"}


def test_it_is_logged_and_traced_as_the_other_state_machine() -> None:
    ours, theirs = (
        read_template()["Resources"][name]["Properties"] for name in ("ReconcileThumbnails", "ImageResizeStateMachine")
    )

    assert ours["Tracing"] == theirs["Tracing"]
    assert {**ours["Logging"], "Destinations": []} == {**theirs["Logging"], "Destinations": []}


def test_the_check_is_a_plan_of_everything_at_the_operators_rate() -> None:
    schedule = read_template()["Resources"]["ReconcileCheck"]
    settings = example_stack({"ReconcileSchedule": "rate(7 days)"}).resolve(schedule["Properties"])

    assert settings["ScheduleExpression"] == "rate(7 days)"
    assert parse_input(json.loads(settings["Target"]["Input"])) == PlanInput("", 4, wait_minutes=60)
    assert schedule["Properties"]["Target"]["Arn"] == {"Ref": "ReconcileThumbnails"}


def test_nothing_is_checked_unless_that_is_asked_for() -> None:
    conditions = {name: item.get("Condition") for name, item in read_template()["Resources"].items()}

    assert {name for name, condition in conditions.items() if condition == "IsChecked"} == {
        "ReconcileCheck",
        "ReconcileCheckGroup",
        "ReconcileCheckRole",
        "DriftAlarm",
    }
    assert read_template()["Parameters"]["ReconcileSchedule"]["Default"] == ""


@pytest.mark.parametrize(
    ("schedule", "is_one"),
    [("", True), ("rate(7 days)", True), ("cron(0 3 ? * SUN *)", True), ("weekly", False), ("rate()", False)],
)
def test_what_is_no_schedule_is_refused_before_anything_is_deployed(schedule: str, *, is_one: bool) -> None:
    pattern = read_template()["Parameters"]["ReconcileSchedule"]["AllowedPattern"]

    assert (re.fullmatch(pattern, schedule) is not None) is is_one


@pytest.mark.parametrize(
    ("schedule", "watched"),
    [
        ("", {"ExecutionsFailed", "ExecutionsTimedOut"}),
        (
            "rate(7 days)",
            {"ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted", "InvocationDroppedCount"},
        ),
    ],
)
def test_an_alarm_watches_every_way_for_a_check_to_end_without_a_report(schedule: str, watched: set[str]) -> None:
    alarm = read_template()["Resources"]["ReconcileFailedAlarm"]["Properties"]
    expression, *metrics = example_stack({"ReconcileSchedule": schedule}).resolve(alarm["Metrics"])

    assert set(re.findall(r"FILL\((\w+), 0\)", expression["Expression"])) == {each["Id"] for each in metrics}
    assert {each["MetricStat"]["Metric"]["MetricName"] for each in metrics} == watched


def test_the_drift_alarm_watches_what_the_function_reports() -> None:
    alarm = read_template()["Resources"]["DriftAlarm"]["Properties"]
    variables = read_template()["Resources"]["ReconcileFunction"]["Properties"]["Environment"]["Variables"]

    assert alarm["Namespace"] == variables["POWERTOOLS_METRICS_NAMESPACE"]
    assert alarm["Dimensions"] == [{"Name": "service", "Value": variables["POWERTOOLS_SERVICE_NAME"]}]
