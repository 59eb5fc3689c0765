"""The balance of a soak: what went in against what came out, and what is lost, stale or doubled. Pure.

An upload is **lost** when its key has neither got thumbnails of it nor of a later version, and there is neither a
failed execution nor a dead letter that would say why; or when fewer executions and dead letters than uploads
belong to its key. (Thumbnails that were there, and gave way to older ones, are stale.)

A key is **stale** when its newest version is a picture and a thumbnail is of another version. When the newest
version is no picture there is nothing newer to show: thumbnails of an earlier picture may stand (its execution,
FAILED, says so), but of nothing else.

Work is **doubled** when a key has more executions than uploads, or when two executions made different bytes of
the same original.

A picture is **refused** when its execution failed with one of the permanent errors of the function: a fault was
taken for a broken picture. A picture that **failed** used up all retries; that is loud and can be redriven, so it
is shown but does not count against the promises.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from statistics import quantiles

from soak.load import Ledger, Upload
from soak.outcome import Execution, Outcome
from soak.pictures import Kind

# The state machine puts it in front of the errors that the function returns (statemachine/image_resize.asl.json).
_PERMANENT = "Permanent."


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds from the end of an upload to the end of the execution that wrote its thumbnails."""

    p50: float
    p95: float
    p99: float


@dataclass(slots=True)
class Balance:
    """The figures of one soak; the lists hold sentences, one for each case."""

    uploads: int
    keys: int
    overwritten: int
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
        """Tell whether every promise was kept."""
        return self.settled and not (self.lost or self.stale or self.doubled or self.refused)

    def latency(self) -> Latency:
        """Give the percentiles of the latency, zero where nothing was measured."""
        if len(self.seconds) < 2:  # noqa: PLR2004 - quantiles needs two points
            return Latency(*(self.seconds or [0.0]) * 3)
        cuts = quantiles(self.seconds, n=100, method="inclusive")
        return Latency(cuts[49], cuts[94], cuts[98])


def balance(ledger: Ledger, outcome: Outcome, expected: dict[str, list[str]]) -> Balance:
    """Hold what was done to the pipeline against what it left behind.

    Parameters
    ----------
    ledger : Ledger
    outcome : Outcome
    expected : dict of str to list of str
        Key of each original to the keys of its thumbnails.
    """
    executions: dict[str, list[Execution]] = defaultdict(list)
    for execution in outcome.executions:
        executions[execution.key].append(execution)
    dead_letters = Counter(outcome.dead_letters)
    failed = [execution for execution in outcome.executions if execution.status != "SUCCEEDED"]
    # A thumbnail is due for each key with a picture in it, unless something says why there is none.
    due = [
        key
        for original, uploads in ledger.uploads.items()
        if any(upload.kind is Kind.PICTURE for upload in uploads)
        and (
            any(execution.source_etag for execution in executions[original])
            or not any(execution.status != "SUCCEEDED" for execution in executions[original])
        )
        for key in expected[original]
    ]
    # Events beyond one for each upload: all of them must have come to nothing.
    events = ledger.count() + ledger.delivered_again
    result = Balance(
        uploads=ledger.count(),
        keys=len(ledger.uploads),
        overwritten=sum(len(uploads) > 1 for uploads in ledger.uploads.values()),
        delivered_again=ledger.delivered_again,
        executions=len(outcome.executions),
        retried_for=dict(Counter(reason for execution in outcome.executions for reason in execution.retried_for)),
        thumbnails_expected=len(due),
        thumbnails_present=sum(key in outcome.thumbnails for key in due),
        duplicates_suppressed=max(0, events - len(outcome.executions) - len(outcome.dead_letters)),
        failed_by_reason=dict(Counter(execution.error or execution.status for execution in failed).most_common()),
        dead_letters=len(outcome.dead_letters),
        settled=ledger.settled and not outcome.waiting,
        lost=[f"{key}: a dead letter of no upload" for key in dead_letters if key not in ledger.uploads],
    )
    if outcome.versions != result.uploads:
        result.lost.append(f"the originals bucket holds {outcome.versions} versions of {result.uploads} uploads")
    for key, uploads in ledger.uploads.items():
        thumbnails = {name: outcome.thumbnails.get(name) for name in expected[key]}
        shown = {name: thumbnail.original_etag if thumbnail else "" for name, thumbnail in thumbnails.items()}
        result.lost += _lost(key, uploads, executions[key], dead_letters[key], shown)
        result.stale += _stale(key, uploads, shown)
        stored = {name: thumbnail.etag for name, thumbnail in thumbnails.items() if thumbnail}
        result.doubled += _doubled(key, uploads, executions[key], stored, shown)
        if all(upload.kind is Kind.PICTURE for upload in uploads):
            for execution in executions[key]:
                if execution.status != "SUCCEEDED":
                    sentence = f"{key}: {execution.error or execution.status}: {execution.cause}"
                    is_permanent = (execution.error or "").startswith(_PERMANENT)
                    (result.refused if is_permanent else result.pictures_failed).append(sentence)
    result.seconds = sorted(_seconds(ledger, executions))
    return result


def _lost(
    key: str, uploads: list[Upload], executions: list[Execution], dead_letters: int, shown: dict[str, str]
) -> list[str]:
    etags = [upload.etag for upload in uploads]
    # The newest version that all thumbnails of this key have reached …
    reached = min(etags.index(etag) if etag in etags else -1 for etag in shown.values())
    if all(shown.values()):
        # … or had reached, before an older one was written over it.
        made = [etags.index(execution.source_etag) for execution in executions if execution.source_etag in etags]
        reached = max(reached, *made, -1)
    explained = sum(execution.status != "SUCCEEDED" for execution in executions) + dead_letters
    in_silence = len(uploads) - 1 - reached - explained
    if in_silence > 0:
        return [f"{key}: {in_silence} of {len(uploads)} uploads without thumbnails or a reason"]
    unstarted = len(uploads) - len(executions) - dead_letters
    if unstarted > 0:
        return [f"{key}: {unstarted} of {len(uploads)} uploads without an execution or a dead letter"]
    return []


def _stale(key: str, uploads: list[Upload], shown: dict[str, str]) -> list[str]:
    newest = uploads[-1]
    pictures = {upload.etag for upload in uploads if upload.kind is Kind.PICTURE}
    allowed = {newest.etag} if newest.kind is Kind.PICTURE else pictures
    wrong = [name for name, etag in shown.items() if etag and etag not in allowed]
    return [f"{key}: {name} is not of the newest version" for name in wrong]


def _doubled(
    key: str, uploads: list[Upload], executions: list[Execution], stored: dict[str, str], shown: dict[str, str]
) -> list[str]:
    sentences = []
    if len(executions) > len(uploads):
        sentences.append(f"{key}: {len(executions)} executions for {len(uploads)} uploads")
    bytes_of: dict[tuple[str, str], set[str]] = defaultdict(set)
    for execution in executions:
        for name, etag in execution.made.items():
            bytes_of[name, execution.source_etag].add(etag)
    for name, etag in stored.items():
        bytes_of[name, shown[name]].add(etag)
    sentences += [
        f"{key}: {name} was made in {len(etags)} ways" for (name, _), etags in bytes_of.items() if len(etags) > 1
    ]
    return sentences


def _seconds(ledger: Ledger, executions: dict[str, list[Execution]]) -> list[float]:
    found = []
    for key, uploads in ledger.uploads.items():
        for upload in uploads:
            ends = [execution.ended for execution in executions[key] if execution.source_etag == upload.etag]
            if ends:
                found.append(max(0.0, min(ends) - upload.at))
    return found
