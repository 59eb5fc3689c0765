"""Notifications in template.yaml: which events are told, through what, and that nothing is there without a topic."""

import http.client
import json
import re
import subprocess
import sys
import time
from typing import Any

import pytest
from jsonschema import Draft4Validator

from functions.notify.messages import message_of, to_json
from functions.start_from_s3.workflows import MOST_RECEIVES
from local.processes import free_port
from local.template import example_stack
from tests.deployed import ROOT
from tests.s3_events import EVENTS, event_text

TOPIC = {"NotificationTopicArn": "arn:aws:sns:us-east-1:123456789012:thumbnails"}
MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:ImageResizeStateMachine"


def properties(resources: dict[str, Any], logical_id: str) -> dict[str, Any]:
    found: dict[str, Any] = resources[logical_id]["Properties"]
    return found


def matches(pattern: Any, event: Any) -> bool:
    """Return whether a pattern of exact values matches; such a field has one of the values listed.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns.html
    """
    if isinstance(pattern, dict):
        return all(name in event and matches(part, event[name]) for name, part in pattern.items())
    assert all(isinstance(value, str) for value in pattern)
    return event in pattern


@pytest.fixture
def pattern(resources: dict[str, Any]) -> Any:
    machines = {
        "ImageResizeStateMachine": MACHINE,
        "ReconcileThumbnails": f"{MACHINE}-reconcile",
    }
    text = json.dumps(properties(resources, "ExecutionsEndedRule")["EventPattern"])
    for name, arn in machines.items():
        text = text.replace(json.dumps({"Ref": name}), json.dumps(arn))
    return json.loads(text)


@pytest.mark.parametrize("path", sorted(EVENTS.glob("execution_*.json")), ids=lambda path: path.stem)
def test_the_rule_takes_every_end_and_no_start(path: Any, pattern: Any) -> None:
    event = json.loads(path.read_text(encoding="utf-8"))

    assert matches(pattern, event) is (event["detail"]["status"] != "RUNNING")


@pytest.mark.parametrize(
    "other",
    [
        f"{MACHINE}-uploads",
        f"{MACHINE}2",
        # Children of a Distributed Map: https://docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html
        f"{MACHINE}-reconcile/Work",
        f"{MACHINE}-reconcile/Compare",
    ],
)
def test_the_rule_takes_no_other_state_machine(other: str, pattern: Any) -> None:
    event = json.loads((EVENTS / "execution_succeeded.json").read_text(encoding="utf-8"))
    event["detail"]["stateMachineArn"] = other

    assert not matches(pattern, event)


def test_children_of_a_reconcile_are_express_which_send_no_events() -> None:
    text = (ROOT / "statemachine" / "reconcile.asl.json").read_text(encoding="utf-8")

    assert re.findall(r'"ExecutionType": "(\w+)"', text) == ["EXPRESS", "EXPRESS"]


def test_an_event_goes_to_the_queue_or_to_the_dead_letters(resources: dict[str, Any]) -> None:
    rule = resources["ExecutionsEndedRule"]

    assert rule["DependsOn"] == ["NotificationsQueuePolicy", "NotificationsDeadLetterQueuePolicy"]
    assert rule["Properties"]["Targets"] == [
        {
            "Id": "NotificationsQueue",
            "Arn": {"Fn::GetAtt": ["NotificationsQueue", "Arn"]},
            "DeadLetterConfig": {"Arn": {"Fn::GetAtt": ["NotificationsDeadLetterQueue", "Arn"]}},
        }
    ]


@pytest.mark.parametrize("queue", ["NotificationsQueue", "NotificationsDeadLetterQueue"])
def test_only_the_rule_may_send(queue: str, resources: dict[str, Any]) -> None:
    stack = example_stack(TOPIC)
    policy = properties(resources, f"{queue}Policy")
    statements = stack.resolve(policy["PolicyDocument"]["Statement"])
    (allowed,) = [found for found in statements if found["Effect"] == "Allow"]

    assert policy["Queues"] == [{"Ref": queue}]
    name = stack.resolve(properties(resources, "ExecutionsEndedRule")["Name"])
    assert (allowed["Principal"], allowed["Action"]) == ({"Service": "events.amazonaws.com"}, "sqs:SendMessage")
    assert allowed["Resource"] == f"{queue}.Arn"
    assert allowed["Condition"] == {
        "ArnEquals": {"aws:SourceArn": f"arn:aws:events:us-east-1:123456789012:rule/{name}"}
    }


