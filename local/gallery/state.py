"""How far a picture is, from its original, its manifest and its executions. Pure."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

_RUNNING = "RUNNING"
_SUCCEEDED = "SUCCEEDED"
_REQUEST = "api"
_REMOVED = "removed"
_NOT_STARTED = "There is no execution for this upload yet. If this does not change, its recipe may have no sizes."
_NOT_LISTED = (
    "The manifest has no entry for this upload yet, and Express executions are not listed. "
    "If this does not change, read the log."
)


class State(StrEnum):
    """How far a picture is."""

    READY = "ready"
    WORKING = "working"
    WAITING = "waiting"
    FAILED = "failed"
    REMOVING = "removing"


@dataclass(frozen=True, slots=True)
class Original:
    """An object in the originals bucket, as it is listed.

    Attributes
    ----------
    etag : str
        Without quotation marks.
    bytes : int
    modified : datetime
    """

    etag: str
    bytes: int
    modified: datetime


@dataclass(frozen=True, slots=True)
class Execution:
    """An execution for one key.

    Attributes
    ----------
    name : str
        Begins with what started it: ``upload-``, ``removed-`` or ``api-``.
    key : str
        Of the original.
    status : str
        As Step Functions says it.
    started : datetime
    stopped : datetime or None
        ``None`` while it runs.
    error, message : str
        Empty unless it failed.
    """

    name: str
    key: str
    status: str
    started: datetime
    stopped: datetime | None = None
    error: str = ""
    message: str = ""

    @property
    def started_by(self) -> str:
        """Return ``upload``, ``removed`` or ``api``."""
        return self.name.partition("-")[0]


@dataclass(frozen=True, slots=True)
class Judgement:
    """How far a picture is, and why.

    Attributes
    ----------
    state : State
    error : str
        Name of the error; empty unless the picture failed.
    message : str
        One sentence; empty where there is nothing to explain.
    """

    state: State
    error: str = ""
    message: str = ""


def judge(
    original: Original | None, manifest: dict[str, Any] | None, executions: Sequence[Execution], *, is_express: bool
) -> Judgement:
    """Say how far a picture is.

    Parameters
    ----------
    original : Original or None
        ``None`` where it was deleted.
    manifest : dict or None
        schemas/manifest.json; ``None`` where there is none.
    executions : sequence of Execution
        Those of its key that Step Functions lists, the newest first.
    is_express : bool
        Whether uploads run as Express executions, which Step Functions does not list.
    """
    if any(execution.status == _RUNNING for execution in executions):
        return Judgement(State.WORKING)
    if original is not None and manifest is not None and manifest["original"].get("etag") == original.etag:
        error = manifest.get("error")
        return Judgement(State.FAILED, error["name"], error["message"]) if error else Judgement(State.READY)
    newest = next((each for each in executions if _is_about(each, original)), None)
    if newest is not None and newest.status != _SUCCEEDED:
        return Judgement(State.FAILED, newest.error or newest.status, newest.message)
    if original is None:
        return Judgement(State.REMOVING, message="The original was deleted. Its thumbnails will be deleted soon.")
    if newest is not None:
        message = "The last execution has ended, but the manifest describes another version of the original."
    else:
        message = _NOT_LISTED if is_express else _NOT_STARTED
    return Judgement(State.WAITING, message=message)


def _is_about(execution: Execution, original: Original | None) -> bool:
    """Return whether an execution was started by what happened to the original last.

    Requests never are: they may fail while all thumbnails of the upload are there.
    """
    if original is None:
        return execution.started_by == _REMOVED
    # S3 gives the time of a change in whole seconds.
    return execution.started_by != _REQUEST and execution.started >= original.modified.replace(microsecond=0)


def sentence(cause: str) -> str:
    """Return what a person reads of an execution's cause.

    The state machine puts a sentence there; a Lambda function that raised puts JSON:
    https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html
    """
    try:
        raised = json.loads(cause)
    except ValueError:
        return cause
    return str(raised["errorMessage"]) if isinstance(raised, dict) and "errorMessage" in raised else cause
