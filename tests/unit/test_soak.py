"""The soak's own judgement: it must see what is lost, stale or doubled, or its zeros mean nothing."""

from collections import Counter
from itertools import count, pairwise
from typing import Any

import pytest

from soak.balance import Balance, balance
from soak.load import Ledger, Upload
from soak.outcome import Execution, Manifest, Outcome, Thumbnail
from soak.pictures import EXTENSIONS, Kind
from soak.plan import RACE_FOLDER, Deed, Step, Story, Version, draw, thumbnail_keys

BY_RECIPE = ["thumbnails/64x64_a.jpg", "thumbnails/128x96_a.jpg"]
POSTED = "thumbnails/48x40_a.jpg"


def upload(version: int, kind: Kind = Kind.PICTURE) -> Upload:
    return Upload("a.jpg", f"version {version}", f"etag {version}", kind, at=100.0)


NUMBERS = count()


def execution(**more: Any) -> Execution:
    usual: dict[str, Any] = {
        "name": f"upload-{next(NUMBERS)}",
        "key": "a.jpg",
        "is_posted": False,
        "status": "SUCCEEDED",
        "error": "",
        "cause": "",
        "source_etag": "",
        "made": {},
        "retried_for": (),
        "ended": 102.5,
    }
    return Execution(**usual | more)


def succeeded(version: int, made: str = "bytes") -> Execution:
    return execution(source_etag=f"etag {version}", made=dict.fromkeys(BY_RECIPE, f"{made} {version}"))


def posted(version: int) -> Execution:
    return execution(is_posted=True, source_etag=f"etag {version}", made={POSTED: f"bytes {version}"})


def removed() -> Execution:
    return execution()


def failed(error: str = "Permanent.NotAnImageError", **more: Any) -> Execution:
    return execution(status="FAILED", error=error, cause="Because.", **more)


def manifest(version: int, names: list[str] = BY_RECIPE, error: str = "") -> Manifest:
    return Manifest(f"etag {version}", dict.fromkeys(names, f"bytes {version}"), error)


def stored(version: int, names: list[str] = BY_RECIPE) -> dict[str, Thumbnail]:
    return {name: Thumbnail(f"bytes {version}", f"etag {version}") for name in names}


def judge(
    uploads: list[Upload],
    executions: list[Execution],
    *,
    now: int | None = 1,
    says: Manifest | None = None,
    has: dict[str, Thumbnail] | None = None,
    deeds: tuple[Deed, ...] = (),
    again: int = 0,
    dead_letters: tuple[str, ...] = (),
) -> Balance:
    """Judge one key whose current original is the version ``now``, if any."""
    originals = {} if now is None else {"a.jpg": f"etag {now}"}
    manifests = {} if says is None else {"a.jpg": says}
    versions = len(uploads) - deeds.count(Deed.ROLL_BACK)
    outcome = Outcome(versions, originals, executions, manifests, has or {}, list(dead_letters), waiting=0)
    ledger = Ledger({"a.jpg": uploads}, {"a.jpg": Counter(deeds)}, delivered_again=again, settled=True)
    return balance(ledger, outcome, {"a.jpg": BY_RECIPE})


def test_a_picture_with_its_thumbnails_is_as_it_should_be() -> None:
    result = judge([upload(1)], [succeeded(1)], says=manifest(1), has=stored(1))

    assert result.is_kept()
    assert (result.thumbnails_expected, result.thumbnails_present) == (2, 2)
    assert result.seconds == [2.5]


def test_two_runs_of_an_overwritten_key_that_made_the_same_thumbnails_are_as_it_should_be() -> None:
    runs = [succeeded(2), succeeded(2)]
    assert judge([upload(1), upload(2)], runs, now=2, says=manifest(2), has=stored(2)).is_kept()


def test_a_key_whose_original_was_deleted_has_nothing() -> None:
    assert judge([upload(1)], [succeeded(1), removed()], now=None, deeds=(Deed.DELETE,)).is_kept()


def test_a_key_that_was_rolled_back_has_the_thumbnails_of_the_version_before() -> None:
    runs = [succeeded(1), succeeded(2), succeeded(1)]
    result = judge([upload(1), upload(2)], runs, now=1, says=manifest(1), has=stored(1), deeds=(Deed.ROLL_BACK,))

    assert result.is_kept()


def test_what_a_request_asked_for_follows_a_new_original() -> None:
    names, runs = [*BY_RECIPE, POSTED], [succeeded(1), posted(1), succeeded(2)]
    uploads, deeds = [upload(1), upload(2)], (Deed.POST,)

    kept = judge(uploads, runs, now=2, says=manifest(2, names), has=stored(2, names), deeds=deeds)
    dropped = judge(uploads, runs, now=2, says=manifest(2), has=stored(2), deeds=deeds)
    left_over = judge(uploads, runs, now=2, says=manifest(2), has=stored(2) | stored(1, [POSTED]), deeds=deeds)

    assert kept.is_kept()
    assert (len(dropped.lost), len(dropped.stale)) == (1, 0)
    assert (len(left_over.lost), len(left_over.stale)) == (1, 1)


