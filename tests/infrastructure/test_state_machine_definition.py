"""The state machine file: its shape, and that trying again has an end."""

from typing import Any

import pytest

from functions.start_from_s3.workflows import EXPRESS_SECONDS

# Faults of Lambda itself: https://docs.aws.amazon.com/step-functions/latest/dg/sfn-best-practices.html
LAMBDA_FAULTS = {
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
}


@pytest.fixture
def task(state_machine: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = state_machine["States"]["ResizeImage"]
    return found


def test_the_states(state_machine: dict[str, Any]) -> None:
    assert state_machine["StartAt"] == "ResizeImage"
    assert {name: state["Type"] for name, state in state_machine["States"].items()} == {
        "ResizeImage": "Task",
        "CheckStatus": "Choice",
        "ResizeSucceeded": "Succeed",
        "ResizeFailed": "Fail",
        "ResizeAnsweredNothing": "Fail",
    }


def test_the_task_invokes_the_function_with_request_and_name_and_how_often_it_was_tried(task: dict[str, Any]) -> None:
    assert task["Resource"] == "arn:aws:states:::lambda:invoke"
    assert task["Parameters"] == {
        "FunctionName": "${ResizeFunctionArn}",
        "Payload": {
            "execution.$": "$$.Execution.Name",
            "request.$": "$$.Execution.Input",
            "retries.$": "$$.State.RetryCount",
            "context.$": "$$.Execution",
        },
    }
    assert task["OutputPath"] == "$.Payload"
    assert task["Next"] == "CheckStatus"


def test_only_success_is_success(state_machine: dict[str, Any]) -> None:
    choice = state_machine["States"]["CheckStatus"]
    compared = {rule["And"][1]["StringEquals"]: rule["Next"] for rule in choice["Choices"]}

    assert compared == {"SUCCESS": "ResizeSucceeded", "FAILED": "ResizeFailed"}
    assert choice["Default"] == "ResizeAnsweredNothing"


def test_a_comparison_is_made_only_of_what_is_there(state_machine: dict[str, Any]) -> None:
    # A path that finds nothing ends the execution with States.Runtime:
    # https://docs.aws.amazon.com/step-functions/latest/dg/state-choice.html
    for rule in state_machine["States"]["CheckStatus"]["Choices"]:
        present, comparison = rule["And"]
        assert present == {"Variable": comparison["Variable"], "IsPresent": True}


def test_failure_has_the_words_of_the_function_and_says_that_it_is_permanent(state_machine: dict[str, Any]) -> None:
    failed = state_machine["States"]["ResizeFailed"]

    assert failed["ErrorPath"] == "States.Format('Permanent.{}', $.error)"
    assert failed["CausePath"] == "$.message"


def test_nothing_is_caught_and_forgotten(task: dict[str, Any]) -> None:
    assert "Catch" not in task


def test_missing_concurrency_and_faults_of_lambda_are_waited_out_in_a_few_attempts(task: dict[str, Any]) -> None:
    patient = task["Retry"][0]
    assert set(patient["ErrorEquals"]) == LAMBDA_FAULTS
    # Full jitter waits half as long on average: https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/
    assert longest_waits(patient) / 2 >= 3600
    # Each attempt is billed: an hour of waiting takes no more than these.
    attempts, waited = 0, 0.0
    while waited < 3600:
        waited += wait_before(patient, attempts) / 2
        attempts += 1
    assert attempts <= 70


def test_the_open_list_stands_alone_and_last(task: dict[str, Any]) -> None:
    # Amazon States Language wants it so: https://states-language.net/spec.html#retrying-after-error
    assert [retry["ErrorEquals"] for retry in task["Retry"][2:]] == [["States.ALL"]]


def test_what_cost_a_whole_minute_is_tried_less_often_than_faults_of_s3(task: dict[str, Any]) -> None:
    spent, fault = task["Retry"][1:]
    # Names of a time-out and of exhausted memory: https://docs.aws.amazon.com/step-functions/latest/dg/sfn-best-practices.html
    # and https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
    assert {"States.Timeout", "Sandbox.Timedout", "Lambda.Unknown", "Runtime.ExitError"} <= set(spent["ErrorEquals"])
    assert spent["MaxAttempts"] == 1 < fault["MaxAttempts"]


def test_every_retry_backs_off_with_jitter_and_ends(task: dict[str, Any]) -> None:
    for retry in task["Retry"]:
        assert retry["JitterStrategy"] == "FULL"
        assert retry["BackoffRate"] >= 2
        assert 1 <= retry["IntervalSeconds"] <= retry["MaxDelaySeconds"] <= 120
    assert [retry["MaxAttempts"] for retry in task["Retry"]] == [120, 1, 4]


def wait_before(retry: dict[str, Any], attempt: int) -> float:
    return float(min(retry["IntervalSeconds"] * retry["BackoffRate"] ** attempt, retry["MaxDelaySeconds"]))


def longest_waits(retry: dict[str, Any]) -> float:
    return sum(wait_before(retry, attempt) for attempt in range(retry["MaxAttempts"]))


def test_every_execution_ends_within_half_a_day(state_machine: dict[str, Any], task: dict[str, Any]) -> None:
    """It ends by itself: a time limit of its own would have to fit Express executions, which end after five minutes."""
    attempts = 1 + sum(retry["MaxAttempts"] for retry in task["Retry"])
    worst = attempts * task["TimeoutSeconds"] + sum(longest_waits(retry) for retry in task["Retry"])

    assert "TimeoutSeconds" not in state_machine
    assert worst <= 12 * 3600


def test_a_picture_that_takes_too_long_twice_still_ends_within_an_express_execution(task: dict[str, Any]) -> None:
    # https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
    spent = task["Retry"][1]

    assert (1 + spent["MaxAttempts"]) * task["TimeoutSeconds"] + longest_waits(spent) < EXPRESS_SECONDS
