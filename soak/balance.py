"""Compare the two buckets at the end of a soak, and the executions with the changes that caused them. Pure functions.

The originals bucket defines what the thumbnails bucket must contain: for each original its manifest and the thumbnails
that the manifest lists, all made from this original, and nothing else.

A key is **lost** if its original has no manifest or lacks a thumbnail, or if it has fewer executions and dead letters
than changes. It is **stale** if a manifest or a thumbnail is of another original, or exists without an original. Keys
that may have ended with a visible failure are listed but do not count: an execution that used up all its retries, and a
dead letter, raise an alarm and can be redriven.

Work is **doubled** if a key has executions with more names than it had changes and requests (Express executions of one
event have the same name, because a fault returns the message to the queue), or if two executions of one kind made
different bytes from the same original. (All sizes of an execution are made from one decode, so a thumbnail's bytes
depend on the other sizes: a requested thumbnail has other bytes if it is made again together with the recipe's.)

A picture is **refused** if its execution failed with a permanent error: a fault was reported as a broken picture. A
request for an original that was deleted does not count as refused.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import quantiles

from local.amounts import counted
from soak.load import Ledger, Upload
from soak.outcome import Execution, Outcome
from soak.pictures import Kind
from soak.plan import Deed

# The state machine adds this prefix to the errors that the function returns (statemachine/image_resize.asl.json).
_PERMANENT = "Permanent."
_GONE = "Permanent.OriginalNotFoundError"


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds from the end of an upload to the end of the execution that wrote its thumbnails."""

    p50: float
    p95: float
    p99: float


@dataclass(slots=True)
class Balance:
    """The figures of one soak; the lists contain one sentence for each case."""

    uploads: int
    keys: int
    overwritten: int
    deeds: dict[str, int]
    delivered_again: int
    executions: int
    retried_for: dict[str, int]
    thumbnails_expected: int
    thumbnails_present: int
    duplicates_suppressed: int
    failed_by_reason: dict[str, int]
    dead_letters: int
    settled: bool
    lost: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    pictures_failed: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def is_kept(self) -> bool:
        """Return whether every promise was kept."""
        return self.settled and not (self.lost or self.stale or self.doubled or self.refused)

    def latency(self) -> Latency:
        """Return the percentiles of the latency; zero if there is no measurement."""
        if len(self.seconds) < 2:  # noqa: PLR2004 - quantiles needs two points
            return Latency(*(self.seconds or [0.0]) * 3)
        cuts = quantiles(self.seconds, n=100, method="inclusive")
        return Latency(cuts[49], cuts[94], cuts[98])


@dataclass(frozen=True, slots=True)
class _Key:
    """The changes of one key, its executions, and the thumbnails that it must have."""

    key: str
    uploads: list[Upload]
    deeds: Counter[Deed]
    executions: list[Execution]
    dead_letters: int
    original: str | None
    by_recipe: list[str]

    @property
    def changes(self) -> int:
        """Return the number of events that S3 sent."""
        return len(self.uploads) + self.deeds.total() - self.deeds[Deed.POST]

    @property
    def is_loud(self) -> bool:
        """Return whether a dead letter or a failed execution reports that the key may be out of line."""
        last = {each.name: each for each in sorted(self.executions, key=lambda each: each.ended)}
        return self.dead_letters > 0 or any(
            execution.status != "SUCCEEDED" and not execution.error.startswith(_PERMANENT)
            for execution in last.values()
        )

    @property
    def has_only_pictures(self) -> bool:
        """Return whether every version is a picture."""
        return all(upload.kind is Kind.PICTURE for upload in self.uploads)

    @property
    def is_picture(self) -> bool:
        """Return whether the current original is a picture."""
        return any(upload.etag == self.original and upload.kind is Kind.PICTURE for upload in self.uploads)

    def possible(self) -> set[str]:
        """Return the thumbnails that the recipe or a request asked for."""
        return {*self.by_recipe, *(name for execution in self.executions for name in execution.made)}

    def may_have(self, thumbnail: str) -> bool:
        """Return whether a thumbnail's key can belong to this original, in any box, fit and format."""
        folder, slash, name = self.key.rpartition("/")
        place = rf"thumbnails/{re.escape(folder + slash)}[0-9]+x[0-9]+(-[a-z]+)?_{re.escape(name)}(\.[a-z]+)?"
        return re.fullmatch(place, thumbnail) is not None

    def due(self) -> set[str]:
        """Return the thumbnails that must exist."""
        if not self.is_picture:
            return set()
        # Requested thumbnails are deleted with their original, and by a version that is not a picture.
        is_kept = self.has_only_pictures and not self.deeds[Deed.DELETE]
        posted = [execution for execution in self.executions if execution.is_posted and is_kept]
        return {*self.by_recipe, *(name for execution in posted for name in execution.made)}


