"""The job against a store in memory: what it asks of S3 and in which order, what it makes, keeps, drops and refuses."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Never, cast

import pytest

from functions.reconcile.compare import Entry, Verdict, judge
from functions.resize import job
from functions.resize.encoders import EXTENSIONS
from functions.resize.errors import (
    BucketNotAllowedError,
    ConflictError,
    CorruptImageError,
    InvalidKeyError,
    KeyNotAllowedError,
    NotAnImageError,
    OriginalArchivedError,
    OriginalEmptyError,
    OriginalEncryptedError,
    OriginalNotFoundError,
    OriginalTooLargeError,
    OutputTooLargeError,
    PermanentError,
    StorageUnavailableError,
    TooManyThumbnailsError,
)
from functions.resize.job import MAX_ATTEMPTS, Buckets, Headers, Measurements, run
from functions.resize.limits import Limits
from functions.resize.manifest import Manifest
from functions.resize.recipe import Box, Original, OutputFormat, Placeholder, Recipe, Rendition, Result, Thumbnail
from functions.resize.request import ResizeRequest, parse_request
from functions.resize.storage import NewObject
from functions.start_from_s3.recipes import parse_recipes
from samples.files import colour_of, picture, size_of
from tests.memory_store import MemoryStore, md5

if TYPE_CHECKING:
    from functions.resize.job import Store

BUCKETS = Buckets("originals", "thumbnails")
LIMITS = Limits()
KEY = "trip/example.jpg"
MANIFEST = f"manifests/{KEY}.json"
LARGE, SMALL = "thumbnails/trip/128x128_example.jpg", "thumbnails/trip/64x64_example.jpg"


class UntouchableStore:
    """A store that must not be asked for anything."""

    def __getattr__(self, name: str) -> Never:
        pytest.fail(f"{name} was called")


@pytest.fixture
def untouchable() -> "Store":
    return cast("Store", UntouchableStore())


def by_request(*sides: int, key: str = KEY, **fields: Any) -> ResizeRequest:
    """Return what a client asks for: boxes of these sides, 128 pixels unless told otherwise."""
    sizes = [{"width": side, "height": side} for side in sides or (128,)]
    buckets = {"source_bucket": "originals", "destination_bucket": "thumbnails"}
    return parse_request({**buckets, "object_key": key, "sizes": sizes, **fields})


def by_recipe(*sides: int, **fields: Any) -> ResizeRequest:
    """Return what an event asks for."""
    return by_request(*sides, if_missing="remove", **fields)


def go(store: MemoryStore, request: ResizeRequest, limits: Limits = LIMITS, **more: Any) -> dict[str, Any]:
    return run(request, store, BUCKETS, limits, Measurements(), **more)


def store_with(data: bytes, key: str = KEY, **headers: Any) -> MemoryStore:
    store = MemoryStore()
    store.upload(key, data, **headers)
    return store


def fail(error: BaseException) -> Callable[[], Never]:
    def raise_it() -> Never:
        raise error

    return raise_it


def show(store: MemoryStore, key: str) -> str:
    """Name the colour of a thumbnail."""
    colour = colour_of(store.objects[key].data)
    return ("red", "green", "blue")[colour.index(max(colour))]


def who_asked(store: MemoryStore, key: str = KEY) -> dict[str, list[str]]:
    return {entry["key"]: entry["asked_by"] for entry in store.manifest(key)["thumbnails"]}


class KilledError(BaseException):
    """The sandbox ends here."""


# What comes back.


def test_the_result_is_the_documented_one() -> None:
    data = picture(width=400, height=300)
    store = store_with(data)

    result = go(store, by_request())

    written = store.objects[LARGE].data
    assert result.pop("placeholder").keys() == {"thumbhash", "colour"}
    assert result == {
        "status": "SUCCESS",
        "source": {
            "bucket": "originals",
            "key": KEY,
            "etag": md5(data),
            "version_id": "version-1",
            "format": "JPEG",
            "width": 400,
            "height": 300,
            "bytes": len(data),
        },
        "thumbnails": [
            {
                "bucket": "thumbnails",
                "key": LARGE,
                "url": f"{LARGE}?v={store.objects[LARGE].revision}",
                "box": {"width": 128, "height": 128},
                "fit": "inside",
                "format": "source",
                "quality": None,
                "width": 128,
                "height": 96,
                "bytes": len(written),
                "content_type": "image/jpeg",
                "etag": md5(written),
                "asked_by": ["request"],
            }
        ],
        "removed": [],
    }
    assert size_of(written) == (128, 96)


def test_the_manifest_says_what_the_result_says() -> None:
    store = store_with(picture())

    result = go(store, by_request(128, 64))

    manifest = store.manifest(KEY)
    assert {"bucket": "originals", **manifest["original"]} == result["source"]
    assert [{"bucket": "thumbnails", **entry} for entry in manifest["thumbnails"]] == result["thumbnails"]
    assert manifest["placeholder"] == result["placeholder"]
    assert store.objects[MANIFEST].content_type == "application/json"
    # A page must not show the placeholder of an earlier picture.
    assert store.objects[MANIFEST].cache_control == "no-cache"


def test_several_sizes_come_from_one_read_in_the_order_asked_for() -> None:
    store = store_with(picture())
    sides = [64, 16, 128, 32, 100, 48, 80, 24, 96, 8]

    result = go(store, by_request(*sides))

    assert [made["width"] for made in result["thumbnails"]] == sides
    keys = [f"thumbnails/trip/{side}x{side}_example.jpg" for side in sides]
    assert [made["key"] for made in result["thumbnails"]] == keys
    assert store.thumbnails() == sorted(keys)
    assert store.requests.count("GET original") == 1
    for made in result["thumbnails"]:
        data = store.objects[made["key"]].data
        assert (made["bytes"], made["etag"], size_of(data)[0]) == (len(data), md5(data), made["width"])


def test_every_size_is_made_in_every_format_from_one_read() -> None:
    store = store_with(picture())

    result = go(store, by_request(64, 32, formats=["webp", "source", "avif"]))

    assert [made["key"] for made in result["thumbnails"]] == [
        f"thumbnails/trip/{side}x{side}_example.jpg{extension}"
        for side in (64, 32)
        for extension in (".webp", "", ".avif")
    ]
    assert store.requests.count("GET original") == 1


def test_formats_that_are_the_same_type_are_one_thumbnail() -> None:
    store = store_with(picture())

    result = go(store, by_request(64, formats=["jpeg", "source"]))

    assert [made["key"] for made in result["thumbnails"]] == store.thumbnails() == [SMALL]
    assert result["thumbnails"][0]["format"] == "jpeg"
    go(store, by_recipe(64, formats=["jpeg", "source"]))
    assert store.thumbnails() == [SMALL]


@pytest.mark.parametrize("formats", [["jpeg", "source"], ["source", "jpeg"]])
def test_formats_that_are_the_same_type_are_in_line(formats: list[str]) -> None:
    store = store_with(picture())
    go(store, by_recipe(64, formats=formats))
    recipes = parse_recipes(json.dumps([{"prefix": "", "sizes": ["64x64"], "formats": formats}]), [])
    manifest = Manifest.from_json(json.dumps(store.manifest(KEY)).encode())
    listed = Entry(KEY, manifest.source.etag, size=1, manifest="etag")
    store.take_requests()

    # Or each repeated event and each reconcile would make it again, for ever.
    assert judge(listed, recipes, manifest) is Verdict.IN_LINE
    go(store, by_recipe(64, formats=formats))
    assert store.requests == ["GET manifest", "GET original", "PUT manifest"]


def test_formats_are_made_all_or_none() -> None:
    store = store_with(picture())
    limits = Limits(max_avif_pixels=1000)

    with pytest.raises(OutputTooLargeError) as caught:
        go(store, by_request(64, formats=["webp", "avif"]), limits)

    assert caught.value.unit == "AVIF output pixels"
    assert store.thumbnails() == []


@pytest.mark.parametrize(
    ("stored_as", "key", "asked", "expected"),
    [
        ("JPEG", "a.jpg", "source", "thumbnails/64x64_a.jpg"),
        ("JPEG", "a.jpg", "jpeg", "thumbnails/64x64_a.jpg"),
        ("JPEG", "a.jpg", "webp", "thumbnails/64x64_a.jpg.webp"),
        ("JPEG", "a.jpg", "png", "thumbnails/64x64_a.jpg.png"),
        ("JPEG", "a.jpg", "avif", "thumbnails/64x64_a.jpg.avif"),
        ("TIFF", "a.tif", "source", "thumbnails/64x64_a.tif.jpg"),
        ("BMP", "a.bmp", "source", "thumbnails/64x64_a.bmp.jpg"),
        # The content decides, not the name.
        ("PNG", "a.jpg", "source", "thumbnails/64x64_a.jpg"),
        ("PNG", "a.jpg", "jpeg", "thumbnails/64x64_a.jpg.jpg"),
    ],
)
def test_an_extension_is_appended_when_the_type_changes(stored_as: str, key: str, asked: str, expected: str) -> None:
    store = store_with(picture(stored_as), key)

    result = go(store, by_request(64, key=key, format=asked))

    assert [made["key"] for made in result["thumbnails"]] == [expected]
    assert store.thumbnails() == [expected]


def a_thumbnail(recipe: Recipe) -> Thumbnail:
    return Thumbnail(recipe.renditions[0], b"jpeg", "JPEG", "image/jpeg", ".jpg", 64, 48)


def test_heic_becomes_jpeg_under_a_longer_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def make(_data: bytes, recipe: Recipe, _limits: Limits) -> Result:
        placeholder = Placeholder("thumbhash", "#000000")
        return Result(Original("HEIF", 4032, 3024, 1), (a_thumbnail(recipe),), placeholder, ("A warning.",))

    # Nothing here writes HEIC, so the engine is left out.
    monkeypatch.setattr(job, "make_thumbnails", make)
    measurements = Measurements()

    result = run(by_request(key="IMG_1.HEIC"), store_with(b"heic", "IMG_1.HEIC"), BUCKETS, LIMITS, measurements)

    assert result["source"]["format"] == "HEIF"
    assert result["thumbnails"][0]["key"] == "thumbnails/128x128_IMG_1.HEIC.jpg"
    assert measurements.warnings == ["A warning."]


def test_the_recipe_of_the_request_reaches_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[bytes, Recipe, Limits]] = []

    def make(data: bytes, recipe: Recipe, limits: Limits) -> Result:
        seen.append((data, recipe, limits))
        placeholder = Placeholder("thumbhash", "#000000")
        return Result(Original("JPEG", 400, 300, 1), (a_thumbnail(recipe),), placeholder, ())

    monkeypatch.setattr(job, "make_thumbnails", make)
    request = by_request(64, format="webp", quality=33, fit="cover")

    go(store_with(b"the bytes"), request)

    assert seen == [(b"the bytes", request.recipe, LIMITS)]
    (rendition,) = request.recipe.renditions
    assert rendition == Rendition(Box(64, 64), rendition.fit, OutputFormat.WEBP, 33)


# What is asked of S3, and in which order.


def test_the_first_upload_ends_with_a_look_at_what_is_there() -> None:
    store = store_with(picture())

    go(store, by_recipe())

    assert store.requests == [
        "GET manifest",
        "GET original",
        f"PUT {LARGE}",
        "PUT manifest",
        f"HEAD {LARGE}",
        "HEAD original",
    ]


def test_a_repeated_event_downloads_and_makes_nothing() -> None:
    store = store_with(picture())
    first = go(store, by_recipe())
    before = store.manifest(KEY)
    store.take_requests()

    again = go(store, by_recipe())

    assert store.requests == ["GET manifest", "GET original", "PUT manifest"]
    assert again == first
    # A slow run that saw another original must not be able to commit after this one.
    assert store.manifest(KEY) == {**before, "revision": store.manifest(KEY)["revision"]}
    assert store.manifest(KEY)["revision"] != before["revision"]


def test_a_repeated_event_leaves_out_what_requests_asked_for() -> None:
    store = store_with(picture())
    go(store, by_recipe(128))
    go(store, by_request(64))
    store.take_requests()

    result = go(store, by_recipe(128))

    assert [made["key"] for made in result["thumbnails"]] == [LARGE]
    assert store.requests == ["GET manifest", "GET original", "PUT manifest"]
    assert store.thumbnails() == [LARGE, SMALL]


def test_a_request_on_a_known_key_makes_what_it_asks_for() -> None:
    store = store_with(picture())
    go(store, by_recipe(128))
    store.take_requests()

    result = go(store, by_request(64))

    assert store.requests == ["GET manifest", "GET original", f"PUT {SMALL}", "PUT manifest"]
    assert [made["key"] for made in result["thumbnails"]] == [SMALL]
    assert who_asked(store) == {LARGE: ["recipe"], SMALL: ["request"]}


def test_a_request_for_what_is_there_makes_it_all_the_same() -> None:
    store = store_with(picture())
    go(store, by_recipe())
    store.take_requests()

    go(store, by_request())

    assert store.requests == ["GET manifest", "GET original", f"PUT {LARGE}", "PUT manifest"]
    assert who_asked(store) == {LARGE: ["recipe", "request"]}


def test_a_replaced_original_is_made_again_without_a_look_at_the_end() -> None:
    store = store_with(picture(colour="red"))
    go(store, by_recipe(128, 64))
    store.take_requests()
    etag = store.upload(KEY, picture(colour="blue"))

    result = go(store, by_recipe(128, 64))

    assert store.requests[:2] == ["GET manifest", "GET original"]
    assert sorted(store.requests[2:4]) == [f"PUT {LARGE}", f"PUT {SMALL}"]
    assert store.requests[4:] == ["PUT manifest"]
    assert store.manifest(KEY)["original"]["etag"] == result["source"]["etag"] == etag
    assert (show(store, LARGE), show(store, SMALL)) == ("blue", "blue")


def test_a_removed_original_loses_its_thumbnails_first_and_its_manifest_last() -> None:
    store = store_with(picture())
    go(store, by_recipe(128))
    go(store, by_request(64))
    store.take_requests()
    store.remove(KEY)

    result = go(store, by_recipe(128))

    assert store.requests[:2] == ["GET manifest", "GET original"]
    assert sorted(store.requests[2:4]) == [f"DELETE {LARGE}", f"DELETE {SMALL}"]
    assert store.requests[4:] == ["DELETE manifest"]
    assert store.objects == {}
    assert result == {
        "status": "SUCCESS",
        "source": {"bucket": "originals", "key": KEY},
        "placeholder": None,
        "thumbnails": [],
        "removed": [LARGE, SMALL],
    }


def test_a_removal_of_what_never_had_thumbnails_only_looks() -> None:
    store = MemoryStore()

    result = go(store, by_recipe(128))

    assert store.requests[:2] == ["GET manifest", "GET original"]
    assert {name.partition(" ")[0] for name in store.requests[2:]} == {"HEAD"}
    assert len(store.requests) == 2 + 1 + len(EXTENSIONS)
    assert (result["status"], result["removed"]) == ("SUCCESS", [])


def test_a_request_for_a_missing_original_fails() -> None:
    store = MemoryStore()

    with pytest.raises(OriginalNotFoundError) as caught:
        go(store, by_request())

    assert (caught.value.bucket, caught.value.key) == ("originals", KEY)
    assert store.requests == ["GET manifest", "GET original"]


def test_a_request_for_an_original_that_is_gone_removes_its_thumbnails_and_fails() -> None:
    store = store_with(picture())
    go(store, by_recipe())
    store.remove(KEY)

    with pytest.raises(OriginalNotFoundError):
        go(store, by_request())

    assert store.objects == {}


def test_thumbnails_are_written_before_what_is_not_wanted_is_deleted_and_the_manifest_is_last() -> None:
    store = store_with(picture())
    go(store, by_recipe(64))
    store.take_requests()

    go(store, by_recipe(128))

    assert store.requests == ["GET manifest", "GET original", f"PUT {LARGE}", f"DELETE {SMALL}", "PUT manifest"]


def test_an_undelete_brings_the_thumbnails_back() -> None:
    store = store_with(picture())
    go(store, by_recipe())
    store.remove(KEY)
    go(store, by_recipe())
    store.pop(KEY)

    go(store, by_recipe())

    assert store.thumbnails() == [LARGE]


# What is kept, made again and dropped.


def test_what_a_request_asked_for_is_made_again_of_another_original() -> None:
    store = store_with(picture(colour="red"))
    go(store, by_recipe(128))
    go(store, by_request(64, fit="cover", format="webp", quality=50))
    store.upload(KEY, picture(colour="blue"))

    result = go(store, by_recipe(128))

    webp = "thumbnails/trip/64x64-cover_example.jpg.webp"
    assert [made["key"] for made in result["thumbnails"]] == [LARGE]
    assert (show(store, LARGE), show(store, webp)) == ("blue", "blue")
    assert who_asked(store) == {LARGE: ["recipe"], webp: ["request"]}
    assert store.manifest(KEY)["thumbnails"][1]["quality"] == 50


def test_a_request_that_sees_another_original_first_makes_everything_again() -> None:
    store = store_with(picture(colour="red"))
    go(store, by_recipe(128))
    store.upload(KEY, picture(colour="blue"))

    go(store, by_request(64))

    assert (show(store, LARGE), show(store, SMALL)) == ("blue", "blue")
    assert who_asked(store) == {SMALL: ["request"], LARGE: ["recipe"]}


def test_a_size_that_the_recipe_lost_goes() -> None:
    store = store_with(picture())
    go(store, by_recipe(128, 64))

    result = go(store, by_recipe(128))

    assert result["removed"] == [SMALL]
    assert store.thumbnails() == [LARGE]
    assert who_asked(store) == {LARGE: ["recipe"]}


def test_a_size_that_the_recipe_lost_stays_where_a_request_asked_for_it() -> None:
    store = store_with(picture())
    go(store, by_recipe(128, 64))
    go(store, by_request(64))

    result = go(store, by_recipe(128))

    assert result["removed"] == []
    assert who_asked(store) == {LARGE: ["recipe"], SMALL: ["request"]}


def test_a_format_that_the_recipe_lost_goes() -> None:
    store = store_with(picture())
    go(store, by_recipe(64, formats=["source", "webp"]))

    result = go(store, by_recipe(64, formats=["source"]))

    assert result["removed"] == [f"{SMALL}.webp"]
    assert store.thumbnails() == [SMALL]


def test_another_quality_replaces_the_thumbnail() -> None:
    store = store_with(picture())
    go(store, by_recipe(64, quality=90))

    result = go(store, by_recipe(64, quality=20))

    assert (result["removed"], store.thumbnails()) == ([], [SMALL])
    (entry,) = store.manifest(KEY)["thumbnails"]
    assert (entry["quality"], entry["etag"]) == (20, store.etags[SMALL])


def test_a_thumbnail_under_another_key_than_before_replaces_it() -> None:
    store = store_with(picture("JPEG", colour="red"))
    go(store, by_recipe(64))
    store.upload(KEY, picture("TIFF", colour="blue"))

    result = go(store, by_recipe(64))

    assert result["removed"] == [SMALL]
    assert store.thumbnails() == [f"{SMALL}.jpg"]


def test_what_other_keys_have_is_let_alone() -> None:
    store = store_with(picture())
    store.upload("trip/other.jpg", picture())
    go(store, by_recipe(key="trip/other.jpg"))
    others = dict(store.objects)
    go(store, by_recipe(128, 64))
    store.upload(KEY, picture("TIFF"))
    go(store, by_recipe(128))
    store.remove(KEY)

    go(store, by_recipe(128))

    assert store.objects == others


# Originals that cannot be read.


def test_a_replacement_that_is_no_picture_takes_the_thumbnails_with_it() -> None:
    store = store_with(picture())
    go(store, by_recipe(128))
    go(store, by_request(64))
    etag = store.upload(KEY, b"plain text, and nothing else")

    with pytest.raises(NotAnImageError) as caught:
        go(store, by_recipe(128))

    manifest = store.manifest(KEY)
    assert store.thumbnails() == manifest["thumbnails"] == []
    assert manifest["original"] == {"key": KEY, "etag": etag, "version_id": "version-2", "bytes": 28}
    assert manifest["error"] == {"name": "NotAnImageError", "message": str(caught.value)}
    assert manifest["placeholder"] is None


@pytest.mark.parametrize(
    ("data", "error"), [(b"", OriginalEmptyError), (picture() + bytes(200_000), OriginalTooLargeError)]
)
def test_a_replacement_that_is_refused_by_its_size_takes_the_thumbnails_with_it(
    data: bytes, error: type[PermanentError]
) -> None:
    store = store_with(picture())
    limits = Limits(max_bytes=200_000)
    go(store, by_recipe(), limits)
    etag = store.upload(KEY, data)

    with pytest.raises(error):
        go(store, by_recipe(), limits)

    assert store.thumbnails() == []
    assert store.manifest(KEY)["original"] == {"key": KEY, "etag": etag}


def test_an_unreadable_original_is_looked_at_again_every_time() -> None:
    store = store_with(b"plain text, and nothing else")
    for _ in range(2):
        with pytest.raises(NotAnImageError):
            go(store, by_recipe())

    store.take_requests()
    store.upload(KEY, picture())
    go(store, by_recipe())

    assert store.requests == ["GET manifest", "GET original", f"PUT {LARGE}", "PUT manifest"]
    assert "error" not in store.manifest(KEY)


def test_a_later_engine_that_cannot_read_the_same_original_keeps_its_thumbnails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = store_with(picture())
    go(store, by_recipe(128))
    before = store.manifest(KEY)
    monkeypatch.setattr(job, "make_thumbnails", lambda *_: fail(CorruptImageError("JPEG"))())

    for request in (by_request(64), by_recipe(128, 64), by_recipe(64)):
        with pytest.raises(CorruptImageError):
            go(store, request)

    assert store.thumbnails() == [LARGE]
    assert store.manifest(KEY) == {**before, "revision": store.manifest(KEY)["revision"]}


def test_what_was_half_replaced_goes_where_the_same_original_cannot_be_read_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run of another original was killed after its first write, and the older version came back."""
    store = store_with(picture(colour="red"))
    go(store, by_recipe(128, 64))
    store.upload(KEY, picture(colour="blue"))
    store.before[f"PUT {SMALL}"] = fail(KilledError())
    monkeypatch.setattr("functions.resize.job._Key._at_once", one_after_the_other)
    with pytest.raises(KilledError):
        go(store, by_recipe(128, 64))
    store.pop(KEY)
    monkeypatch.setattr(job, "make_thumbnails", lambda *_: fail(CorruptImageError("JPEG"))())

    with pytest.raises(CorruptImageError):
        go(store, by_recipe(128, 64), is_retry=True)

    assert store.thumbnails() == [SMALL]
    assert show(store, SMALL) == "red"
    assert list(who_asked(store)) == [SMALL]


