"""No client asks a proxy for loopback; packages are still downloaded through it."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

DEAD = "http://127.0.0.1:9"
# Each kind of client, with the environment that whoever imports `local` leaves to it.
CLIENTS = """
import subprocess, sys
from botocore.utils import get_environ_proxies
from local.stack import _answers
url = sys.argv[1]
curl = ["curl", "--silent", "--fail", "--output", "/dev/null", url]
print(_answers(url), get_environ_proxies(url), subprocess.run(curl).returncode)
print(get_environ_proxies("https://packages.example.org"))
"""


class _Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Healthy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.mark.parametrize("spelling", [str.upper, str.lower])
@pytest.mark.parametrize(
    "exceptions", [{}, {"NO_PROXY": "example.com"}, {"no_proxy": "example.com , "}, {"NO_PROXY": "", "no_proxy": ""}]
)
def test_no_client_asks_a_proxy_for_loopback(url: str, spelling: type[str], exceptions: dict[str, str]) -> None:
    proxies = {spelling(name): DEAD for name in ("http_proxy", "https_proxy", "all_proxy")}
    known = {"no_proxy", "http_proxy", "https_proxy", "all_proxy"}
    environment = {name: value for name, value in os.environ.items() if name.lower() not in known}

    asked = subprocess.run(  # noqa: S603 - ours
        [sys.executable, "-c", CLIENTS, url],
        env=environment | proxies | exceptions,
        capture_output=True,
        text=True,
        check=False,
    )

    answers, downloads = asked.stdout.splitlines()
    assert answers == "True {} 0", asked.stderr
    assert f"'https': '{DEAD}'" in downloads
