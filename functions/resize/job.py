"""Bring the thumbnails and the manifest of one key in line with the current original.

A run reads the manifest before the original, and all its writes and deletes are conditional. So if several runs read
the same manifest, only one of them commits, and the last run that commits has read the last original:
docs/architecture.md shows why.
"""

import json
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Never, Protocol, TypeVar

from functions.resize.encoders import EXTENSIONS
from functions.resize.errors import (
    BucketNotAllowedError,
    ConflictError,
    KeyNotAllowedError,
    OriginalNotFoundError,
    OutputTooLargeError,
    PermanentError,
    TooManyThumbnailsError,
)
from functions.resize.keys import check_key, check_thumbnail_keys, manifest_key, thumbnail_key
from functions.resize.limits import Limits, check_recipe
from functions.resize.manifest import (
    AskedBy,
    Entry,
    Manifest,
    Source,
    describe_entry,
    describe_placeholder,
    describe_source,
)
from functions.resize.recipe import Rendition, Result, Thumbnail
from functions.resize.request import IfMissing, ResizeRequest
from functions.resize.storage import ConditionFailedError, NewObject, StoredObject, StoredOriginal
from functions.resize.thumbnails import make_thumbnails

Answer = TypeVar("Answer")

# After this many conflicts in one run, Step Functions retries.
MAX_ATTEMPTS = 4
# S3 limits user metadata to 2 KB (https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html); the
# pipeline adds two entries of its own.
_CARRIED_BYTES = 2048 - 200
# Step Functions limits the output of a state to 256 KiB, which dozens of thumbnails with very long keys and URLs would
# exceed: https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
_RESULT_BYTES = 200_000
# Uploads are I/O-bound.
_CALLS_AT_ONCE = 8


class Store(Protocol):
    """The S3 calls that a run needs; ``storage.Storage`` in production."""

    def read_original(self, bucket: str, key: str, limits: Limits, unless: str | None = None) -> StoredOriginal | None:
        """Return an original, or ``None`` if it has the ETag ``unless``."""

    def has_original(self, bucket: str, key: str) -> bool:
        """Return whether the original exists now."""

    def read(self, bucket: str, key: str) -> StoredObject | None:
        """Return an object of the thumbnails bucket, or ``None`` if it does not exist."""

    def find(self, bucket: str, key: str) -> StoredObject | None:
        """Return an object of the thumbnails bucket without its data, or ``None`` if it does not exist."""

    def write(self, bucket: str, new: NewObject, replaces: str | None) -> str:
        """Write an object if it replaces one with this ETag, or none; return its ETag."""

    def delete(self, bucket: str, key: str, etag: str) -> None:
        """Delete an object if it has this ETag."""


@dataclass(frozen=True, slots=True)
class Buckets:
    """The pair of buckets that this deployment serves.

    Attributes
    ----------
    originals, thumbnails : str
        Names.
    originals_prefix : str
        Prefix of the keys of originals; empty for all keys.

    Raises
    ------
    ValueError
        Both are the same bucket: each thumbnail would be an original again, in an endless loop.
    """

    originals: str
    thumbnails: str
    originals_prefix: str = ""

    def __post_init__(self) -> None:
        if self.originals == self.thumbnails:
            raise ValueError(f"Originals and thumbnails use the same bucket, '{self.originals}'; they need two.")


@dataclass(frozen=True, slots=True)
class Headers:
    """Headers that thumbnails are stored with.

    Attributes
    ----------
    cache_control : str
        Empty for none.
    carried : frozenset of str
        Headers that are copied from the original: ``content-disposition``, and names of user metadata.
    """

    cache_control: str = ""
    carried: frozenset[str] = frozenset()


@dataclass(slots=True)
class Measurements:
    """Durations and counts of one run, summed over its attempts."""

    attempts: int = 0
    download_ms: float = 0.0
    resize_ms: float = 0.0
    upload_ms: float = 0.0
    written: int = 0
    warnings: list[str] = field(default_factory=list)


