"""The request that an event on a key makes of the resize function, whoever saw the event. Pure."""

from typing import Any


def request_for(originals: str, thumbnails: str, key: str, wanted: dict[str, Any]) -> dict[str, Any]:
    """Return the request that brings one key in line.

    Parameters
    ----------
    originals, thumbnails : str
        Buckets.
    key : str
        Raw.
    wanted : dict
        What the recipe asks for, as in a request.
    """
    return {
        "source_bucket": originals,
        "destination_bucket": thumbnails,
        "object_key": key,
        **wanted,
        "if_missing": "remove",
    }


def as_retry(request: dict[str, Any]) -> dict[str, Any]:
    """Return the request that makes up for one that may have ended in the middle."""
    return {**request, "retry": True}
