"""Background processes that continue after the command that started them, until another command ends them."""

import contextlib
import fcntl
import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from local.records import RecordError, read_record, write_record

_TERMINATE_SECONDS = 10.0

# Every process inherits this variable from its parent, so it can be found without a record.
_MARK = "LOCAL_STACK_FOLDER"

# Linux only; macOS does not have it.
_PROC = Path("/proc")
# The start time is field 22, after the id, the name and the state, of which the name may contain spaces.
_START_TICKS = 22 - 4


class Background:
    """One process, with a log and a record of its identity in a folder.

    Parameters
    ----------
    name : str
        Name of the files ``<name>.json`` (the record) and ``<name>.log``.
    folder : Path
        Folder of these files.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._folder = folder
        self._record = folder / f"{name}.json"

    def start(self, command: Sequence[str | Path], environment: Mapping[str, str]) -> None:
        """Start the process in its own session, with its output in the log."""
        self._folder.mkdir(parents=True, exist_ok=True)
        arguments = [str(part) for part in command]
        # Not subprocess.Popen, which expects to wait for its process; this one outlives the command.
        pid = os.posix_spawn(
            arguments[0],
            arguments,
            {**environment, **mark(self._folder)},
            setsid=True,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(self.log), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
        )
        write_record(self._record, _identity(pid))

    def pid(self) -> int | None:
        """Return the id of the process that was started here if it is alive, else ``None``.

        Raises
        ------
        RecordError
            The record is broken.
        """
        record = read_record(self._record)
        if record is None:
            return None
        try:
            return _living(record)
        except (LookupError, TypeError) as error:
            raise RecordError(self._record) from error

    def stop(self) -> bool:
        """End the process and its children; return whether it existed."""
        try:
            pid = self.pid()
        except RecordError:
            # Without the record, only `end_all` finds the process.
            pid = None
        if pid is not None:
            for sign in (signal.SIGTERM, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, sign)
                if _wait_until(lambda: _is_gone(pid)):
                    break
            # Children that ignored the first signal are still in the group after its leader has ended.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        self._record.unlink(missing_ok=True)
        return pid is not None

    def last_words(self, lines: int = 5) -> str:
        """Return the end of the log, for an error message."""
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except FileNotFoundError:
            return ""


def mark(folder: Path) -> dict[str, str]:
    """Return the environment variable by which `end_all` finds a process and its children."""
    # A digest, because ps separates variables by spaces, which a path may contain.
    return {_MARK: hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:32]}


def end_all(folder: Path) -> bool:
    """End every process with the mark of a folder; return whether there was one."""
    found = _marked(folder)
    for sign in (signal.SIGTERM, signal.SIGKILL):
        _send(_marked(folder), sign)
        if _wait_until(lambda: not _marked(folder)):
            break
    return bool(found)


class HeldError(Exception):
    """Another command uses the folder.

    Attributes
    ----------
    pid : int or None
        Its process id, if it is known already.
    """

    def __init__(self, pid: int | None) -> None:
        super().__init__(f"process {pid} uses it")
        self.pid = pid


@contextlib.contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Lock a folder for this process.

    Raises
    ------
    HeldError
    """
    with (folder / "lock").open("a+", encoding="utf-8") as lock:
        if not _take(lock):
            raise HeldError(_holder(lock))
        lock.truncate(0)
        # With the start time, because the file may outlive its process, whose id may then be used by another one.
        lock.write("{pid} {started}".format(**_identity(os.getpid())))
        lock.flush()
        # The kernel releases the lock in any case when this process ends.
        yield


@contextlib.contextmanager
def seize(folder: Path) -> Iterator[bool]:
    """Lock a folder after ending the process that has the lock; yield whether there was one."""
    try:
        lock = (folder / "lock").open(encoding="utf-8")
    except FileNotFoundError:
        yield False
        return
    with lock:
        is_held = not _take(lock)
        for sign in (signal.SIGTERM, signal.SIGKILL) if is_held else ():
            _send([pid for pid in [_holder(lock)] if pid], sign)
            if _wait_until(lambda: _take(lock)):
                break
        yield is_held


def free_port() -> int:
    """Return a port of 127.0.0.1 that is not in use."""
    (port,) = free_ports(1)
    return port


def free_ports(count: int) -> list[int]:
    """Return different ports of 127.0.0.1 that are not in use."""
    with contextlib.ExitStack() as stack:
        # All are bound before the first one is free again, so that none is returned twice.
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def is_port_free(port: int) -> bool:
    """Return whether a server could listen on a port of 127.0.0.1."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Like servers do, so that lingering connections of a server that has ended do not occupy the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _take(lock: TextIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(lock: TextIO) -> int | None:
    lock.seek(0)
    pid, _, started = lock.read().partition(" ")
    return _living({"pid": int(pid), "started": started}) if pid.isdecimal() else None


def _identity(pid: int) -> dict[str, Any]:
    return {"pid": pid, "started": _start_time(pid)}


def _living(identity: Mapping[str, Any]) -> int | None:
    # Ids are used again: only the same id with the same start time is the same process.
    pid, started = identity["pid"], identity["started"]
    if not (isinstance(pid, int) and isinstance(started, str)):
        raise TypeError
    return pid if started and _start_time(pid) == started else None


def _start_time(pid: int) -> str:
    """Return the start time of a process as text; empty if it has ended or is a zombie."""
    if (_PROC / "self").exists():
        # Ticks since boot, proc(5). The date that ps calculates from them changes when the clock is set.
        try:
            _, _, fields = (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(") ")
        except (FileNotFoundError, ProcessLookupError):
            return ""
        state, *numbers = fields.split()
        # Include the boot, because a record may outlive the boot from which its ticks are counted.
        boot = (_PROC / "sys" / "kernel" / "random" / "boot_id").read_text().strip()
        started = f"{boot} {numbers[_START_TICKS]}"
    else:
        state, _, started = _ps("-o", "stat=", "-o", "lstart=", "-p", str(pid)).strip().partition(" ")
    return "" if state.startswith("Z") else started.strip()


def _marked(folder: Path) -> list[int]:
    (marked,) = (f"{name}={value}" for name, value in mark(folder).items())
    # The option E, or e without a hyphen on Linux, adds the environment to the command line.
    options = ["-axEww"] if sys.platform == "darwin" else ["axeww"]
    lines = _ps(*options, "-o", "pid=", "-o", "command=").splitlines()
    return [int(pid) for pid, *words in map(str.split, lines) if marked in words and int(pid) != os.getpid()]


def _ps(*options: str) -> str:
    return subprocess.run(  # noqa: S603 - the command is ours
        ["ps", *options],  # noqa: S607 - the location of ps differs between systems
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        env={**os.environ, "LC_ALL": "C"},
    ).stdout


def _send(pids: Collection[int], sign: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, sign)


def _is_gone(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    return not _start_time(pid)


def _wait_until(probe: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + _TERMINATE_SECONDS
    while time.monotonic() < deadline:
        if probe():
            return True
        time.sleep(0.05)
    return False