def check_served(request: ResizeRequest, buckets: Buckets) -> None:
    """Refuse buckets outside the configured pair, and keys without the prefix of the originals.

    Raises
    ------
    BucketNotAllowedError
    KeyNotAllowedError
    """
    if request.source_bucket != buckets.originals:
        raise BucketNotAllowedError("source_bucket", request.source_bucket)
    if request.destination_bucket != buckets.thumbnails:
        raise BucketNotAllowedError("destination_bucket", request.destination_bucket)
    if not request.object_key.startswith(buckets.originals_prefix):
        raise KeyNotAllowedError(request.object_key, buckets.originals_prefix)


def run(  # noqa: PLR0913 - the request, the configuration, and the measurements
    request: ResizeRequest,
    store: Store,
    buckets: Buckets,
    limits: Limits,
    measurements: Measurements,
    *,
    headers: Headers = Headers(),
    is_retry: bool = False,
) -> dict[str, Any]:
    """Bring one key in line.

    Parameters
    ----------
    request : ResizeRequest
    store : Store
    buckets : Buckets
    limits : Limits
    measurements : Measurements
        This run adds to them.
    headers : Headers
    is_retry : bool
        An earlier attempt of this execution may have written thumbnails that no manifest lists.

    Returns
    -------
    dict
        The result as documented in docs/architecture.md, status SUCCESS.

    Raises
    ------
    PermanentError
        The same request always fails again.
    TransientError
        The same request may succeed later.
    """
    check_served(request, buckets)
    check_key(request.object_key, request.recipe.renditions)
    if request.if_missing is IfMissing.FAIL:
        check_recipe(request.recipe, limits)
    key = _Key(request, store, limits, measurements, headers)
    for attempt in range(MAX_ATTEMPTS):
        measurements.attempts += 1
        try:
            return key.bring_in_line(look_around=is_retry and not attempt)
        except ConditionFailedError:
            continue
    raise ConflictError(request.object_key, MAX_ATTEMPTS)


@dataclass(frozen=True, slots=True)
class _Carried:
    """Thumbnails in addition to those of the request: kept as they are, or made again."""

    kept: list[Entry]
    again: dict[Rendition, frozenset[AskedBy]]


