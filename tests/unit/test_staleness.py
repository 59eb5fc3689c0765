"""Nine ways in which a thumbnails bucket can go stale, each against a versioned S3 in memory and the real engine."""

from functools import partial
from typing import Any

from PIL import Image

from functions.resize.errors import PermanentError
from functions.resize.job import Buckets, Measurements, run
from functions.resize.limits import Limits
from functions.resize.request import parse_request
from functions.resize.storage import ConditionFailedError, NewObject
from samples.files import colour_of, encoded
from tests.memory_store import MemoryStore

COLOURS = {"red": (220, 0, 0), "green": (0, 200, 0), "blue": (0, 0, 220)}
BOX = {"width": 128, "height": 128}


def picture(colour: str, format: str = "JPEG", size: tuple[int, int] = (64, 64), mode: str = "RGB") -> bytes:
    alpha = (128,) if mode == "RGBA" else ()
    return encoded(Image.new(mode, size, (*COLOURS[colour], *alpha)), format)


def hint(store: MemoryStore, key: str = "a.jpg") -> dict[str, Any]:
    """Work on an event of the key."""
    return _run(store, key, sizes=[BOX], if_missing="remove")


def post(store: MemoryStore, width: int, height: int, key: str = "a.jpg") -> dict[str, Any]:
    """Work on a client's request."""
    return _run(store, key, width=width, height=height)


def _run(store: MemoryStore, key: str, **wanted: Any) -> dict[str, Any]:
    buckets = {"source_bucket": "originals", "destination_bucket": "thumbnails"}
    request = parse_request({**buckets, "object_key": key, **wanted})
    try:
        return run(request, store, Buckets("originals", "thumbnails"), Limits(), Measurements())
    except PermanentError as error:
        return {"status": "FAILED", "error": type(error).__name__}


def shown(store: MemoryStore) -> dict[str, str]:
    """Name the colour of every thumbnail, and check that the manifests list exactly these."""
    listed = [
        entry["key"] for key in store.versions for entry in (store.manifest(key) or {"thumbnails": []})["thumbnails"]
    ]
    assert sorted(listed) == store.thumbnails()
    return {key: _nearest(colour_of(store.objects[key].data)) for key in store.thumbnails()}


def _nearest(colour: tuple[int, int, int]) -> str:
    return min(COLOURS, key=lambda name: sum(abs(a - b) for a, b in zip(COLOURS[name], colour, strict=True)))


def test_1_what_a_request_made_follows_the_original() -> None:
    store = MemoryStore()
    store.upload("a.jpg", picture("red"))
    hint(store)
    post(store, 320, 200)
    store.upload("a.jpg", picture("blue"))

    hint(store)

    assert shown(store) == {"thumbnails/128x128_a.jpg": "blue", "thumbnails/320x200_a.jpg": "blue"}


def test_2_a_picture_that_is_deleted_with_all_it_had_while_a_run_has_read_it_does_not_come_back() -> None:
    store = MemoryStore()
    store.upload("a.jpg", picture("red"))
    hint(store)

    def forget() -> None:
        store.versions["a.jpg"].clear()
        for key in list(store.objects):
            store.drop(key)

    store.after["GET original"] = forget

    hint(store)

    assert store.objects == {}


def test_2_nor_where_the_run_was_the_first_of_its_key() -> None:
    store = MemoryStore()
    store.upload("a.jpg", picture("red"))

    def forget() -> None:
        store.versions["a.jpg"].clear()
        hint(store)

    store.after["GET original"] = forget

    hint(store)

    assert store.objects == {}


def test_3_a_write_that_lands_after_its_repetition_and_the_next_upload_changes_nothing() -> None:
    store = MemoryStore()
    key = "thumbnails/128x128_a.jpg"
    store.upload("a.jpg", picture("red"))
    hint(store)
    # The body of the first attempt is still on its way; the second one is here.
    late = store.objects[key]
    store.upload("a.jpg", picture("blue"))
    hint(store)

    assert is_refused(store, late, None)

    assert shown(store) == {key: "blue"}


def is_refused(store: MemoryStore, new: NewObject, replaces: str | None) -> bool:
    try:
        store.write("thumbnails", new, replaces)
    except ConditionFailedError:
        return True
    return False


