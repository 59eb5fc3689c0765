"""The request to the resize function that brings a key in line after an event or in a reconcile. Pure functions."""

from typing import Any


def request_for(originals: str, thumbnails: str, key: str, wanted: dict[str, Any]) -> dict[str, Any]:
    """Return the request that brings one key in line.

    Parameters
    ----------
    originals, thumbnails : str
        Buckets.
    key : str
        Not URL-encoded.
    wanted : dict
        The fields of the recipe, as in a request.
    """
    return {
        "source_bucket": originals,
        "destination_bucket": thumbnails,
        "object_key": key,
        **wanted,
        "if_missing": "remove",
    }


def as_retry(request: dict[str, Any]) -> dict[str, Any]:
    """Return the request that repeats one that may have stopped halfway."""
    return {**request, "retry": True}