def one_after_the_other(_self: object, call: Callable[[str], Any], keys: Any) -> dict[str, Any]:
    return {key: call(key) for key in keys}


@pytest.mark.parametrize("refusal", [OriginalArchivedError, OriginalEncryptedError])
def test_thumbnails_of_an_original_that_s3_keeps_back_stay(refusal: type[PermanentError]) -> None:
    store = store_with(picture())
    go(store, by_recipe())
    store.refusals[KEY] = refusal(KEY)
    store.refusals[KEY].etag = md5(picture())

    with pytest.raises(refusal):
        go(store, by_recipe())

    assert store.thumbnails() == [LARGE]
    assert "error" not in store.manifest(KEY)


@pytest.mark.parametrize("refusal", [OriginalArchivedError, OriginalEncryptedError])
@pytest.mark.parametrize("etag", ["of another one", None])
def test_thumbnails_go_where_s3_keeps_another_original_back(etag: str | None, refusal: type[PermanentError]) -> None:
    store = store_with(picture())
    go(store, by_recipe())
    store.refusals[KEY] = refusal(KEY)
    store.refusals[KEY].etag = etag

    with pytest.raises(refusal):
        go(store, by_recipe())

    assert store.thumbnails() == []
    manifest = store.manifest(KEY)
    assert manifest["error"]["name"] == refusal.__name__
    assert manifest["original"].get("etag") == etag


