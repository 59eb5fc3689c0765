"""Start, stop and check the local stack.

The template and the tools are the same as for AWS; only ``AWS_ENDPOINT_URL`` differs.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from local import proxies
from local.processes import Background, HeldError, end_all, hold, is_port_free, mark, seize
from local.records import RecordError, read_record, write_record
from local.template import read_template

ROOT = Path(__file__).parents[1]

# Not a secret: the credentials of MiniStack's built-in administrator.
_ACCESS_KEY = "test"
_REGION = "us-east-1"

# The soak uses more threads than the 10 connections that botocore keeps by default.
_CONNECTIONS = 32

_AWS_PORT, _API_PORT, _GALLERY_PORT = 4566, 3000, 3001

_START_SECONDS = 60.0
_DEPLOY_SECONDS = 240.0

# Two builds of 80 MB, and one that MiniStack unpacks.
_SPACE_BYTES = 300_000_000


class StackError(Exception):
    """A command of the local stack failed; the message explains why and what to do."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Ports, folder and parameters of a local stack.

    Attributes
    ----------
    aws_port, api_port : int
        Ports on 127.0.0.1.
    state : Path
        Folder for records, logs and builds.
    parameters : Mapping[str, str]
        Parameters of the template that differ from their defaults.
    stack_name : str
        Name of the CloudFormation stack.
    emulator : Mapping[str, str]
        Environment of MiniStack itself, for settings that no template has, such as how long waits last.
    gallery_port : int or None
        Port of the gallery on 127.0.0.1; ``None`` for a stack without one.
    """

    aws_port: int
    api_port: int
    state: Path
    parameters: Mapping[str, str]
    stack_name: str = "alison-image"
    emulator: Mapping[str, str] = field(default_factory=dict)
    gallery_port: int | None = None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Read LOCAL_AWS_PORT, LOCAL_API_PORT, LOCAL_GALLERY_PORT, LOCAL_STATE and LOCAL_PARAMETERS.

        LOCAL_PARAMETERS has the form ``Name=Value Name="a b"``.

        If the stack is running, ports that are not set are those of the running stack.

        Raises
        ------
        StackError
            A port, a parameter or a record cannot be read.
        """
        state = state_folder(environ)
        try:
            aws_port, api_port, gallery_port = _ports_in_use(state) or (_AWS_PORT, _API_PORT, _GALLERY_PORT)
            for process in _servers(state):
                process.pid()
        except RecordError as error:
            raise StackError(f"The file {shown(error.path)} is damaged. Run: make down") from error
        return cls(
            aws_port=_port(environ, "LOCAL_AWS_PORT", aws_port),
            api_port=_port(environ, "LOCAL_API_PORT", api_port),
            state=state,
            # Unsigned on purpose, so that a developer's first curl works. Nobody outside this machine can call the API.
            parameters={"ApiAuthorization": "NONE", **_parameters(environ.get("LOCAL_PARAMETERS", ""))},
            gallery_port=_port(environ, "LOCAL_GALLERY_PORT", gallery_port or _GALLERY_PORT),
        )

    @property
    def endpoint(self) -> str:
        """Return the AWS endpoint."""
        return f"http://127.0.0.1:{self.aws_port}"

    @property
    def api(self) -> str:
        """Return the URL for posting resize requests."""
        return f"http://127.0.0.1:{self.api_port}/prod/resize"

    @property
    def gallery(self) -> str:
        """Return the URL of the gallery."""
        return f"http://127.0.0.1:{self.gallery_port}/"

    @property
    def ports(self) -> tuple[int, int, int | None]:
        """Return the ports in the format of a running stack's record."""
        return self.aws_port, self.api_port, self.gallery_port

    def environment(self) -> dict[str, str]:
        """Return an environment in which stock AWS tools can call only this stack."""
        foreign = proxies(os.environ)
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith("AWS_") and name not in foreign
        }
        return inherited | {
            **mark(self.state),
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": _ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": _ACCESS_KEY,
            "AWS_DEFAULT_REGION": _REGION,
            "AWS_REGION": _REGION,
            # Without the user's own profiles, endpoints and keys.
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_PAGER": "",
            "SAM_CLI_TELEMETRY": "0",
        }

    def client(self, service: str) -> Any:
        """Return a boto3 client for this stack, independent of the user's profiles."""
        return boto3.client(
            service,  # type: ignore[call-overload]  # the overloads need a literal
            endpoint_url=self.endpoint,
            region_name=_REGION,
            aws_access_key_id=_ACCESS_KEY,
            aws_secret_access_key=_ACCESS_KEY,
            config=Config(max_pool_connections=_CONNECTIONS),
        )


