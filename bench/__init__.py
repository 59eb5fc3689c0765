"""Compare the image engine and the function's start with alternatives; ``run.py`` is the command, see README.md."""
