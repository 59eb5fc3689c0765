"""Entry point of the resize Lambda: parse, run, log, return.

A request that can never succeed returns ``{"status": "FAILED", …}``; everything else that goes wrong is
raised, so that Step Functions retries it. Catching more here would disable every Retry of the state machine.
"""

# ruff: noqa: E402 - garbage collection is disabled before the imports
import gc

# Imported objects live as long as the process, and garbage collection would take 9 % of the cold start.
gc.disable()

import os
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.resize.client import create_s3_client
from functions.resize.errors import PermanentError
from functions.resize.job import Buckets, Headers, Measurements, run
from functions.resize.limits import Limits
from functions.resize.request import parse_request
from functions.resize.storage import Storage

logger = Logger()
metrics = Metrics()

_LIMITS = Limits.from_environment()
_BUCKETS = Buckets(os.environ["ORIGINALS_BUCKET"], os.environ["THUMBNAILS_BUCKET"], os.environ["ORIGINALS_PREFIX"])
_HEADERS = Headers(
    os.environ["CACHE_CONTROL"],
    frozenset(name.strip().lower() for name in os.environ["CARRIED_HEADERS"].split(",") if name.strip()),
)
_S3 = create_s3_client()
_STORAGE = Storage(_S3, os.environ["BUCKET_OWNER"], os.environ["KMS_KEY_ARN"])

gc.freeze()
gc.enable()


@logger.inject_lambda_context(correlation_id_path="execution", clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001 - Lambda passes both
    """Bring the thumbnails of one key in line.

    Parameters
    ----------
    event : dict
        ``{"execution": <name>, "request": <schemas/resize_request.json>, "retries": <number of earlier attempts of the
        state machine>, "context": <the execution, with its RedriveCount>}``; the last two are optional.
    context : LambdaContext

    Returns
    -------
    dict
        SUCCESS with source and thumbnails, or FAILED with error and message.

    Raises
    ------
    TransientError
        Step Functions retries these.
    """
    measurements = Measurements()
    metrics.add_metric("ResizesStarted", MetricUnit.Count, 1)
    try:
        request = parse_request(event["request"])
        logger.append_keys(object_key=request.object_key)
        is_retry = bool(request.is_retry or event.get("retries") or event.get("context", {}).get("RedriveCount"))
        result = run(request, _STORAGE, _BUCKETS, _LIMITS, measurements, headers=_HEADERS, is_retry=is_retry)
    except PermanentError as error:
        name = type(error).__name__
        logger.warning("resize failed", error=name, reason=str(error))
        metrics.add_metric("ResizesFailed", MetricUnit.Count, 1)
        return {"status": "FAILED", "error": name, "message": str(error)}
    for warning in measurements.warnings:
        logger.warning(warning)
    _report(result, measurements)
    return result


def _report(result: dict[str, Any], measurements: Measurements) -> None:
    download, resize, upload = (
        round(took, 1) for took in (measurements.download_ms, measurements.resize_ms, measurements.upload_ms)
    )
    source, removed = result["source"], result["removed"]
    if "format" not in source:
        message = "removed: the original is gone"
    elif measurements.written:
        message = "resized"
    else:
        message = "in line: nothing to make"
    picture = (
        {"format": source["format"], "size": f"{source['width']}x{source['height']}", "bytes": source["bytes"]}
        if "format" in source
        else {}
    )
    logger.info(
        message,
        **picture,
        thumbnails=[
            {"size": f"{made['width']}x{made['height']}", "bytes": made["bytes"]} for made in result["thumbnails"]
        ],
        removed=removed,
        attempts=measurements.attempts,
        download_ms=download,
        resize_ms=resize,
        upload_ms=upload,
    )
    metrics.add_metric("ResizesFailed", MetricUnit.Count, 0)
    metrics.add_metric("ThumbnailsWritten", MetricUnit.Count, measurements.written)
    metrics.add_metric("ThumbnailsRemoved", MetricUnit.Count, len(removed))
    # A run may write thumbnails, start again after a conflict, and then find the original gone: it has no "bytes".
    if measurements.written and picture:
        metrics.add_metric("OriginalBytes", MetricUnit.Bytes, source["bytes"])
        metrics.add_metric("DownloadTime", MetricUnit.Milliseconds, download)
        metrics.add_metric("ResizeTime", MetricUnit.Milliseconds, resize)
        metrics.add_metric("UploadTime", MetricUnit.Milliseconds, upload)
