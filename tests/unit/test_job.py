"""The job against a store in memory: what it reads and writes, in which order, and what it refuses."""

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Never, cast

import pytest

from functions.resize import job
from functions.resize.errors import (
    BucketNotAllowedError,
    InvalidKeyError,
    NotAnImageError,
    OriginalChangedError,
    OriginalNotFoundError,
    OutputTooLargeError,
    StorageUnavailableError,
)
from functions.resize.job import MAX_ATTEMPTS, Buckets, Measurements, run
from functions.resize.limits import Limits
from functions.resize.recipe import Box, Original, OutputFormat, Recipe, Result, Thumbnail
from functions.resize.request import ResizeRequest, parse_request
from functions.resize.storage import StoredOriginal
from tests.originals import colour_of, picture, size_of

if TYPE_CHECKING:
    from functions.resize.job import Store

BUCKETS = Buckets("originals", "thumbnails")
LIMITS = Limits()


def etag(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


@dataclass
class MemoryStore:
    """Buckets in memory; ``after_write`` is what others do while the job works."""

    originals: dict[tuple[str, str], bytes] = field(default_factory=dict)
    thumbnails: dict[tuple[str, str], Thumbnail] = field(default_factory=dict)
    written_for: dict[tuple[str, str], str] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    after_write: Callable[["MemoryStore"], None] = lambda _: None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def read_original(self, bucket: str, key: str, limits: Limits) -> StoredOriginal:
        assert limits is LIMITS
        self.calls.append("read")
        data = self._find(bucket, key)
        return StoredOriginal(data, etag(data))

    def original_etag(self, bucket: str, key: str) -> str:
        self.calls.append("check")
        return etag(self._find(bucket, key))

    def write_thumbnail(self, bucket: str, key: str, thumbnail: Thumbnail, original_etag: str) -> str:
        with self.lock:
            self.calls.append("write")
            self.thumbnails[bucket, key] = thumbnail
            self.written_for[bucket, key] = original_etag
            self.after_write(self)
        return etag(thumbnail.data)

    def _find(self, bucket: str, key: str) -> bytes:
        if (bucket, key) not in self.originals:
            raise OriginalNotFoundError(bucket, key)
        return self.originals[bucket, key]


class UntouchableStore:
    """A store that must not be asked for anything."""

    def __getattr__(self, name: str) -> Never:
        pytest.fail(f"{name} was called")


@pytest.fixture
def untouchable() -> "Store":
    return cast("Store", UntouchableStore())


def request_for(key: str = "trip/example.jpg", **fields: object) -> ResizeRequest:
    request = {"source_bucket": "originals", "destination_bucket": "thumbnails", "object_key": key, **fields}
    if "sizes" not in fields:
        request = {"width": 128, "height": 128, **request}
    return parse_request(request)


def store_with(data: bytes, key: str = "trip/example.jpg", **more: Callable[[MemoryStore], None]) -> MemoryStore:
    return MemoryStore({("originals", key): data}, **more)  # type: ignore[arg-type]  # only after_write is given


def test_the_result_is_the_documented_one() -> None:
    data = picture(width=400, height=300)
    store = store_with(data)

    result = run(request_for(), store, BUCKETS, LIMITS, Measurements())

    written = store.thumbnails["thumbnails", "thumbnails/trip/128x128_example.jpg"].data
    assert result == {
        "status": "SUCCESS",
        "source": {
            "bucket": "originals",
            "key": "trip/example.jpg",
            "etag": etag(data),
            "format": "JPEG",
            "width": 400,
            "height": 300,
            "bytes": len(data),
        },
        "thumbnails": [
            {
                "bucket": "thumbnails",
                "key": "thumbnails/trip/128x128_example.jpg",
                "width": 128,
                "height": 96,
                "bytes": len(written),
                "content_type": "image/jpeg",
                "etag": etag(written),
            }
        ],
    }
    assert size_of(written) == (128, 96)
    assert store.calls == ["read", "write", "check"]
    assert store.written_for["thumbnails", "thumbnails/trip/128x128_example.jpg"] == etag(data)


def test_several_sizes_come_from_one_read_in_the_order_asked_for() -> None:
    store = store_with(picture())
    sides = [64, 16, 128, 32, 100, 48, 80, 24, 96, 8]

    result = run(
        request_for(sizes=[{"width": side, "height": side} for side in sides]), store, BUCKETS, LIMITS, Measurements()
    )

    assert [made["width"] for made in result["thumbnails"]] == sides
    keys = [f"thumbnails/trip/{side}x{side}_example.jpg" for side in sides]
    assert [made["key"] for made in result["thumbnails"]] == keys
    assert {key for _, key in store.thumbnails} == set(keys)
    assert store.calls == ["read", *["write"] * len(sides), "check"]
    for made in result["thumbnails"]:
        data = store.thumbnails["thumbnails", made["key"]].data
        assert (made["bytes"], made["etag"], size_of(data)[0]) == (len(data), etag(data), made["width"])


@pytest.mark.parametrize(
    ("bucket_field", "bucket"), [("source_bucket", "elsewhere"), ("destination_bucket", "originals")]
)
def test_other_buckets_are_refused_before_the_store_is_asked(
    bucket_field: str, bucket: str, untouchable: "Store"
) -> None:
    with pytest.raises(BucketNotAllowedError) as caught:
        run(request_for(**{bucket_field: bucket}), untouchable, BUCKETS, LIMITS, Measurements())

    assert (caught.value.field, caught.value.bucket) == (bucket_field, bucket)


def test_unusable_keys_are_refused_before_the_store_is_asked(untouchable: "Store") -> None:
    with pytest.raises(InvalidKeyError) as caught:
        run(request_for("../a.jpg"), untouchable, BUCKETS, LIMITS, Measurements())

    assert caught.value.key == "../a.jpg"


def test_a_key_of_1024_bytes_is_written_and_one_more_is_refused_before_the_first_write() -> None:
    longest = "a" * (1024 - len("thumbnails/128x128_"))
    fits, too_long = longest[: -len(".webp")], longest[: -len(".webp") + 1]
    sizes = [{"width": 8, "height": 8}, {"width": 128, "height": 128}]

    for key, wanted in ((longest, "source"), (longest, "jpeg"), (fits, "webp")):
        run(request_for(key, sizes=sizes, format=wanted), store_with(picture(), key), BUCKETS, LIMITS, Measurements())

    store = store_with(picture(), too_long)
    with pytest.raises(InvalidKeyError, match="would have 1,025 bytes"):
        run(request_for(too_long, sizes=sizes, format="webp"), store, BUCKETS, LIMITS, Measurements())
    assert store.calls == ["read"]


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
    request = request_for(sizes=[{"width": 200, "height": 200}, {"width": 100, "height": 100}], fit="cover")

    with pytest.raises(OutputTooLargeError) as caught:
        run(request, untouchable, BUCKETS, limits, Measurements())

    assert (caught.value.amount, caught.value.limit, caught.value.unit) == (amount, limit, unit)


def test_an_original_that_is_replaced_meanwhile_is_done_again_and_the_last_bytes_win() -> None:
    first, second = picture(colour="red"), picture(colour="blue")

    def replace(store: MemoryStore) -> None:
        store.originals["originals", "trip/example.jpg"] = second

    store = store_with(first, after_write=replace)
    measurements = Measurements()

    result = run(request_for(), store, BUCKETS, LIMITS, measurements)

    assert store.calls == ["read", "write", "check"] * 2
    assert measurements.attempts == 2
    assert result["source"]["etag"] == etag(second)
    place = ("thumbnails", "thumbnails/trip/128x128_example.jpg")
    red, green, blue = colour_of(store.thumbnails[place].data)
    assert (red < 10, green < 10, blue > 245) == (True, True, True)
    assert store.written_for[place] == etag(second)
    assert result["thumbnails"][0]["etag"] == etag(store.thumbnails[place].data)


def test_an_original_that_is_replaced_every_time_is_left_to_a_retry() -> None:
    def replace(store: MemoryStore) -> None:
        store.originals["originals", "trip/example.jpg"] = picture(width=100 + len(store.calls))

    store = store_with(picture(), after_write=replace)
    measurements = Measurements()

    with pytest.raises(OriginalChangedError) as caught:
        run(request_for(), store, BUCKETS, LIMITS, measurements)

    assert (caught.value.key, caught.value.attempts) == ("trip/example.jpg", MAX_ATTEMPTS)
    assert store.calls.count("read") == MAX_ATTEMPTS == measurements.attempts


def test_an_original_that_is_deleted_meanwhile_is_not_found() -> None:
    store = store_with(picture(), after_write=lambda store: store.originals.clear())

    with pytest.raises(OriginalNotFoundError) as caught:
        run(request_for(), store, BUCKETS, LIMITS, Measurements())

    assert (caught.value.bucket, caught.value.key) == ("originals", "trip/example.jpg")


@pytest.mark.parametrize("sides", [[64], [64, 32]], ids=["one write", "several writes"])
@pytest.mark.parametrize("method", ["read_original", "write_thumbnail", "original_etag"])
def test_transient_errors_are_not_swallowed(method: str, sides: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_with(picture())
    error = StorageUnavailableError("Anything", "SlowDown")

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(store, method, fail)

    with pytest.raises(StorageUnavailableError) as caught:
        run(
            request_for(sizes=[{"width": side, "height": side} for side in sides]),
            store,
            BUCKETS,
            LIMITS,
            Measurements(),
        )

    assert caught.value is error


def test_nothing_is_written_for_what_is_no_picture() -> None:
    store = store_with(b"plain text, and nothing else")

    with pytest.raises(NotAnImageError):
        run(request_for(), store, BUCKETS, LIMITS, Measurements())

    assert store.calls == ["read"]


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

    result = run(request_for(key, format=asked, width=64, height=64), store, BUCKETS, LIMITS, Measurements())

    assert [made["key"] for made in result["thumbnails"]] == [expected]
    assert list(store.thumbnails) == [("thumbnails", expected)]


def test_heic_becomes_jpeg_under_a_longer_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def make(_data: bytes, recipe: Recipe, _limits: Limits) -> Result:
        thumbnail = Thumbnail(recipe.boxes[0], b"jpeg", "JPEG", "image/jpeg", ".jpg", 64, 48)
        return Result(Original("HEIF", 4032, 3024, 1), (thumbnail,), ("A warning.",))

    # Nothing here writes HEIC, so the engine is left out.
    monkeypatch.setattr(job, "make_thumbnails", make)
    measurements = Measurements()

    result = run(request_for("IMG_1.HEIC"), store_with(b"heic", "IMG_1.HEIC"), BUCKETS, LIMITS, measurements)

    assert result["source"]["format"] == "HEIF"
    assert result["thumbnails"][0]["key"] == "thumbnails/128x128_IMG_1.HEIC.jpg"
    assert measurements.warnings == ["A warning."]


def test_the_recipe_of_the_request_reaches_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[bytes, Recipe, Limits]] = []

    def make(data: bytes, recipe: Recipe, limits: Limits) -> Result:
        seen.append((data, recipe, limits))
        thumbnail = Thumbnail(recipe.boxes[0], b"webp", "WEBP", "image/webp", ".webp", 64, 64)
        return Result(Original("JPEG", 400, 300, 1), (thumbnail,), ())

    monkeypatch.setattr(job, "make_thumbnails", make)
    request = request_for(format="webp", quality=33, fit="cover", width=64, height=64)

    run(request, store_with(b"the bytes"), BUCKETS, LIMITS, Measurements())

    assert seen == [(b"the bytes", request.recipe, LIMITS)]
    assert request.recipe == Recipe((Box(64, 64),), request.recipe.fit, OutputFormat.WEBP, 33)


def test_the_time_of_every_attempt_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(100))
    monkeypatch.setattr("functions.resize.job.time.perf_counter", lambda: next(ticks))

    def replace_once(store: MemoryStore) -> None:
        store.originals["originals", "trip/example.jpg"] = picture(colour="blue")

    measurements = Measurements()
    run(request_for(), store_with(picture(), after_write=replace_once), BUCKETS, LIMITS, measurements)

    # One tick of a second for each step of each of the two attempts.
    assert (measurements.download_ms, measurements.resize_ms, measurements.upload_ms) == (2000, 2000, 2000)
