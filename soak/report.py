"""The report of a soak: a table, JSON, and a chart of the durations of uploads."""

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from textwrap import wrap
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from soak.balance import Balance

_MOST_SENTENCES = 10
_BARS = 40
_NOTE_WIDTH = 80


def table(balance: Balance, faults: Counter[str]) -> str:
    """Return the balance as text."""
    latency = balance.latency()
    rows = [
        ("uploads", f"{balance.uploads:,}", f"{balance.keys:,} keys, {balance.overwritten:,} of them overwritten"),
        ("", f"{sum(balance.deeds.values()):,}", f"other changes and requests: {_listed(balance.deeds)}"),
        ("events delivered again", f"{balance.delivered_again:,}", ""),
        ("faults injected", f"{faults.total():,}", _listed(faults)),
        ("", "", ""),
        ("executions", f"{balance.executions:,}", ""),
        ("retries", f"{sum(balance.retried_for.values()):,}", _listed(balance.retried_for)),
        ("duplicates suppressed", f"{balance.duplicates_suppressed:,}", ""),
        ("thumbnails", f"{balance.thumbnails_present:,}", f"of {balance.thumbnails_expected:,} expected"),
        ("failed", f"{sum(balance.failed_by_reason.values()):,}", _listed(balance.failed_by_reason)),
        ("pictures failed by faults", f"{len(balance.pictures_failed):,}", ""),
        ("dead letters", f"{balance.dead_letters:,}", ""),
        ("seconds to thumbnail", f"{latency.p50:.1f}", f"p50; p95 {latency.p95:.1f}, p99 {latency.p99:.1f}"),
        ("", "", ""),
        ("lost", f"{len(balance.lost):,}", "must be 0"),
        ("stale", f"{len(balance.stale):,}", "must be 0"),
        ("doubled", f"{len(balance.doubled):,}", "must be 0"),
        ("pictures refused", f"{len(balance.refused):,}", "must be 0"),
    ]
    lines = []
    for name, number, note in rows:
        first, *more = wrap(note, _NOTE_WIDTH) or [""]
        lines.append(f"  {name:<26}{number:>8}  {first}".rstrip())
        lines += [f"{'':<38}{line}" for line in more]
    for title in ("lost", "stale", "doubled", "refused", "pictures_failed"):
        sentences: list[str] = getattr(balance, title)
        if sentences:
            lines += ["", f"  {title.replace('_', ' ')}:"]
            lines += [f"    {sentence}" for sentence in sentences[:_MOST_SENTENCES]]
    if not balance.settled:
        lines += ["", "  The pipeline was still working when the time limit was reached."]
    return "\n".join(lines)


def write_json(balance: Balance, faults: Counter[str], run: dict[str, Any], path: Path) -> None:
    """Write all figures of a run."""
    report = {"run": run, "kept": balance.is_kept(), "latency": asdict(balance.latency()), "faults": dict(faults)}
    path.write_text(json.dumps(report | asdict(balance), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def draw(balance: Balance, path: Path) -> None:
    """Draw a histogram of the durations of uploads, with the percentiles."""
    width, height, left, top, bottom = 1000, 460, 70, 60, 60
    image = Image.new("RGB", (width, height), "white")
    canvas = ImageDraw.Draw(image)
    font = ImageFont.load_default(16)
    title = f"Seconds from upload to thumbnail, {len(balance.seconds):,} pictures, faults injected"
    canvas.text((left, 20), title, "black", font)
    longest = max(balance.seconds, default=1.0) or 1.0
    counts = Counter(min(_BARS - 1, int(taken / longest * _BARS)) for taken in balance.seconds)
    highest = max(counts.values(), default=1)
    floor, wide = height - bottom, (width - left - 30) / _BARS
    for bar in range(_BARS):
        tall = round(counts[bar] / highest * (floor - top - 20))
        if counts[bar]:
            # A bar of one picture among a thousand must be visible.
            box = (left + bar * wide, floor - max(tall, 1), left + (bar + 1) * wide - 2, floor)
            canvas.rectangle(box, "steelblue")
    canvas.line((left, floor, width - 30, floor), "black")
    canvas.text((left - 10, top + 20), f"{highest:,}", "black", font, anchor="rm")
    for part in range(6):
        at = left + part / 5 * (width - left - 30)
        canvas.text((at, floor + 8), f"{longest * part / 5:.1f}", "black", font, anchor="ma")
    for row, (name, value) in enumerate(asdict(balance.latency()).items()):
        at = left + value / longest * (width - left - 30)
        canvas.line((at, top, at, floor), "firebrick")
        canvas.text((at + 4, top + row * 18), f"{name} {value:.1f}", "firebrick", font)
    image.save(path)


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {number:,}" for name, number in Counter(counts).most_common())
