"""The faults between the functions and AWS: an add-on of mitmproxy, run by mitmdump in its own environment.

mitmdump is a reverse proxy for MiniStack, and the functions' AWS endpoint. With the same seed, the n-th request of one
kind for one object always gets the same fault, independent of other requests.
"""

import asyncio
import http.client
import json
import socket
import struct
import time
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import unquote, urlsplit

import psutil  # type: ignore[import-not-found, import-untyped, unused-ignore]  # of the proxy's own environment
from mitmproxy import ctx  # type: ignore[import-not-found, unused-ignore]  # of the proxy's own environment
from mitmproxy import http as mitm  # type: ignore[import-not-found, unused-ignore]  # likewise
from mitmproxy.connection import ConnectionState  # type: ignore[import-not-found, unused-ignore]  # likewise

# The soak requests this path until it gets a response, so that no soak runs without faults.
_HEALTH = "/_soak/health"

# Shares of requests in per cent. After a kill it takes seconds until the next process has started.
_FAULTS: dict[str, dict[str, float]] = {
    "GetObject": {"503": 3, "500": 2, "reset": 3, "half": 4, "slow": 5, "kill": 0.5},
    "HeadObject": {"503": 3, "500": 2, "reset": 3, "lost": 2, "slow": 5, "kill": 0.5},
    "PutObject": {"503": 3, "500": 2, "reset": 3, "lost": 4, "late": 4, "slow": 5, "kill": 0.5, "kill-after": 0.5},
    "DeleteObject": {"503": 3, "500": 2, "reset": 3, "lost": 4, "slow": 5, "kill": 0.5, "kill-after": 0.5},
    # If the process is killed here, its whole batch of messages returns to the queue.
    "StartExecution": {"throttle": 6, "500": 2, "reset": 2, "lost": 3, "slow": 3, "kill": 0.5, "kill-after": 0.5},
    "ListExecutions": {"throttle": 6, "500": 2, "reset": 2, "slow": 3},
}
_FAULTS["StartSyncExecution"] = _FAULTS["StartExecution"]
_STEP_FUNCTIONS = frozenset({"StartExecution", "StartSyncExecution", "ListExecutions"})
_AFTER_AWS = frozenset({"half", "lost", "kill-after"})
_SLOW_SECONDS = (0.2, 2.0)
# After a reset, a client retries within a second. A late request arrives this long after that.
_RETRY_SECONDS = 2.0
_LATE_SECONDS = (0.1, 0.9)

# Less than the 10 s after which the function's client stops waiting for a response: if an abandoned write still arrived
# later, that would be a fault of this proxy, not of a network.
_HOLD_SECONDS = 8.5
_HOLDS = 2
_ETAG_HEADER = "x-amz-meta-original-etag"
# The same for all attempts of one call: https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
_CALL_HEADER = "amz-sdk-invocation-id"
_S3_OPERATIONS = {"GET": "GetObject", "HEAD": "HeadObject", "PUT": "PutObject", "DELETE": "DeleteObject"}

_XML = '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>Injected.</Message></Error>'


@dataclass(slots=True)
class _Late:
    """A write whose connection was reset, but which reaches AWS later.

    Attributes
    ----------
    name : str
        The object that it writes.
    replaces : str
        ETag of the object that it replaces, with quotes; empty for none.
    is_void : bool
        Whether its condition has become true again. S3 would then execute the write, and no client can prevent that
        (README.md), so it is dropped.
    """

    name: str
    replaces: str
    is_void: bool = False
    is_retried: asyncio.Event = field(default_factory=asyncio.Event)
    is_over: asyncio.Event = field(default_factory=asyncio.Event)
    is_sent: bool = False


