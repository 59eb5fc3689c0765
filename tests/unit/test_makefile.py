"""What the root Makefile leaves to the programs that it starts, and how its commands end."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.deployed import ROOT

OURS = {"SSL_CERT_FILE", "UV_DEFAULT_INDEX", "UV_SYSTEM_CERTS", "PIP_CERT", "REQUESTS_CA_BUNDLE", "PIP_INDEX_URL"}
FOREIGN = OURS | {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}


def make(*arguments: str, **environment: str) -> list[str]:
    done = subprocess.run(  # noqa: S603 - ours
        ["make", "--silent", *arguments],  # noqa: S607 - the system's make
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name not in FOREIGN} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("given", "got"),
    [
        ({}, {"UV_SYSTEM_CERTS": "true"}),
        ({"PIP_CERT": "/a b.pem"}, {"SSL_CERT_FILE": "/a b.pem"}),
        ({"REQUESTS_CA_BUNDLE": "/a.pem", "SSL_CERT_FILE": ""}, {"SSL_CERT_FILE": "/a.pem"}),
        ({"PIP_CERT": "/a.pem", "SSL_CERT_FILE": "/b.pem"}, {"SSL_CERT_FILE": "/b.pem"}),
        ({"PIP_INDEX_URL": "https://mirror.example.org/"}, {"UV_DEFAULT_INDEX": "https://mirror.example.org/"}),
        ({"UV_SYSTEM_CERTS": "false"}, {"UV_SYSTEM_CERTS": "false"}),
    ],
)
def test_certificates_and_mirrors_reach_uv(given: dict[str, str], got: dict[str, str]) -> None:
    environment = dict(line.split("=", 1) for line in make("--eval", "show: ; env", "show", **given) if "=" in line)

    expected = {"UV_SYSTEM_CERTS": "true"} | given | got
    assert {name: environment[name] for name in OURS & environment.keys()} == expected


@pytest.mark.parametrize("command", ["lint", "unit", "test", "build", "openapi", "pins", "setup"])
def test_a_command_ends_with_what_is_next(command: str) -> None:
    assert "Next: " in make("--dry-run", command)[-1]


def test_a_failed_build_leaves_the_last_good_one(tmp_path: Path) -> None:
    # Without what `setup` would do first, which depends on what is installed.
    recipe = "\n".join(
        make(
            "--dry-run",
            *(f"--old-file={name}" for name in ("setup", ".venv/.installed", "api/definition.json")),
            "build",
        )
    )
    sam = tmp_path / ".tools" / "sam" / "bin" / "sam"
    sam.parent.mkdir(parents=True)
    sam.write_text('#!/bin/sh\nrm -rf "$3"\nexit 1\n')
    sam.chmod(0o755)
    built = tmp_path / ".aws-sam" / "build"
    built.mkdir(parents=True)

    done = subprocess.run(["/bin/sh", "-ec", recipe], cwd=tmp_path, capture_output=True, check=False)  # noqa: S603 - ours

    assert done.returncode == 1
    assert built.is_dir()
