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
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

import pytest
import yaml
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.session import Session

from local.gateway import GatewayError
from local.gateway.__main__ import main
from local.gateway.api import Api
from local.gateway.integration import AwsServices
from local.gateway.openapi import compile_api
from local.gateway.responses import UnsupportedError
from local.gateway.server import MAX_BODY_BYTES, GatewayServer
from local.gateway.stack import StackError, read_deployed_api
from local.gateway.vtl import MappingTemplateError

ROOT = Path(__file__).resolve().parents[2]
ACCOUNT = "123456789012"
STACK_ID = f"arn:aws:cloudformation:eu-north-1:{ACCOUNT}:stack/pipeline/1"
MACHINE = f"arn:aws:states:eu-north-1:{ACCOUNT}:stateMachine:ImageResizeStateMachine"
CREDENTIALS = Credentials("AKIATEST", "secret")
BODY = {
    "source_bucket": "alison-image-originals-01",
    "destination_bucket": "alison-image-thumbnails-01",
    "object_key": "example.jpg",
    "width": 128,
    "height": 96,
}
Template = dict[str, Any]
Edit = Callable[[Template], None]


class CloudFormationLoader(yaml.SafeLoader):
    """Reads the short forms of intrinsic functions as the long ones."""


def _long_form(loader: CloudFormationLoader, suffix: str, node: yaml.Node) -> Template:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


CloudFormationLoader.add_multi_constructor("!", _long_form)


