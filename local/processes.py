"""Background processes that outlive the command that started them, and are ended by the command that ends them."""

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

# Every process inherits this variable from what started it, so it is found without a record of it.
_MARK = "LOCAL_STACK_FOLDER"

# Of Linux; macOS has none.
_PROC = Path("/proc")
# Field 22 of a line whose first three are the id, the name and the state.
_START_TICKS = 22 - 4


class Background:
    """One process with its log and a record of its identity, kept in a folder.

    Parameters
    ----------
    name : str
        Names the files ``<name>.json`` (the record) and ``<name>.log``.
    folder : Path
        Where they are kept.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._folder = folder
        self._record = folder / f"{name}.json"

    def start(self, command: Sequence[str | Path], environment: Mapping[str, str]) -> None:
        """Start the process in a session of its own, its output going to the log."""
        self._folder.mkdir(parents=True, exist_ok=True)
        arguments = [str(part) for part in command]
        # Not subprocess.Popen: that object wants to see the end of its process, which outlives this one.
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
        """Return the process id while the process that was started here is alive.

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
        """End the process and what it started; return whether there was one."""
        try:
            pid = self.pid()
        except RecordError:
            # Then only `end_all` finds the process.
            pid = None
        if pid is not None:
            for sign in (signal.SIGTERM, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, sign)
                if _wait_until(lambda: _is_gone(pid)):
                    break
            # Children that ignored the first signal are still in the group when its leader is gone.
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
    """Return the variable of the environment by which `end_all` finds a process and all that it starts."""
    # A digest, because ps separates variables by spaces and a path may contain some.
    return {_MARK: hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:32]}


def end_all(folder: Path) -> bool:
    """End every process that has the mark of a folder; return whether there was one."""
    found = _marked(folder)
    for sign in (signal.SIGTERM, signal.SIGKILL):
        _send(_marked(folder), sign)
        if _wait_until(lambda: not _marked(folder)):
            break
    return bool(found)


class HeldError(Exception):
    """Another command works on the folder.

    Attributes
    ----------
    pid : int or None
        Its process, if that is known already.
    """

    def __init__(self, pid: int | None) -> None:
        super().__init__(f"process {pid} works on it")
        self.pid = pid


@contextlib.contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Work on a folder alone.

    Raises
    ------
    HeldError
    """
    with (folder / "lock").open("a+", encoding="utf-8") as lock:
        if not _take(lock):
            raise HeldError(_holder(lock))
        lock.truncate(0)
        # Identified like any process: the text may outlive its writer, whose id may then be another's.
        lock.write("{pid} {started}".format(**_identity(os.getpid())))
        lock.flush()
        # The kernel releases the lock, however this process ends.
        yield


@contextlib.contextmanager
def seize(folder: Path) -> Iterator[bool]:
    """Work on a folder alone, after ending whoever else does; yield whether there was somebody."""
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
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_port_free(port: int) -> bool:
    """Return whether a server could listen on a port of 127.0.0.1."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: connections that linger from a server that ended do not keep the port.
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
    """Return when a process started, as text, or nothing for one that is gone or a zombie."""
    if (_PROC / "self").exists():
        # Ticks since boot, proc(5). The date that ps makes of them changes whenever the clock is set.
        try:
            _, _, fields = (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(") ")
        except (FileNotFoundError, ProcessLookupError):
            return ""
        state, *numbers = fields.split()
        # A record may outlive the boot that its ticks are counted from.
        boot = (_PROC / "sys" / "kernel" / "random" / "boot_id").read_text().strip()
        started = f"{boot} {numbers[_START_TICKS]}"
    else:
        state, _, started = _ps("-o", "stat=", "-o", "lstart=", "-p", str(pid)).strip().partition(" ")
    return "" if state.startswith("Z") else started.strip()


def _marked(folder: Path) -> list[int]:
    (marked,) = (f"{name}={value}" for name, value in mark(folder).items())
    # The letter E, or e without a hyphen on Linux, adds the environment to the command line.
    options = ["-axEww"] if sys.platform == "darwin" else ["axeww"]
    lines = _ps(*options, "-o", "pid=", "-o", "command=").splitlines()
    return [int(pid) for pid, *words in map(str.split, lines) if marked in words and int(pid) != os.getpid()]


def _ps(*options: str) -> str:
    return subprocess.run(  # noqa: S603 - the command is ours
        ["ps", *options],  # noqa: S607 - ps stands where the system put it
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
