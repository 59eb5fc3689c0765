"""What the documents say of commands, parameters, fields and files is so."""

import json
import re
from pathlib import Path

import pytest

from functions.resize.request import SCHEMA_PATH
from tests.deployed import read_template

ROOT = Path(__file__).parents[2]
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


@pytest.mark.parametrize("document", DOCUMENTS, ids=[str(path.relative_to(ROOT)) for path in DOCUMENTS])
def test_make_targets_exist(document: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", makefile, re.MULTILINE))
    mentioned = set(re.findall(r"(?:`|\$ )make ([a-z][a-z0-9-]*)", document.read_text(encoding="utf-8")))
    assert mentioned <= targets


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
