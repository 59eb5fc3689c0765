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
    template = MappingTemplate(source, name="t", context=context(), stage_variables=STAGE_VARIABLES, overrides=True)
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
        ("#foreach($n in $input.params().querystring.keySet())$n#if($foreach.hasNext),#end#end", "id,page"),
        ("$context.requestId $context.identity.sourceIp", "r-1 127.0.0.1"),
        ("$stageVariables.machine/${stageVariables.machine}", "arn:machine/arn:machine"),
        ("$util.urlEncode('a b+c/*~é')", "a+b%2Bc%2F*%7E%C3%A9"),
        ("$util.urlDecode('a+b%2Bc')", "a b+c"),
        ("$util.base64Encode('é')", "w6k="),
        ("$util.base64Decode('w6k=')", "é"),
        ("""$util.parseJson('{"a": {"b": [1, 2]}}').a.b.size()""", "2"),
    ],
)
def test_variables_and_functions(source: str, expected: str) -> None:
    assert render(source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("$input.json('$')", '{"a":{"b":[1,"é",null]},"s":"it\'s","n":1.5,"t":true}'),
        ("$input.json('$.a.b[1]')", '"é"'),
        ("""$input.json("$['a']")""", '{"b":[1,"é",null]}'),
        ("$input.json('$.none')", '""'),
        ("$input.path('$.s')", "it's"),
        ("$input.path('$.a').b.size()", "3"),
        ("$input.path('$.a.b').get(0)", "1"),
        ("$input.path('$.none')", ""),
        ("$input.path('$.t')", "true"),
        ("#set($root = $input.path('$'))$root.a.b[1] $root.n", "é 1.5"),
        ("$input.path('$.a')", '{b=[1,"é",null]}'),
    ],
)
def test_the_payload(source: str, expected: str) -> None:
    body = '{"a": {"b": [1, "é", null]}, "s": "it\'s", "n": 1.5, "t": true}'
    assert render(source, body) == expected


def test_a_payload_that_is_not_there_is_an_empty_object() -> None:
    assert render("$input.body $input.json('$')") == "{} {}"


@pytest.mark.parametrize("source", ["$input.json('$')", "$input.path('$.a')", "#if($input.path('$.a'))x#end"])
def test_a_payload_that_is_not_json(source: str) -> None:
    with pytest.raises(MalformedJsonError):
        render(source, "{")


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("$s.endsWith('Exists')", "true"),
        ("$s.startsWith('Exists')", "false"),
        ("$s.equals('x')", "false"),
        ("$s.length()", "22"),
        ("$s.substring(9)", "AlreadyExists"),
        ("$s.substring(0, 9)", "Execution"),
        ("$s.indexOf('Already')", "9"),
        ("$s.toLowerCase().contains('already')", "true"),
        ("$s.replace('Already', '.')", "Execution.Exists"),
        ("$s.replaceAll('[a-z]', '')", "EAE"),
        ("$s.replaceAll('(E)(x)', '$2$1')", "xEecutionAlreadyxEists"),
        ("$s.replaceFirst('E', '\\$')", "$xecutionAlreadyExists"),
        ("$s.split('A').size()", "2"),
        ("$s.matches('Exec')", "false"),
        ("$s.isEmpty()", "false"),
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


def test_a_macro_may_be_defined_and_used() -> None:
    assert render("#macro(twice $x)$x$x#end#twice('a')") == "aa"


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
        "$util.urlEncode",
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
        "#set($util.x = 1)",
        "#set($context.requestOverride.header.x = 1)",
    ],
)
def test_names_that_nothing_defines_are_found_wherever_they_stand(source: str) -> None:
    with pytest.raises(MappingTemplateError, match=r"^t uses .* not known"):
        render(source)


@pytest.mark.parametrize("source", ["#if(true)", "#set($x = )", "$input.json('$.a[*]')"])
def test_what_does_not_parse(source: str) -> None:
    with pytest.raises(MappingTemplateError, match=r"^t: "):
        render(source)


def test_a_function_that_fails_names_its_template() -> None:
    with pytest.raises(MappingTemplateError, match=r"base64Decode"):
        render("$util.base64Decode('!')")


@pytest.mark.parametrize("path", ["", "a", "$.", "$.a[", "$..a", "$.a[0:1]", "$x"])
def test_json_paths_that_are_not_known(path: str) -> None:
    with pytest.raises(ValueError, match="JSONPath"):
        select_json({}, path)
