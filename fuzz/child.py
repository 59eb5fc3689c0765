"""The child process: limit its own memory, make thumbnails of each input, and report the outcome.

A request on standard input is a line of JSON (length and recipe) followed by the file; the answer is a line of JSON.
Its ``kind`` is ``made``, ``refused`` (a permanent error) or ``unnamed`` (any other exception), its ``name`` the format
of the original or the class of the error.
"""

import importlib
import json
import os
import resource
import sys
import traceback
from typing import Any

from functions.resize.errors import PermanentError
from functions.resize.recipe import Box, Fit, OutputFormat, Recipe


def main(engine: str, memory: int) -> None:
    """Answer requests until standard input ends.

    Parameters
    ----------
    engine : str
        ``module:function`` that takes bytes and a recipe.
    memory : int
        Limit of the address space in bytes.
    """
    module, _, function = engine.partition(":")
    make = getattr(importlib.import_module(module), function)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    # Decoders written in C may print to standard output, which would corrupt the answers.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    for line in sys.stdin.buffer:
        request = json.loads(line)
        data = sys.stdin.buffer.read(request["length"])
        answers.write(json.dumps(_try(make, data, _recipe(request))) + "\n")
        answers.flush()


def _recipe(request: dict[str, Any]) -> Recipe:
    boxes = tuple(Box(width, height) for width, height in request["boxes"])
    return Recipe(boxes, Fit(request["fit"]), OutputFormat(request["format"]))


def _try(make: Any, data: bytes, recipe: Recipe) -> dict[str, str]:
    try:
        made = make(data, recipe)
    except PermanentError as error:
        return {"kind": "refused", "name": type(error).__name__}
    except BaseException as error:  # noqa: BLE001 - any other exception is a finding, also MemoryError and SystemExit
        return {"kind": "unnamed", "name": type(error).__name__, "trace": traceback.format_exc()}
    return {"kind": "made", "name": made.original.format}


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
