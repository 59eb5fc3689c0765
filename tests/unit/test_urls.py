"""URLs of thumbnails: each reaches its key through browsers, CloudFront and S3, and changes when the bytes do."""

import html
import itertools
import json
import re
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from functions.resize.job import Buckets, Measurements, run
from functions.resize.keys import MAX_KEY_BYTES, check_key, thumbnail_key, thumbnail_url
from functions.resize.limits import Limits
from functions.resize.manifest import Manifest
from functions.resize.recipe import Box, OutputFormat, Rendition
from functions.resize.request import parse_request
from samples.files import picture
from tests.memory_store import MemoryStore, md5

KEY, THUMBNAIL = "trip/é 1.jpg", "thumbnails/trip/128x128_é 1.jpg"
# CloudFront takes no longer URLs: https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html
LONGEST_URL = 8192
ROOM = MAX_KEY_BYTES - len("thumbnails/128x96_")

AWKWARD = [
    *("a b.jpg", " a.jpg", "a .jpg ", "a+b.jpg", "a%20b.jpg", "100%.jpg", "%", "%2e%2e/a.jpg", "%2F.jpg", "a%00.jpg"),
    *("a#b.jpg", "a?b.jpg", "a?v=1.jpg", "a&b=c.jpg", "a;b.jpg", "a=b.jpg", "a:b.jpg", "http://a/b.jpg", "//a/b.jpg"),
    *(
        "a'b.jpg",
        'a"b.jpg',
        "<b>.jpg",
        "a,b.jpg",
        "a, 2x.jpg",
        "(a).jpg",
        "a)b(.jpg",
        "[a].jpg",
        "{a}.jpg",
        "a|b^c`.jpg",
    ),
    *("a\\b.jpg", "..\\a.jpg", "/a.jpg", "a//b.jpg", "///", "...", ".../a.jpg", "..a/b..", ".a", "~a!$*@.jpg"),
    *(
        "é.jpg",
        "e\u0301.jpg",
        "фото/图.jpg",
        "😀.jpg",
        "a\u200db.jpg",
        "\ufeff.jpg",
        "a\nb.jpg",
        "a\tb.jpg",
        "\x7f\x01.jpg",
    ),
    *("x" * ROOM, "😀" * (ROOM // 4), " " * ROOM),
]


@pytest.mark.parametrize("object_key", AWKWARD, ids=[ascii(key)[:30] for key in AWKWARD])
def test_a_url_reaches_its_key(object_key: str) -> None:
    rendition = Rendition(Box(128, 96))
    if not object_key.endswith("/"):
        check_key(object_key, ())
    key = thumbnail_key(object_key, rendition)

    url = thumbnail_url(key, "72e1fb0be5f638d7")

    # Not urljoin, which drops empty segments; URL parsers of browsers keep them.
    absolute = f"https://images.example.org/{url}"
    parts = urlsplit(absolute)
    # What a browser sends, and what S3 decodes of it: no character is left that either may read in another way.
    assert (parts.netloc, parts.path, parts.query, parts.fragment) == (
        "images.example.org",
        "/" + url.partition("?")[0],
        "v=72e1fb0be5f638d7",
        "",
    )
    assert unquote(parts.path, errors="strict") == "/" + key
    assert re.fullmatch(r"thumbnails/[A-Za-z0-9/._~%-]+\?v=[0-9a-f]{16}", url)
    # In an attribute, a srcset and a style sheet it stands as it is.
    assert html.escape(url) == url
    assert len(absolute.encode()) < LONGEST_URL


def test_no_segment_is_taken_for_a_folder_above() -> None:
    segments = [".", "..", "%2e", "%2E%2e", ".%2e", "...", "a", ""]
    for folders in itertools.product(segments, repeat=2):
        object_key = "/".join((*folders, "a.jpg"))
        if {".", ".."} & {*folders}:
            continue
        path = thumbnail_url(thumbnail_key(object_key, Rendition(Box(8, 8))), "1").partition("?")[0]

        # A URL parser takes these for dots, encoded or not: https://url.spec.whatwg.org/#double-dot-path-segment
        decoded = {segment.lower().replace("%2e", ".") for segment in path.split("/")}
        assert not {".", ".."} & decoded


def test_two_keys_never_share_a_url() -> None:
    keys = {thumbnail_key(key, Rendition(Box(8, 8))) for key in AWKWARD}

    assert len({thumbnail_url(key, "1") for key in keys}) == len(keys) == len(AWKWARD)


# When a URL changes.


def go(store: MemoryStore, *sides: int, **fields: Any) -> dict[str, Any]:
    request = {
        "source_bucket": "originals",
        "destination_bucket": "thumbnails",
        "object_key": KEY,
        "sizes": [{"width": side, "height": side} for side in sides or (128,)],
        "if_missing": "remove",
    }
    buckets = Buckets("originals", "thumbnails")
    return run(parse_request(request | fields), store, buckets, Limits(), Measurements())


def urls(store: MemoryStore) -> dict[str, str]:
    return {entry["key"]: entry["url"] for entry in store.manifest(KEY)["thumbnails"]}


@pytest.fixture
def store() -> MemoryStore:
    """Return a store with an original and its thumbnail."""
    made = MemoryStore()
    made.upload(KEY, picture(colour="red"))
    go(made)
    return made


def test_the_version_names_the_write(store: MemoryStore) -> None:
    assert urls(store) == {THUMBNAIL: f"thumbnails/trip/128x128_%C3%A9%201.jpg?v={store.objects[THUMBNAIL].revision}"}


def test_a_repeated_event_keeps_the_url(store: MemoryStore) -> None:
    before = urls(store)

    result = go(store)

    assert urls(store) == before == {made["key"]: made["url"] for made in result["thumbnails"]}


def test_a_repeated_request_keeps_the_url(store: MemoryStore) -> None:
    before = urls(store)
    store.take_requests()

    go(store, if_missing="fail")

    assert f"PUT {THUMBNAIL}" in store.requests
    assert urls(store) == before


def test_another_size_keeps_the_urls_of_the_others(store: MemoryStore) -> None:
    before = urls(store)

    go(store, 128, 64)

    assert urls(store)[THUMBNAIL] == before[THUMBNAIL]
    assert len(urls(store)) == 2


def test_a_replaced_original_changes_the_url(store: MemoryStore) -> None:
    before = urls(store)
    store.upload(KEY, picture(colour="blue"))

    go(store)

    assert urls(store).keys() == before.keys()
    assert urls(store) != before


def test_a_rolled_back_original_does_not_get_its_first_url_again(store: MemoryStore) -> None:
    # A page with the first manifest may ask for the first URL while the second picture is there. Caches then hold that
    # picture under the first URL.
    first = urls(store)
    store.upload(KEY, picture(colour="blue"))
    go(store)
    second = urls(store)
    store.pop(KEY)

    go(store)

    assert len({*first.values(), *second.values(), *urls(store).values()}) == 3
    assert urls(store).keys() == first.keys()


def test_another_quality_of_the_same_original_changes_the_url(store: MemoryStore) -> None:
    before = urls(store)

    go(store, quality=20)

    assert urls(store).keys() == before.keys()
    assert urls(store) != before


def test_a_thumbnail_that_another_run_replaced_meanwhile_gets_another_url(store: MemoryStore) -> None:
    before = urls(store)
    first = store.objects[THUMBNAIL]
    # A run that was killed had made it of another original, and one that was killed as well had put it back.
    store.upload(KEY, picture(colour="blue"))
    store.after[f"PUT {THUMBNAIL}"] = lambda: (_ for _ in ()).throw(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        go(store)
    store.pop(KEY)
    assert store.etags[THUMBNAIL] != md5(first.data)

    go(store, if_missing="fail")

    assert store.etags[THUMBNAIL] == md5(first.data)
    assert urls(store) != before


def test_an_undeleted_original_gets_another_url(store: MemoryStore) -> None:
    before = urls(store)
    store.remove(KEY)
    go(store)
    store.pop(KEY)

    go(store)

    assert urls(store) != before


def without_urls(store: MemoryStore) -> None:
    """Make the manifest one of an earlier version of the product."""
    new = store.objects[f"manifests/{KEY}.json"]
    document = json.loads(new.data)
    for entry in document["thumbnails"]:
        del entry["url"]
    store.put(type(new)(new.key, json.dumps(document).encode(), new.content_type, new.revision))


def test_a_manifest_without_urls_gets_them_with_the_next_event_and_nothing_is_made(store: MemoryStore) -> None:
    without_urls(store)
    store.take_requests()

    result = go(store)
    written = urls(store)
    again = go(store)

    assert store.requests == ["GET manifest", "GET original", "PUT manifest"] * 2
    assert written == urls(store) == {made["key"]: made["url"] for made in result["thumbnails"]}
    assert again == result
    assert re.search(r"\?v=[0-9a-f]{16}$", written[THUMBNAIL])


def test_what_is_kept_of_a_manifest_without_urls_gets_one_as_well(store: MemoryStore) -> None:
    without_urls(store)

    go(store, 64, if_missing="fail")

    assert len(urls(store)) == 2
    manifest = Manifest.from_json(store.objects[f"manifests/{KEY}.json"].data)
    assert all(entry.version for entry in manifest.thumbnails)


def test_a_result_fits_into_a_state_and_the_manifest_has_the_urls_all_the_same() -> None:
    store, key = MemoryStore(), "é " * 300
    store.upload(key, picture(width=100, height=100))
    fields = {"object_key": key, "formats": list(OutputFormat)}

    small = go(store, 8, **fields)
    large = go(store, *range(8, 24), **fields)

    # https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
    assert len(json.dumps(large)) < 256 * 1024
    assert all("url" in made for made in small["thumbnails"])
    listed = store.manifest(key)["thumbnails"]
    assert [entry["key"] for entry in listed] == [made["key"] for made in large["thumbnails"]]
    assert all("url" in entry for entry in listed)
    assert not any("url" in made for made in large["thumbnails"])
