"""Merge the listing of originals with the listing of manifests in one pass. Pure functions.

S3 sorts keys by their UTF-8 bytes, which is the order of Python's strings. The manifest of ``a`` is ``a.json``, which
can change the order: ``a`` comes before ``a-b``, but ``a-b.json`` before ``a.json``. So an original waits until no
later original can have an earlier manifest. That is only necessary while the last key read begins with the waiting key,
so few originals wait.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field

from functions.resize.keys import MANIFEST_SUFFIX


@dataclass(frozen=True, slots=True)
class Listed:
    """One object as ListObjectsV2 describes it.

    Attributes
    ----------
    key : str
        Key of the original, also for a manifest.
    etag : str
        Without quotes.
    size : int
        Bytes.
    storage_class : str
    """

    key: str
    etag: str
    size: int = 0
    storage_class: str = "STANDARD"


@dataclass(frozen=True, slots=True)
class Pair:
    """An original and its manifest; at least one of them exists."""

    original: Listed | None
    manifest: Listed | None


@dataclass(frozen=True, slots=True)
class Position:
    """Where a merge stopped, so that another one can continue.

    Attributes
    ----------
    originals_after : str
        The last original that was read; empty for none.
    manifests_after : str
        The key whose manifest was the last to be returned; empty for none.
    waiting : tuple of Listed
        Originals that were read and not returned.
    """

    originals_after: str = ""
    manifests_after: str = ""
    waiting: tuple[Listed, ...] = ()


@dataclass(order=True, slots=True)
class _Waiting:
    name: str
    original: Listed = field(compare=False)


class Merge:
    """An iterator over pairs, in the order of the manifests' names.

    Parameters
    ----------
    originals, manifests : iterator of Listed
        In the order of S3: originals by their keys, manifests by their keys with ``.json``; both beginning at
        ``start``.
    start : Position
    """

    def __init__(self, originals: Iterator[Listed], manifests: Iterator[Listed], start: Position = Position()) -> None:
        self._originals = originals
        self._manifests = manifests
        self._originals_after = start.originals_after
        self._manifests_after = start.manifests_after
        self._waiting = [_Waiting(_name(original), original) for original in start.waiting]
        heapq.heapify(self._waiting)
        self._has_more_originals = True
        self._next_manifest: Listed | None = next(manifests, None)

    def __iter__(self) -> "Merge":
        return self

    def __next__(self) -> Pair:
        """Return the next pair."""
        self._read_until_one_is_next()
        original = self._waiting[0].name if self._waiting else None
        manifest = _name(self._next_manifest) if self._next_manifest else None
        if original is None and manifest is None:
            raise StopIteration
        takes_original = manifest is None or (original is not None and original <= manifest)
        takes_manifest = original is None or (manifest is not None and manifest <= original)
        return Pair(
            heapq.heappop(self._waiting).original if takes_original else None,
            self._take_manifest() if takes_manifest else None,
        )

    def position(self) -> Position:
        """Return the position of the next pair."""
        return Position(
            self._originals_after, self._manifests_after, tuple(waiting.original for waiting in self._waiting)
        )

    def _read_until_one_is_next(self) -> None:
        """Read originals until the first waiting one comes before all that were not read.

        Names are longer than their keys, so every later name sorts after the last key that was read.
        """
        while self._has_more_originals and not (self._waiting and self._waiting[0].name <= self._originals_after):
            original = next(self._originals, None)
            if original is None:
                self._has_more_originals = False
                return
            self._originals_after = original.key
            heapq.heappush(self._waiting, _Waiting(_name(original), original))

    def _take_manifest(self) -> Listed | None:
        taken, self._next_manifest = self._next_manifest, next(self._manifests, None)
        if taken is not None:
            self._manifests_after = taken.key
        return taken


def _name(listed: Listed) -> str:
    return listed.key + MANIFEST_SUFFIX
