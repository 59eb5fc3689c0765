"""The part of CloudWatch Logs Insights' query language that the saved queries use. Pure functions.

Other syntax is refused, while MiniStack ignores most filters and all calculations without an error.

A comparison with a field that an event does not have is false, even with ``not like``: AWS does not document this, and
a query should not depend on the more favourable interpretation.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_AnalyzeLogData-discoverable-fields.html
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Row = dict[str, Any]
_Expression = Callable[[Mapping[str, Any]], Any]

_TOKEN = re.compile(
    r"""\s*(?:"(?P<text>[^"]*)"|'(?P<quoted>[^']*)'|/(?P<regex>(?:[^/\\]|\\.)*)/|(?P<number>\d+(?:\.\d+)?)
    |(?P<name>[@A-Za-z_][\w.@]*)|(?P<mark>!=|[=+*,|()\[\]]))""",
    re.VERBOSE,
)
# Maximum number of rows of a query without a limit.
_MOST_ROWS = 10_000


class QueryError(ValueError):
    """A query is not supported; the message contains the part that is not."""


def run(query: str, events: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Return the rows that a query finds.

    Parameters
    ----------
    query : str
    events : iterable of mappings
        Log events with ``@timestamp`` (sortable), ``@message`` and other fields that begin with ``@``.

    Returns
    -------
    list of dict
        The columns that have a value, for each row.

    Raises
    ------
    QueryError
    """
    commands = _Parser(query).parse()
    table = _Table([{**fields(str(event["@message"])), **event} for event in events])
    for command in commands:
        command(table)
    columns = table.columns or ["@timestamp", "@message"]
    return [{name: row[name] for name in columns if row.get(name) is not None} for row in table.rows[: table.limit]]


def fields(message: str) -> Row:
    """Return the fields that Logs Insights discovers in a JSON message; the names of nested ones have dots."""
    try:
        document = json.loads(message)
    except ValueError:
        return {}
    return dict(_flatten("", document)) if isinstance(document, dict) else {}


