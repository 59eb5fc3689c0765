"""Mapping templates: Apache Velocity with API Gateway's functions, rendered by ``airspeed``.

airspeed renders an unknown name as an empty string. Here all names of a template are checked when it is compiled, so
that a typing error is found at start-up and not by the first request. Only those of API Gateway's functions and Java's
methods that this API uses are supported; others are refused at start-up as well.

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html
"""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import airspeed  # type: ignore[import-untyped]  # airspeed ships no types
from airspeed import operators

from local.gateway import GatewayError


class MappingTemplateError(GatewayError):
    """A mapping template does not parse, or uses an undefined name."""


class MalformedJsonError(Exception):
    """A template reads a part of a body that is not JSON."""


@dataclass(frozen=True)
class Parameters:
    """The parameters for ``$input.params``, in the order in which it searches.

    Attributes
    ----------
    path, querystring, header
        Values by name. Header names are case-insensitive, as in HTTP.
    """

    path: Mapping[str, str]
    querystring: Mapping[str, str]
    header: Mapping[str, str]

    def find(self, name: str) -> str:
        """Return the value of a parameter, or an empty string."""
        if name in self.path:
            return self.path[name]
        if name in self.querystring:
            return self.querystring[name]
        return next((value for key, value in self.header.items() if key.lower() == name.lower()), "")


class MappingTemplate:
    """One mapping template, compiled and checked.

    Parameters
    ----------
    source
        The template.
    name
        Its place in the API, for messages.
    context
        An example of ``$context``: a template may use only the names in it.
    stage_variables
        The names in ``$stageVariables``.
    overrides
        The part of ``$context`` that the template may set: ``requestOverride``, ``responseOverride`` or none.

    Raises
    ------
    MappingTemplateError
        The template does not parse, or uses a function, variable or directive that API Gateway or this
        gateway does not have.
    """

    def __init__(
        self,
        source: str,
        *,
        name: str,
        context: Mapping[str, Any],
        stage_variables: Collection[str],
        overrides: str = "",
    ) -> None:
        self._name = name
        self._overrides = overrides
        self._template = airspeed.Template(source, filename=name)
        try:
            self._template.ensure_compiled()
        except airspeed.TemplateError as error:
            raise MappingTemplateError(f"{name}: {error}") from error
        _Check(name, context, stage_variables, overrides=overrides).run(self._template.root_element)

    def render(
        self,
        *,
        body: str,
        parameters: Parameters,
        context: Mapping[str, Any],
        stage_variables: Mapping[str, str],
    ) -> str:
        """Render the template for one request or one response.

        Parameters
        ----------
        body
            Payload of the request, or of the integration's response.
        parameters
            Parameters of the method request.
        context
            ``$context``, in which the template sets its overrides.
        stage_variables
            ``$stageVariables``.

        Raises
        ------
        MalformedJsonError
            The template reads the body as JSON, and it is not.
        MappingTemplateError
            A function of the template failed.
        """
        namespace = _Namespace(
            {
                "input": _input(body, parameters),
                "util": {"escapeJavaScript": escape_javascript},
                "context": to_java(context),
                "stageVariables": to_java(stage_variables),
            }
        )
        try:
            rendered = cast("str", self._template.merge(namespace))
        except airspeed.TemplateExecutionError as error:
            if isinstance(error.__cause__, MalformedJsonError):
                raise error.__cause__ from error
            raise MappingTemplateError(f"{self._name}: {error}") from error
        if self._overrides:
            context[self._overrides].update(namespace["context"][self._overrides])
        return rendered


def parse_json(text: str) -> Any:
    """Parse JSON by RFC 8259: without NaN, Infinity and numbers beyond a double.

    Raises
    ------
    ValueError
        The text is not JSON.
    """

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    def finite(number: str) -> float:
        value = float(number)
        if value in (float("inf"), float("-inf")):
            raise ValueError(f"{number} is too large a number")
        return value

    try:
        return json.loads(text, parse_constant=refuse, parse_float=finite)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def select_json(document: Any, path: str) -> Any:
    """Return the value at a JSONPath of names, or ``None``.

    Raises
    ------
    ValueError
        The path uses other syntax of JSONPath than ``$`` and ``.name``.
    """
    for name in _json_path(path):
        document = document.get(name) if isinstance(document, dict) else None
    return document


def _json_path(path: str) -> list[str]:
    """Split a JSONPath into names."""
    if re.fullmatch(r"\$(\.\w+)*", path) is None:
        raise ValueError(f"the JSONPath {path} is not supported by the local gateway")
    return path.split(".")[1:]


