"""The pictures of a deployed stack, through the public AWS API and nothing else."""

import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from functions.resize.keys import MANIFESTS_PREFIX, THUMBNAILS_PREFIX, manifest_key
from functions.resize.manifest import Manifest
from local.gallery.state import Execution, Judgement, Original, judge, sentence

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef
    from mypy_boto3_stepfunctions import SFNClient

MOST_ORIGINALS = 1_000
_MOST_EXECUTIONS = 300
_SHOWN_EXECUTIONS = 5
_LOG_SECONDS = 3_600
_MOST_LOG_LINES = 40
_THREADS = 8


class NotAThumbnailError(Exception):
    """A key is not that of a thumbnail."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """What the gallery needs to know of a deployed stack.

    Attributes
    ----------
    originals, thumbnails : str
        Names of the buckets.
    machine : str
        ARN of the state machine.
    prefix : str
        What keys of originals begin with.
    is_express : bool
        Whether uploads run as Express executions, which Step Functions does not list.
    is_signed : bool
        Whether the API wants signed requests.
    log_group : str
        Log of the resize function.
    """

    originals: str
    thumbnails: str
    machine: str
    prefix: str
    is_express: bool
    is_signed: bool
    log_group: str


@dataclass(frozen=True, slots=True)
class _Picture:
    key: str
    original: Original | None
    manifest: dict[str, Any] | None
    executions: list[Execution]
    judgement: Judgement

    def as_json(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "state": self.judgement.state,
            "error": self.judgement.error,
            "message": self.judgement.message,
            "original": self.original
            and {
                "etag": self.original.etag,
                "bytes": self.original.bytes,
                "modified": self.original.modified.isoformat(),
            },
            "manifest": self.manifest,
            "executions": [
                {
                    "name": execution.name,
                    "started_by": execution.started_by,
                    "status": execution.status,
                    "started": execution.started.isoformat(),
                    "seconds": execution.stopped and (execution.stopped - execution.started).total_seconds(),
                    "error": execution.error,
                    "message": execution.message,
                }
                for execution in self.executions[:_SHOWN_EXECUTIONS]
            ],
        }


def read_deployment(cloudformation: "CloudFormationClient", stack: str) -> Deployment:
    """Read what a stack was deployed with."""
    (description,) = cloudformation.describe_stacks(StackName=stack)["Stacks"]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in description["Outputs"]}
    parameters = {each["ParameterKey"]: each.get("ParameterValue", "") for each in description["Parameters"]}
    log = cloudformation.describe_stack_resource(StackName=stack, LogicalResourceId="ResizeFunctionLogs")
    return Deployment(
        outputs["OriginalsBucketName"],
        outputs["ThumbnailsBucketName"],
        outputs["StateMachineArn"],
        parameters["OriginalsPrefix"],
        parameters["UploadWorkflow"] == "EXPRESS",
        parameters["ApiAuthorization"] == "AWS_IAM",
        log["StackResourceDetail"]["PhysicalResourceId"],
    )


class Pictures:
    """The pictures of a deployed stack.

    Parameters
    ----------
    deployment : Deployment
    s3, step_functions, logs
        Clients of these services.
    """

    def __init__(self, deployment: Deployment, s3: "S3Client", step_functions: "SFNClient", logs: Any) -> None:
        self._deployment = deployment
        self._s3 = s3
        self._step_functions = step_functions
        self._logs = logs
        # Two pages that ask at once must not read everything twice.
        self._lock = threading.Lock()
        # By key and ETag, so that only manifests that changed are read.
        self._manifests: dict[tuple[str, str], dict[str, Any] | None] = {}
        # By ARN and status: an execution that has ended says no more.
        self._executions: dict[tuple[str, str], Execution] = {}

    def find(self, text: str, state: str, count: int) -> dict[str, Any]:
        """List pictures, those changed last first.

        Parameters
        ----------
        text : str
            Part of the key, in upper or lower case; empty for all.
        state : str
            A `State`; empty for all.
        count : int
            The most that are wanted.
        """
        with self._lock:
            pictures, is_complete = self._read()
        fitting = [
            picture
            for picture in pictures
            if text.casefold() in picture.key.casefold() and state in {"", picture.judgement.state}
        ]
        return {
            "pictures": [picture.as_json() for picture in fitting[:count]],
            "fitting": len(fitting),
            "states": Counter(picture.judgement.state for picture in pictures),
            "is_complete": is_complete,
        }

    def original(self, key: str) -> "GetObjectOutputTypeDef":
        """Get an original."""
        return self._s3.get_object(Bucket=self._deployment.originals, Key=key)

    def thumbnail(self, key: str) -> "GetObjectOutputTypeDef":
        """Get a thumbnail.

        Raises
        ------
        NotAThumbnailError
        """
        if not key.startswith(THUMBNAILS_PREFIX):
            raise NotAThumbnailError(f"Keys of thumbnails begin with {THUMBNAILS_PREFIX}.")
        return self._s3.get_object(Bucket=self._deployment.thumbnails, Key=key)

    def put(self, key: str, body: IO[bytes], content_type: str) -> None:
        """Upload an original, or replace one."""
        self._s3.put_object(Bucket=self._deployment.originals, Key=key, Body=body, ContentType=content_type)

    def delete(self, key: str) -> None:
        """Delete an original."""
        self._s3.delete_object(Bucket=self._deployment.originals, Key=key)

    def log(self, key: str) -> list[str]:
        """Return what the resize function logged of a key in the last hour."""
        pages = self._logs.get_paginator("filter_log_events").paginate(
            logGroupName=self._deployment.log_group, startTime=int((time.time() - _LOG_SECONDS) * 1000)
        )
        # Not by a filter pattern: it is not documented how one quotes a key with quotation marks or backslashes.
        lines = [event["message"].strip() for page in pages for event in page["events"]]
        return [line for line in lines if _object_key(line) == key][-_MOST_LOG_LINES:]

    def _read(self) -> tuple[list[_Picture], bool]:
        # Executions before originals before manifests: a manifest is written before its execution ends, so what an
        # ended execution has written is seen.
        executions = self._list_executions()
        originals, is_complete = self._list_originals()
        manifests = self._read_manifests(None if is_complete else originals)
        pictures = []
        for key in originals.keys() | manifests.keys():
            original, manifest, of_key = originals.get(key), manifests.get(key), executions.get(key, [])
            judgement = judge(original, manifest, of_key, is_express=self._deployment.is_express)
            pictures.append(_Picture(key, original, manifest, of_key, judgement))
        # What is being removed has no date, and is what was changed last.
        pictures.sort(key=lambda picture: picture.key)
        pictures.sort(
            key=lambda picture: picture.original.modified.timestamp() if picture.original else float("inf"),
            reverse=True,
        )
        return pictures, is_complete

    def _list_originals(self) -> tuple[dict[str, Original], bool]:
        answer = self._s3.list_objects_v2(
            Bucket=self._deployment.originals, Prefix=self._deployment.prefix, MaxKeys=MOST_ORIGINALS
        )
        originals = {
            each["Key"]: Original(each["ETag"].strip('"'), each["Size"], each["LastModified"])
            for each in answer.get("Contents", [])
            # Folder markers of the console; the pipeline leaves them alone as well.
            if not each["Key"].endswith("/")
        }
        return originals, not answer["IsTruncated"]

    def _read_manifests(self, only: Mapping[str, Original] | None) -> dict[str, dict[str, Any]]:
        """Read the manifests of some keys, or all that there are."""
        prefix = f"{MANIFESTS_PREFIX}{self._deployment.prefix}"
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._deployment.thumbnails, Prefix=prefix)
        listed = {
            each["Key"].removeprefix(MANIFESTS_PREFIX).removesuffix(".json"): each["ETag"]
            for page in pages
            for each in page.get("Contents", [])
        }
        wanted = [(key, etag) for key, etag in listed.items() if only is None or key in only]
        known = self._manifests
        new = [each for each in wanted if each not in known]
        read = dict(zip(new, self._each(self._read_manifest, new), strict=True))
        self._manifests = {each: known[each] if each in known else read[each] for each in wanted}
        return {key: manifest for (key, _), manifest in self._manifests.items() if manifest is not None}

    def _read_manifest(self, wanted: tuple[str, str]) -> dict[str, Any] | None:
        key, _ = wanted
        try:
            stored = self._s3.get_object(Bucket=self._deployment.thumbnails, Key=manifest_key(key))
        except self._s3.exceptions.NoSuchKey:
            # Deleted since it was listed.
            return None
        data = stored["Body"].read()
        try:
            Manifest.from_json(data)
        except ValueError:
            # A damaged manifest is none, as for the resize function: the next run on the key replaces it.
            return None
        manifest: dict[str, Any] = json.loads(data)
        return manifest

    def _list_executions(self) -> dict[str, list[Execution]]:
        """Return the newest executions by key."""
        listed = self._step_functions.list_executions(
            stateMachineArn=self._deployment.machine, maxResults=_MOST_EXECUTIONS
        )["executions"]
        wanted = [(each["executionArn"], str(each["status"])) for each in listed]
        known = self._executions
        new = [each for each in wanted if each not in known]
        read = dict(zip(new, self._each(self._describe, new), strict=True))
        self._executions = {each: known[each] if each in known else read[each] for each in wanted}
        by_key = defaultdict(list)
        for execution in self._executions.values():
            by_key[execution.key].append(execution)
        return by_key

    def _describe(self, wanted: tuple[str, str]) -> Execution:
        arn, _ = wanted
        described = self._step_functions.describe_execution(executionArn=arn)
        return Execution(
            described["name"],
            _key_of(described["input"]),
            described["status"],
            described["startDate"],
            described.get("stopDate"),
            described.get("error", "").removeprefix("Permanent."),
            sentence(described.get("cause", "")),
        )

    @staticmethod
    def _each(function: Any, values: Iterable[Any]) -> Iterable[Any]:
        with ThreadPoolExecutor(_THREADS) as threads:
            return list(threads.map(function, values))


def _key_of(wanted: str) -> str:
    """Return the key that an execution is about; empty where somebody started it with another input."""
    request = json.loads(wanted)
    key = request.get("object_key") if isinstance(request, dict) else None
    return key if isinstance(key, str) else ""


def _object_key(line: str) -> Any:
    try:
        entry = json.loads(line)
    except ValueError:
        # Lambda's own lines, such as START and REPORT.
        return None
    return entry.get("object_key") if isinstance(entry, dict) else None