def included(value: Any) -> Any:
    """Do what AWS::Include does."""
    if isinstance(value, list):
        return [included(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "Fn::Transform" in value:
        return json.loads((ROOT / value["Fn::Transform"]["Parameters"]["Location"]).read_text())
    return {key: included(item) for key, item in value.items()}


@functools.cache
def source_template() -> Template:
    text = (ROOT / "template.yaml").read_text()
    template: Template = yaml.load(text, CloudFormationLoader)  # noqa: S506  # a safe loader with more tags
    return template


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
        "Properties": {"Body": included(properties["DefinitionBody"])},
    }
    template["Resources"][f"{name}Stage"] = {
        "Type": "AWS::ApiGateway::Stage",
        "Properties": {
            "RestApiId": {"Ref": name},
            "StageName": properties["StageName"],
            "Variables": properties["Variables"],
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
    body: str = json.dumps({"executionArn": "arn:execution", "startDate": 1795436535.5})
    delay_seconds: float = 0
    hang_up: bool = False


@dataclass
class Behaviour:
    template: Template = field(default_factory=processed_template)
    parameters: dict[str, str] = field(default_factory=lambda: {"ApiAuthorization": "NONE"})
    answer: Answer = field(default_factory=Answer)
    role_may_be_assumed: bool = True
    assumed: list[str] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)


class FakeAws(ThreadingHTTPServer):
    """CloudFormation, IAM, STS and Step Functions, as far as the gateway speaks with them."""

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

    def do_POST(self) -> None:
        payload = self.rfile.read(int(self.headers["Content-Length"]))
        if "X-Amz-Target" in self.headers:
            self._start_execution(payload)
        else:
            form = {name: values[-1] for name, values in parse_qs(payload.decode()).items()}
            self._query(form["Action"], form)

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _start_execution(self, payload: bytes) -> None:
        behaviour = self.server.behaviour
        behaviour.calls.append(Call(dict(self.headers.items()), json.loads(payload)))
        time.sleep(behaviour.answer.delay_seconds)
        if behaviour.answer.hang_up:
            self.close_connection = True
        else:
            self._send(behaviour.answer.status, "application/x-amz-json-1.0", behaviour.answer.body)

    def _query(self, action: str, form: dict[str, str]) -> None:
        behaviour = self.server.behaviour
        if action == "AssumeRole":
            behaviour.assumed.append(form["RoleArn"])
            if not behaviour.role_may_be_assumed:
                error = "<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>"
                self._send(403, "text/xml", error)
                return
        self._send(200, "text/xml", f"<{action}Response>{self._result(action, form)}</{action}Response>")

    def _result(self, action: str, form: dict[str, str]) -> str:
        behaviour = self.server.behaviour
        resources = behaviour.template["Resources"]
        match action:
            case "GetTemplate":
                content = f"<TemplateBody>{escape(json.dumps(behaviour.template))}</TemplateBody>"
            case "DescribeStacks":
                parameters = "".join(
                    f"<member><ParameterKey>{key}</ParameterKey><ParameterValue>{value}</ParameterValue></member>"
                    for key, value in behaviour.parameters.items()
                )
                stack = f"<StackId>{STACK_ID}</StackId><Parameters>{parameters}</Parameters>"
                content = f"<Stacks><member>{stack}</member></Stacks>"
            case "DescribeStackResources":
                members = "".join(
                    f"<member><LogicalResourceId>{name}</LogicalResourceId><PhysicalResourceId>"
                    f"{MACHINE if 'StateMachine' in resource['Type'] else name.lower()}"
                    "</PhysicalResourceId></member>"
                    for name, resource in resources.items()
                )
                content = f"<StackResources>{members}</StackResources>"
            case "GetRole":
                content = f"<Role><Arn>arn:aws:iam::{ACCOUNT}:role/{form['RoleName']}</Arn></Role>"
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


def api_of(session: Session, fake_aws: FakeAws) -> Api:
    deployed = read_deployed_api(session, fake_aws.url, "pipeline")
    return Api(deployed, compile_api(deployed, AwsServices(session, fake_aws.url)), CREDENTIALS)


@contextlib.contextmanager
def serving(session: Session, fake_aws: FakeAws) -> Iterator[Client]:
    server = GatewayServer("127.0.0.1", 0, api_of(session, fake_aws), io.StringIO())
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
    reply = gateway.post(BODY)
    assert reply.status == 200
    assert reply.json == {"executionArn": "arn:execution", "startDate": 1795436535.5}
    assert reply.headers["Content-Type"] == "application/json"
    (call,) = aws.calls
    assert call.headers["X-Amz-Target"] == "AWSStepFunctions.StartExecution"
    assert call.headers["Content-Type"] == "application/x-amz-json-1.0"
    assert call.body["stateMachineArn"] == MACHINE
    assert call.body["name"] == reply.headers["x-amzn-RequestId"]
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


@pytest.mark.parametrize("header", ["Idempotency-Key", "idempotency-key"])
def test_the_idempotency_key_names_the_execution(gateway: Client, aws: Behaviour, header: str) -> None:
    gateway.post(BODY, **{header: "order-17"})
    assert aws.calls[0].body["name"] == "order-17"


@pytest.mark.parametrize("key", ["it's", 'quo"te', "back\\slash", "$context.stage"])
def test_an_idempotency_key_cannot_break_out_of_its_string(gateway: Client, aws: Behaviour, key: str) -> None:
    gateway.post(BODY, **{"Idempotency-Key": key})
    assert aws.calls[0].body["name"] == key
    assert aws.calls[0].body["stateMachineArn"] == MACHINE


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
    assert reply.json["message"] == f'[object has missing required properties (["{name}"])]'
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
    assert reply.json["message"].startswith("Could not parse request body into json: ")
    assert aws.calls == []


@pytest.mark.parametrize("body", ["", "[]", "null", '"text"', "1", "{}"])
def test_an_empty_body_or_no_object_is_refused(gateway: Client, aws: Behaviour, body: str) -> None:
    reply = gateway.post(body)
    assert reply.status == 400
    assert reply.json["message"].startswith("[")
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
        ("GET", "/prod/resize"),
        ("PUT", "/prod/resize"),
        ("OPTIONS", "/prod/resize"),
        ("POST", "/prod"),
        ("POST", "/prod/"),
        ("POST", "/"),
        ("POST", "/resize"),
        ("POST", "/dev/resize"),
        ("POST", "/prod/resize/more"),
        ("POST", "/prod/Resize"),
    ],
)
def test_unknown_routes_ask_for_a_token_as_api_gateway_does(
    gateway: Client, aws: Behaviour, method: str, path: str
) -> None:
    reply = gateway.send(method, path, json.dumps(BODY), **{"Content-Type": "application/json"})
    assert reply.status == 403
    assert reply.json == {"error": "MISSING_AUTHENTICATION_TOKEN", "message": "Missing Authentication Token"}
    assert reply.headers["x-amzn-ErrorType"] == "MissingAuthenticationTokenException"
    assert aws.calls == []