def _input(body: str, parameters: Parameters) -> dict[str, Any]:
    # API Gateway replaces a missing payload by {}.
    text = body or "{}"

    def select(path: str) -> Any:
        try:
            document = parse_json(text)
        except ValueError as error:
            raise MalformedJsonError(str(error)) from error
        return select_json(document, path)

    def as_json(path: str) -> JavaString:
        value = select(path)
        return JavaString(
            '""' if value is None and path != "$" else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        )

    def as_value(path: str) -> Any:
        value = select(path)
        if isinstance(value, (dict, list)):
            raise TypeError(f"$input.path('{path}') is an object or a list, which the local gateway does not support")
        return to_java(value)

    def params(name: str | None = None) -> Any:
        return to_java(vars(parameters)) if name is None else JavaString(parameters.find(name))

    return {"json": as_json, "path": as_value, "params": params}


_JAVASCRIPT_ESCAPES = {
    "'": "\\'",
    '"': '\\"',
    "\\": "\\\\",
    "/": "\\/",
    "\b": "\\b",
    "\n": "\\n",
    "\t": "\\t",
    "\f": "\\f",
    "\r": "\\r",
}


def escape_javascript(value: Any) -> "JavaString":
    r"""Escape text like Java's ``StringEscapeUtils.escapeJavaScript``.

    An apostrophe becomes ``\'``, a slash ``\/``; control characters and characters outside ASCII become
    ``\uXXXX``, two of them for a character outside the basic plane.

    Examples
    --------
    >>> print(escape_javascript("bob's 😀"))
    bob\'s \uD83D\uDE00
    """

    def escape(character: str) -> str:
        if character in _JAVASCRIPT_ESCAPES:
            return _JAVASCRIPT_ESCAPES[character]
        if " " <= character <= "\x7f":
            return character
        units = character.encode("utf-16-be", "surrogatepass").hex().upper()
        return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))

    return JavaString("".join(map(escape, _java_text(value))))


def _java_text(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return str(value)


def _java_replacement(text: str) -> Callable[[re.Match[str]], str]:
    """Convert a replacement of Java's ``Matcher``: ``$1`` is a group, a backslash quotes the next character."""

    def replace(match: re.Match[str]) -> str:
        return re.sub(
            r"\\(.)|\$(\d)",
            lambda part: part[1] if part[1] is not None else (match[int(part[2])] or ""),
            text,
            flags=re.DOTALL,
        )

    return replace


class JavaString(str):
    """A string with the methods of ``java.lang.String``, by their Java names: ``text["endsWith"]``."""

    __slots__ = ()

    def __getitem__(self, key: Any) -> Any:
        return partial(_STRING_METHODS[key], self) if isinstance(key, str) else super().__getitem__(key)


class JavaMap(dict[str, Any]):
    """A map with the methods of ``java.util.Map``."""

    def __missing__(self, key: str) -> Any:
        return partial(_MAP_METHODS[key], self)


def to_java(value: Any) -> Any:
    """Return JSON-like data with the Java methods that a template may call on it."""
    if isinstance(value, str):
        return JavaString(value)
    if isinstance(value, Mapping):
        return JavaMap({key: to_java(item) for key, item in value.items()})
    return value


_STRING_METHODS: dict[str, Callable[..., Any]] = {
    "endsWith": lambda text, end: text.endswith(end),
    "length": len,
    "matches": lambda text, pattern: re.fullmatch(pattern, text) is not None,
    "replace": lambda text, old, new: JavaString(str.replace(text, old, new)),
    "replaceAll": lambda text, pattern, new: JavaString(re.sub(pattern, _java_replacement(new), text)),
    "replaceFirst": lambda text, pattern, new: JavaString(re.sub(pattern, _java_replacement(new), text, count=1)),
    "startsWith": lambda text, start: text.startswith(start),
    "substring": lambda text, start, end=None: JavaString(str(text)[start:end]),
    "toLowerCase": lambda text: JavaString(text.lower()),
    "trim": lambda text: JavaString(text.strip()),
}
_MAP_METHODS: dict[str, Callable[..., Any]] = {
    "get": dict.get,
    "keySet": lambda items: [JavaString(name) for name in items],
}
_JAVA_METHODS = _STRING_METHODS.keys() | _MAP_METHODS.keys()


class _Namespace(operators.LocalNamespace):  # type: ignore[misc]  # airspeed ships no types
    """Variables of one rendering; values that ``#set`` stores also get Java's methods."""

    def __init__(self, values: dict[str, Any]) -> None:
        super().__init__({})
        self.update(values)

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, to_java(value))


class _NullIsFalse:
    """Makes null false in ``#if`` and ``!``, as in Velocity; in airspeed it is true.

    https://velocity.apache.org/engine/1.7/user-guide.html#conditionals
    """

    def __init__(self, expression: Any) -> None:
        self.expression = expression

    def calculate(self, namespace: Any, loader: Any) -> Any:
        value = self.expression.calculate(namespace, loader)
        return False if value is None else value


_INPUT_FUNCTIONS = ("json", "path", "params")
_UNKNOWN_ELEMENTS = (
    operators.ArrayIndex,
    operators.DefineDefinition,
    operators.EvaluateDirective,
    operators.IncludeDirective,
    operators.MacroCall,
    operators.MacroDefinition,
    operators.ParseDirective,
    operators.StopDirective,
)


