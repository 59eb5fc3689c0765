"""The thumbnail function of a typical tutorial, with which `bench.startup` compares ours: boto3, Pillow, no checks."""

import io
from typing import Any

import boto3
from PIL import Image

s3 = boto3.client("s3")


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ARG001 - Lambda passes both
    """Make one thumbnail."""
    request = event["request"]
    key = request["object_key"]
    original = s3.get_object(Bucket=request["source_bucket"], Key=key)["Body"].read()
    image = Image.open(io.BytesIO(original))
    image.thumbnail((request["width"], request["height"]))
    output = io.BytesIO()
    image.save(output, "JPEG")
    thumbnail = f"thumbnails/{request['width']}x{request['height']}_{key}"
    s3.put_object(Bucket=request["destination_bucket"], Key=thumbnail, Body=output.getvalue(), ContentType="image/jpeg")
    return {"status": "SUCCESS", "key": thumbnail}
