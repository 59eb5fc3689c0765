"""Listen on 127.0.0.1, refuse what other sites send, and hand the rest to the pictures and the API.

A page of another site can make a browser send requests to 127.0.0.1. Three checks keep it out: the Host header, because
a site can let its own name point here (DNS rebinding); the Origin of requests that write; and Sec-Fetch-Site, so that
other pages cannot embed pictures of this one (https://www.w3.org/TR/fetch-metadata/).
"""

import contextlib
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import parse_qs

from botocore.exceptions import BotoCoreError, ClientError

from local.gallery.api import Api, ApiUnreachableError
from local.gallery.pictures import NotAThumbnailError, Pictures
from local.serving import shut_down_on_signals

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef

HEALTH_PATH = "/_gallery/health"
# Twice what the resize function takes, so that one sees what it says of a file that is too large.
MAX_BYTES = 200_000_000

_PAGE = Path(__file__).parent / "page"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
# SVG and HTML can hold scripts, so they are not sent under their own types.
_PICTURE_TYPES = {f"image/{name}" for name in ("jpeg", "png", "webp", "gif", "avif", "bmp", "tiff", "heic", "heif")}
_ANY_TYPE = "application/octet-stream"
_WRITING = {"PUT", "POST", "DELETE"}
_IN_MEMORY_BYTES = 8_000_000
_CHUNK = 1_000_000

_SAFETY = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    # Pictures change under their keys.
    "Cache-Control": "no-store",
}
# Somebody may have uploaded something else than a picture.
_SANDBOX = {"Content-Security-Policy": "sandbox; default-src 'none'"}


