"""The Lambda that makes thumbnails: handler → request → job (storage, thumbnails) → result.

No module here depends on S3 events or HTTP.
"""
