"""Verify signatures and identify signers, as IAM does for API Gateway.

AWS has no public API for this, so it is a separate path of the local AWS, on loopback only. Secrets stay here: the
gateway posts the string to sign with the signature, and gets the caller's identity or a refusal. Access keys of IAM
users, of assumed roles (with their session token) and of the account's root are accepted.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from ministack.core import iam_evaluator, sigv4  # type: ignore[import-not-found]
from ministack.core.responses import _account_from_sts_session  # type: ignore[import-not-found]

PATH = "/_local/signers"


async def answer(receive: Callable[..., Awaitable[Any]], send: Callable[..., Awaitable[Any]]) -> None:
    """Answer one request over ASGI."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    status, content = _judge(json.loads(body))
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(content).encode()})


def _judge(question: dict[str, str]) -> tuple[int, dict[str, str]]:
    key = question["accessKey"]
    account = _account_from_sts_session(key) or iam_evaluator.find_iam_access_key_account(key)
    found = iam_evaluator.resolve_credential(key, account, question["sessionToken"])
    if isinstance(found, iam_evaluator.CredentialResolutionError):
        return 403, {"code": found.code, "message": found.message}
    right = sigv4.calculate_signature(
        found.secret_access_key,
        question["date"],
        question["region"],
        question["service"],
        question["stringToSign"],
    )
    if not sigv4.signatures_match(right, question["signature"]):
        return 403, {"code": "InvalidSignatureException", "message": sigv4.SIGNATURE_MISMATCH}
    return 200, {"accountId": found.account_id, "principalId": found.principal_id, "arn": found.principal_arn}
