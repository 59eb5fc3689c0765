"""AWS_IAM authorization: whether a request is signed with Signature Version 4, and by whom.

botocore's own signer computes the string to sign here. The local AWS, which has the secrets of IAM users and assumed
roles, verifies the signature (local/aws/signers.py). Permissions are not checked: the local gateway does not evaluate
``execute-api:Invoke``.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
"""

import datetime as dt
import hashlib
import json
import re
from collections.abc import Mapping

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import HTTPClientError
from botocore.httpsession import URLLib3Session

from local.gateway.request import Request
from local.gateway.responses import RefusalError

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256\s+"
    r"Credential=(?P<key>[^/,\s]+)/(?P<date>\d{8})/(?P<region>[\w-]+)/(?P<service>[\w-]+)/aws4_request,\s*"
    r"SignedHeaders=(?P<headers>[\w;-]+),\s*"
    r"Signature=(?P<signature>[0-9a-f]{64})"
)
# A signature is valid for five minutes before and after its date.
_TOLERANCE = dt.timedelta(minutes=5)
_SERVICE = "execute-api"
_SIGNERS_PATH = "/_local/signers"
_TIMEOUT_SECONDS = 10
_OK = 200


class Signers:
    """Verifies signatures with the local AWS.

    Parameters
    ----------
    endpoint
        Endpoint of the local AWS.
    region
        Region of the API, for which requests must be signed.
    """

    def __init__(self, endpoint: str, region: str) -> None:
        self._url = f"{endpoint}{_SIGNERS_PATH}"
        self._region = region
        self._http = URLLib3Session(timeout=_TIMEOUT_SECONDS)

    def identify(self, request: Request) -> dict[str, str]:
        """Return the fields of ``$context.identity`` about the signer of a request.

        Raises
        ------
        RefusalError
            The request is not signed, or the signature is invalid.
        """
        authorization = request.header("Authorization")
        if authorization is None:
            raise RefusalError("MISSING_AUTHENTICATION_TOKEN")
        parts = _AUTHORIZATION.fullmatch(authorization.strip())
        timestamp = request.header("X-Amz-Date") or ""
        if parts is None or not re.fullmatch(r"\d{8}T\d{6}Z", timestamp):
            raise _invalid(
                "Authorization header requires Credential, SignedHeaders, Signature and an X-Amz-Date header."
            )
        if (parts["region"], parts["service"], parts["date"]) != (self._region, _SERVICE, timestamp[:8]):
            raise _invalid(f"Credential should be scoped to {self._region}, {_SERVICE} and the date of the request.")
        signed_at = dt.datetime.strptime(timestamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=dt.UTC)
        if abs(dt.datetime.fromtimestamp(request.received, dt.UTC) - signed_at) > _TOLERANCE:
            raise _invalid(f"Signature expired: {timestamp} is more than five minutes away from now.")
        # botocore's signer uses this header without checking that it matches the body.
        body_hash = request.header("X-Amz-Content-SHA256")
        if body_hash is not None and body_hash != hashlib.sha256(request.body or b"").hexdigest():
            raise _invalid("The X-Amz-Content-SHA256 header does not match the body.")
        names = parts["headers"].split(";")
        if "host" not in names:
            raise _invalid("'Host' must be a 'SignedHeader' in the AWS Authorization.")
        signer = self._ask(
            {
                "accessKey": parts["key"],
                "sessionToken": request.header("X-Amz-Security-Token") or "",
                "date": parts["date"],
                "region": self._region,
                "service": _SERVICE,
                "stringToSign": _string_to_sign(request, names, timestamp, self._region),
                "signature": parts["signature"],
            }
        )
        return _identity(parts["key"], signer)

    def _ask(self, question: Mapping[str, str]) -> dict[str, str]:
        try:
            answer = self._http.send(AWSRequest("POST", self._url, data=json.dumps(question).encode()).prepare())
        except HTTPClientError as error:
            raise RefusalError("API_CONFIGURATION_ERROR", detail=f"the local AWS does not respond: {error}") from error
        content: dict[str, str] = json.loads(answer.content)
        if answer.status_code == _OK:
            return content
        if content["code"] == "ExpiredTokenException":
            raise RefusalError("EXPIRED_TOKEN", message=content["message"])
        raise _invalid(content["message"])


def _identity(access_key: str, signer: Mapping[str, str]) -> dict[str, str]:
    """Return the signer's identity in the form of API Gateway.

    ``caller`` and ``user`` are IAM's unique ids: ``AIDA…`` of a user, ``AROA…:<session>`` of an assumed role, the
    account's id of its root. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
    """
    return {
        "accessKey": access_key,
        "accountId": signer["accountId"],
        "caller": signer["principalId"],
        "user": signer["principalId"],
        "userArn": signer["arn"],
    }


def _invalid(message: str) -> RefusalError:
    return RefusalError("INVALID_SIGNATURE", message=message)


def _string_to_sign(request: Request, names: list[str], timestamp: str, region: str) -> str:
    # The string to sign does not depend on the secret key.
    signer = SigV4Auth(Credentials("", ""), _SERVICE, region)
    host = request.header("Host") or ""
    path, _, query = request.target.partition("?")
    recomputed = AWSRequest(
        request.method, f"http://{host}{path}" + (f"?{query}" if query else ""), data=request.body or b""
    )
    for name in names:
        recomputed.headers[name] = request.header(name) or ""
    recomputed.context["timestamp"] = timestamp
    return str(signer.string_to_sign(recomputed, signer.canonical_request(recomputed)))
