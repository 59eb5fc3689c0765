"""The soak's own judgement: it must see what is lost, stale or doubled, or its zeros mean nothing."""

import pytest

from soak.balance import Balance, balance
from soak.load import Ledger, Upload
from soak.outcome import Execution, Outcome, Thumbnail
from soak.pictures import EXTENSIONS, Kind
from soak.plan import RACE_FOLDER, Story, Version, draw, thumbnail_keys

EXPECTED = {"a.jpg": ["thumbnails/64x64_a.jpg", "thumbnails/128x96_a.jpg"]}


def upload(version: int, kind: Kind = Kind.PICTURE) -> Upload:
    return Upload("a.jpg", f"version {version}", f"etag {version}", kind, at=100.0)


def succeeded(version: int, made: str = "bytes") -> Execution:
    thumbnails = dict.fromkeys(EXPECTED["a.jpg"], f"{made} {version}")
    return Execution("a.jpg", "SUCCEEDED", "", "", f"etag {version}", thumbnails, retried_for=(), ended=102.5)


def failed(error: str = "Permanent.NotAnImageError") -> Execution:
    return Execution("a.jpg", "FAILED", error, "Because.", "", {}, retried_for=(), ended=102.5)


def judge(
    uploads: list[Upload],
    executions: list[Execution],
    shown: int | None = None,
    *,
    again: int = 0,
    dead_letters: tuple[str, ...] = (),
) -> Balance:
    """Judge one key whose thumbnails are of the version ``shown``, if any."""
    stored = {} if shown is None else {name: Thumbnail(f"bytes {shown}", f"etag {shown}") for name in EXPECTED["a.jpg"]}
    outcome = Outcome(len(uploads), executions, stored, list(dead_letters), waiting=0)
    return balance(Ledger({"a.jpg": uploads}, delivered_again=again, settled=True), outcome, EXPECTED)


def test_a_picture_with_its_thumbnails_is_as_it_should_be() -> None:
    result = judge([upload(1)], [succeeded(1)], shown=1)

    assert result.is_kept()
    assert (result.thumbnails_expected, result.thumbnails_present) == (2, 2)
    assert result.seconds == [2.5]


def test_two_runs_of_an_overwritten_key_that_made_the_same_thumbnails_are_as_it_should_be() -> None:
    assert judge([upload(1), upload(2)], [succeeded(2), succeeded(2)], shown=2).is_kept()


def test_what_failed_with_a_reason_is_not_lost() -> None:
    result = judge([upload(1, Kind.NO_IMAGE)], [failed()])

    assert result.is_kept()
    assert result.failed_by_reason == {"Permanent.NotAnImageError": 1}
    assert result.thumbnails_expected == 0


def test_a_dead_letter_is_not_lost() -> None:
    assert judge([upload(1)], [], dead_letters=("a.jpg",)).is_kept()


def test_an_event_that_was_delivered_again_and_started_nothing_was_suppressed() -> None:
    result = judge([upload(1)], [succeeded(1)], shown=1, again=1)

    assert result.is_kept()
    assert result.duplicates_suppressed == 1


@pytest.mark.parametrize(
    ("uploads", "executions", "shown"),
    [
        pytest.param([upload(1)], [], None, id="nothing was started"),
        pytest.param([upload(1)], [succeeded(1)], None, id="a success without thumbnails"),
        pytest.param([upload(1), upload(2)], [succeeded(1)], 1, id="the second upload started nothing"),
        pytest.param([upload(1), upload(2)], [succeeded(2)], 2, id="the first upload started nothing"),
    ],
)
def test_what_is_lost_is_seen(uploads: list[Upload], executions: list[Execution], shown: int | None) -> None:
    result = judge(uploads, executions, shown)

    assert len(result.lost) == 1
    assert not result.is_kept()


def test_an_older_thumbnail_is_stale() -> None:
    result = judge([upload(1), upload(2)], [succeeded(1), succeeded(2)], shown=1)

    assert len(result.stale) == 2
    assert result.lost == []


def test_thumbnails_of_the_last_picture_may_stand_when_a_later_upload_is_none() -> None:
    uploads = [upload(1), upload(2, Kind.NO_IMAGE)]
    assert judge(uploads, [succeeded(1), failed()], shown=1).is_kept()


def test_thumbnails_of_nothing_that_was_uploaded_are_stale() -> None:
    uploads = [upload(1), upload(2, Kind.NO_IMAGE)]
    assert len(judge(uploads, [succeeded(1), failed()], shown=7).stale) == 2


def test_two_executions_of_one_upload_are_doubled() -> None:
    result = judge([upload(1)], [succeeded(1), succeeded(1)], shown=1, again=1)

    assert len(result.doubled) == 1
    assert result.duplicates_suppressed == 0


def test_the_same_original_made_into_different_bytes_is_doubled() -> None:
    uploads = [upload(1), upload(2)]
    assert len(judge(uploads, [succeeded(2), succeeded(2, made="other bytes")], shown=2).doubled) == 2


def test_a_picture_that_is_refused_breaks_the_promise_and_one_that_failed_by_faults_is_shown() -> None:
    refused = judge([upload(1)], [failed("Permanent.TruncatedImageError")])
    by_faults = judge([upload(1)], [failed("Runtime.HandlerError")])

    assert (refused.is_kept(), len(refused.refused)) == (False, 1)
    assert (by_faults.is_kept(), len(by_faults.pictures_failed)) == (True, 1)


def test_what_has_not_come_to_rest_is_no_proof() -> None:
    result = judge([upload(1)], [succeeded(1)], shown=1)
    result.settled = False
    assert not result.is_kept()


def test_a_plan_is_drawn_from_its_seed_and_has_the_shares_it_should() -> None:
    stories = draw(1000, seed=7)
    versions = [version for story in stories for version in story.versions]

    assert stories == draw(1000, seed=7)
    assert stories != draw(1000, seed=8)
    assert len(versions) == 1000
    assert len({story.key for story in stories}) == len(stories)
    assert sum(version.deliver_again_after is not None for version in versions) == 100
    assert sum(len(story.versions) > 1 for story in stories) == pytest.approx(len(stories) / 10, abs=1)
    assert sum(version.kind is Kind.NO_IMAGE for version in versions) == 50
    assert sum(version.kind is Kind.BOMB for version in versions) == 20
    assert {story.format for story in stories} == set(EXTENSIONS)


def test_a_race_is_between_two_pictures() -> None:
    races = [story for story in draw(1000, seed=7) if story.is_race]

    assert len(races) > 40
    for story in races:
        assert story.key.startswith(RACE_FOLDER)
        assert [version.kind for version in story.versions] == [Kind.PICTURE, Kind.PICTURE]


def test_thumbnails_are_expected_where_the_documents_say() -> None:
    version = Version(Kind.PICTURE, "seed", 0.0, None)
    story = Story("2026/photo.heic", "HEIC", (version,), is_race=False)
    assert list(thumbnail_keys(story, ("64x64",))) == ["thumbnails/2026/64x64_photo.heic.jpg"]
