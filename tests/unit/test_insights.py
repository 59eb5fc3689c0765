"""The part of Logs Insights' query language that the saved queries use."""

import json
from typing import Any

import pytest

from local.aws.insights import QueryError, fields, run


def event(second: int, **document: Any) -> dict[str, Any]:
    return {"@timestamp": f"2026-11-28 10:00:{second:02}.000", "@log": "1:a", "@message": json.dumps(document)}


EVENTS = [
    event(1, message="resized", key="b/1.jpg", ms=5, more=2.5),
    event(2, message="failed", error="NotAnImageError", key="a/b/2.jpg"),
    event(3, type="ExecutionFailed", details={"error": "StorageUnavailableError"}),
    event(4, message="failed", error="NotAnImageError", key="3.jpg"),
    event(5, type="ExecutionFailed", details={"error": "Permanent.NotAnImageError"}),
    {"@timestamp": "2026-11-28 10:00:06.000", "@log": "1:a", "@message": "no JSON [2.jpg]"},
]


def seconds(query: str) -> list[int]:
    return [int(row["@timestamp"][17:19]) for row in run(query, EVENTS)]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("filter message = 'failed'", [2, 4]),
        ('filter message = "failed" and error = "Another"', []),
        ("filter message = 'resized' or type = 'ExecutionFailed'", [1, 3, 5]),
        ("filter message = 'resized' or (type = 'ExecutionFailed' and details.error like /Storage/)", [1, 3]),
        ("filter type in ['ExecutionFailed', 'ExecutionTimedOut']", [3, 5]),
        ("filter type not in ['ExecutionTimedOut']", [3, 5]),
        ("filter @message like /2.jpg/", [2, 6]),
        ('filter @message like "2.jpg"', [2, 6]),
        ('filter @message like "2?jpg"', []),
        # A field that is not there matches nothing.
        ("filter details.error not like /^Permanent\\./", [3]),
        ("filter coalesce(details.error, type, message) not like /^Permanent\\./", [1, 2, 3, 4]),
        ("# filter nothing = 'at all'\nfilter message = 'failed'\n| sort @timestamp desc", [4, 2]),
        ("sort @timestamp asc | limit 2", [1, 2]),
        # Rows without the field come last, in either order.
        ("filter message in ['resized', 'failed'] | sort ms desc", [1, 2, 4]),
    ],
)
def test_filter_sort_and_limit(query: str, expected: list[int]) -> None:
    assert seconds(query) == expected


def test_fields_are_computed_and_named() -> None:
    query = "fields ms + more as total, key, coalesce(error, message) as what | filter message in ['resized', 'failed']"

    assert run(query, EVENTS) == [
        {"total": 7.5, "key": "b/1.jpg", "what": "resized"},
        {"key": "a/b/2.jpg", "what": "NotAnImageError"},
        {"key": "3.jpg", "what": "NotAnImageError"},
    ]


def test_a_later_fields_adds_columns() -> None:
    assert run("filter ms in ['x'] | fields key | fields ms", EVENTS) == []
    assert run("filter message = 'resized' | fields key | fields ms", EVENTS) == [{"key": "b/1.jpg", "ms": 5}]


def test_stats_counts_by_what_a_regular_expression_captured() -> None:
    query = r"""filter message = "failed"
| parse key /^(?<folder>.*\/)/
| stats count(*) as failures, latest(key) as last by error, folder"""

    assert run(query, EVENTS) == [
        {"error": "NotAnImageError", "folder": "a/b/", "failures": 1, "last": "a/b/2.jpg"},
        {"error": "NotAnImageError", "failures": 1, "last": "3.jpg"},
    ]


def test_stats_without_by_is_one_row() -> None:
    assert run("stats count(*) as lines", EVENTS) == [{"lines": 6}]


def test_fields_of_a_message() -> None:
    assert fields('{"a": {"b": 1, "c": [{"d": null}, 2]}}') == {"a.b": 1, "a.c.0.d": None, "a.c.1": 2}
    assert fields("[1]") == fields("no JSON") == {}


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("dedup key", "The command dedup is not supported."),
        ("fields upper(key) as KEY", "The function upper is not supported."),
        ("stats avg(ms) as ms", "The function avg is not supported."),
        ("fields ms + more", "This needs a name (as …): ms + more"),
        ("filter ms > 4", "The query is not supported at: > 4"),
        ("filter message", "The query is not supported at: its end"),
        ("filter message = 'a' message", "The query is not supported at: message"),
        ("filter (message = 'a'", "The query is not supported at: its end"),
        ("filter message not = 'a'", "The query is not supported at: = a"),
        ("filter message like /(/", "The regular expression /(/ is invalid"),
        ("", "The query is not supported at: its end"),
    ],
)
def test_what_is_not_known_is_refused(query: str, sentence: str) -> None:
    with pytest.raises(QueryError) as refusal:
        run(query, EVENTS)

    assert str(refusal.value).startswith(sentence)