# How many are kept.


def test_a_request_beyond_what_a_manifest_lists_is_refused_and_costs_nothing() -> None:
    store = store_with(picture())
    limits = Limits(max_thumbnails=3)
    go(store, by_recipe(128, 64), limits)
    go(store, by_request(32), limits)
    there = store.thumbnails()

    with pytest.raises(TooManyThumbnailsError) as caught:
        go(store, by_request(16), limits)

    assert (caught.value.thumbnails, caught.value.limit) == (4, 3)
    assert store.thumbnails() == there
    assert len(store.manifest(KEY)["thumbnails"]) == 3
    # One that is there already is no more.
    assert go(store, by_request(32), limits)["status"] == "SUCCESS"


def test_a_recipe_that_needs_the_room_takes_it_from_the_oldest_requests() -> None:
    store = store_with(picture())
    limits = Limits(max_thumbnails=3)
    for side in (8, 16, 32):
        go(store, by_request(side), limits)

    result = go(store, by_recipe(128, 64), limits)

    assert len(store.manifest(KEY)["thumbnails"]) == len(store.thumbnails()) == 3
    assert result["status"] == "SUCCESS"
    assert len(result["removed"]) == 2
    assert {LARGE, SMALL} <= set(store.thumbnails())


def test_what_is_too_large_of_a_new_original_is_dropped_and_the_recipes_are_made() -> None:
    store = store_with(picture(width=64, height=64, colour="red"))
    limits = Limits(max_output_pixels=100_000)
    go(store, by_recipe(128), limits)
    go(store, by_request(1000), limits)
    store.upload(KEY, picture(width=1000, height=1000, colour="blue"))
    measurements = Measurements()

    result = run(by_recipe(128), store, BUCKETS, limits, measurements)

    assert store.thumbnails() == [LARGE]
    assert result["removed"] == ["thumbnails/trip/1000x1000_example.jpg"]
    assert show(store, LARGE) == "blue"
    assert len(measurements.warnings) == 1


