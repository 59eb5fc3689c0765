"""How commands write counts and prices."""

import pytest

from local.amounts import counted, in_dollars


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 originals"), (1, "1 original"), (2, "2 originals"), (1204, "1,204 originals")]
)
def test_a_count_has_its_noun(count: int, text: str) -> None:
    assert counted(count, "original") == text


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (0, "less than $0.01"),
        (3.1e-05, "less than $0.01"),
        (0.01, "about $0.01"),
        (0.862, "about $0.86"),
        (14.63, "about $14.63"),
        (1234.5, "about $1,234.50"),
    ],
)
def test_a_price_has_whole_cents(estimate: float, text: str) -> None:
    assert in_dollars(estimate) == text
