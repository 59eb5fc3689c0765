"""Listen on loopback, pass requests to the API, and log each as one line of JSON.

The server is that of the standard library: with a thread for each connection it serves fifty clients at the same time,
and it needs no installation (docs/decisions/0020-a-gateway-of-our-own.md).
"""

import ipaddress
import json
import sys
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TextIO

from local.gateway import GatewayError
from local.gateway.api import Api
from local.gateway.delivery import LogDelivery
from local.gateway.request import Request, Response
from local.serving import shut_down_on_signals

HEALTH_PATH = "/_gateway/health"
# https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html
MAX_BODY_BYTES = 10 * 1024 * 1024
_DRAIN_CHUNK = 1024 * 1024


class GatewayServer(ThreadingHTTPServer):
    """Serves one API on one loopback address.

    Parameters
    ----------
    host, port
        Address to listen on; port 0 selects a free one.
    api
        Answers the requests.
    log_to
        Output for the log, by default stdout.

    Raises
    ------
    GatewayError
        The host is not a loopback address, or the port is in use.
    """

    daemon_threads = True
    # Fifty clients may connect at the same moment; the default of five would refuse some of them.
    request_queue_size = 256

    def __init__(self, host: str, port: int, api: Api, log_to: TextIO | None = None) -> None:
        if not _is_loopback(host):
            raise GatewayError(f"{host} is not a loopback address. The local gateway listens on loopback only.")
        self.api = api
        self.delivery: LogDelivery | None = None
        self._log_to = log_to or sys.stdout
        self._log_lock = threading.Lock()
        try:
            super().__init__((host, port), _Handler)
        except OSError as error:
            raise GatewayError(f"The local gateway cannot listen on {host}:{port}: {error.strerror}.") from error

    @property
    def url(self) -> str:
        """The URL of the server."""
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}"

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        shut_down_on_signals(self)
        with self:
            self.log({"listening": self.url, "routes": self.api.routes})
            self.serve_forever(poll_interval=0.1)
            if self.delivery is not None:
                self.delivery.close()

    def deliver_access_log(self, logs: Any, group: str) -> None:
        """Also deliver the stage's access log to a log group, with a client of CloudWatch Logs."""
        self.delivery = LogDelivery(logs, group, self.log)
        self.delivery.start()

    def log(self, entry: dict[str, Any]) -> None:
        """Write one line of JSON."""
        with self._log_lock:
            self._log_to.write(json.dumps(entry) + "\n")
            self._log_to.flush()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log the error that ended a connection, unless the client closed it."""
        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError):
            self.log({"error": repr(error), "client": str(client_address)})
        del request


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Idle connections must not occupy a thread for ever.
    timeout = 75
    # Head and body are two writes; Nagle's algorithm would delay the second one by 40 ms.
    disable_nagle_algorithm = True
    server: GatewayServer

    def _answer(self) -> None:
        started = time.perf_counter()
        if self.path == HEALTH_PATH:
            body = json.dumps({"status": "ok", "routes": self.server.api.routes}).encode()
            self._send(Response(200, {"Content-Type": "application/json"}, body))
            return
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdecimal():
            self.close_connection = True
            self._send(Response(411, {"Content-Type": "application/json"}, b'{"message":"Length Required"}'))
            return
        request = Request(
            method=self.command,
            target=self.path,
            headers=tuple(self.headers.items()),
            body=self._body(int(length)),
            source_ip=self.client_address[0],
            protocol=self.request_version,
        )
        response = self.server.api.answer(request)
        self._send(response)
        if response.access and self.server.delivery is not None:
            self.server.delivery.put(response.access)
        entry = response.access or {
            "requestId": request.request_id,
            "httpMethod": request.method,
            "path": request.path,
            "status": response.status,
            "latencyMs": round((time.perf_counter() - started) * 1000, 1),
        }
        self.server.log({**entry, **({"reason": response.reason} if response.reason else {})})

    def __getattr__(self, name: str) -> Callable[[], None]:
        """Return the handler for any ``do_<METHOD>`` that http.server looks up: the API decides which methods exist."""
        if name.startswith("do_"):
            return self._answer
        raise AttributeError(name)

    def _body(self, length: int) -> bytes | None:
        if length <= MAX_BODY_BYTES:
            return self.rfile.read(length)
        # Read and discard the body: if the connection were closed while the client still writes, the response would be
        # lost.
        while length > 0 and (chunk := self.rfile.read(min(length, _DRAIN_CHUNK))):
            length -= len(chunk)
        return None

    def _send(self, response: Response) -> None:
        self.send_response(response.status)
        for name, value in response.headers.items():
            # A value of a template must not add further headers.
            self.send_header(name, value.replace("\r", " ").replace("\n", " "))
        self.send_header("Content-Length", str(len(response.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse invalid HTTP, such as an endless header, with JSON instead of HTML."""
        del explain
        self.close_connection = True
        words = message or self.responses[HTTPStatus(code)][0]
        self._send(Response(code, {"Content-Type": "application/json"}, json.dumps({"message": words}).encode()))

    def version_string(self) -> str:
        """Return the value of the Server header."""
        return "local-gateway"

    def log_message(self, format: str, *args: Any) -> None:
        """Disable the log of the standard library, because the access log has the requests."""