# Who else was here.


def test_thumbnails_of_an_earlier_version_of_this_product_are_taken_over() -> None:
    store = store_with(picture(colour="blue"))
    store.put(NewObject(LARGE, picture(colour="red"), "image/jpeg", ""))
    measurements = Measurements()

    run(by_recipe(), store, BUCKETS, LIMITS, measurements)

    head = f"HEAD {LARGE}"
    first = ["GET manifest", "GET original", f"PUT {LARGE}", head]
    second = ["GET manifest", head, "GET original", f"PUT {LARGE}", "PUT manifest", head, "HEAD original"]
    assert store.requests == [*first, *second]
    assert measurements.attempts == 2
    assert store.thumbnails() == [LARGE]
    assert show(store, LARGE) == "blue"
    assert who_asked(store) == {LARGE: ["recipe"]}


@pytest.mark.parametrize("extension", ["", ".jpg", ".webp"])
def test_thumbnails_of_an_earlier_version_of_this_product_go_with_their_original(extension: str) -> None:
    store = MemoryStore()
    store.put(NewObject(f"{LARGE}{extension}", picture(), "image/jpeg", ""))

    result = go(store, by_recipe())

    assert result["removed"] == [f"{LARGE}{extension}"]
    assert store.objects == {}
    # The manifest in between is for a run that has seen the original before it went: its first manifest must fail.
    changes = [name for name in store.requests if name.startswith(("PUT", "DELETE"))]
    assert changes == ["PUT manifest", f"DELETE {LARGE}{extension}", "DELETE manifest"]


