"""Filter patterns of CloudWatch Logs for JSON events, such as ``{ $.type = "Failed" && $.error != "Known.*" }``.

In MiniStack every such pattern matches all events.

A comparison with a field that an event does not have is false, even with ``!=``: AWS does not document this, and an
alarm should not depend on the more favourable interpretation.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
"""

import json
import operator
import re
from collections.abc import Callable
from typing import Any

_Matcher = Callable[[Any], bool]

_TOKEN = re.compile(
    r"""\s*(?:(?P<mark>\(|\)|&&|\|\||!=|>=|<=|=|<|>)|(?P<field>\$[\w.-]*)|"(?P<text>(?:[^"\\]|\\.)*)"|(?P<word>[^\s()&|=<>!"]+))"""
)
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_NAMED = {"TRUE": True, "FALSE": False, "NULL": None}
_ABSENT = object()


class FilterPatternError(ValueError):
    """A filter pattern is not supported; the message contains it."""


def compile_json(pattern: str) -> Callable[[str], bool]:
    """Return a function that returns whether a message matches a pattern in braces.

    Raises
    ------
    FilterPatternError
        The pattern is invalid or not supported.
    """
    matches = _Parser(pattern).parse()

    def match(message: str) -> bool:
        try:
            event = json.loads(message)
        except ValueError:
            return False
        return isinstance(event, dict) and matches(event)

    return match


class _Parser:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        inner = re.fullmatch(r"\s*\{(.*)\}\s*", pattern, re.DOTALL)
        self._tokens: list[tuple[str, str]] = []
        text = inner[1].rstrip() if inner else ""
        at = 0
        while at < len(text):
            found = _TOKEN.match(text, at)
            if found is None:
                raise self._error()
            self._tokens.append((str(found.lastgroup), str(found[str(found.lastgroup)])))
            at = found.end()

    def parse(self) -> _Matcher:
        matches = self._any()
        if self._tokens:
            raise self._error()
        return matches

    def _any(self) -> _Matcher:
        parts = [self._all()]
        while self._take("mark", "||"):
            parts.append(self._all())
        return lambda event: any(part(event) for part in parts)

    def _all(self) -> _Matcher:
        parts = [self._term()]
        while self._take("mark", "&&"):
            parts.append(self._term())
        return lambda event: all(part(event) for part in parts)

    def _term(self) -> _Matcher:
        if self._take("mark", "("):
            inner = self._any()
            self._expect("mark", ")")
            return inner
        path = self._expect("field").removeprefix("$").strip(".").split(".")
        if self._take("word", "IS"):
            named = self._expect("word")
            if named not in _NAMED:
                raise self._error()
            return lambda event: _field(event, path) is _NAMED[named]
        if self._take("word", "NOT"):
            self._expect("word", "EXISTS")
            return lambda event: _field(event, path) is _ABSENT
        if self._take("word", "EXISTS"):
            return lambda event: _field(event, path) is not _ABSENT
        comparison = self._expect("mark")
        compare = _comparison(comparison, *self._next("text", "word"))
        if compare is None:
            raise self._error()
        return lambda event: (value := _field(event, path)) is not _ABSENT and compare(value)

    def _take(self, kind: str, value: str) -> bool:
        if self._tokens[:1] != [(kind, value)]:
            return False
        del self._tokens[0]
        return True

    def _expect(self, kind: str, value: str | None = None) -> str:
        found = self._next(kind)[1]
        if value not in {None, found}:
            raise self._error()
        return found

    def _next(self, *kinds: str) -> tuple[str, str]:
        if not self._tokens or self._tokens[0][0] not in kinds:
            raise self._error()
        return self._tokens.pop(0)

    def _error(self) -> FilterPatternError:
        return FilterPatternError(f"The filter pattern {self._pattern} is not supported.")


def _field(event: Any, path: list[str]) -> Any:
    for name in path:
        if not isinstance(event, dict) or name not in event:
            return _ABSENT
        event = event[name]
    return event


def _comparison(mark: str, kind: str, wanted: str) -> _Matcher | None:
    is_number = kind == "word" and re.fullmatch(r"-?\d+(\.\d+)?([eE][+-]?\d+)?", wanted)
    if is_number:
        number = float(wanted)
        equal = _on_numbers(lambda value: value == number)
    else:
        # An asterisk matches anything, even between quotes.
        text = re.compile(".*".join(re.escape(part) for part in wanted.replace('\\"', '"').split("*")), re.DOTALL)

        def equal(value: Any) -> bool:
            return isinstance(value, str) and text.fullmatch(value) is not None

    if mark == "=":
        return equal
    if mark == "!=":
        return lambda value: not equal(value)
    if mark in _ORDER and is_number:
        return _on_numbers(lambda value: _ORDER[mark](value, number))
    return None


def _on_numbers(compare: _Matcher) -> _Matcher:
    return lambda value: isinstance(value, (int, float)) and not isinstance(value, bool) and compare(value)
