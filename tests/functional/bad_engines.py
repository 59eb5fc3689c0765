"""Engines that do what must not happen, so that the fuzzer can be seen to notice."""

import os
import signal
import threading
from typing import NoReturn

from functions.resize.recipe import Recipe


def crash(_data: bytes, _recipe: Recipe) -> NoReturn:
    """Die as a decoder does that writes where it must not."""
    os.kill(os.getpid(), signal.SIGSEGV)
    raise AssertionError


def hang(_data: bytes, _recipe: Recipe) -> None:
    """Never answer."""
    threading.Event().wait()


def stumble(_data: bytes, _recipe: Recipe) -> NoReturn:
    """Raise what is no named error."""
    raise KeyError("width")


def devour(_data: bytes, _recipe: Recipe) -> NoReturn:
    """Want more memory than there is."""
    bytearray(4 << 30)
    raise AssertionError