def test_an_original_that_is_replaced_meanwhile_is_done_again_and_the_last_bytes_win() -> None:
    store = store_with(picture(colour="red"))
    go(store, by_recipe())
    store.upload(KEY, picture(colour="green"))
    etags: list[str] = []

    def overtake() -> None:
        etags.append(store.upload(KEY, picture(colour="blue")))
        go(store, by_recipe())

    store.after["GET original"] = overtake
    measurements = Measurements()

    result = run(by_recipe(), store, BUCKETS, LIMITS, measurements)

    assert measurements.attempts == 2
    assert [result["source"]["etag"]] == etags
    assert show(store, LARGE) == "blue"


def test_a_key_that_others_change_every_time_is_left_to_a_retry() -> None:
    store = store_with(picture())
    go(store, by_recipe())
    colours = iter(("red", "green", "blue", "teal", "black"))

    def overtake() -> None:
        store.objects[MANIFEST] = replace(store.objects[MANIFEST], data=store.objects[MANIFEST].data + b" ")
        store.put(store.objects[MANIFEST])
        store.upload(KEY, picture(colour=next(colours)))
        store.after["GET original"] = overtake

    store.after["GET original"] = overtake
    measurements = Measurements()

    with pytest.raises(ConflictError) as caught:
        run(by_recipe(), store, BUCKETS, LIMITS, measurements)

    assert (caught.value.key, caught.value.attempts) == (KEY, MAX_ATTEMPTS)
    assert measurements.attempts == MAX_ATTEMPTS


