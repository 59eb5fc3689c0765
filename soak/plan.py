"""What a soak uploads, in which order and when: drawn from one seed, so that a run can be repeated. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
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
    seed : str
        What its bytes are drawn from.
    wait : float
        Seconds after the upload before it.
    deliver_again_after : float or None
        Seconds after which its event is delivered a second time.
    """

    kind: Kind
    seed: str
    wait: float
    deliver_again_after: float | None


@dataclass(frozen=True, slots=True)
class Story:
    """Everything that happens to one key.

    Attributes
    ----------
    key : str
    format : str
        What its pictures are: one of ``pictures.FORMATS``.
    versions : tuple of Version
    is_race : bool
        The second version is uploaded once the first one has been read and resized but not yet written.
    """

    key: str
    format: str
    versions: tuple[Version, ...]
    is_race: bool


def draw(uploads: int, seed: int) -> list[Story]:
    """Draw the stories whose versions add up to a number of uploads."""
    random = Random(f"plan {seed}")
    overwritten = max(2, round(uploads * _OVERWRITTEN / (1 + _OVERWRITTEN)))
    # Half of them race in a forced order, the others as it happens.
    racing = max(1, overwritten // 2)
    versions = iter(_versions(uploads, 2 * racing, seed, random))
    stories = []
    for index in range(uploads - overwritten):
        original_format = random.choice(FORMATS)
        folder = RACE_FOLDER if index < racing else random.choice(_FOLDERS)
        # The number keeps keys apart.
        key = f"{folder}{random.choice(_NAMES)} {index:05}{EXTENSIONS[original_format]}"
        made = tuple(islice(versions, 2 if index < overwritten else 1))
        stories.append(Story(key, original_format, made, is_race=index < racing))
    races, others = stories[:racing], stories[racing:]
    random.shuffle(others)
    for race in races:
        # In the second half there are processes for both of its runs.
        others.insert(random.randint(len(others) // 2, len(others)), race)
    return others


def thumbnail_keys(story: Story, sizes: tuple[str, ...]) -> Iterator[str]:
    """Give the keys of a story's thumbnails as docs/architecture.md describes them."""
    folder, slash, name = story.key.rpartition("/")
    # The one format of the soak that thumbnails are not written in.
    extension = ".jpg" if story.format == "HEIC" else ""
    for size in sizes:
        yield f"thumbnails/{folder}{slash}{size}_{name}{extension}"


def _versions(uploads: int, racing: int, seed: int, random: Random) -> list[Version]:
    kinds = [Kind.PICTURE] * uploads
    no_images, bombs = max(1, round(uploads * _NO_IMAGES)), max(1, round(uploads * _BOMBS))
    # Two pictures are needed to see which one of a race won, so only the others may be something else.
    chosen = random.sample(range(racing, uploads), no_images + bombs)
    for index in chosen[:no_images]:
        kinds[index] = Kind.NO_IMAGE
    for index in chosen[no_images:]:
        kinds[index] = Kind.BOMB
    twice = set(random.sample(range(uploads), max(1, round(uploads * _DELIVERED_TWICE))))
    return [
        Version(
            kind=kind,
            seed=f"{seed} {number}",
            wait=random.uniform(0.0, 2.0),
            deliver_again_after=random.uniform(0.0, 5.0) if number in twice else None,
        )
        for number, kind in enumerate(kinds)
    ]