def balance(ledger: Ledger, outcome: Outcome, expected: dict[str, list[str]]) -> Balance:
    """Compare the changes with the state in which the pipeline ended.

    Parameters
    ----------
    ledger : Ledger
    outcome : Outcome
    expected : dict of str to list of str
        Keys of the thumbnails that the recipe asks for, by the key of the original.
    """
    keys = list(_keys(ledger, outcome, expected))
    deeds = ledger.count_deeds()
    # All events. Those that neither started an execution nor became a dead letter were suppressed as duplicates.
    events = sum(key.changes for key in keys) + ledger.delivered_again
    started = len({execution.name for execution in outcome.executions if not execution.is_posted})
    due = [name for key in keys if not key.is_loud for name in key.due()]
    result = Balance(
        uploads=ledger.count(),
        keys=len(keys),
        overwritten=sum(len(key.uploads) > 1 for key in keys),
        deeds={deed.value: number for deed, number in deeds.items()},
        delivered_again=ledger.delivered_again,
        executions=len(outcome.executions),
        retried_for=dict(Counter(reason for execution in outcome.executions for reason in execution.retried_for)),
        thumbnails_expected=len(due),
        thumbnails_present=sum(name in outcome.thumbnails for name in due),
        duplicates_suppressed=max(0, events - started - len(outcome.dead_letters)),
        failed_by_reason=_reasons(outcome),
        dead_letters=len(outcome.dead_letters),
        settled=ledger.settled and not outcome.waiting,
        lost=[f"{key}: a dead letter of no upload" for key in outcome.dead_letters if key not in ledger.uploads],
        stale=list(_strays(keys, outcome)),
    )
    versions = result.uploads - deeds[Deed.ROLL_BACK]
    if outcome.versions != versions:
        result.lost.append(f"the originals bucket has {outcome.versions} versions of {versions} uploads")
    for key in keys:
        result.lost += _unstarted(key)
        if not key.is_loud:
            result.lost += _lost(key, outcome)
            result.stale += _stale(key, outcome)
        result.doubled += _doubled(key, outcome)
        for sentence, is_permanent in _failed_pictures(key):
            (result.refused if is_permanent else result.pictures_failed).append(sentence)
    result.seconds = sorted(second for key in keys for second in _seconds(key))
    return result


def _keys(ledger: Ledger, outcome: Outcome, expected: dict[str, list[str]]) -> Iterator[_Key]:
    executions: dict[str, list[Execution]] = defaultdict(list)
    for execution in outcome.executions:
        executions[execution.key].append(execution)
    for key, uploads in ledger.uploads.items():
        yield _Key(
            key,
            uploads,
            ledger.deeds_on(key),
            executions[key],
            outcome.dead_letters.count(key),
            outcome.originals.get(key),
            expected[key],
        )


def _reasons(outcome: Outcome) -> dict[str, int]:
    failed = [execution for execution in outcome.executions if execution.status != "SUCCEEDED"]
    return dict(Counter(execution.error or execution.status for execution in failed).most_common())


