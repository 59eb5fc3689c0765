"""The commands of the local stack, run as a person runs them."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from local.processes import free_port, free_ports, is_port_free
from local.stack import ROOT, Settings, Stack, StackError
from tests.e2e.pipeline import Pipeline
from tests.waiting import wait_for


def make(target: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - the command is ours
        ["make", "--no-print-directory", target],  # noqa: S607 - the system's make
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def curl(url: str, *options: str) -> int:
    """Send a request with the command that the README shows, and give the status."""
    done = subprocess.run(  # noqa: S603 - the command is ours
        ["curl", "--silent", "--output", os.devnull, "--write-out", "%{http_code}", *options, url],  # noqa: S607 - the system's curl
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return int(done.stdout)


@pytest.fixture(scope="module")
def ports() -> Iterator[dict[str, str]]:
    names = ("LOCAL_AWS_PORT", "LOCAL_API_PORT", "LOCAL_GALLERY_PORT")
    environment = {
        **{name: str(port) for name, port in zip(names, free_ports(len(names)), strict=True)},
        "LOCAL_STATE": ".local/e2e-commands",
    }
    # A run that was killed may have left its stack.
    make("down", environment)
    yield environment
    make("down", environment)


def test_make_demo_then_status_then_up_again_then_down(ports: dict[str, str]) -> None:
    demo = make("demo", ports)
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "All 6 thumbnails are there." in demo.stdout
    with Image.open(ROOT / ".local/e2e-commands/demo/thumbnails.png") as picture:
        assert min(picture.size) > 600

    gallery = f"http://127.0.0.1:{ports['LOCAL_GALLERY_PORT']}/"
    assert f"add your own pictures at {gallery}," in demo.stdout
    assert curl(gallery) == 200

    status = make("status", ports)
    assert status.returncode == 0
    assert f"\n  Gallery        {gallery}\n" in status.stdout
    assert f"http://127.0.0.1:{ports['LOCAL_API_PORT']}/prod/resize" in status.stdout

    assert '"message":"resized"' in (ROOT / ".local/e2e-commands/functions.log").read_text()
    assert ".local/e2e-commands/functions.log" in status.stdout
    assert "NotAnImageError" in failed_as_pasted(status.stdout)

    # Offline, because uv finds in its cache what it needed a minute ago and cannot ask this proxy.
    dead = dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9")
    behind_a_proxy = ports | dead | {"NO_PROXY": "example.org", "UV_OFFLINE": "1"}
    again = make("up", behind_a_proxy | {"LOCAL_PARAMETERS": "ApiAuthorization=AWS_IAM"})
    assert again.returncode == 0, again.stdout + again.stderr
    url = f"http://127.0.0.1:{ports['LOCAL_API_PORT']}/prod/executions/unknown"
    assert curl(url) == 403
    assert curl(url, "--aws-sigv4", "aws:amz:us-east-1:execute-api", "--user", "test:wrong") == 403
    assert curl(url, "--aws-sigv4", "aws:amz:us-east-1:execute-api", "--user", "test:test") == 404

    aws = Settings(int(ports["LOCAL_AWS_PORT"]), int(ports["LOCAL_API_PORT"]), ROOT / ports["LOCAL_STATE"], {})
    smoke = make("smoke", aws.environment() | {"API_URL": aws.api})
    assert smoke.returncode == 0, smoke.stdout + smoke.stderr
    assert "✓ an unsigned request is refused: 403" in smoke.stdout

    assert _processes_with(f"GATEWAY_PORT={ports['LOCAL_AWS_PORT']}") != []
    down = make("down", ports)
    assert down.returncode == 0
    for name in ("LOCAL_AWS_PORT", "LOCAL_API_PORT", "LOCAL_GALLERY_PORT"):
        assert is_port_free(int(ports[name])), name
    assert _processes_with(f"GATEWAY_PORT={ports['LOCAL_AWS_PORT']}") == []
    assert make("status", ports).returncode == 2


def failed_as_pasted(status: str) -> str:
    """Upload what is no picture, then run the commands that `make status` prints until they list it."""
    (exports,) = re.findall(r"^  export .*?(?=^  \(|^$)", status, re.DOTALL | re.MULTILINE)
    (commands,) = re.findall(r"^  STATE_MACHINE_ARN=.*?^    done$", status, re.DOTALL | re.MULTILINE)

    def paste(text: str) -> str:
        done = subprocess.run(  # noqa: S603 - commands of our own
            ["bash", "-c", f"{exports}\n{text}"],  # noqa: S607 - the system's bash
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return done.stdout

    paste("echo 'a letter' | aws s3 cp --only-show-errors - s3://alison-image-originals-01/letter.jpg")

    def failed() -> str:
        listed = paste(commands)
        return listed if "letter" in listed else ""

    return wait_for(failed, "the letter in the list of failures")


def test_a_port_in_use_is_one_clear_sentence(pipeline: Pipeline) -> None:
    taken = pipeline.settings.aws_port
    settings = Settings(taken, free_port(), ROOT / ".local" / "e2e-port", {})

    with pytest.raises(StackError) as caught:
        Stack(settings).up()

    assert str(caught.value) == (
        f"Port {taken} is in use by another program. "
        f"Stop it, or choose another port: make up LOCAL_AWS_PORT={taken + 1}"
    )


def test_nothing_listens_outside_loopback(pipeline: Pipeline) -> None:
    for port in pipeline.settings.ports:
        listening = [line for line in _listening() if line.endswith(f":{port:04X}")]
        assert listening == [f"0100007F:{port:04X}"]


def _listening() -> list[str]:
    listen = "0A"
    found = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(table, encoding="ascii") as lines:  # noqa: PTH123 - a table of the kernel, not a path of ours
            rows = [line.split() for line in list(lines)[1:]]
        found += [row[1] for row in rows if row[3] == listen]
    return found


def _processes_with(variable: str) -> list[str]:
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            if variable.encode() in environment.read_bytes().split(b"\0"):
                found.append(environment.parent.name)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            # It ended meanwhile, or is somebody else's.
            continue
    return found
