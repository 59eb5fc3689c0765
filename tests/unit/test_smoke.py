"""What the smoke test says of answers shaped as AWS's: it finds what is right, and what is not."""

import http.client
import io
import json
import urllib.request
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.credentials import Credentials
from botocore.exceptions import ClientError, NoCredentialsError
from PIL import Image

from samples.files import picture
from smoke.api import Answer, Api
from smoke.checks import alarms, delivery, functions, gateway, logs, notifications, queries, removal, storage, uploads
from smoke.checks import api as requests
from smoke.checks.alarms import Metric
from smoke.checks.uploads import Stored
from smoke.cost import dollars
from smoke.delivery import Served, Viewer
from smoke.deployment import CannotRunError, Deployment, Resource, check_recipes, read_deployment, why_not
from smoke.originals import Original, originals
from smoke.report import Mark, Row, table
from smoke.visit import Execution, Post, Removal, Replacement, Upload, Visit
from tests.deployed import read_schema

MACHINE = "arn:aws:states:eu-central-1:123456789012:stateMachine:ImageResizeStateMachine"
EXECUTIONS = MACHINE.replace(":stateMachine:", ":execution:")
QUEUE = "arn:aws:sqs:eu-central-1:123456789012:p-uploads-01"
ALL_EVENTS = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:LifecycleExpiration:*"]
CACHED = "max-age=86400"
MADE = {"thumbnails": [{"key": "thumbnails/smoke/1/40x30_1-a.jpg"}]}


def execution(name: str, status: str = "SUCCEEDED", error: str = "", output: dict[str, Any] | None = None) -> Execution:
    return Execution(f"{EXECUTIONS}:{name}", status, {}, output or {}, error, "why" if error else "")


def upload(**more: Any) -> Upload:
    original = Original("JPEG", "a.jpg", b"", "image/jpeg", **more)
    return Upload(original, "smoke/1/1-a.jpg", "etag", execution("upload-1-a-jpg"))


def stored(**more: Any) -> Stored:
    usual: dict[str, Any] = {
        "content_type": "image/jpeg",
        "cache_control": CACHED,
        "metadata": {"original-etag": "etag"},
        "data": picture("JPEG", 128, 85),
    }
    return Stored(**usual | more)


def deployment(**parameters: str) -> Deployment:
    usual = {"ApiAuthorization": "NONE", "ThumbnailSizes": "128x128", "BucketPrefix": "p"}
    resources = {"Uploads": Resource("AWS::SQS::Queue", "https://sqs/1/p-uploads-01")}
    return Deployment(boto3.Session(), "p", usual | parameters, {}, resources, "https://a.example/prod/resize")


def visit_of(uploaded: list[Upload], posts: dict[str, Post], described: Answer) -> Visit:
    return Visit("1", 0.0, uploaded, posts, described, {}, Removal([], [], None), 1.0)


class TestThumbnails:
    def test_those_that_are_as_promised_are_kept(self) -> None:
        row = uploads.thumbnails(upload(), [(128, 128)], [stored()], CACHED)

        assert (row.mark, row.promise) == (Mark.KEPT, "JPEG becomes thumbnails")

    @pytest.mark.parametrize(
        ("change", "fault"),
        [
            ({"content_type": "binary/octet-stream"}, "is binary/octet-stream, not image/jpeg"),
            ({"cache_control": ""}, "has Cache-Control '', not 'max-age=86400'"),
            ({"metadata": {}}, "has original-etag '', the original has 'etag'"),
            ({"metadata": {"original-etag": "older"}}, "has original-etag 'older'"),
            ({"data": b"text"}, "cannot be decoded"),
            ({"data": picture("JPEG", 128, 85)[:400]}, "cannot be decoded"),
            ({"data": picture("PNG", 128, 85)}, "has the type image/jpeg but is image/png"),
            ({"data": picture("JPEG", 129, 86)}, "has 129x86 pixels, not 128x85"),
            ({"data": picture("JPEG", 64, 43)}, "has 64x43 pixels, not 128x85"),
        ],
    )
    def test_each_fault_is_found(self, change: dict[str, Any], fault: str) -> None:
        row = uploads.thumbnails(upload(), [(128, 128)], [stored(**change)], CACHED)

        assert row.mark is Mark.BROKEN
        assert fault in row.found

    def test_one_that_is_missing_is_named(self) -> None:
        row = uploads.thumbnails(upload(extension=".jpg"), [(128, 128), (64, 64)], [stored(), None], CACHED)

        assert (row.mark, row.found) == (Mark.BROKEN, "there is no thumbnails/smoke/1/64x64_1-a.jpg.jpg")

    def test_an_animation_that_stands_still_is_found(self) -> None:
        row = uploads.thumbnails(upload(frames=3), [(128, 128)], [stored()], CACHED)

        assert "has 1 frames, not 3" in row.found

    def test_pictures_are_never_enlarged(self) -> None:
        row = uploads.thumbnails(upload(size=(20, 10)), [(128, 128)], [stored(data=picture("JPEG", 20, 10))], CACHED)

        assert row.mark is Mark.KEPT


SERVED_WITH = {
    "access-control-allow-origin": "*",
    "x-content-type-options": "nosniff",
    "cache-control": "no-cache",
    "content-type": "image/jpeg",
}
LISTED = {"key": "thumbnails/a.jpg", "url": "thumbnails/a.jpg?v=1", "content_type": "image/jpeg"}
MANIFEST = Served(200, SERVED_WITH, json.dumps({"thumbnails": [LISTED]}).encode())


