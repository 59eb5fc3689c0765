"""The merge of two listings pairs what belongs together, in whatever order S3 lists it, wherever it is interrupted."""

import random
from collections.abc import Iterator
from itertools import islice

import pytest

from functions.reconcile.listing import Listed, Merge, Pair, Position


def originals(keys: set[str], after: str = "") -> Iterator[Listed]:
    """List as S3 does: by key."""
    return (Listed(key, f"original of {key}") for key in sorted(keys) if key > after)


def manifests(keys: set[str], after: str = "") -> Iterator[Listed]:
    """List as S3 does: by the manifest's own key."""
    names = sorted(f"{key}.json" for key in keys)
    found = (name.removesuffix(".json") for name in names if not after or name > f"{after}.json")
    return (Listed(key, f"manifest of {key}") for key in found)


def paired(pairs: list[Pair]) -> dict[str, tuple[bool, bool]]:
    found: dict[str, tuple[bool, bool]] = {}
    for pair in pairs:
        keys = {listed.key for listed in (pair.original, pair.manifest) if listed}
        assert len(keys) == 1
        (key,) = keys
        assert key not in found
        found[key] = (pair.original is not None, pair.manifest is not None)
    return found


def expected(of_originals: set[str], of_manifests: set[str]) -> dict[str, tuple[bool, bool]]:
    return {key: (key in of_originals, key in of_manifests) for key in of_originals | of_manifests}


def random_keys(chance: random.Random) -> set[str]:
    # Characters around the dot and those of ".json", so that many keys begin with others.
    return {"".join(chance.choices("a-. !~é😀json/", k=chance.randint(1, 6))) for _ in range(chance.randint(0, 60))}


def test_a_key_that_another_one_begins_with_comes_later_among_manifests() -> None:
    keys = {"a", "a-b", "a.b", "a b", "a.jpg", "a.jso", "a.json", "a.json.json", "b"}

    pairs = list(Merge(originals(keys), manifests(keys)))

    assert [pair.original.key for pair in pairs if pair.original] == sorted(keys, key=lambda key: f"{key}.json")
    assert all(pair.original and pair.manifest for pair in pairs)


@pytest.mark.parametrize("seed", range(300))
def test_it_pairs_what_a_dictionary_pairs(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - keys that can be made again
    of_originals, of_manifests = random_keys(chance), random_keys(chance)
    common = random_keys(chance)
    of_originals, of_manifests = of_originals | common, of_manifests | common

    assert paired(list(Merge(originals(of_originals), manifests(of_manifests)))) == expected(of_originals, of_manifests)


@pytest.mark.parametrize("seed", range(100))
def test_it_goes_on_wherever_it_stopped(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - keys that can be made again
    common = random_keys(chance)
    of_originals, of_manifests = random_keys(chance) | common, random_keys(chance) | common
    found: list[Pair] = []
    position = Position()

    while True:
        merge = Merge(
            originals(of_originals, position.originals_after),
            manifests(of_manifests, position.manifests_after),
            position,
        )
        taken = list(islice(merge, chance.randint(1, 4)))
        if not taken:
            break
        found += taken
        position = merge.position()

    assert paired(found) == expected(of_originals, of_manifests)


def test_few_originals_wait() -> None:
    keys = {f"2026/{number:04}.jpg" for number in range(1000)} | {"2026/0500.jpg-copy"}
    merge = Merge(originals(keys), manifests(keys))

    longest = max(len(merge.position().waiting) for _ in merge)

    assert longest <= 2
