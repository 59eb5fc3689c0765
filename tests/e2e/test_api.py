"""The API path: a request is posted, an execution is started, thumbnails appear."""

import io
import json
import uuid
from typing import Any

import pytest
from PIL import Image

from tests.e2e.pipeline import Pipeline, photograph
from tests.e2e.test_uploads import AWKWARD_KEYS


@pytest.mark.parametrize("key", AWKWARD_KEYS)
def test_a_posted_request_reaches_the_function_as_it_was_sent(pipeline: Pipeline, key: str) -> None:
    key = f"posted/{key}"
    pipeline.upload(key, photograph())
    request = pipeline.request(key, width=100, height=80)

    answer = pipeline.post(request)

    assert answer.status == 200, answer.body
    assert set(answer.body) == {"executionArn", "startDate"}
    execution = pipeline.end_of(answer.body["executionArn"])
    assert json.loads(execution["input"]) == request
    assert execution["status"] == "SUCCEEDED", execution.get("cause")
    (made,) = json.loads(execution["output"])["thumbnails"]
    folder, _, name = key.rpartition("/")
    assert made["key"] == f"thumbnails/{folder}/100x80_{name}"
    stored = pipeline.s3.get_object(Bucket=pipeline.thumbnails, Key=made["key"])
    with Image.open(io.BytesIO(stored["Body"].read())) as thumbnail:
        assert thumbnail.size == (100, 75)


def test_several_sizes_another_fit_and_another_format(pipeline: Pipeline) -> None:
    pipeline.upload("options.png", photograph(format="PNG"))
    sizes = [{"width": 50, "height": 50}, {"width": 200, "height": 20}]

    answer = pipeline.post(pipeline.request("options.png", sizes=sizes, fit="cover", format="webp", quality=70))

    result = json.loads(pipeline.end_of(answer.body["executionArn"])["output"])
    assert [(made["key"], made["width"], made["height"]) for made in result["thumbnails"]] == [
        ("thumbnails/50x50-cover_options.png.webp", 50, 50),
        ("thumbnails/200x20-cover_options.png.webp", 200, 20),
    ]
    for made in result["thumbnails"]:
        stored = pipeline.s3.get_object(Bucket=pipeline.thumbnails, Key=made["key"])
        assert stored["ContentType"] == "image/webp"
        with Image.open(io.BytesIO(stored["Body"].read())) as thumbnail:
            assert (thumbnail.format, thumbnail.size) == ("WEBP", (made["width"], made["height"]))


def test_the_same_idempotency_key_starts_nothing_twice(pipeline: Pipeline) -> None:
    pipeline.upload("idempotent.jpg", photograph())
    key = f"order-{uuid.uuid4()}"
    request = pipeline.request("idempotent.jpg", width=90, height=90)

    first = pipeline.post(request, Idempotency_Key=key)
    pipeline.end_of(first.body["executionArn"])
    second = pipeline.post(request, Idempotency_Key=key)

    assert first.status == 200
    assert first.body["executionArn"].endswith(f":{key}")
    assert second.status == 409
    assert second.body["error"] == "ExecutionAlreadyExists"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"object_key": "x.jpg", "width": 1, "height": 1}, "source_bucket"),
        ({"width": "wide"}, "integer"),
        ({"unknown": 1}, "unknown"),
        ({"fit": "stretch"}, "stretch"),
    ],
)
def test_a_bad_body_is_refused_with_the_reason(pipeline: Pipeline, body: dict[str, Any], reason: str) -> None:
    base = pipeline.request("x.jpg", width=10, height=10) if "object_key" not in body else {}

    answer = pipeline.post(base | body)

    assert answer.status == 400
    assert answer.body["error"] == "InvalidRequest"
    assert reason in answer.body["message"]


def test_what_is_no_json_is_refused(pipeline: Pipeline) -> None:
    answer = pipeline.post(b"{not json")
    assert answer.status == 400
    assert set(answer.body) == {"error", "message"}


def test_another_content_type_is_refused(pipeline: Pipeline) -> None:
    answer = pipeline.post(pipeline.request("x.jpg", width=1, height=1), Content_Type="text/plain")
    assert answer.status == 415
    assert answer.body["error"] == "UnsupportedMediaType"


@pytest.mark.parametrize("path", ["/prod/unknown", "/prod", "/other/resize"])
def test_an_unknown_route_is_refused(pipeline: Pipeline, path: str) -> None:
    assert pipeline.post({}, path=path).status in {403, 404}
