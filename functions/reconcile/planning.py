"""``plan``: list both buckets into parts, compare each part, and add up the work."""

import dataclasses
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from itertools import accumulate, islice, takewhile
from typing import Any, Self

from functions.reconcile.compare import (
    OUT_OF_LINE,
    SKIPPED,
    Entry,
    Verdict,
    digest_of,
    judge,
    judge_listed,
    renditions_of,
)
from functions.reconcile.inputs import PlanInput
from functions.reconcile.listing import Listed, Merge, Pair, Position
from functions.reconcile.plans import Names, Part, cut
from functions.reconcile.price import KEYS_IN_A_PART, PlannedWork, RunPrices, seconds_to_make
from functions.reconcile.storage import CALLS_AT_ONCE, Store
from functions.reconcile.strays import folder_of, is_stray, originals_of
from functions.resize.keys import manifest_key
from functions.resize.manifest import Manifest
from functions.start_from_s3.recipes import Recipe, wanted_of

# A segment of the listing ends this long before the function's time-out, so that it can write its cursor.
SECONDS_TO_END = 60.0
# A child must end within five minutes. Half of this is reserved for retries and for slow pictures.
_SECONDS_OF_WORK = 150.0
# The time is checked after this many results, which is the size of one page of an S3 listing.
PAGE = 1000


def begin(wanted: PlanInput, plan: str, started: str, recipes: list[Recipe], store: Store) -> dict[str, Any]:
    """Write the description of the plan; return the state of the execution.

    Parameters
    ----------
    wanted : PlanInput
    plan : str
        Its id.
    started : str
        Start time of the execution, ISO 8601.
    recipes : list of Recipe
    store : Store
    """
    names = Names(plan)
    about = {
        "plan": plan,
        "created": started,
        "prefix": wanted.prefix,
        "recipes": digest_of(recipes),
        "concurrency": wanted.concurrency,
    }
    store.write_json(names.about, about)
    return {
        "mode": "plan",
        "plan": plan,
        "prefix": wanted.prefix,
        "concurrency": wanted.concurrency,
        "strays": wanted.strays,
        "wait_seconds": wanted.wait_minutes * 60,
        "parts": names.parts,
        "maps": f"{names.folder}maps",
        "segment": 0,
        "finished": False,
        "count": 0,
    }


def list_keys(state: dict[str, Any], store: Store, seconds_left: Callable[[], float]) -> dict[str, Any]:
    """List keys into parts as long as there is time; return the state, ``finished`` or not.

    The cursor is an object, because the waiting originals of the merge may be too many for a state. A segment that is
    retried begins at the same place and gives its parts the same numbers.
    """
    names, prefix, segment = Names(state["plan"]), state["prefix"], state["segment"]
    cursor = store.read_json(names.cursor(segment)) if segment else None
    number = cursor["parts"] if cursor else 0
    _remove_parts_above(number, names, store)
    if cursor and "thumbnails_after" in cursor:
        return _list_thumbnails(state, number, cursor["thumbnails_after"], store, seconds_left)
    start = _position_of(cursor) if cursor else Position()
    merge = Merge(
        store.list_originals(prefix, start.originals_after),
        store.list_manifests(prefix, start.manifests_after),
        start,
    )
    part, is_finished = Part(), True
    with _Writer(store) as writer:
        for pair in merge:
            part.add(_entry_of(pair))
            if part.is_full:
                number += 1
                writer.write(names.part(number), [entry.to_dict() for entry in part.entries])
                part = Part()
                if seconds_left() < SECONDS_TO_END:
                    is_finished = False
                    break
        if part.entries:
            number += 1
            writer.write(names.part(number), [entry.to_dict() for entry in part.entries])
    if not is_finished:
        store.write_json(names.cursor(segment + 1), {"parts": number, **dataclasses.asdict(merge.position())})
    elif state["strays"]:
        is_finished = False
        store.write_json(names.cursor(segment + 1), {"parts": number, "thumbnails_after": ""})
    return {**state, "segment": segment + 1, "finished": is_finished, "count": number}


