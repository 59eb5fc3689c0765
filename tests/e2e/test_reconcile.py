"""Pictures that were there before the pipeline: a plan finds every kind of drift, and a run brings it in line."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

import pytest

from local.stack import ROOT
from tests.e2e.pipeline import UPLOAD_SIZES, Pipeline, photograph
from tests.waiting import wait_for

FOLDER = "reconcile"


class Reconcile:
    """The state machine as its users see it."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self.machine = pipeline.stack.outputs()["ReconcileStateMachineArn"]

    def start(self, **wanted: Any) -> str:
        started = self._pipeline.step_functions.start_execution(stateMachineArn=self.machine, input=json.dumps(wanted))
        return started["executionArn"]

    def executions(self) -> set[str]:
        """Return the ARNs of all that were started."""
        pages = self._pipeline.step_functions.get_paginator("list_executions").paginate(stateMachineArn=self.machine)
        return {found["executionArn"] for page in pages for found in page["executions"]}

    def run(self, **wanted: Any) -> Any:
        return self._pipeline.end_of(self.start(**wanted))

    def output(self, **wanted: Any) -> Any:
        execution = self.run(**wanted)
        assert execution["status"] == "SUCCEEDED", (execution.get("error"), execution.get("cause"))
        return json.loads(execution["output"])


@pytest.fixture(scope="module")
def reconcile(pipeline: Pipeline) -> Reconcile:
    return Reconcile(pipeline)


@dataclass(frozen=True)
class Drift:
    """A folder with every kind of drift; the events of its uploads never arrived."""

    pipeline: Pipeline
    folder: str

    def key(self, name: str) -> str:
        return f"{self.folder}/{name}"

    def put(self, name: str, data: bytes, **more: Any) -> None:
        self.pipeline.s3.put_object(Bucket=self.pipeline.originals, Key=self.key(name), Body=data, **more)

    def manifest(self, name: str) -> Any:
        return self.pipeline.manifest_of(self.key(name))

    def change_manifest(self, name: str, **changes: Any) -> None:
        manifest = {**self.manifest(name), **changes}
        self.pipeline.s3.put_object(
            Bucket=self.pipeline.thumbnails,
            Key=f"manifests/{self.key(name)}.json",
            Body=json.dumps(manifest).encode(),
            ContentType="application/json",
        )


@pytest.fixture(scope="module")
def drift(pipeline: Pipeline) -> Drift:
    drift = Drift(pipeline, FOLDER)
    names = [f"{kind} {number}.jpg" for kind in ("fine", "stale", "recipe") for number in range(3)]
    # One key that another begins with, whose manifests are listed in another order.
    names += ["a", "a-b", "orphan.jpg"]
    for name in names:
        drift.put(name, photograph(90, 60))
    for name in names:
        pipeline.ends_of(drift.key(name), 1)
    with pipeline.without_events(changes=12):
        for number in range(3):
            drift.put(f"stale {number}.jpg", photograph(60, 90))
            drift.put(f"missing {number}.jpg", photograph(80, 80))
            kept = [each for each in drift.manifest(f"recipe {number}.jpg")["thumbnails"] if each["box"]["width"] == 64]
            drift.change_manifest(f"recipe {number}.jpg", thumbnails=kept)
        pipeline.s3.delete_object(Bucket=pipeline.originals, Key=drift.key("orphan.jpg"))
        drift.put("no picture", b"this is a letter")
        drift.put("film.mp4", b"this is a film")
        drift.put("empty.jpg", b"")
        drift.put("archived.jpg", photograph(80, 80), StorageClass="GLACIER")
        drift.put("a folder/", b"")
    return drift


def resizes(pipeline: Pipeline) -> int:
    """Return how many times the resize function has run."""
    groups = pipeline.logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/alison-image-resizer")["logGroups"]
    assert groups
    pages = pipeline.logs.get_paginator("filter_log_events").paginate(logGroupName=groups[0]["logGroupName"])
    return sum("ResizesStarted" in event["message"] for page in pages for event in page["events"])


