"""Events from S3 to EventBridge, and from EventBridge to a queue, as AWS documents them.

In a versioned bucket an event has the object's version. The event of a removal has no size. EventBridge delivers to a
queue only if the queue's policy allows the rule to send. MiniStack omits the version, sets the size of removals to 0,
and ignores policies. There are no retries and no dead-letter queues of targets here: events that are not allowed are
lost.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html
"""

import json
import logging
from contextvars import ContextVar
from typing import Any

from ministack.core.responses import get_account_id  # type: ignore[import-not-found]
from ministack.services import eventbridge, s3, sqs  # type: ignore[import-not-found]

_Event = dict[str, Any]

_log = logging.getLogger(__name__)
_version: ContextVar[str | None] = ContextVar("_version", default=None)

# MiniStack has no public place to change any of this.
_ministack_fire = s3._fire_s3_event  # noqa: SLF001
_ministack_dispatch = eventbridge._dispatch_event  # noqa: SLF001
_ministack_invoke = eventbridge._invoke_target  # noqa: SLF001


def install() -> None:
    """Make MiniStack's S3 and EventBridge send events as below."""
    s3._fire_s3_event = _fire  # noqa: SLF001
    eventbridge._dispatch_event = _dispatch  # noqa: SLF001
    eventbridge._invoke_target = _invoke  # noqa: SLF001


def _fire(*arguments: Any, version_id: str | None = None, **named: Any) -> None:
    token = _version.set(version_id)
    try:
        _ministack_fire(*arguments, version_id=version_id, **named)
    finally:
        _version.reset(token)


def _dispatch(event: _Event, view: Any = None) -> None:
    if event["Source"] == "aws.s3" and view is None:
        detail = json.loads(event["Detail"])
        changed = detail["object"]
        if version := _version.get():
            changed["version-id"] = version
        if event["DetailType"] == "Object Deleted":
            del changed["size"]
            if not changed["etag"]:
                del changed["etag"]
        event = {**event, "Detail": json.dumps(detail)}
    _ministack_dispatch(event, view)


def _invoke(target: _Event, event: _Event, rule: _Event, view: Any = None) -> None:
    arn = target.get("Arn", "")
    if ":sqs:" in arn and not sqs.queue_policy_allows(arn, "events.amazonaws.com", rule["Arn"], get_account_id()):
        _log.warning("The policy of %s does not allow the rule %s to send", arn, rule["Name"])
        return
    _ministack_invoke(target, event, rule, view)
