"""The pipeline of a soak: its own local stack, with the fault proxy between the functions and AWS."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.pipeline import Pipeline, own_stack
from local.processes import Background, free_port
from local.stack import ROOT, Stack, StackError, wait_for
from soak.plan import RACE_FOLDER
from soak.safeguards import switch_off

SIZES = ("64x64", "128x96")

# Retries wait a tenth of their time, and returned messages are visible again much sooner than in the template. The
# order of events stays the same, and the run ends in minutes. An Express execution runs while its message is hidden.
_WAIT_SCALE = "0.1"
_VISIBILITY_SECONDS = {"STANDARD": 12, "EXPRESS": 45}

_LOG_GROUP = "/aws/vendedlogs/states/alison-image-image-resize"


@dataclass(frozen=True, slots=True)
class Faults:
    """The options that determine the faults of the proxy.

    Attributes
    ----------
    seed : int
    rate : float
        Multiplies the share of every fault; 0 leaves only the forced races.
    """

    seed: int
    rate: float


class Deployment(Pipeline):
    """The deployed pipeline, with changes for a soak. Requests of the soak itself bypass the proxy and get no faults.

    Attributes
    ----------
    log_group : str
        Log group of the state machines, which lists Express executions; empty if uploads are Standard executions.
    """

    def __init__(self, stack: Stack, fault_log: Path) -> None:
        super().__init__(stack)
        self._workflow = stack.settings.parameters["UploadWorkflow"]
        self.api = stack.settings.api
        self.fault_log = fault_log
        self.log_group = _LOG_GROUP if self._workflow == "EXPRESS" else ""
        # A second queue gets a copy of each event, so that the events that are delivered again are real ones.
        self.copies = self.sqs.create_queue(QueueName="soak-copies-of-events")["QueueUrl"]

    def route_functions_through(self, proxy: str) -> None:
        """Set the proxy as the AWS endpoint of every function."""
        functions = self.client("lambda")
        for page in functions.get_paginator("list_functions").paginate():
            for function in page["Functions"]:
                variables = function["Environment"]["Variables"] | {"AWS_ENDPOINT_URL": proxy}
                functions.update_function_configuration(
                    FunctionName=function["FunctionName"], Environment={"Variables": variables}
                )

    def return_messages_sooner(self) -> None:
        """Shorten the time after which a failed message is visible again."""
        self.sqs.set_queue_attributes(
            QueueUrl=self.uploads_queue, Attributes={"VisibilityTimeout": str(_VISIBILITY_SECONDS[self._workflow])}
        )

    def copy_events(self) -> None:
        """Configure the originals bucket to send each event also to the queue of copies."""
        copies = self._queue_arn(self.copies)
        allow = {
            "Effect": "Allow",
            "Principal": {"Service": "s3.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": copies,
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
        self.sqs.set_queue_attributes(QueueUrl=self.copies, Attributes={"Policy": policy})
        present = self.s3.get_bucket_notification_configuration(Bucket=self.originals)["QueueConfigurations"]
        self.s3.put_bucket_notification_configuration(
            Bucket=self.originals,
            NotificationConfiguration={
                "QueueConfigurations": [*present, {"QueueArn": copies, "Events": ["s3:ObjectCreated:*"]}]
            },
        )

    def faults(self) -> list[dict[str, Any]]:
        """Read the faults that the proxy has injected so far."""
        if not self.fault_log.exists():
            return []
        lines = self.fault_log.read_text(encoding="utf-8").splitlines(keepends=True)
        # The last line may be incomplete.
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def _queue_arn(self, url: str) -> str:
        attributes = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
        return attributes["QueueArn"]


@contextmanager
def deployed(state: Path, faults: Faults, without: Sequence[str], workflow: str) -> Iterator[Deployment]:
    """Start the pipeline with faults, and stop everything afterwards.

    Parameters
    ----------
    state : Path
        Folder for records, logs and builds.
    faults : Faults
    without : sequence of str
        Safeguards to remove from the built functions, of ``safeguards.SAFEGUARDS``.
    workflow : str
        ``STANDARD`` or ``EXPRESS``.

    Raises
    ------
    StackError
    """
    parameters = {
        "ThumbnailSizes": ",".join(SIZES),
        "UploadWorkflow": workflow,
        # So that Express executions can be read.
        "WorkflowLogLevel": "ALL",
        "WorkflowLogData": "true",
    }
    proxy = Background("proxy", state)
    proxy.stop()
    try:
        with own_stack(
            state, parameters, {"SFN_WAIT_SCALE": _WAIT_SCALE}, lambda build: switch_off(without, build)
        ) as stack:
            fault_log = state / "faults.jsonl"
            fault_log.unlink(missing_ok=True)
            deployment = Deployment(stack, fault_log)
            print("Starting the fault proxy …", flush=True)
            deployment.route_functions_through(_start(proxy, stack, faults, fault_log))
            deployment.return_messages_sooner()
            deployment.copy_events()
            yield deployment
    finally:
        proxy.stop()


def _start(proxy: Background, stack: Stack, faults: Faults, fault_log: Path) -> str:
    program = ROOT / ".tools" / "soak" / "bin" / "mitmdump"
    if not program.exists():
        raise StackError("The fault proxy is not installed. Next: make soak")
    port = free_port()
    options = {
        "confdir": stack.settings.state / "mitmproxy",
        # Keep the Host header, because the signature of a request includes it.
        "keep_host_header": "true",
        "soak_seed": faults.seed,
        "soak_rate": faults.rate,
        "soak_hold": f"/{RACE_FOLDER}",
        "soak_log": fault_log,
        "soak_pid": stack.aws_pid(),
        "soak_scratch": stack.scratch(),
    }
    command: list[str | Path] = [
        *(program, "--mode", f"reverse:{stack.settings.endpoint}", "--quiet", "--scripts", ROOT / "soak" / "faults.py"),
        *("--listen-host", "127.0.0.1", "--listen-port", str(port)),
        *(part for name, value in options.items() for part in ("--set", f"{name}={value}")),
    ]
    proxy.start(command, stack.settings.environment())
    url = f"http://127.0.0.1:{port}"
    # The add-on answers this request. If mitmdump could not load it, it would pass all requests unchanged.
    wait_for(proxy, f"{url}/_soak/health", "The fault proxy")
    return url