def _list_thumbnails(
    state: dict[str, Any], number: int, after: str, store: Store, seconds_left: Callable[[], float]
) -> dict[str, Any]:
    """List thumbnails into more parts; return the state, ``finished`` or not."""
    names, prefix, segment = Names(state["plan"]), state["prefix"], state["segment"]
    found = (each for each in store.list_thumbnails(folder_of(prefix), after) if _may_be_below(prefix, each[0]))
    is_finished = True
    with _Writer(store) as writer:
        while some := list(islice(found, KEYS_IN_A_PART)):
            number += 1
            writer.write(names.part(number), {"prefix": prefix, "thumbnails": some})
            after = some[-1][0]
            if seconds_left() < SECONDS_TO_END:
                is_finished = False
                break
    if not is_finished:
        store.write_json(names.cursor(segment + 1), {"parts": number, "thumbnails_after": after})
    return {**state, "segment": segment + 1, "finished": is_finished, "count": number}


def _may_be_below(prefix: str, thumbnail: str) -> bool:
    return any(original.startswith(prefix) for original in originals_of(thumbnail))


class _Writer:
    """Writes objects in the background while the listing continues, a few at the same time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pool = ThreadPoolExecutor(CALLS_AT_ONCE // 2)
        self._writing: deque[Future[None]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()
        for each in self._writing:
            each.result()

    def write(self, key: str, value: Any) -> None:
        """Write one object; if many are being written, wait for the oldest."""
        self._writing.append(self._pool.submit(self._store.write_json, key, value))
        if len(self._writing) > 2 * CALLS_AT_ONCE:
            self._writing.popleft().result()


def _position_of(cursor: dict[str, Any]) -> Position:
    waiting = tuple(Listed(**each) for each in cursor["waiting"])
    return Position(cursor["originals_after"], cursor["manifests_after"], waiting)


def _remove_parts_above(number: int, names: Names, store: Store) -> None:
    """Remove the parts of a segment that stopped halfway, because the buckets may have changed since."""
    for left in list(store.list_names(names.parts, names.part(number))):
        store.delete(left)


def _entry_of(pair: Pair) -> Entry:
    original, manifest = pair.original, pair.manifest
    etag = manifest.etag if manifest else None
    if original is None:
        return Entry(manifest.key if manifest else "", None, manifest=etag)
    return Entry(original.key, original.etag, original.size, original.storage_class, etag)


def compare_part(state: dict[str, Any], recipes: list[Recipe], store: Store) -> dict[str, Any]:
    """Compare the keys of one part; write the result, and the work for a run."""
    names, part = Names(state["plan"]), state["part"]
    listed = store.read_json(part)
    if isinstance(listed, dict):
        return _compare_thumbnails(names, part, listed, recipes, store)
    entries = [Entry.from_dict(each) for each in listed]
    has_waited = state["wait_seconds"] > 0
    verdicts = judge_all(entries, recipes, store, is_again=has_waited)
    if has_waited:
        verdicts |= _settled(verdicts, store)
    found = [dataclasses.replace(entry, verdict=verdicts[entry.key]) for entry in entries]
    work = [entry for entry in found if entry.verdict in OUT_OF_LINE]
    orphans = [entry for entry in found if entry.verdict == Verdict.ORPHAN]
    pieces = list(_pieces(names.work_of(part, "keys", len(work)), work, recipes))
    if orphans:
        pieces.append((names.work_of(part, "orphans", len(orphans)), orphans))
    for name, some in pieces:
        store.write_json(name, [entry.to_dict() for entry in some])
    store.write_json(
        names.compared(part),
        {
            "verdicts": Counter(entry.verdict for entry in found),
            "manifests": sum(entry.manifest is not None for entry in entries),
            "bytes": sum(entry.size for entry in work),
            "work": dataclasses.asdict(_work_of(work, len(orphans), recipes)),
        },
    )
    return {}


def _settled(verdicts: Mapping[str, Verdict], store: Store) -> dict[str, Verdict]:
    """Return the keys that only look out of line because their originals were created or deleted after the listing."""
    doubted = sorted(key for key, verdict in verdicts.items() if verdict in {Verdict.MISSING, Verdict.ORPHAN})
    if not doubted:
        return {}
    # The keys of a part are a continuous range of the listing. Of all keys that begin with a key, that key is the
    # first.
    rest = takewhile(lambda each: each.key <= doubted[-1], store.list_originals("", doubted[0]))
    there = {each.key for each in (*islice(store.list_originals(doubted[0], ""), 1), *rest)}
    return {key: Verdict.IN_LINE for key in doubted if (key in there) is (verdicts[key] is Verdict.ORPHAN)}


def _pieces(name: str, work: list[Entry], recipes: list[Recipe]) -> Iterator[tuple[str, list[Entry]]]:
    """Divide the keys of a part that are out of line, so that a child has enough time for each piece.

    A child that runs out of time counts as failed, and many failed children stop the run.
    """
    while work:
        seconds = accumulate(seconds_to_make(renditions_of(entry.key, recipes)) for entry in work)
        at = max(1, sum(1 for _ in takewhile(lambda so_far: so_far <= _SECONDS_OF_WORK, seconds)))
        if at == len(work):
            yield name, work
            return
        first, name = cut(name, len(work), at)
        yield first, work[:at]
        work = work[at:]


def _compare_thumbnails(
    names: Names, part: str, listed: dict[str, Any], recipes: list[Recipe], store: Store
) -> dict[str, Any]:
    strays = find_strays(listed["prefix"], listed["thumbnails"], recipes, store)
    if strays:
        work = {"prefix": listed["prefix"], "thumbnails": strays}
        store.write_json(names.work_of(part, "strays", len(strays)), work)
    store.write_json(names.compared(part), {"thumbnails": len(listed["thumbnails"]), "strays": len(strays)})
    return {}


def find_strays(
    prefix: str, thumbnails: Iterable[tuple[str, str]], recipes: list[Recipe], store: Store
) -> list[tuple[str, str]]:
    """Return the thumbnails that no current manifest lists.

    Parameters
    ----------
    prefix : str
        Of the plan.
    thumbnails : iterable of (str, str)
        Keys and ETags.
    recipes : list of Recipe
    store : Store
    """

    def is_served(original: str) -> bool:
        return original.startswith(prefix) and wanted_of(original, recipes) is not None

    @cache
    def manifest_of(original: str) -> tuple[Manifest | None, str] | None:
        return _read_manifest(original, store)

    def lists(original: str, thumbnail: str) -> bool:
        found = manifest_of(original)
        # A manifest that cannot be parsed may list the thumbnail.
        return found is not None and (found[0] is None or thumbnail in {each.key for each in found[0].thumbnails})

    with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
        some = list(thumbnails)
        are_strays = pool.map(lambda each: is_stray(each[0], is_served, lists), some)
        return [each for each, is_one in zip(some, are_strays, strict=True) if is_one]


def judge_all(
    entries: Iterable[Entry], recipes: list[Recipe], store: Store, *, is_again: bool = False
) -> dict[str, Verdict]:
    """Return the verdict of each key; read the necessary manifests in parallel.

    Parameters
    ----------
    entries : iterable of Entry
    recipes : list of Recipe
    store : Store
    is_again : bool
        Much time has passed since the keys were listed, so a manifest may have been written.
    """
    verdicts: dict[str, Verdict] = {}
    unread = []
    for entry in entries:
        verdict = judge_listed(entry, recipes)
        # A manifest may have been deleted since it was listed, together with its original.
        if verdict in {None, Verdict.ORPHAN} or (is_again and verdict is Verdict.MISSING):
            unread.append(entry)
        else:
            verdicts[entry.key] = verdict
    with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
        judged = pool.map(lambda entry: _judge_unread(entry, recipes, store), unread)
        verdicts |= {entry.key: verdict for entry, verdict in zip(unread, judged, strict=True)}
    return verdicts


def _judge_unread(entry: Entry, recipes: list[Recipe], store: Store) -> Verdict:
    found = _read_manifest(entry.key, store)
    if entry.etag is None:
        return Verdict.IN_LINE if found is None else Verdict.ORPHAN
    if found is None:
        return Verdict.MISSING
    manifest, etag = found
    return judge(entry, recipes, manifest, is_new=etag != entry.manifest)


def _read_manifest(key: str, store: Store) -> tuple[Manifest | None, str] | None:
    """Return the manifest of an original (``None`` if it is damaged) and its ETag, or ``None`` if there is none."""
    found = store.read(manifest_key(key))
    if found is None:
        return None
    try:
        return Manifest.from_json(found[0]), found[1]
    except ValueError:
        return None, found[1]


def _work_of(work: list[Entry], orphans: int, recipes: list[Recipe]) -> PlannedWork:
    counts = [(entry, len(renditions_of(entry.key, recipes))) for entry in work]
    first = [count for entry, count in counts if entry.manifest is None]
    return PlannedWork(len(work), sum(count for _, count in counts), len(first), sum(first), orphans)


def report(state: dict[str, Any], prices: RunPrices, store: Store, seconds_left: Callable[[], float]) -> dict[str, Any]:
    """Add up the results of the comparison as long as there is time; at the end write the report of the plan.

    Returns
    -------
    dict
        The state; with ``output`` if it is ``finished``.
    """
    names = Names(state["plan"])
    nothing = {"verdicts": {}, "manifests": 0, "bytes": 0, "work": {}, "thumbnails": 0, "strays": 0}
    so_far = state.get("sums") or {"after": "", **nothing}
    keys = store.list_names(names.all_compared, so_far["after"])
    with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
        while chunk := list(islice(keys, PAGE)):
            for each in pool.map(store.read_json, chunk):
                so_far = _with_sums(so_far, {**nothing, **each})
            so_far["after"] = chunk[-1]
            if seconds_left() < SECONDS_TO_END:
                return {**state, "finished": False, "sums": so_far}
    output = _output_of(state, so_far, prices)
    store.write_json(names.report, {**store.read_json(names.about), **_details_of(so_far, prices), "output": output})
    return {"finished": True, "output": output}


def _with_sums(sums: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Add the numbers, and counts by name, of one more part to the sums."""
    return {
        name: dict(Counter(sums[name]) + Counter(value)) if isinstance(value, dict) else sums[name] + value
        for name, value in more.items()
    }


