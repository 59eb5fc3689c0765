"""The message about an execution that ended: the same shape for both workflows, valid, small, and without internals."""

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from jsonschema import Draft4Validator

from functions.notify.messages import LARGEST_BYTES, attributes_of, message_of, subject_of, to_json
from functions.reconcile.errors import RefusedError
from functions.start_from_s3.notifications import detail_of
from tests.deployed import RECONCILE_PATH, ROOT, read_state_machine
from tests.s3_events import EVENTS, event_text

SCHEMA = Draft4Validator(json.loads((ROOT / "schemas" / "notification.json").read_text(encoding="utf-8")))
BUCKET = "alison-image-thumbnails-01"
RECONCILE = "arn:aws:states:us-east-1:123456789012:stateMachine:ImageResizeStateMachine-reconcile"
KEY = "2026/trip/example.jpg"
FAULT = "Internal error. The picture and the request are fine; see the operator's logs."
ENDS = sorted(path.stem for path in EVENTS.glob("execution_*.json") if path.stem != "execution_running")


def detail(event: str, /, **changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(event_text(f"execution_{event}"))["detail"]
    return found | changes


def told(found: dict[str, Any]) -> dict[str, Any]:
    """Return the message about an end, as a subscriber reads it."""
    message: dict[str, Any] = json.loads(to_json(message_of(found, BUCKET, RECONCILE)))
    SCHEMA.validate(message)
    return message


def made(*, thumbnails: int = 1, removed: int = 0, key: str = KEY) -> dict[str, Any]:
    result = json.loads(detail("succeeded")["output"])
    return {
        **result,
        "thumbnails": result["thumbnails"][:1] * thumbnails,
        "removed": [f"thumbnails/8x8_{key}"] * removed,
        "source": {**result["source"], "key": key},
    }


def test_the_schema_is_a_schema() -> None:
    Draft4Validator.check_schema(SCHEMA.schema)


@pytest.mark.parametrize("change", [{"error": {}}, {"mode": "run"}, {"surprise": 1}, {"status": "FAILED"}, {"id": "1"}])
def test_the_schema_keeps_the_kinds_of_messages_apart(change: dict[str, Any]) -> None:
    assert not SCHEMA.is_valid(told(detail("succeeded")) | change)


@pytest.mark.parametrize("name", ENDS)
def test_every_end_has_a_valid_message(name: str) -> None:
    message = told(json.loads(event_text(name))["detail"])

    assert attributes_of(message) == {"trigger": message["trigger"], "status": message["status"]}
    # https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
    assert re.fullmatch(r"[ -~]{1,99}", subject_of(message))


def test_a_resize_is_told_with_its_thumbnails() -> None:
    assert told(detail("succeeded")) == {
        "id": told(detail("succeeded"))["id"],
        "trigger": "upload",
        "status": "SUCCESS",
        "time": "2026-11-23T12:29:45.020Z",
        "execution": detail("succeeded")["executionArn"],
        "bucket": BUCKET,
        "key": KEY,
        "thumbnails": [
            {
                "key": "thumbnails/2026/trip/128x128_example.jpg",
                "width": 128,
                "height": 96,
                "bytes": 4211,
                "content_type": "image/jpeg",
            }
        ],
        "removed": [],
        "truncated": False,
    }


def test_a_removal_is_told_with_what_was_removed() -> None:
    message = told(detail("removed"))

    assert (message["trigger"], message["status"], message["key"]) == ("removed", "SUCCESS", KEY)
    assert (message["thumbnails"], message["removed"]) == ([], ["thumbnails/2026/trip/128x128_example.jpg"])


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("failed_permanent", ("NotAnImageError", "The original is not in a recognised image format.", True)),
        ("failed_fault", ("StorageUnavailableError", FAULT, False)),
        ("timed_out", ("TimedOut", "The execution took too long.", False)),
        ("aborted", ("Aborted", "Somebody stopped the execution.", False)),
        ("reconcile_stopped", ("Aborted", "Somebody stopped the execution.", False)),
    ],
)
def test_a_failure_is_told_with_its_reason(name: str, error: tuple[str, str, bool]) -> None:
    message = told(detail(name))

    assert message["status"] == "FAILED"
    assert message["error"] == dict(zip(("name", "message", "permanent"), error, strict=True))


