"""The S3 calls of a reconcile: list both buckets, read manifests, and read and write the objects of a plan."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError

from functions.reconcile.listing import Listed
from functions.resize.keys import MANIFEST_SUFFIX, MANIFESTS_PREFIX, THUMBNAILS_PREFIX, manifest_key
from functions.resize.storage import ConditionFailedError, Storage

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PLANS_PREFIX = "plans/"
# Requests in parallel.
CALLS_AT_ONCE = 16

# Step Functions makes further attempts later.
_CONFIG = Config(
    connect_timeout=3,
    read_timeout=20,
    retries={"mode": "standard", "total_max_attempts": 4},
    max_pool_connections=CALLS_AT_ONCE,
)
_MISSING = {"NoSuchKey", "404"}


def create_s3_client() -> "S3Client":
    """Return a client with region and credentials from the environment."""
    return cast("S3Client", botocore.session.get_session().create_client("s3", config=_CONFIG))


class Store:
    """The two buckets of this deployment.

    Parameters
    ----------
    client : S3Client
    owner : str
        Account id that must own the buckets.
    originals, thumbnails : str
        Names of the buckets.
    """

    def __init__(self, client: "S3Client", owner: str, originals: str, thumbnails: str) -> None:
        self._client = client
        # It handles S3's responses to reads and conditional deletes.
        self._storage = Storage(client, owner, kms_key="")
        self._owner = owner
        self.originals = originals
        self.thumbnails = thumbnails

    def list_originals(self, prefix: str, after: str) -> Iterator[Listed]:
        """List originals whose keys begin with a prefix and are above ``after``, in the order of S3."""
        # Objects that the pipeline writes are never originals, even if both are in the same bucket.
        own = (PLANS_PREFIX, MANIFESTS_PREFIX, THUMBNAILS_PREFIX) if self.originals == self.thumbnails else ()
        for found in self._list(self.originals, prefix, after):
            if not found["Key"].startswith(own):
                yield Listed(
                    found["Key"], found["ETag"].strip('"'), found["Size"], found.get("StorageClass", "STANDARD")
                )

    def list_manifests(self, prefix: str, after: str) -> Iterator[Listed]:
        """List the manifests of originals whose keys begin with a prefix, in the order of S3.

        Parameters
        ----------
        prefix : str
        after : str
            Key of the original whose manifest was listed last; empty for none.
        """
        above = manifest_key(after) if after else ""
        for found in self._list(self.thumbnails, f"{MANIFESTS_PREFIX}{prefix}", above):
            name = found["Key"].removeprefix(MANIFESTS_PREFIX)
            key = name.removesuffix(MANIFEST_SUFFIX)
            # The prefix may be part of a manifest's name only: "a.j" matches "a.json", the manifest of "a".
            if key != name and key.startswith(prefix):
                yield Listed(key, found["ETag"].strip('"'))

    def list_thumbnails(self, prefix: str, after: str) -> Iterator[tuple[str, str]]:
        """List the keys of thumbnails that begin with a prefix and are above ``after``, with their ETags."""
        return ((found["Key"], found["ETag"].strip('"')) for found in self._list(self.thumbnails, prefix, after))

    def age_of_thumbnail(self, key: str, etag: str) -> float:
        """Return how many seconds ago a thumbnail was written; 0 if it was replaced or deleted."""
        try:
            answer = self._client.head_object(Bucket=self.thumbnails, Key=key, ExpectedBucketOwner=self._owner)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in _MISSING:
                raise
            return 0.0
        is_same = answer["ETag"].strip('"') == etag
        return (datetime.now(UTC) - answer["LastModified"]).total_seconds() if is_same else 0.0

    def delete_thumbnail(self, key: str, etag: str) -> bool:
        """Delete a thumbnail if it has this ETag; return whether it was deleted."""
        assert key.startswith(THUMBNAILS_PREFIX), key  # noqa: S101 - the key was listed there
        try:
            self._storage.delete(self.thumbnails, key, etag)
        except ConditionFailedError:
            return False
        return True

    def list_names(self, prefix: str, after: str = "") -> Iterator[str]:
        """List the keys of the thumbnails bucket that begin with a prefix and are above ``after``."""
        return (found["Key"] for found in self._list(self.thumbnails, prefix, after))

    def read(self, key: str) -> tuple[bytes, str] | None:
        """Return an object of the thumbnails bucket and its ETag, or ``None`` if it does not exist."""
        found = self._storage.read(self.thumbnails, key)
        return (found.data, found.etag) if found else None

    def read_json(self, key: str) -> Any:
        """Return the content of an object of a plan, or ``None`` if it does not exist."""
        found = self.read(key)
        return None if found is None else json.loads(found[0])

    def write_json(self, key: str, value: Any) -> None:
        """Write an object of a plan."""
        _check_own(key)
        self._client.put_object(
            Bucket=self.thumbnails,
            Key=key,
            Body=json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(),
            ContentType="application/json",
            ExpectedBucketOwner=self._owner,
        )

    def delete(self, key: str) -> None:
        """Delete an object of a plan."""
        _check_own(key)
        self._client.delete_object(Bucket=self.thumbnails, Key=key, ExpectedBucketOwner=self._owner)

    def _list(self, bucket: str, prefix: str, after: str) -> Iterator[Any]:
        # Not a continuation token, because another invocation can continue from a key.
        while True:
            page = self._client.list_objects_v2(
                Bucket=bucket, Prefix=prefix, StartAfter=after, ExpectedBucketOwner=self._owner
            )
            found = page.get("Contents", [])
            yield from found
            if not page["IsTruncated"] or not found:
                return
            after = found[-1]["Key"]


def _check_own(key: str) -> None:
    assert key.startswith(PLANS_PREFIX), key  # noqa: S101 - this function writes and deletes nothing else
