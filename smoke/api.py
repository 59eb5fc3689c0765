"""A client of the deployed API: HTTP requests, signed if the stack requires it."""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from textwrap import shorten
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

_SECONDS = 35  # API Gateway answers within 29: https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html


@dataclass(frozen=True, slots=True)
class Answer:
    """A response of the API: status, headers in lower case, JSON or text; status 0 if there was no response."""

    status: int
    headers: dict[str, str]
    body: Any

    def __str__(self) -> str:
        """Return status and error, or else a summary of the body."""
        if not isinstance(self.body, dict):
            return f"{self.status} {str(self.body)[:80]}".strip()
        if "error" in self.body:
            # The validator's result follows a sentence that is always the same.
            found = str(self.body.get("message", "")).rpartition("The validator says: ")[2]
            message = shorten(found, 90, placeholder=" …")
            return f"{self.status} {self.body['error']}: {message}"
        return f"{self.status} {self.body.get('executionId') or self.body.get('status') or self.body}"


@dataclass(frozen=True, slots=True)
class Api:
    """One API.

    Parameters
    ----------
    url : str
        URL for posting resizes.
    signer : SigV4Auth or None
        Signs the requests; ``None`` for unsigned requests.
    """

    url: str
    signer: SigV4Auth | None

    def post(self, body: Any, headers: dict[str, str]) -> Answer:
        """Post a value as JSON, or a string unchanged."""
        data = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
        return self._send("POST", self.url, data.encode(), {"Content-Type": "application/json", **headers})

    def get(self, path: str) -> Answer:
        """Get a path of the API's host, such as that of a ``Location``."""
        scheme, host, *_ = urlsplit(self.url)
        return self._send("GET", urlunsplit((scheme, host, path, "", "")), None, {})

    def _send(self, method: str, url: str, data: bytes | None, headers: dict[str, str]) -> Answer:
        if self.signer is not None:
            signed = AWSRequest(method, url, headers, data)
            self.signer.add_auth(signed)
            headers = dict(signed.headers.items())
        request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 - the stack's URL, or the caller's
        try:
            with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310 - as above
                return _answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as refusal:
            with refusal:
                return _answer(refusal.code, refusal.headers, refusal.read())
        except OSError as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            return Answer(0, {}, f"no answer from {url}: {reason}")


def _answer(status: int, headers: Any, data: bytes) -> Answer:
    text = data.decode(errors="replace")
    try:
        body = json.loads(text)
    except ValueError:
        body = text
    return Answer(status, {name.lower(): value for name, value in headers.items()}, body)
