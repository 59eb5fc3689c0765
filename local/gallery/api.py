"""Calls of the product's own API, signed where the deployment asks for it."""

from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import HTTPClientError
from botocore.httpsession import URLLib3Session

_SERVICE = "execute-api"
# A little more than the 29 s that API Gateway waits for an integration.
_TIMEOUT_SECONDS = 35


class ApiUnreachableError(Exception):
    """The API did not answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API answered: its status, and its body as it came."""

    status: int
    body: bytes


class Api:
    """The API of a deployed stack.

    Parameters
    ----------
    url : str
        Takes resize requests: ``http://127.0.0.1:3000/prod/resize``.
    region : str
    signer : ReadOnlyCredentials or None
        Who signs the requests; ``None`` where the API takes unsigned ones.
    """

    def __init__(self, url: str, region: str, signer: ReadOnlyCredentials | None) -> None:
        self.url = url
        self._region = region
        self._signer = signer
        # Without proxies: the API is on loopback.
        self._http = URLLib3Session(timeout=_TIMEOUT_SECONDS)

    @property
    def curl_options(self) -> list[str]:
        """Return what curl needs to sign a request as this class does; nothing where requests are not signed."""
        if self._signer is None:
            return []
        return [
            *("--aws-sigv4", f"aws:amz:{self._region}:{_SERVICE}"),
            *("--user", f"{self._signer.access_key}:{self._signer.secret_key}"),
        ]

    def resize(self, body: bytes) -> Answer:
        """Post a request, byte for byte as given.

        Raises
        ------
        ApiUnreachableError
        """
        return self._send("POST", self.url, body, {"Content-Type": "application/json"})

    def execution(self, execution_id: str) -> Answer:
        """Ask for an execution.

        Raises
        ------
        ApiUnreachableError
        """
        stage = self.url.removesuffix("/resize")
        return self._send("GET", f"{stage}/executions/{quote(execution_id, safe='')}", b"", {})

    def _send(self, method: str, url: str, body: bytes, headers: dict[str, str]) -> Answer:
        request = AWSRequest(method, url, data=body, headers=headers)
        if self._signer is not None:
            SigV4Auth(self._signer, _SERVICE, self._region).add_auth(request)
        try:
            answer = self._http.send(request.prepare())
        except HTTPClientError as error:
            raise ApiUnreachableError(f"The API at {urlsplit(url).netloc} does not answer: {error}") from error
        return Answer(answer.status_code, answer.content)
