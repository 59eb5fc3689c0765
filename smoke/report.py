"""The results of checks, and the table that shows them."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from textwrap import wrap

_PROMISE_WIDTH = 46
_FOUND_WIDTH = 72
# The number of faults that a row lists.
_MOST_FAULTS = 4


class Mark(StrEnum):
    """The state of a promise; only BROKEN makes the run fail."""

    KEPT = "✓"
    BROKEN = "✗"
    OPEN = "…"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: the promise, and what AWS did."""

    mark: Mark
    promise: str
    found: str


def judged(promise: str, found: str, *, kept: bool) -> Row:
    """Return a row whose promise is either kept or broken."""
    return Row(Mark.KEPT if kept else Mark.BROKEN, promise, found)


def judged_all(promise: str, found: str, faults: Iterable[str]) -> Row:
    """Return a row whose promise is broken if there are faults, and which then lists them."""
    listed = list(faults)
    more = f"; {len(listed) - _MOST_FAULTS} more" if len(listed) > _MOST_FAULTS else ""
    return judged(promise, "; ".join(listed[:_MOST_FAULTS]) + more if listed else found, kept=not listed)


def table(sections: Iterable[tuple[str, list[Row]]]) -> str:
    """Return the rows as text, below the titles of their sections."""
    lines: list[str] = []
    for title, rows in sections:
        lines += ["", f"  {title}"]
        for row in rows:
            promise = wrap(row.promise, _PROMISE_WIDTH, break_on_hyphens=False) or [""]
            found = wrap(row.found, _FOUND_WIDTH, break_on_hyphens=False) or [""]
            for number in range(max(len(promise), len(found))):
                mark = row.mark if number == 0 else " "
                left = promise[number] if number < len(promise) else ""
                right = found[number] if number < len(found) else ""
                lines.append(f"  {mark} {left}{' ' * (_PROMISE_WIDTH - _columns(left))}  {right}".rstrip())
    return "\n".join(lines[1:])


def _columns(text: str) -> int:
    """Return the width of a text in the columns of a terminal."""
    wide = sum(unicodedata.east_asian_width(character) in {"W", "F"} for character in text)
    return len(text) + wide - sum(unicodedata.combining(character) > 0 for character in text)
