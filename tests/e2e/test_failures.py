"""What can never succeed ends as a FAILED execution with a name and a sentence, and writes nothing."""

import json
import zlib
from typing import Any

import pytest
from PIL import Image

from samples.files import encoded, png
from tests.e2e.pipeline import Pipeline, photograph


def png_header(width: int, height: int) -> bytes:
    """Return a PNG that announces a size and has almost no data."""
    return png(width, height, 8, 2, zlib.compress(b""))


def tiff_of_floats() -> bytes:
    return encoded(Image.new("F", (8, 8), 0.5), "TIFF")


UPLOADS = {
    "NotAnImageError": b"this is a letter, not a picture",
    "OriginalEmptyError": b"",
    "TruncatedImageError": photograph()[:-2000],
    "TooManyPixelsError": png_header(40_000, 40_000),
}


def failure(execution: Any) -> tuple[str, str]:
    assert execution["status"] == "FAILED", execution
    return execution["error"], execution["cause"]


@pytest.mark.parametrize(("error", "data"), UPLOADS.items(), ids=UPLOADS.keys())
def test_an_upload_that_is_no_good_picture(pipeline: Pipeline, error: str, data: bytes) -> None:
    key = f"bad/{error}.jpg"
    pipeline.upload(key, data)

    execution = pipeline.end_of_upload(key)

    name, sentence = failure(execution)
    assert name == f"Permanent.{error}"
    assert sentence.endswith(".")
    assert "Contents" not in pipeline.s3.list_objects_v2(
        Bucket=pipeline.thumbnails, Prefix=f"thumbnails/bad/64x64_{error}"
    )
    history = pipeline.step_functions.get_execution_history(executionArn=execution["executionArn"])["events"]
    assert [event["type"] for event in history].count("TaskScheduled") == 1


@pytest.mark.parametrize(
    ("error", "changes"),
    [
        ("OriginalNotFoundError", {"object_key": "there is no such.jpg"}),
        ("BucketNotAllowedError", {"source_bucket": "somebody-elses-bucket"}),
        ("BucketNotAllowedError", {"destination_bucket": "somebody-elses-bucket"}),
        ("InvalidKeyError", {"object_key": "up/../and/away.jpg"}),
        ("InvalidKeyError", {"object_key": "folder/"}),
        ("OutputTooLargeError", {"width": 10_000, "height": 10_000, "fit": "fill"}),
    ],
)
def test_a_request_that_cannot_be_met(pipeline: Pipeline, error: str, changes: dict[str, Any]) -> None:
    answer = pipeline.post(pipeline.request("refused.jpg", width=10, height=10) | changes)
    assert answer.status == 200, answer.body

    name, sentence = failure(pipeline.end_of(answer.body["executionArn"]))

    assert name == f"Permanent.{error}"
    assert sentence.endswith(".")


def test_a_request_that_passed_the_gateway_by_is_validated_again(pipeline: Pipeline) -> None:
    started = pipeline.step_functions.start_execution(
        stateMachineArn=pipeline.machine, input=json.dumps({"object_key": "refused.jpg", "width": -1})
    )

    name, _ = failure(pipeline.end_of(started["executionArn"]))

    assert name == "Permanent.InvalidRequestError"
