"""The thumbnails bucket follows the originals bucket: deletes, roll-backs, replacements and requests."""

import io
import json
from typing import Any

from jsonschema import Draft4Validator
from PIL import Image

from local.stack import ROOT
from tests.e2e.pipeline import Pipeline, photograph

BY_RECIPE = ["64x64", "128x96"]


def everything_of(key: str, boxes: list[str]) -> list[str]:
    folder, _, name = key.rpartition("/")
    return [f"manifests/{key}.json", *sorted(f"thumbnails/{folder}/{box}_{name}" for box in boxes)]


def size_of(pipeline: Pipeline, key: str) -> tuple[int, int]:
    stored = pipeline.s3.get_object(Bucket=pipeline.thumbnails, Key=key)
    with Image.open(io.BytesIO(stored["Body"].read())) as picture:
        return picture.size


def result_of(pipeline: Pipeline, answer: Any) -> Any:
    return json.loads(pipeline.end_of(answer.body["executionArn"])["output"])


def test_aws_s3_rm_removes_the_thumbnails_and_undeleting_brings_them_back(pipeline: Pipeline) -> None:
    key = "removed/holiday 1.jpg"
    pipeline.upload(key, photograph())
    pipeline.ends_of(key, 1)
    before = pipeline.stored_for(key)

    pipeline.stack.aws("s3", "rm", f"s3://{pipeline.originals}/{key}")
    removal, _ = pipeline.ends_of(key, 2)
    after = pipeline.stored_for(key)
    (marker,) = pipeline.s3.list_object_versions(Bucket=pipeline.originals, Prefix=key)["DeleteMarkers"]
    pipeline.s3.delete_object(Bucket=pipeline.originals, Key=key, VersionId=marker["VersionId"])
    back, *_ = pipeline.ends_of(key, 3)

    assert before == everything_of(key, BY_RECIPE)
    assert removal["name"].startswith("removed-holiday-1-jpg-")
    assert removal["status"] == "SUCCEEDED", removal["cause"]
    assert json.loads(removal["output"])["removed"] == before[1:]
    assert after == []
    assert back["name"].startswith("removed-holiday-1-jpg-")
    assert pipeline.stored_for(key) == before


def test_removing_the_newest_version_rolls_back(pipeline: Pipeline) -> None:
    key = "rolled back/picture.jpg"
    first = pipeline.upload(key, photograph(400, 300))
    pipeline.ends_of(key, 1)
    newest = pipeline.s3.put_object(Bucket=pipeline.originals, Key=key, Body=photograph(300, 400))["VersionId"]
    pipeline.ends_of(key, 2)
    upright = size_of(pipeline, "thumbnails/rolled back/64x64_picture.jpg")

    pipeline.s3.delete_object(Bucket=pipeline.originals, Key=key, VersionId=newest)
    pipeline.ends_of(key, 3)

    assert upright == (48, 64)
    assert size_of(pipeline, "thumbnails/rolled back/64x64_picture.jpg") == (64, 48)
    assert pipeline.manifest_of(key)["original"]["etag"] == first
    assert pipeline.stored_for(key) == everything_of(key, BY_RECIPE)


def test_thumbnails_that_a_request_asked_for_follow_a_new_original(pipeline: Pipeline) -> None:
    key = "replaced/picture.jpg"
    pipeline.upload(key, photograph(400, 300))
    pipeline.ends_of(key, 1)
    posted = result_of(pipeline, pipeline.post(pipeline.request(key, width=40, height=40, fit="cover")))

    etag = pipeline.upload(key, photograph(300, 400))
    pipeline.ends_of(key, 3)

    assert [made["asked_by"] for made in posted["thumbnails"]] == [["request"]]
    assert pipeline.stored_for(key) == everything_of(key, [*BY_RECIPE, "40x40-cover"])
    for name in pipeline.stored_for(key)[1:]:
        stored = pipeline.s3.head_object(Bucket=pipeline.thumbnails, Key=name)
        assert stored["Metadata"]["original-etag"] == etag


