"""Hostile pictures against the image engine, bounded in time: ``python -m fuzz --seconds 60``.

Files of every format that is read are damaged at random, or their pieces are repeated, moved, resized and overlapped.
They are given to ``make_thumbnails`` in a child process with the function's memory. Every one must end as thumbnails
or as a permanent error with a name, in time. A crash, a hang, exhausted memory or any other exception is a finding,
and its input is kept in ``tests/regressions/``, where the tests try it again.
"""
