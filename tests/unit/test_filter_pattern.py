"""Filter patterns for JSON log events."""

import json
from typing import Any

import pytest

from local.aws.filter_pattern import FilterPatternError, compile_json

EVENT = {
    "type": "ExecutionFailed",
    "details": {"error": "Permanent.NotAnImageError", "size": 10.5},
    "on": True,
    "no": None,
    "number": 3,
    "quoted": 'say "x"',
}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ('{ $.type = "ExecutionFailed" }', True),
        ('{$.type="ExecutionFailed"}', True),
        ('{ $.type = "Execution" }', False),
        ('{ $.type = "Execution*" }', True),
        ("{ $.type = *Failed }", True),
        ('{ $.type != "ExecutionTimedOut" }', True),
        ('{ $.details.error = "Permanent.*" }', True),
        ('{ $.details.error != "Permanent.*" }', False),
        ('{ $.details.error = "PermanentX*" }', False),
        ('{ $.missing = "x" }', False),
        ('{ $.missing != "x" }', False),
        ("{ $.number = 3 }", True),
        ('{ $.number = "3" }', False),
        ("{ $.number != 4 }", True),
        ("{ $.number >= 3 && $.number < 3.5 }", True),
        ("{ $.details.size > 10 }", True),
        ("{ $.on > 0 }", False),
        ("{ $.on IS TRUE }", True),
        ("{ $.on IS FALSE }", False),
        ("{ $.no IS NULL }", True),
        ("{ $.missing NOT EXISTS }", True),
        ("{ $.no NOT EXISTS }", False),
        ("{ $.number EXISTS }", True),
        ('{ $.quoted = "say \\"x\\"" }', True),
        ('{ $.type = "a" || $.number = 3 && $.type = "b" }', False),
        ('{ $.number = 3 && $.type = "b" || $.on IS TRUE }', True),
        ('{ $.on IS TRUE && ($.type = "a" || ($.number = 3)) }', True),
    ],
)
def test_a_pattern_matches_what_it_says(pattern: str, expected: Any) -> None:
    assert compile_json(pattern)(json.dumps(EVENT)) is expected


@pytest.mark.parametrize("message", ["a line", "[1]", "", '{"type": '])
def test_what_is_no_json_object_does_not_match(message: str) -> None:
    assert not compile_json('{ $.type != "x" }')(message)


@pytest.mark.parametrize(
    "pattern",
    [
        "{}",
        "{ $.a }",
        "{ $.a = }",
        "{ $.a = 1",
        "{ ($.a = 1 }",
        "{ $.a = 1 } x",
        '{ $.a < "x" }',
        "{ $.a ~ 1 }",
        "{ a = 1 }",
    ],
)
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(FilterPatternError):
        compile_json(pattern)
