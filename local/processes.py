"""Background processes that outlive the command that started them, and are ended by the command that ends them."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_TERMINATE_SECONDS = 10.0


class Background:
    """One process with its log and a record of who it is, kept in a folder.

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
        self._record = folder / f"{name}.json"

    def start(self, command: Sequence[str | Path], environment: Mapping[str, str]) -> None:
        """Start the process in a session of its own, its output going to the log."""
        self._record.parent.mkdir(parents=True, exist_ok=True)
        arguments = [str(part) for part in command]
        # Not subprocess.Popen: that object wants to see the end of its process, which outlives this one.
        pid = os.posix_spawn(
            arguments[0],
            arguments,
            environment,
            setsid=True,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(self.log), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
        )
        self._record.write_text(json.dumps({"pid": pid, "started": _start_time(pid)}))

    def pid(self) -> int | None:
        """Give the process id while the process that was started here is alive."""
        try:
            record = json.loads(self._record.read_text())
        except FileNotFoundError:
            return None
        # Ids are used again: only the same id with the same start time is the process of the record.
        started = _start_time(record["pid"])
        return record["pid"] if started and started == record["started"] else None

    def stop(self) -> bool:
        """End the process and what it started; give whether there was one."""
        pid = self.pid()
        if pid is not None:
            for sign in (signal.SIGTERM, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, sign)
                if _wait_until_gone(pid, _TERMINATE_SECONDS):
                    break
            # Children that ignored the first signal are still in the group when its leader is gone.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        self._record.unlink(missing_ok=True)
        return pid is not None

    def last_words(self, lines: int = 5) -> str:
        """Give the end of the log, for an error message."""
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except FileNotFoundError:
            return ""


def is_port_free(port: int) -> bool:
    """Tell whether a server could listen on a port of 127.0.0.1."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: connections that linger from a server that ended do not keep the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _start_time(pid: int) -> str:
    """Give when a process started, as text, or nothing for one that is gone or a zombie."""
    answer = subprocess.run(  # noqa: S603 - the command is ours
        ["ps", "-o", "stat=", "-o", "lstart=", "-p", str(pid)],  # noqa: S607 - ps stands where the system put it
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C"},
    )
    state, _, started = answer.stdout.strip().partition(" ")
    return "" if state.startswith("Z") else started.strip()


def _wait_until_gone(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        if not _start_time(pid):
            return True
        time.sleep(0.05)
    return False
