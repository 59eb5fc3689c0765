"""The message about one execution that ended: schemas/notification.json. Pure functions.

Both workflows have the same fields: a Standard execution in an event of EventBridge, an Express one in the response of
StartSyncExecution, which ``functions/start_from_s3/notifications.py`` passes on:
https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html#event-detail-execution-status-change
https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartSyncExecution.html
"""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

from functions.reconcile.errors import RefusedError

# SNS accepts 256 KB and bills each 64 KB as one request. Subscribers get the text in an envelope, often escaped again:
# https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
LARGEST_BYTES = 60_000
# S3 allows no longer keys, but an execution that somebody starts by hand can have any input.
_LONGEST_KEY = 1024
_LONGEST_SENTENCE = 2000
_DIGEST_CHARACTERS = 32
# The names of executions begin with what started them; other executions were started by hand.
_TRIGGERS = ("upload", "removed", "api")
# The state ResizeFailed puts this before errors of the picture or the request.
_PERMANENT = "Permanent."
# The API's message for a fault. The causes of Lambda and Step Functions contain stack traces and ARNs.
_FAULT = "Internal error. The picture and the request are fine; see the operator's logs."
# Statuses that have no error of their own.
_ENDS = {
    "TIMED_OUT": ("TimedOut", "The execution took too long."),
    "ABORTED": ("Aborted", "Somebody stopped the execution."),
}
_THUMBNAIL = ("key", "width", "height", "bytes", "content_type")
_REFUSALS = {each.__name__ for each in RefusedError.__subclasses__()}
# The state of this name puts the report of the run into its cause.
_TOO_MANY_FAULTS = "TooManyFaults"
_STOPPED = "The resize function failed for too many pictures, and not because of the pictures."


def message_of(detail: dict[str, Any], bucket: str, reconcile_machine: str) -> dict[str, Any]:
    """Describe the end of an execution.

    Parameters
    ----------
    detail : dict
        ``executionArn``, ``stateMachineArn``, ``name``, ``status``, ``stopDate`` (milliseconds since 1970), ``error``,
        ``cause``, ``redriveCount``; ``input`` and ``output`` are JSON as text, or None if too large for the event.
    bucket : str
        The thumbnails bucket.
    reconcile_machine : str
        ARN of the state machine whose executions are reconciles.

    Returns
    -------
    dict
        As in schemas/notification.json.
    """
    is_reconcile = detail["stateMachineArn"] == reconcile_machine
    request, result = _parsed(detail.get("input")), _parsed(detail.get("output"))
    message = {
        "id": _id_of(detail),
        "trigger": "reconcile" if is_reconcile else _trigger_of(detail["name"]),
        "status": "SUCCESS" if detail["status"] == "SUCCEEDED" else "FAILED",
        "time": _time_of(detail["stopDate"]),
        "execution": detail["executionArn"],
        "bucket": bucket,
    }
    return message | (_reconcile(detail, request, result) if is_reconcile else _resize(detail, request, result))


def attributes_of(message: dict[str, Any]) -> dict[str, str]:
    """Return the message attributes, which subscribers can filter by."""
    return {name: message[name] for name in ("trigger", "status")}


def subject_of(message: dict[str, Any]) -> str:
    """Return the subject of an e-mail."""
    return f"Thumbnails: {message['status']} ({message['trigger']})"


def to_json(message: dict[str, Any]) -> str:
    """Return a message as text that SNS, SQS and e-mail accept: ASCII, with at most ``LARGEST_BYTES``.

    Lists that are too long are cut, and ``truncated`` is then true: the manifest has the complete list.
    """
    # ASCII, because a key may contain characters that SQS refuses.
    while len(text := json.dumps(message)) > LARGEST_BYTES:
        message = _shortened(message)
    return text


def _resize(detail: dict[str, Any], request: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    key = request.get("object_key", result.get("source", {}).get("key"))
    known = {"key": key if isinstance(key, str) and len(key) <= _LONGEST_KEY else None}
    if detail["status"] != "SUCCEEDED":
        return known | {"error": _error_of(detail)}
    return known | {
        "thumbnails": [{name: each[name] for name in _THUMBNAIL} for each in result.get("thumbnails", ())],
        "removed": result.get("removed", []),
        "truncated": not result,
    }


def _reconcile(detail: dict[str, Any], request: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    mode = request.get("mode")
    known = {"mode": mode if mode in ("plan", "run") else None}
    if detail["status"] == "SUCCEEDED":
        return known | {"report": result, "truncated": not result}
    if detail.get("error") != _TOO_MANY_FAULTS:
        return known | {"error": _error_of(detail)}
    report = _parsed(detail.get("cause"))
    error = {"name": _TOO_MANY_FAULTS, "message": _STOPPED, "permanent": False}
    return known | {"error": error, "report": report, "truncated": not report}


def _error_of(detail: dict[str, Any]) -> dict[str, Any]:
    name, sentence = _ENDS.get(detail["status"], ("Unknown", _FAULT))
    error = detail.get("error") or name
    is_permanent = error.startswith(_PERMANENT) or error in _REFUSALS
    if is_permanent:
        sentence = detail.get("cause") or ""
    elif detail["status"] == "FAILED":
        sentence = _FAULT
    return {
        "name": error.removeprefix(_PERMANENT)[:_LONGEST_SENTENCE],
        "message": sentence[:_LONGEST_SENTENCE],
        "permanent": is_permanent,
    }


def _shortened(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message with half of its longer list, or with only the plan and the counts of its report."""
    if "report" in message:
        report = {name: message["report"][name] for name in ("plan", "counts")}
        return message | {"report": report, "truncated": True}
    longest = max(("thumbnails", "removed"), key=lambda name: len(json.dumps(message[name])))
    return message | {longest: message[longest][: len(message[longest]) // 2], "truncated": True}


def _id_of(detail: dict[str, Any]) -> str:
    """Return an id that is the same for each delivery of this end; a redriven execution ends again with another id."""
    end = f"{detail['executionArn']} {detail.get('redriveCount') or 0}"
    return hashlib.sha256(end.encode()).hexdigest()[:_DIGEST_CHARACTERS]


def _trigger_of(name: str) -> str:
    trigger = name.partition("-")[0]
    return trigger if trigger in _TRIGGERS else "other"


def _time_of(milliseconds: float) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _parsed(text: Any) -> dict[str, Any]:
    """Return a JSON object; an empty one if there is none, because events omit input and output that are too large."""
    try:
        value = json.loads(text) if isinstance(text, str) else None
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
