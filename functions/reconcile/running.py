"""``run``: check a plan, choose how much of it to work on, and record what each child of the Distributed Map did.

The keys that are out of line are in objects under ``work/``. Each object is deleted when its keys are done, so the
remaining objects are the remaining work: stopping loses nothing, and another run continues.
"""

import dataclasses
import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import islice
from typing import Any

from functions.reconcile.compare import OUT_OF_LINE, Entry, Verdict, digest_of
from functions.reconcile.errors import (
    OtherRecipeError,
    PlanNotFinishedError,
    PlanNotFoundError,
    PlanTooOldError,
    TooManyOrphansError,
    TooManyStraysError,
)
from functions.reconcile.inputs import RunInput
from functions.reconcile.planning import PAGE, SECONDS_TO_END, find_strays, judge_all
from functions.reconcile.plans import Names, count_of, cut
from functions.reconcile.storage import CALLS_AT_ONCE, Store
from functions.start_from_s3.recipes import Recipe, wanted_of
from functions.start_from_s3.requests import as_retry, request_for

MOST_DAYS = 7.0
# Share of all manifests, or of all thumbnails.
_MOST_ORPHANS = 0.1
# A run of the resize function lasts a minute. Its retries may come two hours later, but they check what exists.
_OLD_SECONDS = 3600.0
# A part with a larger share of faults counts as failed, and many failed parts stop the run, because a broken deployment
# must not try two million pictures. With a smaller share, a few pictures that crash the function do not stop the run.
_MOST_FAULTS = 0.5


def begin(wanted: RunInput, run: str, started: str, recipes: list[Recipe], store: Store) -> dict[str, Any]:
    """Check the plan, and choose the work; return the state of the execution.

    Raises
    ------
    PlanNotFoundError, PlanNotFinishedError, PlanTooOldError, OtherRecipeError, TooManyOrphansError
    """
    names = Names(wanted.plan)
    report = _check(wanted, started, recipes, store)
    is_second = any(not name.endswith(f"/{run}.json") for name in store.list_names(names.runs))
    store.write_json(f"{names.runs}{run}.json", {"started": started, **dataclasses.asdict(wanted)})
    prefix = names.work(with_orphans=wanted.prune != "no")
    return {
        "mode": "run",
        "plan": wanted.plan,
        "run": run,
        "work": prefix,
        "maps": f"{names.folder}maps",
        "concurrency": wanted.concurrency,
        # A stopped run may have left thumbnails that no manifest lists, like the failed attempt before a retry.
        "retry": is_second,
        "count": _choose(prefix, _most(wanted, report), store),
    }


def _check(wanted: RunInput, started: str, recipes: list[Recipe], store: Store) -> dict[str, Any]:
    names = Names(wanted.plan)
    report: dict[str, Any] | None = store.read_json(names.report)
    if report is None:
        raise (PlanNotFoundError if store.read_json(names.about) is None else PlanNotFinishedError)(wanted.plan)
    days = (datetime.fromisoformat(started) - datetime.fromisoformat(report["created"])).total_seconds() / 86400
    if days > MOST_DAYS:
        raise PlanTooOldError(wanted.plan, days)
    if report["recipes"] != digest_of(recipes):
        raise OtherRecipeError(wanted.plan)
    orphans = report["output"]["counts"]["orphans"]
    if wanted.prune == "orphans" and orphans > _MOST_ORPHANS * report["manifests"]:
        raise TooManyOrphansError(orphans, report["manifests"])
    strays, thumbnails = report["strays"], report["thumbnails_listed"]
    if wanted.prune == "orphans" and strays > _MOST_ORPHANS * thumbnails:
        raise TooManyStraysError(strays, thumbnails)
    return report


def _most(wanted: RunInput, report: dict[str, Any]) -> int | None:
    """Return the maximum number of keys to work on, by number and by dollars; ``None`` for all."""
    limits = [wanted.max_objects] if wanted.max_objects is not None else []
    count, dollars = report["output"]["counts"]["out_of_line"], report["output"]["dollars"]
    if wanted.max_usd is not None and dollars > 0:
        limits.append(int(wanted.max_usd * count / dollars))
    return min(limits, default=None)


def _choose(prefix: str, most: int | None, store: Store) -> int:
    """Return how many objects of the work contain this number of keys; split the last one if necessary."""
    chosen = 0
    for work in list(store.list_names(prefix)):
        count = count_of(work)
        if most is not None and count > most:
            if most == 0:
                break
            first, second = cut(work, count, most)
            entries = store.read_json(work)
            store.write_json(second, _some(entries, most, None))
            store.write_json(first, _some(entries, 0, most))
            store.delete(work)
            return chosen + 1
        most = most - count if most is not None else None
        chosen += 1
    return chosen


def _some(work: Any, first: int, end: int | None) -> Any:
    """Return some keys of one object of the work, which is a list or contains one."""
    return {**work, "thumbnails": work["thumbnails"][first:end]} if isinstance(work, dict) else work[first:end]


