"""Background processes are found and ended, whatever became of their records."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.processes import Background, HeldError, end_all, hold, seize
from local.records import RecordError, read_record, write_record
from tests.waiting import wait_for

SLEEP = ["/bin/sleep", "60"]
HOLD = """
import pathlib, sys, time
from local.processes import hold
with hold(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def is_alive(pid: int) -> bool:
    # A zombie is not: whoever is its parent by now has only not asked for its status.
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout  # noqa: S603, S607 - the system's ps
    return bool(state) and not state.startswith("Z")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    # Marks must survive such a name.
    folder = tmp_path / "it's a test"
    folder.mkdir()
    yield folder
    end_all(folder)


@contextlib.contextmanager
def holder(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", HOLD, folder], stdout=subprocess.PIPE) as process:  # noqa: S603 - ours
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


def test_a_process_is_known_until_it_is_stopped(folder: Path) -> None:
    process = Background("server", folder)
    process.start(SLEEP, os.environ)
    pid = process.pid()

    assert pid is not None
    assert process.stop()
    assert not is_alive(pid)
    assert process.pid() is None
    assert not process.stop()


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS keeps the date at which a process started, not its age")
def test_a_process_is_known_when_the_clock_was_set(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ps of Linux adds the age of a process to the time of boot, which moves with the clock."""
    process = Background("server", folder)
    process.start(SLEEP, os.environ)
    ps = folder / "ps"
    ps.write_text('#!/bin/sh\n/bin/date "+S %c"\n')
    ps.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    assert process.pid() is not None


def test_a_process_that_ended_at_once_is_no_broken_record(folder: Path) -> None:
    process = Background("server", folder)
    process.start(["/bin/sh", "-c", "exit 1"], os.environ)

    wait_for(lambda: process.pid() is None, "the end of the process")


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "1", '{"pid": "1", "started": "now"}', '{"pid": 1}'])
def test_without_a_readable_record_the_process_is_found_by_its_mark(folder: Path, content: str) -> None:
    process = Background("server", folder)
    process.start(SLEEP, os.environ)
    pid = process.pid()
    assert pid is not None
    (folder / "server.json").write_text(content)

    with pytest.raises(RecordError):
        process.pid()
    assert not process.stop()
    assert is_alive(pid)

    assert end_all(folder)
    assert not is_alive(pid)
    assert process.pid() is None


def test_what_a_process_started_in_a_session_of_its_own_is_ended_with_it(folder: Path) -> None:
    child = (
        "import os, sys, time\nos.setsid() if os.fork() == 0 else None\nprint(os.getpid(), flush=True)\ntime.sleep(60)"
    )
    process = Background("server", folder)
    process.start([sys.executable, "-c", child], os.environ)
    while len(pids := process.log.read_text().split()) < 2:
        time.sleep(0.05)

    process.stop()
    end_all(folder)

    assert [pid for pid in pids if is_alive(int(pid))] == []


def test_processes_of_another_folder_are_left_alone(folder: Path, tmp_path: Path) -> None:
    other = Background("server", tmp_path / "other")
    other.start(SLEEP, os.environ)

    assert not end_all(folder)
    assert other.pid() is not None

    other.stop()


def test_one_command_at_a_time_works_on_a_folder(folder: Path) -> None:
    with holder(folder) as first, pytest.raises(HeldError) as caught, hold(folder):
        pass

    assert caught.value.pid == first.pid


def test_a_command_that_was_killed_holds_nothing(folder: Path) -> None:
    with holder(folder) as first:
        first.kill()
        first.wait()

        with hold(folder):
            pass
        with seize(folder) as was_held:
            assert not was_held


def test_whoever_works_on_a_folder_can_be_ended(folder: Path) -> None:
    with holder(folder) as first, seize(folder) as was_held:
        assert was_held
        assert first.wait(10) == -signal.SIGTERM


def test_nobody_is_ended_because_of_an_old_id(folder: Path) -> None:
    bystander = Background("bystander", folder)
    bystander.start(SLEEP, os.environ)
    with holder(folder):
        # As if the holder had not written its own yet.
        (folder / "lock").write_text(f"{bystander.pid()} Mon Jan  1 00:00:00 2001")

        with pytest.raises(HeldError) as caught, hold(folder):
            pass

    assert caught.value.pid is None
    assert bystander.pid() is not None


def test_a_record_that_cannot_be_written_leaves_the_one_before(tmp_path: Path) -> None:
    record = tmp_path / "record.json"
    write_record(record, [1, 2])
    (tmp_path / "record.new").symlink_to("/dev/full")

    with pytest.raises(OSError, match="No space left"):
        write_record(record, [3, 4])

    assert read_record(record) == [1, 2]
