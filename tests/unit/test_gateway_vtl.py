"""Mapping templates: what API Gateway's functions and Velocity's rules make of them."""

import json
from typing import Any

import pytest

from local.gateway.vtl import (
    MalformedJsonError,
    MappingTemplate,
    MappingTemplateError,
    Parameters,
    escape_javascript,
    select_json,
)

CONTEXT = {"requestId": "r-1", "stage": "prod", "identity": {"sourceIp": "127.0.0.1"}}
PARAMETERS = Parameters(path={"id": "p"}, querystring={"id": "q", "page": "2"}, header={"X-Key": "h", "page": "h"})
STAGE_VARIABLES = {"machine": "arn:machine"}


def context() -> dict[str, Any]:
    return {**CONTEXT, "responseOverride": {"status": None, "header": {}}}


def render(source: str, body: str = "", scope: dict[str, Any] | None = None) -> str:
    template = MappingTemplate(
        source, name="t", context=context(), stage_variables=STAGE_VARIABLES, overrides="responseOverride"
    )
    return template.render(
        body=body,
        parameters=PARAMETERS,
        context=context() if scope is None else scope,
        stage_variables=STAGE_VARIABLES,
    )


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain", "plain"),
        ("it's", r"it\'s"),
        ('a "b"', r"a \"b\""),
        ("a\\b", r"a\\b"),
        ("a/b", r"a\/b"),
        ("\b\n\t\f\r", r"\b\n\t\f\r"),
        ("\x00\x1f\x7f\x80", "\\u0000\\u001F\x7f\\u0080"),
        ("é日😀", r"\u00E9\u65E5\uD83D\uDE00"),
        ("\ud800", r"\uD800"),
        ("", ""),
        (None, "null"),
        (True, "true"),
        (12, "12"),
    ],
)
def test_escape_javascript(text: object, escaped: str) -> None:
    assert escape_javascript(text) == escaped


@pytest.mark.parametrize("text", ["it's", "\\'", "\\\\'", "'\\", "''", "\\", "a\\'b'c\\\\'", "/'\"\n"])
def test_the_documented_repair_of_apostrophes_gives_json_back(text: str) -> None:
    source = """{"input": "$util.escapeJavaScript($input.json('$')).replaceAll("\\\\'", "'")"}"""
    rendered = json.loads(render(source, json.dumps({"key": text})))
    assert json.loads(rendered["input"]) == {"key": text}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("$input.params('id')", "p"),
        ("$input.params('page')", "2"),
        ("$input.params('x-key')", "h"),
        ("$input.params('none')", ""),
        ("$input.params().header.get('X-Key')", "h"),
        ("#foreach($n in $input.params().header.keySet())$n;#end", "X-Key;page;"),
        ("$context.requestId $context.identity.sourceIp", "r-1 127.0.0.1"),
        ("$stageVariables.machine/${stageVariables.machine}", "arn:machine/arn:machine"),
    ],
)
def test_variables_and_functions(source: str, expected: str) -> None:
    assert render(source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("$input.json('$')", '{"a":{"b":[1,"é",null]},"s":"it\'s","n":1.5,"t":true}'),
        ("$input.json('$.a')", '{"b":[1,"é",null]}'),
        ("$input.json('$.a.b')", '[1,"é",null]'),
        ("$input.json('$.none')", '""'),
        ("$input.json('$.s.none')", '""'),
        ("$input.path('$.s')", "it's"),
        ("$input.path('$.none')", ""),
        ("$input.path('$.t')", "true"),
        ("$input.path('$.n')", "1.5"),
    ],
)
def test_the_payload(source: str, expected: str) -> None:
    body = '{"a": {"b": [1, "é", null]}, "s": "it\'s", "n": 1.5, "t": true}'
    assert render(source, body) == expected


def test_a_payload_that_is_not_there_is_an_empty_object() -> None:
    assert render("$input.json('$')") == "{}"


