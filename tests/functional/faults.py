"""Answers that AWS gives on bad days, put in front of moto."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from botocore.awsrequest import AWSPreparedRequest, AWSResponse, HTTPHeaders
from moto.core.botocore_stubber import BotocoreStubber, MockRawResponse


@contextmanager
def answering(
    operation: str, status: int, code: str, when: Callable[[AWSPreparedRequest], bool] = lambda _: True
) -> Iterator[list[AWSPreparedRequest]]:
    """Answer requests of one operation, such as ``s3.GetObject``, with an error; gives those that were answered so.

    An event handler of botocore would not do: all of them run, so moto would still do what was asked.
    """
    answered: list[AWSPreparedRequest] = []
    if operation.startswith("s3."):
        body = f"<Error><Code>{code}</Code><Message>Not now.</Message></Error>".encode()
    elif operation.startswith("sns."):
        body = f"<ErrorResponse><Error><Code>{code}</Code><Message>Not now.</Message></Error></ErrorResponse>".encode()
    else:
        body = json.dumps({"__type": code, "message": "Not now."}).encode()
    moto_answers = BotocoreStubber.__call__

    def answer(stubber: BotocoreStubber, event_name: str, request: AWSPreparedRequest, **more: Any) -> Any:
        if event_name != f"before-send.{operation}" or not when(request):
            return moto_answers(stubber, event_name, request, **more)
        answered.append(request)
        return AWSResponse(request.url, status, HTTPHeaders(), MockRawResponse(body))

    with patch.object(BotocoreStubber, "__call__", answer):
        yield answered
