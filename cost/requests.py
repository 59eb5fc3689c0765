"""How many requests the functions make for each thing that happens to an original. Counted in a test.

tests/functional/test_requests.py runs the handlers and compares: a change that adds a request fails there.
"""

from dataclasses import dataclass
from enum import StrEnum


class Deed(StrEnum):
    """What happened to an original."""

    UPLOADED = "uploaded"
    REPLACED = "replaced by another picture"
    REPEATED = "uploaded again, the same bytes"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests of one operation: so many for an original, and so many for each of its thumbnails."""

    per_original: int
    per_thumbnail: int = 0

    def count(self, thumbnails: int) -> int:
        """Return how many there are in all."""
        return self.per_original + self.per_thumbnail * thumbnails


# What the resize function asks of S3. A GET that S3 answers with 404 or 304 costs as much as any other.
RESIZE: dict[Deed, dict[str, Requests]] = {
    # Manifest (none) and original; the thumbnails and the manifest; after a first manifest a look at each and at the
    # original.
    Deed.UPLOADED: {"GetObject": Requests(2), "PutObject": Requests(1, 1), "HeadObject": Requests(1, 1)},
    Deed.REPLACED: {"GetObject": Requests(2), "PutObject": Requests(1, 1)},
    # The original is not downloaded again, and the same manifest is written with a new revision.
    Deed.REPEATED: {"GetObject": Requests(2), "PutObject": Requests(1)},
    Deed.DELETED: {"GetObject": Requests(2), "DeleteObject": Requests(1, 1)},
}

# What start_from_s3 asks of Step Functions, which takes nothing for API calls: only transitions and runs are billed.
START: dict[str, dict[str, int]] = {
    "STANDARD": {"ListExecutions": 1, "StartExecution": 1},
    "EXPRESS": {"StartSyncExecution": 1},
}
# An event that S3 delivers twice, when the first execution has ended: nothing runs.
START_AGAIN: dict[str, int] = {"ListExecutions": 1, "StartExecution": 1, "DescribeExecution": 1}

# What the person or program that owns the original asks of S3: one PUT for an upload below the size at which clients
# make a multipart upload. A DELETE is free.
OWNER_PUTS: dict[Deed, int] = {Deed.UPLOADED: 1, Deed.REPLACED: 1, Deed.REPEATED: 1, Deed.DELETED: 0}
