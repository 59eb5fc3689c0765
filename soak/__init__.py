"""The soak: send uploads through the deployed pipeline while S3, Step Functions and functions fail; then compare.

`make soak` runs it. README.md explains what it injects, what it counts and what it does not cover.
"""
