"""The number of requests that the functions make for each change of an original.

tests/functional/test_requests.py runs the handlers and counts, so a change that adds a request fails there.
"""

from dataclasses import dataclass
from enum import StrEnum


class Deed(StrEnum):
    """A change of an original."""

    UPLOADED = "uploaded"
    REPLACED = "replaced by another picture"
    REPEATED = "uploaded again, the same bytes"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Requests:
    """The number of requests of one operation, for an original and for each of its thumbnails."""

    per_original: int
    per_thumbnail: int = 0

    def count(self, thumbnails: int) -> int:
        """Return the total number."""
        return self.per_original + self.per_thumbnail * thumbnails


# S3 requests of the resize function. A GET that S3 answers with 404 or 304 costs as much as any other.
RESIZE: dict[Deed, dict[str, Requests]] = {
    # GET: the manifest (there is none) and the original. PUT: the thumbnails and the manifest. HEAD: after the first
    # manifest of a key, each thumbnail and the original.
    Deed.UPLOADED: {"GetObject": Requests(2), "PutObject": Requests(1, 1), "HeadObject": Requests(1, 1)},
    Deed.REPLACED: {"GetObject": Requests(2), "PutObject": Requests(1, 1)},
    # The original is not downloaded, and the same manifest is written with a new revision.
    Deed.REPEATED: {"GetObject": Requests(2), "PutObject": Requests(1)},
    Deed.DELETED: {"GetObject": Requests(2), "DeleteObject": Requests(1, 1)},
}

# Step Functions requests of start_from_s3. They are free: only transitions and runs are billed.
START: dict[str, dict[str, int]] = {
    "STANDARD": {"ListExecutions": 1, "StartExecution": 1},
    "EXPRESS": {"StartSyncExecution": 1},
}
# An event that S3 delivers a second time after the first execution has ended: nothing runs.
START_AGAIN: dict[str, int] = {"ListExecutions": 1, "StartExecution": 1, "DescribeExecution": 1}

# S3 requests of the owner of the original: one PUT for an upload below the size of multipart uploads. A DELETE is free.
OWNER_PUTS: dict[Deed, int] = {Deed.UPLOADED: 1, Deed.REPLACED: 1, Deed.REPEATED: 1, Deed.DELETED: 0}