def test_every_kind_of_drift_ends_in_line_and_the_second_run_does_nothing(
    pipeline: Pipeline, reconcile: Reconcile, drift: Drift
) -> None:
    plan = reconcile.output(mode="plan", prefix=f"{FOLDER}/")
    before = pipeline.s3.list_object_versions(Bucket=pipeline.originals, Prefix=f"{FOLDER}/")["Versions"]

    first = reconcile.output(mode="run", plan=plan["plan"], prune="orphans")

    assert plan["counts"] == {
        "in_line": 5,
        "out_of_line": 10,
        "missing": 4,
        "stale": 3,
        "other_recipe": 3,
        "orphans": 1,
        "skipped": {"folder": 1, "empty": 1, "archived": 1, "type_not_read": 1},
    }
    assert 0 < plan["dollars"] < 0.001
    assert 0 < plan["hours"] < 0.01
    assert first["counts"] == {
        "resized": 9,
        "missing": 3,
        "stale": 3,
        "other_recipe": 3,
        "orphans_removed": 1,
        "strays_removed": 0,
        "in_line": 0,
        "failed": 1,
        "faulted": 0,
        "left": 0,
    }
    assert first["failed"]["NotAnImageError"]["count"] == 1
    assert first["failed"]["NotAnImageError"]["first"]["key"] == drift.key("no picture")
    for number in range(3):
        for kind in ("missing", "stale", "recipe"):
            key = drift.key(f"{kind} {number}.jpg")
            etag = pipeline.s3.head_object(Bucket=pipeline.originals, Key=key)["ETag"].strip('"')
            manifest = pipeline.manifest_of(key)
            assert manifest["original"]["etag"] == etag
            assert len(manifest["thumbnails"]) == len(UPLOAD_SIZES)
    stored = pipeline.s3.list_objects_v2(Bucket=pipeline.thumbnails, Prefix=f"thumbnails/{FOLDER}/")["Contents"]
    assert not any("orphan" in each["Key"] for each in stored)
    # Nothing was written to the originals, and nothing deleted.
    after = pipeline.s3.list_object_versions(Bucket=pipeline.originals, Prefix=f"{FOLDER}/")["Versions"]
    assert [(each["Key"], each["VersionId"]) for each in after] == [(each["Key"], each["VersionId"]) for each in before]

    runs = resizes(pipeline)
    assert runs >= 20
    again = reconcile.output(mode="run", plan=plan["plan"], prune="orphans")
    second = reconcile.output(mode="plan", prefix=f"{FOLDER}/")
    nothing = reconcile.output(mode="run", plan=second["plan"], prune="orphans")

    assert again["counts"]["resized"] == again["counts"]["left"] == nothing["counts"]["resized"] == 0
    assert (second["counts"]["out_of_line"], second["counts"]["orphans"], second["dollars"]) == (0, 0, 0)
    assert second["counts"]["in_line"] == 14
    assert second["counts"]["skipped"]["type_not_read"] == 2
    assert resizes(pipeline) == runs


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        ({}, "InvalidInputError"),
        ({"mode": "plan", "prefx": "2026/"}, "InvalidInputError"),
        ({"mode": "run", "plan": "20260101T000000-00000000"}, "PlanNotFoundError"),
    ],
)
def test_wrong_input_is_a_named_error(reconcile: Reconcile, wanted: dict[str, Any], error: str) -> None:
    execution = reconcile.run(**wanted)

    assert (execution["status"], execution["error"]) == ("FAILED", error)