def _strays(keys: list[_Key], outcome: Outcome) -> Iterator[str]:
    """Yield objects of the thumbnails bucket that no manifest lists."""
    listed = {name for manifest in outcome.manifests.values() for name in manifest.thumbnails}
    loud = [key for key in keys if key.is_loud]
    for name in outcome.thumbnails.keys() - listed:
        if not any(key.may_have(name) for key in loud):
            yield f"{name} is in no manifest"
    for key in outcome.manifests.keys() - {key.key for key in keys}:
        yield f"{key}: a manifest of an original that was never uploaded"


def _unstarted(key: _Key) -> Iterator[str]:
    started = len({execution.name for execution in key.executions if not execution.is_posted})
    missing = key.changes - started - key.dead_letters
    if missing > 0:
        yield f"{key.key}: {missing} of {counted(key.changes, 'change')} without an execution or a dead letter"
    unposted = key.deeds[Deed.POST] - sum(execution.is_posted for execution in key.executions)
    if unposted > 0:
        yield f"{key.key}: {unposted} of {counted(key.deeds[Deed.POST], 'request')} without an execution"


def _lost(key: _Key, outcome: Outcome) -> Iterator[str]:
    """Yield the manifest and thumbnails that the current original lacks."""
    if key.original is None:
        return
    manifest = outcome.manifests.get(key.key)
    if manifest is None:
        yield f"{key.key}: no manifest"
        return
    for name in key.due() - manifest.thumbnails.keys():
        yield f"{key.key}: {name} is not in the manifest"
    for name in manifest.thumbnails.keys() - outcome.thumbnails.keys():
        yield f"{key.key}: {name} is in the manifest but not in the bucket"


def _stale(key: _Key, outcome: Outcome) -> Iterator[str]:
    """Yield manifests and thumbnails of another original than the current one, or without an original."""
    manifest = outcome.manifests.get(key.key)
    if manifest is None:
        return
    if key.original is None:
        yield f"{key.key}: a manifest without an original"
        return
    if manifest.original_etag != key.original:
        yield f"{key.key}: the manifest is of another original"
    if not key.is_picture and not manifest.error:
        yield f"{key.key}: the manifest does not state that the original is not a picture"
    for name, etag in manifest.thumbnails.items():
        stored = outcome.thumbnails.get(name)
        if not key.is_picture or name not in key.possible():
            yield f"{key.key}: nobody asked for {name}"
        elif stored and stored.original_etag != key.original:
            yield f"{key.key}: {name} is of another original"
        elif stored and stored.etag != etag:
            yield f"{key.key}: {name} is not the one in the manifest"


def _doubled(key: _Key, outcome: Outcome) -> Iterator[str]:
    most = key.changes + key.deeds[Deed.POST]
    names = {execution.name for execution in key.executions}
    if len(names) > most:
        yield f"{key.key}: {len(names)} executions for {most} changes and requests"
    bytes_of: dict[tuple[str, str], set[str]] = defaultdict(set)
    for execution in key.executions:
        for name, etag in execution.made.items():
            bytes_of[name, execution.source_etag].add(etag)
    for name in outcome.thumbnails.keys() & key.by_recipe:
        stored = outcome.thumbnails[name]
        bytes_of[name, stored.original_etag].add(stored.etag)
    for (name, _), etags in bytes_of.items():
        if len(etags) > 1:
            yield f"{key.key}: {name} was made in {len(etags)} ways"


def _failed_pictures(key: _Key) -> Iterator[tuple[str, bool]]:
    """Yield the failures of a key that had only pictures, and whether each is permanent."""
    for execution in key.executions if key.has_only_pictures else ():
        may_be_gone = execution.is_posted and key.deeds[Deed.DELETE] > 0
        if execution.status != "SUCCEEDED" and not (may_be_gone and execution.error == _GONE):
            sentence = f"{key.key}: {execution.error or execution.status}: {execution.cause}"
            yield sentence, execution.error.startswith(_PERMANENT)


def _seconds(key: _Key) -> Iterator[float]:
    for upload in key.uploads:
        ends = [execution.ended for execution in key.executions if execution.source_etag == upload.etag]
        if ends:
            yield max(0.0, min(ends) - upload.at)