class Stack:
    """The local stack of one state folder.

    Parameters
    ----------
    settings : Settings
    say : callable
        Called with each line of progress.
    """

    def __init__(self, settings: Settings, say: Callable[[str], None] = print) -> None:
        self.settings = settings
        self._say = say
        self._aws, self._gateway, self._gallery = _servers(settings.state)

    def up(self, before_deploy: Callable[[Path], None] | None = None) -> None:
        """Start the servers that are not running, then build and deploy the current template.

        Parameters
        ----------
        before_deploy : callable, optional
            Called with the folder of the built functions.

        Raises
        ------
        StackError
        """
        self.settings.state.mkdir(parents=True, exist_ok=True)
        try:
            with hold(self.settings.state):
                self._up(before_deploy)
        except HeldError as error:
            raise StackError(
                f"Another command (process {error.pid or 'unknown'}) is starting this stack. "
                "Wait until it has ended, or stop it and the stack: make down"
            ) from error

    def _up(self, before_deploy: Callable[[Path], None] | None) -> None:
        if self._aws.pid() is None:
            # Servers may remain from a command that was killed, or from a folder that was deleted while the stack ran.
            end_all(self.settings.state)
        self._check_ports()
        self._check_space()
        write_record(_ports_file(self.settings.state), self.settings.ports)
        self._start_aws()
        self._build()
        if before_deploy is not None:
            before_deploy(self.settings.state / "build")
        self._deploy()
        self._start_gateway()
        if self.settings.gallery_port is not None:
            self._start_gallery()

    def down(self) -> bool:
        """Stop everything that `up` started, and delete its buckets; return whether anything was running."""
        return down(self.settings.state)

    def missing(self) -> list[str]:
        """Return the names of the servers that do not run or do not respond."""
        servers = {
            "MiniStack": (self._aws, self._aws_health),
            "the API gateway": (self._gateway, self._gateway_health),
        }
        if self.settings.gallery_port is not None:
            servers["the gallery"] = (self._gallery, self._gallery_health)
        return [name for name, (process, url) in servers.items() if process.pid() is None or not _answers(url)]

    def outputs(self) -> dict[str, str]:
        """Return the outputs of the deployed stack.

        Raises
        ------
        StackError
        """
        answer = self.aws(
            "cloudformation", "describe-stacks", "--stack-name", self.settings.stack_name, "--output", "json"
        )
        return {output["OutputKey"]: output["OutputValue"] for output in json.loads(answer)["Stacks"][0]["Outputs"]}

    def aws(self, *arguments: str) -> str:
        """Run the stock AWS CLI against this stack and return its output.

        Raises
        ------
        StackError
        """
        # Version 1 of the AWS CLI sends `aws sqs` to AWS's public name unless the endpoint is an argument.
        command: list[str | Path] = [_tool("awscli", "aws"), "--endpoint-url", self.settings.endpoint, *arguments]
        return self._run("aws cli", command, 120)

    def aws_pid(self) -> int:
        """Return the process id of MiniStack.

        Raises
        ------
        StackError
            MiniStack does not run.
        """
        if (pid := self._aws.pid()) is None:
            raise StackError(f"MiniStack stopped: {self._aws.last_words()} (full log: {shown(self._aws.log)})")
        return pid

    def scratch(self) -> Path:
        """Return the folder in which MiniStack unpacks and runs the functions."""
        return _scratch(self.settings.state)

    @property
    def _aws_health(self) -> str:
        return f"{self.settings.endpoint}/_ministack/health"

    @property
    def _gateway_health(self) -> str:
        return f"http://127.0.0.1:{self.settings.api_port}/_gateway/health"

    @property
    def _gallery_health(self) -> str:
        return f"{self.settings.gallery}_gallery/health"

    def _start_aws(self) -> None:
        if self._aws.pid() is not None and _answers(self._aws_health):
            return
        self._aws.stop()
        self._say("Starting MiniStack, the local AWS …")
        scratch = self.scratch()
        scratch.mkdir(exist_ok=True)
        environment = {
            **self.settings.environment(),
            **self.settings.emulator,
            "GATEWAY_PORT": str(self.settings.aws_port),
            "AUTH": "true",
            "LOCAL_FUNCTIONS_LOG": str(functions_log(self.settings.state)),
            "TMPDIR": str(scratch),
            "PYTHONPATH": str(ROOT),
            # For the functions, which inherit it: StartSyncExecution would call a host "sync-127.0.0.1".
            "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
        }
        # MiniStack itself must not call its own endpoint.
        del environment["AWS_ENDPOINT_URL"]
        command: list[str | Path] = [
            *(_tool("ministack", "python"), "-m", "hypercorn", "local.aws.app:app"),
            *("--bind", f"127.0.0.1:{self.settings.aws_port}", "--keep-alive", "75", "--log-level", "WARNING"),
        ]
        self._aws.start(command, environment)
        wait_for(self._aws, self._aws_health, "MiniStack")

    def _start_gateway(self) -> None:
        # Always restart it, because it reads the deployed API when it starts.
        self._gateway.stop()
        self._say("Starting the API gateway …")
        command: list[str | Path] = [
            *(sys.executable, "-m", "local.gateway", "--endpoint", self.settings.endpoint),
            *("--stack", self.settings.stack_name, "--port", str(self.settings.api_port)),
        ]
        self._gateway.start(command, self.settings.environment() | {"PYTHONPATH": str(ROOT)})
        wait_for(self._gateway, self._gateway_health, "the API gateway")

    def _start_gallery(self) -> None:
        # Always restart it, because it reads the deployed stack when it starts.
        self._gallery.stop()
        self._say("Starting the gallery …")
        command: list[str | Path] = [
            *(sys.executable, "-m", "local.gallery", "--endpoint", self.settings.endpoint, "--api", self.settings.api),
            *("--stack", self.settings.stack_name, "--port", str(self.settings.gallery_port)),
        ]
        self._gallery.start(command, self.settings.environment() | {"PYTHONPATH": str(ROOT)})
        wait_for(self._gallery, self._gallery_health, "the gallery")

    def _build(self) -> None:
        self._say("Building the functions (sam build) …")
        # sam empties the folder before it builds, so a failed build would delete the last good one.
        build, unfinished = self.settings.state / "build", self.settings.state / "build.new"
        command: list[str | Path] = [
            *(_tool("sam", "sam"), "build", "--build-dir", unfinished, "--template-file", ROOT / "template.yaml"),
        ]
        environment = {
            "ARCHITECTURE": "host",
            "BUILD_PYTHON": str(_tool("ministack", "python")),
            # uv downloads packages.
            **proxies(os.environ),
        }
        self._run("sam build", command, _DEPLOY_SECONDS, environment)
        shutil.rmtree(build, ignore_errors=True)
        unfinished.rename(build)

    def _deploy(self) -> None:
        self._say("Deploying template.yaml (sam deploy) …")
        defaults = _template_defaults()
        unknown = sorted(self.settings.parameters.keys() - defaults.keys())
        if unknown:
            raise StackError(f"The template has no parameter {unknown[0]}. It has {', '.join(sorted(defaults))}.")
        # Set all parameters, because an omitted one keeps its value of the previous deployment.
        values = {**defaults, **self.settings.parameters}
        parameters = [f'{name}="{value}"' for name, value in values.items()]
        command: list[str | Path] = [
            *(_tool("sam", "sam"), "deploy", "--template-file", self.settings.state / "build" / "template.yaml"),
            *("--stack-name", self.settings.stack_name, "--capabilities", "CAPABILITY_IAM", "--resolve-s3"),
            *("--no-confirm-changeset", "--no-fail-on-empty-changeset", "--no-progressbar"),
            *("--parameter-overrides", *parameters),
        ]
        self._run("sam deploy", command, _DEPLOY_SECONDS)
        self._set_concurrency()

    def _set_concurrency(self) -> None:
        # MiniStack 1.5.33 keeps a number from a parameter of the template as text, so its queue poller fails when it
        # compares it with a number. If the API sets the same value, it is a number.
        mappings = json.loads(self.aws("lambda", "list-event-source-mappings", "--output", "json"))
        for mapping in mappings["EventSourceMappings"]:
            if "ScalingConfig" in mapping:
                concurrency = f"MaximumConcurrency={mapping['ScalingConfig']['MaximumConcurrency']}"
                self.aws(
                    *("lambda", "update-event-source-mapping", "--uuid", mapping["UUID"]),
                    *("--scaling-config", concurrency),
                )

    def _run(self, what: str, command: list[str | Path], seconds: float, more: Mapping[str, str] | None = None) -> str:
        log = self.settings.state / f"{what.replace(' ', '-')}.log"
        try:
            done: subprocess.CompletedProcess[str] = subprocess.run(  # noqa: S603 - the command is ours
                [str(part) for part in command],
                env={**self.settings.environment(), **(more or {})},
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise StackError(f"{what} did not finish within {seconds:.0f} seconds.") from error
        log.write_text(done.stdout + done.stderr)
        if done.returncode:
            lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
            reason = [line for line in lines if "error:" in line.lower() or "error occurred" in line][-2:] or lines[-2:]
            raise StackError(f"{what} failed: {' '.join(reason)} (full log: {shown(log)})")
        return done.stdout

    def _check_ports(self) -> None:
        servers = {
            "LOCAL_AWS_PORT": (self._aws, self.settings.aws_port),
            "LOCAL_API_PORT": (self._gateway, self.settings.api_port),
            "LOCAL_GALLERY_PORT": (self._gallery, self.settings.gallery_port),
        }
        chosen: dict[int, str] = {}
        for variable, (_, port) in servers.items():
            if port in chosen:
                raise StackError(
                    f"{chosen[port]} and {variable} are both {port}. "
                    f"Choose another port for one of them: make up {variable}={port + 1}"
                )
            if port is not None:
                chosen[port] = variable
        in_use, wanted = _ports_in_use(self.settings.state), self.settings.ports
        if self._aws.pid() is not None and in_use not in {None, wanted}:
            raise StackError(f"The local stack runs on the ports {in_use}, not {wanted}. Stop it first: make down")
        for variable, (process, port) in servers.items():
            if port is not None and process.pid() is None and not is_port_free(port):
                raise StackError(
                    f"Port {port} is in use by another program. "
                    f"Stop it, or choose another port: make up {variable}={port + 1}"
                )

    def _check_space(self) -> None:
        free = shutil.disk_usage(self.settings.state).free
        if free < _SPACE_BYTES:
            raise StackError(
                f"The disk is full: {shown(self.settings.state)} has {free // 1_000_000} MB left and needs "
                f"{_SPACE_BYTES // 1_000_000} MB. Free some space, or choose a folder elsewhere with LOCAL_STATE"
            )


def down(state: Path) -> bool:
    """End all processes of a state folder, even without its records; return whether there were any."""
    with seize(state) as was_coming_up:
        ended = [was_coming_up, *(process.stop() for process in reversed(_servers(state))), end_all(state)]
        _ports_file(state).unlink(missing_ok=True)
        shutil.rmtree(_scratch(state), ignore_errors=True)
    return any(ended)


def wait_for(process: Background, url: str, name: str) -> None:
    """Wait until a started server responds at a URL.

    Parameters
    ----------
    process : Background
    url : str
    name : str
        Name of the server, for messages.

    Raises
    ------
    StackError
        The server ended, or did not respond in time.
    """
    deadline = time.monotonic() + _START_SECONDS
    while not _answers(url):
        if process.pid() is None:
            raise StackError(f"{name} stopped immediately: {process.last_words()} (full log: {shown(process.log)})")
        if time.monotonic() > deadline:
            raise StackError(f"{name} did not answer within {_START_SECONDS:.0f} seconds; see {shown(process.log)}.")
        time.sleep(0.1)


def state_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder for records, logs and builds."""
    return ROOT / (environ.get("LOCAL_STATE") or ".local")


def functions_log(state: Path) -> Path:
    """Return the file with the output of the functions."""
    return state / "functions.log"


def _servers(state: Path) -> tuple[Background, Background, Background]:
    return Background("aws", state), Background("gateway", state), Background("gallery", state)


def _scratch(state: Path) -> Path:
    return state / "tmp"


def _tool(environment: str, name: str) -> Path:
    path = ROOT / ".tools" / environment / "bin" / name
    if not path.exists():
        raise StackError(f"The tool '{name}' is not installed. Run: make setup")
    return path


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - a loopback URL of ours
            return bool(answer.status == 200)  # noqa: PLR2004 - HTTP OK
    except (urllib.error.URLError, OSError):
        return False


def _port(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name) or str(default)
    if not text.isdecimal() or not 1024 <= int(text) <= 65535:  # noqa: PLR2004 - the range of unprivileged ports
        raise StackError(f"{name} is '{text}'; it must be a port from 1024 to 65535.")
    return int(text)


def _parameters(text: str) -> dict[str, str]:
    parameters = {}
    for part in shlex.split(text):
        name, equals, value = part.partition("=")
        if not (name and equals):
            raise StackError(f"LOCAL_PARAMETERS has '{part}', but it must be Name=Value, with quotes around spaces.")
        parameters[name] = value
    return parameters


def _template_defaults() -> dict[str, str]:
    return {name: str(parameter["Default"]) for name, parameter in read_template()["Parameters"].items()}


def _ports_file(state: Path) -> Path:
    return state / "ports.json"


def _ports_in_use(state: Path) -> tuple[int, int, int | None] | None:
    ports = read_record(_ports_file(state))
    match ports:
        case None:
            return None
        case [int(aws_port), int(api_port), int() | None as gallery_port]:
            return aws_port, api_port, gallery_port
        case _:
            raise RecordError(_ports_file(state))


def shown(path: Path) -> str:
    """Return a path relative to the root of the project if it is below it."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
