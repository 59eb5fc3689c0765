"""The plan of a soak: the changes of each key, with order and time, drawn from one seed, so that it is repeatable."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from random import Random

from soak.pictures import EXTENSIONS, FORMATS, Kind

# File names like those of people, phones and programs.
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

# In this folder the proxy delays the first thumbnail of a key until that of another version is written.
RACE_FOLDER = "race/"

_DELIVERED_TWICE = 0.10
_OVERWRITTEN = 0.10
_DELETED = 0.10
_NO_IMAGES = 0.05
_BOMBS = 0.02


class Deed(StrEnum):
    """A change or request of a key that is not an upload."""

    POST = "post"
    """A request for thumbnails that the recipe does not ask for."""
    DELETE = "delete"
    """The original gets a delete marker."""
    UNDELETE = "undelete"
    """The delete marker is deleted, which brings the original back."""
    ROLL_BACK = "roll back"
    """The newest version is deleted, which brings the one before it back."""


@dataclass(frozen=True, slots=True)
class Version:
    """One upload under a key.

    Attributes
    ----------
    kind : Kind
    seed : str
        Seed of its bytes.
    deliver_again_after : float or None
        Seconds after which its event is delivered a second time.
    """

    kind: Kind
    seed: str
    deliver_again_after: float | None


@dataclass(frozen=True, slots=True)
class Step:
    """One change or request of a key.

    Attributes
    ----------
    what : Version or Deed
        An upload, or something else.
    wait : float
        Seconds after the previous step.
    """

    what: Version | Deed
    wait: float


@dataclass(frozen=True, slots=True)
class Story:
    """All steps of one key.

    Attributes
    ----------
    key : str
    format : str
        Format of its pictures: one of ``pictures.FORMATS``.
    steps : tuple of Step
        The first one is an upload.
    is_race : bool
        Whether the second step happens after the first version was read and resized, but before it is written.
    """

    key: str
    format: str
    steps: tuple[Step, ...]
    is_race: bool

    def versions(self) -> Iterator[Version]:
        """Yield the uploads."""
        for step in self.steps:
            if isinstance(step.what, Version):
                yield step.what

    def deeds(self) -> Iterator[Deed]:
        """Yield the steps that are not uploads."""
        for step in self.steps:
            if isinstance(step.what, Deed):
                yield step.what


def draw(uploads: int, seed: int) -> list[Story]:
    """Draw the stories whose versions add up to a number of uploads."""
    random = Random(f"plan {seed}")
    overwritten = max(2, round(uploads * _OVERWRITTEN / (1 + _OVERWRITTEN)))
    # Half of them race in a forced order, the others in a random one.
    racing = max(1, overwritten // 2)
    # Originals that are deleted while their first thumbnails are delayed.
    vanishing = max(1, racing // 5)
    forced = racing + vanishing
    keys = uploads - overwritten
    deleted = random.sample(range(forced, keys), max(3, round(keys * _DELETED)) - vanishing)
    versions = iter(_versions(uploads, racing + forced, seed, random))
    races: list[Story] = []
    others: list[Story] = []
    for index in range(keys):
        original_format = random.choice(FORMATS)
        folder = RACE_FOLDER if index < forced else random.choice(_FOLDERS)
        # The number makes each key unique.
        key = f"{folder}{random.choice(_NAMES)} {index:05}{EXTENSIONS[original_format]}"
        is_overwritten = index < racing or forced <= index < overwritten + vanishing
        what: list[Version | Deed] = [*islice(versions, 2 if is_overwritten else 1)]
        if racing <= index < forced:
            what.append(Deed.DELETE)
        elif is_overwritten and index >= forced:
            what.insert(1, Deed.POST)
            what += [Deed.ROLL_BACK] * (index % 2)
        if index in deleted:
            what += [Deed.DELETE, Deed.UNDELETE][: 1 + deleted.index(index) % 2]
        steps = tuple(Step(each, random.uniform(0.0, 2.0)) for each in what)
        (races if index < forced else others).append(Story(key, original_format, steps, is_race=index < forced))
    random.shuffle(others)
    for race in races:
        # In the second half of the soak, because by then there are processes for both runs of a race.
        others.insert(random.randint(len(others) // 2, len(others)), race)
    return others


def thumbnail_keys(story: Story, sizes: tuple[str, ...]) -> Iterator[str]:
    """Return the keys of a story's thumbnails, as documented in docs/architecture.md."""
    folder, slash, name = story.key.rpartition("/")
    # HEIC is the only format of the soak in which thumbnails are not written.
    extension = ".jpg" if story.format == "HEIC" else ""
    for size in sizes:
        yield f"thumbnails/{folder}{slash}{size}_{name}{extension}"


def _versions(uploads: int, in_races: int, seed: int, random: Random) -> list[Version]:
    kinds = [Kind.PICTURE] * uploads
    no_images, bombs = max(1, round(uploads * _NO_IMAGES)), max(1, round(uploads * _BOMBS))
    # The versions of a race must be pictures, to see which one won. Only later versions may be something else.
    chosen = random.sample(range(in_races, uploads), no_images + bombs)
    for index in chosen[:no_images]:
        kinds[index] = Kind.NO_IMAGE
    for index in chosen[no_images:]:
        kinds[index] = Kind.BOMB
    twice = set(random.sample(range(uploads), max(1, round(uploads * _DELIVERED_TWICE))))
    return [
        Version(
            kind=kind,
            seed=f"{seed} {number}",
            deliver_again_after=random.uniform(0.0, 5.0) if number in twice else None,
        )
        for number, kind in enumerate(kinds)
    ]
