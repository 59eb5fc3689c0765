"""Measurements side by side with peers; ``run.py`` is the command, README.md says what it does."""
