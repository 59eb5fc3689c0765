"""Hostile input, briefly: nothing is found, what was found once stays mended, and the fuzzer can find."""

import json
import random

import pytest

from functions.resize.errors import PermanentError
from fuzz.corpus import seeds
from fuzz.session import MEMORY, ROOT, Child, run
from fuzz.structure import rearrange
from tests.deployed import read_template

REQUEST = {"boxes": [[64, 64]], "fit": "inside", "format": "source"}


def test_a_short_session_finds_nothing() -> None:
    # So many trials rather than seconds: every machine tries the same inputs.
    report = run(seconds=600, seed=1, most=150)

    assert report.trials == 150
    assert [(finding.seed, finding.kind, finding.name) for finding in report.findings] == []
    assert {"random damage", "pieces repeated", "numbers repeated"} <= set(report.shapes)
    ends = {name for outcomes in report.outcomes.values() for name in outcomes}
    assert {"JPEG", "CorruptImageError", "TruncatedImageError"} <= ends


@pytest.mark.parametrize("name", ["png", "webp-animated", "jpeg-progressive", "gif-animated", "tiff", "avif", "heic"])
def test_pieces_of_every_format_are_rearranged(name: str) -> None:
    source, chance = seeds()[name], random.Random(1)  # noqa: S311 - no secrets

    made = [rearrange(source, chance) for _ in range(60)]

    done = {way for _, way in filter(None, made)}
    assert done == {"pieces repeated", "pieces moved", "pieces resized", "numbers repeated"}
    assert max(len(data) for data, _ in filter(None, made)) > 3 * len(source)
    assert rearrange(b"no picture", chance) is None


def test_undamaged_seeds_are_made_in_the_function_s_memory() -> None:
    with Child() as child:
        ends = {name: child.attempt(name, data, REQUEST) for name, data in seeds().items()}

    refused = {name for name, end in ends.items() if end.kind != "made"}
    assert refused == {"text"}, [end for end in ends.values() if end.kind != "made"]
    assert ends["text"].name == "NotAnImageError"


def test_what_was_found_once_stays_mended() -> None:
    ends = {}
    with Child() as child:
        for path in sorted((ROOT / "tests" / "regressions").glob("*.bin")):
            request = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["request"]
            ends[path.stem] = child.attempt(path.stem, path.read_bytes(), request)
    assert [(name, end.kind, end.name) for name, end in ends.items() if end.is_finding] == []


@pytest.mark.parametrize(
    ("engine", "kind", "name"),
    [
        ("crash", "crash", "SIGSEGV"),
        ("hang", "hang", "no answer in 1 s"),
        ("stumble", "unnamed", "KeyError"),
        ("devour", "unnamed", "MemoryError"),
    ],
)
def test_what_must_not_happen_is_a_finding(engine: str, kind: str, name: str) -> None:
    with Child(f"tests.functional.bad_engines:{engine}", hang_seconds=1 if engine == "hang" else 20) as child:
        end = child.attempt("seed", b"data", REQUEST)
        assert (end.kind, end.name, end.is_finding) == (kind, name, True)

        again = child.attempt("seed", b"data", REQUEST)
        assert again.kind == kind


def test_the_child_has_the_memory_of_the_function() -> None:
    properties = read_template()["Resources"]["ResizeFunction"]["Properties"]
    assert properties["MemorySize"] * 1024 * 1024 == MEMORY


def test_permanent_errors_are_what_the_child_calls_refused() -> None:
    with Child() as child:
        end = child.attempt("empty", b"", REQUEST)
    assert end.kind == "refused"
    assert end.name in {error.__name__ for error in PermanentError.__subclasses__()}
