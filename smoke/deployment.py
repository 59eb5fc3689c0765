"""The deployed stack as CloudFormation describes it, and the clients for its services."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.auth import SigV4Auth
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from functions.start_from_s3.recipes import RECIPES_PATH, RecipesError, parse_recipes, parse_sizes, wanted_of
from smoke.delivery import Viewer

# The clocks of this machine and of AWS may differ by this much.
_CLOCK_SECONDS = 60.0

# The prefix of every key of this test, after the parameter OriginalsPrefix.
_FOLDER = "smoke/"

# Codes with which services refuse a caller. A check that gets one has no result.
_NO_PERMISSION = {
    "AccessDenied",
    "AccessDeniedException",
    "ExpiredToken",
    "ExpiredTokenException",
    "Forbidden",
    "InvalidClientTokenId",
    "SignatureDoesNotMatch",
    "UnauthorizedOperation",
    "UnrecognizedClientException",
}
_SETTLED = {"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE"}


class CannotRunError(Exception):
    """The deployment cannot be checked; the message explains why and what to do."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource of the stack: its type and its physical id, such as a bucket's name."""

    type: str
    id: str


@dataclass(frozen=True, slots=True)
class Deployment:
    """Parameters, outputs and resources of the stack, all read from CloudFormation.

    Attributes
    ----------
    session
        Credentials and region.
    stack : str
    parameters, outputs : Mapping of str to str
    resources : Mapping of str to Resource
        By logical id.
    api_url : str
        URL for posting resizes: the output ``ApiUrl``, or the one that the caller chose.
    delivery_via : str or None
        Address to connect to instead of the distribution's host.
    """

    session: boto3.Session
    stack: str
    parameters: Mapping[str, str]
    outputs: Mapping[str, str]
    resources: Mapping[str, Resource]
    api_url: str
    delivery_via: str | None = None
    _clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        """Return the client of a service, which is created once, before threads share it."""
        if service not in self._clients:
            self._clients[service] = self.session.client(
                service,  # type: ignore[call-overload]  # the overloads need a literal
                config=Config(
                    connect_timeout=5,
                    read_timeout=20,
                    retries={"mode": "standard", "total_max_attempts": 5},
                    max_pool_connections=32,
                ),
            )
        return self._clients[service]

    @property
    def originals(self) -> str:
        """Return the name of the originals bucket."""
        return self.outputs["OriginalsBucketName"]

    @property
    def has_existing_originals(self) -> bool:
        """Return whether the originals bucket is an existing one, whose settings are not the stack's."""
        return bool(self.parameters.get("ExistingOriginalsBucket"))

    @property
    def originals_prefix(self) -> str:
        """Return the prefix of the keys of originals."""
        return self.parameters.get("OriginalsPrefix", "")

    @property
    def prefix(self) -> str:
        """Return the prefix of every key of this test."""
        return self.originals_prefix + _FOLDER

    @property
    def thumbnails(self) -> str:
        """Return the name of the thumbnails bucket."""
        return self.outputs["ThumbnailsBucketName"]

    @property
    def machine(self) -> str:
        """Return the ARN of the state machine."""
        return self.outputs["StateMachineArn"]

    @property
    def viewer(self) -> Viewer | None:
        """Return a viewer of the distribution; ``None`` if the stack has no distribution."""
        url = self.outputs.get("DeliveryUrl")
        page = self.parameters.get("AllowedOrigin", "").strip("*") or "https://example.org"
        return Viewer(url, self.delivery_via, page) if url else None

    @property
    def has_express_uploads(self) -> bool:
        """Return whether uploads run in the second state machine, whose executions are only in logs."""
        return self.parameters["UploadWorkflow"] == "EXPRESS"

    @property
    def upload_executions(self) -> str:
        """Return the prefix of the ARN of every execution of an upload."""
        if self.has_express_uploads:
            return self.id_of("UploadStateMachine").replace(":stateMachine:", ":express:")
        return self.machine.replace(":stateMachine:", ":execution:")

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Return the boxes of each upload's thumbnails, without duplicates."""
        boxes = [part.strip().split("x") for part in self.parameters["ThumbnailSizes"].split(",")]
        return list(dict.fromkeys((int(width), int(height)) for width, height in boxes))

    @property
    def notification_topic(self) -> str:
        """Return the ARN of the topic for notifications; empty if there is none."""
        return self.parameters.get("NotificationTopicArn", "")

    def topic_client(self) -> Any:
        """Return a client for the topic's region."""
        return self.session.client("sns", region_name=self.notification_topic.split(":")[3])

    @property
    def is_signed(self) -> bool:
        """Return whether the API requires signatures."""
        return self.parameters["ApiAuthorization"] == "AWS_IAM"

    def signer(self) -> SigV4Auth:
        """Return a signer of requests to the API.

        Raises
        ------
        NoCredentialsError
        """
        credentials = self.session.get_credentials()
        if credentials is None:
            raise NoCredentialsError
        return SigV4Auth(credentials, "execute-api", self.session.region_name)

    def id_of(self, logical_id: str) -> str:
        """Return the physical id of a resource.

        Raises
        ------
        CannotRunError
            The stack has no such resource.
        """
        if logical_id not in self.resources:
            raise CannotRunError(
                f"The stack '{self.stack}' has no {logical_id}: it was deployed from another version of the template. "
                "Next: check out the deployed version, or deploy this one."
            )
        return self.resources[logical_id].id

    def log_lines(self, group: str, since: float, pattern: str) -> Iterator[dict[str, Any]]:
        """Yield the JSON lines of a log group that match a pattern, without lines that are not JSON.

        Parameters
        ----------
        group : str
            Logical id of the log group.
        since : float
            Seconds since 1970.
        pattern : str
            https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
        """
        pages = self.client("logs").get_paginator("filter_log_events")
        first = int((since - _CLOCK_SECONDS) * 1000)
        for page in pages.paginate(logGroupName=self.id_of(group), startTime=first, filterPattern=pattern):
            for event in page["events"]:
                try:
                    line = json.loads(event["message"])
                except ValueError:
                    continue
                if isinstance(line, dict):
                    yield line

    def of_type(self, *types: str) -> dict[str, str]:
        """Return the physical ids of all resources of some types, by logical id."""
        return {name: resource.id for name, resource in self.resources.items() if resource.type in types}