class RefusalError(Exception):
    """A request is refused.

    Attributes
    ----------
    status : HTTPStatus
    name : str
    """

    def __init__(self, status: HTTPStatus, name: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.name = name


@dataclass(frozen=True, slots=True)
class Asked:
    """A request without its body.

    Attributes
    ----------
    method : str
    path : str
        Without the query.
    query : Mapping of str to str
    headers : Mapping of str to str
        With names in lower case.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]

    def key(self, name: str = "key") -> str:
        """Return a parameter of the query that must be there.

        Raises
        ------
        RefusalError
        """
        if not self.query.get(name):
            raise RefusalError(HTTPStatus.BAD_REQUEST, "InvalidRequest", f"The parameter {name} is missing.")
        return self.query[name]


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back; the content is bytes, or a stream with its length in the headers."""

    status: int
    content: bytes | Any
    headers: Mapping[str, str] = field(default_factory=dict)


class Gallery:
    """Answers requests, whatever they came over.

    Parameters
    ----------
    pictures : Pictures
    api : Api
    about : dict
        What the page is told of the deployment.
    port : int
        Where it listens.
    """

    def __init__(self, pictures: Pictures, api: Api, about: dict[str, Any], port: int) -> None:
        self._pictures = pictures
        self._api = api
        self._about = about
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self._routes: dict[tuple[str, str], Callable[[Asked, IO[bytes]], Answer]] = {
            ("GET", HEALTH_PATH): lambda _asked, _body: _json({"status": "ok"}),
            ("GET", "/api/about"): lambda _asked, _body: _json(self._about),
            ("GET", "/api/pictures"): self._find,
            ("GET", "/api/log"): lambda asked, _body: _json(self._pictures.log(asked.key())),
            ("GET", "/api/executions"): lambda asked, _body: self._execution(asked),
            ("POST", "/api/resize"): lambda _asked, body: self._resize(body),
            ("GET", "/originals"): lambda asked, _body: _picture(self._pictures.original(asked.key())),
            ("PUT", "/originals"): self._put,
            ("DELETE", "/originals"): self._delete,
            ("GET", "/thumbnails"): lambda asked, _body: _picture(self._pictures.thumbnail(asked.key())),
        }

    def check(self, asked: Asked) -> None:
        """Refuse what did not come from the gallery's own page.

        Raises
        ------
        RefusalError
        """
        host = asked.headers.get("host", "")
        if host not in self._hosts:
            raise RefusalError(HTTPStatus.FORBIDDEN, "ForeignHost", "The gallery accepts requests to 127.0.0.1 only.")
        if asked.method in _WRITING and asked.headers.get("origin") != f"http://{host}":
            raise RefusalError(HTTPStatus.FORBIDDEN, "ForeignOrigin", "Only the gallery's own page may make changes.")
        # Links from other sites to the page itself are fine.
        if asked.path != "/" and asked.headers.get("sec-fetch-site", "none") not in {"same-origin", "none"}:
            raise RefusalError(HTTPStatus.FORBIDDEN, "ForeignSite", "Only the gallery's own page may read this.")

    def answer(self, asked: Asked, body: IO[bytes]) -> Answer:
        """Answer a request that was checked.

        Raises
        ------
        RefusalError
        """
        method = "GET" if asked.method == "HEAD" else asked.method
        route = self._routes.get((method, asked.path))
        if route is None:
            return _file(method, asked.path)
        try:
            return route(asked, body)
        except ClientError as error:
            status = HTTPStatus(error.response["ResponseMetadata"]["HTTPStatusCode"])
            raise RefusalError(status, error.response["Error"]["Code"], error.response["Error"]["Message"]) from error
        except NotAThumbnailError as error:
            raise RefusalError(HTTPStatus.BAD_REQUEST, "InvalidRequest", str(error)) from error
        except (ApiUnreachableError, BotoCoreError) as error:
            raise RefusalError(HTTPStatus.BAD_GATEWAY, "Unreachable", f"{error} Next: make status") from error

    def _find(self, asked: Asked, _body: IO[bytes]) -> Answer:
        count = asked.query.get("count", "60")
        if not count.isdecimal():
            raise RefusalError(HTTPStatus.BAD_REQUEST, "InvalidRequest", "count must be a number.")
        return _json(self._pictures.find(asked.query.get("text", ""), asked.query.get("state", ""), int(count)))

    def _put(self, asked: Asked, body: IO[bytes]) -> Answer:
        self._pictures.put(asked.key(), body, asked.headers.get("content-type") or _ANY_TYPE)
        return _json({})

    def _delete(self, asked: Asked, _body: IO[bytes]) -> Answer:
        self._pictures.delete(asked.key())
        return _json({})

    def _resize(self, body: IO[bytes]) -> Answer:
        answered = self._api.resize(body.read())
        return Answer(answered.status, answered.body, {"Content-Type": "application/json"})

    def _execution(self, asked: Asked) -> Answer:
        answered = self._api.execution(asked.key("id"))
        return Answer(answered.status, answered.body, {"Content-Type": "application/json"})


class GalleryServer(ThreadingHTTPServer):
    """Serves a gallery on a port of 127.0.0.1.

    Parameters
    ----------
    port : int
    gallery : Gallery
    """

    daemon_threads = True
    # A page with many pictures opens connections faster than the default of five takes them.
    request_queue_size = 64

    def __init__(self, port: int, gallery: Gallery) -> None:
        self.gallery = gallery
        super().__init__(("127.0.0.1", port), _Handler)

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        shut_down_on_signals(self)
        with self:
            self.serve_forever(poll_interval=0.1)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what a connection died of; a browser that went away is no news."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Connections that browsers keep alive and forget must not hold a thread for ever.
    timeout = 75
    # Head and body are two writes; Nagle's algorithm would hold the second back for 40 ms.
    disable_nagle_algorithm = True
    server: GalleryServer

    def _handle(self) -> None:
        with contextlib.closing(tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES)) as body:
            try:
                # Even of a refused request: a browser that is still sending would lose the answer.
                self._read_body(body)
                asked = self._asked()
                self.server.gallery.check(asked)
                answer = self.server.gallery.answer(asked, body)
            except RefusalError as refusal:
                answer = _json({"error": refusal.name, "message": str(refusal)}, refusal.status)
            except Exception as error:
                # The page shows it, and the log has where it came from.
                self._send(
                    _json({"error": type(error).__name__, "message": str(error)}, HTTPStatus.INTERNAL_SERVER_ERROR)
                )
                raise
            self._send(answer)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _handle  # noqa: N815 - http.server looks for these names

    def _asked(self) -> Asked:
        path, _, query = self.path.partition("?")
        try:
            parameters = parse_qs(query, keep_blank_values=True, strict_parsing=bool(query), errors="strict")
        except ValueError as error:
            raise RefusalError(HTTPStatus.BAD_REQUEST, "InvalidRequest", "The query string is invalid.") from error
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Asked(self.command, path, {name: values[-1] for name, values in parameters.items()}, headers)

    def _read_body(self, body: IO[bytes]) -> None:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdecimal():
            self.close_connection = True
            raise RefusalError(HTTPStatus.LENGTH_REQUIRED, "LengthRequired", "A request needs a Content-Length.")
        left = int(length)
        is_kept = left <= MAX_BYTES
        while left > 0 and (chunk := self.rfile.read(min(left, _CHUNK))):
            left -= len(chunk)
            if is_kept:
                body.write(chunk)
        if left:
            self.close_connection = True
            raise RefusalError(HTTPStatus.BAD_REQUEST, "IncompleteBody", "The body is incomplete.")
        if not is_kept:
            message = f"The gallery accepts files of up to {MAX_BYTES // 1_000_000} MB. For larger files use: aws s3 cp"
            raise RefusalError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "FileTooLarge", message)
        body.seek(0)

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        headers = {**_SAFETY, **answer.headers}
        if isinstance(answer.content, bytes):
            headers["Content-Length"] = str(len(answer.content))
        if self.close_connection:
            headers["Connection"] = "close"
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if isinstance(answer.content, bytes):
            self.wfile.write(answer.content)
        else:
            with contextlib.closing(answer.content):
                shutil.copyfileobj(answer.content, self.wfile)

    def version_string(self) -> str:
        """Name the server in the Server header."""
        return "local-gallery"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Keep requests out of the log: the page asks once a second."""


def _json(value: Any, status: HTTPStatus = HTTPStatus.OK) -> Answer:
    return Answer(status, json.dumps(value).encode(), {"Content-Type": "application/json"})


def _picture(stored: "GetObjectOutputTypeDef") -> Answer:
    kind = stored.get("ContentType", "").lower()
    headers = {
        **_SANDBOX,
        "Content-Type": kind if kind in _PICTURE_TYPES else _ANY_TYPE,
        "Content-Length": str(stored["ContentLength"]),
    }
    return Answer(HTTPStatus.OK, stored["Body"], headers)


def _file(method: str, path: str) -> Answer:
    name = path.removeprefix("/") or "index.html"
    if method == "GET" and name in {file.name for file in _PAGE.iterdir()}:
        file = _PAGE / name
        return Answer(HTTPStatus.OK, file.read_bytes(), {"Content-Type": f"{_TYPES[file.suffix]}; charset=utf-8"})
    raise RefusalError(HTTPStatus.NOT_FOUND, "NotFound", "There is nothing here.")
