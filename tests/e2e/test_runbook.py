"""The runbook's commands, run as they stand on the local stack; what the emulator does not know is seen to be so."""

import json
import os
import re
import subprocess

import pytest

from local.stack import ROOT
from tests.e2e.pipeline import Pipeline, photograph

RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")


def commands(section: str) -> str:
    """Give the commands of a section as a script: prompts taken off, continuations kept."""
    block = re.search(r"```console\n(.*?)```", RUNBOOK.split(f"# {section}\n", 1)[1], re.DOTALL)
    assert block is not None, section
    return re.sub(r"^\$ ", "", block[1], flags=re.MULTILINE)


def run(pipeline: Pipeline, section: str, **replaced: str) -> subprocess.CompletedProcess[str]:
    # Version 1 of the AWS CLI heeds AWS_ENDPOINT_URL for every service but SQS.
    endpoint = 'aws() { command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }\n'
    script = endpoint + commands("Runbook") + commands(section)
    for old, new in replaced.items():
        assert f"<{old}>" in script
        script = script.replace(f"<{old}>", new)
    tools = [str(ROOT / ".tools" / name / "bin") for name in ("awscli", "sam")]
    environment = pipeline.settings.environment()
    return subprocess.run(  # noqa: S603 - commands of our own document
        ["bash", "-euo", "pipefail", "-c", script],  # noqa: S607 - the system's bash
        env=environment | {"PATH": os.pathsep.join([*tools, environment["PATH"]])},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


def test_find_what_failed(pipeline: Pipeline) -> None:
    pipeline.upload("runbook/letter.jpg", b"not a picture at all, a letter")
    name = pipeline.end_of_upload("runbook/letter.jpg")["name"]

    found = run(pipeline, "Find what failed")

    assert found.returncode == 0, found.stderr
    (line,) = [line for line in found.stdout.splitlines() if line.startswith(name)]
    assert "NotAnImageError" in line


def test_run_a_saved_query(pipeline: Pipeline) -> None:
    pipeline.upload("runbook/saved.jpg", photograph())
    name = pipeline.end_of_upload("runbook/saved.jpg")["name"]

    ran = run(pipeline, "Run a saved query", **{"file name": "saved.jpg"})

    assert ran.returncode == 0, ran.stderr
    answer = json.loads(ran.stdout)
    assert answer["status"] == "Complete"
    first, *_ = ({each["field"]: each["value"] for each in row} for row in answer["results"])
    assert (first["what"], first["object_key"], first["execution_name"]) == (
        *("execution started", "runbook/saved.jpg"),
        name,
    )


def test_read_a_log(pipeline: Pipeline) -> None:
    pipeline.upload("runbook/logged.jpg", photograph())
    pipeline.end_of_upload("runbook/logged.jpg")

    read = run(pipeline, "Read a log", **{"name or key": "runbook/logged.jpg"})

    assert read.returncode == 0, read.stderr
    assert '"message":"resized"' in read.stdout.replace('": "', '":"')


def test_read_a_dead_letter(pipeline: Pipeline) -> None:
    letter = json.dumps({"Records": "unreadable"})
    pipeline.sqs.send_message(QueueUrl=pipeline.dead_letters, MessageBody=letter)

    read = run(pipeline, "Read a dead letter")

    pipeline.sqs.purge_queue(QueueUrl=pipeline.dead_letters)
    assert read.returncode == 0, read.stderr
    assert read.stdout.strip() == letter


def test_make_thumbnails_again(pipeline: Pipeline) -> None:
    key = "runbook again/a.jpg"
    pipeline.upload(key, photograph())
    pipeline.end_of_upload(key)
    before = pipeline.stored_for(key)
    for name in before[:2]:
        pipeline.s3.delete_object(Bucket=pipeline.thumbnails, Key=name)

    started = run(pipeline, "Make thumbnails again", prefix="runbook again/")
    assert started.returncode == 0, started.stderr
    execution = json.loads(started.stdout)["executionArn"]
    planned = json.loads(pipeline.end_of(execution)["output"])
    machine = pipeline.stack.outputs()["ReconcileStateMachineArn"]
    wanted = json.dumps({"mode": "run", "plan": planned["plan"]})
    ran = pipeline.step_functions.start_execution(stateMachineArn=machine, input=wanted)

    assert planned["counts"]["missing"] == 1
    assert json.loads(pipeline.end_of(ran["executionArn"])["output"])["counts"]["resized"] == 1
    assert pipeline.stored_for(key) == before


@pytest.mark.parametrize(
    ("section", "refusal"),
    [("Send dead letters back", "InvalidAction"), ("Redrive failed executions", "UnknownOperationException|Unknown")],
)
def test_what_the_emulator_does_not_know_yet(pipeline: Pipeline, section: str, refusal: str) -> None:
    pipeline.upload("runbook/letter.jpg", b"not a picture at all, a letter")
    pipeline.end_of_upload("runbook/letter.jpg")

    refused = run(pipeline, section)

    assert refused.returncode != 0, "MiniStack has learned this: try its effect here, and correct the runbook"
    assert re.search(refusal, refused.stderr), refused.stderr