SERVICES = ("apigateway", "cloudformation", "cloudwatch", "lambda", "logs", "s3", "sqs", "stepfunctions", "sts")


def read_deployment(stack: str, api_url: str | None, delivery_via: str | None = None) -> Deployment:
    """Read a stack with the credentials, the region and the endpoint of the environment.

    Raises
    ------
    CannotRunError
        There are no credentials, no region, no permission or no such stack, or the stack is being changed.
    """
    session = boto3.Session()
    deployment = Deployment(session, stack, {}, {}, {}, "")
    if session.region_name is None:
        raise CannotRunError("No AWS region is set. Next: export AWS_REGION=us-east-1, or your region.")
    cloudformation = deployment.client("cloudformation")
    try:
        (described,) = cloudformation.describe_stacks(StackName=stack)["Stacks"]
        listed = cloudformation.describe_stack_resources(StackName=stack)["StackResources"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationError":
            raise CannotRunError(
                f"There is no stack '{stack}' in this account in {session.region_name}. "
                "Next: make smoke STACK=<its name>, or set another AWS_REGION or AWS_PROFILE."
            ) from error
        raise
    if described["StackStatus"] not in _SETTLED:
        raise CannotRunError(
            f"The stack '{stack}' is {described['StackStatus']}. Next: wait until it is deployed, or deploy it again."
        )
    outputs = {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", ())}
    missing = {"ApiUrl", "OriginalsBucketName", "ThumbnailsBucketName", "StateMachineArn"} - outputs.keys()
    if missing:
        raise CannotRunError(
            f"The stack '{stack}' has no output {min(missing)}: it is not a deployment of this template. "
            "Next: make smoke STACK=<the name given to sam deploy>."
        )
    found = Deployment(
        session,
        stack,
        {each["ParameterKey"]: each["ParameterValue"] for each in described.get("Parameters", ())},
        outputs,
        {
            each["LogicalResourceId"]: Resource(each["ResourceType"], each["PhysicalResourceId"])
            for each in listed
            if "PhysicalResourceId" in each
        },
        api_url or outputs["ApiUrl"],
        delivery_via,
    )
    check_recipes(RECIPES_PATH.read_text(encoding="utf-8"), found.parameters["ThumbnailSizes"], found.prefix)
    # Threads may share clients, but may not create them at the same time.
    for service in SERVICES:
        found.client(service)
    return found


def check_recipes(text: str, sizes: str, prefix: str = _FOLDER) -> None:
    """Refuse recipes that ask for other thumbnails of this test's uploads than the parameter ``ThumbnailSizes``.

    Parameters
    ----------
    text : str
        recipes.json.
    sizes : str
    prefix : str
        Prefix of the keys of the uploads.

    Raises
    ------
    CannotRunError
    """
    plain = {"sizes": parse_sizes(sizes)}
    try:
        wanted = wanted_of(prefix, parse_recipes(text, parse_sizes(sizes)))
    except RecipesError as error:
        raise CannotRunError(f"{error}. Next: correct it and deploy.") from error
    if wanted != plain:
        raise CannotRunError(
            f"This test expects the sizes of ThumbnailSizes, but recipes.json has a different recipe for {prefix}. "
            f'Next: put {{"prefix": "{prefix}"}} first in recipes.json and deploy.'
        )


def why_not(error: BotoCoreError | ClientError) -> str | None:
    """Return why AWS could not be called, or ``None`` if the error is a result that a check should judge."""
    if isinstance(error, ClientError):
        code = error.response["Error"]["Code"]
        if code not in _NO_PERMISSION:
            return None
        return (
            f"These credentials have no permission to call {error.operation_name} ({code}). "
            "Next: use credentials that can read everything in the stack and write to its two buckets."
        )
    reason = str(error).rstrip(".")
    return f"The call to AWS failed: {reason}. Next: check credentials, region and network."
