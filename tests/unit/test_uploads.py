import json
from typing import Any

import pytest

from functions.start_from_s3.uploads import (
    EventError,
    ForeignBucketError,
    UnexpectedEventError,
    UnreadableEventError,
    Upload,
    read_uploads,
)
from tests.s3_events import event_text

BUCKET = "alison-image-originals-01"


def record(**fields: Any) -> dict[str, Any]:
    """Give the record of the plain upload with other fields in its object; ``None`` leaves one out."""
    [found] = json.loads(event_text("put"))["Records"]
    created = found["s3"]["object"]
    created.update(fields)
    for name in [name for name, value in created.items() if value is None]:
        del created[name]
    return dict(found)


def event(*records: Any) -> str:
    return json.dumps({"Records": records})


def changed(**fields: Any) -> str:
    return event(record(**fields))


def uploads(body: str) -> list[Upload]:
    """Read a message that has nothing wrong in it."""
    found, errors = read_uploads(body, BUCKET)
    assert errors == []
    return found


def refusals(body: str) -> list[EventError]:
    """Read a message that has nothing right in it."""
    found, errors = read_uploads(body, BUCKET)
    assert found == []
    return errors


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("put", "2026/trip/example.jpg"),
        ("multipart_complete", "film/scan-0001.tif"),
        ("copy", "archive/example.jpg"),
        ("special_characters", 'bob\'s + été/100% %20 😀 "a&b".jpg'),
        ("unversioned", "example.jpg"),
    ],
)
def test_every_way_an_object_is_created(name: str, key: str) -> None:
    [upload] = uploads(event_text(name))
    assert (upload.bucket, upload.key) == (BUCKET, key)


@pytest.mark.parametrize("version", [None, "null", "096fKKXTRTtl3on89fVO.nfljtsv6qko"])
def test_two_uploads_of_the_same_bytes_are_told_apart(version: str | None) -> None:
    """In a bucket without versions, with suspended ones, which all are called "null", and with versions."""
    [first] = uploads(changed(versionId=version, sequencer="0055AED6DCD90281E5"))
    [second] = uploads(changed(versionId=version, sequencer="0055AED6DCD90281E6"))
    [delivered_again] = uploads(changed(versionId=version, sequencer="0055AED6DCD90281E5"))

    assert first == delivered_again
    assert (first.bucket, first.key) == (second.bucket, second.key)
    assert first.revision != second.revision


def test_two_versions_are_told_apart() -> None:
    revisions = {upload.revision for version in ("1", "2") for upload in uploads(changed(versionId=version))}
    assert len(revisions) == 2


def test_every_record_counts_but_folder_markers() -> None:
    assert [upload.key for upload in uploads(event_text("several_records"))] == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize("name", ["test", "folder_marker"])
def test_what_is_passed_over(name: str) -> None:
    assert uploads(event_text(name)) == []


def test_an_object_with_bytes_is_an_upload_even_if_it_is_named_like_a_folder() -> None:
    assert [upload.key for upload in uploads(changed(key="photos/", size=3))] == ["photos/"]


def test_an_empty_object_is_an_upload() -> None:
    assert [upload.key for upload in uploads(changed(key="empty.jpg", size=0))] == ["empty.jpg"]


def test_an_event_of_another_bucket_is_refused_by_name() -> None:
    foreign = record(key="their.jpg")
    foreign["s3"]["bucket"]["name"] = "somebody-elses"

    [error] = refusals(event(foreign))

    assert isinstance(error, ForeignBucketError)
    assert (error.bucket, error.key) == ("somebody-elses", "their.jpg")
    assert "'their.jpg'" in str(error)
    assert "'somebody-elses'" in str(error)


@pytest.mark.parametrize("name", ["ObjectRemoved:Delete", "ObjectRestore:Completed", "ObjectTagging:Put", ""])
def test_an_event_of_another_type_is_refused_by_name(name: str) -> None:
    [error] = refusals(event({**record(key="a+b.jpg"), "eventName": name}))

    assert isinstance(error, UnexpectedEventError)
    assert (error.name, error.key) == (name, "a b.jpg")
    assert f"'{name}' for 'a b.jpg'" in str(error)


def test_bad_records_do_not_hold_back_good_ones() -> None:
    removed = {**record(key="gone.jpg"), "eventName": "ObjectRemoved:Delete"}

    found, errors = read_uploads(event(None, record(key="a.jpg"), removed, record(key="b.jpg"), {}), BUCKET)

    assert [upload.key for upload in found] == ["a.jpg", "b.jpg"]
    assert [type(error) for error in errors] == [UnreadableEventError, UnexpectedEventError, UnreadableEventError]


@pytest.mark.parametrize(
    ("encoded", "raw"),
    [("a%2520b.jpg", "a%20b.jpg"), ("a%2Bb.jpg", "a+b.jpg"), ("a+b.jpg", "a b.jpg"), ("a%252Bb.jpg", "a%2Bb.jpg")],
)
def test_keys_are_decoded_exactly_once(encoded: str, raw: str) -> None:
    assert [upload.key for upload in uploads(changed(key=encoded))] == [raw]


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
        '{"Service": "Amazon S3", "Event": "s3:AnotherEvent"}',
    ],
    ids=lambda body: body[:60] or "empty",
)
def test_a_message_without_records_is_unreadable_and_says_why(body: str) -> None:
    with pytest.raises(UnreadableEventError) as caught:
        read_uploads(body, BUCKET)

    assert isinstance(caught.value.__cause__, ValueError | KeyError | TypeError | AttributeError)


@pytest.mark.parametrize(
    "unreadable",
    [
        {},
        None,
        "text",
        {"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": BUCKET}}},
        {"eventName": "ObjectCreated:Put", "s3": {"object": {"key": "a.jpg", "size": 1, "versionId": "v"}}},
        {**record(), "eventName": None},
        {name: value for name, value in record().items() if name != "eventName"},
        record(key=5),
        record(key=None),
        record(sequencer=None),
        record(eTag=None),
        record(key="not-utf-8-%FF.jpg"),
    ],
    ids=lambda unreadable: str(unreadable)[:60],
)
def test_an_unreadable_record_says_why(unreadable: Any) -> None:
    [error] = refusals(event(unreadable))

    assert isinstance(error, UnreadableEventError)
    assert isinstance(error.__cause__, ValueError | KeyError | TypeError | AttributeError)
