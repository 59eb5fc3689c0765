import json
from typing import Any
from urllib.parse import quote_plus

import pytest

from functions.start_from_s3.hints import (
    Change,
    EventError,
    ForeignBucketError,
    Hint,
    UnexpectedEventError,
    UnreadableEventError,
    read_hints,
)
from tests.s3_events import event_text

BUCKET = "alison-image-originals-01"


def record(**fields: Any) -> dict[str, Any]:
    """Return the record of the plain upload with other fields in its object; ``None`` leaves one out."""
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


def eventbridge(name: str = "eventbridge_created", *, kind: str | None = None, **fields: Any) -> str:
    """Return an event of EventBridge with other fields in its object, in which "_" is "-"; None leaves one out."""
    found = json.loads(event_text(name))
    changed = found["detail"]["object"]
    changed.update({field.replace("_", "-"): value for field, value in fields.items()})
    for field in [field for field, value in changed.items() if value is None]:
        del changed[field]
    return json.dumps(found if kind is None else {**found, "detail-type": kind})


def hints(body: str) -> list[Hint]:
    """Read a message that has nothing wrong in it."""
    found, errors = read_hints(body, BUCKET)
    assert errors == []
    return found


def refusals(body: str) -> list[EventError]:
    """Read a message that has nothing right in it."""
    found, errors = read_hints(body, BUCKET)
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
        ("eventbridge_created", "2026/trip/example.jpg"),
        ("eventbridge_special_characters", 'bob\'s + été/100% %20 😀 "a&b".jpg'),
        ("eventbridge_unversioned", "example.jpg"),
    ],
)
def test_every_way_an_object_is_created(name: str, key: str) -> None:
    (hint,) = hints(event_text(name))

    assert (hint.bucket, hint.key, hint.change) == (BUCKET, key, Change.UPLOAD)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("removed_delete", "2026/trip/example.jpg"),
        ("removed_delete_marker_created", "bob's photo.jpg"),
        ("lifecycle_expiration_delete", "archive/example.jpg"),
        ("lifecycle_expiration_delete_marker_created", "archive/été.jpg"),
        ("eventbridge_deleted_unversioned", "2026/trip/example.jpg"),
        ("eventbridge_delete_marker_created", "bob's photo.jpg"),
        ("eventbridge_lifecycle_expired", "archive/été.jpg"),
    ],
)
def test_every_way_an_object_is_removed(name: str, key: str) -> None:
    (hint,) = hints(event_text(name))

    assert (hint.bucket, hint.key, hint.change) == (BUCKET, key, Change.REMOVED)


def test_a_removal_is_told_from_every_other_change_of_the_key() -> None:
    def of(name: str, **fields: Any) -> str:
        (hint,) = hints(event({**record(**fields), "eventName": name}))
        return hint.event

    events = [
        of("ObjectCreated:Put"),
        of("ObjectRemoved:Delete", eTag=None, size=None),
        of("ObjectRemoved:DeleteMarkerCreated", size=None),
        of("LifecycleExpiration:Delete", eTag=None, size=None),
        of("LifecycleExpiration:DeleteMarkerCreated", eTag=None, size=None),
        of("ObjectRemoved:Delete", eTag=None, size=None, versionId="another"),
        of("ObjectRemoved:Delete", eTag=None, size=None, sequencer="0055AED6DCD90281E6"),
    ]

    assert len(set(events)) == len(events)


def test_a_removal_delivered_again_is_the_same() -> None:
    first, again = (hints(event_text("removed_delete")) for _ in range(2))

    assert first == again


def test_a_folder_marker_that_goes_is_no_hint() -> None:
    removed = {**record(key="photos/", size=None, eTag=None), "eventName": "ObjectRemoved:Delete"}

    assert hints(event(removed)) == []


@pytest.mark.parametrize("version", [None, "null", "096fKKXTRTtl3on89fVO.nfljtsv6qko"])
def test_two_uploads_of_the_same_bytes_are_told_apart(version: str | None) -> None:
    """In a bucket without versions, with suspended ones, which all are called "null", and with versions."""
    (first,) = hints(changed(versionId=version, sequencer="0055AED6DCD90281E5"))
    (second,) = hints(changed(versionId=version, sequencer="0055AED6DCD90281E6"))
    (delivered_again,) = hints(changed(versionId=version, sequencer="0055AED6DCD90281E5"))

    assert first == delivered_again
    assert (first.bucket, first.key) == (second.bucket, second.key)
    assert first.event != second.event


def test_two_versions_are_told_apart() -> None:
    events = {hint.event for version in ("1", "2") for hint in hints(changed(versionId=version))}

    assert len(events) == 2


def test_every_record_counts_but_folder_markers() -> None:
    assert [hint.key for hint in hints(event_text("several_records"))] == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize("name", ["test", "folder_marker", "eventbridge_folder_marker"])
def test_what_is_passed_over(name: str) -> None:
    assert hints(event_text(name)) == []


def test_an_object_with_bytes_is_an_upload_even_if_it_is_named_like_a_folder() -> None:
    assert [hint.key for hint in hints(changed(key="photos/", size=3))] == ["photos/"]


def test_an_empty_object_is_an_upload() -> None:
    assert [hint.key for hint in hints(changed(key="empty.jpg", size=0))] == ["empty.jpg"]