def test_what_cannot_be_told_is_tried_for_an_hour_and_then_kept(resources: dict[str, Any]) -> None:
    queue, dead = (properties(resources, f"Notifications{name}Queue") for name in ("", "DeadLetter"))
    function = properties(resources, "NotifyFunction")

    # https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
    assert queue["VisibilityTimeout"] >= 6 * function["Timeout"]
    tries = queue["RedrivePolicy"]["maxReceiveCount"]
    assert tries >= 5
    assert tries * queue["VisibilityTimeout"] >= 3600
    assert dead["MessageRetentionPeriod"] == queue["MessageRetentionPeriod"] == 14 * 24 * 3600


def test_the_queue_calls_the_function_which_returns_single_messages(resources: dict[str, Any]) -> None:
    source = properties(resources, "NotifyFunction")["Events"]["Ends"]["Properties"]

    assert source["Queue"] == {"Fn::GetAtt": ["NotificationsQueue", "Arn"]}
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_more_notifications_are_sent_at_once_where_more_pictures_are_made(template: dict[str, Any]) -> None:
    setting = properties(template["Resources"], "NotifyFunction")["Events"]["Ends"]["Properties"]["ScalingConfig"]
    allowed = template["Parameters"]["UploadConcurrency"]["AllowedValues"]
    found = [
        int(example_stack({"UploadConcurrency": str(each)}).resolve(setting["MaximumConcurrency"])) for each in allowed
    ]

    # Lambda takes no less than two: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
    assert min(found) == 2
    assert found == sorted(found)
    assert max(found) <= max(map(int, allowed)) / 20


def test_the_function_knows_the_deployed_resources(resources: dict[str, Any]) -> None:
    variables = properties(resources, "NotifyFunction")["Environment"]["Variables"]

    assert variables == {
        "POWERTOOLS_SERVICE_NAME": "notify",
        "NOTIFICATION_TOPIC_ARN": {"Ref": "NotificationTopicArn"},
        "THUMBNAILS_BUCKET": {"Ref": "ThumbnailsBucket"},
        "RECONCILE_STATE_MACHINE_ARN": {"Ref": "ReconcileThumbnails"},
    }


@pytest.mark.parametrize(
    ("parameters", "queue"),
    [
        ({}, ""),
        ({"UploadWorkflow": "EXPRESS"}, ""),
        (TOPIC, ""),
        ({"UploadWorkflow": "EXPRESS", **TOPIC}, "NotificationsQueue"),
    ],
)
def test_ends_of_express_executions_alone_are_passed_on(
    parameters: dict[str, str], queue: str, resources: dict[str, Any]
) -> None:
    variables = properties(resources, "StartFromS3Function")["Environment"]["Variables"]

    assert example_stack(parameters).resolve(variables["NOTIFICATIONS_QUEUE_URL"]) == queue


def test_the_last_try_of_an_upload_is_known(resources: dict[str, Any]) -> None:
    assert properties(resources, "UploadsQueue")["RedrivePolicy"]["maxReceiveCount"] == MOST_RECEIVES


def test_without_a_topic_there_is_nothing(template: dict[str, Any]) -> None:
    """Whatever has to do with notifications has the condition, and nothing without it refers to something that has."""
    resources = template["Resources"]
    conditional = {name for name, each in resources.items() if each.get("Condition") == "HasNotificationTopic"}

    assert {name for name in resources if "Notif" in name} <= conditional
    assert {"ExecutionsEndedRule", "NotifyFunction", "NotifyFunctionRole", "NotifyFunctionLogs"} <= conditional
    assert not example_stack({}).resolve({"Fn::If": ["HasNotificationTopic", True, False]})
    for parameters in ({}, {"UploadWorkflow": "EXPRESS"}):
        rest = {name: each for name, each in resources.items() if name not in conditional | {"ResizeApi"}}
        text = json.dumps([example_stack(parameters).resolve(each["Properties"]) for each in rest.values()])
        assert not [name for name in conditional if name in text]
    outputs = {name for name, each in template["Outputs"].items() if each.get("Condition") == "HasNotificationTopic"}
    assert outputs == {name for name in template["Outputs"] if name.startswith("Notif")}


