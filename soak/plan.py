"""What a soak does to each key, in which order and when: drawn from one seed, so that a run can be repeated. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
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
_DELETED = 0.10
_NO_IMAGES = 0.05
_BOMBS = 0.02


class Deed(StrEnum):
    """What is done to a key beside uploads."""

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
        What its bytes are drawn from.
    deliver_again_after : float or None
        Seconds after which its event is delivered a second time.
    """

    kind: Kind
    seed: str
    deliver_again_after: float | None


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that is done to a key.

    Attributes
    ----------
    what : Version or Deed
        An upload, or something else.
    wait : float
        Seconds after the step before it.
    """

    what: Version | Deed
    wait: float


@dataclass(frozen=True, slots=True)
class Story:
    """Everything that happens to one key.

    Attributes
    ----------
    key : str
    format : str
        What its pictures are: one of ``pictures.FORMATS``.
    steps : tuple of Step
        The first is an upload.
    is_race : bool
        The second step is done once the first version has been read and resized but not yet written.
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
        """Yield what is not an upload."""
        for step in self.steps:
            if isinstance(step.what, Deed):
                yield step.what


def draw(uploads: int, seed: int) -> list[Story]:
    """Draw the stories whose versions add up to a number of uploads."""
    random = Random(f"plan {seed}")
    overwritten = max(2, round(uploads * _OVERWRITTEN / (1 + _OVERWRITTEN)))
    # Half of them race in a forced order, the others as it happens.
    racing = max(1, overwritten // 2)
    # Originals that are deleted while their first thumbnails wait to be written.
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
        # The number keeps keys apart.
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
        # In the second half there are processes for both of its runs.
        others.insert(random.randint(len(others) // 2, len(others)), race)
    return others


def thumbnail_keys(story: Story, sizes: tuple[str, ...]) -> Iterator[str]:
    """Return the keys of a story's thumbnails as docs/architecture.md describes them."""
    folder, slash, name = story.key.rpartition("/")
    # The one format of the soak that thumbnails are not written in.
    extension = ".jpg" if story.format == "HEIC" else ""
    for size in sizes:
        yield f"thumbnails/{folder}{slash}{size}_{name}{extension}"


def _versions(uploads: int, in_races: int, seed: int, random: Random) -> list[Version]:
    kinds = [Kind.PICTURE] * uploads
    no_images, bombs = max(1, round(uploads * _NO_IMAGES)), max(1, round(uploads * _BOMBS))
    # Pictures are needed to see which one of a race won, so only the others, which come later, may be something else.
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