@pytest.mark.parametrize("error", ["States.Timeout", "States.TaskFailed", "Lambda.Unknown", "InvalidResult", None])
@pytest.mark.parametrize("name", ["failed_fault", "reconcile_refused"])
def test_no_message_tells_what_is_inside(name: str, error: str | None) -> None:
    message = told(detail(name, error=error, cause='{"stackTrace": ["/var/task"], "arn": "arn:aws:lambda:…"}'))

    assert message["error"] == {"name": error or "Unknown", "message": FAULT, "permanent": False}


def test_an_execution_that_was_stopped_with_a_reason_of_its_own_is_no_permanent_error() -> None:
    message = told(detail("aborted", error="Maintenance", cause="arn:aws:iam::123456789012:user/somebody"))

    assert message["error"] == {
        "name": "Maintenance",
        "message": "Somebody stopped the execution.",
        "permanent": False,
    }


def test_the_words_are_those_of_the_state_machine_and_the_api() -> None:
    assert read_state_machine()["States"]["ResizeFailed"]["ErrorPath"].startswith("States.Format('Permanent.{}'")
    assert FAULT in (ROOT / "api" / "definition.json").read_text(encoding="utf-8")
    states = read_state_machine(path=RECONCILE_PATH)["States"]
    assert states["TooManyFaults"]["Error"] == detail("reconcile_too_many_faults")["error"]
    assert states["TooManyFaults"]["CausePath"] == "States.JsonToString($.output)"


@pytest.mark.parametrize("mode", [["plan"], {}, None, 1])
def test_a_reconcile_with_an_input_of_any_shape_is_told(mode: Any) -> None:
    found = detail("reconcile_refused", error="InvalidInputError", cause="Correct it.")

    message = told({**found, "input": json.dumps({"mode": mode})})

    assert (message["status"], message["mode"]) == ("FAILED", None)


@pytest.mark.parametrize("refusal", [each.__name__ for each in RefusedError.__subclasses__()])
def test_a_refused_reconcile_is_told_why(refusal: str) -> None:
    message = told(detail("reconcile_refused", error=refusal, cause="Make a new plan."))

    assert message["error"] == {"name": refusal, "message": "Make a new plan.", "permanent": True}


@pytest.mark.parametrize(
    ("name", "mode", "status"),
    [("planned", "plan", "SUCCESS"), ("run", "run", "SUCCESS"), ("stopped", "run", "FAILED")],
)
def test_a_reconcile_is_told_as_one(name: str, mode: str, status: str) -> None:
    found = detail(f"reconcile_{name}")
    message = told(found)

    assert (message["trigger"], message["mode"], message["status"]) == ("reconcile", mode, status)
    assert "key" not in message
    if status == "SUCCESS":
        assert message["report"] == json.loads(found["output"])


def test_a_run_that_was_stopped_by_faults_tells_what_it_did() -> None:
    found = detail("reconcile_too_many_faults")
    message = told(found)

    assert (message["status"], message["error"]["name"]) == ("FAILED", "TooManyFaults")
    assert message["report"] == json.loads(found["cause"])


@pytest.mark.parametrize(
    ("name", "trigger"),
    [
        ("upload-a-jpg-0123", "upload"),
        ("removed-a-jpg-0123", "removed"),
        ("api-anybody-0123", "api"),
        ("uploaded", "other"),
        ("reconcile-1", "other"),
        ("3f0c2b1a", "other"),
    ],
)
def test_the_name_of_the_execution_says_what_started_it(name: str, trigger: str) -> None:
    assert told(detail("succeeded", name=name))["trigger"] == trigger


def test_an_end_that_is_told_twice_has_one_id_and_every_other_end_another() -> None:
    first = told(detail("succeeded"))["id"]

    assert told(detail("succeeded"))["id"] == first
    # The same execution ends again when it is redriven.
    others = [told(detail(name))["id"] for name in ("redriven", "removed", "failed_permanent", "reconcile_run")]
    assert len({first, *others}) == 5


def express(**answer: Any) -> dict[str, Any]:
    """Return what start_from_s3 sends about an answer of StartSyncExecution."""
    standard = detail("succeeded")
    whole: Any = {
        "executionArn": standard["executionArn"].replace(":execution:", ":express:") + ":7d5e4c39",
        "stateMachineArn": f"{standard['stateMachineArn']}-uploads",
        "name": standard["name"],
        "startDate": datetime(2026, 11, 23, 12, 29, 44, 120_000, UTC),
        "stopDate": datetime(2026, 11, 23, 12, 29, 45, 20_000, UTC),
        "status": "SUCCEEDED",
        "input": standard["input"],
        "output": standard["output"],
        **answer,
    }
    found: dict[str, Any] = json.loads(json.dumps(detail_of(whole)))
    return found


