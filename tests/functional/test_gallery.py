"""The gallery's server over HTTP, moto in place of AWS."""

import http.client
import io
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import boto3
import pytest

from local.gallery import pictures as pictures_module
from local.gallery import server as server_module
from local.gallery.api import Api
from local.gallery.pictures import Deployment, Pictures
from local.gallery.server import Gallery, GalleryServer
from local.processes import free_ports
from tests.functional.conftest import ORIGINALS, THUMBNAILS

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LOG_GROUP = "/aws/lambda/resizer"
PLACEHOLDER = {"thumbhash": "D+cFJYQdh2Zwipdkd4iId3ZwbQfH", "colour": "#2c394d"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the gallery answered."""

    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def body(self) -> Any:
        """Return the JSON in it."""
        return json.loads(self.content)


class Served:
    """A gallery that is served, and a client that sends what its page sends."""

    def __init__(self, port: int) -> None:
        self._port = port

    def ask(
        self, method: str, path: str, content: Any = None, headers: dict[str, str] | None = None, **query: str
    ) -> Answer:
        """Send a request."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        own = {"Origin": f"http://127.0.0.1:{self._port}", **(headers or {})}
        connection.request(method, f"{path}?{urlencode(query)}" if query else path, content, own)
        answer = connection.getresponse()
        received = Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        connection.close()
        return received

    def keys(self, **query: str) -> list[str]:
        """Return the keys of the pictures that are listed."""
        return [picture["key"] for picture in self.ask("GET", f"/api/pictures?{urlencode(query)}").body["pictures"]]


@pytest.fixture
def gallery(aws: boto3.Session, s3: "S3Client") -> Iterator[Served]:
    """Serve a gallery of two empty buckets and a state machine that never ran."""
    step_functions, logs = aws.client("stepfunctions"), aws.client("logs")
    succeed = {"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}
    machine = step_functions.create_state_machine(
        name="Resize", definition=json.dumps(succeed), roleArn="arn:aws:iam::123456789012:role/resize"
    )["stateMachineArn"]
    logs.create_log_group(logGroupName=LOG_GROUP)
    deployment = Deployment(
        ORIGINALS, THUMBNAILS, machine, prefix="", is_express=False, is_signed=False, log_group=LOG_GROUP
    )
    port, other_port = free_ports(2)
    # Nobody listens there: the end-to-end tests have an API.
    api = Api(f"http://127.0.0.1:{other_port}/prod/resize", "us-east-1", None)
    server = GalleryServer(port, Gallery(Pictures(deployment, s3, step_functions, logs), api, {"stack": "a"}, port))
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield Served(port)
        server.shutdown()
        thread.join()


def put(s3: "S3Client", key: str, content: bytes = b"a picture") -> str:
    return s3.put_object(Bucket=ORIGINALS, Key=key, Body=content)["ETag"].strip('"')


def put_manifest(s3: "S3Client", key: str, etag: str, **more: Any) -> None:
    manifest = {"revision": "1", "original": {"key": key, "etag": etag}, "placeholder": PLACEHOLDER, "thumbnails": []}
    s3.put_object(Bucket=THUMBNAILS, Key=f"manifests/{key}.json", Body=json.dumps(manifest | more).encode())


def test_a_picture_is_listed_with_its_manifest_and_how_far_it_is(gallery: Served, s3: "S3Client") -> None:
    put_manifest(s3, "a.jpg", put(s3, "a.jpg"))
    put_manifest(s3, "b.jpg", put(s3, "b.jpg"), placeholder=None, error={"name": "NotAnImageError", "message": "No."})
    put(s3, "c.jpg")
    put_manifest(s3, "gone.jpg", "etag")
    put(s3, "folder/", b"")

    listed = gallery.ask("GET", "/api/pictures").body

    states = {picture["key"]: picture["state"] for picture in listed["pictures"]}
    assert states == {"a.jpg": "ready", "b.jpg": "failed", "c.jpg": "waiting", "gone.jpg": "removing"}
    assert listed["states"] == {"ready": 1, "failed": 1, "waiting": 1, "removing": 1}
    (failed,) = (picture for picture in listed["pictures"] if picture["state"] == "failed")
    assert (failed["error"], failed["message"]) == ("NotAnImageError", "No.")
    assert failed["original"]["bytes"] == len(b"a picture")


def test_pictures_are_found_by_a_part_of_the_key_and_by_state(gallery: Served, s3: "S3Client") -> None:
    put_manifest(s3, "Trip/One.jpg", put(s3, "Trip/One.jpg"))
    put(s3, "trip/two.jpg")
    put(s3, "other.jpg")

    assert set(gallery.keys(text="TRIP/")) == {"Trip/One.jpg", "trip/two.jpg"}
    assert gallery.keys(text="trip/", state="waiting") == ["trip/two.jpg"]
    assert gallery.keys(text="nothing") == []
    found = gallery.ask("GET", "/api/pictures", count="1").body
    assert (len(found["pictures"]), found["fitting"]) == (1, 3)
    assert gallery.ask("GET", "/api/pictures", count="many").status == 400


def test_a_manifest_that_changes_is_read_again(gallery: Served, s3: "S3Client") -> None:
    etag = put(s3, "a.jpg")
    put_manifest(s3, "a.jpg", "old")
    before = gallery.ask("GET", "/api/pictures").body["pictures"][0]["state"]

    put_manifest(s3, "a.jpg", etag)

    assert (before, gallery.ask("GET", "/api/pictures").body["pictures"][0]["state"]) == ("waiting", "ready")


def test_a_damaged_manifest_is_none(gallery: Served, s3: "S3Client") -> None:
    put(s3, "a.jpg")
    s3.put_object(Bucket=THUMBNAILS, Key="manifests/a.jpg.json", Body=b"{")

    (picture,) = gallery.ask("GET", "/api/pictures").body["pictures"]

    assert (picture["state"], picture["manifest"]) == ("waiting", None)


def test_a_bucket_with_more_than_is_shown_says_so(
    gallery: Served, s3: "S3Client", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures_module, "MOST_ORIGINALS", 2)
    for key in ("a.jpg", "b.jpg"):
        put(s3, key)
    put_manifest(s3, "c.jpg", "etag")
    complete = gallery.ask("GET", "/api/pictures").body

    put(s3, "c.jpg")
    cut = gallery.ask("GET", "/api/pictures").body

    assert complete["is_complete"]
    assert not cut["is_complete"]
    # The manifest of an original that was not listed does not make it a deleted one.
    assert {picture["key"] for picture in cut["pictures"]} == {"a.jpg", "b.jpg"}


def test_executions_are_those_of_the_key(gallery: Served, s3: "S3Client", aws: boto3.Session) -> None:
    put(s3, "a.jpg")
    step_functions = aws.client("stepfunctions")
    (machine,) = step_functions.list_state_machines()["stateMachines"]
    for name, key in (("upload-a-jpg-1", "a.jpg"), ("upload-b-jpg-1", "b.jpg")):
        step_functions.start_execution(
            stateMachineArn=machine["stateMachineArn"], name=name, input=json.dumps({"object_key": key})
        )

    (picture,) = gallery.ask("GET", "/api/pictures").body["pictures"]

    (execution,) = picture["executions"]
    assert (execution["name"], execution["started_by"]) == ("upload-a-jpg-1", "upload")


@pytest.mark.parametrize(
    "key", ["a b.jpg", 'it\'s "1".jpg', "50%41 #1?&=+.jpg", "back\\slash.jpg", "😀/é.jpg", "../up.jpg"]
)
def test_keys_go_through_unchanged(gallery: Served, s3: "S3Client", key: str) -> None:
    stored = gallery.ask("PUT", "/originals", b"a picture", {"Content-Type": "image/jpeg"}, key=key)

    assert stored.status == 200
    assert s3.get_object(Bucket=ORIGINALS, Key=key)["ContentType"] == "image/jpeg"
    assert gallery.keys() == [key]
    assert gallery.ask("GET", "/originals", key=key).content == b"a picture"
    assert gallery.ask("DELETE", "/originals", key=key).status == 200
    assert gallery.keys() == []


@pytest.mark.parametrize("kind", ["text/html", "image/svg+xml", "application/xhtml+xml", "image/png; charset=x"])
def test_what_may_hold_a_script_is_sent_as_bytes_in_a_sandbox(gallery: Served, s3: "S3Client", kind: str) -> None:
    s3.put_object(Bucket=ORIGINALS, Key="a", Body=b"<script>", ContentType=kind)

    sent = gallery.ask("GET", "/originals", key="a")

    assert sent.headers["content-type"] == "application/octet-stream"
    assert sent.headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert sent.headers["x-content-type-options"] == "nosniff"


def test_the_page_allows_no_script_but_its_own(gallery: Served) -> None:
    policy = gallery.ask("GET", "/").headers["content-security-policy"]

    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy


def test_nothing_but_thumbnails_is_read_from_their_bucket(gallery: Served, s3: "S3Client") -> None:
    s3.put_object(Bucket=THUMBNAILS, Key="plans/secret", Body=b"x")
    s3.put_object(Bucket=THUMBNAILS, Key="thumbnails/a", Body=b"x", ContentType="image/png")

    assert gallery.ask("GET", "/thumbnails", key="plans/secret").status == 400
    assert gallery.ask("GET", "/thumbnails", key="thumbnails/a").headers["content-type"] == "image/png"


def test_a_file_that_is_too_large_is_refused_with_a_sentence(
    gallery: Served, s3: "S3Client", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "MAX_BYTES", 3_000_000)

    refused = gallery.ask("PUT", "/originals", io.BytesIO(bytes(3_000_001)), {"Content-Length": "3000001"}, key="a")

    assert (refused.status, refused.body["error"]) == (413, "FileTooLarge")
    assert "up to 3 MB" in refused.body["message"]
    assert "Contents" not in s3.list_objects_v2(Bucket=ORIGINALS)


@pytest.mark.parametrize(
    ("request_line", "status", "name"),
    [
        ("GET /originals?key=nothing", 404, "NoSuchKey"),
        ("GET /originals", 400, "InvalidRequest"),
        ("DELETE /originals?key=", 400, "InvalidRequest"),
        ("PUT /elsewhere", 404, "NotFound"),
        ("POST /api/resize", 502, "Unreachable"),
    ],
)
def test_what_goes_wrong_is_said(gallery: Served, request_line: str, status: int, name: str) -> None:
    method, path = request_line.split(" ")

    answer = gallery.ask(method, path)

    assert (answer.status, answer.body["error"]) == (status, name)
    assert answer.body["message"]


def test_a_key_that_is_no_utf_8_is_refused(gallery: Served) -> None:
    assert gallery.ask("GET", "/originals?key=%ff").status == 400


def test_a_body_without_a_length_is_refused(gallery: Served) -> None:
    # Only the head: the server does not wait for a body that it cannot measure.
    assert gallery.ask("PUT", "/originals?key=a", headers={"Transfer-Encoding": "chunked"}).status == 411


def test_refusals_come_over_http(gallery: Served, s3: "S3Client") -> None:
    put(s3, "a.jpg")

    foreign = gallery.ask("DELETE", "/originals", headers={"Origin": "http://evil.example"}, key="a.jpg")
    rebound = gallery.ask("GET", "/api/pictures", headers={"Host": "evil.example"})

    assert (foreign.status, foreign.body["error"]) == (403, "ForeignOrigin")
    assert (rebound.status, rebound.body["error"]) == (403, "ForeignHost")
    assert gallery.keys() == ["a.jpg"]


def test_the_log_of_a_key_is_what_the_function_logged_of_it(gallery: Served, aws: boto3.Session) -> None:
    logs = aws.client("logs")
    logs.create_log_stream(logGroupName=LOG_GROUP, logStreamName="1")
    key = 'it\'s "1".jpg'
    lines = [
        "START RequestId: 1",
        json.dumps({"object_key": key, "message": "resized"}),
        json.dumps({"object_key": "b"}),
        "7",
    ]
    now = int(time.time() * 1000)
    logs.put_log_events(
        logGroupName=LOG_GROUP, logStreamName="1", logEvents=[{"timestamp": now, "message": line} for line in lines]
    )

    assert gallery.ask("GET", "/api/log", key=key).body == [lines[1]]
