"""The real handlers in this process, moto in place of AWS."""

import importlib
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import TYPE_CHECKING, Any

import boto3
import moto  # before any handler is imported: it hooks itself into the clients that are made after it
import pytest
from aws_lambda_powertools.metrics.provider.cold_start import reset_cold_start_flag
from moto.awslambda_simple.models import LambdaSimpleBackend
from moto.stepfunctions.parser.backend.execution_worker import ExecutionWorker

from local.template import example_stack
from tests.conftest import ACCOUNT, REGION
from tests.deployed import read_template

if TYPE_CHECKING:
    from moto.core.config import DefaultConfig
    from mypy_boto3_s3 import S3Client

ORIGINALS = "alison-image-originals-01"
THUMBNAILS = "alison-image-thumbnails-01"
STATE_MACHINE_ARN = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:ImageResizeStateMachine"

TOPIC_ARN = f"arn:aws:sns:{REGION}:{ACCOUNT}:thumbnails"
UPLOAD_STATE_MACHINE_ARN = f"{STATE_MACHINE_ARN}-uploads"

# What the functions are deployed with, beside the defaults of the template.
PARAMETERS = {"ThumbnailSizes": "128x128,64x64", "CarriedHeaders": " Content-Disposition, author"}
IDS = {
    "OriginalsBucket": ORIGINALS,
    "ThumbnailsBucket": THUMBNAILS,
    "ImageResizeStateMachine": STATE_MACHINE_ARN,
    "UploadStateMachine": UPLOAD_STATE_MACHINE_ARN,
    "ReconcileThumbnails": f"{STATE_MACHINE_ARN}-reconcile",
    "NotificationsQueue": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/alison-image-notifications-01",
}


@dataclass(frozen=True)
class Context:
    """What Lambda tells a function; the account in the ARN is not the buckets' owner, to tell them apart in logs."""

    function_name: str = "alison-image-resizer"
    memory_limit_in_mb: int = 1769
    invoked_function_arn: str = f"arn:aws:lambda:{REGION}:000000000000:function:alison-image-resizer"
    aws_request_id: str = "6f2c1d8e-0b7a-4c53-9d21-5a1f3b9e7c44"
    remaining_time: int = 30_000

    def get_remaining_time_in_millis(self) -> int:
        return self.remaining_time


@dataclass
class Function:
    """One function of the template: its module, its handler and what it wrote to its log."""

    module: ModuleType
    handler: Callable[[Any, Any], Any]
    _log: io.StringIO = field(default_factory=io.StringIO)

    def __call__(self, event: Any, context: Context | None = None) -> Any:
        return self.handler(event, context or Context())

    def log_text(self) -> str:
        return self._log.getvalue()

    def log(self) -> list[dict[str, Any]]:
        """Every log line is one JSON object."""
        return [json.loads(line) for line in self.log_text().splitlines()]


def environment(logical_id: str, **parameters: str) -> dict[str, str]:
    """Return the environment of a function as CloudFormation would set it."""
    stack = replace(example_stack({**PARAMETERS, **parameters}), physical_ids=IDS)
    stack.pseudo["AWS::AccountId"] = ACCOUNT
    variables = stack.resolve(stack.template["Resources"][logical_id]["Properties"]["Environment"]["Variables"])
    return {name: str(value) for name, value in variables.items()}


def _imported(logical_id: str, **parameters: str) -> tuple[ModuleType, Callable[[Any, Any], Any]]:
    """Import a function as Lambda does: by the template's Handler, with the template's environment."""
    handler = read_template()["Resources"][logical_id]["Properties"]["Handler"]
    module_name, _, name = handler.rpartition(".")
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in environment(logical_id, **parameters).items():
            patch.setenv(variable, value)
        module = importlib.import_module(module_name)
    return module, getattr(module, name)


def _with_log(module: ModuleType, handler: Callable[[Any, Any], Any], patch: pytest.MonkeyPatch) -> Function:
    function = Function(module, handler)
    patch.setattr(module.logger.registered_handler, "stream", function._log)
    return function


@pytest.fixture(autouse=True, scope="session")
def _alone(no_real_aws: None) -> None:
    """Apply to every test of this folder."""


