"""AWS_IAM authorization: is the request signed, with Signature Version 4, by somebody whose secret we hold.

The signature is recomputed by botocore's own signer. Whether the signer *may* call the API is not asked: the
local gateway does not evaluate ``execute-api:Invoke``.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
"""

import datetime as dt
import hashlib
import hmac
import re

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from local.gateway.request import Request
from local.gateway.responses import RefusalError

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256\s+"
    r"Credential=(?P<key>[^/,\s]+)/(?P<date>\d{8})/(?P<region>[\w-]+)/(?P<service>[\w-]+)/aws4_request,\s*"
    r"SignedHeaders=(?P<headers>[\w;-]+),\s*"
    r"Signature=(?P<signature>[0-9a-f]{64})"
)
# A signature is good for five minutes before and after its date.
_TOLERANCE = dt.timedelta(minutes=5)
_SERVICE = "execute-api"


def verify(request: Request, credentials: Credentials, region: str) -> None:
    """Let a request pass that is signed with these credentials.

    Raises
    ------
    RefusalError
        The request is not signed, or the signature is not right.
    """
    authorization = request.header("Authorization")
    if authorization is None:
        raise RefusalError("MISSING_AUTHENTICATION_TOKEN")
    parts = _AUTHORIZATION.fullmatch(authorization.strip())
    timestamp = request.header("X-Amz-Date") or ""
    if parts is None or not re.fullmatch(r"\d{8}T\d{6}Z", timestamp):
        raise _invalid("Authorization header requires Credential, SignedHeaders, Signature and an X-Amz-Date header.")
    if parts["key"] != credentials.access_key:
        raise _invalid("The security token included in the request is invalid.")
    if (parts["region"], parts["service"], parts["date"]) != (region, _SERVICE, timestamp[:8]):
        raise _invalid(f"Credential should be scoped to {region}, {_SERVICE} and the date of the request.")
    signed_at = dt.datetime.strptime(timestamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=dt.UTC)
    if abs(dt.datetime.fromtimestamp(request.received, dt.UTC) - signed_at) > _TOLERANCE:
        raise _invalid(f"Signature expired: {timestamp} is more than five minutes away from now.")
    # botocore's signer believes this header; the body is what counts.
    body_hash = request.header("X-Amz-Content-SHA256")
    if body_hash is not None and body_hash != hashlib.sha256(request.body or b"").hexdigest():
        raise _invalid("The X-Amz-Content-SHA256 header does not match the body.")
    names = parts["headers"].split(";")
    if "host" not in names:
        raise _invalid("'Host' must be a 'SignedHeader' in the AWS Authorization.")
    if not hmac.compare_digest(_signature(request, names, timestamp, credentials, region), parts["signature"]):
        raise _invalid("The request signature we calculated does not match the signature you provided.")


def _invalid(message: str) -> RefusalError:
    return RefusalError("INVALID_SIGNATURE", message=message)


def _signature(request: Request, names: list[str], timestamp: str, credentials: Credentials, region: str) -> str:
    signer = SigV4Auth(credentials, _SERVICE, region)
    host = request.header("Host") or ""
    path, _, query = request.target.partition("?")
    recomputed = AWSRequest(
        request.method, f"http://{host}{path}" + (f"?{query}" if query else ""), data=request.body or b""
    )
    for name in names:
        recomputed.headers[name] = request.header(name) or ""
    recomputed.context["timestamp"] = timestamp
    return str(signer.signature(signer.string_to_sign(recomputed, signer.canonical_request(recomputed)), recomputed))
