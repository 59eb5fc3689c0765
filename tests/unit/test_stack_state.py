"""What keeps the local stack from coming up is one sentence, before anything is built."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from local import __main__ as command_line
from local import stack as stack_module
from local.processes import Background
from local.stack import Settings, Stack, StackError, down

AWS_PORT, API_PORT, GALLERY_PORT = 14753, 13753, 13754

HOLD = """
import pathlib, sys
from local.processes import hold
with hold(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    input()
"""


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a state folder of its own, for a stack that must neither start nor build anything."""
    state = tmp_path / "state"
    state.mkdir()
    monkeypatch.setenv("LOCAL_STATE", str(state))
    monkeypatch.setenv("LOCAL_AWS_PORT", str(AWS_PORT))
    monkeypatch.setenv("LOCAL_API_PORT", str(API_PORT))
    monkeypatch.setenv("LOCAL_GALLERY_PORT", str(GALLERY_PORT))
    monkeypatch.setattr(stack_module, "is_port_free", lambda _port: True)
    for step in ("_start_aws", "_build", "_deploy", "_start_gateway", "_start_gallery"):
        monkeypatch.setattr(Stack, step, lambda _self: pytest.fail("the stack was not to come up"))
    yield state
    down(state)


def run(monkeypatch: pytest.MonkeyPatch, command: str) -> int:
    monkeypatch.setattr(sys, "argv", ["local", command])
    return command_line.main()


@pytest.mark.parametrize("content", ["", "[1", "[1, 2]", '{"pid": 1}', '["1", "2", "3"]', "7"])
@pytest.mark.parametrize("name", ["ports.json", "aws.json", "gateway.json", "gallery.json"])
def test_a_broken_record(
    state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, content: str
) -> None:
    (state / name).write_text(content)

    for command in ("up", "status"):
        assert run(monkeypatch, command) == 1
        assert capsys.readouterr().err == f"Error: The file {state / name} is damaged. Run: make down\n"

    assert run(monkeypatch, "down") == 0
    assert not (state / name).exists()
    assert run(monkeypatch, "status") == 1
    out = capsys.readouterr().out
    assert "The local stack is not up. Not running: MiniStack, the API gateway, the gallery.\n" in out


def test_down_ends_a_server_whose_record_is_gone(
    state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server = Background("aws", state)
    server.start(["/bin/sleep", "60"], os.environ)
    pid = server.pid()
    shutil.rmtree(state)

    assert run(monkeypatch, "down") == 0

    assert capsys.readouterr().out.startswith("The local stack is stopped")
    assert subprocess.run(["ps", "-p", str(pid), "-o", "stat="], capture_output=True, check=False).stdout[:1] in {  # noqa: S603, S607 - ours
        b"",
        b"Z",
    }


@pytest.mark.usefixtures("state")
@pytest.mark.parametrize(
    ("first", "second", "port"),
    [("LOCAL_AWS_PORT", "LOCAL_API_PORT", AWS_PORT), ("LOCAL_API_PORT", "LOCAL_GALLERY_PORT", API_PORT)],
)
def test_the_same_number_for_two_ports(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], first: str, second: str, port: int
) -> None:
    monkeypatch.setenv(second, str(port))

    assert run(monkeypatch, "up") == 1

    assert capsys.readouterr().err == (
        f"Error: {first} and {second} are both {port}. "
        f"Choose another port for one of them: make up {second}={port + 1}\n"
    )


@pytest.mark.parametrize("gallery_port", [3001, None])
def test_a_stack_that_runs_keeps_its_ports(
    state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], gallery_port: int | None
) -> None:
    (state / "ports.json").write_text(json.dumps([AWS_PORT, API_PORT, gallery_port]))
    Background("aws", state).start(["/bin/sleep", "60"], os.environ)

    assert run(monkeypatch, "up") == 1

    assert capsys.readouterr().err == (
        f"Error: The local stack runs on the ports ({AWS_PORT}, {API_PORT}, {gallery_port}), "
        f"not ({AWS_PORT}, {API_PORT}, {GALLERY_PORT}). Stop it first: make down\n"
    )


def test_a_disk_that_is_almost_full(
    state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=12_345_678))

    assert run(monkeypatch, "up") == 1

    assert capsys.readouterr().err == (
        f"Error: The disk is full: {state} has 12 MB left and needs 300 MB. "
        "Free some space, or choose a folder elsewhere with LOCAL_STATE\n"
    )


def test_a_disk_that_is_full(state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (state / "ports.new").symlink_to("/dev/full")

    assert run(monkeypatch, "up") == 1

    assert capsys.readouterr().err == (
        f"Error: cannot write {state}: No space left on device. Free some space, then: make up\n"
    )


def test_two_commands_at_once(state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with subprocess.Popen(  # noqa: S603 - ours
        [sys.executable, "-c", HOLD, state], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as first:
        assert first.stdout is not None
        first.stdout.readline()

        assert run(monkeypatch, "up") == 1
        assert capsys.readouterr().err == (
            f"Error: Another command (process {first.pid}) is starting this stack. "
            "Wait until it has ended, or stop it and the stack: make down\n"
        )

        assert run(monkeypatch, "down") == 0
        assert first.wait(10) != 0


class TestBuild:
    """`sam build`, played by a script that writes down its environment and then does as it is told."""

    @pytest.fixture
    def stack(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stack:
        sam = tmp_path / "sam"
        sam.write_text('#!/bin/sh\nrm -rf "$3" && mkdir "$3" && env >"$3/environment"\nexit $SAM_STATUS\n')
        sam.chmod(0o755)
        monkeypatch.setattr(stack_module, "_tool", lambda _environment, _name: sam)
        state = tmp_path / "it's a test"
        (state / "build").mkdir(parents=True)
        (state / "build" / "environment").write_text("the last good build")
        return Stack(Settings(AWS_PORT, API_PORT, state, {}), lambda _line: None)

    def test_a_failed_build_leaves_the_last_good_one(self, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SAM_STATUS", "1")

        with pytest.raises(StackError, match="sam build failed"):
            stack._build()

        assert (stack.settings.state / "build" / "environment").read_text() == "the last good build"

    def test_a_build_downloads_through_the_proxy_that_nobody_else_asks(
        self, stack: Stack, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SAM_STATUS", "0")
        monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")

        stack._build()

        environment = (stack.settings.state / "build" / "environment").read_text().splitlines()
        assert "https_proxy=http://127.0.0.1:9" in environment
        assert "https_proxy" not in stack.settings.environment()
