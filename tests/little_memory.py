"""A bound on what Python allocates."""

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def little_memory(most_bytes: int) -> Iterator[None]:
    """Fail where more bytes are allocated at once; pixels of decoders do not count."""
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < most_bytes
