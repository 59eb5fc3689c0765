"""The API path: a request is posted, an execution is started, thumbnails appear."""

import io
import json
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from local.stack import ROOT
from tests.e2e.pipeline import Pipeline, photograph
from tests.e2e.test_uploads import AWKWARD_KEYS


@pytest.mark.parametrize("key", AWKWARD_KEYS)
def test_a_posted_request_reaches_the_function_as_it_was_sent(pipeline: Pipeline, key: str) -> None:
    key = f"posted/{key}"
    pipeline.upload(key, photograph())
    request = pipeline.request(key, width=100, height=80)

    answer = pipeline.post(request)

    assert answer.status == 200, answer.body
    assert set(answer.body) == {"executionArn", "executionId", "startDate"}
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
    assert first.body["executionArn"].endswith(f":api-anybody-{key}")
    assert second.status == 409
    assert second.body["error"] == "ExecutionAlreadyExists"
    assert second.body["executionArn"] == first.body["executionArn"]
    assert second.body["executionId"] == first.body["executionId"] == f"api-anybody-{key}"


def test_a_request_repeated_while_it_runs_finds_the_same_execution(pipeline: Pipeline) -> None:
    # 48 megapixels into sixteen boxes: seconds of work, while the repetition takes milliseconds.
    pipeline.upload("slow.png", photograph(8000, 6000, "PNG"))
    key = f"order-{uuid.uuid4()}"
    sizes = [{"width": side, "height": side} for side in range(1000, 1016)]
    request = pipeline.request("slow.png", sizes=sizes)

    first = pipeline.post(request, Idempotency_Key=key)
    second = pipeline.post(request, Idempotency_Key=key)
    other = pipeline.post(request | {"fit": "cover"}, Idempotency_Key=key)
    described = pipeline.get(first.headers["location"])

    assert (first.status, second.status, other.status) == (200, 200, 409)
    assert second.body == first.body
    assert described.body == {
        "executionArn": first.body["executionArn"],
        "status": "RUNNING",
        "startDate": first.body["startDate"],
    }
    pipeline.step_functions.stop_execution(executionArn=first.body["executionArn"])
    assert pipeline.get(first.headers["location"]).body["status"] == "ABORTED"


def test_a_client_can_ask_what_became_of_its_request(pipeline: Pipeline) -> None:
    pipeline.upload("asked/it's.jpg", photograph())

    started = pipeline.post(pipeline.request("asked/it's.jpg", sizes=[{"width": 9, "height": 9}]))
    execution = pipeline.end_of(started.body["executionArn"])
    answer = pipeline.get(f"/prod/executions/{started.body['executionId']}")

    assert answer.status == 200
    assert answer.body["status"] == "SUCCEEDED"
    assert answer.body["output"] == json.loads(execution["output"])
    assert answer.body["output"]["source"]["key"] == "asked/it's.jpg"
    assert answer.body["stopDate"] >= answer.body["startDate"] == started.body["startDate"]
    assert set(answer.body) == {"executionArn", "status", "startDate", "stopDate", "output"}


def test_a_client_can_ask_why_its_request_failed(pipeline: Pipeline) -> None:
    started = pipeline.post(pipeline.request("there is no such.jpg", width=9, height=9))
    pipeline.end_of(started.body["executionArn"])

    answer = pipeline.get(started.headers["location"])

    assert (answer.status, answer.body["status"]) == (200, "FAILED")
    assert answer.body["error"] == "OriginalNotFoundError"
    assert "there is no such.jpg" in answer.body["cause"]
    assert set(answer.body) == {"executionArn", "status", "startDate", "stopDate", "error", "cause"}


def test_an_upload_can_be_asked_for_by_the_name_of_its_execution(pipeline: Pipeline) -> None:
    pipeline.upload("asked/upload.jpg", photograph())
    execution = pipeline.end_of_upload("asked/upload.jpg")
    answer = pipeline.get(f"/prod/executions/{execution['name']}")
    assert [(made["width"], made["height"]) for made in answer.body["output"]["thumbnails"]] == [(64, 48), (128, 96)]


@pytest.mark.parametrize("identifier", ["unknown", "a%20b", "a:b"])
def test_an_unknown_execution_is_not_found(pipeline: Pipeline, identifier: str) -> None:
    answer = pipeline.get(f"/prod/executions/{identifier}")
    assert (answer.status, answer.body["error"]) == (404, "ExecutionNotFound")


def test_an_illegal_idempotency_key_starts_nothing(pipeline: Pipeline) -> None:
    request = pipeline.request("illegal.jpg", width=1, height=1)
    answer = pipeline.post(request, Idempotency_Key="order 17")
    assert (answer.status, answer.body["error"]) == (400, "InvalidIdempotencyKey")
    assert pipeline.executions_of("illegal.jpg") == []


def test_the_contract_holds_for_requests_that_nobody_thought_of(pipeline: Pipeline, tmp_path: Path) -> None:
    contract = json.loads((ROOT / "docs" / "openapi.json").read_text(encoding="utf-8"))
    # The stack of these tests was deployed with ApiAuthorization=NONE.
    for item in contract["paths"].values():
        for operation in item.values():
            del operation["security"]
    (tmp_path / "openapi.json").write_text(json.dumps(contract), encoding="utf-8")

    run = subprocess.run(  # noqa: S603 - the command is ours
        [
            *(Path(sys.executable).with_name("schemathesis"), "run", tmp_path / "openapi.json", "--no-color"),
            *("--url", f"http://127.0.0.1:{pipeline.settings.api_port}/prod", "--max-examples", "30"),
            "--generation-deterministic",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert run.returncode == 0, run.stdout + run.stderr


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


@pytest.mark.parametrize("path", ["/prod/unknown", "/prod", "/prod/executions"])
def test_an_unknown_route_is_not_found(pipeline: Pipeline, path: str) -> None:
    answer = pipeline.post({}, path=path)
    assert (answer.status, answer.body["error"]) == (404, "NotFound")