class _Key:
    """One key: its state as this run knows it, and the attempts to bring it in line."""

    def __init__(
        self, request: ResizeRequest, store: Store, limits: Limits, measurements: Measurements, headers: Headers
    ) -> None:
        self._request = request
        self._store = store
        self._limits = limits
        self._measurements = measurements
        self._headers = headers
        # ETags of thumbnails by key: those in the manifest, and those found to differ from it (None if there is none).
        self._listed: dict[str, str] = {}
        self._found: dict[str, str | None] = {}
        # Keys that were in _found in any attempt, so that the next attempt checks them again.
        self._watched: set[str] = set()
        self._revision = ""
        self._stored: StoredObject | None = None
        self._manifest: Manifest | None = None

    def bring_in_line(self, *, look_around: bool) -> dict[str, Any]:
        """Make one attempt.

        Raises
        ------
        ConditionFailedError
            Another run changed the key at the same time.
        PermanentError, TransientError
        """
        request = self._request
        self._revision = secrets.token_hex(8)
        self._read_manifest()
        self._found = {}
        self._look_at(self._possible_keys() if look_around else self._watched)
        unless = self._manifest.source.etag if self._manifest and self._is_in_line(self._manifest) else None
        try:
            with self._clock("download_ms"):
                original = self._store.read_original(request.source_bucket, request.object_key, self._limits, unless)
        except OriginalNotFoundError:
            return self._remove_all()
        except PermanentError as error:
            self._give_up(Source(request.object_key, error.etag), error)
        if original is None:
            return self._renew()
        try:
            if self._is_by_recipe:
                # Only now: if the recipe asks for too much, thumbnails of another original must still be deleted.
                check_recipe(request.recipe, self._limits)
            carried = self._carry_over(is_another=self._is_another(original.etag))
            made = self._make(original, carried.again)
            keys = [self._key_of(thumbnail, made.original.format) for thumbnail in made.thumbnails]
            # Check every key before writing the first thumbnail.
            check_thumbnail_keys(request.object_key, keys)
        except PermanentError as error:
            self._give_up(self._describe_original(original), error)
        return self._write_all(original, made, keys, carried)

    def _read_manifest(self) -> None:
        self._manifest, self._listed = None, {}
        self._stored = self._store.read(self._request.destination_bucket, manifest_key(self._request.object_key))
        if self._stored:
            try:
                self._manifest = Manifest.from_json(self._stored.data, self._revision)
                self._listed = {entry.key: entry.etag for entry in self._manifest.thumbnails}
            except ValueError as error:
                # The damaged manifest is replaced, and everything is made again.
                self._warn(str(error))

    def _is_in_line(self, manifest: Manifest) -> bool:
        """Return whether there is nothing to make, provided that the original is still the manifest's."""
        if self._found or not self._is_by_recipe:
            return False
        return manifest.by_recipe() == set(self._request.recipe.renditions)

    def _is_another(self, etag: str) -> bool:
        """Return whether the existing thumbnails may show another original than this one."""
        manifest = self._manifest
        return manifest is None or bool(manifest.error) or bool(self._found) or manifest.source.etag != etag

    @property
    def _is_by_recipe(self) -> bool:
        return self._request.if_missing is IfMissing.REMOVE

    def _carry_over(self, *, is_another: bool) -> _Carried:
        """Choose the existing thumbnails to keep, or to make again from another original.

        A run by recipe drops thumbnails that only an earlier recipe asked for. Requested thumbnails stay as long as the
        original exists.

        Raises
        ------
        TooManyThumbnailsError
        """
        asked_for = set(self._request.recipe.renditions)
        carried: dict[Rendition, frozenset[AskedBy]] = {}
        for rendition, asked_by in self._manifest.renditions().items() if self._manifest else ():
            by = asked_by - {AskedBy.RECIPE} if self._is_by_recipe else asked_by
            if by and rendition not in asked_for:
                carried[rendition] = by
        room = self._limits.max_thumbnails - len(asked_for)
        if len(carried) > room:
            if not self._is_by_recipe:
                raise TooManyThumbnailsError(len(asked_for) + len(carried), self._limits.max_thumbnails)
            carried = dict(list(carried.items())[len(carried) - room :])
        if is_another or self._manifest is None:
            return _Carried([], carried)
        listed = (entry for entry in self._manifest.thumbnails if entry.rendition in carried)
        return _Carried([replace(entry, asked_by=carried[entry.rendition]) for entry in listed], {})

    def _asked_by(self, rendition: Rendition) -> frozenset[AskedBy]:
        """Return who asks for a rendition now, and who asked for it before."""
        before = self._manifest.renditions() if self._manifest else {}
        return before.get(rendition, frozenset()) | {AskedBy.RECIPE if self._is_by_recipe else AskedBy.REQUEST}

    def _make(self, original: StoredOriginal, again: dict[Rendition, frozenset[AskedBy]]) -> Result:
        """Make the thumbnails of the request, followed by those to make again."""
        with self._clock("resize_ms"):
            try:
                recipe = replace(self._request.recipe, others=tuple(again))
                made = make_thumbnails(original.data, recipe, self._limits)
            except OutputTooLargeError as error:
                if not again:
                    raise
                # The thumbnails of the new original may be larger than those of the old one.
                self._warn(f"Thumbnails of earlier requests were dropped. {error}")
                again.clear()
                made = make_thumbnails(original.data, self._request.recipe, self._limits)
        self._measurements.warnings.extend(made.warnings)
        return made

    def _write_all(self, original: StoredOriginal, made: Result, keys: list[str], carried: _Carried) -> dict[str, Any]:
        """Write the thumbnails that were made, delete those that are no longer wanted, and commit."""
        asked_for = self._request.recipe.renditions
        asked_by = [self._asked_by(rendition) for rendition in asked_for]
        asked_by += carried.again.values()
        thumbnails: dict[str, Thumbnail] = {}
        entries = {entry.key: entry for entry in carried.kept}
        for key, thumbnail, by in zip(keys, made.thumbnails, asked_by, strict=True):
            # Renditions that differ only in quality share a key. The one of this request comes first and is used.
            if key not in thumbnails:
                thumbnails[key] = thumbnail
                entries[key] = _describe_thumbnail(key, thumbnail, by)
            elif thumbnail.rendition in asked_for:
                first = entries[key]
                entries[key] = replace(first, also=(*first.also, thumbnail.rendition.format))
        size = made.original
        source = replace(self._describe_original(original), format=size.format, width=size.width, height=size.height)
        known = {entry.key: entry for entry in self._manifest.thumbnails} if self._manifest else {}
        untouched = {key: entry for key, entry in known.items() if key not in self._found}
        with self._clock("upload_ms"):
            for key, etag in self._write(thumbnails, original).items():
                # An ETag cannot be the version: after A, B and A again, caches may have B under the URL of the first A.
                before = untouched.get(key)
                version = before.version if before and before.etag == etag else self._revision
                entries[key] = replace(entries[key], etag=etag, version=version)
            removed = self._delete(self._existing() - entries.keys())
            manifest = Manifest(self._revision, source, made.placeholder, tuple(entries.values()))
            self._commit(manifest)
        return self._describe(manifest, [entries[key] for key in dict.fromkeys(keys[: len(asked_for)])], removed)

    def _describe_original(self, original: StoredOriginal) -> Source:
        return Source(self._request.object_key, original.etag, original.version_id, len(original.data))

    def _key_of(self, thumbnail: Thumbnail, original_format: str) -> str:
        extension = "" if thumbnail.format == original_format else thumbnail.extension
        return thumbnail_key(self._request.object_key, thumbnail.rendition, extension)

    def _renew(self) -> dict[str, Any]:
        """Commit the same manifest again, so that the condition of a slow run that read another original fails."""
        assert self._manifest is not None  # noqa: S101 - only a manifest's ETag makes the original "unchanged"
        manifest = replace(self._manifest, revision=self._revision)
        with self._clock("upload_ms"):
            self._commit(manifest)
        by_recipe = [entry for entry in manifest.thumbnails if AskedBy.RECIPE in entry.asked_by]
        return self._describe(manifest, by_recipe, [])

    def _remove_all(self) -> dict[str, Any]:
        """Remove the thumbnails and the manifest of an original that is gone.

        Raises
        ------
        OriginalNotFoundError
            The request expects an original.
        """
        request = self._request
        if self._manifest is None and self._is_by_recipe:
            # Earlier versions of this product wrote no manifests, and a damaged manifest lists no thumbnails.
            self._look_at(self._possible_keys())
        existing = self._existing()
        with self._clock("upload_ms"):
            if self._stored is None and existing:
                # A run for a restored original must not commit thumbnails that this run deletes. A manifest makes its
                # condition fail.
                nothing = Manifest(self._revision, Source(request.object_key, None), None, ())
                self._stored = StoredObject(self._write_manifest(nothing), nothing.revision)
            removed = self._delete(existing)
            if self._stored:
                key = manifest_key(request.object_key)
                self._store.delete(request.destination_bucket, key, self._stored.etag)
        if not self._is_by_recipe:
            raise OriginalNotFoundError(request.source_bucket, request.object_key)
        return {
            "status": "SUCCESS",
            "source": {"bucket": request.source_bucket, "key": request.object_key},
            "placeholder": None,
            "thumbnails": [],
            "removed": removed,
        }

    def _give_up(self, source: Source, error: PermanentError) -> Never:
        """Record in the manifest that no thumbnails can be made, and raise the error.

        Thumbnails of another original are deleted. Those of this one stay, because a later version of the engine, which
        may refuse more, must not empty the bucket.
        """
        manifest = self._manifest
        if manifest and not manifest.error and source.etag is not None and manifest.source.etag == source.etag:
            spoilt = {e.key for e in manifest.thumbnails if self._found.get(e.key, e.etag) != e.etag}
            missing = {e.rendition: e.asked_by for e in manifest.thumbnails if e.key in spoilt}
            missing |= manifest.missing
            rest = tuple(entry for entry in manifest.thumbnails if entry.key not in spoilt)
            manifest = replace(manifest, revision=self._revision, thumbnails=rest, missing=missing)
        else:
            missing = manifest.renditions() if manifest else {}
            manifest = Manifest(self._revision, source, None, (), missing, (type(error).__name__, str(error)))
        self._delete(self._existing() - {entry.key for entry in manifest.thumbnails})
        self._commit(manifest)
        raise error

    def _existing(self) -> set[str]:
        """Return the keys of all thumbnails that are known to exist."""
        return {key for key, etag in (self._listed | self._found).items() if etag}

    def _etag_of(self, key: str) -> str | None:
        """Return the last known ETag of a thumbnail."""
        return self._found[key] if key in self._found else self._listed.get(key)

    def _possible_keys(self) -> set[str]:
        """Return the keys of all thumbnails that an earlier run may have left without a manifest."""
        renditions = {*self._request.recipe.renditions}
        if self._manifest:
            renditions |= self._manifest.renditions().keys()
        return {
            thumbnail_key(self._request.object_key, rendition, extension)
            for rendition in renditions
            for extension in ("", *EXTENSIONS)
        }

    def _look_at(self, keys: Iterable[str]) -> None:
        """Find the thumbnails that differ from the manifest."""
        for key, found in self._at_once(self._find, keys).items():
            if _etag(found) != self._etag_of(key):
                self._note(key, _etag(found))

    def _note(self, key: str, etag: str | None) -> None:
        """Remember the ETag of a thumbnail, or that it does not exist."""
        self._found[key] = etag
        self._watched.add(key)

    def _find(self, key: str) -> StoredObject | None:
        return self._store.find(self._request.destination_bucket, key)

    def _write(self, thumbnails: Mapping[str, Thumbnail], original: StoredOriginal) -> dict[str, str]:
        """Write thumbnails, and return their ETags."""

        def write(key: str) -> str | None:
            new = self._new_thumbnail(key, thumbnails[key], original)
            try:
                etag = self._store.write(self._request.destination_bucket, new, self._etag_of(key))
            except ConditionFailedError:
                found = self._find(key)
                self._note(key, _etag(found))
                # If it is ours, botocore repeated the request after the first one had succeeded.
                return found.etag if found and found.revision == self._revision else None
            self._note(key, etag)
            return etag

        written = self._at_once(write, thumbnails)
        self._measurements.written += sum(etag is not None for etag in written.values())
        etags = {key: etag for key, etag in written.items() if etag is not None}
        if len(etags) < len(written):
            raise ConditionFailedError
        return etags

    def _new_thumbnail(self, key: str, thumbnail: Thumbnail, original: StoredOriginal) -> NewObject:
        carried = self._headers.carried
        metadata = {name: value for name, value in original.metadata.items() if name in carried}
        if sum(len(name) + len(value.encode()) for name, value in metadata.items()) > _CARRIED_BYTES:
            self._warn("The original's user metadata was not copied, because S3 limits it to 2 KB.")
            metadata = {}
        return NewObject(
            key,
            thumbnail.data,
            thumbnail.content_type,
            self._revision,
            self._headers.cache_control or None,
            original.content_disposition if "content-disposition" in carried else None,
            {**metadata, "original-etag": original.etag},
        )

    def _delete(self, keys: Iterable[str]) -> list[str]:
        """Delete thumbnails, and return their keys."""

        def delete(key: str) -> bool:
            etag = self._etag_of(key)
            assert etag is not None  # noqa: S101 - _existing
            try:
                self._store.delete(self._request.destination_bucket, key, etag)
            except ConditionFailedError:
                found = self._find(key)
                self._note(key, _etag(found))
                return found is None
            self._note(key, None)
            return True

        keys = sorted(keys)
        if not all(self._at_once(delete, keys).values()):
            raise ConditionFailedError
        return keys

    def _commit(self, manifest: Manifest) -> None:
        """Replace the manifest that was read.

        Raises
        ------
        ConditionFailedError
            Another run committed first, or removed everything while this run wrote the first manifest of the key.
        """
        self._write_manifest(manifest)
        if self._stored is not None:
            return
        # The condition "no manifest" also holds after another run has removed everything, so check once more.
        request = self._request
        found = self._at_once(self._find, [entry.key for entry in manifest.thumbnails])
        for key, there in found.items():
            self._note(key, _etag(there))
        is_whole = all(self._found[entry.key] == entry.etag for entry in manifest.thumbnails)
        if not is_whole or not self._store.has_original(request.source_bucket, request.object_key):
            raise ConditionFailedError

    def _write_manifest(self, manifest: Manifest) -> str:
        key = manifest_key(self._request.object_key)
        new = NewObject(key, manifest.to_json(), "application/json", manifest.revision, "no-cache")
        try:
            return self._store.write(self._request.destination_bucket, new, _etag(self._stored))
        except ConditionFailedError:
            found = self._find(key)
            if found is None or found.revision != manifest.revision:
                raise
            # botocore repeated the request after the first one had succeeded.
            return found.etag

    def _at_once(self, call: Callable[[str], Answer], keys: Iterable[str]) -> dict[str, Answer]:
        items = list(keys)
        if len(items) < 2:  # noqa: PLR2004 - one call needs no thread
            return {item: call(item) for item in items}
        with ThreadPoolExecutor(_CALLS_AT_ONCE) as pool:
            return dict(zip(items, pool.map(call, items), strict=True))

    def _describe(self, manifest: Manifest, made: Iterable[Entry], removed: list[str]) -> dict[str, Any]:
        """Return the result."""
        thumbnails = [{"bucket": self._request.destination_bucket, **describe_entry(entry)} for entry in made]
        if len(json.dumps(thumbnails)) > _RESULT_BYTES:
            for thumbnail in thumbnails:
                del thumbnail["url"]
        return {
            "status": "SUCCESS",
            "source": {"bucket": self._request.source_bucket, **describe_source(manifest.source)},
            "placeholder": describe_placeholder(manifest.placeholder),
            "thumbnails": thumbnails,
            "removed": removed,
        }

    def _warn(self, warning: str) -> None:
        self._measurements.warnings.append(warning)

    @contextmanager
    def _clock(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            elapsed = (time.perf_counter() - start) * 1000
            setattr(self._measurements, name, getattr(self._measurements, name) + elapsed)


def _describe_thumbnail(key: str, thumbnail: Thumbnail, asked_by: frozenset[AskedBy]) -> Entry:
    """Return the manifest's entry of a thumbnail; its ETag and version follow when it is written."""
    return Entry(
        key,
        thumbnail.rendition,
        thumbnail.width,
        thumbnail.height,
        len(thumbnail.data),
        thumbnail.content_type,
        etag="",
        version="",
        asked_by=asked_by,
    )


def _etag(found: StoredObject | None) -> str | None:
    return None if found is None else found.etag
