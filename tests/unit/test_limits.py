from dataclasses import asdict

import pytest

from functions.resize.errors import OriginalEmptyError, OriginalTooLargeError
from functions.resize.limits import Limits, check_size


def test_without_settings_the_defaults_hold() -> None:
    assert Limits.from_environment({}) == Limits()


@pytest.mark.parametrize("name", list(asdict(Limits())))
def test_every_limit_can_be_set(name: str) -> None:
    limits = Limits.from_environment({f"LIMIT_{name.upper()}": " 7 ", "UNRELATED": "text"})

    assert asdict(limits) == {**asdict(Limits()), name: 7}


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "1e6", "many", "1_000", "\u0667", "+5"])
def test_what_is_no_limit_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="LIMIT_MAX_BYTES"):
        Limits.from_environment({"LIMIT_MAX_BYTES": text})


def test_sizes_up_to_the_limit() -> None:
    check_size(1, Limits(max_bytes=10))
    check_size(10, Limits(max_bytes=10))


def test_one_byte_too_many() -> None:
    with pytest.raises(OriginalTooLargeError) as caught:
        check_size(11, Limits(max_bytes=10))

    assert (caught.value.size, caught.value.limit) == (11, 10)


def test_no_bytes() -> None:
    with pytest.raises(OriginalEmptyError):
        check_size(0, Limits())
