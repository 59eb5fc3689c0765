"""Estimate the cost and duration of a run from docs/prices.json and docs/measured.json, like docs/cost.md.

The build copies both files into the artefact, so there is one table of prices. Free tiers are not subtracted.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from functions.resize.recipe import Rendition

# The artefact mirrors the repository, so these paths work in both.
_DOCS = Path(__file__).parents[2] / "docs"
PRICES_PATH = _DOCS / "prices.json"
MEASURED_PATH = _DOCS / "measured.json"

# Memory of the functions in template.yaml, MB.
RESIZE_MB, RECONCILE_MB = 1769, 512
# S3 requests of the resize function, as counted in cost/requests.py.
_GETS, _PUTS_BESIDE, _HEADS_BESIDE = 2, 1, 1
# An Express execution is billed for 64 MB:
# https://aws.amazon.com/step-functions/pricing/
_EXPRESS_GB = 64 / 1024
# A part of 100 keys is compared again before the work, and its result is recorded after it.
KEYS_IN_A_PART = 100
_INVOCATIONS_OF_A_PART = 2
_SECONDS_OF_A_PART = 1.0
# PUT of the result; GET of the work and of the results.
_PUTS_OF_A_PART, _GETS_OF_A_PART = 1, 2
# How much longer S3 on AWS takes than S3 on the same machine, and how long Step Functions takes between two pictures.
# Both are assumed, because they cannot be measured on one machine. They affect only the duration; docs/cost.md shows
# what 400 ms for each resize would cost.
_SECONDS_BESIDE = 0.3
# An upper estimate for one original: to read and decode it, for each thumbnail, and for each megapixel of a thumbnail
# as AVIF. A 12 MP photograph took 1.7 s as AVIF in 2048x2048, on an AMD EPYC.
_SECONDS_OF_AN_ORIGINAL, _SECONDS_OF_A_THUMBNAIL, _SECONDS_OF_A_MEGAPIXEL = 0.6, 0.05, 0.5
# Limits a box that is larger than any original.
_MOST_MEGAPIXELS = 12.0


def seconds_to_make(renditions: Iterable[Rendition]) -> float:
    """Return how long the thumbnails of one original take at most, estimated from its recipe."""
    return _SECONDS_OF_AN_ORIGINAL + sum(
        _SECONDS_OF_A_THUMBNAIL
        + _SECONDS_OF_A_MEGAPIXEL * min(_MOST_MEGAPIXELS, rendition.box.width * rendition.box.height / 1e6)
        for rendition in renditions
    )


@dataclass(frozen=True, slots=True)
class PlannedWork:
    """The work of a run.

    Attributes
    ----------
    resizes : int
        Originals to work on.
    thumbnails : int
        Thumbnails of all these originals together.
    first, first_thumbnails : int
        Originals without a manifest, and their thumbnails.
    removals : int
        Orphans.
    """

    resizes: int = 0
    thumbnails: int = 0
    first: int = 0
    first_thumbnails: int = 0
    removals: int = 0


class RunPrices:
    """Prices and measured durations.

    Parameters
    ----------
    prices : Mapping of str to float
        Dollars by name.
    measured : Mapping of str to Any
        As in docs/measured.json.
    architecture : str
        ``arm64`` or ``x86_64``.
    """

    def __init__(self, prices: Mapping[str, float], measured: Mapping[str, Any], architecture: str) -> None:
        self._prices = prices
        self._gb_second = prices[f"lambda_gb_second_{architecture}"]
        self._ms: float = measured["resize_ms"]
        self._ms_of_another: float = (measured.get("resize_ms_5", self._ms) - self._ms) / 4
        self._log_gb: float = measured["resize_log_bytes"] / 1e9

    @classmethod
    def read(cls, architecture: str) -> "RunPrices":
        """Read both files."""
        table = json.loads(PRICES_PATH.read_text(encoding="utf-8"))["prices"]
        measured = json.loads(MEASURED_PATH.read_text(encoding="utf-8"))
        return cls({name: price["usd"] for name, price in table.items()}, measured, architecture)

    def puts(self, work: PlannedWork) -> int:
        """Return the number of objects that the resize function writes: thumbnails and manifests."""
        return work.resizes * _PUTS_BESIDE + work.thumbnails

    def gets(self, work: PlannedWork) -> int:
        """Return the number of GETs and HEADs of the resize function."""
        count = work.resizes + work.removals
        return count * _GETS + work.first * _HEADS_BESIDE + work.first_thumbnails

    def resize_dollars(self, work: PlannedWork) -> float:
        """Return the cost of the resize function: Lambda, S3, logs."""
        p, count = self._prices, work.resizes + work.removals
        return (
            count * p["lambda_request"]
            + self.resize_seconds(work) * RESIZE_MB / 1024 * self._gb_second
            + self.puts(work) * p["s3_put"]
            + self.gets(work) * p["s3_get"]
            + count * self._log_gb * p["log_gb"]
        )

    def dollars(self, work: PlannedWork) -> float:
        """Return the cost of a run: the resize function, and the parts around it."""
        p, count = self._prices, work.resizes + work.removals
        parts = count / KEYS_IN_A_PART
        return (
            self.resize_dollars(work)
            # Before the work on a key, its manifest is read again.
            + (count + parts * _GETS_OF_A_PART) * p["s3_get"]
            + parts * _PUTS_OF_A_PART * p["s3_put"]
            + parts * (p["state_transition"] + p["express_request"])
            + (self.resize_seconds(work) + count * _SECONDS_BESIDE) * _EXPRESS_GB * p["express_gb_second"]
            + parts * _INVOCATIONS_OF_A_PART * p["lambda_request"]
            + parts * _SECONDS_OF_A_PART * RECONCILE_MB / 1024 * self._gb_second
        )

    def plan_dollars(self, keys: int, manifests: int, thumbnails: int = 0) -> float:
        """Return the cost of a plan: the listings, the manifests of all keys and thumbnails, and the parts."""
        p, parts = self._prices, (keys + thumbnails) / KEYS_IN_A_PART
        return (
            (keys + manifests + thumbnails) / 1000 * p["s3_put"]
            + (manifests + thumbnails + 2 * parts) * p["s3_get"]
            # The part, and its comparison.
            + parts * 2 * p["s3_put"]
            + parts * (p["state_transition"] + p["express_request"] + p["lambda_request"])
            + parts
            * _SECONDS_OF_A_PART
            * (_EXPRESS_GB * p["express_gb_second"] + RECONCILE_MB / 1024 * self._gb_second)
        )

    def resize_seconds(self, work: PlannedWork) -> float:
        """Return how many seconds the resize function works in total."""
        return (work.resizes * self._ms + (work.thumbnails - work.resizes) * self._ms_of_another) / 1000

    def hours(self, work: PlannedWork, concurrency: int) -> float:
        """Return how many hours a run takes with this number of pictures at the same time."""
        count = work.resizes + work.removals
        # The pictures of a part are processed one after the other.
        at_once = min(concurrency, max(1, -(-count // KEYS_IN_A_PART)))
        return (self.resize_seconds(work) + count * _SECONDS_BESIDE) / at_once / 3600