class TestDelivery:
    def test_what_is_as_promised_is_kept(self) -> None:
        assert list(delivery.manifest_faults("JPEG", MANIFEST)) == []
        assert delivery.listed(MANIFEST) == [LISTED]
        assert list(delivery.thumbnail_faults("JPEG", Served(200, SERVED_WITH, b"a"), LISTED, b"a")) == []

    @pytest.mark.parametrize(
        ("headers", "fault"),
        [
            ({"access-control-allow-origin": ""}, "has no Access-Control-Allow-Origin"),
            ({"x-content-type-options": ""}, "has no X-Content-Type-Options"),
            ({"x-amz-server-side-encryption-aws-kms-key-id": "arn"}, "names the KMS key"),
        ],
    )
    def test_each_header_that_is_wrong_is_found(self, headers: dict[str, str], fault: str) -> None:
        served = Served(200, SERVED_WITH | headers, MANIFEST.data)

        assert [fault in found for found in delivery.manifest_faults("JPEG", served)] == [True]
        assert [fault in found for found in delivery.thumbnail_faults("JPEG", served, LISTED, served.data)] == [True]

    def test_each_manifest_that_is_wrong_is_found(self) -> None:
        cached = Served(200, SERVED_WITH | {"cache-control": "max-age=9"}, MANIFEST.data)
        bare = Served(200, SERVED_WITH, b'{"thumbnails": [{"key": "thumbnails/a.jpg"}]}')

        assert list(delivery.manifest_faults("JPEG", Served(403, {}, b""))) == [
            "the manifest of JPEG was answered with 403"
        ]
        assert list(delivery.manifest_faults("JPEG", cached)) == ["the manifest of JPEG has Cache-Control 'max-age=9'"]
        assert list(delivery.manifest_faults("JPEG", bare)) == ["the manifest of JPEG has thumbnails without url"]
        assert delivery.listed(Served(403, {}, b"<Error/>")) == []

    def test_each_thumbnail_that_is_wrong_is_found(self) -> None:
        other = Served(200, SERVED_WITH | {"content-type": "text/html"}, b"a")

        assert list(delivery.thumbnail_faults("JPEG", Served(0, {}, b""), LISTED, b"a")) == [
            "the thumbnail of JPEG was answered with 0"
        ]
        assert list(delivery.thumbnail_faults("JPEG", other, LISTED, b"b")) == [
            "the thumbnail of JPEG is text/html, not image/jpeg",
            "the thumbnail of JPEG is not what the bucket has",
        ]

    @pytest.mark.parametrize(("status", "mark"), [(403, Mark.KEPT), (200, Mark.BROKEN), (0, Mark.BROKEN)])
    def test_what_is_not_refused_is_found(self, status: int, mark: Mark) -> None:
        row = delivery.refused("nothing else is served", {"/": 403, "/plans/…": status})

        assert row.mark is mark

    @pytest.mark.parametrize(
        ("served", "mark"),
        [
            (Served(301, {"location": "https://a.example/b"}, b""), Mark.KEPT),
            (Served(301, {"location": "http://a.example/b"}, b""), Mark.BROKEN),
            (Served(200, {}, b"picture"), Mark.BROKEN),
        ],
    )
    def test_http_that_is_not_redirected_is_found(self, served: Served, mark: Mark) -> None:
        assert delivery.redirected(served, "https://a.example/b").mark is mark

    def test_a_replaced_picture_that_stays_old_is_found(self) -> None:
        first, second = Served(200, {}, b"first"), Served(200, {}, b"second")

        assert delivery.replaced(Replacement("a?v=1", "a?v=2", first, second, b"second", 1.0)).mark is Mark.KEPT
        for broken in (
            None,
            Replacement("a?v=1", "a?v=1", first, second, b"second", 1.0),
            Replacement("a?v=1", "a?v=2", first, first, b"second", 1.0),
            Replacement("a?v=1", "a?v=2", second, second, b"second", 1.0),
            Replacement("a?v=1", "a?v=2", first, Served(403, {}, b""), b"second", 1.0),
        ):
            assert delivery.replaced(broken).mark is Mark.BROKEN

    def test_a_stack_without_distribution_has_no_viewer(self) -> None:
        assert deployment().viewer is None

    @pytest.mark.parametrize(
        ("allowed", "page"), [("*", "https://example.org"), ("https://a.example", "https://a.example")]
    )
    def test_a_viewer_is_on_an_allowed_page(self, allowed: str, page: str) -> None:
        found = deployment(AllowedOrigin=allowed)
        served = replace(
            found, outputs={"DeliveryUrl": "https://d1.cloudfront.net/"}, delivery_via="http://127.0.0.1:1"
        )

        assert served.viewer == Viewer("https://d1.cloudfront.net/", "http://127.0.0.1:1", page)
        assert dollars(served) > dollars(found)

    def test_a_viewer_that_gets_no_answer_says_why(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise ConnectionRefusedError("nobody listens")

        monkeypatch.setattr(http.client.HTTPConnection, "request", refuse)

        served = Viewer("https://d1.cloudfront.net/", "http://127.0.0.1:1", "https://a.example").get("a")

        assert served == Served(0, {}, b"nobody listens")


class TestSavedQueries:
    ROWS: tuple[dict[str, str], ...] = (
        {"@log": "1:start", "object_key": "smoke/1/1-a.jpg", "what": "execution started"},
        {"@log": "1:resize", "object_key": "smoke/1/1-a.jpg", "what": "resized"},
        {"@log": "1:machine", "failure": "Permanent.NotAnImageError", "what": "ExecutionFailed"},
    )

    @pytest.mark.parametrize(
        ("missing", "fault"),
        [
            (None, []),
            (0, ["no line for smoke/1/1-a.jpg in start"]),
            (1, ["no line for smoke/1/1-a.jpg in resize"]),
            (2, ["no NotAnImageError in machine"]),
        ],
    )
    def test_one_key(self, missing: int | None, fault: list[str]) -> None:
        rows = [row for at, row in enumerate(self.ROWS) if at != missing]

        faults = queries.one_key_faults(rows, keys={"smoke/1/1-a.jpg"}, groups=("start", "resize"), machine="machine")

        assert faults == fault

    @pytest.mark.parametrize(
        ("rows", "is_well"),
        [
            ([("20.5", "a"), ("3", "b")], True),
            ([("3", "a"), ("20.5", "b")], False),
            ([("3", "")], False),
            ([], False),
        ],
    )
    def test_slowest(self, rows: list[tuple[str, str]], *, is_well: bool) -> None:
        found = [{"total_ms": time, "object_key": key} for time, key in rows]

        assert (queries.slowest_faults(found) == []) is is_well

    @pytest.mark.parametrize("key", ["total_ms", "object_key"])
    def test_the_slowest_without_a_field(self, key: str) -> None:
        row = {"total_ms": "1", "object_key": "a"}
        del row[key]

        assert queries.slowest_faults([row]) != []

    def test_failures(self) -> None:
        rows = [{"failure": "NotAnImageError", "folder": "smoke/1/", "failures": "1"}]

        assert queries.failures_faults(rows, folder="smoke/1/") == []
        assert queries.failures_faults(rows, folder="smoke/2/") == ["no NotAnImageError in smoke/2/"]


class TestManifests:
    @staticmethod
    def file(**more: Any) -> Stored:
        usual = {
            "original": {"key": "smoke/1/1-a.jpg", "etag": "etag"},
            "placeholder": {"thumbhash": "BQgCBYBZ", "colour": "#000000"},
            "thumbnails": [{"key": "thumbnails/smoke/1/128x128_1-a.jpg"}],
        }
        return stored(data=json.dumps(usual | more).encode())

    def test_one_that_lists_the_thumbnails_of_its_upload_is_kept(self) -> None:
        assert list(uploads.manifest_faults(upload(), self.file(), [(128, 128)])) == []

    @pytest.mark.parametrize(
        ("change", "fault"),
        [
            ({"original": {"etag": "older"}}, "is of the original 'older', not 'etag'"),
            ({"thumbnails": []}, "does not list thumbnails/smoke/1/128x128_1-a.jpg"),
            ({"placeholder": None}, "has no placeholder"),
            ({"error": {"name": "NotAnImageError"}}, "has no placeholder"),
            ({"thumbnails": None}, "cannot be read"),
        ],
    )
    def test_each_fault_is_found(self, change: dict[str, Any], fault: str) -> None:
        (found,) = uploads.manifest_faults(upload(), self.file(**change), [(128, 128)])

        assert fault in found

    def test_one_that_is_missing_is_found(self) -> None:
        assert list(uploads.manifest_faults(upload(), None, [(128, 128)])) == ["is missing"]

    def test_that_of_what_is_no_picture_must_say_so(self) -> None:
        letter = Upload(
            Original("no picture", "a.jpg", b"", ""), "smoke/1/1-a.jpg", "etag", execution("upload-1-a-jpg")
        )
        said = self.file(placeholder=None, thumbnails=[], error={"name": "NotAnImageError"})
        unsaid = self.file(placeholder=None, thumbnails=[])

        assert list(uploads.manifest_faults(letter, said, [(128, 128)])) == []
        assert len(list(uploads.manifest_faults(letter, unsaid, [(128, 128)]))) == 1


class TestRemoval:
    BEFORE = ("manifests/smoke/1/1-a.jpg.json", "thumbnails/smoke/1/128x128_1-a.jpg")

    def test_one_that_takes_all_along_is_kept(self) -> None:
        assert removal.removal(Removal([*self.BEFORE], [], execution("removed-1-a-jpg")), 2).mark is Mark.KEPT

    @pytest.mark.parametrize(
        ("before", "after", "ran"),
        [
            (BEFORE, BEFORE[1:], execution("removed-1-a-jpg")),
            (BEFORE[1:], (), execution("removed-1-a-jpg")),
            (BEFORE, (), execution("upload-1-a-jpg")),
            (BEFORE, (), execution("removed-1-a-jpg", "FAILED", "ConflictError")),
            (BEFORE, (), None),
        ],
    )
    def test_each_fault_is_found(self, before: tuple[str, ...], after: tuple[str, ...], ran: Execution | None) -> None:
        assert removal.removal(Removal([*before], [*after], ran), 2).mark is Mark.BROKEN


class TestConditions:
    REFUSED = {  # noqa: RUF012 - never changed
        "a second write": 412,
        "a write over another object": 412,
        "a delete of another object": 412,
        "a download of a known ETag": 304,
        "a write over a deleted object": 404,
        "a delete of a deleted object": 412,
    }

    def test_those_that_hold_are_kept(self) -> None:
        assert storage.conditions(self.REFUSED).mark is Mark.KEPT

    @pytest.mark.parametrize("what", REFUSED)
    def test_one_that_does_not_hold_is_found(self, what: str) -> None:
        assert storage.conditions(self.REFUSED | {what: 200}).mark is Mark.BROKEN
        assert storage.conditions({name: status for name, status in self.REFUSED.items() if name != what}).mark is (
            Mark.BROKEN
        )


def test_there_is_an_original_of_each_format_and_each_awkward_name() -> None:
    files = list(originals())

    kinds = {Image.open(io.BytesIO(file.data)).format for file in files if file.content_type and file.format != "HEIC"}
    assert kinds == {"JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF"}
    assert next(file for file in files if file.format == "HEIC").data[8:12] == b"heic"
    assert [file.name for file in files if not file.content_type] == ["letter.jpg"]
    assert max(len(file.name) for file in files) > 200
    assert any({" ", "+", "'", "é"} <= set(file.name) for file in files)


class TestNames:
    def test_of_both_doors_are_kept(self) -> None:
        row = uploads.names(["upload-a-jpg-0f"], ["api-anybody-key_1"])

        assert row.mark is Mark.KEPT

    @pytest.mark.parametrize(
        ("uploaded", "posted", "fault"),
        [
            (["a-jpg-0f"], [], "a-jpg-0f does not begin with upload-"),
            ([], ["upload-squatted"], "upload-squatted does not begin with api-"),
            (["upload-a.jpg-0f"], [], "upload-a.jpg-0f has other characters"),
            ([], [], "there was no execution"),
        ],
    )
    def test_others_are_found(self, uploaded: list[str], posted: list[str], fault: str) -> None:
        row = uploads.names(uploaded, posted)

        assert (row.mark, row.found) == (Mark.BROKEN, fault)


class TestBuckets:
    def test_a_notification_of_everything_is_kept(self) -> None:
        together = {"QueueConfigurations": [{"QueueArn": QUEUE, "Events": ALL_EVENTS}]}
        apart = {"QueueConfigurations": [{"QueueArn": QUEUE, "Events": [event]} for event in ALL_EVENTS]}

        assert storage.notification(together, QUEUE).mark is Mark.KEPT
        assert storage.notification(apart, QUEUE).mark is Mark.KEPT

    @pytest.mark.parametrize(
        "configured",
        [
            {},
            {"QueueConfigurations": [{"QueueArn": QUEUE + "-old", "Events": ALL_EVENTS}]},
            {"QueueConfigurations": [{"QueueArn": QUEUE, "Events": ALL_EVENTS[:1]}]},
            {"QueueConfigurations": [{"QueueArn": QUEUE, "Events": ["s3:ObjectCreated:Put", *ALL_EVENTS[1:]]}]},
            {"QueueConfigurations": [{"QueueArn": QUEUE, "Events": ALL_EVENTS, "Filter": {"Key": {}}}]},
        ],
    )
    def test_a_notification_of_less_is_found(self, configured: dict[str, Any]) -> None:
        assert storage.notification(configured, QUEUE).mark is Mark.BROKEN

    @pytest.mark.parametrize(
        ("rules", "mark"),
        [
            ([("Prefix", "photos/")], Mark.KEPT),
            ([("prefix", "photo/")], Mark.BROKEN),
            ([("Prefix", "photos/"), ("Suffix", ".jpg")], Mark.BROKEN),
            ([], Mark.BROKEN),
        ],
    )
    def test_a_notification_is_of_the_prefix_and_no_less(self, rules: list[tuple[str, str]], mark: Mark) -> None:
        filtered = {"Key": {"FilterRules": [{"Name": name, "Value": value} for name, value in rules]}}
        each = {"QueueArn": QUEUE, "Events": ALL_EVENTS} | ({"Filter": filtered} if rules else {})

        assert storage.notification({"QueueConfigurations": [each]}, QUEUE, "photos/").mark is mark

    def test_an_existing_bucket_has_to_send_to_eventbridge(self) -> None:
        assert storage.eventbridge({"EventBridgeConfiguration": {}}).mark is Mark.KEPT
        assert storage.eventbridge({"QueueConfigurations": []}).mark is Mark.BROKEN

    @pytest.mark.parametrize(
        ("default", "key", "mark"),
        [
            ({"SSEAlgorithm": "AES256"}, "", Mark.KEPT),
            ({"SSEAlgorithm": "AES256"}, "arn:key", Mark.BROKEN),
            ({"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "arn:key"}, "arn:key", Mark.KEPT),
            ({"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "arn:other"}, "arn:key", Mark.BROKEN),
        ],
    )
    def test_encryption_is_with_the_key_of_the_stack(self, default: dict[str, str], key: str, mark: Mark) -> None:
        rules = {"ServerSideEncryptionConfiguration": {"Rules": [{"ApplyServerSideEncryptionByDefault": default}]}}

        assert storage.encryption("b", rules, key).mark is mark

    def test_an_open_bucket_is_found(self) -> None:
        closed = dict.fromkeys(
            ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True
        )

        assert storage.public_access("b", {"PublicAccessBlockConfiguration": closed}).mark is Mark.KEPT
        half = {"PublicAccessBlockConfiguration": closed | {"BlockPublicPolicy": False}}
        assert storage.public_access("b", half).found == "BlockPublicPolicy is off"
        assert storage.public_access("b", None).mark is Mark.BROKEN

    def test_a_policy_that_lets_plain_http_in_is_found(self) -> None:
        def policy(**change: Any) -> dict[str, Any]:
            statement = {
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": ["arn:aws:s3:::b/*", "arn:aws:s3:::b"],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }
            return {"Policy": json.dumps({"Statement": [statement | change]})}

        assert storage.tls_only("b", policy()).mark is Mark.KEPT
        for change in (
            {"Effect": "Allow"},
            {"Principal": {"AWS": "arn:aws:iam::123456789012:root"}},
            {"Action": "s3:GetObject"},
            {"Resource": ["arn:aws:s3:::b/*"]},
            {"Condition": {"Bool": {"aws:SecureTransport": "true"}}},
        ):
            assert storage.tls_only("b", policy(**change)).mark is Mark.BROKEN, change
        assert storage.tls_only("b", None).mark is Mark.BROKEN

    def test_only_dead_letters_of_ours_break_a_promise(self) -> None:
        assert storage.dead_letters(0, [], "0f1e").mark is Mark.KEPT
        others = storage.dead_letters(2, ["of somebody"], "0f1e")
        assert (others.mark, "2 of other uploads" in others.found) == (Mark.KEPT, True)
        assert storage.dead_letters(1, ["smoke/0f1e/a.jpg"], "0f1e").mark is Mark.BROKEN


def answer(status: int, body: Any = None, **headers: str) -> Answer:
    return Answer(status, headers, body)


class TestRequests:
    def test_a_bad_request_may_be_refused_by_the_gateway_or_by_the_function(self) -> None:
        by_gateway = Post({}, answer(400, {"error": "InvalidRequest", "message": "too long"}))
        failed = execution("api-1", "FAILED", "Permanent.InvalidRequestError")
        by_function = Post({}, answer(200, {"executionId": "api-1"}), failed)

        assert requests.refused("it", by_gateway, "InvalidRequestError").mark is Mark.KEPT
        row = requests.refused("it", by_function, "InvalidRequestError")
        assert row.mark is Mark.KEPT
        assert row.found.startswith("by the function, not by the gateway: FAILED Permanent.InvalidRequestError")

    @pytest.mark.parametrize(
        "post",
        [
            Post({}, answer(500, {"error": "InternalError"})),
            Post({}, answer(400, {"message": "Bad Request"})),
            Post({}, answer(200, {"executionId": "api-1"}), execution("api-1")),
            Post({}, answer(200, {"executionId": "api-1"}), execution("api-1", "FAILED", "InvalidRequestError")),
            Post({}, answer(200, {"executionId": "api-1"}), execution("api-1", "RUNNING")),
            Post({}, answer(0, "no answer")),
        ],
    )
    def test_a_bad_request_that_is_not_refused_is_found(self, post: Post) -> None:
        assert requests.refused("it", post, "InvalidRequestError").mark is Mark.BROKEN

    @pytest.mark.parametrize(
        ("first", "again", "mark"),
        [
            (answer(200, {"executionId": "a"}), answer(200, {"executionId": "a"}), Mark.KEPT),
            (answer(200, {"executionId": "a"}), answer(409, {"error": "E", "executionId": "a"}), Mark.KEPT),
            (answer(200, {"executionId": "a"}), answer(200, {"executionId": "b"}), Mark.BROKEN),
            (answer(200, {"executionId": "a"}), answer(409, {"error": "E"}), Mark.BROKEN),
            (answer(502, {"error": "StartFailed"}), answer(502, {"error": "StartFailed"}), Mark.BROKEN),
        ],
    )
    def test_a_repetition_names_the_same_execution(self, first: Answer, again: Answer, mark: Mark) -> None:
        assert requests.repeated(Post({}, first), Post({}, again)).mark is mark

    @pytest.mark.parametrize(
        ("status", "body", "mark"),
        [
            (
                200,
                {"status": "SUCCEEDED", "output": {"thumbnails": [{"key": "thumbnails/smoke/1/40x30_1-a.jpg"}]}},
                "KEPT",
            ),
            (200, {"status": "SUCCEEDED", "output": {"thumbnails": []}}, "BROKEN"),
            (200, {"status": "RUNNING"}, "BROKEN"),
            (404, {"error": "ExecutionNotFound"}, "BROKEN"),
        ],
    )
    def test_what_a_client_sees_is_what_happened(self, status: int, body: dict[str, Any], mark: str) -> None:
        posts = {"good": Post({}, answer(200), execution("api-1", output=MADE))}

        row = requests.followed(visit_of([upload()], posts, answer(status, body)))

        assert row.mark is Mark[mark]

    @pytest.mark.parametrize(("status", "mark"), [(403, Mark.KEPT), (200, Mark.BROKEN), (500, Mark.BROKEN)])
    def test_an_unsigned_request_must_be_refused(self, status: int, mark: Mark) -> None:
        posts = {"good": Post({}, answer(200, {})), "unsigned": Post({}, answer(status, {"error": "E"}))}
        visit = visit_of([], posts, answer(200))

        (row,) = requests.only_signed_requests_are_taken(deployment(ApiAuthorization="AWS_IAM"), visit)

        assert row.mark is mark

    def test_an_open_api_is_called_open(self) -> None:
        visit = visit_of([], {"good": Post({}, answer(200, {}))}, answer(200))

        (row,) = requests.only_signed_requests_are_taken(deployment(), visit)

        assert row == Row(Mark.KEPT, "the API is open: ApiAuthorization=NONE", "anybody who knows the URL can post")


class TestModel:
    def test_the_schema_itself_is_kept(self) -> None:
        assert {row.mark for row in gateway.model_rows(read_schema(), read_schema())} == {Mark.KEPT}

    def test_numbers_that_became_text_are_found(self) -> None:
        imported = read_schema()
        imported["properties"]["width"] |= {"minimum": "1", "maximum": "10000"}

        numbers, _, keywords = gateway.model_rows(read_schema(), imported)

        assert numbers.found == 'properties.width.minimum is "1"; properties.width.maximum is "10000"'
        assert (numbers.mark, keywords.mark) == (Mark.BROKEN, Mark.BROKEN)

    def test_keywords_that_were_dropped_are_shown_and_break_nothing(self) -> None:
        imported = read_schema()
        del imported["properties"]["sizes"]["maxItems"]

        numbers, fields, keywords = gateway.model_rows(read_schema(), imported)

        assert (numbers.mark, fields.mark, keywords.mark) == (Mark.KEPT, Mark.KEPT, Mark.OPEN)
        assert keywords.found.endswith(": properties.sizes.maxItems")

    def test_a_model_that_takes_unknown_fields_is_found(self) -> None:
        imported = read_schema()
        del imported["additionalProperties"]

        _, fields, _ = gateway.model_rows(read_schema(), imported)

        assert (fields.mark, fields.found) == (Mark.BROKEN, "additionalProperties is not false")


class TestStage:
    PARAMETERS = {"ApiRateLimit": "50", "ApiBurstLimit": "100"}  # noqa: RUF012 - never changed

    @staticmethod
    def setting(rate: float, burst: int) -> dict[str, Any]:
        return {"throttlingRateLimit": rate, "throttlingBurstLimit": burst}

    @pytest.mark.parametrize("path", ["~1executions~1{executionId}/GET", "/~1executions~1{executionId}/GET"])
    def test_both_throttles_are_kept(self, path: str) -> None:
        settings = {"*/*": self.setting(50.0, 100), path: self.setting(8.0, 200)}

        assert [row.mark for row in gateway.throttling(settings, self.PARAMETERS)] == [Mark.KEPT, Mark.KEPT]

    def test_a_throttle_that_is_missing_or_higher_is_found(self) -> None:
        path = "~1executions~1{executionId}/GET"

        for settings in ({}, {"*/*": self.setting(10000, 5000), path: self.setting(50, 100)}):
            assert [row.mark for row in gateway.throttling(settings, self.PARAMETERS)] == [Mark.BROKEN, Mark.BROKEN]

    def test_the_access_log_is_where_the_parameter_says(self) -> None:
        group = "/aws/apigateway/p-resize-api"
        log = {"destinationArn": f"arn:aws:logs:eu-central-1:123456789012:log-group:{group}"}

        assert gateway.access_log(log, group).mark is Mark.KEPT
        assert gateway.access_log({}, group).mark is Mark.BROKEN
        assert gateway.access_log(log, "/another").mark is Mark.BROKEN
        assert gateway.access_log({}, "").mark is Mark.KEPT
        assert gateway.access_log(log, "").mark is Mark.BROKEN


class TestFunctions:
    @pytest.mark.parametrize(
        ("unreserved", "reserved", "wanted", "mark"),
        [
            (10, "", "10", Mark.KEPT),
            (10, "", "20", Mark.BROKEN),
            # Other functions of the account have reserved the rest.
            (100, "", "200", Mark.BROKEN),
            (100, "200", "200", Mark.KEPT),
        ],
    )
    def test_the_account_must_have_the_functions(self, unreserved: int, reserved: str, wanted: str, mark: Mark) -> None:
        limit = {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": unreserved}

        row = functions.room(limit, {"ReservedConcurrency": reserved, "UploadConcurrency": wanted})

        assert row.mark is mark
        assert ("Service Quotas" in row.found) is (mark is Mark.BROKEN)

    def test_credentials_that_cannot_read_the_quota_leave_it_open(self) -> None:
        def refuse() -> None:
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "No."}}, "GetAccountSettings")

        stack: Any = SimpleNamespace(client=lambda _: SimpleNamespace(get_account_settings=refuse))
        visit: Any = None

        (row,) = functions.functions_have_room(stack, visit)

        assert row.mark is Mark.OPEN
        assert "lambda:GetAccountSettings" in row.found


class TestLogs:
    @staticmethod
    def event(name: str, kind: str, **details: str) -> dict[str, Any]:
        return {"execution_arn": f"{EXECUTIONS}:{name}", "type": kind, "details": details}

    def test_starts_and_ends_are_kept(self) -> None:
        events = [self.event("upload-a", kind) for kind in ("ExecutionStarted", "TaskScheduled", "ExecutionSucceeded")]

        row = logs.execution_events({"upload-a"}, events, "ALL")
        assert (row.mark, row.found) == (Mark.KEPT, "ExecutionStarted and the end of 1 execution")

    def test_of_a_quiet_log_only_ends_are_wanted(self) -> None:
        express = {
            "execution_arn": f"{EXECUTIONS.replace('execution', 'express')}:upload-b:0e1f",
            "type": "ExecutionFailed",
            "details": {"error": "Permanent.NotAnImageError"},
        }
        events = [self.event("upload-a", "ExecutionFailed", error="Permanent.NotAnImageError"), express]

        assert logs.execution_events({"upload-a", "upload-b"}, events, "ERROR").mark is Mark.KEPT
        assert logs.execution_events({"upload-a", "upload-c"}, events, "ERROR").mark is Mark.BROKEN

    @pytest.mark.parametrize("details", [{}, {"error": ""}, {"cause": "'a.jpg' is no image."}], ids=str)
    def test_an_end_without_the_name_of_its_error_is_found(self, details: dict[str, str]) -> None:
        events = [self.event("upload-a", "ExecutionFailed", **details)]

        row = logs.execution_events({"upload-a"}, events, "ERROR")

        assert (row.mark, row.found) == (Mark.BROKEN, "upload-a failed without the name of an error")

    @pytest.mark.parametrize(
        ("types", "fault"),
        [
            ((), "upload-a is not logged"),
            (("ExecutionStarted", "TaskSucceeded"), "upload-a has no end"),
            (("ExecutionSucceeded",), "upload-a has no ExecutionStarted"),
        ],
    )
    def test_what_is_missing_is_named(self, types: tuple[str, ...], fault: str) -> None:
        events = [self.event("upload-a", kind) for kind in types] + [self.event("upload-b", "ExecutionSucceeded")]

        row = logs.execution_events({"upload-a"}, events, "ALL")

        assert (row.mark, row.found) == (Mark.BROKEN, fault)

    def test_a_function_that_logs_nothing_of_an_upload_is_found(self) -> None:
        lines = [{"object_key": "a"}, {"message": "of nothing"}]

        assert logs.function_lines("resize", {"a"}, lines).mark is Mark.KEPT
        assert logs.function_lines("resize", {"a", "b"}, lines).found == "no line for b"

    def test_uploads_that_start_nothing_break_the_promises_of_logs(self) -> None:
        assert logs.function_lines("resize", set(), []).mark is Mark.BROKEN
        assert logs.execution_events(set(), [], "ALL").mark is Mark.BROKEN

    def test_a_line_of_the_api_may_come_later(self) -> None:
        assert logs.access_log_lines([{"executionName": "api-1"}], "api-1").mark is Mark.KEPT
        assert logs.access_log_lines([{"executionName": "api-2"}], "api-1").mark is Mark.OPEN

    def test_waiting_ends(self) -> None:
        asked = iter(range(1000))

        assert logs.until(lambda: next(asked), lambda number: number >= 3, 10.0, 0.001) == 3
        assert logs.until(lambda: "never", lambda _: False, 0.01, 0.001) == "never"


RESIZES = Metric("p", "ResizesFailed", frozenset({("service", "resize")}))
QUEUE_AGE = {"Namespace": "AWS/SQS", "MetricName": "ApproximateAgeOfOldestMessage"}


def alarm(dimensions: dict[str, str], **more: Any) -> dict[str, Any]:
    listed = [{"Name": name, "Value": value} for name, value in dimensions.items()]
    return {"AlarmName": "p-Alarm-1", "AlarmActions": [], "ActionsEnabled": True, "Dimensions": listed} | more


class TestAlarms:
    RESOURCES = {"QueueName": {"p-uploads-01"}, "ApiName": {"p-resize-api"}, "Stage": {"prod"}}  # noqa: RUF012 - never changed

    def rows(self, *found: dict[str, Any]) -> list[Row]:
        return list(alarms.watched({"Alarm": "p-Alarm-1"}, list(found), {RESIZES}, self.RESOURCES))

    @pytest.mark.parametrize(
        "found",
        [
            alarm({"service": "resize"}, Namespace="p", MetricName="ResizesFailed"),
            alarm({"QueueName": "p-uploads-01"}, **QUEUE_AGE),
            alarm({"ApiName": "p-resize-api", "Stage": "prod"}, Namespace="AWS/ApiGateway", MetricName="5XXError"),
        ],
    )
    def test_those_of_metrics_that_are_sent_are_kept(self, found: dict[str, Any]) -> None:
        assert self.rows(found) == [Row(Mark.KEPT, "1 of 1 alarms watch metrics that are sent", "Alarm")]

    @pytest.mark.parametrize(
        ("found", "fault"),
        [
            (alarm({"service": "resize"}, Namespace="p", MetricName="ResizesFaled"), "nothing sends p ResizesFaled"),
            (alarm({}, Namespace="p", MetricName="ResizesFailed"), "nothing sends p ResizesFailed"),
            (alarm({"QueueName": "p-gone"}, **QUEUE_AGE), "for QueueName=p-gone, which is not in the stack"),
            (alarm({}, **QUEUE_AGE), "is for the whole account"),
            (
                alarm({"QueueName": "p-uploads-01"}, Namespace="AWS/SQS", MetricName="OldestMessage"),
                "is not a metric that AWS documents",
            ),
            (alarm({}), "it watches no metric"),
        ],
    )
    def test_those_of_others_are_found(self, found: dict[str, Any], fault: str) -> None:
        (row,) = self.rows(found)

        assert row.mark is Mark.BROKEN
        assert fault in row.found

    def test_one_of_several_metrics_is_looked_through(self) -> None:
        metric = {"Namespace": "p", "MetricName": "Gone", "Dimensions": []}
        queries = [{"Id": "a", "MetricStat": {"Metric": metric}}, {"Id": "e", "Expression": "a * 2"}]

        (row,) = self.rows(alarm({}, Metrics=queries))

        assert (row.mark, row.found) == (Mark.BROKEN, "nothing sends p Gone")

    def test_one_that_was_deleted_is_found(self) -> None:
        (row,) = self.rows()

        assert row.mark is Mark.BROKEN

    def test_one_that_tells_nobody_is_found(self) -> None:
        topic = "arn:aws:sns:eu-central-1:123456789012:alarms"
        silent, off = alarm({}), alarm({}, AlarmActions=[topic], ActionsEnabled=False)

        assert alarms.actions([alarm({}, AlarmActions=[topic])], topic).mark is Mark.KEPT
        assert alarms.actions([silent], topic).mark is Mark.BROKEN
        assert alarms.actions([off], topic).mark is Mark.BROKEN
        assert alarms.actions([silent], "").mark is Mark.KEPT

    def test_metrics_are_read_out_of_logs_as_cloudwatch_reads_them(self) -> None:
        directive = {
            "Namespace": "p",
            "Dimensions": [["service"]],
            "Metrics": [{"Name": "ResizesFailed", "Unit": "Count"}],
        }
        line = {"_aws": {"Timestamp": 1, "CloudWatchMetrics": [directive]}, "service": "resize", "ResizesFailed": [0.0]}

        sent = set(alarms.emitted([{"message": "resized"}, line]))

        assert sent == {RESIZES}
        assert alarms.all_sent({RESIZES}, sent).mark is Mark.KEPT
        assert alarms.all_sent({RESIZES}, set()).found == "nothing sends p ResizesFailed (service=resize)"

    def test_data_that_is_not_there_yet_is_shown_and_breaks_nothing(self) -> None:
        assert alarms.with_data([RESIZES], {RESIZES}).mark is Mark.KEPT
        row = alarms.with_data([RESIZES], set())
        assert (row.mark, "ResizesFailed" in row.found, "15 minutes" in row.found) == (Mark.OPEN, True, True)


class TestApi:
    @pytest.fixture
    def sent(self, monkeypatch: pytest.MonkeyPatch) -> list[urllib.request.Request]:
        requests: list[urllib.request.Request] = []

        def refuse(request: urllib.request.Request, timeout: float) -> None:  # noqa: ARG001 - urlopen has it
            requests.append(request)
            raise ConnectionRefusedError("refused")

        monkeypatch.setattr(urllib.request, "urlopen", refuse)
        return requests

    def test_requests_are_signed_for_the_region_and_the_service(self, sent: list[urllib.request.Request]) -> None:
        signer = SigV4Auth(Credentials("key", "secret"), "execute-api", "eu-central-1")

        Api("https://a.example/prod/resize", signer).post({"object_key": "é"}, {"Idempotency-Key": "k"})

        (request,) = sent
        assert request.headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=key/")
        assert "/eu-central-1/execute-api/aws4_request" in request.headers["Authorization"]
        assert request.headers["Idempotency-key"] == "k"
        assert request.data == '{"object_key": "é"}'.encode()

    def test_a_location_is_asked_for_at_the_same_host(self, sent: list[urllib.request.Request]) -> None:
        seen = Api("http://127.0.0.1:3000/prod/resize", None).get("/prod/executions/a")

        (request,) = sent
        assert (request.full_url, request.get_method()) == ("http://127.0.0.1:3000/prod/executions/a", "GET")
        assert "Authorization" not in request.headers
        assert (seen.status, str(seen)) == (0, "0 no answer from http://127.0.0.1:3000/prod/executions/a: refused")


def refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "m"}}, "GetModel")


def test_no_permission_is_no_verdict() -> None:
    assert "no permission to call GetModel (AccessDenied)" in str(why_not(refusal("AccessDenied")))
    assert why_not(refusal("NotFoundException")) is None
    assert "credentials" in str(why_not(NoCredentialsError()))


def test_without_a_region_there_is_nothing_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")

    with pytest.raises(CannotRunError, match="No AWS region is set"):
        read_deployment("p", None)


@pytest.mark.parametrize(
    "parameters",
    [{}, {"ThumbnailSizes": ",".join(f"{side}x{side}" for side in range(1, 17)), "KmsKeyArn": "arn:key"}],
)
def test_a_run_costs_about_a_cent(parameters: dict[str, str]) -> None:
    assert 0.001 < dollars(deployment(**parameters)) < 0.015


@pytest.mark.parametrize("recipes", ['[{"prefix": ""}]', '[{"prefix": "smoke/"}, {"prefix": "", "fit": "cover"}]'])
def test_recipes_that_ask_for_the_parameter_alone_are_fine(recipes: str) -> None:
    check_recipes(recipes, " 128x128 ,64x48,128x128")


@pytest.mark.parametrize(
    "recipes",
    [
        "[]",
        '[{"prefix": "avatars/"}]',
        '[{"prefix": "", "sizes": []}]',
        '[{"prefix": "smoke/", "sizes": ["1x1"]}]',
        '[{"prefix": "", "formats": ["webp"]}]',
        '[{"prefix": 1}]',
    ],
)
def test_recipes_that_ask_for_something_else_keep_it_from_running(recipes: str) -> None:
    with pytest.raises(CannotRunError, match="Next: "):
        check_recipes(recipes, "128x128")


def test_boxes_are_read_as_the_parameter_is_written() -> None:
    assert deployment(ThumbnailSizes=" 128x128 , 64x48,128x128").sizes == [(128, 128), (64, 48)]


def test_the_table_has_every_row_with_its_mark() -> None:
    rows = [Row(Mark.KEPT, "one", "two"), Row(Mark.BROKEN, "a promise " * 8, "found " * 30), Row(Mark.OPEN, "🏔", "x")]

    lines = table([("Title", rows)]).splitlines()

    assert lines[0] == "  Title"
    assert [line[2] for line in lines[1:] if line[2] != " "] == ["✓", "✗", "…"]
    assert " ".join(lines).count("found") == 30
    assert max(map(len, lines)) <= 125


class TestNotifications:
    def message(self, **more: Any) -> dict[str, Any]:
        usual = {
            "id": "0" * 32,
            "trigger": "upload",
            "status": "SUCCESS",
            "time": "2026-11-23T12:29:45.020Z",
            "execution": f"{EXECUTIONS}:upload-1-a-jpg",
            "bucket": "p-thumbnails-01",
            "key": "smoke/1/1-a.jpg",
            "thumbnails": [],
            "removed": [],
            "truncated": False,
        }
        return usual | more

    def test_one_message_each_is_right_and_a_second_delivery_is_no_fault(self) -> None:
        heard = [self.message(), self.message(), self.message(id="1" * 32, trigger="api")]

        assert notifications.told([upload()], heard).mark is Mark.KEPT

    @pytest.mark.parametrize(
        ("ids", "more", "fault"),
        [
            ("", {}, "a.jpg has 0 messages"),
            ("01", {}, "a.jpg has 2 messages"),
            ("0", {"status": "FAILED"}, "a message is invalid"),
            ("0", {"status": "FAILED"}, "a.jpg is SUCCEEDED and its message has FAILED"),
            ("0", {"surprise": 1}, "a message is invalid"),
        ],
    )
    def test_each_fault_is_found(self, ids: str, more: dict[str, Any], fault: str) -> None:
        row = notifications.told([upload()], [self.message(id=digit * 32, **more) for digit in ids])

        assert row.mark is Mark.BROKEN
        assert fault in row.found

    def test_nothing_is_asked_of_a_stack_without_a_topic(self) -> None:
        visit = visit_of([upload()], {}, Answer(200, {}, {}))

        assert list(notifications.ends_are_told(deployment(), visit)) == []
