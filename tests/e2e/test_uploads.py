"""The upload path: an object lands in the originals bucket, thumbnails appear."""

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from tests.e2e.pipeline import UPLOAD_SIZES, Pipeline, photograph

AWKWARD_KEYS = [
    "plain.jpg",
    "my photo.jpg",
    "a+b.jpg",
    "100% sure.jpg",
    "literal%2Bpercent.jpg",
    'double "quotes".jpg',
    "bob's photo.jpg",
    "back\\slash.jpg",
    "emoji 📷🏔️.jpg",
    "résumé ﬁne.jpg",
    "2026/trip/day 1/deep.jpg",
    "a&b=c;d,e:f@g$h#i?j.jpg",
    "no-extension",
    ".hidden",
]


def thumbnail_keys(key: str) -> list[str]:
    folder, slash, name = key.rpartition("/")
    return [f"thumbnails/{folder}{slash}{box}_{name}" for box in UPLOAD_SIZES]


def test_aws_s3_cp_makes_every_configured_thumbnail(pipeline: Pipeline, tmp_path: Path) -> None:
    picture = tmp_path / "example.jpg"
    picture.write_bytes(photograph())

    pipeline.stack.aws("s3", "cp", str(picture), f"s3://{pipeline.originals}/example.jpg")

    execution = pipeline.end_of_upload("example.jpg")
    assert execution["status"] == "SUCCEEDED"
    result = json.loads(execution["output"])
    version = pipeline.s3.head_object(Bucket=pipeline.originals, Key="example.jpg")
    etag = version["ETag"].strip('"')
    assert result["source"] == {
        "bucket": pipeline.originals,
        "key": "example.jpg",
        "etag": etag,
        "version_id": version["VersionId"],
        "format": "JPEG",
        "width": 400,
        "height": 300,
        "bytes": picture.stat().st_size,
    }
    sizes = []
    for key, made in zip(thumbnail_keys("example.jpg"), result["thumbnails"], strict=True):
        stored = pipeline.s3.get_object(Bucket=pipeline.thumbnails, Key=key)
        data = stored["Body"].read()
        assert made["key"] == key
        assert made["bytes"] == len(data)
        assert made["etag"] == stored["ETag"].strip('"')
        assert stored["ContentType"] == made["content_type"] == "image/jpeg"
        assert stored["CacheControl"] == "max-age=86400"
        assert stored["Metadata"]["original-etag"] == etag
        with Image.open(io.BytesIO(data)) as thumbnail:
            assert thumbnail.size == (made["width"], made["height"])
            sizes.append(thumbnail.size)
    assert sizes == [(64, 48), (128, 96)]


@pytest.mark.parametrize("key", AWKWARD_KEYS)
def test_every_key_that_s3_allows_keeps_its_name(pipeline: Pipeline, key: str) -> None:
    pipeline.upload(key, photograph())

    execution = pipeline.end_of_upload(key)

    assert execution["status"] == "SUCCEEDED", execution.get("cause")
    made = [thumbnail["key"] for thumbnail in json.loads(execution["output"])["thumbnails"]]
    assert made == thumbnail_keys(key)
    for name in made:
        assert pipeline.s3.head_object(Bucket=pipeline.thumbnails, Key=name)["ContentLength"] > 0


def test_the_same_event_delivered_again_starts_nothing(pipeline: Pipeline) -> None:
    key = "delivered/three times.jpg"
    pipeline.upload(key, photograph())
    pipeline.end_of_upload(key)
    version = pipeline.s3.head_object(Bucket=pipeline.originals, Key=key)
    event = {
        "Records": [
            {
                "eventName": "ObjectCreated:Put",
                "s3": {
                    "bucket": {"name": pipeline.originals},
                    "object": {
                        "key": "delivered/three+times.jpg",
                        "size": version["ContentLength"],
                        "eTag": version["ETag"].strip('"'),
                        "versionId": version["VersionId"],
                        "sequencer": "0055AED6DCD90281E5",
                    },
                },
            }
        ]
    }

    for _ in range(3):
        pipeline.sqs.send_message(QueueUrl=pipeline.uploads_queue, MessageBody=json.dumps(event))
    pipeline.wait_until_queue_is_empty()

    # One of the upload itself, whose sequencer nobody else knows, and one of the event above.
    assert len(pipeline.executions_of(key)) == 2


def test_a_second_upload_under_the_same_key_is_worked_on(pipeline: Pipeline) -> None:
    pipeline.upload("replaced.jpg", photograph())
    pipeline.end_of_upload("replaced.jpg")
    etag = pipeline.upload("replaced.jpg", photograph(300, 400))

    ended = pipeline.ends_of("replaced.jpg", 2)

    assert {each["status"] for each in ended} == {"SUCCEEDED"}
    stored = pipeline.s3.get_object(Bucket=pipeline.thumbnails, Key="thumbnails/64x64_replaced.jpg")
    assert stored["Metadata"]["original-etag"] == etag
    with Image.open(io.BytesIO(stored["Body"].read())) as thumbnail:
        assert thumbnail.size == (48, 64)


def test_a_folder_marker_starts_nothing(pipeline: Pipeline) -> None:
    pipeline.upload("only a folder/", b"")
    pipeline.upload("only a folder/picture.jpg", photograph())

    pipeline.end_of_upload("only a folder/picture.jpg")
    pipeline.wait_until_queue_is_empty()

    assert pipeline.executions_of("only a folder/") == []


def test_the_log_has_one_line_for_each_picture(pipeline: Pipeline) -> None:
    pipeline.upload("logged.jpg", photograph())
    execution = pipeline.end_of_upload("logged.jpg")

    events = pipeline.logs.filter_log_events(
        logGroupName="/aws/lambda/alison-image-resizer", filterPattern=f'"{execution["name"]}"'
    )["events"]

    lines = [json.loads(event["message"]) for event in events if event["message"].startswith("{")]
    (summary,) = [line for line in lines if line.get("message") == "resized"]
    assert summary["correlation_id"] == execution["name"]
    assert summary["object_key"] == "logged.jpg"
    assert summary["size"] == "400x300"
    assert [made["size"] for made in summary["thumbnails"]] == ["64x48", "128x96"]
    assert all(summary[field] >= 0 for field in ("download_ms", "resize_ms", "upload_ms", "bytes"))