@pytest.mark.parametrize("workflow", ["STANDARD", "EXPRESS"])
def test_an_alarm_watches_every_way_to_lose_a_notification(workflow: str, resources: dict[str, Any]) -> None:
    alarm = properties(resources, "NotificationsNotSentAlarm")
    expression, *metrics = example_stack({"UploadWorkflow": workflow, **TOPIC}).resolve(alarm["Metrics"])
    watched = {each["Id"]: each["MetricStat"]["Metric"] for each in metrics}

    assert set(re.findall(r"FILL\((\w+), 0\)", expression["Expression"])) == watched.keys()
    # A message that nobody receives never reaches the dead letters; in a burst messages wait for hours.
    assert "IF(FILL(oldest, 0) > 86400, 1, 0)" in expression["Expression"]
    found = {(each["Namespace"], each["MetricName"], *each["Dimensions"][0].values()) for each in watched.values()}
    expected = {
        (
            "AWS/SQS",
            "ApproximateNumberOfMessagesVisible",
            "QueueName",
            "NotificationsDeadLetterQueue.QueueName",
        ),
        ("AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", "NotificationsQueue.QueueName"),
        ("AWS/Events", "FailedInvocations", "RuleName", "ExecutionsEndedRule"),
        ("AWS/Events", "InvocationsFailedToBeSentToDlq", "RuleName", "ExecutionsEndedRule"),
    }
    if workflow == "EXPRESS":
        expected |= {("alison-image", "NotificationsNotSent", "service", "start_from_s3")}
    assert found == expected


SECTION = (ROOT / "README.md").read_text(encoding="utf-8").split("\n## Get notified\n")[1].split("\n## ")[0]


def block(language: str, word: str) -> str:
    """Return the one block of the README's section that has a word."""
    (found,) = [text for text in re.findall(rf"```{language}\n(.*?)```", SECTION, re.DOTALL) if word in text]
    return str(found)


def test_the_message_of_the_readme_is_valid_and_has_every_field() -> None:
    schema = json.loads((ROOT / "schemas" / "notification.json").read_text(encoding="utf-8"))
    message = json.loads(block("json", "trigger"))

    Draft4Validator(schema).validate(message)
    assert message.keys() == {*schema["required"], *schema["oneOf"][0]["required"]}


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        (
            "succeeded",
            "ready: 2026/trip/example.jpg s3://b/thumbnails/2026/trip/128x128_example.jpg\n",
        ),
        ("failed_permanent", "failed: letter.jpg The original is not in a recognised image format.\n"),
        ("removed", ""),
        ("reconcile_run", ""),
        (
            "reconcile_refused",
            "failed: None The plan '2026-10-01-aaaaaa' is 53.0 days old; after 7 days make a new one.\n",
        ),
    ],
)
def test_the_lambda_of_the_readme_works(name: str, printed: str, capsys: pytest.CaptureFixture[str]) -> None:
    module: dict[str, Any] = {}
    exec(block("python", "def handler"), module)  # noqa: S102 - our own document

    module["handler"]({"Records": [{"Sns": {"Message": message(name)}}]}, None)

    assert capsys.readouterr().out == printed


def message(name: str) -> str:
    detail = json.loads(event_text(f"execution_{name}"))["detail"]
    return to_json(message_of(detail, "b", f"{MACHINE}-reconcile"))


def test_the_webhook_of_the_readme_works() -> None:
    port = free_port()
    script = block("python", "class Webhook").replace("8080", str(port))
    running = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own document
    try:
        assert running.stdout is not None
        # As SNS posts them: https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html
        confirmation = {"Type": "SubscriptionConfirmation", "Token": "2336412f", "SubscribeURL": "https://sns.example/"}
        assert post(port, confirmation) == 204
        assert running.stdout.readline() == "Open this: https://sns.example/\n"
        assert post(port, {"Type": "Notification", "Message": message("succeeded")}) == 204
        assert running.stdout.readline() == "upload SUCCESS 2026/trip/example.jpg\n"
        assert post(port, {"Type": "Notification", "Message": message("reconcile_run")}) == 204
        assert running.stdout.readline() == "reconcile SUCCESS None\n"
    finally:
        running.terminate()
        running.communicate(timeout=10)


def post(port: int, body: dict[str, Any]) -> int:
    """Post until somebody listens; return the status."""
    # SNS says text/plain.
    headers = {"Content-Type": "text/plain; charset=UTF-8"}
    deadline = time.monotonic() + 20
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("POST", "/thumbnails", json.dumps(body), headers)
            return connection.getresponse().status
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, "the webhook does not listen"
            time.sleep(0.1)
        finally:
            connection.close()
