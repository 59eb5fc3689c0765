"""The S3 client that the function makes for itself."""

from typing import Any

import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse, HeadersDict

from functions.resize.client import create_s3_client

LARGE = 2 * 1024 * 1024


class _NoBody:
    def stream(self) -> list[bytes]:
        return []


def sent_headers(body: bytes) -> Any:
    """Put an object and return the headers of the request, which does not leave this process."""
    sent: list[AWSPreparedRequest] = []

    def answer(request: AWSPreparedRequest, **_: Any) -> Any:
        sent.append(request)
        headers: Any = HeadersDict({"ETag": '"abc"'})
        return AWSResponse(str(request.url), 200, headers, _NoBody())

    client = create_s3_client()
    client.meta.events.register("before-send.s3.PutObject", answer)

    client.put_object(Bucket="thumbnails", Key="a.jpg", Body=body)

    (request,) = sent
    return request.headers


@pytest.mark.parametrize("size", [0, 1, LARGE - 1])
def test_a_thumbnail_is_sent_without_waiting_for_permission(size: int) -> None:
    headers = sent_headers(bytes(size))

    assert "Expect" not in headers
    assert int(headers["X-Amz-Decoded-Content-Length"]) == size


def test_a_large_body_is_not_sent_in_vain() -> None:
    assert sent_headers(bytes(LARGE))["Expect"] == b"100-continue"
