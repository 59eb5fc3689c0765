"""The manifest file: what is written is what is read, as schemas/manifest.json has it."""

import json
from dataclasses import replace
from typing import Any

import pytest
from jsonschema import Draft4Validator

from functions.resize.limits import Limits
from functions.resize.manifest import AskedBy, Entry, Manifest, Source
from functions.resize.recipe import Box, Fit, OutputFormat, Placeholder, Rendition
from tests.deployed import ROOT

SCHEMA = json.loads((ROOT / "schemas" / "manifest.json").read_text(encoding="utf-8"))

ENTRY = Entry(
    "thumbnails/trip/128x96-cover_é.jpg.webp",
    Rendition(Box(128, 96), Fit.COVER, OutputFormat.WEBP, 80),
    128,
    96,
    4321,
    "image/webp",
    "0123456789abcdef0123456789abcdef-2",
    "fedcba9876543210",
    frozenset({AskedBy.RECIPE, AskedBy.REQUEST}),
)
MANIFEST = Manifest(
    "0123456789abcdef",
    Source("trip/é.jpg", "an etag", "3HL4kqtJlcpXroDTDmJ", 123_456, "JPEG", 4000, 3000),
    Placeholder("3OcRJYB4d3h/iIeHeEh3eIhw+j2w", "#4a7f92"),
    (ENTRY, replace(ENTRY, key="thumbnails/trip/8x8_é.jpg", rendition=Rendition(Box(8, 8)))),
)
BROKEN = replace(
    MANIFEST, source=Source("trip/é.jpg", "an etag"), placeholder=None, thumbnails=(), error=("NotAnImageError", "No.")
)


def violations(data: bytes) -> list[str]:
    return [error.message for error in Draft4Validator(SCHEMA).iter_errors(json.loads(data))]


@pytest.mark.parametrize(
    "manifest",
    [
        MANIFEST,
        BROKEN,
        replace(MANIFEST, source=replace(MANIFEST.source, version_id=None)),
        replace(BROKEN, source=Source("trip/é.jpg", None)),
    ],
    ids=["whole", "unreadable original", "no versions", "no etag"],
)
def test_what_is_written_is_what_is_read_and_what_the_schema_allows(manifest: Manifest) -> None:
    data = manifest.to_json()

    assert Manifest.from_json(data) == manifest
    assert violations(data) == []


def test_a_page_finds_what_it_needs() -> None:
    document = json.loads(MANIFEST.to_json())

    assert document["original"] == {
        "key": "trip/é.jpg",
        "etag": "an etag",
        "version_id": "3HL4kqtJlcpXroDTDmJ",
        "format": "JPEG",
        "width": 4000,
        "height": 3000,
        "bytes": 123_456,
    }
    assert document["placeholder"] == {"thumbhash": "3OcRJYB4d3h/iIeHeEh3eIhw+j2w", "colour": "#4a7f92"}
    assert document["thumbnails"][0] == {
        "key": "thumbnails/trip/128x96-cover_é.jpg.webp",
        "url": "thumbnails/trip/128x96-cover_%C3%A9.jpg.webp?v=fedcba9876543210",
        "box": {"width": 128, "height": 96},
        "fit": "cover",
        "format": "webp",
        "quality": 80,
        "width": 128,
        "height": 96,
        "bytes": 4321,
        "content_type": "image/webp",
        "etag": "0123456789abcdef0123456789abcdef-2",
        "asked_by": ["recipe", "request"],
    }
    assert document["thumbnails"][1]["quality"] is None
    assert "error" not in document


def test_an_unreadable_original_says_why() -> None:
    assert json.loads(BROKEN.to_json())["error"] == {"name": "NotAnImageError", "message": "No."}


def test_a_manifest_of_an_earlier_version_of_the_product_has_no_urls_and_gets_a_version() -> None:
    document = json.loads(MANIFEST.to_json())
    for entry in document["thumbnails"]:
        del entry["url"]
    data = json.dumps(document).encode()

    manifest = Manifest.from_json(data, "00000000")

    assert violations(data) == []
    assert {entry.version for entry in manifest.thumbnails} == {"00000000"}
    assert [replace(entry, version=ENTRY.version) for entry in manifest.thumbnails] == [*MANIFEST.thumbnails]
    assert {entry.version for entry in Manifest.from_json(MANIFEST.to_json(), "00000000").thumbnails} == {ENTRY.version}


def test_two_states_are_never_the_same_file() -> None:
    assert MANIFEST.to_json() != replace(MANIFEST, revision="another").to_json()


def test_the_largest_manifest_is_small() -> None:
    limits = Limits()
    entries = tuple(replace(ENTRY, key=f"{ENTRY.key}{number}") for number in range(limits.max_thumbnails))

    data = replace(MANIFEST, thumbnails=entries).to_json()

    assert violations(data) == []
    assert len(data) < 100_000
    assert SCHEMA["properties"]["thumbnails"]["maxItems"] == limits.max_thumbnails


def changed(*path: Any, to: Any) -> bytes:
    """Return the file with another value at a path; ``...`` removes it."""
    document = json.loads(MANIFEST.to_json())
    place = document
    for step in path[:-1]:
        place = place[step]
    if to is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return json.dumps(document).encode()


NO_MANIFESTS = {
    "empty": b"",
    "no JSON": b"{",
    "not UTF-8": b'{"revision": "\xff"}',
    "null": b"null",
    "a list": b"[]",
    "a text": b'"text"',
    "a number": b"5",
    "no fields": b"{}",
    "no revision": changed("revision", to=...),
    "no original": changed("original", to=...),
    "an original of another form": changed("original", to=[]),
    "an original without key": changed("original", "key", to=...),
    "no placeholder": changed("placeholder", to=...),
    "a placeholder without colour": changed("placeholder", "colour", to=...),
    "no thumbnails": changed("thumbnails", to=...),
    "thumbnails of another form": changed("thumbnails", to=5),
    "a thumbnail of another form": changed("thumbnails", 0, to="thumbnails/a.jpg"),
    "a thumbnail without etag": changed("thumbnails", 0, "etag", to=...),
    "a URL of another form": changed("thumbnails", 0, "url", to=5),
    "a thumbnail without box": changed("thumbnails", 0, "box", to=None),
    "an unknown fit": changed("thumbnails", 0, "fit", to="squeeze"),
    "an unknown format": changed("thumbnails", 0, "format", to="gif"),
    "nobody known asked": changed("thumbnails", 0, "asked_by", to=["someone"]),
    "an error of another form": changed("error", to="text"),
    "an error without sentence": changed("error", to={"name": "NotAnImageError"}),
}


@pytest.mark.parametrize("data", NO_MANIFESTS.values(), ids=list(NO_MANIFESTS))
def test_what_is_no_manifest_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the parser of JSON has a message of its own
        Manifest.from_json(data)


def test_the_choices_of_the_schema_are_those_of_the_code() -> None:
    Draft4Validator.check_schema(SCHEMA)
    fields = SCHEMA["properties"]["thumbnails"]["items"]["properties"]

    assert fields["fit"]["enum"] == list(Fit)
    assert fields["format"]["enum"] == list(OutputFormat)
    assert fields["asked_by"]["items"]["enum"] == list(AskedBy)