def compare_again(state: dict[str, Any], recipes: list[Recipe], store: Store) -> dict[str, Any]:
    """Return the keys of one object of the work that are still out of line, with the request for each.

    Thumbnails that no manifest lists are removed here, because the resize function finds thumbnails only by their
    original.
    """
    work = store.read_json(state["work"]) or []
    if isinstance(work, dict):
        removed = _remove_strays(work, recipes, store)
        return {**state, "items": [], "in_line": len(work["thumbnails"]) - removed, "strays": removed}
    entries = [Entry.from_dict(each) for each in work]
    verdicts = judge_all(entries, recipes, store, is_again=True)
    before = {entry.key: entry.verdict for entry in entries}
    items = [
        {"key": key, "verdict": before[key], "request": _request(key, recipes, store, is_retry=state["retry"])}
        for key, verdict in verdicts.items()
        if verdict in {*OUT_OF_LINE, Verdict.ORPHAN}
    ]
    # In random order: if some pictures crash the function and use up the time, others come first the next time.
    random.shuffle(items)
    return {**state, "items": items, "in_line": len(entries) - len(items), "strays": 0}


def _remove_strays(work: dict[str, Any], recipes: list[Recipe], store: Store) -> int:
    """Remove thumbnails that no manifest listed in the plan and that none lists now; return how many.

    A run writes thumbnails before the manifest that lists them. If a thumbnail was written an hour ago and its run has
    not committed since, that run has died.
    """
    strays = find_strays(work["prefix"], work["thumbnails"], recipes, store)
    with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
        old = pool.map(lambda each: store.age_of_thumbnail(*each) > _OLD_SECONDS, strays)
        chosen = [each for each, is_old in zip(strays, old, strict=True) if is_old]
        return sum(pool.map(lambda each: store.delete_thumbnail(*each), chosen))


def _request(key: str, recipes: list[Recipe], store: Store, *, is_retry: bool) -> dict[str, Any]:
    """Return the request that an event on this key would start."""
    request = request_for(store.originals, store.thumbnails, key, wanted_of(key, recipes) or {})
    return as_retry(request) if is_retry else request


def record(state: dict[str, Any], store: Store) -> dict[str, Any]:
    """Write the result for one object of the work; remove the object if nothing in it is left to do.

    Returns
    -------
    dict
        ``{"is_sound": bool}``: whether the share of faults is small enough to continue.
    """
    results = state["results"]
    if not results and not state["in_line"] and not state["strays"]:
        # Express may start a second execution for the same object, which may run after the object is done and deleted.
        return {"is_sound": True}
    faults = [each for each in results if "fault" in each]
    store.write_json(
        Names(state["plan"]).result(state["run"], state["work"]),
        {
            "done": Counter(each["verdict"] for each in results if "fault" not in each and "error" not in each),
            "in_line": state["in_line"],
            "strays": state["strays"],
            "failed": _by_name((each for each in results if "error" in each), "error"),
            "faulted": _by_name(faults, "fault"),
        },
    )
    if not faults:
        store.delete(state["work"])
    return {"is_sound": len(faults) <= _MOST_FAULTS * max(len(results), 1)}


def _by_name(results: Any, field: str) -> dict[str, Any]:
    """Return how often each error occurred, with the first key and message of each."""
    found: dict[str, Any] = {}
    for each in results:
        first = {"key": each["key"], "message": each.get("message") or ""}
        found.setdefault(each[field], {"count": 0, "first": first})["count"] += 1
    return found


def report(state: dict[str, Any], store: Store, seconds_left: Callable[[], float]) -> dict[str, Any]:
    """Add up the results of a run as long as there is time.

    Returns
    -------
    dict
        The state; with ``output`` if it is ``finished``.
    """
    names = Names(state["plan"])
    sums = state.get("sums") or {"after": "", "done": {}, "in_line": 0, "strays": 0, "failed": {}, "faulted": {}}
    keys = store.list_names(names.results(state["run"]), sums["after"])
    with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
        while chunk := list(islice(keys, PAGE)):
            for each in pool.map(store.read_json, chunk):
                sums = {
                    "done": dict(Counter(sums["done"]) + Counter(each["done"])),
                    "in_line": sums["in_line"] + each["in_line"],
                    "strays": sums["strays"] + each["strays"],
                    "failed": _with_failures(sums["failed"], each["failed"]),
                    "faulted": _with_failures(sums["faulted"], each["faulted"]),
                }
            sums["after"] = chunk[-1]
            if seconds_left() < SECONDS_TO_END:
                return {**state, "finished": False, "sums": sums}
    output = _output_of(state, sums, sum(map(count_of, store.list_names(state["work"]))))
    return {"finished": True, "is_stopped": "stopped" in state, "output": output}


def _with_failures(sums: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Add the failures of one more part by name; the first example of each name stays."""
    total = {name: dict(each) for name, each in sums.items()}
    for name, each in more.items():
        total.setdefault(name, {**each, "count": 0})["count"] += each["count"]
    return total


def _output_of(state: dict[str, Any], sums: dict[str, Any], left: int) -> dict[str, Any]:
    """Return the output of the execution."""
    done = Counter(sums["done"])
    removed = done.pop(Verdict.ORPHAN, 0)
    return {
        "plan": state["plan"],
        "counts": {
            "resized": done.total(),
            **{verdict.value: done[verdict] for verdict in OUT_OF_LINE},
            "orphans_removed": removed,
            "strays_removed": sums["strays"],
            "in_line": sums["in_line"],
            "failed": sum(each["count"] for each in sums["failed"].values()),
            "faulted": sum(each["count"] for each in sums["faulted"].values()),
            "left": left,
        },
        "failed": sums["failed"],
        "faulted": sums["faulted"],
    }
