"""The function behind ReconcileThumbnails against S3, step by step as the state machine takes them."""

import json
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from functions.reconcile.compare import Verdict, digest_of
from functions.reconcile.plans import count_of
from functions.start_from_s3.recipes import parse_recipes
from functions.start_from_s3.workflows import EXPRESS_SECONDS
from tests.functional.conftest import ORIGINALS, THUMBNAILS, Context, Function

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

STARTED = "2026-11-28T23:00:05.123Z"
SIZES = [{"width": 128, "height": 128}, {"width": 64, "height": 64}]
# Less than a segment of the listing needs to go on.
NO_TIME = Context(remaining_time=1000)


def into(items: list[Any]) -> Callable[[Any], dict[str, Any]]:
    """Return what stands in for the resize function and notes what it is asked."""

    def resize(item: Any) -> dict[str, Any]:
        items.append(item)
        return {}

    return resize


class Machine:
    """Takes the steps of statemachine/reconcile.asl.json."""

    def __init__(self, function: Function) -> None:
        self._function = function
        self.segments = 0
        self.executions = 0

    def step(self, name: str, state: Any, context: Context | None = None, started: str = STARTED) -> Any:
        event = {"step": name, "execution": f"arn:execution:{self.executions}", "started": started, "state": state}
        return self._function(json.loads(json.dumps(event)), context or Context(remaining_time=300_000))

    def plan(self, context: Context | None = None, **wanted: Any) -> Any:
        self.executions += 1
        state = self.step("begin", {"mode": "plan", **wanted})
        while not state["finished"]:
            state = self.step("list", state, context)
            self.segments += 1
        for part in range(1, state["count"] + 1):
            self.compare(state, part)
        state = self.step("report_plan", state, context)
        while not state["finished"]:
            state = self.step("report_plan", state, context)
        return state["output"]

    def compare(self, state: Any, part: int) -> None:
        name = f"{state['parts']}{part:09}.json"
        self.step("compare", {"plan": state["plan"], "wait_seconds": state["wait_seconds"], "part": name})

    def begin(self, plan: str, started: str = STARTED, **wanted: Any) -> Any:
        self.executions += 1
        return self.step("begin", {"mode": "run", "plan": plan, **wanted}, started=started)

    def run(self, s3: "S3Client", resize: Callable[[Any], Any], plan: str, **wanted: Any) -> Any:
        state = self.begin(plan, **wanted)
        for work in names(s3, state["work"])[: state["count"]]:
            child = self.step(
                "compare_again", {name: state[name] for name in ("plan", "run", "retry")} | {"work": work}
            )
            results = [{"key": each["key"], "verdict": each["verdict"], **resize(each)} for each in child["items"]]
            self.step("record", child | {"results": results})
        state = self.step("report_run", state, NO_TIME)
        while not state["finished"]:
            state = self.step("report_run", state, NO_TIME)
        return state["output"]


@pytest.fixture
def machine(reconcile: Function) -> Machine:
    return Machine(reconcile)


def names(s3: "S3Client", prefix: str) -> list[str]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=THUMBNAILS, Prefix=prefix)
    return [found["Key"] for page in pages for found in page.get("Contents", [])]


def manifest(etag: str, sizes: list[dict[str, int]], error: str | None = None) -> bytes:
    rest = {"fit": "inside", "format": "source", "quality": None, "width": 1, "height": 1, "bytes": 1}
    thumbnails = [
        {"key": "thumbnails/x", "box": box, **rest, "content_type": "image/jpeg", "etag": "e", "asked_by": ["recipe"]}
        for box in sizes
    ]
    document: dict[str, Any] = {
        "revision": "1",
        "original": {"key": "x", "etag": etag},
        "placeholder": None,
        "thumbnails": thumbnails,
    }
    return json.dumps(document | ({"error": {"name": error, "message": "…"}} if error else {})).encode()


