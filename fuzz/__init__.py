"""Run the image engine on damaged pictures for a limited time: ``python -m fuzz --seconds 60``.

Files of each supported format are damaged at random, or their pieces are repeated, moved, resized and overlapped.
``make_thumbnails`` processes them in a child process with the function's memory. Each must end in time, with thumbnails
or with a permanent error. A crash, a hang, exhausted memory or any other exception is a finding.
The input of a finding is kept in ``tests/regressions/``, and the tests run it again.
"""
