"""One visit to a deployment: upload files, post requests, wait for executions, and delete everything again."""

import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from botocore.exceptions import BotoCoreError, ClientError

from functions.start_from_s3.workflows import FAILED_FOR_GOOD
from smoke.api import Answer, Api
from smoke.delivery import Served, Viewer
from smoke.deployment import Deployment, why_not
from smoke.listener import Listener
from smoke.originals import Original, originals, to_be_removed, to_be_replaced

_WORKERS = 8
_POLL_SECONDS = 1.0
# The clocks of this machine and of AWS may differ by this much.
_CLOCK_SECONDS = 300.0
# DeleteObjects accepts at most a thousand keys.
_DELETED_AT_ONCE = 1000

MORE_SIZES_THAN_ALLOWED = 17
# The prefixes below which the pipeline writes objects of originals.
_FOLDERS = ("thumbnails", "manifests")


@dataclass(frozen=True, slots=True)
class Execution:
    """The state of one execution; ``input`` and ``output`` are decoded."""

    arn: str
    status: str
    input: dict[str, Any]
    output: dict[str, Any]
    error: str
    cause: str

    @property
    def name(self) -> str:
        """Return the name of the execution."""
        return self.arn.rpartition(":")[2]

    @property
    def failed_with(self) -> str:
        """Return status and error of the execution."""
        return f"{self.status} {self.error}: {self.cause}" if self.error else self.status


@dataclass(frozen=True, slots=True)
class Upload:
    """One original in the originals bucket, and the execution that it started (``None`` if there was none in time)."""

    original: Original
    key: str
    etag: str
    execution: Execution | None


@dataclass(frozen=True, slots=True)
class Post:
    """One request, the response, and the execution that it started, if any."""

    body: Any
    answer: Answer
    execution: Execution | None = None


@dataclass(frozen=True, slots=True)
class Removal:
    """The keys of an original's thumbnails and manifest before and after its removal, and the removal's execution."""

    before: list[str]
    after: list[str]
    execution: Execution | None


@dataclass(frozen=True, slots=True)
class Replacement:
    """Responses of the distribution for a picture before and after it was replaced.

    Attributes
    ----------
    first_url, second_url : str
        As in the manifest, before and after.
    first, second : Served
        The responses at these URLs.
    stored : bytes
        The thumbnail in the bucket, after.
    seconds : float
        From the second upload to the manifest that shows it.
    """

    first_url: str
    second_url: str
    first: Served
    second: Served
    stored: bytes
    seconds: float


@dataclass(frozen=True, slots=True)
class Visit:
    """All requests of this visit and their results.

    Attributes
    ----------
    id : str
        Part of every key and of every upload's execution name of this visit, and of no others.
    started : float
        Seconds since 1970.
    uploads : list of Upload
    posts : dict of str to Post
        By the case that they test.
    described : Answer
        The last response to ``GET`` of the good request's ``Location``.
    conditions : Mapping of str to int
        HTTP statuses of S3 by the request, whose condition does not hold.
    removal : Removal
    patience : float
        Maximum seconds to wait for anything.
    private : tuple of str
        Keys of the thumbnails bucket that exist: a plan, a manifest and a thumbnail.
    replacement : Replacement or None
        ``None`` if there is no distribution, or it did not serve the manifests in time.
    notifications : list of dict
        The messages of NotificationTopicArn about the uploads.
    """

    id: str
    started: float
    uploads: list[Upload]
    posts: dict[str, Post]
    described: Answer
    conditions: Mapping[str, int]
    removal: Removal
    patience: float
    private: tuple[str, ...] = ()
    replacement: Replacement | None = None
    notifications: list[dict[str, Any]] = field(default_factory=list)

    @property
    def plan(self) -> str:
        """Return the key of the plan."""
        return self.private[0]


