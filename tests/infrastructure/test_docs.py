"""What the documents say of commands, parameters, fields and files is so."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft4Validator

from functions.resize.manifest import Manifest
from functions.resize.request import SCHEMA_PATH
from functions.start_from_s3.recipes import parse_recipes
from tests.deployed import ROOT, read_template

DOCUMENTS = sorted(path for path in ROOT.glob("**/*.md") if not any(part.startswith(".") for part in path.parts))
README = (ROOT / "README.md").read_text(encoding="utf-8")


def table(text: str, first_cell: str) -> dict[str, str]:
    """Give the rows of the table whose head begins with a cell: first column to second column."""
    rows = text[text.index(f"| {first_cell} |") :].split("\n\n", maxsplit=1)[0].splitlines()[2:]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return {name.strip("`"): value.strip("`") for name, value, *_ in cells}


@pytest.mark.parametrize("document", DOCUMENTS, ids=[str(path.relative_to(ROOT)) for path in DOCUMENTS])
def test_links_lead_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    local = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    assert [link for link in local if not (document.parent / link).exists()] == []


def anchors(document: Path) -> set[str]:
    """Return the anchors that GitHub makes of a document's headings."""
    text = re.sub(r"```.*?```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=[str(path.relative_to(ROOT)) for path in DOCUMENTS])
def test_anchors_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)\s]*)#([^)\s]+)\)", document.read_text(encoding="utf-8"))
    local = [(document.parent / path if path else document, anchor) for path, anchor in links if "://" not in path]
    assert [(str(path), anchor) for path, anchor in local if anchor not in anchors(path)] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=[str(path.relative_to(ROOT)) for path in DOCUMENTS])
def test_make_targets_exist(document: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", makefile, re.MULTILINE))
    mentioned = set(re.findall(r"(?:`|\$ )make ([a-z][a-z0-9-]*)", document.read_text(encoding="utf-8")))
    assert mentioned <= targets


DECISIONS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))


@pytest.mark.parametrize("decision", DECISIONS, ids=[path.name[:4] for path in DECISIONS])
def test_a_decision_has_the_shape_of_all(decision: Path) -> None:
    headings = re.findall(r"^##? .*$", decision.read_text(encoding="utf-8"), re.MULTILINE)

    assert re.fullmatch(rf"# {decision.name[:4]} \S.*", headings[0])
    assert headings[1:] == ["## Context", "## Choice", "## Alternatives considered", "## When to look again"]


def test_every_decision_is_in_the_index_under_its_title() -> None:
    index = (ROOT / "docs" / "decisions" / "README.md").read_text(encoding="utf-8")
    titles = {path: path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ") for path in DECISIONS}

    assert re.findall(r"^\| \[(\d{4})\]\((.*)\) \| (.*) \|$", index, re.MULTILINE) == [
        (title[:4], path.name, title[5:]) for path, title in titles.items()
    ]


def test_the_parameters_are_those_of_the_template() -> None:
    documented = table(README, "parameter")
    actual = {name: str(parameter["Default"]) for name, parameter in read_template()["Parameters"].items()}
    assert documented == actual


def test_the_fields_are_those_of_the_schema() -> None:
    documented = {name for cell in table(README, "field") for name in re.findall(r"[a-z_]{3,}", cell)} - {"and"}
    assert documented == set(json.loads(SCHEMA_PATH.read_text(encoding="utf-8"))["properties"])


def test_the_folders_exist() -> None:
    for place in table(README, "folder"):
        assert (ROOT / place).exists(), place


def test_every_command_of_the_makefile_is_listed_with_what_it_does() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = {name for names in re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE) for name in names.split()}
    listed = set(re.findall(r"^([a-z0-9-]+):.*## ", makefile, re.MULTILINE))
    assert phony == listed


def example(text: str, heading: str) -> str:
    """Return the first block of JSON below a heading."""
    block = re.search(r"```json\n(.*?)```", text.split(f"\n## {heading}\n", 1)[1], re.DOTALL)
    assert block is not None, heading
    return block[1]


def schema(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((ROOT / "schemas" / name).read_text(encoding="utf-8"))
    return document


def test_the_recipes_of_the_readme_are_valid() -> None:
    text = example(README, "Recipes")

    recipes = parse_recipes(text, [{"width": 128, "height": 128}])

    Draft4Validator(schema("recipes.json")).validate(json.loads(text))
    assert len(recipes) == len(json.loads(text))


def test_the_manifest_of_the_architecture_is_valid() -> None:
    text = example((ROOT / "docs" / "architecture.md").read_text(encoding="utf-8"), "The manifest")

    manifest = Manifest.from_json(text.encode())

    Draft4Validator(schema("manifest.json")).validate(json.loads(text))
    assert json.loads(manifest.to_json()) == json.loads(text)


def test_the_thumbnails_of_the_documented_result_have_what_the_manifest_has() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    listed = json.loads(example(text, "The manifest"))["thumbnails"][0]

    result = json.loads(example(text, "The result"))

    assert result["thumbnails"][0].keys() == listed.keys() | {"bucket"}
