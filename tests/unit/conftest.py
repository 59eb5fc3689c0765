"""Unit tests reach no network and read no credentials."""

import pytest


@pytest.fixture(autouse=True)
def _alone(no_real_aws: None, socket_disabled: None) -> None:
    """Apply both to every test of this folder."""