def test_the_largest_body_passes_and_one_byte_more_does_not(gateway: Client, aws: Behaviour) -> None:
    body = json.dumps(BODY).encode()
    assert gateway.post(body + b" " * (MAX_BODY_BYTES - len(body))).status == 200
    reply = gateway.post(body + b" " * (MAX_BODY_BYTES - len(body) + 1))
    assert reply.status == 413
    assert reply.json["error"] == "REQUEST_TOO_LARGE"
    assert len(aws.calls) == 1


def test_a_body_of_unknown_length_is_refused(gateway: Client) -> None:
    reply = gateway.post(b"", **{"Transfer-Encoding": "chunked"})
    assert reply.status == 411


@pytest.mark.parametrize(
    ("status", "kind", "expected_status", "expected_error"),
    [
        (400, "ExecutionAlreadyExists", 409, "ExecutionAlreadyExists"),
        (400, "com.amazonaws.swf.service.v2.model#ExecutionAlreadyExists", 409, "ExecutionAlreadyExists"),
        (400, "InvalidName", 400, "InvalidIdempotencyKey"),
        (400, "ThrottlingException", 429, "TooManyRequests"),
        (400, "ExecutionLimitExceeded", 429, "TooManyRequests"),
        (400, "SerializationException", 502, "StartFailed"),
        (400, "StateMachineDoesNotExist", 502, "StartFailed"),
        (403, "AccessDeniedException", 502, "StartFailed"),
        (500, "InternalServerError", 502, "StartFailed"),
        (503, "ServiceUnavailable", 502, "StartFailed"),
    ],
)
def test_answers_of_step_functions_are_mapped(  # noqa: PLR0917  # one column of the table each
    gateway: Client, aws: Behaviour, status: int, kind: str, expected_status: int, expected_error: str
) -> None:
    aws.answer = Answer(status, json.dumps({"__type": kind, "message": "arn:aws:iam::secret"}))
    reply = gateway.post(BODY)
    assert reply.status == expected_status
    assert reply.json["error"] == expected_error
    assert "secret" not in reply.text


def test_a_refusal_without_a_type_is_not_taken_for_another(gateway: Client, aws: Behaviour) -> None:
    aws.answer = Answer(400, "{}")
    reply = gateway.post(BODY)
    assert (reply.status, reply.json["error"]) == (502, "StartFailed")


def test_an_answer_that_is_not_json_is_a_server_error(gateway: Client, aws: Behaviour) -> None:
    aws.answer = Answer(200, "<html>")
    reply = gateway.post(BODY)
    assert (reply.status, reply.json["error"]) == (500, "API_CONFIGURATION_ERROR")


def test_a_service_that_is_slow_is_a_timeout(session: Session, fake_aws: FakeAws, aws: Behaviour) -> None:
    integration_of(aws.template)["timeoutInMillis"] = 100
    aws.answer.delay_seconds = 1
    with serving(session, fake_aws) as gateway:
        reply = gateway.post(BODY)
    assert (reply.status, reply.json["error"]) == (504, "INTEGRATION_TIMEOUT")
    assert reply.json["message"] == "Endpoint request timed out"


def test_a_service_that_hangs_up_is_a_failure(gateway: Client, aws: Behaviour) -> None:
    aws.answer.hang_up = True
    reply = gateway.post(BODY)
    assert (reply.status, reply.json["error"]) == (504, "INTEGRATION_FAILURE")