@pytest.fixture(scope="session")
def _session() -> boto3.Session:
    """Keep one session, because each reads megabytes of service descriptions."""
    boto3.setup_default_session()
    return boto3._get_default_session()


@pytest.fixture
def aws(_session: boto3.Session) -> Iterator[boto3.Session]:
    """Give an empty account whose Lambda and Step Functions run what they are given."""
    config: DefaultConfig = {
        "core": {"reset_boto3_session": False},
        "lambda": {"use_docker": False},
        "stepfunctions": {"execute_state_machine": True},
    }
    with moto.mock_aws(config=config):
        yield _session


@pytest.fixture(scope="session")
def _resize() -> tuple[ModuleType, Callable[[Any, Any], Any]]:
    return _imported("ResizeFunction")


@pytest.fixture(scope="session")
def _start_from_s3() -> tuple[ModuleType, Callable[[Any, Any], Any]]:
    return _imported("StartFromS3Function")


@pytest.fixture
def resize(_resize: tuple[ModuleType, Callable[[Any, Any], Any]], monkeypatch: pytest.MonkeyPatch) -> Function:
    reset_cold_start_flag()  # type: ignore[no-untyped-call]  # Powertools gives it no types
    return _with_log(*_resize, monkeypatch)


@pytest.fixture(scope="session")
def _reconcile() -> tuple[ModuleType, Callable[[Any, Any], Any]]:
    return _imported("ReconcileFunction")


@pytest.fixture
def reconcile(_reconcile: tuple[ModuleType, Callable[[Any, Any], Any]], monkeypatch: pytest.MonkeyPatch) -> Function:
    return _with_log(*_reconcile, monkeypatch)


@pytest.fixture(scope="session")
def _notify() -> tuple[ModuleType, Callable[[Any, Any], Any]]:
    return _imported("NotifyFunction", NotificationTopicArn=TOPIC_ARN)


@pytest.fixture
def notify(_notify: tuple[ModuleType, Callable[[Any, Any], Any]], monkeypatch: pytest.MonkeyPatch) -> Function:
    return _with_log(*_notify, monkeypatch)


@pytest.fixture
def start_from_s3(
    _start_from_s3: tuple[ModuleType, Callable[[Any, Any], Any]], monkeypatch: pytest.MonkeyPatch
) -> Function:
    module, handler = _start_from_s3
    for name, value in environment("StartFromS3Function").items():
        monkeypatch.setenv(name, value)
    # It remembers what it has started, as a sandbox does.
    monkeypatch.setattr(module, "_WORKFLOW", module._create_workflow())
    return _with_log(module, handler, monkeypatch)


def run_by_moto(monkeypatch: pytest.MonkeyPatch, invoke: Callable[[str, str, dict[str, str]], bytes]) -> None:
    """Let moto's state machines run at once and in this thread, with a function's code behind each Invoke.

    Parameters
    ----------
    monkeypatch : MonkeyPatch
    invoke : callable
        Gets the ARN of the function, the payload, and the headers of the response to fill in; returns the payload of
        the response.
    """

    def on_invoke(
        _backend: LambdaSimpleBackend,
        function_name: str,
        _qualifier: str | None,
        body: str,
        _headers: Any,
        response_headers: dict[str, str],
    ) -> bytes:
        return invoke(function_name, body, response_headers)

    monkeypatch.setattr(LambdaSimpleBackend, "invoke", on_invoke)
    # StartExecution returns when the execution has ended, so that nothing has to wait for it.
    monkeypatch.setattr(ExecutionWorker, "start", ExecutionWorker._execution_logic)


@pytest.fixture
def s3(aws: boto3.Session) -> "S3Client":
    """Give S3 with the two buckets of the deployment."""
    client = aws.client("s3")
    for bucket in (ORIGINALS, THUMBNAILS):
        client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    return client


@pytest.fixture
def without_waiting(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let botocore's own retries follow at once; gives the seconds it would have waited."""
    waits: list[float] = []
    monkeypatch.setattr("botocore.endpoint.time.sleep", waits.append)
    return waits
