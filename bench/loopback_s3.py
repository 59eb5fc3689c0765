"""The part of S3 that a first resize needs, on loopback: one original, no manifest, and PUTs that always succeed."""

import http.server
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    original = b""

    def log_message(self, *_: object) -> None:
        """Log no requests."""

    def do_GET(self) -> None:
        if "/manifests/" in self.path:
            self._answer(b"<Error><Code>NoSuchKey</Code></Error>", status=404)
        else:
            self._answer(self.original)

    def do_HEAD(self) -> None:
        self._answer(self.original, send=False)

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(b"")

    def _answer(self, body: bytes, *, status: int = 200, send: bool = True) -> None:
        self.send_response(status)
        self.send_header("ETag", '"0123456789abcdef0123456789abcdef"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if send:
            self.wfile.write(body)


@contextmanager
def loopback_s3(original: bytes) -> Iterator[str]:
    """Serve one original under every key of every bucket.

    Yields
    ------
    str
        The URL of the endpoint.
    """
    handler = type("_Serving", (_Handler,), {"original": original})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