def test_a_role_that_may_not_be_assumed_is_a_server_error(session: Session, fake_aws: FakeAws, aws: Behaviour) -> None:
    aws.role_may_be_assumed = False
    with serving(session, fake_aws) as gateway:
        reply = gateway.post(BODY)
    assert (reply.status, reply.json["error"]) == (500, "API_CONFIGURATION_ERROR")
    assert "role" not in reply.text
    assert aws.calls == []


def test_without_gateway_responses_the_bodies_are_those_of_aws(
    session: Session, fake_aws: FakeAws, aws: Behaviour
) -> None:
    del body_of(aws.template)["x-amazon-apigateway-gateway-responses"]
    with serving(session, fake_aws) as gateway:
        assert gateway.send("GET", "/").text == '{"message":"Missing Authentication Token"}'
        assert gateway.post("{").text == '{"message":"Invalid request body"}'
        assert gateway.post(BODY, **{"Content-Type": "text/plain"}).text == '{"message":"Unsupported Media Type"}'


def test_an_overridden_gateway_response(session: Session, fake_aws: FakeAws, aws: Behaviour) -> None:
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
    gateway: Client, body: str, credentials: Credentials = CREDENTIALS, query: str = "", **wrong: str
) -> dict[str, str]:
    request = AWSRequest(
        "POST",
        f"http://{gateway.host}:{gateway.port}/prod/resize{query}",
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


def test_a_signature_covers_the_query(signed_gateway: Client) -> None:
    text, query = json.dumps(BODY), "?b=2&a=1%2B%20x"
    headers = signed(signed_gateway, text, query=query)
    assert signed_gateway.send("POST", f"/prod/resize{query}", text, **headers).status == 200
    assert signed_gateway.send("POST", f"/prod/resize{query}&c=3", text, **headers).status == 403


def test_an_unsigned_request_is_refused(signed_gateway: Client, aws: Behaviour) -> None:
    reply = signed_gateway.post(BODY)
    assert reply.status == 403
    assert reply.json == {"error": "MISSING_AUTHENTICATION_TOKEN", "message": "Missing Authentication Token"}
    assert aws.calls == []


@pytest.mark.parametrize(
    ("credentials", "wrong"),
    [
        (Credentials("AKIATEST", "another secret"), {}),
        (Credentials("AKIAOTHER", "secret"), {}),
        (CREDENTIALS, {"service": "states"}),
        (CREDENTIALS, {"region": "us-east-1"}),
    ],
)
def test_a_wrong_signature_is_refused(
    signed_gateway: Client, aws: Behaviour, credentials: Credentials, wrong: dict[str, str]
) -> None:
    text = json.dumps(BODY)
    reply = signed_gateway.post(text, **signed(signed_gateway, text, credentials, **wrong))
    assert (reply.status, reply.json["error"]) == (403, "INVALID_SIGNATURE")
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
    assert (reply.status, reply.json["error"]) == (403, "INVALID_SIGNATURE")


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
        (lambda template: integration_of(template).update(passthroughBehavior="maybe"), "maybe"),
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
    with pytest.raises(StackError, match="0 resources of type AWS::ApiGateway::RestApi"):
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
def test_the_command_serves_logs_and_stops(fake_aws: FakeAws, number: signal.Signals) -> None:
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
        assert (health.status, health.json) == (200, {"status": "ok", "routes": ["POST /prod/resize"]})
        reply = gateway.post(BODY)
        refused = gateway.post("{}")
        process.send_signal(number)
        lines = [json.loads(line) for line in process.stdout]
        assert process.wait(10) == 0
    assert [line["status"] for line in lines] == [200, 400]
    assert lines[0]["requestId"] == reply.headers["x-amzn-RequestId"]
    assert lines[0]["httpMethod"] == "POST"
    assert lines[0]["path"] == "/prod/resize"
    assert lines[0]["latencyMs"] > 0
    assert lines[1]["requestId"] == refused.headers["x-amzn-RequestId"]
    assert "missing required properties" in lines[1]["reason"]