class _Check:
    """Checks every name of a parsed template."""

    def __init__(
        self, name: str, context: Mapping[str, Any], stage_variables: Collection[str], *, overrides: str
    ) -> None:
        self._name = name
        self._context = context
        self._stage_variables = stage_variables
        self._overrides = overrides
        self._assigned: set[str] = set()

    def run(self, root: Any) -> None:
        elements = list(_elements(root))
        for element in elements:
            self._declare(element)
        for element in elements:
            self._look_up(element)
            if isinstance(element, operators.Condition):
                element.expression = _NullIsFalse(element.expression)
            elif isinstance(element, operators.UnaryOperatorValue):
                element.value = _NullIsFalse(element.value)

    def _declare(self, element: Any) -> None:
        if isinstance(element, _UNKNOWN_ELEMENTS):
            self._refuse(element.my_text().split("(")[0])
        if isinstance(element, operators.Assignment):
            self._assignment(element)
        elif isinstance(element, operators.ForeachDirective):
            self._assigned.add(element.loop_var_name)

    def _look_up(self, element: Any) -> None:
        if isinstance(element, operators.FormalReference) and element.expression is not None:
            self._reference(element)

    def _refuse(self, what: str) -> None:
        raise MappingTemplateError(f"{self._name} uses {what.strip()}, which the local gateway does not support.")

    def _assignment(self, element: Any) -> None:
        target = [element.root_term, *(getattr(term.term, "value", None) for term in element.terms)]
        text = "$" + ".".join(map(str, target))
        match target:
            case [str(name)] if name not in ("context", "input", "util", "stageVariables"):
                self._assigned.add(name)
            case ["context", "responseOverride", "status"] if self._overrides == "responseOverride":
                pass
            case ["context", override, "header", str()] if self._overrides == override:
                pass
            case [str(name), *_] if name in self._assigned:
                pass
            case _:
                self._refuse(f"#set({text})")

    def _reference(self, element: Any) -> None:
        (root, called, _), *steps = _steps(element.expression)
        if root == "context":
            known, steps = self._known_context(steps)
        elif root in ("input", "util", "stageVariables"):
            known, steps = bool(steps) and self._known_step(root, steps[0]), steps[1:]
        else:
            known = root in self._assigned and not called
        text = element.my_text()
        if not known:
            self._refuse(text)
        for name, is_call, _ in steps:
            if is_call and name not in _JAVA_METHODS:
                self._refuse(f"{name}() in {text}")
            if not is_call and (root, name) != ("input", "header"):
                self._refuse(f"{name} in {text}")

    def _known_step(self, root: str, step: "_Step") -> bool:
        name, called, _ = step
        if root == "input":
            return self._known_input(step)
        if root == "util":
            return called and name == "escapeJavaScript"
        return not called and name in self._stage_variables

    def _known_input(self, step: "_Step") -> bool:
        name, called, parameters = step
        if name in ("json", "path") and called:
            literal = _literal(parameters)
            if literal is not None:
                try:
                    _json_path(literal)
                except ValueError as error:
                    raise MappingTemplateError(f"{self._name}: {error}") from error
        return name in _INPUT_FUNCTIONS and called

    def _known_context(self, steps: "list[_Step]") -> "tuple[bool, list[_Step]]":
        value: Any = self._context
        while steps and isinstance(value, Mapping) and not steps[0][1]:
            if steps[0][0] not in value:
                return False, steps
            value = value[steps[0][0]]
            steps = steps[1:]
        return True, steps


_Step = tuple[str, bool, Any]


def _steps(expression: Any) -> list[_Step]:
    """Split ``$a.b('c').d`` into its names, each with its arguments if it is called."""
    part, following = expression.part, expression.subexpression
    steps: list[_Step] = [(part.name, part.parameters is not None, part.parameters)]
    return steps if following is None else steps + _steps(following.expression)


def _literal(parameters: Any) -> str | None:
    values = getattr(parameters.values, "values", [])
    first = values[0].expression if values else None
    # Not its subclass, for text between double quotes, which may contain variables.
    return str(first.value) if first is not None and type(first) is operators.StringLiteral else None


def _elements(root: Any) -> Iterator[Any]:
    """Walk a parsed template; some elements store a child only as a bound method of the child."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        element = waiting.pop()
        if isinstance(element, (list, tuple)):
            waiting += element
        elif isinstance(element, dict):
            waiting += [*element.keys(), *element.values()]
        elif isinstance(getattr(element, "__self__", None), operators._Element):  # noqa: SLF001  # the only common base
            waiting.append(element.__self__)
        elif isinstance(element, operators._Element) and id(element) not in seen:  # noqa: SLF001  # as above
            seen.add(id(element))
            yield element
            waiting += vars(element).values()
