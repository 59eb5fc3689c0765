"""The Lambda that makes thumbnails: handler → request → job (storage, thumbnails) → result.

Nothing in here knows of S3 events or of HTTP.
"""