@dataclass
class Visitor:
    """Makes one visit, and cleans up after it.

    Parameters
    ----------
    deployment : Deployment
    say : callable
        Called with each line of progress.
    patience : float
        Maximum seconds to wait for anything.
    """

    deployment: Deployment
    say: Callable[[str], None]
    patience: float
    id: str = field(default_factory=lambda: secrets.token_hex(4))
    _started: float = field(default_factory=time.time)
    _posted: set[str] = field(default_factory=set)
    # Express executions, by their names.
    _express: dict[str, Execution] = field(default_factory=dict)
    _listener: Listener = field(init=False)

    def __post_init__(self) -> None:
        self._listener = Listener(self.deployment)

    @property
    def prefix(self) -> str:
        """Return the prefix of every key of this visit."""
        return f"{self.deployment.prefix}{self.id}/"

    def visit(self) -> Visit:
        """Upload, post and wait."""
        files = list(originals())
        self._listener.subscribe()
        self.say(f"Uploading {len(files)} files to s3://{self.deployment.originals}/{self.prefix} …")
        with ThreadPoolExecutor(_WORKERS) as pool:
            etags = list(pool.map(self._upload, files))
            self._upload(to_be_removed())
        keys = [self._key(original) for original in files]
        conditions = self._try_conditions()
        self.say(f"Posting requests to {self.deployment.api_url} …")
        posts = self._post(keys[0])
        arns = self._posted
        ended = self._wait(len(files) + 1, arns)
        removal = self._remove(self._key(to_be_removed()))
        plan = f"plans/{self.prefix}unseen.json"
        self.deployment.client("s3").put_object(Bucket=self.deployment.thumbnails, Key=plan, Body=b"{}")
        manifest = f"manifests/{keys[0]}.json"
        thumbnails = [each for each in self._made(self.prefix) if each.startswith("thumbnails/")]
        notifications = self._listener.hear(dict.fromkeys(keys, 1), self.patience)
        replacement = self._replace(self.deployment.viewer) if self.deployment.viewer else None
        by_key = {execution.input.get("object_key"): execution for arn, execution in ended.items() if arn not in arns}
        return Visit(
            self.id,
            self._started,
            [
                Upload(original, key, etag, by_key.get(key))
                for original, key, etag in zip(files, keys, etags, strict=True)
            ],
            {name: Post(post.body, post.answer, ended.get(_started_by(post.answer))) for name, post in posts.items()},
            self._api().get(posts["good"].answer.headers.get("location", "/")),
            conditions,
            removal,
            self.patience,
            (plan, manifest, *thumbnails[:1]),
            replacement,
            notifications,
        )

    def clean_up(self) -> list[str]:
        """Delete every version of the uploads, their thumbnails and manifests; return what could not be deleted."""
        self.say("Deleting the test's originals and thumbnails …")
        left = self._listener.unsubscribe()
        left += self._delete(self.deployment.originals, self.prefix)
        # The pipeline removes thumbnails and manifests itself. Wait for that, and delete what remains.
        try:
            self._wait_for_stragglers()
        finally:
            for folder in (*_FOLDERS, "plans"):
                left += self._delete(self.deployment.thumbnails, f"{folder}/{self.prefix}")
        return left

    def _wait_for_stragglers(self) -> None:
        deadline = time.monotonic() + self.patience / 3
        while time.monotonic() < deadline:
            listed = self._listed()
            runs = any(listed[arn] == "RUNNING" for arn in listed if arn in self._posted or self.id in arn)
            if not runs and not self._made(self.prefix):
                return
            time.sleep(_POLL_SECONDS)

    def _made(self, prefix: str) -> list[str]:
        """Return the keys of thumbnails and manifests of originals under a prefix."""
        s3, bucket = self.deployment.client("s3"), self.deployment.thumbnails
        return [
            stored["Key"]
            for folder in _FOLDERS
            for stored in s3.list_objects_v2(Bucket=bucket, Prefix=f"{folder}/{prefix}").get("Contents", ())
        ]

    def _remove(self, key: str) -> Removal:
        """Delete an original, and wait until its thumbnails and manifest are gone."""
        name = key.rpartition("/")[2]

        def made() -> list[str]:
            return [each for each in self._made(self.prefix) if each.removesuffix(".json").endswith(name)]

        before = made()
        self.say(f"Deleting {key} …")
        known = self._listed().keys()
        self.deployment.client("s3").delete_object(Bucket=self.deployment.originals, Key=key)
        deadline = time.monotonic() + self.patience
        while True:
            listed = self._listed()
            removing = [arn for arn in listed if self.id in arn and arn not in known | self._posted]
            is_over = bool(removing) and all(listed[arn] != "RUNNING" for arn in removing)
            if is_over or time.monotonic() > deadline:
                return Removal(before, made(), self._describe(removing[0]) if removing else None)
            time.sleep(_POLL_SECONDS)

    def _replace(self, viewer: Viewer) -> Replacement | None:
        """Upload two pictures under the same key, and get each from the distribution."""
        key = self._key(to_be_replaced(0))
        self.say(f"Replacing {key} …")
        first = self._first_of_manifest(viewer, key, self._upload(to_be_replaced(0)))
        if first is None:
            return None
        before = viewer.get(first["url"])
        began = time.monotonic()
        second = self._first_of_manifest(viewer, key, self._upload(to_be_replaced(1)))
        if second is None:
            return None
        seconds = time.monotonic() - began
        stored = self.deployment.client("s3").get_object(Bucket=self.deployment.thumbnails, Key=second["key"])
        after = viewer.get(second["url"])
        return Replacement(first["url"], second["url"], before, after, stored["Body"].read(), seconds)

    def _first_of_manifest(self, viewer: Viewer, key: str, etag: str) -> dict[str, Any] | None:
        """Wait until the served manifest is that of an original, and return its first thumbnail."""
        deadline = time.monotonic() + self.patience
        while time.monotonic() < deadline:
            served = viewer.get(quote(f"manifests/{key}.json"))
            if served.status == 200:  # noqa: PLR2004 - HTTP OK
                manifest = json.loads(served.data)
                if manifest["original"]["etag"] == etag and manifest["thumbnails"]:
                    entry: dict[str, Any] = manifest["thumbnails"][0]
                    return entry
            time.sleep(_POLL_SECONDS)
        return None

    def _try_conditions(self) -> dict[str, int]:
        """Send requests to S3 whose condition does not hold, for a temporary object; return the HTTP statuses."""
        s3 = self.deployment.client("s3")
        where = {"Bucket": self.deployment.thumbnails, "Key": f"thumbnails/{self.prefix}conditions"}
        etag = s3.put_object(**where, Body=b"one", IfNoneMatch="*")["ETag"]
        # The MD5 digest of zero bytes, which is not the ETag of this object.
        other = '"d41d8cd98f00b204e9800998ecf8427e"'
        statuses = {
            "a second write": _status(s3.put_object, **where, Body=b"two", IfNoneMatch="*"),
            "a write over another object": _status(s3.put_object, **where, Body=b"two", IfMatch=other),
            "a delete of another object": _status(s3.delete_object, **where, IfMatch=other),
            "a download of a known ETag": _status(s3.get_object, **where, IfNoneMatch=etag),
        }
        s3.delete_object(**where, IfMatch=etag)
        return statuses | {
            "a write over a deleted object": _status(s3.put_object, **where, Body=b"two", IfMatch=etag),
            "a delete of a deleted object": _status(s3.delete_object, **where, IfMatch=etag),
        }

    def _key(self, original: Original) -> str:
        return f"{self.prefix}{self.id}-{original.name}"

    def _upload(self, original: Original) -> str:
        stored = self.deployment.client("s3").put_object(
            Bucket=self.deployment.originals, Key=self._key(original), Body=original.data
        )
        return str(stored["ETag"]).strip('"')

    def _api(self, *, signed: bool = True) -> Api:
        return Api(self.deployment.api_url, self.deployment.signer() if signed and self.deployment.is_signed else None)

    def _post(self, key: str) -> dict[str, Post]:
        good = {
            "source_bucket": self.deployment.originals,
            "destination_bucket": self.deployment.thumbnails,
            "object_key": key,
            "width": 40,
            "height": 30,
        }
        unsized = {name: value for name, value in good.items() if name not in {"width", "height"}}
        sizes = [{"width": side, "height": side} for side in range(10, 10 + MORE_SIZES_THAN_ALLOWED)]
        repeated = {**good, "fit": "cover"}
        name = {"Idempotency-Key": f"smoke-{self.id}"}
        bodies: dict[str, Any] = {
            "good": good,
            "width 0": {**good, "width": 0},
            "17 sizes": {**unsized, "sizes": sizes},
            "an unknown field": {**good, "colour": "sepia"},
            "broken JSON": '{"source_bucket": ',
            "missing key": {**good, "object_key": f"{self.prefix}{self.id}-never-uploaded.jpg"},
            "another bucket": {**good, "source_bucket": f"{self.deployment.originals}-of-somebody-else"},
        }
        posts = {what: self._request(body, {}) for what, body in bodies.items()}
        posts["text/plain"] = self._request(good, {"Content-Type": "text/plain"})
        if self.deployment.is_signed:
            posts["unsigned"] = self._request(good, {}, signed=False)
        posts["first"] = self._request(repeated, name)
        posts["repeated"] = self._request(repeated, name)
        posts["repeated with another body"] = self._request({**repeated, "fit": "fill"}, name)
        return posts

    def _request(self, body: Any, headers: dict[str, str], *, signed: bool = True) -> Post:
        answer = self._api(signed=signed).post(body, headers)
        if arn := _started_by(answer):
            self._posted.add(arn)
        return Post(body, answer)

    def _wait(self, uploads: int, arns: set[str]) -> dict[str | None, Execution]:
        """Wait for one execution of each upload and for those of the posts; then describe them all."""
        deadline = time.monotonic() + self.patience
        told = -1
        while True:
            listed = self._listed()
            named = {arn for arn in listed if self.id in arn}
            ended = {arn for arn in named | arns if listed.get(arn, "RUNNING") != "RUNNING"}
            if len(ended) != told:
                told = len(ended)
                self.say(f"Waiting for executions: {told} of {len(arns | named)} ended …")
            if (len(named - arns) >= uploads and named | arns <= ended) or time.monotonic() > deadline:
                return {arn: self._describe(arn) for arn in sorted(named | arns)}
            time.sleep(_POLL_SECONDS)

    def _listed(self) -> dict[str, str]:
        """Return the status of all executions since this visit began, by ARN (Express: by name)."""
        if self.deployment.has_express_uploads:
            self._express |= {execution.arn: execution for execution in self._read_express()}
        pages = self.deployment.client("stepfunctions").get_paginator("list_executions")
        found = {name: execution.status for name, execution in self._express.items()}
        for page in pages.paginate(stateMachineArn=self.deployment.machine):
            for execution in page["executions"]:
                # Newest first.
                if execution["startDate"].timestamp() < self._started - _CLOCK_SECONDS:
                    return found
                found[execution["executionArn"]] = execution["status"]
        return found

    def _read_express(self) -> Iterator[Execution]:
        """Yield the executions of this visit's uploads that have ended, as ``start_from_s3`` logs them."""
        pattern = f'{{ $.object_key = "{self.prefix}*" }}'
        for line in self.deployment.log_lines("StartFromS3FunctionLogs", self._started, pattern):
            if "execution" in line:
                error = line["message"].rpartition(": ")[2] if line["message"].startswith(FAILED_FOR_GOOD) else ""
                status = "FAILED" if error else "SUCCEEDED"
                yield Execution(line["execution"], status, {"object_key": line["object_key"]}, {}, error, "")

    def _describe(self, arn: str) -> Execution:
        if arn in self._express:
            return self._express[arn]
        described = self.deployment.client("stepfunctions").describe_execution(executionArn=arn)
        return Execution(
            arn,
            described["status"],
            json.loads(described.get("input", "{}")),
            json.loads(described.get("output", "{}")),
            described.get("error", ""),
            described.get("cause", ""),
        )

    def _delete(self, bucket: str, prefix: str) -> list[str]:
        """Delete all versions under a prefix; return why some could not be deleted."""
        s3 = self.deployment.client("s3")
        try:
            pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix)
            versions = [
                {"Key": each["Key"], "VersionId": each["VersionId"]}
                for page in pages
                for each in (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))
            ]
            errors = []
            for first in range(0, len(versions), _DELETED_AT_ONCE):
                batch = {"Objects": versions[first : first + _DELETED_AT_ONCE], "Quiet": True}
                errors += s3.delete_objects(Bucket=bucket, Delete=batch).get("Errors", ())
        except (BotoCoreError, ClientError) as error:
            return [f"s3://{bucket}/{prefix}: {error}"]
        return [f"s3://{bucket}/{error['Key']}: {error['Code']}" for error in errors]


def _status(call: Callable[..., Any], **arguments: Any) -> int:
    """Return the HTTP status of a response or an error; raise if the credentials lack the permission.

    Raises
    ------
    ClientError
        No permission.
    """
    try:
        answer = call(**arguments)
    except ClientError as error:
        if why_not(error):
            raise
        answer = error.response
    status: int = answer["ResponseMetadata"]["HTTPStatusCode"]
    return status


def _started_by(answer: Answer) -> str | None:
    """Return the ARN of the started execution in a response."""
    if answer.status != 200 or not isinstance(answer.body, dict):  # noqa: PLR2004 - HTTP OK
        return None
    arn = answer.body.get("executionArn")
    return arn if isinstance(arn, str) else None