def test_3_nor_does_the_late_write_of_a_replacement() -> None:
    store = MemoryStore()
    key = "thumbnails/128x128_a.jpg"
    store.upload("a.jpg", picture("green"))
    hint(store)
    replaced = store.etags[key]
    store.upload("a.jpg", picture("red"))
    hint(store)
    late = store.objects[key]
    store.upload("a.jpg", picture("blue"))
    hint(store)

    assert is_refused(store, late, replaced)

    assert shown(store) == {key: "blue"}


def test_4_a_roll_back_to_an_older_version_is_followed() -> None:
    store = MemoryStore()
    store.upload("a.jpg", picture("red"))
    hint(store)
    store.upload("a.jpg", picture("blue"))
    hint(store)
    store.pop("a.jpg")

    hint(store)

    assert shown(store) == {"thumbnails/128x128_a.jpg": "red"}


def test_5_a_run_that_is_overtaken_while_the_original_comes_and_goes_shows_the_last_one() -> None:
    store = MemoryStore()
    store.upload("a.jpg", picture("red"))

    def overtake() -> None:
        store.upload("a.jpg", picture("blue"))
        hint(store)
        store.remove("a.jpg")

    store.after["GET original"] = overtake
    hint(store)
    store.pop("a.jpg")

    hint(store)

    assert shown(store) == {"thumbnails/128x128_a.jpg": "blue"}


def test_6_a_broken_upload_takes_the_thumbnails_of_its_predecessor_with_it() -> None:
    store = MemoryStore()
    store.upload("a.jpg", picture("red"))
    hint(store)
    store.upload("a.jpg", picture("blue")[:400])

    result = hint(store)

    assert result["status"] == "FAILED"
    assert shown(store) == {}
    assert store.manifest("a.jpg")["error"]["name"] == result["error"]


def test_7_a_jpeg_that_is_replaced_by_a_tiff_leaves_nothing_behind() -> None:
    store = MemoryStore()
    store.upload("a.jpg", picture("red"))
    hint(store)
    store.upload("a.jpg", picture("blue", "TIFF"))

    result = hint(store)

    assert shown(store) == {"thumbnails/128x128_a.jpg.jpg": "blue"}
    assert result["removed"] == ["thumbnails/128x128_a.jpg"]


def test_7_nor_does_a_tiff_that_is_replaced_by_one_with_transparency() -> None:
    store = MemoryStore()
    store.upload("a.tif", picture("red", "TIFF"))
    hint(store, "a.tif")
    store.upload("a.tif", picture("blue", "TIFF", mode="RGBA"))

    result = hint(store, "a.tif")

    assert shown(store) == {"thumbnails/128x128_a.tif.png": "blue"}
    assert result["removed"] == ["thumbnails/128x128_a.tif.jpg"]


def test_8_a_key_that_is_overwritten_as_often_as_a_run_takes_costs_one_resize_each() -> None:
    store = MemoryStore()
    store.upload("cam.jpg", picture("red"))
    pictures = [picture(colour) for colour in ("green", "blue", "red", "green", "blue")]

    statuses = []
    for following in pictures:
        store.after["GET original"] = partial(store.upload, "cam.jpg", following)
        statuses.append(hint(store, "cam.jpg")["status"])
    hint(store, "cam.jpg")

    assert statuses == ["SUCCESS"] * 5
    assert store.requests.count("GET original") == len(pictures) + 1
    assert shown(store) == {"thumbnails/128x128_cam.jpg": "blue"}


def test_9_what_a_request_made_of_a_small_picture_does_not_stay_behind_a_large_one() -> None:
    store = MemoryStore()
    store.upload("a.jpg", picture("red"))
    store.after["GET original"] = lambda: store.upload("a.jpg", picture("blue", size=(7000, 6000)))

    post(store, 10_000, 10_000)
    # The upload's own event.
    hint(store)

    assert shown(store) == {"thumbnails/128x128_a.jpg": "blue"}


def test_9_nor_behind_one_that_came_before_its_request() -> None:
    store = MemoryStore()
    store.upload("a.jpg", picture("red"))
    hint(store)
    store.upload("a.jpg", picture("blue", size=(7000, 6000)))

    result = post(store, 10_000, 10_000)

    assert result == {"status": "FAILED", "error": "OutputTooLargeError"}
    assert shown(store) == {}
    hint(store)
    assert shown(store) == {"thumbnails/128x128_a.jpg": "blue"}