def test_a_first_manifest_that_meets_a_removal_is_taken_back() -> None:
    store = store_with(picture())

    def remove() -> None:
        # It finds no manifest, and its look at thumbnails came before they were there.
        store.remove(KEY)

    store.before["PUT manifest"] = remove

    result = go(store, by_recipe())

    assert store.objects == {}
    assert result["removed"] == [LARGE]


def test_a_first_manifest_whose_thumbnail_was_removed_is_made_again() -> None:
    store = store_with(picture())
    store.before["PUT manifest"] = lambda: store.drop(LARGE)

    go(store, by_recipe())

    assert store.thumbnails() == [LARGE]
    assert store.manifest(KEY)["thumbnails"][0]["etag"] == store.etags[LARGE]


# Faults.


@pytest.mark.parametrize("known", [False, True], ids=["first", "known"])
@pytest.mark.parametrize("name", [f"PUT {LARGE}", "PUT manifest"])
def test_a_write_that_arrived_although_its_answer_was_lost_is_no_stranger(name: str, *, known: bool) -> None:
    store = store_with(picture(colour="red"))
    if known:
        go(store, by_recipe())
        store.upload(KEY, picture(colour="blue"))
    store.repeated.add(name)
    measurements = Measurements()

    result = run(by_recipe(), store, BUCKETS, LIMITS, measurements)

    assert measurements.attempts == 1
    assert store.repeated == set()
    assert result["thumbnails"][0]["etag"] == store.etags[LARGE]
    assert show(store, LARGE) == ("blue" if known else "red")


@pytest.mark.parametrize(("name", "attempts"), [(f"DELETE {LARGE}", 1), ("DELETE manifest", 2)])
def test_a_delete_that_arrived_although_its_answer_was_lost_is_done(name: str, attempts: int) -> None:
    store = store_with(picture())
    go(store, by_recipe())
    store.remove(KEY)
    store.repeated.add(name)
    measurements = Measurements()

    result = run(by_recipe(), store, BUCKETS, LIMITS, measurements)

    assert (result["status"], measurements.attempts) == ("SUCCESS", attempts)
    assert store.objects == {}
    assert store.repeated == set()


def test_a_delete_that_meets_another_thumbnail_deletes_nothing_unseen() -> None:
    store = store_with(picture())
    go(store, by_recipe(128, 64))
    store.before[f"DELETE {SMALL}"] = lambda: store.put(NewObject(SMALL, picture(colour="red"), "image/jpeg", "other"))
    measurements = Measurements()

    run(by_recipe(128), store, BUCKETS, LIMITS, measurements)

    assert measurements.attempts == 2
    assert store.thumbnails() == [LARGE]


