"""Records in a state folder: small JSON files, which are always complete or absent."""

import json
from pathlib import Path
from typing import Any


class RecordError(Exception):
    """A record cannot be read.

    Attributes
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is broken")
        self.path = path


def write_record(path: Path, value: Any) -> None:
    """Write a record atomically, so that a reader gets the old one or the new one, but never a part."""
    unfinished = path.with_suffix(".new")
    unfinished.write_text(json.dumps(value), encoding="utf-8")
    unfinished.replace(path)


def read_record(path: Path) -> Any:
    """Read a record; return ``None`` if there is none.

    Raises
    ------
    RecordError
        The file is empty or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise RecordError(path) from error
