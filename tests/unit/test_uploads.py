import json
from typing import Any

import pytest

from functions.start_from_s3.uploads import UnreadableEventError, Upload, read_uploads
from tests.s3_events import event_text

BUCKET = "alison-image-originals-01"


def changed(**fields: Any) -> str:
    """Give the body of the plain upload with other fields in its object; ``None`` leaves one out."""
    event = json.loads(event_text("put"))
    created = event["Records"][0]["s3"]["object"]
    created.update(fields)
    for name in [name for name, value in created.items() if value is None]:
        del created[name]
    return json.dumps(event)


@pytest.mark.parametrize(
    ("name", "key", "revision"),
    [
        ("put", "2026/trip/example.jpg", "096fKKXTRTtl3on89fVO.nfljtsv6qko"),
        ("multipart_complete", "film/scan-0001.tif", "2LKxGh7aTqUcHdJ0zqQkC1fPpXjV3m8e"),
        ("copy", "archive/example.jpg", "Qx7b2mZ9yJt1LkPz0aWcVn4sRgHd5eUf"),
        ("special_characters", 'bob\'s + été/100% %20 😀 "a&b".jpg', "pZ1a9vJx8mKq3nRt7cWb2sLd5gYh4eUf"),
    ],
)
def test_every_way_an_object_is_created(name: str, key: str, revision: str) -> None:
    assert read_uploads(event_text(name)) == [Upload(BUCKET, key, revision)]


def test_without_versions_etag_and_sequencer_tell_uploads_apart() -> None:
    [first] = read_uploads(event_text("unversioned"))
    [same_bytes_again] = read_uploads(changed(versionId=None, key="example.jpg", sequencer="0055AED6DCD90281E6"))

    assert first.key == same_bytes_again.key
    assert first.revision != same_bytes_again.revision
    assert first.revision == "d41d8cd98f00b204e9800998ecf8427e-0055AED6DCD90281E5"


def test_every_record_counts_but_folder_markers() -> None:
    assert [upload.key for upload in read_uploads(event_text("several_records"))] == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize("name", ["test", "folder_marker"])
def test_what_is_passed_over(name: str) -> None:
    assert read_uploads(event_text(name)) == []


def test_an_object_with_bytes_is_an_upload_even_if_it_is_named_like_a_folder() -> None:
    assert [upload.key for upload in read_uploads(changed(key="photos/", size=3))] == ["photos/"]


def test_an_empty_object_is_an_upload() -> None:
    assert [upload.key for upload in read_uploads(changed(key="empty.jpg", size=0))] == ["empty.jpg"]


@pytest.mark.parametrize(
    ("encoded", "raw"),
    [("a%2520b.jpg", "a%20b.jpg"), ("a%2Bb.jpg", "a+b.jpg"), ("a+b.jpg", "a b.jpg"), ("a%252Bb.jpg", "a%2Bb.jpg")],
)
def test_keys_are_decoded_exactly_once(encoded: str, raw: str) -> None:
    assert [upload.key for upload in read_uploads(changed(key=encoded))] == [raw]


@pytest.mark.parametrize(
    "body",
    [
        "",
        "not JSON",
        "null",
        "5",
        '"text"',
        "[]",
        "{}",
        '{"Records": null}',
        '{"Records": {}, "Event": null, "Records": 5}',
        '{"Records": [{}]}',
        '{"Records": [null]}',
        '{"Records": [{"s3": {"bucket": {"name": "b"}}}]}',
        '{"Records": [{"s3": {"object": {"key": "a.jpg", "size": 1, "versionId": "v"}}}]}',
        '{"Records": [{"s3": {"bucket": {"name": "b"}, "object": {"key": 5, "size": 1, "versionId": "v"}}}]}',
        changed(versionId=None, sequencer=None),
        changed(versionId=None, eTag=None),
        changed(key=None),
        changed(key="not-utf-8-%FF.jpg"),
        '{"Service": "Amazon S3", "Event": "s3:AnotherEvent"}',
    ],
    ids=lambda body: body[:60] or "empty",
)
def test_anything_else_is_unreadable_and_says_why(body: str) -> None:
    with pytest.raises(UnreadableEventError) as caught:
        read_uploads(body)

    assert isinstance(caught.value.__cause__, ValueError | KeyError | TypeError | AttributeError)
