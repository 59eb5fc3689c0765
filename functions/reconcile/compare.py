"""Judge one key by its listed original and manifest and by its recipe. Pure functions."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any

from functions.resize.errors import InvalidKeyError
from functions.resize.keys import check_key
from functions.resize.limits import Limits
from functions.resize.manifest import Manifest
from functions.resize.recipe import Rendition, read_recipe
from functions.start_from_s3.recipes import Recipe, wanted_of


class Verdict(StrEnum):
    """The state of a key."""

    IN_LINE = "in_line"
    # A run works on these.
    MISSING = "missing"
    STALE = "stale"
    OTHER_RECIPE = "other_recipe"
    # A manifest without an original.
    ORPHAN = "orphan"
    # A run skips these.
    WITHOUT_RECIPE = "without_recipe"
    FOLDER = "folder"
    INVALID_KEY = "invalid_key"
    EMPTY = "empty"
    TOO_LARGE = "too_large"
    ARCHIVED = "archived"
    ENCRYPTED = "encrypted"
    TYPE_NOT_READ = "type_not_read"
    UNREADABLE = "unreadable"


OUT_OF_LINE = (Verdict.MISSING, Verdict.STALE, Verdict.OTHER_RECIPE)
SKIPPED = (
    Verdict.WITHOUT_RECIPE,
    Verdict.FOLDER,
    Verdict.INVALID_KEY,
    Verdict.EMPTY,
    Verdict.TOO_LARGE,
    Verdict.ARCHIVED,
    Verdict.ENCRYPTED,
    Verdict.TYPE_NOT_READ,
    Verdict.UNREADABLE,
)

# Storage classes that GetObject refuses until the object is restored. Glacier Instant Retrieval (GLACIER_IR) is not
# one: https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-class-intro.html
_ARCHIVES = {"GLACIER", "DEEP_ARCHIVE"}
# Errors that an earlier run wrote into the manifest of an original that it could not read.
_BY_ERROR = {
    "NotAnImageError": Verdict.TYPE_NOT_READ,
    "UnsupportedImageError": Verdict.TYPE_NOT_READ,
    "OriginalArchivedError": Verdict.ARCHIVED,
    "OriginalEncryptedError": Verdict.ENCRYPTED,
    "OriginalTooLargeError": Verdict.TOO_LARGE,
    "OriginalEmptyError": Verdict.EMPTY,
}
# Extensions of files that are often stored with pictures. They count only for keys without a manifest: uploads are
# judged by their content, but downloading two million videos to find out what they are would cost more than the
# thumbnails.
_NO_PICTURES = frozenset(
    {
        *("3gp", "aac", "avi", "flac", "m4a", "m4v", "mkv", "mov", "mp3", "mp4", "mpg", "ogg", "wav", "webm", "wmv"),
        *("7z", "bz2", "gz", "rar", "tar", "tgz", "zip"),
        *("css", "csv", "doc", "docx", "htm", "html", "js", "json", "log", "md", "odt", "pdf", "ppt", "pptx", "rtf"),
        *("aae", "ai", "db", "eps", "ini", "psd", "svg", "txt", "xls", "xlsx", "xml", "xmp", "yaml", "yml"),
    }
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of a plan, as it was listed.

    Attributes
    ----------
    key : str
    etag : str or None
        Of the original, without quotes; ``None`` if there is no original.
    size : int
        Of the original, bytes.
    storage_class : str
        Of the original.
    manifest : str or None
        ETag of the manifest; ``None`` if there is no manifest.
    verdict : str
        The plan's verdict; empty before the comparison.
    """

    key: str
    etag: str | None
    size: int = 0
    storage_class: str = "STANDARD"
    manifest: str | None = None
    verdict: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return a dict of plain values, without fields that have their default."""
        usual = {each.name: each.default for each in fields(self)} | {"etag": None}
        return {name: value for name, value in asdict(self).items() if value != usual[name]}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Entry":
        """Read what ``to_dict`` returns."""
        return cls(**{"etag": None, **values})


def renditions_of(key: str, recipes: list[Recipe]) -> tuple[Rendition, ...]:
    """Return the thumbnails that the recipe of a key asks for; none if the key is ignored."""
    wanted = wanted_of(key, recipes)
    return read_recipe(wanted).renditions if wanted else ()


def judge_listed(entry: Entry, recipes: list[Recipe]) -> Verdict | None:
    """Judge a key by the listing alone; ``None`` if its manifest must be read."""
    renditions = renditions_of(entry.key, recipes)
    if entry.key.endswith("/"):
        return Verdict.FOLDER
    if not renditions:
        return Verdict.WITHOUT_RECIPE
    try:
        check_key(entry.key, renditions)
    except InvalidKeyError:
        return Verdict.INVALID_KEY
    if entry.etag is None:
        return Verdict.ORPHAN
    if entry.manifest is None:
        return _judge_missing(entry)
    return None


def _judge_missing(entry: Entry) -> Verdict:
    """Judge an original without a manifest; those that the resize function would refuse are not sent to it."""
    if entry.size == 0:
        return Verdict.EMPTY
    if entry.size > Limits().max_bytes:
        return Verdict.TOO_LARGE
    if entry.storage_class in _ARCHIVES:
        return Verdict.ARCHIVED
    name, dot, extension = entry.key.rpartition("/")[2].rpartition(".")
    return Verdict.TYPE_NOT_READ if name and dot and extension.lower() in _NO_PICTURES else Verdict.MISSING


def judge(entry: Entry, recipes: list[Recipe], manifest: Manifest | None, *, is_new: bool = False) -> Verdict:
    """Judge a key that has, or had, an original and a manifest.

    Parameters
    ----------
    entry : Entry
        ``judge_listed`` returns ``None`` for it.
    recipes : list of Recipe
    manifest : Manifest or None
        ``None`` if it cannot be parsed.
    is_new : bool
        Whether the manifest was written after the entry was listed. The run that wrote it read an original that is at
        least as new as the entry's, so the ETags need not be equal.
    """
    if manifest is None:
        return Verdict.STALE
    # S3 does not return the ETag of an original that is encrypted with its uploader's key. If that counted as a
    # difference, every plan would find these originals out of line.
    is_untold = manifest.source.etag is None and manifest.error is not None
    if manifest.source.etag != entry.etag and not is_new and not is_untold:
        return Verdict.STALE
    if manifest.error:
        found = _BY_ERROR.get(manifest.error[0], Verdict.UNREADABLE)
        was_restored = found is Verdict.ARCHIVED and entry.storage_class not in _ARCHIVES and not is_new
        return Verdict.STALE if was_restored else found
    is_as_wanted = manifest.by_recipe() == set(renditions_of(entry.key, recipes))
    return Verdict.IN_LINE if is_as_wanted else Verdict.OTHER_RECIPE


def digest_of(recipes: Sequence[Recipe]) -> str:
    """Return a digest of the recipes; recipes that ask for the same thumbnails have the same digest."""
    text = json.dumps([[recipe.prefix, recipe.request] for recipe in recipes], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
