"""The objects of a plan under ``plans/<id>/`` in the thumbnails bucket: their names, and the parts. Pure functions.

::

    plan.json                     prefix, time, digest of the recipes
    cursors/00001.json            where the listing continues
    parts/000000001.json          100 keys as they were listed
    compared/000000001.json       the result of comparing them
    work/keys/000000001-037.json  those of them that are out of line; deleted when they are done. If the
                                  thumbnails take long: 000000001a-020.json, 000000001b-017.json
    work/orphans/…                manifests whose original is gone
    report.json                   the totals of the plan
    runs/<run>.json               written when a run begins
    results/<run>/…               what a run did with one object of work/
    maps/…                        what Step Functions writes about its Distributed Maps
"""

import hashlib
import json
import re
from dataclasses import dataclass, field

from functions.reconcile.compare import Entry
from functions.reconcile.price import KEYS_IN_A_PART
from functions.reconcile.storage import PLANS_PREFIX

# An Express execution ends after five minutes and processes one picture after the other. The listing contains bytes.
_BYTES_IN_A_PART = 1_000_000_000
# The keys of a part, with a request for each, must fit into one state, which is limited to 256 KB.
_TEXT_IN_A_PART = 40_000
_WORK_NAME = re.compile(r"(?P<number>\d{9})[ab]*-(?P<count>\d{3})\.json")


def plan_id(execution: str, started: str) -> str:
    """Return the id of an execution's plan or run: the second in which it began, and a digest.

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
        """Return the prefix of all names."""
        return f"{PLANS_PREFIX}{self.plan}/"

    @property
    def about(self) -> str:
        """Return the name of the description of the plan."""
        return f"{self.folder}plan.json"

    @property
    def report(self) -> str:
        """Return the name of the report, which exists when the plan is finished."""
        return f"{self.folder}report.json"

    def cursor(self, segment: int) -> str:
        """Return the name of the cursor, at which a segment of the listing begins."""
        return f"{self.folder}cursors/{segment:05}.json"

    @property
    def parts(self) -> str:
        """Return the prefix of the names of parts."""
        return f"{self.folder}parts/"

    def part(self, number: int) -> str:
        """Return the name of a part."""
        return f"{self.parts}{number:09}.json"

    @property
    def all_compared(self) -> str:
        """Return the prefix of the names of comparisons."""
        return f"{self.folder}compared/"

    def compared(self, part: str) -> str:
        """Return the name of the comparison of a part."""
        return self.all_compared + part.rpartition("/")[2]

    def work(self, *, with_orphans: bool) -> str:
        """Return the prefix of the names of work."""
        return f"{self.folder}work/" if with_orphans else f"{self.folder}work/keys/"

    def work_of(self, part: str, kind: str, count: int) -> str:
        """Return the name of the work of a part; ``kind`` is ``keys`` or ``orphans``."""
        return f"{self.folder}work/{kind}/{part.rpartition('/')[2].removesuffix('.json')}-{count:03}.json"

    @property
    def runs(self) -> str:
        """Return the prefix of the names of runs."""
        return f"{self.folder}runs/"

    def results(self, run: str) -> str:
        """Return the prefix of the names of a run's results."""
        return f"{self.folder}results/{run}/"

    def result(self, run: str, work: str) -> str:
        """Return the name of a run's result for one object of ``work/``."""
        kind, _, name = work.rpartition("/")
        return f"{self.results(run)}{kind.rpartition('/')[2]}-{name}"


def count_of(work: str) -> int:
    """Return the number of keys in one object of ``work/``, which is part of its name."""
    found = _WORK_NAME.fullmatch(work.rpartition("/")[2])
    return int(found["count"]) if found else 0


def cut(work: str, count: int, at: int) -> tuple[str, str]:
    """Return the names of the two halves of one object of ``work/``; they sort in its place."""
    folder, _, name = work.rpartition("/")
    stem = name.rpartition("-")[0]
    return f"{folder}/{stem}a-{at:03}.json", f"{folder}/{stem}b-{count - at:03}.json"


@dataclass(slots=True)
class Part:
    """Consecutive keys of the listing, up to the size of a part."""

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
        """Return whether the next key belongs to the next part."""
        is_full = len(self.entries) >= KEYS_IN_A_PART
        return is_full or self._bytes >= _BYTES_IN_A_PART or self._text >= _TEXT_IN_A_PART
