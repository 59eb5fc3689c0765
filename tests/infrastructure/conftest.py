"""The deployed files, read once."""

from typing import Any

import pytest

from tests.deployed import read_schema, read_state_machine, read_template


@pytest.fixture(scope="session")
def template() -> dict[str, Any]:
    return read_template()


@pytest.fixture(scope="session")
def resources(template: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = template["Resources"]
    return found


@pytest.fixture(scope="session")
def state_machine() -> dict[str, Any]:
    return read_state_machine()


@pytest.fixture(scope="session")
def schema() -> dict[str, Any]:
    return read_schema()