def test_a_request_for_several_formats_and_sizes(pipeline: Pipeline) -> None:
    key = "formats/picture.png"
    pipeline.upload(key, photograph(format="PNG"))
    pipeline.ends_of(key, 1)
    sizes = [{"width": 50, "height": 50}, {"width": 20, "height": 20}]

    result = result_of(pipeline, pipeline.post(pipeline.request(key, sizes=sizes, formats=["avif", "webp", "source"])))

    assert {made["key"]: made["content_type"] for made in result["thumbnails"]} == {
        f"thumbnails/formats/{box}_picture.png{extension}": content_type
        for box in ("50x50", "20x20")
        for extension, content_type in ((".avif", "image/avif"), (".webp", "image/webp"), ("", "image/png"))
    }
    for made in result["thumbnails"]:
        assert size_of(pipeline, made["key"]) == (made["width"], made["height"])
    listed = {entry["key"]: entry["etag"] for entry in pipeline.manifest_of(key)["thumbnails"]}
    assert listed.keys() == {*pipeline.stored_for(key)[1:]}


def test_the_manifest_says_what_there_is(pipeline: Pipeline) -> None:
    key = "manifest/picture.jpg"
    etag = pipeline.upload(key, photograph())
    (execution,) = pipeline.ends_of(key, 1)

    stored = pipeline.s3.get_object(Bucket=pipeline.thumbnails, Key=f"manifests/{key}.json")
    manifest = json.load(stored["Body"])

    Draft4Validator(json.loads((ROOT / "schemas" / "manifest.json").read_text(encoding="utf-8"))).validate(manifest)
    assert stored["ContentType"] == "application/json"
    assert manifest["original"].items() >= {"key": key, "etag": etag, "width": 400, "height": 300}.items()
    result = json.loads(execution["output"])
    assert manifest["placeholder"] == result["placeholder"]
    assert [{"bucket": pipeline.thumbnails, **entry} for entry in manifest["thumbnails"]] == result["thumbnails"]
    for entry in manifest["thumbnails"]:
        head = pipeline.s3.head_object(Bucket=pipeline.thumbnails, Key=entry["key"])
        assert (head["ETag"].strip('"'), head["ContentLength"]) == (entry["etag"], entry["bytes"])


def test_a_folder_that_is_emptied_takes_its_thumbnails_along(pipeline: Pipeline) -> None:
    names = [f"picture {number}.jpg" for number in range(4)]
    for number, name in enumerate(names):
        pipeline.upload(f"emptied/{name}", photograph(100 + number, 100))
    for name in names:
        pipeline.ends_of(f"emptied/{name}", 1)
    before = len(pipeline.stored_for("emptied/any"))

    # DeleteObjects: one call for many keys, one event for each.
    pipeline.s3.delete_objects(
        Bucket=pipeline.originals, Delete={"Objects": [{"Key": f"emptied/{name}"} for name in names]}
    )
    for name in names:
        pipeline.ends_of(f"emptied/{name}", 2)

    assert before == 4 * (1 + len(BY_RECIPE))
    assert pipeline.stored_for("emptied/any") == []


def test_an_original_that_is_no_picture_any_more_has_no_thumbnails(pipeline: Pipeline) -> None:
    key = "spoilt/picture.jpg"
    pipeline.upload(key, photograph())
    pipeline.ends_of(key, 1)

    etag = pipeline.upload(key, b"this is a letter, not a picture")
    failed, _ = pipeline.ends_of(key, 2)

    assert failed["error"] == "Permanent.NotAnImageError"
    manifest = pipeline.manifest_of(key)
    assert (manifest["original"]["etag"], manifest["error"]["name"]) == (etag, "NotAnImageError")
    assert pipeline.stored_for(key) == [f"manifests/{key}.json"]