def test_an_event_of_another_bucket_is_refused_by_name() -> None:
    foreign = record(key="their.jpg")
    foreign["s3"]["bucket"]["name"] = "somebody-elses"

    [error] = refusals(event(foreign))

    assert isinstance(error, ForeignBucketError)
    assert (error.bucket, error.key) == ("somebody-elses", "their.jpg")
    assert "'their.jpg'" in str(error)
    assert "'somebody-elses'" in str(error)


@pytest.mark.parametrize(
    "name", ["ObjectAcl:Put", "LifecycleTransition", "ObjectRestore:Completed", "ObjectTagging:Put", ""]
)
def test_an_event_of_another_type_is_refused_by_name(name: str) -> None:
    [error] = refusals(event({**record(key="a+b.jpg"), "eventName": name}))

    assert isinstance(error, UnexpectedEventError)
    assert (error.name, error.key) == (name, "a b.jpg")
    assert f"'{name}' for 'a b.jpg'" in str(error)


def test_bad_records_do_not_hold_back_good_ones() -> None:
    tagged = {**record(key="tagged.jpg"), "eventName": "ObjectTagging:Put"}

    found, errors = read_hints(event(None, record(key="a.jpg"), tagged, record(key="b.jpg"), {}), BUCKET)

    assert [hint.key for hint in found] == ["a.jpg", "b.jpg"]
    assert [type(error) for error in errors] == [UnreadableEventError, UnexpectedEventError, UnreadableEventError]


@pytest.mark.parametrize(
    ("encoded", "raw"),
    [("a%2520b.jpg", "a%20b.jpg"), ("a%2Bb.jpg", "a+b.jpg"), ("a+b.jpg", "a b.jpg"), ("a%252Bb.jpg", "a%2Bb.jpg")],
)
def test_keys_are_decoded_exactly_once(encoded: str, raw: str) -> None:
    assert [hint.key for hint in hints(changed(key=encoded))] == [raw]


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
        read_hints(body, BUCKET)

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


@pytest.mark.parametrize(
    "key",
    [
        "a+b.jpg",
        "a b.jpg",
        "a%20b.jpg",
        "a%2Bb.jpg",
        "100% sure.jpg",
        "😀.jpg",
        "bob's.jpg",
        'a "quoted".jpg',
        "a\\b",
        "%FF",
    ],
)
def test_both_forms_name_the_same_key(key: str) -> None:
    notified, sent = hints(changed(key=quote_plus(key, safe="/"))), hints(eventbridge(key=key))

    assert [hint.key for hint in notified] == [hint.key for hint in sent] == [key]


@pytest.mark.parametrize("version", [None, "null", "096fKKXTRTtl3on89fVO.nfljtsv6qko"])
@pytest.mark.parametrize("name", ["eventbridge_created", "eventbridge_deleted_unversioned"])
def test_two_changes_in_eventbridge_are_told_apart(name: str, version: str | None) -> None:
    (first,) = hints(eventbridge(name, version_id=version, sequencer="617f08299329d189"))
    (second,) = hints(eventbridge(name, version_id=version, sequencer="617f08299329d18a"))
    (delivered_again,) = hints(eventbridge(name, version_id=version, sequencer="617f08299329d189"))

    assert first == delivered_again
    assert first.event != second.event


def test_removals_in_eventbridge_are_told_from_uploads_and_from_one_another() -> None:
    names = ["created", "deleted_unversioned", "delete_marker_created", "lifecycle_expired"]

    events = [
        hint.event
        for name in names
        for hint in hints(eventbridge(f"eventbridge_{name}", sequencer="1", version_id="v"))
    ]

    assert len(set(events)) == len(names)


def test_a_folder_marker_that_goes_is_no_hint_in_eventbridge_either() -> None:
    assert hints(eventbridge("eventbridge_deleted_unversioned", key="photos/")) == []


def test_an_event_of_another_bucket_in_eventbridge_is_refused_by_name() -> None:
    found, [error] = read_hints(event_text("eventbridge_special_characters"), "somebody-elses")

    assert found == []
    assert isinstance(error, ForeignBucketError)
    assert error.bucket == BUCKET
    assert "%20" in error.key


def test_an_event_of_another_type_in_eventbridge_is_refused_by_name() -> None:
    [error] = refusals(event_text("eventbridge_restored"))

    assert isinstance(error, UnexpectedEventError)
    assert (error.name, error.key) == ("Object Restore Completed", "archive/example.jpg")


@pytest.mark.parametrize(
    "body",
    [
        '{"detail-type": "Object Created"}',
        '{"detail-type": null, "detail": null}',
        '{"detail-type": "AWS API Call via CloudTrail", "source": "aws.s3", "detail": {"eventName": "PutObject"}}',
        eventbridge(key=None),
        eventbridge(key=5),
        eventbridge(etag=None),
        eventbridge(sequencer=None),
        eventbridge("eventbridge_deleted_unversioned", sequencer=None),
    ],
    ids=lambda body: body[:60],
)
def test_an_unreadable_event_of_eventbridge_says_why(body: str) -> None:
    [error] = refusals(body)

    assert isinstance(error, UnreadableEventError)
    assert isinstance(error.__cause__, ValueError | KeyError | TypeError | AttributeError)