def put(s3: "S3Client", key: str, kind: Verdict) -> None:
    """Put an original and its manifest so that they stand as is said."""
    etag = "0" * 32
    if kind is not Verdict.ORPHAN:
        etag = s3.put_object(Bucket=ORIGINALS, Key=key, Body=key.encode())["ETag"].strip('"')
    body = {
        Verdict.IN_LINE: manifest(etag, SIZES),
        Verdict.STALE: manifest("of another", SIZES),
        Verdict.OTHER_RECIPE: manifest(etag, SIZES[:1]),
        Verdict.ORPHAN: manifest(etag, SIZES),
        Verdict.TYPE_NOT_READ: manifest(etag, [], "NotAnImageError"),
    }.get(kind)
    if body is not None:
        s3.put_object(Bucket=THUMBNAILS, Key=f"manifests/{key}.json", Body=body)


KINDS = (
    Verdict.IN_LINE,
    Verdict.MISSING,
    Verdict.STALE,
    Verdict.OTHER_RECIPE,
    Verdict.ORPHAN,
    Verdict.TYPE_NOT_READ,
)


def fill(s3: "S3Client", count: int, folder: str = "") -> dict[str, Verdict]:
    """Put keys of every kind whose originals and manifests are listed in different orders."""
    chance = random.Random(16)  # noqa: S311 - keys that can be made again
    keys = {folder + "".join(chance.choices("ab-. é", k=chance.randint(1, 7))) + "x" for _ in range(count)}
    kinds = {key: chance.choice(KINDS) for key in sorted(keys) if "x" in key and "/../" not in f"/{key}/"}
    for key, kind in kinds.items():
        put(s3, key, kind)
    return kinds


@pytest.mark.parametrize("context", [None, NO_TIME])
def test_a_plan_counts_what_there_is_however_often_it_is_interrupted(
    machine: Machine, s3: "S3Client", context: Context | None
) -> None:
    kinds = fill(s3, 450)

    output = machine.plan(context)

    found = {kind: sum(each is kind for each in kinds.values()) for kind in KINDS}
    assert min(found.values()) > 20
    assert output["counts"] == {
        "in_line": found[Verdict.IN_LINE],
        "out_of_line": found[Verdict.MISSING] + found[Verdict.STALE] + found[Verdict.OTHER_RECIPE],
        "missing": found[Verdict.MISSING],
        "stale": found[Verdict.STALE],
        "other_recipe": found[Verdict.OTHER_RECIPE],
        "orphans": found[Verdict.ORPHAN],
        "skipped": {"type_not_read": found[Verdict.TYPE_NOT_READ]},
    }
    assert output.keys() == {"plan", "counts", "dollars", "hours"}
    assert machine.segments == (1 if context is None else len(names(s3, f"plans/{output['plan']}/parts/")))
    listed: list[str] = []
    for name in names(s3, f"plans/{output['plan']}/parts/"):
        listed += [each["key"] for each in json.load(s3.get_object(Bucket=THUMBNAILS, Key=name)["Body"])]
    assert sorted(listed) == sorted(kinds)


def test_a_segment_that_is_tried_again_leaves_the_same_parts(machine: Machine, s3: "S3Client") -> None:
    fill(s3, 250)
    begun = machine.step("begin", {"mode": "plan"})
    first = machine.step("list", begun, NO_TIME)
    left = f"{begun['parts']}000000009.json"
    s3.put_object(Bucket=THUMBNAILS, Key=left, Body=b"[]")

    again = [machine.step("list", first) for _ in range(2)]

    assert first["finished"] is False
    assert again[0] == again[1]
    assert again[0]["finished"] is True
    assert [int(name[-14:-5]) for name in names(s3, begun["parts"])] == list(range(1, again[0]["count"] + 1))


def test_a_prefix_has_no_manifests_of_others(machine: Machine, s3: "S3Client") -> None:
    # The manifest of "a" is "a.json", which begins with "a.j".
    put(s3, "a", Verdict.IN_LINE)
    put(s3, "a.jpg", Verdict.IN_LINE)
    put(s3, "b.jpg", Verdict.MISSING)
    s3.put_object(Bucket=THUMBNAILS, Key="manifests/a.jpg.txt", Body=b"of nobody")

    counts = machine.plan(prefix="a.j")["counts"]

    assert (counts["in_line"], counts["orphans"], counts["out_of_line"]) == (1, 0, 0)