def test_what_is_no_picture_has_a_manifest_that_says_so() -> None:
    result = judge([upload(1, Kind.NO_IMAGE)], [failed()], says=manifest(1, [], "NotAnImageError"))

    assert result.is_kept()
    assert result.failed_by_reason == {"Permanent.NotAnImageError": 1}
    assert result.thumbnails_expected == 0


def test_a_dead_letter_is_not_lost() -> None:
    assert judge([upload(1)], [], dead_letters=("a.jpg",)).is_kept()


def test_an_event_that_was_delivered_again_and_started_nothing_was_suppressed() -> None:
    result = judge([upload(1)], [succeeded(1)], says=manifest(1), has=stored(1), again=1)

    assert result.is_kept()
    assert result.duplicates_suppressed == 1


@pytest.mark.parametrize(
    ("executions", "says", "has"),
    [
        pytest.param([succeeded(1)], None, {}, id="no manifest"),
        pytest.param([succeeded(1)], manifest(1), stored(1, BY_RECIPE[:1]), id="a thumbnail that is not there"),
        pytest.param([succeeded(1)], manifest(1, BY_RECIPE[:1]), stored(1, BY_RECIPE[:1]), id="a thumbnail not made"),
        pytest.param([], manifest(1), stored(1), id="nothing was started"),
    ],
)
def test_what_is_lost_is_seen(executions: list[Execution], says: Manifest | None, has: dict[str, Thumbnail]) -> None:
    result = judge([upload(1)], executions, says=says, has=has)

    assert len(result.lost) == 1
    assert not result.is_kept()


@pytest.mark.parametrize("deed", [pytest.param(Deed.DELETE, id="a delete"), pytest.param(Deed.POST, id="a request")])
def test_a_change_or_a_request_that_started_nothing_is_lost(deed: Deed) -> None:
    assert len(judge([upload(1)], [succeeded(1)], says=manifest(1), has=stored(1), deeds=(deed,)).lost) == 1


@pytest.mark.parametrize(
    ("now", "says", "has"),
    [
        pytest.param(2, manifest(1), stored(2), id="a manifest of an older version"),
        pytest.param(2, manifest(2), stored(2) | stored(1, BY_RECIPE[:1]), id="an older thumbnail"),
        pytest.param(2, manifest(2), stored(2) | stored(2, ["thumbnails/1x1_a.jpg"]), id="a thumbnail in no manifest"),
        pytest.param(2, manifest(2, ["thumbnails/1x1_a.jpg", *BY_RECIPE]), stored(2), id="what nobody asked for"),
        pytest.param(None, manifest(2, []), {}, id="a manifest without an original"),
        pytest.param(None, None, stored(2, BY_RECIPE[:1]), id="a thumbnail without an original"),
    ],
)
def test_what_is_stale_is_seen(now: int | None, says: Manifest | None, has: dict[str, Thumbnail]) -> None:
    result = judge([upload(1), upload(2)], [succeeded(1), succeeded(2)], now=now, says=says, has=has)

    assert result.stale != []
    assert not result.is_kept()


def test_a_thumbnail_that_is_not_the_one_in_the_manifest_is_stale() -> None:
    other = {BY_RECIPE[0]: Thumbnail("other bytes", "etag 1")}

    result = judge([upload(1)], [succeeded(1)], says=manifest(1), has=stored(1) | other)

    assert len(result.stale) == 1


def test_thumbnails_of_a_picture_that_was_replaced_by_what_is_none_are_stale() -> None:
    uploads, runs = [upload(1), upload(2, Kind.NO_IMAGE)], [succeeded(1), failed()]

    removed_with_it = judge(uploads, runs, now=2, says=manifest(2, [], "NotAnImageError"))
    left = judge(uploads, runs, now=2, says=manifest(1), has=stored(1))

    assert removed_with_it.is_kept()
    assert not left.is_kept()


def test_a_key_whose_execution_failed_by_faults_is_shown_and_not_counted() -> None:
    uploads, runs = [upload(1), upload(2)], [succeeded(1), failed("Runtime.HandlerError")]

    result = judge(uploads, runs, now=2, says=manifest(1), has=stored(1))

    assert (result.is_kept(), len(result.pictures_failed)) == (True, 1)


def test_two_executions_of_one_upload_are_doubled() -> None:
    result = judge([upload(1)], [succeeded(1), succeeded(1)], says=manifest(1), has=stored(1), again=1)

    assert len(result.doubled) == 1
    assert result.duplicates_suppressed == 0


def test_the_same_original_made_into_different_bytes_is_doubled() -> None:
    runs = [succeeded(2), succeeded(2, made="other bytes")]
    assert len(judge([upload(1), upload(2)], runs, now=2, says=manifest(2), has=stored(2)).doubled) == 2


