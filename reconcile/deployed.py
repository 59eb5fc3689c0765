"""The deployed state machine and its plans, read with the user's credentials."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from functions.reconcile.plans import Names, plan_id
from functions.reconcile.storage import PLANS_PREFIX
from local.stack import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_stepfunctions import SFNClient
    from mypy_boto3_stepfunctions.type_defs import DescribeExecutionOutputTypeDef, DescribeMapRunOutputTypeDef

_CONFIG = Config(connect_timeout=5, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 5})
_OUTPUTS = {"ReconcileStateMachineArn", "ThumbnailsBucketName"}


class CannotRunError(Exception):
    """The command cannot run; the message explains why and what to do."""


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution of the state machine.

    Attributes
    ----------
    arn : str
    status : str
    wanted : dict
        Its input.
    started : datetime
    output : dict or None
    error, cause : str
    """

    arn: str
    status: str
    wanted: dict[str, Any]
    started: datetime
    output: dict[str, Any] | None
    error: str
    cause: str

    @property
    def is_running(self) -> bool:
        """Return whether the execution has not ended."""
        return self.status == "RUNNING"

    @property
    def own_id(self) -> str:
        """Return the id of the plan or run, under which its results are stored."""
        return plan_id(self.arn, self.started.astimezone(UTC).isoformat())

    @property
    def plan(self) -> str:
        """Return the id of the plan that it makes or runs."""
        return str(self.wanted.get("plan") or self.own_id)


class Deployed:
    """One deployment.

    Parameters
    ----------
    step_functions : SFNClient
    s3 : S3Client
    machine : str
        ARN.
    bucket : str
        The thumbnails bucket.
    """

    def __init__(self, step_functions: "SFNClient", s3: "S3Client", machine: str, bucket: str) -> None:
        self._step_functions = step_functions
        self._s3 = s3
        self._machine = machine
        self._bucket = bucket

    def start(self, wanted: dict[str, Any]) -> str:
        """Start an execution; return its ARN."""
        started = self._step_functions.start_execution(stateMachineArn=self._machine, input=json.dumps(wanted))
        return started["executionArn"]

    def describe(self, arn: str) -> Execution:
        """Return an execution as it is now."""
        return _execution_of(self._step_functions.describe_execution(executionArn=arn))

    def newest(self) -> Execution | None:
        """Return the run that is running, or else the execution that was started last; ``None`` if there is none."""
        for arn in self.running():
            if (execution := self.describe(arn)).wanted.get("mode") == "run":
                return execution
        page = self._step_functions.list_executions(stateMachineArn=self._machine, maxResults=1)
        return self.describe(page["executions"][0]["executionArn"]) if page["executions"] else None

    def running(self) -> list[str]:
        """Return the ARNs of the running executions."""
        page = self._step_functions.list_executions(stateMachineArn=self._machine, statusFilter="RUNNING")
        return [each["executionArn"] for each in page["executions"]]

    def stop(self, arn: str) -> None:
        """End an execution and its children."""
        self._step_functions.stop_execution(executionArn=arn, cause="make reconcile DO=stop")

    def map_run(self, arn: str) -> "DescribeMapRunOutputTypeDef | None":
        """Return the Map Run of an execution, or ``None`` if it has not begun."""
        found = self._step_functions.list_map_runs(executionArn=arn)["mapRuns"]
        return self._step_functions.describe_map_run(mapRunArn=found[-1]["mapRunArn"]) if found else None

    def set_concurrency(self, arn: str, concurrency: int) -> bool:
        """Change the number of parts that are processed at the same time; return whether anything was changed."""
        found = self._step_functions.list_map_runs(executionArn=arn)["mapRuns"]
        if found:
            self._step_functions.update_map_run(mapRunArn=found[-1]["mapRunArn"], maxConcurrency=concurrency)
        return bool(found)

    def newest_report(self) -> dict[str, Any] | None:
        """Return the report of the last finished plan; ``None`` if there is none.

        After the user's plan, a scheduled check may be running or may have failed.
        """
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=PLANS_PREFIX, Delimiter="/"
        )
        folders = [each["Prefix"] for page in pages for each in page.get("CommonPrefixes", [])]
        plans = sorted((each.removeprefix(PLANS_PREFIX).strip("/") for each in folders), reverse=True)
        return next(filter(None, map(self.report, plans)), None)

    def report(self, plan: str) -> dict[str, Any] | None:
        """Return the report of a plan, or ``None`` if the plan is not finished."""
        report: dict[str, Any] | None = self.read(Names(plan).report)
        return report

    def names(self, prefix: str, after: str = "") -> Iterator[str]:
        """List the objects of a plan whose names are above ``after``."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix, StartAfter=after)
        return (each["Key"] for page in pages for each in page.get("Contents", []))

    def read(self, key: str) -> Any:
        """Return the content of an object of a plan, or ``None`` if it does not exist."""
        try:
            return json.load(self._s3.get_object(Bucket=self._bucket, Key=key)["Body"])
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchKey":
                raise
            return None


def find(stack: str, *, is_local: bool) -> Deployed:
    """Return a deployment, with the credentials, region and endpoint of the environment or those of the local stack.

    Raises
    ------
    CannotRunError
        There is no region, no such stack, or the stack has no ReconcileThumbnails.
    """
    if is_local:
        settings = Settings.from_environment()
        cloudformation, step_functions, s3 = map(settings.client, ("cloudformation", "stepfunctions", "s3"))
    else:
        session = boto3.Session()
        if session.region_name is None:
            raise CannotRunError("No AWS region is set. Next: export AWS_REGION=us-east-1, or your region.")
        cloudformation = session.client("cloudformation", config=_CONFIG)
        step_functions = session.client("stepfunctions", config=_CONFIG)
        s3 = session.client("s3", config=_CONFIG)
    try:
        (described,) = cloudformation.describe_stacks(StackName=stack)["Stacks"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ValidationError":
            raise
        raise CannotRunError(
            f"There is no stack '{stack}' in this account and region. "
            "Next: set STACK=, AWS_REGION or AWS_PROFILE, or use LOCAL=1 after make up."
        ) from error
    outputs = {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", ())}
    if missing := _OUTPUTS - outputs.keys():
        raise CannotRunError(
            f"The stack '{stack}' has no output {min(missing)}. Next: sam build && sam deploy, to add it."
        )
    return Deployed(step_functions, s3, outputs["ReconcileStateMachineArn"], outputs["ThumbnailsBucketName"])


def _execution_of(described: "DescribeExecutionOutputTypeDef") -> Execution:
    output = json.loads(described["output"]) if described["status"] == "SUCCEEDED" else None
    return Execution(
        described["executionArn"],
        described["status"],
        json.loads(described["input"]),
        described["startDate"],
        output,
        described.get("error", ""),
        described.get("cause", ""),
    )