def test_an_emptied_folder_does_not_empty_the_thumbnails(pipeline: Pipeline, reconcile: Reconcile) -> None:
    names = [f"emptied by mistake/{number}.jpg" for number in range(3)]
    for name in names:
        pipeline.upload(name, photograph(60, 60))
    for name in names:
        pipeline.ends_of(name, 1)
    with pipeline.without_events(changes=len(names)):
        for name in names:
            pipeline.s3.delete_object(Bucket=pipeline.originals, Key=name)
    plan = reconcile.output(mode="plan", prefix="emptied by mistake/")

    kept = reconcile.output(mode="run", plan=plan["plan"])
    refused = reconcile.run(mode="run", plan=plan["plan"], prune="orphans")
    still = pipeline.stored_for(names[0])
    removed = reconcile.output(mode="run", plan=plan["plan"], prune="all")

    assert plan["counts"]["orphans"] == 3
    assert kept["counts"]["orphans_removed"] == 0
    assert refused["error"] == "TooManyOrphansError"
    assert len(still) == 3 * (1 + len(UPLOAD_SIZES))
    assert removed["counts"]["orphans_removed"] == 3
    assert pipeline.stored_for(names[0]) == []


def test_it_stops_at_so_many_objects_and_goes_on_after_it_was_stopped(pipeline: Pipeline, reconcile: Reconcile) -> None:
    names = [f"stopped/{number:02}.jpg" for number in range(24)]
    picture = photograph(2000, 2000, "PNG")
    with pipeline.without_events(changes=len(names)):
        for name in names:
            pipeline.upload(name, picture)
    plan = reconcile.output(mode="plan", prefix="stopped/")

    some = reconcile.output(mode="run", plan=plan["plan"], max_objects=3)
    # One at a time, so that it takes many seconds, in which it is stopped.
    stopped = reconcile.start(mode="run", plan=plan["plan"], concurrency=1)
    wait_for(lambda: len(pipeline.stored_for(names[0])) > 4 * 3, "some more thumbnails")
    pipeline.step_functions.stop_execution(executionArn=stopped)

    def has_stopped() -> bool:
        before = len(pipeline.stored_for(names[0]))
        # No API tells when the function that was running has ended; it takes less than a second.
        time.sleep(3)
        return len(pipeline.stored_for(names[0])) == before

    wait_for(has_stopped, "the end of what had begun")
    half = len(pipeline.stored_for(names[0]))
    rest = reconcile.output(mode="run", plan=plan["plan"])

    assert plan["counts"]["missing"] == 24
    assert (some["counts"]["resized"], some["counts"]["left"]) == (3, 21)
    assert pipeline.end_of(stopped)["status"] == "ABORTED"
    assert half < 24 * 3
    assert rest["counts"]["resized"] + rest["counts"]["in_line"] == 21
    assert rest["counts"]["in_line"] >= 1
    assert rest["counts"]["left"] == 0
    assert len(pipeline.stored_for(names[0])) == 24 * (1 + len(UPLOAD_SIZES))


def test_a_thumbnail_that_no_manifest_lists_is_found(pipeline: Pipeline, reconcile: Reconcile) -> None:
    pipeline.upload("stray/a.jpg", photograph(60, 60))
    pipeline.ends_of("stray/a.jpg", 1)
    pipeline.s3.put_object(Bucket=pipeline.thumbnails, Key="thumbnails/stray/32x32_a.jpg", Body=b"of an old recipe")

    plan = reconcile.output(mode="plan", prefix="stray/", strays=True)
    run = reconcile.output(mode="run", plan=plan["plan"], prune="all")

    assert (plan["counts"]["in_line"], plan["counts"]["strays"]) == (1, 1)
    # It may be of a run that goes on.
    assert run["counts"]["strays_removed"] == 0
    assert len(pipeline.stored_for("stray/a.jpg")) == 1 + len(UPLOAD_SIZES) + 1


def test_a_plan_of_other_recipes_is_refused(pipeline: Pipeline, reconcile: Reconcile) -> None:
    plan = reconcile.output(mode="plan", prefix="nothing here/")
    name = f"plans/{plan['plan']}/report.json"
    report = json.load(pipeline.s3.get_object(Bucket=pipeline.thumbnails, Key=name)["Body"])
    pipeline.s3.put_object(
        Bucket=pipeline.thumbnails, Key=name, Body=json.dumps({**report, "recipes": "another"}).encode()
    )

    assert plan["counts"]["in_line"] == plan["counts"]["out_of_line"] == 0
    assert reconcile.run(mode="run", plan=plan["plan"])["error"] == "OtherRecipeError"