@pytest.fixture
def drift(capsys: pytest.CaptureFixture[str]) -> Callable[[], list[float]]:
    """Return a function for the values of the metric since its last call, as CloudWatch reads them."""

    def read() -> list[float]:
        documents = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
        for document in documents:
            (found,) = document["_aws"]["CloudWatchMetrics"]
            assert found["Dimensions"] == [["service"]]
            assert document["service"] == "reconcile"
        return [value for document in documents for value in document["Drift"]]

    return read


def listed(machine: Machine, **wanted: Any) -> Any:
    """Return the state of a plan that has listed and not yet compared."""
    return machine.step("list", machine.step("begin", {"mode": "plan", **wanted}))


def compared(machine: Machine, state: Any) -> Any:
    """Compare the one part of a plan and report; return its counts."""
    machine.compare(state, 1)
    return machine.step("report_plan", state)["output"]["counts"]


def test_a_check_reports_what_is_out_of_line(
    machine: Machine, s3: "S3Client", drift: Callable[[], list[float]]
) -> None:
    for kind in (*KINDS, Verdict.IN_LINE):
        put(s3, f"a/{kind}.jpg", kind)

    counts = compared(machine, listed(machine, wait_minutes=60))

    assert (counts["out_of_line"], counts["orphans"]) == (3, 1)
    assert drift() == [4]


def test_what_has_settled_since_it_was_listed_is_no_drift(
    machine: Machine, s3: "S3Client", drift: Callable[[], list[float]]
) -> None:
    for name in ("uploaded", "uploaded and deleted"):
        put(s3, f"{name}.jpg", Verdict.MISSING)
    put(s3, "replaced.jpg", Verdict.STALE)
    put(s3, "deleted.jpg", Verdict.IN_LINE)
    for name in ("being deleted", "undeleted"):
        put(s3, f"{name}.jpg", Verdict.ORPHAN)
    state = listed(machine, wait_minutes=60)
    for name in ("uploaded", "replaced", "undeleted"):
        put(s3, f"{name}.jpg", Verdict.IN_LINE)
    for name in ("uploaded and deleted", "deleted", "being deleted"):
        s3.delete_object(Bucket=ORIGINALS, Key=f"{name}.jpg")
        s3.delete_object(Bucket=THUMBNAILS, Key=f"manifests/{name}.jpg.json")

    counts = compared(machine, state)

    assert (counts["in_line"], counts["out_of_line"], counts["orphans"]) == (6, 0, 0)
    assert drift() == [0]


@pytest.mark.parametrize("wanted", [{"prefix": "a/", "wait_minutes": 60}, {}])
def test_a_plan_that_is_no_check_reports_no_drift(
    wanted: dict[str, Any], machine: Machine, s3: "S3Client", drift: Callable[[], list[float]]
) -> None:
    put(s3, "a/b.jpg", Verdict.ORPHAN)

    assert compared(machine, listed(machine, **wanted))["orphans"] == 1

    assert drift() == []


def test_an_orphan_that_has_gone_since_it_was_listed_is_none(machine: Machine, s3: "S3Client") -> None:
    put(s3, "a.jpg", Verdict.ORPHAN)
    state = listed(machine)
    s3.delete_object(Bucket=THUMBNAILS, Key="manifests/a.jpg.json")

    counts = compared(machine, state)

    assert (counts["orphans"], counts["in_line"]) == (0, 1)


def test_what_the_pipeline_writes_is_no_original_even_in_the_same_bucket(
    machine: Machine, reconcile: Function, s3: "S3Client", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile.module._STORE, "originals", THUMBNAILS)
    for key in ("plans/a.jpg", "manifests/a.jpg", "thumbnails/a.jpg", "a.jpg"):
        s3.put_object(Bucket=THUMBNAILS, Key=key, Body=b"a")

    assert machine.plan()["counts"]["missing"] == 1


