"""What a soak uploads, in which order and when: drawn from one seed, so that a run can be repeated. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from soak.pictures import EXTENSIONS, FORMATS, Kind

# Names that people, phones and other programs give to files.
_NAMES = (
    "IMG_0001",
    "holiday 2026 (1)",
    "a+b=c & d; e, f",
    "100% %2B %20",
    "Grüße aus Zürich",
    "写真",
    "party 🎉",
    'bob\'s "best"',
    "back\\slash",
    "hash#question?",
    "~[draft]{2}@^`|$!*",
    ".hidden..dots",
    "long " + "é" * 90,
)
_FOLDERS = ("", "2026/11/", "a b/c+d/", "träume/", "deep/er/and/deep/er/")

# Under this folder the proxy holds back the first thumbnail of a key until that of another version is written.
RACE_FOLDER = "race/"

_DELIVERED_TWICE = 0.10
_OVERWRITTEN = 0.10
_NO_IMAGES = 0.05
_BOMBS = 0.02


@dataclass(frozen=True, slots=True)
class Version:
    """One upload under a key.

    Attributes
    ----------
    kind : Kind
    format : str
        One of ``pictures.FORMATS``.
    seed : str
        What its bytes are drawn from.
    wait : float
        Seconds after the upload before it.
    deliver_again_after : float or None
        Seconds after which its event is delivered a second time.
    """

    kind: Kind
    format: str
    seed: str
    wait: float
    deliver_again_after: float | None


@dataclass(frozen=True, slots=True)
class Story:
    """Everything that happens to one key.

    ``is_race``: the second version is uploaded once the first one has been read and resized but not yet written.
    """

    key: str
    versions: tuple[Version, ...]
    is_race: bool


def draw(uploads: int, seed: int) -> list[Story]:
    """Draw the stories whose versions add up to a number of uploads."""
    random = Random(f"plan {seed}")
    overwritten = max(2, round(uploads * _OVERWRITTEN / (1 + _OVERWRITTEN)))
    # Half of them race in a forced order, the others as it happens.
    races = max(1, overwritten // 2)
    sizes = [2] * overwritten + [1] * (uploads - 2 * overwritten)
    # Two pictures are needed to see which one of a race won, so only the others may be something else.
    free = list(range(2 * races, uploads))
    kinds = _kinds(uploads, free, random)
    twice = set(random.sample(range(uploads), max(1, round(uploads * _DELIVERED_TWICE))))

    stories = []
    number = iter(range(uploads))
    for index, size in enumerate(sizes):
        is_race = index < races
        format = random.choice(FORMATS)
        versions = tuple(_version(next(number), format, kinds, twice, seed, random) for _ in range(size))
        stories.append(Story(_key(index, format, random, is_race=is_race), versions, is_race))
    random.shuffle(stories)
    return stories


def thumbnail_keys(story: Story, sizes: tuple[str, ...]) -> Iterator[str]:
    """Give the keys of a story's thumbnails as docs/architecture.md describes them."""
    folder, slash, name = story.key.rpartition("/")
    # The one format of the soak that thumbnails are not written in.
    extension = ".jpg" if story.versions[0].format == "HEIC" else ""
    for size in sizes:
        yield f"thumbnails/{folder}{slash}{size}_{name}{extension}"


def _kinds(uploads: int, free: list[int], random: Random) -> list[Kind]:
    kinds = [Kind.PICTURE] * uploads
    no_images, bombs = max(1, round(uploads * _NO_IMAGES)), max(1, round(uploads * _BOMBS))
    chosen = random.sample(free, no_images + bombs)
    for index in chosen[:no_images]:
        kinds[index] = Kind.NO_IMAGE
    for index in chosen[no_images:]:
        kinds[index] = Kind.BOMB
    return kinds


def _version(number: int, format: str, kinds: list[Kind], twice: set[int], seed: int, random: Random) -> Version:
    return Version(
        kind=kinds[number],
        format=format,
        seed=f"{seed} {number}",
        wait=random.uniform(0.0, 2.0),
        deliver_again_after=random.uniform(0.0, 5.0) if number in twice else None,
    )


def _key(index: int, format: str, random: Random, *, is_race: bool) -> str:
    folder = RACE_FOLDER if is_race else random.choice(_FOLDERS)
    # The number keeps keys apart.
    return f"{folder}{random.choice(_NAMES)} {index:05}{EXTENSIONS[format]}"
