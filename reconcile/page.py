"""Describe plans and runs as lines of text. Pure functions."""

from typing import Any

from local.amounts import counted, in_dollars

_LABELS = {
    "in_line": "in line",
    "missing": "without thumbnails",
    "stale": "older than their original",
    "other_recipe": "of another recipe",
    "orphans": "thumbnails whose original is gone",
    "strays": "thumbnails that no manifest lists",
    "without_recipe": "without a recipe",
    "folder": "marking a folder",
    "invalid_key": "with an invalid key",
    "empty": "empty",
    "too_large": "too large",
    "archived": "archived",
    "encrypted": "encrypted with another key",
    "type_not_read": "of an unsupported type",
    "unreadable": "damaged or too complex",
}
_SKIPPED = [
    name for name in _LABELS if name not in {"in_line", "missing", "stale", "other_recipe", "orphans", "strays"}
]


def plan_lines(report: dict[str, Any]) -> list[str]:
    """Describe a finished plan.

    Parameters
    ----------
    report : dict
        ``report.json`` of the plan.
    """
    output, counts = report["output"], report["output"]["counts"]
    where = f"below {report['prefix']}" if report["prefix"] else "in the whole bucket"
    rows = [(name, counts[name]) for name in ("in_line", "missing", "stale", "other_recipe", "orphans")]
    rows.append(("strays", counts.get("strays", 0)))
    rows += [(name, counts["skipped"].get(name, 0)) for name in _SKIPPED]
    lines = [f"Plan {report['plan']}, made {report['created'][:19].replace('T', ' ')} UTC, {where}:", ""]
    lines += [f"  {count:>13,}  {_LABELS[name]}" for name, count in rows if count or name == "in_line"]
    if counts["out_of_line"]:
        lines.append("")
        lines.append(
            f"A run would work on {counted(counts['out_of_line'], 'original')} ({size(report['bytes'])}), make "
            f"{counted(report['thumbnails'], 'thumbnail')} with {counted(report['gets'], 'GET')} and "
            f"{counted(report['puts'], 'PUT')}, cost {in_dollars(output['dollars'])} and take "
            f"{duration(output['hours'])} (estimate: docs/cost.md)."
        )
    return lines


def run_lines(output: dict[str, Any]) -> list[str]:
    """Describe the results of a run, or its results so far."""
    counts = output["counts"]
    lines = [
        f"  {counts['resized']:>13,}  brought in line",
        f"  {counts['in_line']:>13,}  already in line",
    ]
    if counts["orphans_removed"]:
        lines.append(f"  {counts['orphans_removed']:>13,}  deleted, because their original is gone")
    if counts["strays_removed"]:
        lines.append(f"  {counts['strays_removed']:>13,}  deleted, because no manifest lists them")
    for kind, word in (("failed", "cannot be read"), ("faulted", "failed because of a fault; run the plan again")):
        for name, each in sorted(output[kind].items(), key=lambda item: -item[1]["count"]):
            first = each["first"]
            lines.append(f"  {each['count']:>13,}  {word}: {name}, first {first['key']!r} {first['message']}".rstrip())
    lines.append(f"  {counts['left']:>13,}  left")
    return lines


def duration(hours: float) -> str:
    """Format a duration in hours or minutes."""
    if hours >= 1:
        return f"about {hours:,.1f} hours"
    return f"about {counted(round(hours * 60), 'minute')}" if hours * 60 >= 1 else "less than a minute"


def size(count: float) -> str:
    """Format a number of bytes with a unit."""
    for unit in ("byte", "KB", "MB", "GB"):
        if count < 1000:  # noqa: PLR2004 - units of S3's prices
            return counted(round(count), unit) if unit == "byte" else f"{count:,.0f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"
