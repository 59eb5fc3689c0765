"""The soak: uploads through the deployed pipeline while S3, Step Functions and the functions fail, then the balance.

`make soak` runs it; README.md says what it injects, what it counts and what it does not cover.
"""