def test_a_picture_that_is_refused_breaks_the_promise() -> None:
    says = manifest(1, [], "TruncatedImageError")

    result = judge([upload(1)], [failed("Permanent.TruncatedImageError")], says=says)

    assert (result.is_kept(), len(result.refused)) == (False, 1)


def test_a_request_that_finds_a_deleted_original_gone_is_not_refused() -> None:
    runs = [succeeded(1), removed(), failed("Permanent.OriginalNotFoundError", is_posted=True)]

    gone = judge([upload(1)], runs, now=None, deeds=(Deed.POST, Deed.DELETE))
    never_deleted = judge([upload(1)], [succeeded(1), runs[-1]], says=manifest(1), has=stored(1), deeds=(Deed.POST,))

    assert gone.is_kept()
    assert len(never_deleted.refused) == 1


def test_what_has_not_come_to_rest_is_no_proof() -> None:
    result = judge([upload(1)], [succeeded(1)], says=manifest(1), has=stored(1))
    result.settled = False

    assert not result.is_kept()


def test_a_plan_is_drawn_from_its_seed_and_has_the_shares_it_should() -> None:
    stories = draw(1000, seed=7)
    versions = [version for story in stories for version in story.versions()]
    deeds = Counter(deed for story in stories for deed in story.deeds())

    assert stories == draw(1000, seed=7)
    assert stories != draw(1000, seed=8)
    assert len(versions) == 1000
    assert len({story.key for story in stories}) == len(stories)
    assert sum(version.deliver_again_after is not None for version in versions) == 100
    assert sum(len([*story.versions()]) > 1 for story in stories) == pytest.approx(len(stories) / 10, abs=1)
    assert deeds[Deed.DELETE] == pytest.approx(len(stories) / 10, abs=1)
    assert min(deeds[deed] for deed in Deed) > 20
    assert sum(version.kind is Kind.NO_IMAGE for version in versions) == 50
    assert sum(version.kind is Kind.BOMB for version in versions) == 20
    assert {story.format for story in stories} == set(EXTENSIONS)


def test_a_race_is_between_two_pictures_or_a_picture_and_its_removal() -> None:
    races = [story for story in draw(1000, seed=7) if story.is_race]

    seconds = Counter(
        step.what.kind if isinstance(step.what, Version) else step.what for _, step in (story.steps for story in races)
    )
    assert seconds.keys() == {Kind.PICTURE, Deed.DELETE}
    assert seconds[Kind.PICTURE] > 40
    for story in races:
        assert story.key.startswith(RACE_FOLDER)
        assert next(story.versions()).kind is Kind.PICTURE


@pytest.mark.parametrize("uploads", [20, 40, 1000])
def test_every_step_meets_what_it_needs(uploads: int) -> None:
    for story in draw(uploads, seed=7):
        what = [step.what for step in story.steps]
        assert isinstance(what[0], Version)
        for before, deed in pairwise(what):
            if deed is Deed.UNDELETE:
                assert before is Deed.DELETE
            if deed is Deed.ROLL_BACK:
                assert len([*story.versions()]) == 2
            if deed is Deed.DELETE:
                assert before not in {Deed.DELETE, Deed.UNDELETE}


def test_thumbnails_are_expected_where_the_documents_say() -> None:
    upload_of_it = Step(Version(Kind.PICTURE, "seed", None), 0.0)
    story = Story("2026/photo.heic", "HEIC", (upload_of_it,), is_race=False)

    assert list(thumbnail_keys(story, ("64x64",))) == ["thumbnails/2026/64x64_photo.heic.jpg"]


def test_what_a_request_that_failed_by_a_fault_left_behind_is_loud_and_not_stale() -> None:
    runs = [succeeded(1), failed("Runtime.HandlerError", is_posted=True)]
    left = stored(1, [*BY_RECIPE, POSTED])

    assert judge([upload(1)], runs, says=manifest(1), has=left, deeds=(Deed.POST,)).stale == []
    # Of another key nobody knows that something failed.
    elsewhere = stored(1, [*BY_RECIPE, POSTED.replace("a.jpg", "aa.jpg")])
    assert judge([upload(1)], runs, says=manifest(1), has=elsewhere, deeds=(Deed.POST,)).stale != []


@pytest.mark.parametrize(("first", "is_loud"), [(100.0, False), (103.0, True)])
def test_a_fault_that_a_later_express_execution_of_the_event_made_up_for_is_not_loud(
    first: float, *, is_loud: bool
) -> None:
    """Both have the name of the event; the fault returned its message to the queue."""
    runs = [
        execution(name="upload", status="TIMED_OUT", ended=first),
        execution(name="upload", source_etag="etag 1", made=dict.fromkeys(BY_RECIPE, "bytes 1")),
    ]

    result = judge([upload(1)], runs, says=None, has={})

    assert result.doubled == []
    assert (result.lost == []) is is_loud
