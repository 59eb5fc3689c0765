"""One key: what it was listed as, what its manifest says, and what its recipe asks for."""

import pytest

from functions.reconcile.compare import SKIPPED, Entry, Verdict, digest_of, judge, judge_listed, renditions_of
from functions.reconcile.strays import folder_of, originals_of
from functions.resize.keys import thumbnail_key
from functions.resize.limits import Limits
from functions.resize.manifest import AskedBy, Manifest, Source
from functions.resize.manifest import Entry as Thumbnail
from functions.resize.recipe import Box, Fit, Rendition
from functions.start_from_s3.recipes import parse_recipes

SIZES = [{"width": 64, "height": 64}, {"width": 128, "height": 96}]
RECIPES = parse_recipes('[{"prefix": "alone/", "sizes": []}, {"prefix": ""}]', SIZES)
ONLY_2026 = parse_recipes('[{"prefix": "2026/"}]', SIZES)


def entry(
    key: str = "2026/a.jpg", etag: str | None = "first", manifest: str | None = "revision 1", **more: object
) -> Entry:
    return Entry(key, etag, **{"size": 1000, "manifest": manifest, **more})  # type: ignore[arg-type]


def manifest(
    *boxes: tuple[int, int],
    etag: str | None = "first",
    error: str | None = None,
    asked_by: AskedBy = AskedBy.RECIPE,
    by_request: tuple[tuple[int, int], ...] = (),
) -> Manifest:
    listed = [(box, asked_by) for box in boxes] + [(box, AskedBy.REQUEST) for box in by_request]
    thumbnails = tuple(
        Thumbnail(f"thumbnails/{box}", Rendition(Box(*box)), 1, 1, 1, "image/jpeg", "etag", "1", frozenset({by}))
        for box, by in listed
    )
    return Manifest("1", Source("2026/a.jpg", etag), None, thumbnails, {}, (error, "…") if error else None)


WHOLE = manifest((64, 64), (128, 96))


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (WHOLE, Verdict.IN_LINE),
        (manifest((64, 64), (128, 96), by_request=((8, 8),)), Verdict.IN_LINE),
        (manifest((64, 64)), Verdict.OTHER_RECIPE),
        (manifest((64, 64), (128, 96), (32, 32)), Verdict.OTHER_RECIPE),
        (manifest((64, 64), (128, 96), asked_by=AskedBy.REQUEST), Verdict.OTHER_RECIPE),
        (manifest((64, 64), (128, 96), etag="another"), Verdict.STALE),
        # Nobody can read it.
        (None, Verdict.STALE),
        (manifest(error="NotAnImageError"), Verdict.TYPE_NOT_READ),
        (manifest(error="TruncatedImageError"), Verdict.UNREADABLE),
        (manifest(error="OriginalEncryptedError"), Verdict.ENCRYPTED),
        (manifest(error="NotAnImageError", etag="another"), Verdict.STALE),
        # S3 told nobody its ETag (SSE-C), so no run can bring it in line.
        (manifest(error="OriginalEncryptedError", etag=None), Verdict.ENCRYPTED),
        (manifest(etag=None), Verdict.STALE),
        # It was archived, and is not any more.
        (manifest(error="OriginalArchivedError"), Verdict.STALE),
    ],
)
def test_what_a_manifest_says(found: Manifest | None, verdict: Verdict) -> None:
    assert judge_listed(entry(), RECIPES) is None
    assert judge(entry(), RECIPES, found) is verdict


def test_an_original_that_is_still_archived_is_left_alone() -> None:
    archived = entry(storage_class="GLACIER")

    assert judge(archived, RECIPES, manifest(error="OriginalArchivedError")) is Verdict.ARCHIVED
    assert judge(archived, RECIPES, manifest((64, 64), etag="another")) is Verdict.STALE


def test_a_manifest_that_was_written_since_is_of_an_original_that_is_no_older() -> None:
    newer = manifest((64, 64), (128, 96), etag="uploaded since")

    assert judge(entry(), RECIPES, newer, is_new=True) is Verdict.IN_LINE
    assert judge(entry(), RECIPES, manifest((64, 64)), is_new=True) is Verdict.OTHER_RECIPE


