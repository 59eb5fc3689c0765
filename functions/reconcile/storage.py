"""S3 as a reconcile sees it: two listings, manifests, and the objects of a plan. It never writes to the originals."""

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
# Requests at once.
CALLS_AT_ONCE = 16

# Step Functions makes the slow retries.
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
        # What S3's answers to reads and conditional deletes mean is said there.
        self._storage = Storage(client, owner, kms_key="")
        self._owner = owner
        self.originals = originals
        self.thumbnails = thumbnails

    def list_originals(self, prefix: str, after: str) -> Iterator[Listed]:
        """List originals whose keys begin with a prefix and are above ``after``, in the order of S3."""
        # What the pipeline writes can never be an original, even if both are in one bucket.
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
            Key of the original whose manifest was the last one; empty for none.
        """
        above = manifest_key(after) if after else ""
        for found in self._list(self.thumbnails, f"{MANIFESTS_PREFIX}{prefix}", above):
            name = found["Key"].removeprefix(MANIFESTS_PREFIX)
            key = name.removesuffix(MANIFEST_SUFFIX)
            # The name of the manifest of "a" begins with "a.j", but "a" does not.
            if key != name and key.startswith(prefix):
                yield Listed(key, found["ETag"].strip('"'))

    def list_thumbnails(self, prefix: str, after: str) -> Iterator[tuple[str, str]]:
        """List the keys of thumbnails that begin with a prefix and are above ``after``, with their ETags."""
        return ((found["Key"], found["ETag"].strip('"')) for found in self._list(self.thumbnails, prefix, after))

    def age_of_thumbnail(self, key: str, etag: str) -> float:
        """Return how many seconds ago a thumbnail was written; 0 where it is another one now, or gone."""
        try:
            answer = self._client.head_object(Bucket=self.thumbnails, Key=key, ExpectedBucketOwner=self._owner)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in _MISSING:
                raise
            return 0.0
        is_same = answer["ETag"].strip('"') == etag
        return (datetime.now(UTC) - answer["LastModified"]).total_seconds() if is_same else 0.0

    def delete_thumbnail(self, key: str, etag: str) -> bool:
        """Delete a thumbnail if it has this ETag; return whether it had."""
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
        """Return an object of the thumbnails bucket and its ETag, or ``None`` where there is none."""
        found = self._storage.read(self.thumbnails, key)
        return (found.data, found.etag) if found else None

    def read_json(self, key: str) -> Any:
        """Return what an object of a plan says, or ``None`` where there is none."""
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
        # Not the continuation token: a key still works when another function goes on.
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