def _output_of(state: dict[str, Any], sums: dict[str, Any], prices: RunPrices) -> dict[str, Any]:
    """Return the output of the execution."""
    verdicts, work = sums["verdicts"], PlannedWork(**sums["work"])
    skipped = {verdict.value: verdicts[verdict] for verdict in SKIPPED if verdicts.get(verdict)}
    return {
        "plan": state["plan"],
        "counts": {
            "in_line": verdicts.get(Verdict.IN_LINE, 0),
            "out_of_line": sum(verdicts.get(verdict, 0) for verdict in OUT_OF_LINE),
            **{verdict.value: verdicts.get(verdict, 0) for verdict in OUT_OF_LINE},
            "orphans": verdicts.get(Verdict.ORPHAN, 0),
            **({"strays": sums["strays"]} if state["strays"] else {}),
            "skipped": skipped,
        },
        "dollars": round(prices.dollars(dataclasses.replace(work, removals=0)), 6),
        "hours": round(prices.hours(dataclasses.replace(work, removals=0), state["concurrency"]), 6),
    }


def _details_of(sums: dict[str, Any], prices: RunPrices) -> dict[str, Any]:
    """Return details for the report that are not in the output."""
    work, keys = PlannedWork(**sums["work"]), sum(sums["verdicts"].values())
    return {
        "keys": keys,
        "manifests": sums["manifests"],
        "bytes": sums["bytes"],
        "thumbnails_listed": sums["thumbnails"],
        "strays": sums["strays"],
        "resizes": work.resizes,
        "thumbnails": work.thumbnails,
        "gets": prices.gets(work),
        "puts": prices.puts(work),
        "plan_dollars": round(prices.plan_dollars(keys, sums["manifests"], sums["thumbnails"]), 6),
    }
