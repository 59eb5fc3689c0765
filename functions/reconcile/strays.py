"""Thumbnails that no manifest lists, and the originals that they may belong to. Pure functions."""

import re
from collections.abc import Callable

from functions.resize.keys import THUMBNAILS_PREFIX

# As functions/resize/keys.py names them; fits other than inside are part of the name.
_NAME = re.compile(r"[1-9][0-9]*x[1-9][0-9]*(?:-[a-z]+)?_(?P<name>.+)", re.DOTALL)


def folder_of(prefix: str) -> str:
    """Return the common prefix of the keys of thumbnails whose originals have a prefix.

    The box comes before the file name, so a thumbnail's key contains only the folders of the prefix.
    """
    folder, slash, _ = prefix.rpartition("/")
    return f"{THUMBNAILS_PREFIX}{folder}{slash}"


def originals_of(thumbnail: str) -> list[str]:
    """Return the possible keys of a thumbnail's original; none if the name is not that of a thumbnail.

    ``128x128_photo.heic.jpg`` may belong to ``photo.heic.jpg``, or to ``photo.heic``, which has another type.
    """
    folder, slash, name = thumbnail.removeprefix(THUMBNAILS_PREFIX).rpartition("/")
    found = _NAME.fullmatch(name)
    if found is None:
        return []
    stem, dot, _ = found["name"].rpartition(".")
    names = [found["name"], stem] if dot and stem else [found["name"]]
    return [f"{folder}{slash}{each}" for each in names]


def is_stray(thumbnail: str, is_served: Callable[[str], bool], lists: Callable[[str, str], bool]) -> bool:
    """Return whether no manifest lists a thumbnail.

    Parameters
    ----------
    thumbnail : str
        Its key.
    is_served : callable
        Returns whether the pipeline processes an original: it has the prefix and a recipe.
    lists : callable
        Returns whether the manifest of an original lists a thumbnail.
    """
    originals = originals_of(thumbnail)
    if not originals or not all(map(is_served, originals)):
        return False
    return not any(lists(original, thumbnail) for original in originals)