@pytest.mark.parametrize("sides", [[64], [64, 32]], ids=["one write", "several writes"])
@pytest.mark.parametrize(
    "name", ["GET manifest", "GET original", f"PUT {SMALL}", "PUT manifest", f"HEAD {SMALL}", "HEAD original"]
)
def test_transient_errors_are_not_swallowed(name: str, sides: list[int]) -> None:
    store = store_with(picture())
    error = StorageUnavailableError("Anything", "SlowDown")
    store.before[name] = fail(error)

    with pytest.raises(StorageUnavailableError) as caught:
        go(store, by_recipe(*sides))

    assert caught.value is error


@pytest.mark.parametrize("name", [f"DELETE {SMALL}", "DELETE manifest"])
def test_transient_errors_of_a_removal_are_not_swallowed(name: str) -> None:
    store = store_with(picture())
    go(store, by_recipe(64))
    store.remove(KEY)
    store.before[name] = fail(StorageUnavailableError("DeleteObject", "SlowDown"))

    with pytest.raises(StorageUnavailableError):
        go(store, by_recipe(64))

    assert go(store, by_recipe(64), is_retry=True)["status"] == "SUCCESS"
    assert store.objects == {}


@pytest.mark.parametrize("name", [f"PUT {LARGE}", "PUT manifest", f"HEAD {LARGE}", "HEAD original"])
def test_a_run_that_was_killed_is_ended_by_the_next_one(name: str) -> None:
    store = store_with(picture())
    store.before[name] = fail(KilledError())
    with pytest.raises(KilledError):
        go(store, by_recipe())

    result = go(store, by_recipe(), is_retry=True)

    assert store.thumbnails() == [LARGE]
    assert store.manifest(KEY)["thumbnails"][0]["etag"] == result["thumbnails"][0]["etag"] == store.etags[LARGE]


def test_a_retry_looks_at_what_the_first_try_may_have_left() -> None:
    store = store_with(picture(colour="red"))
    store.before["PUT manifest"] = fail(KilledError())
    with pytest.raises(KilledError):
        go(store, by_recipe())
    store.remove(KEY)

    result = go(store, by_recipe(), is_retry=True)

    assert result["removed"] == [LARGE]
    assert store.objects == {}


def test_a_retry_does_not_take_what_a_killed_run_wrote_for_what_the_manifest_lists() -> None:
    """The killed run saw another original, and the older version came back."""
    store = store_with(picture(colour="red"))
    go(store, by_recipe(128))
    go(store, by_request(64))
    store.upload(KEY, picture(colour="blue"))
    store.before["PUT manifest"] = fail(KilledError())
    with pytest.raises(KilledError):
        go(store, by_recipe(128))
    store.pop(KEY)

    go(store, by_recipe(128), is_retry=True)

    # What a request asked for is made again with the rest.
    assert (show(store, LARGE), show(store, SMALL)) == ("red", "red")
    assert who_asked(store) == {LARGE: ["recipe"], SMALL: ["request"]}


@pytest.mark.parametrize("data", [b"", b"no JSON", b"{}", b'{"revision": "r", "original": {}}'])
def test_a_broken_manifest_is_replaced_with_a_warning(data: bytes) -> None:
    store = store_with(picture())
    go(store, by_recipe(128))
    store.put(NewObject(MANIFEST, data, "application/json", ""))
    measurements = Measurements()

    run(by_recipe(128), store, BUCKETS, LIMITS, measurements)

    assert measurements.warnings
    assert list(who_asked(store)) == store.thumbnails() == [LARGE]


def test_a_broken_manifest_goes_with_its_original_and_the_thumbnails() -> None:
    store = store_with(picture())
    go(store, by_recipe(128))
    store.put(NewObject(MANIFEST, b"{}", "application/json", ""))
    store.remove(KEY)

    go(store, by_recipe(128))

    assert store.objects == {}


# What is refused before anything is read.


@pytest.mark.parametrize(
    ("bucket_field", "bucket"), [("source_bucket", "elsewhere"), ("destination_bucket", "originals")]
)
def test_other_buckets_are_refused_before_the_store_is_asked(
    bucket_field: str, bucket: str, untouchable: "Store"
) -> None:
    with pytest.raises(BucketNotAllowedError) as caught:
        run(by_request(**{bucket_field: bucket}), untouchable, BUCKETS, LIMITS, Measurements())

    assert (caught.value.field, caught.value.bucket) == (bucket_field, bucket)


def test_keys_outside_the_prefix_are_refused_before_the_store_is_asked(untouchable: "Store") -> None:
    below = Buckets("originals", "thumbnails", "photos/")

    with pytest.raises(KeyNotAllowedError) as caught:
        run(by_request(key="photo/a.jpg"), untouchable, below, LIMITS, Measurements())

    assert (caught.value.key, caught.value.prefix) == ("photo/a.jpg", "photos/")


def test_keys_with_the_prefix_are_served() -> None:
    store = store_with(picture(), "photos/a.jpg")
    below = Buckets("originals", "thumbnails", "photos/")

    run(by_request(64, key="photos/a.jpg"), store, below, LIMITS, Measurements())

    assert "thumbnails/photos/64x64_a.jpg" in store.objects


def test_one_bucket_for_both_is_refused() -> None:
    with pytest.raises(ValueError, match="the same bucket, 'mine'"):
        Buckets("mine", "mine")