def test_a_run_works_on_what_a_plan_found_and_the_next_one_on_nothing(machine: Machine, s3: "S3Client") -> None:
    kinds = fill(s3, 250)
    plan = machine.plan()
    requests: list[Any] = []

    def resize(item: Any) -> Any:
        requests.append(item["request"])
        put(s3, item["key"], Verdict.IN_LINE)
        return {"error": "CorruptImageError", "message": "Bad."} if item["key"].startswith("b") else {}

    first = machine.run(s3, resize, plan["plan"])
    second = machine.run(s3, resize, plan["plan"])

    out_of_line = {key for key, kind in kinds.items() if kind in {"missing", "stale", "other_recipe"}}
    assert sorted(each["object_key"] for each in requests) == sorted(out_of_line)
    assert requests[0] == {
        "source_bucket": ORIGINALS,
        "destination_bucket": THUMBNAILS,
        "object_key": requests[0]["object_key"],
        "sizes": SIZES,
        "if_missing": "remove",
    }
    failed = sum(key.startswith("b") for key in out_of_line)
    assert failed == first["counts"]["failed"] == first["failed"]["CorruptImageError"]["count"] > 0
    assert first["failed"]["CorruptImageError"]["first"]["message"] == "Bad."
    assert first["counts"]["resized"] == len(out_of_line) - failed
    assert first["counts"]["left"] == second["counts"]["resized"] == second["counts"]["in_line"] == 0


def test_what_was_left_by_a_run_that_was_stopped_is_compared_again(machine: Machine, s3: "S3Client") -> None:
    for key in ("a.jpg", "b.jpg", "c.jpg"):
        put(s3, key, Verdict.MISSING)
    plan = machine.plan()["plan"]
    machine.begin(plan)
    # The run that was stopped had done one of them; another one was uploaded again since.
    put(s3, "a.jpg", Verdict.IN_LINE)
    s3.put_object(Bucket=ORIGINALS, Key="b.jpg", Body=b"another")
    put(s3, "b.jpg", Verdict.IN_LINE)
    requests: list[Any] = []

    output = machine.run(s3, into(requests), plan)

    assert [(each["key"], each["request"]["retry"]) for each in requests] == [("c.jpg", True)]
    assert (output["counts"]["in_line"], output["counts"]["missing"]) == (2, 1)


# Twelve thumbnails of a 12 MP photograph take some four seconds, and a child ends after five minutes.
SLOW = [{"prefix": "", "sizes": ["320x240", "640x480", "1280x960", "1920x1440"], "formats": ["avif", "webp", "jpeg"]}]


