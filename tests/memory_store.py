"""The two buckets in memory: versions of originals, conditions on ETags, and a list of the requests that were made."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from jsonschema import Draft4Validator

from functions.resize.errors import OriginalNotFoundError, PermanentError
from functions.resize.keys import manifest_key
from functions.resize.limits import Limits, check_size
from functions.resize.storage import ConditionFailedError, NewObject, StoredObject, StoredOriginal
from tests.deployed import ROOT

_SCHEMA = Draft4Validator(json.loads((ROOT / "schemas" / "manifest.json").read_text(encoding="utf-8")))


def md5(data: bytes) -> str:
    """Return the ETag of what was uploaded at once, without a KMS key."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


@dataclass
class MemoryStore:
    """S3 with a versioned originals bucket, as ``job.Store`` wants it.

    Attributes
    ----------
    versions : dict of str to list
        By key, the current one last; ``None`` is a delete marker.
    objects : dict of str to NewObject
        Of the thumbnails bucket.
    requests : list of str
        ``GET original``, ``HEAD original``, and ``GET``, ``HEAD``, ``PUT`` or ``DELETE`` with ``manifest`` or a key.
    before, after : dict of str to callable
        Called once, before or after a request that is named as in ``requests``: what others do meanwhile.
    repeated : set of str
        Requests whose answer is lost, so that botocore sends them again.
    refusals : dict of str to PermanentError
        By key, why S3 does not return an original.
    etag : callable
        From bytes to an ETag, for both buckets.
    """

    versions: dict[str, list[StoredOriginal | None]] = field(default_factory=dict)
    objects: dict[str, NewObject] = field(default_factory=dict)
    etags: dict[str, str] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    before: dict[str, Callable[[], object]] = field(default_factory=dict)
    after: dict[str, Callable[[], object]] = field(default_factory=dict)
    repeated: set[str] = field(default_factory=set)
    refusals: dict[str, PermanentError] = field(default_factory=dict)
    etag: Callable[[bytes], str] = md5
    _lock: threading.Lock = field(default_factory=threading.Lock)

    # What clients do with originals.

    def upload(self, key: str, data: bytes, **headers: Any) -> str:
        """Add a version; return its ETag."""
        versions = self.versions.setdefault(key, [])
        etag = self.etag(data)
        versions.append(StoredOriginal(data, etag, f"version-{len(versions) + 1}", **headers))
        return etag

    def remove(self, key: str) -> None:
        """Add a delete marker."""
        self.versions.setdefault(key, []).append(None)

    def pop(self, key: str) -> None:
        """Remove the last version or marker: a roll-back, or an undelete."""
        self.versions[key].pop()

    # What there is.

    def thumbnails(self) -> list[str]:
        """Return the keys of all thumbnails, sorted."""
        return sorted(key for key in self.objects if key.startswith("thumbnails/"))

    def manifest(self, key: str) -> Any:
        """Return the manifest of an original, or ``None``."""
        found = self.objects.get(manifest_key(key))
        return found and json.loads(found.data)

    def put(self, new: NewObject) -> str:
        """Write an object without any condition."""
        self.objects[new.key] = new
        self.etags[new.key] = self.etag(new.data)
        return self.etags[new.key]

    def drop(self, key: str) -> None:
        """Delete an object without any condition."""
        self.objects.pop(key, None)
        self.etags.pop(key, None)

    def take_requests(self) -> list[str]:
        """Return the requests since the last call."""
        taken, self.requests = self.requests, []
        return taken

    # The doors of job.Store. What others do is done without the lock: it may be a whole run with threads.

    def read_original(self, bucket: str, key: str, limits: Limits, unless: str | None = None) -> StoredOriginal | None:
        assert bucket == "originals"
        with self._request("GET original"), self._lock:
            found = self._current(key)
        if found is None:
            raise OriginalNotFoundError(bucket, key)
        if key in self.refusals:
            raise self.refusals[key]
        if found.etag == unless:
            return None
        try:
            check_size(len(found.data), limits)
        except PermanentError as error:
            error.etag = found.etag
            raise
        return found

    def has_original(self, bucket: str, key: str) -> bool:
        assert bucket == "originals"
        with self._request("HEAD original"), self._lock:
            return self._current(key) is not None

    def read(self, bucket: str, key: str) -> StoredObject | None:
        return self._look("GET", bucket, key)

    def find(self, bucket: str, key: str) -> StoredObject | None:
        return self._look("HEAD", bucket, key)

    def write(self, bucket: str, new: NewObject, replaces: str | None) -> str:
        assert bucket == "thumbnails"
        assert new.key.startswith(("thumbnails/", "manifests/"))
        if new.key.startswith("manifests/"):
            assert [error.message for error in _SCHEMA.iter_errors(json.loads(new.data))] == []

        def write() -> str:
            if self.etags.get(new.key) != replaces:
                raise ConditionFailedError
            return self.put(new)

        etag: str = self._change("PUT", new.key, write)
        return etag

    def delete(self, bucket: str, key: str, etag: str) -> None:
        assert bucket == "thumbnails"

        def delete() -> None:
            if self.etags.get(key) != etag:
                raise ConditionFailedError
            self.drop(key)

        self._change("DELETE", key, delete)

    def _current(self, key: str) -> StoredOriginal | None:
        return (self.versions.get(key) or [None])[-1]

    def _look(self, method: str, bucket: str, key: str) -> StoredObject | None:
        assert bucket == "thumbnails"
        with self._request(method, key), self._lock:
            found = self.objects.get(key)
            if found is None:
                return None
            return StoredObject(self.etags[key], found.revision, found.data if method == "GET" else b"")

    def _change(self, method: str, key: str, change: Callable[[], Any]) -> Any:
        with self._request(method, key) as name, self._lock:
            answer = change()
            if name in self.repeated:
                self.repeated.remove(name)
                answer = change()
            return answer

    @contextmanager
    def _request(self, method: str, key: str = "") -> Iterator[str]:
        name = f"{method} {'manifest' if key.startswith('manifests/') else key}".strip()
        self.requests.append(name)
        self.before.pop(name, _nothing)()
        yield name
        self.after.pop(name, _nothing)()


def _nothing() -> None:
    """Do what others do unless a test says otherwise."""