@pytest.mark.parametrize("source", ["$input.json('$')", "$input.path('$.a')", "#if($input.path('$.a'))x#end"])
def test_a_payload_that_is_not_json(source: str) -> None:
    with pytest.raises(MalformedJsonError):
        render(source, "{")


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("$s.endsWith('Exists')", "true"),
        ("$s.startsWith('Exists')", "false"),
        ("$s.length()", "22"),
        ("$s.substring(9)", "AlreadyExists"),
        ("$s.substring(0, 9)", "Execution"),
        ("$s.toLowerCase().endsWith('already')", "false"),
        ("$s.toLowerCase().endsWith('exists')", "true"),
        ("$s.replace('Already', '.')", "Execution.Exists"),
        ("$s.replaceAll('[a-z]', '')", "EAE"),
        ("$s.replaceAll('(E)(x)', '$2$1')", "xEecutionAlreadyxEists"),
        ("$s.replaceFirst('E', '\\$')", "$xecutionAlreadyExists"),
        ("$s.replace('Execution', ' ').trim()", "AlreadyExists"),
        ("$s.matches('Exec')", "false"),
        ("$s.matches('E.*s')", "true"),
    ],
)
def test_methods_of_java_strings(expression: str, expected: str) -> None:
    assert render(f"#set($s = 'ExecutionAlreadyExists'){expression}") == expected


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("$input.path('$.none')", "no"),
        ("!$input.path('$.none')", "yes"),
        ("$input.path('$.none').endsWith('x')", "no"),
        ("$input.path('$.type').endsWith('x') || $input.path('$.type').endsWith('e')", "yes"),
        ("$input.params('none') && $input.params('none') != ''", "no"),
        ("$input.params('id') && $input.params('id') != ''", "yes"),
        ("$input.path('$.size') > 2", "yes"),
    ],
)
def test_conditions(condition: str, expected: str) -> None:
    assert render(f"#if({condition})yes#{{else}}no#end", '{"type": "e", "size": 3}') == expected


def test_the_override_of_a_response_reaches_the_context() -> None:
    scope = context()
    source = "#set($context.responseOverride.status = 409)#set($context.responseOverride.header.Location = '/x')"
    assert not render(source, scope=scope)
    assert scope["responseOverride"] == {"status": 409, "header": {"Location": "/x"}}


@pytest.mark.parametrize(
    "source",
    [
        "$x",
        "#set($x = $y)",
        "#if($y)a#end",
        "#if(1 == 2)a#elseif($y)b#end",
        "#if(true)a#else$y#end",
        "#foreach($a in $y)$a#end",
        "#set($x = ['a', $y])",
        "#set($x = {'a': $y})",
        '#set($x = "a $y")',
        "#set($x = (1 + $y))",
        "$util.escapeJavaScript($y)",
        "${y}",
        "$!{y}",
        "$util",
        "$util.toJson('x')",
        "$input",
        "$input.header('x')",
        "$input.json",
        "$stageVariables.other",
        "$context.requestid",
        "$context.responseOverride.body",
        "$input.json('$').upper()",
        "#unknown('x')",
        "#include('x')",
        "#evaluate('x')",
        "#stop",
        "#macro(twice $a)x#end",
        "#define($a)x#end",
        "#foreach($a in $input.params().header.keySet())$foreach.hasNext#end",
        "$input.body",
        "$input.params().querystring",
        "$input.path('$.a').b",
        "#set($a = $input.path('$.a'))$a[0]",
        "#set($a = 'x')$a.split('x')",
        "#set($a = 'x')$a.isEmpty()",
        "$stageVariables.get('machine')",
        "$util.parseJson('{}')",
        "$util.urlEncode('x')",
        "$util.base64Encode('x')",
        "#set($util.x = 1)",
        "#set($context.requestOverride.header.x = 1)",
    ],
)
def test_names_that_nothing_defines_are_found_wherever_they_stand(source: str) -> None:
    with pytest.raises(MappingTemplateError, match=r"^t uses .* does not support"):
        render(source)


@pytest.mark.parametrize("source", ["#if(true)", "#set($x = )", "$input.json('$.a[*]')", "$input.json('$.a[0]')"])
def test_what_does_not_parse(source: str) -> None:
    with pytest.raises(MappingTemplateError, match=r"^t: "):
        render(source)


@pytest.mark.parametrize("body", ['{"a": {}}', '{"a": []}'])
def test_an_object_or_a_list_is_not_printed(body: str) -> None:
    with pytest.raises(MappingTemplateError, match=r"(?s)^t: .*path\('\$\.a'\) is an object or a list"):
        render("$input.path('$.a')", body)


@pytest.mark.parametrize("path", ["", "a", "$.", "$.a[0]", "$['a']", "$..a", "$x"])
def test_json_paths_that_are_not_known(path: str) -> None:
    with pytest.raises(ValueError, match="JSONPath"):
        select_json({}, path)