def _flatten(prefix: str, value: Any) -> Iterable[tuple[str, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if items is None:
        yield prefix, value
        return
    for name, item in items:
        yield from _flatten(f"{prefix}.{name}" if prefix else str(name), item)


class _Table:
    """The rows between two commands, and the columns to show."""

    def __init__(self, rows: list[Row]) -> None:
        self.rows = rows
        self.columns: list[str] = []
        self.limit = _MOST_ROWS


_Command = Callable[[_Table], None]


class _Parser:
    def __init__(self, query: str) -> None:
        text = "\n".join(line for line in query.splitlines() if not line.lstrip().startswith("#")).rstrip()
        self._tokens: list[tuple[str, str]] = []
        at = 0
        while at < len(text):
            found = _TOKEN.match(text, at)
            if found is None:
                raise QueryError(f"The query is not supported at: {text[at : at + 30].strip()}")
            kind = str(found.lastgroup)
            self._tokens.append(("text" if kind == "quoted" else kind, found[kind]))
            at = found.end()

    def parse(self) -> list[_Command]:
        commands = [self._command()]
        while self._take("|"):
            commands.append(self._command())
        if self._tokens:
            raise self._error()
        return commands

    def _command(self) -> _Command:
        word = self._expect("name")
        known = {
            "fields": self._fields,
            "filter": self._filter,
            "limit": self._limit,
            "parse": self._parse,
            "sort": self._sort,
            "stats": self._stats,
        }
        if word not in known:
            raise QueryError(f"The command {word} is not supported.")
        return known[word]()

    def _fields(self) -> _Command:
        named = self._list(self._named)

        def command(table: _Table) -> None:
            for row in table.rows:
                row.update([(name, expression(row)) for name, expression in named])
            table.columns += [name for name, _ in named]

        return command

    def _filter(self) -> _Command:
        condition = self._any()

        def command(table: _Table) -> None:
            table.rows = [row for row in table.rows if condition(row)]

        return command

    def _limit(self) -> _Command:
        count = int(self._expect("number"))

        def command(table: _Table) -> None:
            table.limit = min(count, _MOST_ROWS)

        return command

    def _parse(self) -> _Command:
        name = self._expect("name")
        pattern = _compile(self._expect("regex"))

        def command(table: _Table) -> None:
            for row in table.rows:
                found = pattern.search(row[name]) if isinstance(row.get(name), str) else None
                row.update(dict.fromkeys(pattern.groupindex) if found is None else found.groupdict())

        return command

    def _sort(self) -> _Command:
        name = self._expect("name")
        is_descending = self._take("desc")
        if not is_descending:
            self._take("asc")

        def command(table: _Table) -> None:
            there = [row for row in table.rows if row.get(name) is not None]
            there.sort(key=lambda row: row[name], reverse=is_descending)
            table.rows = there + [row for row in table.rows if row.get(name) is None]

        return command

    def _stats(self) -> _Command:
        results = self._list(self._aggregate)
        by = self._list(lambda: self._expect("name")) if self._take("by") else []

        def command(table: _Table) -> None:
            groups: dict[tuple[Any, ...], list[Row]] = {}
            for row in table.rows:
                groups.setdefault(tuple(row.get(name) for name in by), []).append(row)
            table.rows = [
                {**dict(zip(by, values, strict=True)), **{name: of(rows) for name, of in results}}
                for values, rows in groups.items()
            ]
            table.columns = [*by, *(name for name, _ in results)]

        return command

    def _aggregate(self) -> tuple[str, Callable[[list[Row]], Any]]:
        function = self._expect("name")
        self._need("(")
        if function == "count":
            self._need("*")
            of: Callable[[list[Row]], Any] = len
        elif function == "latest":
            field = self._expect("name")

            def of(rows: list[Row]) -> Any:
                return max(rows, key=lambda row: row["@timestamp"]).get(field)

        else:
            raise QueryError(f"The function {function} is not supported.")
        self._need(")")
        self._need("as")
        return self._expect("name"), of

    def _named(self) -> tuple[str, _Expression]:
        before = list(self._tokens)
        expression = self._sum()
        if self._take("as"):
            return self._expect("name"), expression
        if len(before) - len(self._tokens) > 1:
            raise QueryError(f"This needs a name (as …): {' '.join(text for _, text in before[:5])}")
        return before[0][1], expression

    def _any(self) -> _Expression:
        parts = [self._all()]
        while self._take("or"):
            parts.append(self._all())
        return lambda row: any(part(row) for part in parts)

    def _all(self) -> _Expression:
        parts = [self._condition()]
        while self._take("and"):
            parts.append(self._condition())
        return lambda row: all(part(row) for part in parts)

    def _condition(self) -> _Expression:
        if self._take("("):
            inner = self._any()
            self._need(")")
            return inner
        left = self._sum()
        is_negated = self._take("not")
        if self._take("like"):
            kind, text = self._next("regex", "text")
            pattern = _compile(text if kind == "regex" else re.escape(text))

            def test(value: Any) -> bool:
                return pattern.search(str(value)) is not None

        elif self._take("in"):
            self._need("[")
            values = self._list(lambda: self._expect("text"))
            self._need("]")

            def test(value: Any) -> bool:
                return value in values

        elif not is_negated and self._take("="):
            wanted = self._expect("text")

            def test(value: Any) -> bool:
                return bool(value == wanted)

        else:
            raise self._error()
        return lambda row: (value := left(row)) is not None and test(value) is not is_negated

    def _sum(self) -> _Expression:
        parts = [self._operand()]
        while self._take("+"):
            parts.append(self._operand())
        if len(parts) == 1:
            return parts[0]

        def add(row: Mapping[str, Any]) -> Any:
            values = [part(row) for part in parts]
            return None if None in values else sum(values)

        return add

    def _operand(self) -> _Expression:
        name = self._expect("name")
        if not self._take("("):
            return lambda row: row.get(name)
        if name != "coalesce":
            raise QueryError(f"The function {name} is not supported.")
        options = self._list(self._operand)
        self._need(")")
        return lambda row: next((value for option in options if (value := option(row)) is not None), None)

    def _list(self, item: Callable[[], Any]) -> list[Any]:
        items = [item()]
        while self._take(","):
            items.append(item())
        return items

    def _take(self, text: str) -> bool:
        """Consume a symbol or a keyword if it is next."""
        if self._tokens and self._tokens[0][0] in {"mark", "name"} and self._tokens[0][1] == text:
            del self._tokens[0]
            return True
        return False

    def _need(self, text: str) -> None:
        if not self._take(text):
            raise self._error()

    def _expect(self, kind: str) -> str:
        return self._next(kind)[1]

    def _next(self, *kinds: str) -> tuple[str, str]:
        if not self._tokens or self._tokens[0][0] not in kinds:
            raise self._error()
        return self._tokens.pop(0)

    def _error(self) -> QueryError:
        rest = " ".join(text for _, text in self._tokens[:5])
        return QueryError(f"The query is not supported at: {rest or 'its end'}")


def _compile(regex: str) -> re.Pattern[str]:
    try:
        return re.compile(regex.replace("(?<", "(?P<"))
    except re.error as error:
        raise QueryError(f"The regular expression /{regex}/ is invalid: {error}") from error