class Faults:
    """Decides the fault of each request, and logs it."""

    def __init__(self) -> None:
        self._count: Counter[tuple[str, str]] = Counter()
        # For each thumbnail in the folder `soak_hold`: the delayed version, and whether another one was written.
        self._held: dict[str, str] = {}
        self._overtaken: dict[str, asyncio.Event] = {}
        # By the client's id of a call, which is the same for its retries.
        self._late: dict[str, _Late] = {}
        self._deliveries: set[asyncio.Task[None]] = set()

    def load(self, loader: Any) -> None:
        """Declare the options that the soak sets on the command line."""
        loader.add_option("soak_seed", int, 0, "Seed of the faults.")
        loader.add_option("soak_rate", str, "1", "Multiplies the share of every fault.")
        loader.add_option("soak_hold", str, "", "Folder whose first thumbnails are delayed.")
        loader.add_option("soak_log", str, "", "File that gets one line of JSON for each fault.")
        loader.add_option("soak_pid", int, 0, "Process whose children may be killed.")
        loader.add_option("soak_scratch", str, "", "Folder with the code of these children.")

    async def request(self, flow: mitm.HTTPFlow) -> None:
        """Inject the faults that happen before AWS sees a request."""
        if flow.request.path == _HEALTH:
            flow.response = mitm.Response.make(mitm.status_codes.OK)
            return
        operation, name = _read(flow.request)
        if operation not in _FAULTS:
            return
        await self._before(flow, operation, name)
        if ctx.options.soak_hold and ctx.options.soak_hold in name:
            if operation == "PutObject" and _ETAG_HEADER in flow.request.headers:
                await self._hold(flow, name)
            return
        self._count[operation, name] += 1
        random = Random(f"{ctx.options.soak_seed} {operation} {name} {self._count[operation, name]}")
        fault = _draw(_FAULTS[operation], float(ctx.options.soak_rate), random)
        if fault is None:
            return
        if fault in _AFTER_AWS:
            flow.metadata["soak"] = (operation, name, fault)
            return
        if fault == "kill" and not _kill_client(flow):
            return
        if fault == "late":
            self._delay(flow, name, random.uniform(*_LATE_SECONDS))
        else:
            await _inject(flow, operation, name, fault, random)

    def response(self, flow: mitm.HTTPFlow) -> None:
        """Inject the faults that happen after AWS has responded."""
        self._after(flow)
        operation, name, fault = flow.metadata.get("soak", ("", "", ""))
        if not fault:
            return
        if fault == "lost":
            _reset(flow)
        elif not (_send_half(flow) if fault == "half" else _kill_client(flow)):
            return
        _write(operation, name, fault)

    async def _hold(self, flow: mitm.HTTPFlow, name: str) -> None:
        """Delay the thumbnail of the first version of a key until that of another version is written."""
        etag = flow.request.headers[_ETAG_HEADER]
        if self._held.setdefault(name, etag) != etag:
            return
        self._count["hold", name] += 1
        overtaken = self._overtaken.setdefault(name, asyncio.Event())
        if self._count["hold", name] > _HOLDS or overtaken.is_set():
            return
        _write("PutObject", name, "hold")
        try:
            async with asyncio.timeout(_HOLD_SECONDS):
                await overtaken.wait()
        except TimeoutError:
            # The client retries once by itself, which gives the other version the same time again.
            _reset(flow)
        _drop_if_abandoned(flow)

    async def _before(self, flow: mitm.HTTPFlow, operation: str, name: str) -> None:
        """Update the late writes that a request affects."""
        if late := self._late.get(flow.request.headers.get(_CALL_HEADER, "")):
            late.is_retried.set()
        if operation == "DeleteObject":
            # Iterate over a copy, because others may be added during the wait.
            for late in [*self._late.values()]:
                if late.name == name and not late.replaces:
                    late.is_void = True
                    if late.is_sent:
                        await late.is_over.wait()

    def _after(self, flow: mitm.HTTPFlow) -> None:
        """Update the delayed and late writes that a response affects."""
        (operation, name), status = _read(flow.request), flow.response.status_code
        if operation == "PutObject" and status == mitm.status_codes.OK:
            etag = flow.request.headers.get(_ETAG_HEADER)
            if name in self._held and self._held[name] != etag:
                self._overtaken[name].set()
            for late in self._late.values():
                if late.name == name and late.replaces == flow.response.headers.get("etag"):
                    late.is_void = True
        if operation == "HeadObject" and status == mitm.status_codes.NOT_FOUND and name in self._held:
            # The run of a removal has found nothing under this key.
            self._overtaken[name].set()

    def _delay(self, flow: mitm.HTTPFlow, name: str, seconds: float) -> None:
        """Reset the connection, and send the request to AWS after the client's next one."""
        call = flow.request.headers.get(_CALL_HEADER, "")
        _reset(flow)
        if call in self._late:
            _write("PutObject", name, "reset")
            return
        self._late[call] = late = _Late(name, flow.request.headers.get("if-match", ""))
        delivery = asyncio.create_task(_deliver(flow.request.copy(), late, seconds))
        self._deliveries.add(delivery)
        delivery.add_done_callback(self._deliveries.discard)