def test_unusable_keys_are_refused_before_the_store_is_asked(untouchable: "Store") -> None:
    with pytest.raises(InvalidKeyError) as caught:
        run(by_request(key="../a.jpg"), untouchable, BUCKETS, LIMITS, Measurements())

    assert caught.value.key == "../a.jpg"


def test_a_key_of_1024_bytes_is_written_and_one_more_is_refused_before_the_first_thumbnail() -> None:
    longest = "a" * (1024 - len("thumbnails/128x128_"))
    fits, too_long = longest[: -len(".webp")], longest[: -len(".webp") + 1]

    for key, wanted in ((longest, "source"), (longest, "jpeg"), (fits, "webp")):
        go(store_with(picture(), key), by_request(8, 128, key=key, format=wanted))

    store = store_with(picture(), too_long)
    with pytest.raises(InvalidKeyError, match="would have 1,025 bytes"):
        go(store, by_request(8, 128, key=too_long, format="webp"))
    assert store.thumbnails() == []


@pytest.mark.parametrize(
    ("limits", "amount", "limit", "unit"),
    [
        (Limits(max_outputs=1), 2, 1, "thumbnails"),
        (Limits(max_output_side=100), 200, 100, "pixels on a side"),
        (Limits(max_output_pixels=40_000), 50_000, 40_000, "output pixels"),
    ],
)
def test_too_much_output_is_refused_before_the_store_is_asked(
    limits: Limits, amount: int, limit: int, unit: str, untouchable: "Store"
) -> None:
    with pytest.raises(OutputTooLargeError) as caught:
        run(by_request(200, 100, fit="cover"), untouchable, BUCKETS, limits, Measurements())

    assert (caught.value.amount, caught.value.limit, caught.value.unit) == (amount, limit, unit)


# Headers, ETags and times.


def test_thumbnails_carry_what_the_list_names_and_nothing_else() -> None:
    store = store_with(
        picture(), content_disposition='inline; filename="a.jpg"', metadata={"author": "Ada", "secret": "yes"}
    )

    go(store, by_recipe(), headers=Headers("max-age=60", frozenset({"content-disposition", "author", "missing"})))

    written = store.objects[LARGE]
    assert written.cache_control == "max-age=60"
    assert written.content_disposition == 'inline; filename="a.jpg"'
    assert written.metadata == {"author": "Ada", "original-etag": md5(picture())}


def test_without_a_list_nothing_is_carried() -> None:
    store = store_with(picture(), content_disposition="attachment", metadata={"author": "Ada"})

    go(store, by_recipe())

    written = store.objects[LARGE]
    assert (written.cache_control, written.content_disposition) == (None, None)
    assert written.metadata == {"original-etag": md5(picture())}


def test_what_an_original_says_of_itself_does_not_replace_what_the_pipeline_says() -> None:
    store = store_with(picture(), metadata={"original-etag": "forged", "revision": "forged"})

    go(store, by_recipe(), headers=Headers("", frozenset({"original-etag", "revision"})))

    assert store.objects[LARGE].metadata["original-etag"] == md5(picture())


def unlike_md5() -> Callable[[bytes], str]:
    """Return ETags as SSE-KMS makes them: no two writes have the same one."""
    numbers = iter(range(1_000_000))
    return lambda _data: f"{next(numbers):032x}"


@pytest.mark.parametrize("etag", [lambda data: f"{md5(data)}-2", unlike_md5()], ids=["multipart", "SSE-KMS"])
def test_etags_are_taken_as_they_are(etag: Callable[[bytes], str]) -> None:
    store = MemoryStore(etag=etag)
    first = store.upload(KEY, picture(colour="red"))
    assert go(store, by_recipe(128))["source"]["etag"] == first
    store.take_requests()
    go(store, by_recipe(128))
    assert store.take_requests() == ["GET manifest", "GET original", "PUT manifest"]
    go(store, by_request(64))
    second = store.upload(KEY, picture(colour="blue"))

    go(store, by_recipe(128))

    assert store.manifest(KEY)["original"]["etag"] == second
    assert (show(store, LARGE), show(store, SMALL)) == ("blue", "blue")
    assert {entry["key"]: entry["etag"] for entry in store.manifest(KEY)["thumbnails"]} == {
        key: store.etags[key] for key in (LARGE, SMALL)
    }
    store.remove(KEY)
    go(store, by_recipe(128))
    assert store.objects == {}


def test_a_bucket_without_versions_has_no_version_id() -> None:
    store = store_with(picture())
    (found,) = store.versions[KEY]
    assert found is not None
    store.versions[KEY] = [replace(found, version_id=None)]

    result = go(store, by_recipe())

    assert "version_id" not in result["source"]
    assert "version_id" not in store.manifest(KEY)["original"]


def test_the_time_of_every_attempt_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(100))
    monkeypatch.setattr("functions.resize.job.time.perf_counter", lambda: next(ticks))
    store = store_with(picture())
    store.put(NewObject(LARGE, b"of an earlier version", "image/jpeg", ""))
    measurements = Measurements()

    run(by_recipe(), store, BUCKETS, LIMITS, measurements)

    # One tick of a second for each step of each of the two attempts.
    assert (measurements.download_ms, measurements.resize_ms, measurements.upload_ms) == (2000, 2000, 2000)
    assert measurements.written == 1