def test_an_express_execution_is_told_the_same_way() -> None:
    standard, message = told(detail("succeeded")), told(express())

    different = {"id", "execution"}
    assert {name: message[name] for name in message.keys() - different} == {
        name: standard[name] for name in standard.keys() - different
    }
    assert message["id"] != standard["id"]


def test_an_express_execution_that_fails_is_told_the_same_way() -> None:
    failed = detail("failed_permanent")
    message = told(express(status="FAILED", output=None, error=failed["error"], cause=failed["cause"]))

    assert message["error"] == told(failed)["error"]
    assert told(express(status="TIMED_OUT", output=None))["error"]["name"] == "TimedOut"


def test_an_output_too_large_for_an_event_is_left_out_of_both() -> None:
    large = json.dumps(made(thumbnails=1000))
    for found in (detail("succeeded_output_excluded", input=detail("succeeded")["input"]), express(output=large)):
        message = told(found)

        assert (message["status"], message["key"], message["truncated"]) == ("SUCCESS", KEY, True)
        assert (message["thumbnails"], message["removed"]) == ([], [])
    assert len(json.dumps(express(output=large))) < 10_000


def test_the_key_is_known_from_the_input_or_the_output() -> None:
    without = {"input": None, "inputDetails": {"included": False}}

    assert told(detail("succeeded", **without))["key"] == KEY
    assert told(detail("succeeded_output_excluded"))["key"] is None
    assert told(detail("failed_invalid_input"))["key"] is None
    assert told(detail("succeeded", input="{", output='{"status": "SUC'))["truncated"] is True


@pytest.mark.parametrize("key", [{"a": 1}, 7, "x" * 1025, None])
def test_what_is_no_key_is_not_told_as_one(key: Any) -> None:
    assert told(detail("failed_permanent", input=json.dumps({"object_key": key})))["key"] is None


def test_a_usual_result_is_whole() -> None:
    # The most that one request may ask for.
    message = told(detail("succeeded", output=json.dumps(made(thumbnails=80, removed=200))))

    assert (len(message["thumbnails"]), len(message["removed"]), message["truncated"]) == (80, 200, False)


# Each of the last one takes six bytes.
@pytest.mark.parametrize("character", ["x", '"', "é", "😀", "\x01"])
def test_the_longest_lists_are_cut_and_say_so(character: str) -> None:
    key = character * (900 // len(character.encode()))
    result = made(thumbnails=80, removed=200, key=key)
    result["thumbnails"] = [{**each, "key": f"thumbnails/8x8_{key}"} for each in result["thumbnails"]]
    found = detail("succeeded", input=json.dumps({"object_key": key}), output=json.dumps(result))

    message = told(found)

    assert message["key"] == key
    assert message["truncated"] is True
    assert 0 < len(message["thumbnails"]) <= 80
    assert len(to_json(message_of(found, BUCKET, RECONCILE))) <= LARGEST_BYTES < 64 * 1024


def test_the_longest_report_keeps_its_counts() -> None:
    report = json.loads(detail("reconcile_run")["output"])
    first = {"key": "x" * 1024, "message": "y" * 1024}
    report["failed"] = {f"Error{number}": {"count": 1, "first": first} for number in range(100)}

    message = told(detail("reconcile_run", output=json.dumps(report)))

    assert message["report"] == {"plan": report["plan"], "counts": report["counts"]}
    assert message["truncated"] is True


def test_a_long_sentence_is_cut() -> None:
    assert len(told(detail("failed_permanent", cause="x" * 30_000))["error"]["message"]) == 2000


@pytest.mark.parametrize("name", ENDS)
def test_the_text_is_what_every_subscriber_takes(name: str) -> None:
    found = json.loads(event_text(name))["detail"]
    if found["input"]:
        # Legal in a key; SQS takes no U+FFFE: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
        found["input"] = found["input"].replace("example", "\ufffe\x7f é")

    assert re.fullmatch(r"[ -~]+", to_json(message_of(found, BUCKET, RECONCILE)))