async def _inject(flow: mitm.HTTPFlow, operation: str, name: str, fault: str, random: Random) -> None:
    """Answer a request instead of AWS, or delay it."""
    _write(operation, name, fault)
    if fault == "slow":
        await asyncio.sleep(random.uniform(*_SLOW_SECONDS))
        _drop_if_abandoned(flow)
    elif fault == "reset":
        _reset(flow)
    elif fault != "kill":
        flow.response = _refusal(operation, fault)


async def _deliver(request: mitm.Request, late: _Late, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(_RETRY_SECONDS):
            await late.is_retried.wait()
    await asyncio.sleep(seconds)
    _write("PutObject", late.name, "reset" if late.is_void else "late")
    if not late.is_void:
        late.is_sent = True
        await asyncio.to_thread(_send, request)
    late.is_over.set()


def _send(request: mitm.Request) -> None:
    content = request.raw_content or b""
    skipped = {"expect", "transfer-encoding", "content-length", "connection"}
    headers = {name: value for name, value in request.headers.items() if name.lower() not in skipped}
    with closing(http.client.HTTPConnection(request.host, request.port, timeout=_HOLD_SECONDS)) as connection:
        connection.request(request.method, request.path, content, headers)
        connection.getresponse().read()


def _read(request: mitm.Request) -> tuple[str, str]:
    """Return the operation of a request and the name of its object."""
    target = request.headers.get("x-amz-target", "")
    action = target.rpartition(".")[2]
    if action in _STEP_FUNCTIONS:
        body = json.loads(request.get_text() or "{}")
        # ListExecutions is about no object.
        return action, f"{json.loads(body['input'])['object_key']} {body['name']}" if "input" in body else ""
    operation = _S3_OPERATIONS.get(request.method, "")
    return operation, _path(request)


def _path(request: mitm.Request) -> str:
    return unquote(urlsplit(request.path).path)


def _draw(shares: dict[str, float], rate: float, random: Random) -> str | None:
    point = random.uniform(0, 100)
    for fault, share in shares.items():
        point -= share * rate
        if point < 0:
            return fault
    return None


def _refusal(operation: str, fault: str) -> mitm.Response:
    if operation in _STEP_FUNCTIONS:
        code, status = ("ThrottlingException", 400) if fault == "throttle" else ("InternalFailure", 500)
        body = json.dumps({"__type": code, "message": "Injected."})
        return mitm.Response.make(status, body, {"Content-Type": "application/x-amz-json-1.0"})
    code, status = ("SlowDown", 503) if fault == "503" else ("InternalError", 500)
    # A response to HEAD has no body.
    body = "" if operation == "HeadObject" else _XML.format(code=code)
    return mitm.Response.make(status, body, {"Content-Type": "application/xml"})


def _send_half(flow: mitm.HTTPFlow) -> bool:
    content = flow.response.raw_content or b""
    if flow.response.status_code != mitm.status_codes.OK or not content:
        return False
    announced = flow.response.headers["content-length"]
    flow.response.raw_content = content[: len(content) // 2]
    flow.response.headers["content-length"] = announced
    flow.response.headers["connection"] = "close"
    return True


def _reset(flow: mitm.HTTPFlow) -> None:
    # With a linger time of zero, closing a socket resets the connection: socket(7), SO_LINGER.
    for handler in ctx.master.addons.get("proxyserver").connections.values():
        if handler.client is flow.client_conn:
            connection = handler.transports[flow.client_conn].writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    flow.kill()


def _drop_if_abandoned(flow: mitm.HTTPFlow) -> None:
    # Requests of a dead process must not reach AWS after those of its successor.
    if flow.client_conn.state is not ConnectionState.OPEN and flow.killable:
        flow.kill()


def _kill_client(flow: mitm.HTTPFlow) -> bool:
    """Kill the process at the other end of a connection if it is a child of this MiniStack that runs a function."""
    for process in psutil.Process(ctx.options.soak_pid).children(recursive=True):
        try:
            command = process.cmdline()
            if not any(part.startswith(f"{ctx.options.soak_scratch}/") for part in command):
                continue
            ends = [tuple(end.laddr) for end in process.net_connections("tcp4") if end.laddr]
            if flow.client_conn.peername[:2] in ends:
                process.kill()
                flow.kill()
                return True
        except psutil.NoSuchProcess:
            continue
    return False


def _write(operation: str, name: str, fault: str) -> None:
    line = {"at": time.time(), "operation": operation, "object": name, "fault": fault}
    with Path(ctx.options.soak_log).open("a", encoding="utf-8") as log:
        log.write(json.dumps(line) + "\n")


addons = [Faults()]