def test_a_child_has_time_for_all_that_it_gets(
    machine: Machine, s3: "S3Client", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("functions.reconcile.handler._RECIPES", parse_recipes(json.dumps(SLOW), []))
    for number in range(45):
        put(s3, f"{number:03}.jpg", Verdict.MISSING)
    planned = machine.plan()
    items: list[Any] = []

    pieces = names(s3, f"plans/{planned['plan']}/work/keys/")
    ended = machine.run(s3, into(items), planned["plan"], max_objects=25)
    rest = machine.run(s3, into(items), planned["plan"])

    assert sum(map(count_of, pieces)) == planned["counts"]["out_of_line"] == 45
    assert all(5 < count_of(piece) * 4 < EXPRESS_SECONDS / 2 for piece in pieces)
    assert (ended["counts"]["resized"], ended["counts"]["left"]) == (25, 20)
    assert (rest["counts"]["resized"], rest["counts"]["left"]) == (20, 0)
    assert sorted(each["key"] for each in items) == [f"{number:03}.jpg" for number in range(45)]


def test_a_part_with_faults_is_left(machine: Machine, s3: "S3Client") -> None:
    for key in ("a.jpg", "b.jpg", "c.jpg"):
        put(s3, key, Verdict.MISSING)
    plan = machine.plan()["plan"]
    state = machine.begin(plan)
    (work,) = names(s3, state["work"])
    child = machine.step("compare_again", {"plan": plan, "run": state["run"], "retry": False, "work": work})
    results = [{"key": each["key"], "verdict": each["verdict"], "fault": "Sandbox.Timedout"} for each in child["items"]]
    done = [{name: value for name, value in each.items() if name != "fault"} for each in results]

    few = machine.step("record", child | {"results": [results[0], *done[1:]]})
    many = machine.step("record", child | {"results": [*results[:2], done[2]]})
    output = machine.step("report_run", state | {"stopped": {"Error": "…"}})

    assert (few, many) == ({"is_sound": True}, {"is_sound": False})
    assert output["is_stopped"] is True
    assert (output["output"]["counts"]["left"], output["output"]["counts"]["faulted"]) == (3, 2)
    assert output["output"]["faulted"]["Sandbox.Timedout"]["count"] == 2


def test_a_second_execution_of_a_part_that_is_done_changes_no_result(machine: Machine, s3: "S3Client") -> None:
    put(s3, "a.jpg", Verdict.MISSING)
    plan = machine.plan()["plan"]
    state = machine.begin(plan)
    (work,) = names(s3, state["work"])
    given = {"plan": plan, "run": state["run"], "retry": False, "work": work}

    first = machine.step("compare_again", given)
    machine.step("record", first | {"results": [{"key": "a.jpg", "verdict": "missing"}]})
    second = machine.step("compare_again", given)
    assert second["items"] == []
    machine.step("record", second | {"results": []})

    assert machine.step("report_run", state)["output"]["counts"]["resized"] == 1


@pytest.mark.parametrize(("limit", "done"), [({"max_objects": 5}, 5), ({"max_objects": 250}, 250), ({}, 250)])
def test_a_run_ends_after_so_many_objects(machine: Machine, s3: "S3Client", limit: dict[str, Any], done: int) -> None:
    for number in range(250):
        put(s3, f"{number:03}.jpg", Verdict.MISSING)
    plan = machine.plan()["plan"]

    output = machine.run(s3, lambda _: {}, plan, **limit)

    assert (output["counts"]["resized"], output["counts"]["left"]) == (done, 250 - done)


def test_a_run_ends_before_it_costs_more(machine: Machine, s3: "S3Client") -> None:
    for number in range(20):
        put(s3, f"{number:03}.jpg", Verdict.MISSING)
    plan = machine.plan()

    first = machine.run(s3, lambda _: {}, plan["plan"], max_usd=plan["dollars"] / 3)
    nothing = machine.run(s3, lambda _: {}, plan["plan"], max_usd=plan["dollars"] / 1000)

    assert (first["counts"]["resized"], nothing["counts"]["resized"]) == (6, 0)
    assert nothing["counts"]["left"] == 14


def test_orphans_are_removed_only_if_that_is_asked_for(machine: Machine, s3: "S3Client") -> None:
    for number in range(19):
        put(s3, f"{number}.jpg", Verdict.IN_LINE)
    put(s3, "gone.jpg", Verdict.ORPHAN)
    plan = machine.plan()["plan"]
    items: list[Any] = []

    kept = machine.run(s3, into(items), plan)
    assert items == []
    pruned = machine.run(s3, into(items), plan, prune="orphans")

    assert (kept["counts"]["orphans_removed"], pruned["counts"]["orphans_removed"]) == (0, 1)
    assert [(item["key"], item["request"]["if_missing"]) for item in items] == [("gone.jpg", "remove")]


def test_an_orphan_that_was_removed_since_is_in_line(machine: Machine, s3: "S3Client") -> None:
    put(s3, "gone.jpg", Verdict.ORPHAN)
    plan = machine.plan()["plan"]
    s3.delete_object(Bucket=THUMBNAILS, Key="manifests/gone.jpg.json")

    output = machine.run(s3, lambda _: pytest.fail("there is nothing to remove"), plan, prune="all")

    assert output["counts"]["in_line"] == 1


def put_thumbnails(s3: "S3Client", *names: str) -> None:
    for name in names:
        s3.put_object(Bucket=THUMBNAILS, Key=f"thumbnails/{name}", Body=name.encode())


def list_in_manifest(s3: "S3Client", key: str, *names: str) -> None:
    document = json.loads(manifest("etag", [SIZES[0]] * len(names)))
    for entry, name in zip(document["thumbnails"], names, strict=True):
        entry["key"] = f"thumbnails/{name}"
    s3.put_object(Bucket=THUMBNAILS, Key=f"manifests/{key}.json", Body=json.dumps(document).encode())


@pytest.mark.parametrize("context", [None, NO_TIME])
def test_thumbnails_that_no_manifest_lists_are_found_and_removed(
    machine: Machine, s3: "S3Client", monkeypatch: pytest.MonkeyPatch, context: Context | None
) -> None:
    put(s3, "trip/photo.heic", Verdict.MISSING)
    list_in_manifest(s3, "trip/photo.heic", "trip/128x128_photo.heic.jpg", "trip/64x64-cover_photo.heic.webp")
    listed = ["trip/128x128_photo.heic.jpg", "trip/64x64-cover_photo.heic.webp"]
    listed += [f"trip/128x128_{number:03}.jpg" for number in range(150)]
    for number in range(150):
        list_in_manifest(s3, f"trip/{number:03}.jpg", f"trip/128x128_{number:03}.jpg")
    s3.put_object(Bucket=THUMBNAILS, Key="manifests/trip/damaged.jpg.json", Body=b"{")
    kept = [*listed, "trip/128x128_damaged.jpg", "trip/logo.png", "other/128x128_a.jpg"]
    strays = ["trip/128x128_photo.heic", "trip/32x32_000.jpg", "trip/128x128_gone.jpg"]
    put_thumbnails(s3, *kept, *strays)

    plan = machine.plan(context, prefix="trip/", strays=True)
    young = machine.run(s3, lambda _: {}, plan["plan"], prune="all")
    still = names(s3, "thumbnails/")
    monkeypatch.setattr("functions.reconcile.running._OLD_SECONDS", -1)
    again = machine.plan(prefix="trip/", strays=True)
    unasked = machine.run(s3, lambda _: {}, again["plan"])
    # One of them is written anew since.
    s3.put_object(Bucket=THUMBNAILS, Key="thumbnails/trip/32x32_000.jpg", Body=b"another")
    old = machine.run(s3, lambda _: {}, again["plan"], prune="all")

    assert plan["counts"]["strays"] == again["counts"]["strays"] == 3
    assert (young["counts"]["strays_removed"], unasked["counts"]["strays_removed"]) == (0, 0)
    assert len(still) == len(kept) + len(strays)
    assert old["counts"]["strays_removed"] == 2
    assert names(s3, "thumbnails/") == sorted(f"thumbnails/{name}" for name in [*kept, "trip/32x32_000.jpg"])


def test_deleted_manifests_do_not_take_the_thumbnails_along(machine: Machine, s3: "S3Client") -> None:
    put_thumbnails(s3, *(f"128x128_{number}.jpg" for number in range(5)))

    plan = machine.plan(strays=True)["plan"]

    assert machine.begin(plan, prune="orphans")["refused"]["error"] == "TooManyStraysError"
    assert machine.begin(plan, prune="all")["count"] == 1
    assert machine.begin(plan, prune="all", max_objects=2)["count"] == 1
    assert [name[-8:-5] for name in names(s3, f"plans/{plan}/work/")] == ["002", "003"]


def test_why_a_run_is_refused(
    machine: Machine, reconcile: Function, s3: "S3Client", monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(9):
        put(s3, f"{number}.jpg", Verdict.IN_LINE)
    put(s3, "gone.jpg", Verdict.ORPHAN)
    put(s3, "gone too.jpg", Verdict.ORPHAN)
    plan = machine.plan()["plan"]
    unfinished = machine.step("begin", {"mode": "plan", "prefix": "x"})["plan"]

    def error(state: Any) -> str:
        assert state.keys() == {"refused"}
        assert state["refused"]["message"].endswith((".", '".'))
        return str(state["refused"]["error"])

    assert "count" in machine.begin(plan, started="2026-12-05T22:59:05.123Z")
    assert error(machine.begin(plan, started="2026-12-05T23:01:05.123Z")) == "PlanTooOldError"
    assert error(machine.begin("another")) == "PlanNotFoundError"
    assert error(machine.begin(plan, prune="orphans")) == "TooManyOrphansError"
    assert "count" in machine.begin(plan, prune="all")
    assert error(machine.begin(plan, prune="perhaps")) == "InvalidInputError"
    monkeypatch.setattr(reconcile.module, "_RECIPES", parse_recipes('[{"prefix": ""}]', SIZES[:1]))
    assert error(machine.begin(plan)) == "OtherRecipeError"
    assert digest_of(reconcile.module._RECIPES) != digest_of(parse_recipes('[{"prefix": ""}]', SIZES))
    if unfinished != plan:
        assert error(machine.begin(unfinished)) == "PlanNotFinishedError"
