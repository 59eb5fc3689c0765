"""A plan as objects under ``plans/<id>/`` in the thumbnails bucket: their names, and how keys become parts. Pure.

::

    plan.json                     prefix, time, digest of the recipes
    cursors/00001.json            where the listing goes on
    parts/000000001.json          100 keys as they were listed
    compared/000000001.json       what came of comparing them
    work/keys/000000001-037.json  those of them that are out of line; deleted when they are done. Where the
                                  thumbnails take long: 000000001a-020.json, 000000001b-017.json
    work/orphans/…                those whose original is gone
    report.json                   the whole plan in numbers
    runs/<run>.json               a run has begun
    results/<run>/…               what a run did with one of work/
    maps/…                        what Step Functions writes about its Distributed Maps
"""

import hashlib
import json
import re
from dataclasses import dataclass, field

from functions.reconcile.compare import Entry
from functions.reconcile.price import KEYS_IN_A_PART
from functions.reconcile.storage import PLANS_PREFIX

# An Express execution ends after five minutes and works on one picture after the other. Of pictures, bytes are known.
_BYTES_IN_A_PART = 1_000_000_000
# The keys of a part travel through one state, which takes 256 KB, with what is asked for each.
_TEXT_IN_A_PART = 40_000
_WORK_NAME = re.compile(r"(?P<number>\d{9})[ab]*-(?P<count>\d{3})\.json")


def plan_id(execution: str, started: str) -> str:
    """Return the id of the plan or the run of an execution: the second it began, and a digest.

    Parameters
    ----------
    execution : str
        ARN.
    started : str
        ISO 8601.
    """
    digest = hashlib.sha256(execution.encode()).hexdigest()[:8]
    return f"{re.sub(r'[^0-9T]', '', started)[:15]}-{digest}"


@dataclass(frozen=True, slots=True)
class Names:
    """Names of the objects of one plan.

    Attributes
    ----------
    plan : str
        Its id.
    """

    plan: str

    @property
    def folder(self) -> str:
        """Return what all of them begin with."""
        return f"{PLANS_PREFIX}{self.plan}/"

    @property
    def about(self) -> str:
        """Return the name of the object that says what was planned."""
        return f"{self.folder}plan.json"

    @property
    def report(self) -> str:
        """Return the name of the report, which is there when the plan is finished."""
        return f"{self.folder}report.json"

    def cursor(self, segment: int) -> str:
        """Return the name of the object that says where a segment of the listing begins."""
        return f"{self.folder}cursors/{segment:05}.json"

    @property
    def parts(self) -> str:
        """Return what the names of parts begin with."""
        return f"{self.folder}parts/"

    def part(self, number: int) -> str:
        """Return the name of a part."""
        return f"{self.parts}{number:09}.json"

    @property
    def all_compared(self) -> str:
        """Return what the names of comparisons begin with."""
        return f"{self.folder}compared/"

    def compared(self, part: str) -> str:
        """Return the name of what came of comparing a part."""
        return self.all_compared + part.rpartition("/")[2]

    def work(self, *, with_orphans: bool) -> str:
        """Return what the names of work begin with."""
        return f"{self.folder}work/" if with_orphans else f"{self.folder}work/keys/"

    def work_of(self, part: str, kind: str, count: int) -> str:
        """Return the name of the keys of a part that are out of line; ``kind`` is ``keys`` or ``orphans``."""
        return f"{self.folder}work/{kind}/{part.rpartition('/')[2].removesuffix('.json')}-{count:03}.json"

    @property
    def runs(self) -> str:
        """Return what the names of runs begin with."""
        return f"{self.folder}runs/"

    def results(self, run: str) -> str:
        """Return what the names of a run's results begin with."""
        return f"{self.folder}results/{run}/"

    def result(self, run: str, work: str) -> str:
        """Return the name of what a run did with one of ``work/``."""
        kind, _, name = work.rpartition("/")
        return f"{self.results(run)}{kind.rpartition('/')[2]}-{name}"


def count_of(work: str) -> int:
    """Return how many keys are in one of ``work/``, which its name says."""
    found = _WORK_NAME.fullmatch(work.rpartition("/")[2])
    return int(found["count"]) if found else 0


def cut(work: str, count: int, at: int) -> tuple[str, str]:
    """Return two names for one of ``work/`` that is cut in two, which come in its place in order."""
    folder, _, name = work.rpartition("/")
    stem = name.rpartition("-")[0]
    return f"{folder}/{stem}a-{at:03}.json", f"{folder}/{stem}b-{count - at:03}.json"


@dataclass(slots=True)
class Part:
    """Keys that are listed one after the other, until there are enough of them."""

    entries: list[Entry] = field(default_factory=list)
    _bytes: int = 0
    _text: int = 0

    def add(self, entry: Entry) -> None:
        """Add one key."""
        self.entries.append(entry)
        self._bytes += entry.size
        self._text += len(json.dumps(entry.key))

    @property
    def is_full(self) -> bool:
        """Return whether the next key belongs into the next part."""
        is_full = len(self.entries) >= KEYS_IN_A_PART
        return is_full or self._bytes >= _BYTES_IN_A_PART or self._text >= _TEXT_IN_A_PART
