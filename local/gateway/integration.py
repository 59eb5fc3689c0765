"""The integration of an operation: an action of an AWS service, called with a role, or nothing (``mock``).

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-api-integration-types.html
"""

import datetime as dt
import json
import re
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    HTTPClientError,
    ReadTimeoutError,
    UnknownServiceError,
)
from botocore.httpsession import URLLib3Session
from botocore.session import Session

from local.gateway.responses import RefusalError, UnsupportedError

# The default maximum time that a REST API waits for an integration:
# https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html
TIMEOUT_SECONDS = 29.0
_CONNECT_SECONDS = 2.0
_CONNECTIONS = 64
_RENEW_BEFORE = dt.timedelta(minutes=5)
# Services that have another name in API Gateway (the endpoint) than in botocore (the product).
_BOTOCORE_NAMES = {"states": "stepfunctions"}


@dataclass(frozen=True)
class ServiceAnswer:
    """The response of the service, with its body unchanged."""

    status: int
    headers: dict[str, str]
    body: bytes


class AwsServices:
    """The AWS services at one endpoint, and the roles with which they are called.

    Parameters
    ----------
    session
        Credentials that may assume the roles of the integrations.
    endpoint
        Endpoint of the services.
    timeout_seconds
        Maximum duration of a call.
    """

    def __init__(self, session: Session, endpoint: str, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._session = session
        self._endpoint = endpoint
        self._timeout_seconds = timeout_seconds
        self._sts: Any = session.create_client("sts", endpoint_url=endpoint)
        self._assumed: dict[str, tuple[Credentials, dt.datetime]] = {}
        self._assuming = threading.Lock()

    def action(self, uri: str, role: str) -> "ServiceAction":
        """Return the action in an integration's ``uri``, to be called with the role in ``credentials``.

        Raises
        ------
        UnsupportedError
            The uri does not name an action of a JSON service, or the credentials are not a role.
        """
        match = re.fullmatch(r"arn:[\w-]+:apigateway:([\w-]+):([\w-]+):action/(\w+)", uri)
        if match is None:
            raise UnsupportedError(f"The integration uri {uri} is not supported; it must be an action of AWS.")
        region, endpoint_prefix, operation = match.groups()
        if not role.startswith("arn:"):
            raise UnsupportedError(f"The integration {uri} needs the ARN of a role in credentials.")
        try:
            model = self._session.get_service_model(_BOTOCORE_NAMES.get(endpoint_prefix, endpoint_prefix))
        except UnknownServiceError as error:
            raise UnsupportedError(f"The service {endpoint_prefix} of {uri} is not supported.") from error
        if model.metadata["protocol"] != "json" or operation not in model.operation_names:
            raise UnsupportedError(f"{uri} is not a JSON action. The local gateway can call only JSON actions.")
        return ServiceAction(
            services=self,
            url=self._endpoint,
            role=role,
            signing_name=model.signing_name,
            region=region,
            headers={
                "X-Amz-Target": f"{model.metadata['targetPrefix']}.{operation}",
                "Content-Type": f"application/x-amz-json-{model.metadata['jsonVersion']}",
            },
            # One connection for each concurrent client, because otherwise they would open a new one for each request.
            http=URLLib3Session(
                # botocore's own clients pass the same types, but its stubs do not allow them.
                timeout=(_CONNECT_SECONDS, self._timeout_seconds),  # type: ignore[arg-type]
                max_pool_connections=_CONNECTIONS,
                # Head and body are two writes; without this option the second one would wait for 40 ms.
                socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],  # type: ignore[list-item]
            ),
        )

    def credentials(self, role: str) -> Credentials:
        """Return credentials of a role, and renew them shortly before they expire.

        API Gateway sends no source when it assumes a role, so a trust policy with ``aws:SourceAccount`` or
        ``aws:SourceArn`` refuses it, here as on AWS:
        https://github.com/aws-solutions-library-samples/accelerated-intelligent-document-processing-on-aws/pull/479
        """
        with self._assuming:
            credentials, expires = self._assumed.get(role, (None, None))
            if credentials is None or expires is None or expires - dt.datetime.now(dt.UTC) < _RENEW_BEFORE:
                answer = self._sts.assume_role(RoleArn=role, RoleSessionName="local-gateway")["Credentials"]
                credentials = Credentials(answer["AccessKeyId"], answer["SecretAccessKey"], answer["SessionToken"])
                self._assumed[role] = (credentials, answer["Expiration"])
            return credentials


@dataclass(frozen=True)
class ServiceAction:
    """One action, ready to be called with a rendered body."""

    services: AwsServices
    url: str
    role: str
    signing_name: str
    region: str
    headers: dict[str, str]
    http: URLLib3Session

    def call(self, body: bytes, headers: Mapping[str, str]) -> ServiceAnswer:
        """Call the action with a body and additional headers, and return the raw response.

        Raises
        ------
        RefusalError
            The role cannot be assumed, or the service does not respond.
        """
        request = AWSRequest("POST", self.url, data=body, headers={**headers, **self.headers})
        try:
            SigV4Auth(self.services.credentials(self.role), self.signing_name, self.region).add_auth(request)
            answer = self.http.send(request.prepare())
            return ServiceAnswer(answer.status_code, dict(answer.headers), answer.content)
        except (ReadTimeoutError, ConnectTimeoutError) as error:
            raise RefusalError("INTEGRATION_TIMEOUT", detail=str(error)) from error
        except HTTPClientError as error:
            raise RefusalError("INTEGRATION_FAILURE", detail=str(error)) from error
        except (ClientError, BotoCoreError) as error:
            raise RefusalError("API_CONFIGURATION_ERROR", detail=f"{self.role}: {error}") from error


class MockAction:
    """The ``mock`` integration: answer with the ``statusCode`` that the request template returns, without a body.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/how-to-mock-integration.html
    """

    def call(self, body: bytes, headers: Mapping[str, str]) -> ServiceAnswer:
        """Return a response with the status in the body.

        Raises
        ------
        RefusalError
            The body is not ``{"statusCode": …}``.
        """
        del headers
        try:
            return ServiceAnswer(int(json.loads(body)["statusCode"]), {}, b"")
        except (ValueError, TypeError, KeyError) as error:
            raise RefusalError("API_CONFIGURATION_ERROR", detail="the mock integration got no statusCode") from error
