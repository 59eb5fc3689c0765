"""A viewer of the distribution: plain GET requests without credentials, which do not follow redirects."""

import http.client
from dataclasses import dataclass
from urllib.parse import urlsplit

_SECONDS = 35


@dataclass(frozen=True, slots=True)
class Served:
    """A response: status (0 if there was none), headers with names in lower case, and body."""

    status: int
    headers: dict[str, str]
    data: bytes


@dataclass(frozen=True, slots=True)
class Viewer:
    """A client that sends the same requests as a browser.

    Parameters
    ----------
    url : str
        URL of the distribution, such as ``https://d111111abcdef8.cloudfront.net/``.
    via : str or None
        Address to connect to instead of its host, such as ``http://127.0.0.1:4566``.
    page : str
        Origin of the page that sends the request.
    """

    url: str
    via: str | None
    page: str

    def get(self, path: str, *, scheme: str = "https") -> Served:
        """Get a path, such as ``manifests/a.jpg.json``, without encoding it."""
        host = urlsplit(self.url).netloc
        place = urlsplit(self.via or f"{scheme}://{host}")
        kind = http.client.HTTPSConnection if place.scheme == "https" else http.client.HTTPConnection
        connection = kind(place.netloc, timeout=_SECONDS)
        try:
            connection.request("GET", f"/{path}", headers={"Host": host, "Origin": self.page})
            answer = connection.getresponse()
            headers = {name.lower(): value for name, value in answer.getheaders()}
            return Served(answer.status, headers, answer.read())
        except (OSError, http.client.HTTPException) as error:
            return Served(0, {}, str(error).encode())
        finally:
            connection.close()
