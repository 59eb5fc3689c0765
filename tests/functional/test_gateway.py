"""The local gateway over real HTTP: the body of the real template in front of a small AWS of its own."""

import contextlib
import copy
import datetime as dt
import functools
import http.client
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.session import Session

from local.gateway import GatewayError
from local.gateway.__main__ import main
from local.gateway.api import Api
from local.gateway.integration import TIMEOUT_SECONDS, AwsServices
from local.gateway.openapi import compile_api
from local.gateway.responses import UnsupportedError
from local.gateway.server import MAX_BODY_BYTES, GatewayServer
from local.gateway.signature import Signers
from local.gateway.stack import StackError, read_deployed_api
from local.gateway.vtl import MappingTemplateError
from local.intrinsics import Intrinsics
from tests.deployed import ROOT, read_template
from tests.waiting import wait_for

ACCOUNT = "123456789012"
STACK_ID = f"arn:aws:cloudformation:eu-north-1:{ACCOUNT}:stack/pipeline/1"
MACHINE = f"arn:aws:states:eu-north-1:{ACCOUNT}:stateMachine:ImageResizeStateMachine"
EXECUTIONS = MACHINE.replace(":stateMachine:", ":execution:")
CREDENTIALS = Credentials("AKIATEST", "secret")
USER = Credentials("AKIAUSER", "secret of a user")
SESSION = Credentials("ASIASESSION", "secret of a session", "token of a session")
# Who signs with which credentials: principal id and ARN.
SIGNERS = [
    (CREDENTIALS, ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root"),
    (USER, "AIDAUSER", f"arn:aws:iam::{ACCOUNT}:user/ann"),
    (SESSION, "AROAROLE:night", f"arn:aws:sts::{ACCOUNT}:assumed-role/uploader/night"),
]
BODY = {
    "source_bucket": "alison-image-originals-01",
    "destination_bucket": "alison-image-thumbnails-01",
    "object_key": "example.jpg",
    "width": 128,
    "height": 96,
}
Template = dict[str, Any]
Edit = Callable[[Template], None]


source_template = functools.cache(read_template)


def processed_template() -> Template:
    """Read the repository's template, and put its API as the SAM transform would leave it."""
    template = copy.deepcopy(source_template())
    (name, api), *others = [
        (name, resource)
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Api"
    ]
    assert not others
    properties = api["Properties"]
    template["Resources"][name] = {
        "Type": "AWS::ApiGateway::RestApi",
        "Properties": {"Body": properties["DefinitionBody"]},
    }
    template["Resources"][f"{name}Stage"] = {
        "Type": "AWS::ApiGateway::Stage",
        "Properties": {
            "RestApiId": {"Ref": name},
            "StageName": properties["StageName"],
            "Variables": properties["Variables"],
            "AccessLogSetting": properties["AccessLogSetting"],
        },
    }
    return template


def body_of(template: Template) -> Template:
    found: Template = next(
        resource["Properties"]["Body"]
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::ApiGateway::RestApi"
    )
    return found


def stage_of(template: Template) -> Template:
    found: Template = next(
        resource["Properties"]
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::ApiGateway::Stage"
    )
    return found


def operation_of(template: Template) -> Template:
    operation: Template = body_of(template)["paths"]["/resize"]["post"]
    return operation


def integration_of(template: Template) -> Template:
    integration: Template = operation_of(template)["x-amazon-apigateway-integration"]
    return integration


@dataclass
class Call:
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass
class Answer:
    status: int = 200
    body: str = json.dumps({"executionArn": f"{EXECUTIONS}:api-anybody-r-1", "startDate": 1795436535.5})
    delay_seconds: float = 0
    hang_up: bool = False


@dataclass
class Behaviour:
    template: Template = field(default_factory=processed_template)
    parameters: dict[str, str] = field(default_factory=lambda: {"ApiAuthorization": "NONE"})
    answer: Answer = field(default_factory=Answer)
    role_may_be_assumed: bool = True
    assumed: list[str] = field(default_factory=list)
    expired: bool = False
    calls: list[Call] = field(default_factory=list)
    log_group: str = ""
    logs_answer: int = 200
    delivered: list[dict[str, Any]] = field(default_factory=list)

    def resolve(self, value: Any) -> Any:
        """Do what CloudFormation does before it brings something in."""
        return Intrinsics(
            template=self.template,
            parameters=self.parameters,
            physical_ids={
                name: MACHINE if "StateMachine" in resource["Type"] else name.lower()
                for name, resource in self.template["Resources"].items()
            },
            stack_name="pipeline",
            stack_id=STACK_ID,
            attribute=lambda _kind, physical_id, _attribute: f"arn:aws:iam::{ACCOUNT}:role/{physical_id}",
        ).resolve(value)


class FakeAws(ThreadingHTTPServer):
    """CloudFormation, API Gateway, IAM, STS and Step Functions, as far as the gateway speaks with them."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), FakeAwsHandler)
        self.behaviour = Behaviour()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class FakeAwsHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: FakeAws

    def do_GET(self) -> None:
        behaviour = self.server.behaviour
        stage = behaviour.resolve(stage_of(behaviour.template))
        access_log = stage.get("AccessLogSetting", {})
        content = {
            "/restapis/resizeapi/stages": {
                "item": [
                    {
                        "stageName": stage["StageName"],
                        "variables": stage["Variables"],
                        "accessLogSettings": {
                            "format": access_log.get("Format"),
                            "destinationArn": behaviour.log_group
                            and f"arn:aws:logs:r:1:log-group:{behaviour.log_group}:*",
                        },
                    }
                ]
            },
            "/restapis/resizeapi/stages/prod/exports/oas30?extensions=apigateway": behaviour.resolve(
                body_of(behaviour.template)
            ),
        }[self.path]
        self._send(200, "application/json", json.dumps(content))

    def do_POST(self) -> None:
        payload = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/_local/signers":
            self._signers(json.loads(payload))
        elif self.headers.get("X-Amz-Target", "").startswith("Logs_"):
            self._logs(json.loads(payload))
        elif "X-Amz-Target" in self.headers:
            self._step_functions(payload)
        else:
            form = {name: values[-1] for name, values in parse_qs(payload.decode()).items()}
            self._query(form["Action"], form)

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _step_functions(self, payload: bytes) -> None:
        behaviour = self.server.behaviour
        behaviour.calls.append(Call(dict(self.headers.items()), json.loads(payload)))
        time.sleep(behaviour.answer.delay_seconds)
        if behaviour.answer.hang_up:
            self.close_connection = True
        else:
            self._send(behaviour.answer.status, "application/x-amz-json-1.0", behaviour.answer.body)

    def _logs(self, question: dict[str, Any]) -> None:
        behaviour = self.server.behaviour
        assert question["logGroupName"] == behaviour.log_group
        if behaviour.logs_answer == 200:
            behaviour.delivered += [json.loads(event["message"]) for event in question.get("logEvents", [])]
        self._send(behaviour.logs_answer, "application/x-amz-json-1.1", "{}")

    def _signers(self, question: dict[str, str]) -> None:
        given = (question["accessKey"], question["sessionToken"])
        signer = next((item for item in SIGNERS if given == (item[0].access_key, item[0].token or "")), None)
        if self.server.behaviour.expired:
            self._send(403, "application/json", '{"code": "ExpiredTokenException", "message": "expired"}')
        elif signer is None or question["signature"] != signature_of(question, signer[0]):
            self._send(403, "application/json", '{"code": "InvalidSignatureException", "message": "wrong"}')
        else:
            identity = {"accountId": ACCOUNT, "principalId": signer[1], "arn": signer[2]}
            self._send(200, "application/json", json.dumps(identity))

    def _query(self, action: str, form: dict[str, str]) -> None:
        behaviour = self.server.behaviour
        if action == "AssumeRole":
            behaviour.assumed.append(form["RoleArn"])
            if not behaviour.role_may_be_assumed:
                error = "<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>"
                self._send(403, "text/xml", error)
                return
        self._send(200, "text/xml", f"<{action}Response>{self._result(action)}</{action}Response>")

    def _result(self, action: str) -> str:
        behaviour = self.server.behaviour
        resources = behaviour.template["Resources"]
        match action:
            case "DescribeStackResources":
                members = "".join(
                    f"<member><StackId>{STACK_ID}</StackId><ResourceType>{resource['Type']}</ResourceType>"
                    f"<PhysicalResourceId>{name.lower()}</PhysicalResourceId></member>"
                    for name, resource in resources.items()
                )
                content = f"<StackResources>{members}</StackResources>"
            case _:
                expires = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
                content = (
                    "<Credentials><AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey>"
                    f"<SessionToken>token</SessionToken><Expiration>{expires:%Y-%m-%dT%H:%M:%SZ}</Expiration>"
                    "</Credentials>"
                )
        return f"<{action}Result>{content}</{action}Result>"

    def _send(self, status: int, content_type: str, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())


def signature_of(question: dict[str, str], credentials: Credentials) -> str:
    request = AWSRequest("POST", "http://localhost")
    request.context["timestamp"] = question["date"]
    signer = SigV4Auth(credentials, question["service"], question["region"])
    return str(signer.signature(question["stringToSign"], request))


@contextlib.contextmanager
def running(server: ThreadingHTTPServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def fake_aws() -> Iterator[FakeAws]:
    server = FakeAws()
    with running(server):
        yield server


@pytest.fixture
def aws(fake_aws: FakeAws) -> Behaviour:
    fake_aws.behaviour = Behaviour()
    return fake_aws.behaviour


@pytest.fixture(scope="module")
def session() -> Session:
    session = Session()
    session.set_credentials(CREDENTIALS.access_key, CREDENTIALS.secret_key)
    session.set_config_variable("region", "eu-north-1")
    return session


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@dataclass
class Client:
    host: str
    port: int

    def send(self, method: str, path: str, body: bytes | str | None = None, **headers: str) -> Reply:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=10)
        with contextlib.closing(connection):
            return send(connection, method, path, body, headers)

    def post(self, body: Any, **headers: str) -> Reply:
        text = body if isinstance(body, (str, bytes)) else json.dumps(body)
        return self.send("POST", "/prod/resize", text, **{"Content-Type": "application/json"} | headers)


def send(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes | str | None,
    headers: dict[str, str],
) -> Reply:
    encoded = body.encode() if isinstance(body, str) else body
    connection.request(method, path, encoded, headers)
    response = connection.getresponse()
    return Reply(response.status, dict(response.headers.items()), response.read().decode())


def api_of(session: Session, fake_aws: FakeAws, timeout_seconds: float = TIMEOUT_SECONDS) -> Api:
    deployed = read_deployed_api(session, fake_aws.url, "pipeline")
    definition = compile_api(deployed, AwsServices(session, fake_aws.url, timeout_seconds))
    return Api(deployed, definition, Signers(fake_aws.url, deployed.region))


@contextlib.contextmanager
def serving(session: Session, fake_aws: FakeAws, timeout_seconds: float = TIMEOUT_SECONDS) -> Iterator[Client]:
    server = GatewayServer("127.0.0.1", 0, api_of(session, fake_aws, timeout_seconds), io.StringIO())
    with running(server):
        yield Client("127.0.0.1", int(server.server_address[1]))


@pytest.fixture(scope="module")
def shared_gateway(session: Session, fake_aws: FakeAws) -> Iterator[Client]:
    fake_aws.behaviour = Behaviour()
    with serving(session, fake_aws) as client:
        yield client


@pytest.fixture
def gateway(shared_gateway: Client, aws: Behaviour) -> Client:
    del aws  # asked for so that every test finds a fresh AWS behind the shared gateway
    return shared_gateway


def test_a_valid_request_starts_one_execution(gateway: Client, aws: Behaviour) -> None:
    # Clients can choose the request id, so it must not become the name of an execution.
    reply = gateway.post(BODY, **{"x-amzn-RequestId": "chosen"})
    assert reply.status == 200
    assert reply.json == {
        "executionArn": f"{EXECUTIONS}:api-anybody-r-1",
        "executionId": "api-anybody-r-1",
        "startDate": 1795436535.5,
    }
    assert reply.headers["Location"] == "/prod/executions/api-anybody-r-1"
    assert reply.headers["Content-Type"] == "application/json"
    (call,) = aws.calls
    assert call.headers["X-Amz-Target"] == "AWSStepFunctions.StartExecution"
    assert call.headers["Content-Type"] == "application/x-amz-json-1.0"
    assert call.body["stateMachineArn"] == MACHINE
    assert call.body["name"] == f"api-anybody-{reply.headers['x-amz-apigw-id'].removesuffix('=')}"
    assert json.loads(call.body["input"]) == BODY


def test_the_service_is_called_as_the_role_of_the_integration(
    session: Session, fake_aws: FakeAws, aws: Behaviour
) -> None:
    with serving(session, fake_aws) as gateway:
        gateway.post(BODY)
        gateway.post(BODY)
    assert aws.assumed == [f"arn:aws:iam::{ACCOUNT}:role/resizeapirole"]
    for call in aws.calls:
        assert "Credential=ASIAROLE/" in call.headers["Authorization"]
        assert "/eu-north-1/states/aws4_request" in call.headers["Authorization"]
        assert call.headers["X-Amz-Security-Token"] == "token"


@pytest.mark.parametrize(
    "key",
    [
        "bob's photo.jpg",
        'a "quoted" name.jpg',
        "back\\slash.jpg",
        "back\\'slash and apostrophe.jpg",
        "ends with \\",
        "line\nbreak\r\n.jpg",
        "tab\tand\x01control\x1f\x7f.jpg",
        "été 日本 😀.jpg",
        "a+b %2B c.jpg",
        "2026/trip/example.jpg",
        "</script>.jpg",
        "$input.json('$') #set($x = 1) #end ${x}",
        "\u2028\u2029\ufeff",
    ],
)
def test_the_execution_gets_exactly_what_was_posted(gateway: Client, aws: Behaviour, key: str) -> None:
    body = {**BODY, "object_key": key}
    assert gateway.post(body).status == 200
    assert gateway.post(json.dumps(body, ensure_ascii=False)).status == 200
    assert [json.loads(call.body["input"]) for call in aws.calls] == [body, body]


def test_several_sizes_reach_the_execution(gateway: Client, aws: Behaviour) -> None:
    body = {key: value for key, value in BODY.items() if key not in ("width", "height")}
    body["sizes"] = [{"width": 1, "height": 2}, {"width": 3, "height": 4}]
    assert gateway.post(body).status == 200
    assert json.loads(aws.calls[0].body["input"]) == body


@pytest.mark.parametrize("header", ["Idempotency-Key", "idempotency-key", "IDEMPOTENCY-KEY"])
def test_the_idempotency_key_names_the_execution(gateway: Client, aws: Behaviour, header: str) -> None:
    gateway.post(BODY, **{header: "order-17"})
    assert aws.calls[0].body["name"] == "api-anybody-order-17"


@pytest.mark.parametrize("key", ["a", "order-2026-11_23", "x" * 50, " surrounded\t", "upload-a-jpg-0123", "api-x"])
def test_a_legal_idempotency_key_ends_the_name(gateway: Client, aws: Behaviour, key: str) -> None:
    assert gateway.post(BODY, **{"Idempotency-Key": key}).status == 200
    assert aws.calls[0].body["name"] == f"api-anybody-{key.strip()}"


@pytest.mark.parametrize(
    "key", ["", "a b", "a.b", "a/b", "it's", 'quo"te', "back\\slash", "$context.stage", "é", "x" * 51, "a\t\tb"]
)
def test_an_illegal_idempotency_key_starts_nothing(gateway: Client, aws: Behaviour, key: str) -> None:
    aws.answer = Answer(400, json.dumps({"__type": "InvalidName"}))
    reply = gateway.post(BODY, **{"Idempotency-Key": key})
    assert (reply.status, reply.json["error"]) == (400, "InvalidIdempotencyKey")
    # What the template sends instead is a name that StartExecution refuses.
    assert [call.body["name"] for call in aws.calls] == ["*"]


def test_a_used_idempotency_key_answers_with_the_first_execution(gateway: Client, aws: Behaviour) -> None:
    aws.answer = Answer(400, json.dumps({"__type": "ExecutionAlreadyExists", "message": "arn:aws:iam::secret"}))
    reply = gateway.post(BODY, **{"Idempotency-Key": "order-17"})
    assert reply.status == 409
    assert reply.text.count("\n") == 0
    assert reply.json.pop("message")
    assert reply.json["error"] == "ExecutionAlreadyExists"
    assert reply.json["executionId"] == "api-anybody-order-17"
    assert reply.json["executionArn"] == f"{EXECUTIONS}:api-anybody-order-17"


DESCRIBED = {
    "executionArn": f"{EXECUTIONS}:api-anybody-order-17",
    "stateMachineArn": MACHINE,
    "name": "api-anybody-order-17",
    "status": "RUNNING",
    "startDate": 1795436535.5,
    "input": json.dumps(BODY),
    "inputDetails": {"included": True},
    "traceHeader": "Root=1-2-3",
}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, {"status": "RUNNING"}),
        ({"stopDate": None, "output": None}, {"status": "RUNNING"}),
        (
            {"status": "SUCCEEDED", "stopDate": 1.5, "output": '{"thumbnails": [{"key": "it\'s \\"1\\" é.jpg"}]}'},
            {"status": "SUCCEEDED", "stopDate": 1.5, "output": {"thumbnails": [{"key": 'it\'s "1" é.jpg'}]}},
        ),
        (
            {"status": "FAILED", "stopDate": 1.5, "error": "Permanent.NotAnImageError", "cause": 'no "picture"'},
            {"status": "FAILED", "stopDate": 1.5, "error": "NotAnImageError", "cause": 'no "picture"'},
        ),
        ({"status": "TIMED_OUT", "stopDate": 1.5}, {"status": "TIMED_OUT", "stopDate": 1.5}),
        ({"status": "ABORTED", "stopDate": 1.5}, {"status": "ABORTED", "stopDate": 1.5}),
    ],
)
def test_an_execution_is_described(
    gateway: Client, aws: Behaviour, more: dict[str, Any], expected: dict[str, Any]
) -> None:
    aws.answer = Answer(200, json.dumps(DESCRIBED | more))
    reply = gateway.send("GET", "/prod/executions/api-anybody-order-17")
    assert reply.status == 200
    assert reply.json == {"executionArn": f"{EXECUTIONS}:api-anybody-order-17", "startDate": 1795436535.5} | expected
    (call,) = aws.calls
    assert call.headers["X-Amz-Target"] == "AWSStepFunctions.DescribeExecution"
    assert call.body == {"executionArn": f"{EXECUTIONS}:api-anybody-order-17"}


@pytest.mark.parametrize(
    "fault",
    [
        {"error": "Lambda.AWSLambdaException", "cause": "arn:aws:iam::1:role/secret is not authorized"},
        {"error": "StorageUnavailableError", "cause": '{"errorMessage": "secret", "stackTrace": ["secret"]}'},
        {"error": "States.Runtime", "cause": "secret", "output": '{"Cause": "secret"}'},
        {"error": "PermanentX", "cause": "secret"},
    ],
)
def test_the_cause_of_a_fault_stays_behind(gateway: Client, aws: Behaviour, fault: dict[str, str]) -> None:
    aws.answer = Answer(200, json.dumps(DESCRIBED | {"status": "FAILED", "stopDate": 1.5} | fault))
    reply = gateway.send("GET", "/prod/executions/api-anybody-order-17")
    assert reply.json["error"] == fault["error"]
    assert reply.json["cause"].startswith("Internal error. The picture and the request are fine")
    assert "secret" not in reply.text


@pytest.mark.parametrize("identifier", ["a%20b", "a:b", "%2A", "a%22%2C%22x", "x" * 81, "%C3%A9"])
def test_what_names_no_execution_is_not_found(gateway: Client, aws: Behaviour, identifier: str) -> None:
    aws.answer = Answer(400, json.dumps({"__type": "ValidationException"}))
    reply = gateway.send("GET", f"/prod/executions/{identifier}")
    assert (reply.status, reply.json["error"]) == (404, "ExecutionNotFound")
    assert [call.body for call in aws.calls] == [{"executionArn": f"{EXECUTIONS}:*"}]


@pytest.mark.parametrize(
    ("status", "kind", "expected_status", "expected_error"),
    [
        (400, "ExecutionDoesNotExist", 404, "ExecutionNotFound"),
        (400, "InvalidArn", 404, "ExecutionNotFound"),
        (400, "ThrottlingException", 429, "TooManyRequests"),
        (403, "AccessDeniedException", 502, "DescribeFailed"),
        (500, "InternalServerError", 503, "ServiceUnavailable"),
    ],
)
def test_refusals_to_describe_are_mapped(  # noqa: PLR0917  # one column of the table each
    gateway: Client, aws: Behaviour, status: int, kind: str, expected_status: int, expected_error: str
) -> None:
    aws.answer = Answer(status, json.dumps({"__type": kind, "message": "arn:aws:iam::secret"}))
    reply = gateway.send("GET", "/prod/executions/api-anybody-order-17")
    assert (reply.status, reply.json["error"]) == (expected_status, expected_error)
    assert reply.headers.get("Retry-After") == ("2" if expected_status in (429, 503) else None)
    assert "secret" not in reply.text


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"source_bucket": None}, "instance type (null) does not match any allowed primitive type"),
        ({"object_key": ""}, 'string "" is too short (length: 0, required minimum: 1)'),
        ({"object_key": "x" * 1025}, "is too long (length: 1025, maximum allowed: 1024)"),
        (
            {"width": "128"},
            'instance type (string) does not match any allowed primitive type (allowed: ["integer"])',
        ),
        ({"width": 1.5}, "instance type (number) does not match"),
        ({"width": 0}, "numeric instance is lower than the required minimum (minimum: 1, found: 0)"),
        (
            {"height": 10001},
            "numeric instance is greater than the required maximum (maximum: 10000, found: 10001)",
        ),
        (
            {"quality": 101},
            "numeric instance is greater than the required maximum (maximum: 100, found: 101)",
        ),
        ({"fit": "stretch"}, 'instance value ("stretch") not found in enum (possible values: ["inside",'),
        ({"frame": 1}, 'object instance has properties which are not allowed by the schema: ["frame"]'),
        ({"sizes": []}, "array is too short: must have at least 1 elements but instance has 0 elements"),
        (
            {"sizes": [{"width": 1, "height": 1}]},
            "instance failed to match exactly one schema (matched 0 out of 2)",
        ),
        ({"sizes": [{"width": 1}]}, 'object has missing required properties (["height"])'),
        ({"sizes": [{"width": 1, "height": 1}] * 17}, "array is too long: must have at most 16 elements"),
    ],
)
def test_a_bad_body_is_refused_with_the_reason(
    gateway: Client, aws: Behaviour, change: dict[str, Any], reason: str
) -> None:
    reply = gateway.post(BODY | change)
    assert reply.status == 400
    assert reply.json["error"] == "InvalidRequest"
    assert reason in reply.json["message"]
    assert reply.headers["x-amzn-ErrorType"] == "BadRequestException"
    assert aws.calls == []


@pytest.mark.parametrize("name", ["source_bucket", "destination_bucket", "object_key"])
def test_a_body_without_a_required_property_is_refused(gateway: Client, aws: Behaviour, name: str) -> None:
    reply = gateway.post({key: value for key, value in BODY.items() if key != name})
    assert reply.status == 400
    assert reply.json["message"].endswith(f'[object has missing required properties (["{name}"])]')
    assert aws.calls == []


@pytest.mark.parametrize(
    "body",
    [
        "{",
        "not json",
        '{"width": NaN}',
        '{"width": 1e999}',
        "[" * 100_000,
        b"\xff\xfe",
        "\ufeff{}",
        '{"width": ' + "9" * 5000 + "}",
    ],
)
def test_a_body_that_is_not_json_is_refused(gateway: Client, aws: Behaviour, body: str | bytes) -> None:
    reply = gateway.post(body)
    assert reply.status == 400
    assert reply.json["error"] == "InvalidRequest"
    assert "Could not parse request body into json: " in reply.json["message"]
    assert aws.calls == []


@pytest.mark.parametrize("body", ["", "[]", "null", '"text"', "1", "{}"])
def test_an_empty_body_or_no_object_is_refused(gateway: Client, aws: Behaviour, body: str) -> None:
    reply = gateway.post(body)
    assert reply.status == 400
    assert "either width and height or sizes. The validator says: [" in reply.json["message"]
    assert aws.calls == []


@pytest.mark.parametrize("depth", [500, 950, 990, 3000])
def test_a_deeply_nested_body_is_refused(gateway: Client, aws: Behaviour, depth: int) -> None:
    reply = gateway.post(json.dumps(BODY)[:-1] + ', "fit": ' + "[" * depth + "]" * depth + "}")
    assert (reply.status, reply.json["error"]) == (400, "InvalidRequest")
    assert aws.calls == []


def test_a_reason_with_quotes_and_lone_surrogates_is_valid_json(gateway: Client) -> None:
    reply = gateway.post('{"fit": "a \\"b\\" \\\\ \\ud800"}')
    assert reply.status == 400
    assert "not found in enum" in reply.json["message"]


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "application/xml"])
def test_other_content_types_are_refused(gateway: Client, aws: Behaviour, content_type: str) -> None:
    reply = gateway.post(BODY, **{"Content-Type": content_type})
    assert reply.status == 415
    assert reply.json["error"] == "UnsupportedMediaType"
    assert aws.calls == []


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "Application/JSON; charset=utf-8"}])
def test_json_by_another_spelling_or_by_default(gateway: Client, aws: Behaviour, headers: dict[str, str]) -> None:
    assert gateway.send("POST", "/prod/resize", json.dumps(BODY), **headers).status == 200
    assert len(aws.calls) == 1
    # Without a content type the body is still validated.
    assert gateway.send("POST", "/prod/resize", "{}", **headers).status == 400


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/prod"),
        ("GET", "/prod/"),
        ("GET", "/prod/executions"),
        ("DELETE", "/prod/executions/a/b"),
        ("POST", "/prod/resize/more"),
        ("OPTIONS", "/prod/Resize"),
    ],
)
@pytest.mark.parametrize("content_type", ["application/json", "application/x-www-form-urlencoded"])
def test_unknown_routes_are_not_found(
    gateway: Client, aws: Behaviour, method: str, path: str, content_type: str
) -> None:
    reply = gateway.send(method, path, json.dumps(BODY), **{"Content-Type": content_type})
    assert (reply.status, reply.json["error"]) == (404, "NotFound")
    assert aws.calls == []


@pytest.mark.parametrize("method", ["HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"])
@pytest.mark.parametrize(("path", "allowed"), [("/prod/resize", "POST"), ("/prod/executions/x", "GET")])
def test_other_methods_are_not_allowed(gateway: Client, aws: Behaviour, method: str, path: str, allowed: str) -> None:
    reply = gateway.send(method, path)
    assert (reply.status, reply.headers["Allow"]) == (405, allowed)
    assert method == "HEAD" or reply.json["error"] == "MethodNotAllowed"
    assert aws.calls == []


@pytest.mark.parametrize("path", ["/", "/resize", "/dev/resize"])
def test_a_path_without_the_stage_is_forbidden_and_told_what_there_is(
    gateway: Client, aws: Behaviour, path: str
) -> None:
    reply = gateway.send("POST", path, json.dumps(BODY))
    assert (reply.status, reply.json["message"]) == (403, "Forbidden")
    assert reply.headers["x-amzn-ErrorType"] == "ForbiddenException"
    assert reply.json["hint"] == (
        "Paths begin with the stage, /prod. This API has POST /prod/resize, GET /prod/executions/{executionId}."
    )
    assert aws.calls == []


def test_the_stage_alone_is_told_what_there_is(gateway: Client) -> None:
    reply = gateway.send("GET", "/prod")
    assert reply.status == 404
    assert "POST /resize" in reply.json["message"]


def test_what_is_no_request_is_refused_as_json(gateway: Client) -> None:
    reply = gateway.send("GET", "/" + "x" * 70_000)
    assert (reply.status, list(reply.json)) == (414, ["message"])


def test_a_path_without_the_method_does_not_fall_through_to_a_wider_one(
    session: Session, fake_aws: FakeAws, aws: Behaviour
) -> None:
    del body_of(aws.template)["paths"]["/resize"]["x-amazon-apigateway-any-method"]
    with serving(session, fake_aws) as gateway:
        assert gateway.send("GET", "/prod/resize").json["error"] == "MissingAuthenticationToken"


def test_a_mock_without_a_status_code_is_a_server_error(session: Session, fake_aws: FakeAws, aws: Behaviour) -> None:
    mock = body_of(aws.template)["paths"]["/"]["x-amazon-apigateway-any-method"]["x-amazon-apigateway-integration"]
    mock["requestTemplates"]["application/json"] = "{}"
    with serving(session, fake_aws) as gateway:
        assert gateway.send("GET", "/prod").status == 500


ORIGIN = "https://example.org"


def test_pages_of_the_allowed_origin_may_call(session: Session, fake_aws: FakeAws, aws: Behaviour) -> None:
    aws.parameters["AllowedOrigin"] = ORIGIN
    with serving(session, fake_aws) as gateway:
        preflight = gateway.send("OPTIONS", "/prod/resize", Origin=ORIGIN)
        answers = [
            gateway.post(BODY),
            gateway.post("{"),
            gateway.post(BODY, **{"Content-Type": "text/plain"}),
            gateway.send("GET", "/prod/executions/x"),
            gateway.send("GET", "/prod/nowhere"),
            gateway.send("PUT", "/prod/resize"),
        ]
        aws.answer = Answer(400, json.dumps({"__type": "ThrottlingException"}))
        answers.append(gateway.post(BODY))
    assert (preflight.status, preflight.text) == (204, "")
    assert preflight.headers["Access-Control-Allow-Methods"] == "POST"
    assert "Idempotency-Key" in preflight.headers["Access-Control-Allow-Headers"].split(",")
    assert [answer.status for answer in answers] == [200, 400, 415, 200, 404, 405, 429]
    assert {answer.headers.get("Access-Control-Allow-Origin") for answer in [preflight, *answers]} == {ORIGIN}


def test_pages_of_other_origins_may_not_call(gateway: Client) -> None:
    answers = [gateway.send("OPTIONS", "/prod/resize", Origin=ORIGIN), gateway.post(BODY), gateway.post("{")]
    assert [answer.status for answer in answers] == [405, 200, 400]
    assert not [name for answer in answers for name in answer.headers if name.startswith("Access-Control")]


def test_the_largest_body_passes_and_one_byte_more_does_not(gateway: Client, aws: Behaviour) -> None:
    body = json.dumps(BODY).encode()
    assert gateway.post(body + b" " * (MAX_BODY_BYTES - len(body))).status == 200
    reply = gateway.post(body + b" " * (MAX_BODY_BYTES - len(body) + 1))
    assert reply.status == 413
    assert reply.json["error"] == "RequestTooLarge"
    assert len(aws.calls) == 1


def test_a_body_of_unknown_length_is_refused(gateway: Client) -> None:
    reply = gateway.post(b"", **{"Transfer-Encoding": "chunked"})
    assert reply.status == 411


@pytest.mark.parametrize(
    ("status", "kind", "expected_status", "expected_error"),
    [
        (400, "ExecutionAlreadyExists", 409, "ExecutionAlreadyExists"),
        (400, "com.amazonaws.swf.service.v2.model#ExecutionAlreadyExists", 409, "ExecutionAlreadyExists"),
        (400, "ThrottlingException", 429, "TooManyRequests"),
        (400, "ExecutionLimitExceeded", 429, "TooManyRequests"),
        (400, "SerializationException", 502, "StartFailed"),
        (400, "StateMachineDoesNotExist", 502, "StartFailed"),
        (403, "AccessDeniedException", 502, "StartFailed"),
        (500, "InternalServerError", 503, "ServiceUnavailable"),
        (503, "ServiceUnavailable", 503, "ServiceUnavailable"),
    ],
)
def test_answers_of_step_functions_are_mapped(  # noqa: PLR0917  # one column of the table each
    gateway: Client, aws: Behaviour, status: int, kind: str, expected_status: int, expected_error: str
) -> None:
    aws.answer = Answer(status, json.dumps({"__type": kind, "message": "arn:aws:iam::secret"}))
    reply = gateway.post(BODY)
    assert reply.status == expected_status
    assert reply.json["error"] == expected_error
    assert reply.headers.get("Retry-After") == ("2" if expected_status in (429, 503) else None)
    assert "secret" not in reply.text


def test_a_refusal_without_a_type_is_not_taken_for_another(gateway: Client, aws: Behaviour) -> None:
    aws.answer = Answer(400, "{}")
    reply = gateway.post(BODY)
    assert (reply.status, reply.json["error"]) == (502, "StartFailed")


def test_an_answer_that_is_not_json_is_a_server_error(gateway: Client, aws: Behaviour) -> None:
    aws.answer = Answer(200, "<html>")
    reply = gateway.post(BODY)
    assert (reply.status, reply.json["error"]) == (500, "InternalError")


def test_a_service_that_is_slow_is_a_timeout(session: Session, fake_aws: FakeAws, aws: Behaviour) -> None:
    aws.answer.delay_seconds = 1
    with serving(session, fake_aws, timeout_seconds=0.1) as gateway:
        reply = gateway.post(BODY)
    assert (reply.status, reply.json["error"]) == (504, "IntegrationTimeout")


def test_a_service_that_hangs_up_is_a_failure(gateway: Client, aws: Behaviour) -> None:
    aws.answer.hang_up = True
    reply = gateway.post(BODY)
    assert (reply.status, reply.json["error"]) == (504, "IntegrationFailure")


def test_a_role_that_may_not_be_assumed_is_a_server_error(session: Session, fake_aws: FakeAws, aws: Behaviour) -> None:
    aws.role_may_be_assumed = False
    with serving(session, fake_aws) as gateway:
        reply = gateway.post(BODY)
    assert (reply.status, reply.json["error"]) == (500, "InternalError")
    assert "role" not in reply.text
    assert aws.calls == []


def test_without_gateway_responses_the_bodies_are_those_of_aws(
    session: Session, fake_aws: FakeAws, aws: Behaviour
) -> None:
    del body_of(aws.template)["x-amazon-apigateway-gateway-responses"]
    del body_of(aws.template)["paths"]["/{proxy+}"]
    with serving(session, fake_aws) as gateway:
        assert gateway.send("GET", "/prod/nowhere").text == '{"message":"Missing Authentication Token"}'
        assert gateway.post("{").text == '{"message":"Invalid request body"}'
        assert gateway.post(BODY, **{"Content-Type": "text/plain"}).text == '{"message":"Unsupported Media Type"}'


def test_an_overridden_gateway_response(session: Session, fake_aws: FakeAws, aws: Behaviour) -> None:
    del body_of(aws.template)["paths"]["/{proxy+}"]
    body_of(aws.template)["x-amazon-apigateway-gateway-responses"]["MISSING_AUTHENTICATION_TOKEN"] = {
        "statusCode": 404,
        "responseParameters": {"gatewayresponse.header.Cache-Control": "'no-store'"},
        "responseTemplates": {"application/json": '{"path": "$context.path", "id": "$context.requestId"}'},
    }
    with serving(session, fake_aws) as gateway:
        reply = gateway.send("GET", "/prod/nowhere?x=1")
    assert reply.status == 404
    assert reply.headers["Cache-Control"] == "no-store"
    assert reply.json == {"path": "/prod/nowhere", "id": reply.headers["x-amzn-RequestId"]}


def test_a_gateway_response_may_put_words_around_the_reason(
    session: Session, fake_aws: FakeAws, aws: Behaviour
) -> None:
    words = "Look at the fields. $context.error.validationErrorString. Width needs height."
    body_of(aws.template)["x-amazon-apigateway-gateway-responses"]["BAD_REQUEST_BODY"] = {
        "responseTemplates": {"application/json": f'{{"message": "{words}"}}'}
    }
    without_height = {key: value for key, value in BODY.items() if key != "height"}
    with serving(session, fake_aws) as gateway:
        reply = gateway.post(without_height)
    assert reply.status == 400
    assert reply.json["message"] == (
        "Look at the fields. [instance failed to match exactly one schema (matched 0 out of 2)]. Width needs height."
    )


def test_fifty_clients_at_once(gateway: Client, aws: Behaviour) -> None:
    each = 4

    def client(number: int) -> list[int]:
        connection = http.client.HTTPConnection(gateway.host, gateway.port, timeout=30)
        with contextlib.closing(connection):
            headers = {"Content-Type": "application/json"}
            bodies = [json.dumps({**BODY, "object_key": f"{number}/{at}.jpg"}) for at in range(each)]
            return [send(connection, "POST", "/prod/resize", body, headers).status for body in bodies]

    with ThreadPoolExecutor(50) as pool:
        statuses = [status for result in pool.map(client, range(50)) for status in result]
    assert statuses == [200] * 50 * each
    keys = {json.loads(call.body["input"])["object_key"] for call in aws.calls}
    assert keys == {f"{number}/{at}.jpg" for number in range(50) for at in range(each)}
    assert len({call.body["name"] for call in aws.calls}) == 50 * each


def signed(
    gateway: Client,
    body: str,
    credentials: Credentials = CREDENTIALS,
    query: str = "",
    *,
    method: str = "POST",
    path: str = "/prod/resize",
    **wrong: str,
) -> dict[str, str]:
    request = AWSRequest(
        method,
        f"http://{gateway.host}:{gateway.port}{path}{query}",
        data=body.encode(),
        headers={"Content-Type": "application/json"},
    )
    scope = {"service": "execute-api", "region": "eu-north-1"} | wrong
    SigV4Auth(credentials, scope["service"], scope["region"]).add_auth(request)
    return {name: str(value) for name, value in request.headers.items()}


@pytest.fixture
def signed_gateway(session: Session, fake_aws: FakeAws, aws: Behaviour) -> Iterator[Client]:
    aws.parameters["ApiAuthorization"] = "AWS_IAM"
    with serving(session, fake_aws) as client:
        yield client


def test_a_signed_request_passes(signed_gateway: Client, aws: Behaviour) -> None:
    text = json.dumps(BODY)
    assert signed_gateway.post(text, **signed(signed_gateway, text)).status == 200
    assert json.loads(aws.calls[0].body["input"]) == BODY


@pytest.mark.parametrize(("credentials", "caller"), [(CREDENTIALS, ACCOUNT), (USER, "AIDAUSER"), (SESSION, "AROAROLE")])
def test_an_idempotency_key_belongs_to_its_caller(
    signed_gateway: Client, aws: Behaviour, credentials: Credentials, caller: str
) -> None:
    text = json.dumps(BODY)
    key = {"Idempotency-Key": "order-17"}

    signed_gateway.post(text, **signed(signed_gateway, text, credentials), **key)
    signed_gateway.post(text, **signed(signed_gateway, text, credentials))
    aws.answer = Answer(400, json.dumps({"__type": "ExecutionAlreadyExists"}))
    taken = signed_gateway.post(text, **signed(signed_gateway, text, credentials), **key)

    with_key, without_key, _ = [call.body["name"] for call in aws.calls]
    assert with_key == taken.json["executionId"] == f"api-{caller}-order-17"
    assert without_key.startswith(f"api-{caller}-")


@pytest.mark.parametrize(
    ("name", "readable"),
    [
        ("api-AIDAUSER-order-17", True),
        ("upload-example-jpg-0123456789abcdef0123456789abcdef", True),
        ("api-AIDAUSER2-order-17", False),
        ("api-AROAROLE-order-17", False),
        ("api-anybody-order-17", False),
        ("api-AIDAUSER", False),
        ("api-", False),
    ],
)
def test_nobody_reads_what_another_callers_request_came_to(
    signed_gateway: Client, aws: Behaviour, name: str, *, readable: bool
) -> None:
    found = Answer(200, json.dumps(DESCRIBED | {"status": "SUCCEEDED", "output": '{"secret": 1}'}))
    # What DescribeExecution says of the name that the template sends instead.
    aws.answer = found if readable else Answer(400, json.dumps({"__type": "AccessDeniedException"}))
    path = f"/prod/executions/{name}"

    reply = signed_gateway.send("GET", path, **signed(signed_gateway, "", USER, method="GET", path=path))

    (call,) = aws.calls
    assert call.body == {"executionArn": f"{EXECUTIONS}:{name if readable else '*'}"}
    assert (reply.status, "secret" in reply.text) == ((200, True) if readable else (404, False))


NAMES_OF_THE_SIGNER = ["accessKey", "accountId", "caller", "user", "userArn", "cognitoIdentityId", "principalOrgId"]


@contextlib.contextmanager
def telling_the_signer(session: Session, fake_aws: FakeAws, aws: Behaviour) -> Iterator[Client]:
    variables = ", ".join(f'"{name}": "$context.identity.{name}"' for name in NAMES_OF_THE_SIGNER)
    integration_of(aws.template)["requestTemplates"]["application/json"] = f"{{{variables}}}"
    with serving(session, fake_aws) as client:
        yield client


@pytest.mark.parametrize(("credentials", "principal", "arn"), SIGNERS)
def test_the_context_tells_who_signed(  # noqa: PLR0917  # fixtures and the columns of the table
    session: Session, fake_aws: FakeAws, aws: Behaviour, credentials: Credentials, principal: str, arn: str
) -> None:
    aws.parameters["ApiAuthorization"] = "AWS_IAM"
    text = json.dumps(BODY)
    with telling_the_signer(session, fake_aws, aws) as gateway:
        assert gateway.post(text, **signed(gateway, text, credentials)).status == 200
    assert aws.calls[0].body == dict.fromkeys(NAMES_OF_THE_SIGNER, "") | {
        "accessKey": credentials.access_key,
        "accountId": ACCOUNT,
        "caller": principal,
        "user": principal,
        "userArn": arn,
    }


def test_without_authorization_the_context_tells_nobody(session: Session, fake_aws: FakeAws, aws: Behaviour) -> None:
    text = json.dumps(BODY)
    with telling_the_signer(session, fake_aws, aws) as gateway:
        assert gateway.post(text, **signed(gateway, text, USER)).status == 200
    assert aws.calls[0].body == dict.fromkeys(NAMES_OF_THE_SIGNER, "")


def test_an_expired_session_is_refused(signed_gateway: Client, aws: Behaviour) -> None:
    aws.expired = True
    text = json.dumps(BODY)
    reply = signed_gateway.post(text, **signed(signed_gateway, text, SESSION))
    assert (reply.status, reply.headers["x-amzn-ErrorType"]) == (403, "ExpiredTokenException")
    assert aws.calls == []


def test_a_signature_covers_the_query(signed_gateway: Client) -> None:
    text, query = json.dumps(BODY), "?b=2&a=1%2B%20x"
    headers = signed(signed_gateway, text, query=query)
    assert signed_gateway.send("POST", f"/prod/resize{query}", text, **headers).status == 200
    assert signed_gateway.send("POST", f"/prod/resize{query}&c=3", text, **headers).status == 403


def test_an_unsigned_request_is_refused(signed_gateway: Client, aws: Behaviour) -> None:
    reply = signed_gateway.post(BODY)
    assert reply.status == 403
    assert reply.json["error"] == "MissingAuthenticationToken"
    assert signed_gateway.send("GET", "/prod/executions/x").status == 403
    assert aws.calls == []
    assert signed_gateway.send("GET", "/prod/nowhere").status == 404


@pytest.mark.parametrize(
    ("credentials", "wrong"),
    [
        (Credentials("AKIATEST", "another secret"), {}),
        (Credentials("AKIAOTHER", "secret"), {}),
        (Credentials(USER.access_key, CREDENTIALS.secret_key), {}),
        (Credentials(SESSION.access_key, SESSION.secret_key), {}),
        (Credentials(SESSION.access_key, SESSION.secret_key, "another token"), {}),
        (CREDENTIALS, {"service": "states"}),
        (CREDENTIALS, {"region": "us-east-1"}),
    ],
)
def test_a_wrong_signature_is_refused(
    signed_gateway: Client, aws: Behaviour, credentials: Credentials, wrong: dict[str, str]
) -> None:
    text = json.dumps(BODY)
    reply = signed_gateway.post(text, **signed(signed_gateway, text, credentials, **wrong))
    assert (reply.status, reply.json["error"]) == (403, "InvalidSignature")
    assert aws.calls == []


def test_a_body_changed_after_signing_is_refused(signed_gateway: Client, aws: Behaviour) -> None:
    headers = signed(signed_gateway, "{}")
    assert signed_gateway.post(BODY, **headers).status == 403
    assert signed_gateway.post(BODY, **headers, **{"X-Amz-Content-SHA256": "0" * 64}).status == 403
    assert aws.calls == []


@pytest.mark.parametrize("change", [{"Authorization": "Bearer x"}, {"X-Amz-Date": "20200101T000000Z"}])
def test_a_signature_that_is_old_or_none_is_refused(signed_gateway: Client, change: dict[str, str]) -> None:
    text = json.dumps(BODY)
    reply = signed_gateway.post(text, **signed(signed_gateway, text) | change)
    assert (reply.status, reply.json["error"]) == (403, "InvalidSignature")


def set_request_template(text: str) -> Edit:
    return lambda template: integration_of(template)["requestTemplates"].update({"application/json": text})


def set_response_template(text: str) -> Edit:
    return lambda template: integration_of(template)["responses"]["default"]["responseTemplates"].update(
        {"application/json": text}
    )


@pytest.mark.parametrize(
    ("edit", "named"),
    [
        (set_request_template("$util.escapeJavascript('x')"), "$util.escapeJavascript('x')"),
        (set_request_template("$context.requestID"), "$context.requestID"),
        (set_request_template("$context.identity.cognito"), "$context.identity.cognito"),
        (set_request_template("$stageVariables.machine"), "$stageVariables.machine"),
        (set_request_template("$nothing"), "$nothing"),
        (set_request_template("$input.params('x').endswith('y')"), "endswith()"),
        (set_request_template("#if($input.path('$..name'))x#end"), "$..name"),
        (set_request_template("#parse('x')"), "#parse"),
        (set_request_template("#if(true) open"), "line 1"),
        (
            set_request_template("#set($context.responseOverride.status = 200)"),
            "$context.responseOverride.status",
        ),
        (set_response_template("#set($context.status = 200)"), "$context.status"),
        (
            set_response_template("#set($context.requestOverride.header.x = 'y')"),
            "$context.requestOverride.header.x",
        ),
    ],
)
def test_an_unknown_name_in_a_mapping_template_stops_the_start(
    session: Session, fake_aws: FakeAws, aws: Behaviour, edit: Edit, named: str
) -> None:
    edit(aws.template)
    with pytest.raises(MappingTemplateError) as error:
        api_of(session, fake_aws)
    assert named in str(error.value)
    assert "POST /resize" in str(error.value)


@pytest.mark.parametrize(
    ("edit", "named"),
    [
        (lambda template: integration_of(template).update(type="http_proxy"), "http_proxy"),
        (lambda template: integration_of(template).update(cacheNamespace="x"), "cacheNamespace"),
        (lambda template: integration_of(template).update(timeoutInMillis=100), "timeoutInMillis"),
        (
            lambda template: integration_of(template).update(passthroughBehavior="when_no_templates"),
            "when_no_templates",
        ),
        (lambda template: integration_of(template).pop("passthroughBehavior"), "when_no_match"),
        (
            lambda template: body_of(template)["x-amazon-apigateway-request-validators"]["body"].update(
                validateRequestParameters=True
            ),
            "validates parameters",
        ),
        (
            lambda template: body_of(template).update({"x-amazon-apigateway-request-validator": "body"}),
            "x-amazon-apigateway-request-validator",
        ),
        (
            lambda template: integration_of(template).update(uri="arn:aws:apigateway:x:lambda:path/y"),
            "lambda:path",
        ),
        (
            lambda template: integration_of(template).update(uri="arn:aws:apigateway:x:states:action/No"),
            "action/No",
        ),
        (lambda template: integration_of(template).update(uri="arn:aws:apigateway:x:none:action/No"), "none"),
        (lambda template: integration_of(template).update(credentials="caller"), "credentials"),
        (lambda template: integration_of(template)["responses"].update({"4(": {"statusCode": 1}}), "4("),
        (
            lambda template: operation_of(template).update({"x-amazon-apigateway-policy": {}}),
            "apigateway-policy",
        ),
        (
            lambda template: operation_of(template).update({"x-amazon-apigateway-auth": {"type": "JWT"}}),
            "JWT",
        ),
        (
            lambda template: operation_of(template).update({"x-amazon-apigateway-request-validator": "x"}),
            "validator x",
        ),
        (lambda template: operation_of(template).update(security=[{"key": []}]), "security"),
        (
            lambda template: body_of(template).update({"x-amazon-apigateway-binary-media-types": []}),
            "binary-media",
        ),
        (lambda template: body_of(template).update(security=[{"key": []}]), "security"),
        (lambda template: body_of(template).update(paths={}), "no operations"),
        (lambda template: body_of(template)["components"].update(schemas={}), "ResizeRequest"),
        (
            lambda template: body_of(template)["x-amazon-apigateway-gateway-responses"].update(TEAPOT={}),
            "TEAPOT",
        ),
        (
            lambda template: stage_of(template).update(AccessLogSetting={"Format": '{"x": "$context.stagename"}'}),
            "$context.stagename",
        ),
        (lambda template: stage_of(template).update(AccessLogSetting={"Format": "$context.stage"}), "not JSON"),
        (
            lambda template: body_of(template)["x-amazon-apigateway-gateway-responses"]["DEFAULT_4XX"].update(
                responseTemplates={"application/json": "$context.error.reason"}
            ),
            "$context.error.reason",
        ),
    ],
)
def test_what_the_gateway_does_not_do_stops_the_start(
    session: Session, fake_aws: FakeAws, aws: Behaviour, edit: Edit, named: str
) -> None:
    edit(aws.template)
    with pytest.raises(UnsupportedError) as error:
        api_of(session, fake_aws)
    assert named in str(error.value)


def test_a_stack_without_an_api_stops_the_start(session: Session, fake_aws: FakeAws, aws: Behaviour) -> None:
    aws.template["Resources"] = {}
    with pytest.raises(StackError, match="must have exactly one REST API, but it has 0"):
        api_of(session, fake_aws)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "example.org"])  # noqa: S104  # it is refused
def test_it_listens_on_loopback_only(session: Session, fake_aws: FakeAws, aws: Behaviour, host: str) -> None:
    del aws
    with pytest.raises(GatewayError, match="not a loopback address"):
        GatewayServer(host, 0, api_of(session, fake_aws))


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, aws: Behaviour) -> None:
    del aws
    for name, value in {
        "AWS_ACCESS_KEY_ID": CREDENTIALS.access_key,
        "AWS_SECRET_ACCESS_KEY": CREDENTIALS.secret_key,
        "AWS_DEFAULT_REGION": "eu-north-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, str(value))


@pytest.mark.usefixtures("environment")
def test_a_port_in_use_is_one_sentence(fake_aws: FakeAws, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code = main(["--endpoint", fake_aws.url, "--stack", "pipeline", "--port", str(port)])
    assert code == 1
    assert capsys.readouterr().err == f"The local gateway cannot listen on 127.0.0.1:{port}: Address already in use.\n"


@pytest.mark.usefixtures("environment")
def test_an_endpoint_that_does_not_answer_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert main(["--endpoint", f"http://127.0.0.1:{port}", "--stack", "pipeline", "--port", "0"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert str(port) in error


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_serves_logs_and_stops(fake_aws: FakeAws, aws: Behaviour, number: signal.Signals) -> None:
    aws.log_group = "/aws/apigateway/api"
    command = [
        sys.executable,
        "-m",
        "local.gateway",
        "--endpoint",
        fake_aws.url,
        "--stack",
        "pipeline",
        "--port",
        "0",
    ]
    with subprocess.Popen(  # noqa: S603  # our own command
        command, cwd=ROOT, env=dict(os.environ), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        started = json.loads(process.stdout.readline())
        gateway = Client("127.0.0.1", int(started["listening"].rpartition(":")[2]))
        health = gateway.send("GET", "/_gateway/health")
        reply = gateway.post(BODY, **{"Idempotency-Key": "order-17"})
        refused = gateway.post("{}")
        entries = [json.loads(process.stdout.readline()) for _ in range(2)]
        process.send_signal(number)
        code = process.wait(60)
    assert code == 0
    assert (health.status, health.json["status"]) == (200, "ok")
    assert {"POST /prod/resize", "GET /prod/executions/{executionId}"} <= set(health.json["routes"])
    # What stands in the template's AccessLogSetting, and the gateway's own reason. Each connection logs when it can.
    lines = [
        next(entry for entry in entries if entry["requestId"] == answer.headers["x-amzn-RequestId"])
        for answer in (reply, refused)
    ]
    assert [line["status"] for line in lines] == ["200", "400"]
    assert lines[0]["executionName"] == "api-anybody-order-17"
    assert (lines[0]["httpMethod"], lines[0]["resourcePath"]) == ("POST", "/resize")
    assert lines[0]["latencyMs"].isdecimal()
    assert (lines[0]["error"], lines[1]["executionName"]) == ("-", "-")
    assert lines[1]["error"] == "BAD_REQUEST_BODY"
    assert "missing required properties" in lines[1]["errorReason"]
    assert "missing required properties" in lines[1]["reason"]
    # The log group has the same lines, without what only the local gateway knows.
    del lines[1]["reason"]
    assert sorted(aws.delivered, key=lambda line: line["status"]) == lines


def test_an_access_log_that_cannot_be_delivered_is_reported_once_and_refuses_nothing(
    session: Session, fake_aws: FakeAws, aws: Behaviour
) -> None:
    aws.log_group, aws.logs_answer = "/aws/apigateway/api", 400
    log = io.StringIO()
    server = GatewayServer("127.0.0.1", 0, api_of(session, fake_aws), log)
    server.deliver_access_log(session.create_client("logs", endpoint_url=fake_aws.url), aws.log_group)
    assert server.delivery is not None

    with running(server):
        client = Client("127.0.0.1", int(server.server_address[1]))
        statuses = [client.post(BODY).status for _ in range(2)]
        wait_for(lambda: "is not delivered" in log.getvalue(), "the report")
        server.delivery.close()

    assert statuses == [200, 200]
    (error,) = [
        entry for line in log.getvalue().splitlines() if "error" in (entry := json.loads(line)) and len(entry) == 1
    ]
    assert error["error"].startswith("The access log is not delivered to /aws/apigateway/api: ")


def test_without_an_access_log_setting_the_gateway_logs_in_its_own_words(
    session: Session, fake_aws: FakeAws, aws: Behaviour
) -> None:
    aws.parameters["ApiAccessLogs"] = "NONE"
    log = io.StringIO()
    server = GatewayServer("127.0.0.1", 0, api_of(session, fake_aws), log)
    with running(server):
        Client("127.0.0.1", int(server.server_address[1])).send("GET", "/prod/nowhere")
        # The gateway answers first.
        wait_for(lambda: log.getvalue().endswith("\n"), "the line of the log")
    entry = json.loads(log.getvalue())
    assert (entry["httpMethod"], entry["path"], entry["status"]) == ("GET", "/prod/nowhere", 404)