def command(pipeline: Pipeline, *arguments: str, answer: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - fixed arguments
        [sys.executable, "-m", "reconcile", "--local", *arguments],
        cwd=ROOT,
        env={**os.environ, "LOCAL_STATE": str(pipeline.settings.state)},
        input=answer,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


def test_the_command(pipeline: Pipeline) -> None:
    names = [f"command/{number}.jpg" for number in range(3)]
    with pipeline.without_events(changes=len(names) + 1):
        for name in names:
            pipeline.upload(name, photograph(60, 60))
        pipeline.upload("command/4.jpg", b"this is a letter")

    planned = command(pipeline, "plan", "--prefix", "command/")
    assert planned.returncode == 0, planned.stderr
    plan = planned.stdout.strip().rpartition("run ")[2].rstrip("'")
    nobody, declined = command(pipeline, "run", plan), command(pipeline, "run", plan, answer="n\n")
    before = pipeline.stored_for(names[0])
    done = command(pipeline, "run", plan, answer="y\n")
    status, report, stop = (command(pipeline, name) for name in ("status", "report", "stop"))
    refused = command(pipeline, "plan", "--concurrency", "0")

    assert "4  without thumbnails" in planned.stdout
    assert "A run would work on 4 originals" in planned.stdout
    assert (nobody.returncode, "Next: run it again with --yes" in nobody.stderr) == (2, True)
    assert (declined.returncode, "Nothing was started." in declined.stdout) == (0, True)
    assert before == []
    assert done.returncode == 0, done.stderr
    assert "3  brought in line" in done.stdout
    assert "1  cannot be read: NotAnImageError, first 'command/4.jpg'" in done.stdout
    assert "Next: make reconcile LOCAL=1 DO=plan, to check that everything is in line" in done.stdout
    assert len(pipeline.stored_for(names[0])) == 3 * (1 + len(UPLOAD_SIZES)) + 1
    assert f"run of {plan}: SUCCEEDED" in status.stdout
    assert "3  done" in status.stdout
    assert (plan in report.stdout, "0  left to work on" in report.stdout) == (True, True)
    assert "No execution is running." in stop.stdout
    assert (refused.returncode, "InvalidInputError" in refused.stderr) == (1, True)
    for each in (planned, declined, done, status, report, stop, refused):
        assert "Next: " in each.stdout.strip().splitlines()[-1]


def test_the_schedule_starts_a_check(pipeline: Pipeline, reconcile: Reconcile) -> None:
    scheduler = pipeline.client("scheduler")
    deployed = scheduler.get_schedule(Name="check", GroupName="alison-image-reconcile")
    settings = {name: deployed[name] for name in ("Name", "GroupName", "FlexibleTimeWindow", "Target")}
    before = reconcile.executions()

    scheduler.update_schedule(**settings, ScheduleExpression="rate(1 minute)")
    try:
        # The minute begins with the next look of the local scheduler, which takes one every ten seconds.
        (arn,) = wait_for(lambda: reconcile.executions() - before, "a check", seconds=150)
    finally:
        scheduler.update_schedule(**settings, ScheduleExpression=deployed["ScheduleExpression"])

    def waits() -> bool:
        history = pipeline.step_functions.get_execution_history(executionArn=arn, reverseOrder=True)["events"]
        return history[0]["type"] == "WaitStateEntered"

    assert wait_for(waits, "the hour of the check")
    checked = pipeline.step_functions.describe_execution(executionArn=arn)
    assert json.loads(checked["input"]) == {"mode": "plan", "wait_minutes": 60}
    pipeline.step_functions.stop_execution(executionArn=arn)
