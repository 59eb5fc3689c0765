"""Check the two buckets and the queues: access, versions, encryption, conditions and notifications."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from smoke.deployment import Deployment
from smoke.report import Row, judged, judged_all
from smoke.visit import Visit

_PEEK_SECONDS = 5
# The events that may leave thumbnails out of line.
_EVENTS = ("s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:LifecycleExpiration:*")
# S3's statuses if a condition fails, if there is no object, and if nothing has changed.
_REFUSALS = {
    "a second write": {412},
    "a write over another object": {412},
    "a delete of another object": {412},
    "a download of a known ETag": {304},
    "a write over a deleted object": {404, 412},
    "a delete of a deleted object": {404, 412},
}


def changes_are_notified(deployment: Deployment, _visit: Visit) -> Iterator[Row]:
    """Check that S3 sends every upload and every removal to the uploads queue, or to EventBridge."""
    configured = deployment.client("s3").get_bucket_notification_configuration(Bucket=deployment.originals)
    if deployment.has_existing_originals:
        yield eventbridge(configured)
    else:
        queue = _attributes(deployment, "UploadsQueue")["QueueArn"]
        yield notification(configured, queue, deployment.originals_prefix)


def eventbridge(configured: dict[str, Any]) -> Row:
    """Judge the notification configuration of a bucket whose events go through EventBridge."""
    is_on = "EventBridgeConfiguration" in configured
    found = "enabled" if is_on else "not enabled: docs/deploying.md has the command"
    return judged("every upload and removal goes to EventBridge", found, kept=is_on)


def notification(configured: dict[str, Any], queue: str, prefix: str = "") -> Row:
    """Judge a bucket's notification configuration, whose filter may be the prefix of the originals."""
    sent = {
        event
        for each in configured.get("QueueConfigurations", ())
        if each["QueueArn"] == queue and _filters(each) == ([("prefix", prefix)] if prefix else [])
        for event in each["Events"]
    }
    return judged_all(
        "every upload and removal is sent to the queue",
        f"{', '.join(_EVENTS)} to {queue.rpartition(':')[2]}",
        [f"{event} is not sent to {queue.rpartition(':')[2]}" for event in _EVENTS if event not in sent],
    )


def _filters(configuration: dict[str, Any]) -> list[tuple[str, str]]:
    if "Filter" not in configuration:
        return []
    rules = configuration["Filter"].get("Key", {}).get("FilterRules", [{"Name": "unknown", "Value": ""}])
    return [(rule["Name"].lower(), rule["Value"]) for rule in rules]


def conditions_hold(_deployment: Deployment, visit: Visit) -> Iterator[Row]:
    """Check that S3 enforces the conditions of writes, deletes and downloads, because every run depends on them."""
    yield conditions(visit.conditions)


def conditions(statuses: Mapping[str, int]) -> Row:
    """Judge the HTTP statuses of requests whose condition does not hold."""
    faults = [
        f"{what} was answered with {statuses.get(what, 'nothing')}"
        for what, expected in _REFUSALS.items()
        if statuses.get(what) not in expected
    ]
    found = ", ".join(f"{what} {statuses.get(what)}" for what in _REFUSALS)
    return judged_all("S3 enforces conditions", found, faults)


def buckets_are_closed(deployment: Deployment, _visit: Visit) -> Iterator[Row]:
    """Check versions, encryption, public access and TLS of the stack's buckets."""
    s3 = deployment.client("s3")
    key = deployment.parameters.get("KmsKeyArn", "")
    buckets = [deployment.thumbnails]
    # The settings of an existing bucket are its owner's choice.
    if not deployment.has_existing_originals:
        buckets.insert(0, deployment.originals)
        versioning = s3.get_bucket_versioning(Bucket=deployment.originals).get("Status", "never enabled")
        yield judged("originals are versioned", str(versioning), kept=versioning == "Enabled")
    for bucket in buckets:
        yield encryption(bucket, s3.get_bucket_encryption(Bucket=bucket), key)
        yield public_access(bucket, _or_none(s3.get_public_access_block, bucket))
        yield tls_only(bucket, _or_none(s3.get_bucket_policy, bucket))


def encryption(bucket: str, configured: dict[str, Any], key: str) -> Row:
    """Judge a bucket's encryption: with the stack's own KMS key, or with S3's."""
    (rule,) = configured["ServerSideEncryptionConfiguration"]["Rules"]
    default = rule["ApplyServerSideEncryptionByDefault"]
    found = (default["SSEAlgorithm"], default.get("KMSMasterKeyID", ""))
    wanted = ("aws:kms", key) if key else ("AES256", "")
    return judged(f"{bucket} is encrypted", " ".join(found).strip(), kept=found == wanted)


def public_access(bucket: str, answer: dict[str, Any] | None) -> Row:
    """Judge a bucket's public access block."""
    settings = answer["PublicAccessBlockConfiguration"] if answer else {}
    names = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
    missing = [f"{name} is off" for name in names if settings.get(name) is not True]
    return judged_all(f"{bucket} has no public access", "all four blocks are on", missing)


def tls_only(bucket: str, answer: dict[str, Any] | None) -> Row:
    """Judge a bucket's policy, which must deny all requests without TLS."""
    statements = json.loads(answer["Policy"])["Statement"] if answer else []
    kept = any(
        statement["Effect"] == "Deny"
        and statement["Principal"] in ("*", {"AWS": "*"})
        and statement["Action"] == "s3:*"
        and str(statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport")).lower() == "false"
        and {resource.rpartition(":")[2] for resource in statement["Resource"]} == {bucket, f"{bucket}/*"}
        for statement in statements
    )
    return judged(f"{bucket} refuses plain HTTP", "its policy says so" if kept else "its policy does not", kept=kept)


def nothing_is_left_in_queues(deployment: Deployment, visit: Visit) -> Iterator[Row]:
    """Check that none of this visit's uploads is a dead letter."""
    attributes = _attributes(deployment, "UploadsDeadLetterQueue")
    waiting = int(attributes["ApproximateNumberOfMessages"])
    seen: dict[str, str] = {}
    if waiting:
        # Receiving a message hides it for some seconds. Then it is visible again.
        for _ in range(5):
            answer = deployment.client("sqs").receive_message(
                QueueUrl=deployment.id_of("UploadsDeadLetterQueue"),
                MaxNumberOfMessages=10,
                VisibilityTimeout=_PEEK_SECONDS,
            )
            seen |= {message["MessageId"]: message["Body"] for message in answer.get("Messages", ())}
    yield dead_letters(waiting, list(seen.values()), visit.id)


def dead_letters(waiting: int, bodies: list[str], visit_id: str) -> Row:
    """Judge the messages of the dead-letter queue: none may be of this visit."""
    ours = sum(visit_id in body for body in bodies)
    others = max(waiting, len(bodies)) - ours
    found = f"{ours} of this test are there" if ours else "none of this test"
    if others:
        found += f"; {others} of other uploads: docs/runbook.md explains how to read and return them"
    return judged("no upload became a dead letter", found, kept=not ours)


def _attributes(deployment: Deployment, queue: str) -> dict[str, str]:
    answer = deployment.client("sqs").get_queue_attributes(QueueUrl=deployment.id_of(queue), AttributeNames=["All"])
    attributes: dict[str, str] = answer["Attributes"]
    return attributes


def _or_none(read: Any, bucket: str) -> dict[str, Any] | None:
    """Return a bucket's setting, or ``None`` if S3 answers that there is none."""
    try:
        answer: dict[str, Any] = read(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"].startswith("NoSuch"):
            return None
        raise
    return answer