@pytest.mark.parametrize(
    ("listed", "verdict"),
    [
        (entry(manifest=None), Verdict.MISSING),
        (entry("no extension", manifest=None), Verdict.MISSING),
        (entry("2026/.png", manifest=None), Verdict.MISSING),
        (entry(etag=None), Verdict.ORPHAN),
        (entry("alone/a.jpg"), Verdict.WITHOUT_RECIPE),
        (entry("alone/a.jpg", etag=None), Verdict.WITHOUT_RECIPE),
        (entry("2026/", manifest=None, size=0), Verdict.FOLDER),
        (entry("2026/../a.jpg", manifest=None), Verdict.INVALID_KEY),
        (entry("x" * 1024, manifest=None), Verdict.INVALID_KEY),
        (entry(manifest=None, size=0), Verdict.EMPTY),
        (entry(manifest=None, size=Limits().max_bytes + 1), Verdict.TOO_LARGE),
        (entry(manifest=None, storage_class="DEEP_ARCHIVE"), Verdict.ARCHIVED),
        (entry(manifest=None, storage_class="GLACIER_IR"), Verdict.MISSING),
        (entry("2026/film.MP4", manifest=None), Verdict.TYPE_NOT_READ),
        # What was made of another original has to go, whatever this one is.
        (entry("2026/film.MP4"), None),
        (entry(size=0), None),
        (entry(storage_class="GLACIER"), None),
    ],
)
def test_what_the_listing_says(listed: Entry, verdict: Verdict | None) -> None:
    assert judge_listed(listed, RECIPES) is verdict


def test_a_key_that_no_recipe_is_for() -> None:
    assert judge_listed(entry("2025/a.jpg"), ONLY_2026) is Verdict.WITHOUT_RECIPE


@pytest.mark.parametrize("listed", [entry(), entry(etag=None), entry(manifest=None, verdict="missing"), entry(size=0)])
def test_an_entry_is_written_and_read(listed: Entry) -> None:
    assert Entry.from_dict(listed.to_dict()) == listed


def test_the_digest_is_that_of_what_is_asked_for() -> None:
    text = '[{"prefix": "alone/", "sizes": []}, {"prefix": ""}]'

    assert digest_of(RECIPES) == digest_of(parse_recipes(text.replace(" ", ""), SIZES))
    assert digest_of(RECIPES) != digest_of(parse_recipes(text, SIZES[:1]))
    assert digest_of(RECIPES) != digest_of(RECIPES[1:])


def test_a_recipe_asks_for_every_size_in_every_format() -> None:
    recipes = parse_recipes('[{"prefix": "", "formats": ["webp", "jpeg"], "fit": "cover", "quality": 80}]', SIZES)

    renditions = renditions_of("a.jpg", recipes)

    assert [(each.box.width, each.format, each.fit, each.quality) for each in renditions] == [
        (64, "webp", "cover", 80),
        (64, "jpeg", "cover", 80),
        (128, "webp", "cover", 80),
        (128, "jpeg", "cover", 80),
    ]


@pytest.mark.parametrize(
    ("name", "originals"),
    [
        ("trip/128x128_photo.jpg", ["trip/photo.jpg", "trip/photo"]),
        ("128x128-cover_photo.heic.jpg", ["photo.heic.jpg", "photo.heic"]),
        ("a/64x64_128x128_b.jpg", ["a/128x128_b.jpg", "a/128x128_b"]),
        ("64x64_no extension", ["no extension"]),
        ("64x64_.jpg", [".jpg"]),
        ("trip/logo.png", []),
        ("trip/0x64_a.jpg", []),
    ],
)
def test_the_originals_that_a_thumbnail_may_be_of(name: str, originals: list[str]) -> None:
    assert originals_of(f"thumbnails/{name}") == originals


@pytest.mark.parametrize("key", ["photo.jpg", "trip/photo.heic", "a/b c/é.tar.gz.png", "128x128_a.jpg", "x"])
@pytest.mark.parametrize("extension", ["", ".jpg", ".webp"])
def test_every_thumbnail_is_of_its_original(key: str, extension: str) -> None:
    for fit in Fit:
        rendition = Rendition(Box(128, 96), fit)
        assert key in originals_of(thumbnail_key(key, rendition, extension))


def test_below_a_prefix_thumbnails_are_below_its_folder() -> None:
    folders = [folder_of(prefix) for prefix in ("", "2026/", "2026/tr", "tr")]

    assert folders == ["thumbnails/", "thumbnails/2026/", "thumbnails/2026/", "thumbnails/"]


def test_what_is_skipped_has_no_other_name() -> None:
    others = {Verdict.IN_LINE, Verdict.MISSING, Verdict.STALE, Verdict.OTHER_RECIPE, Verdict.ORPHAN}

    assert set(SKIPPED) == set(Verdict) - others
