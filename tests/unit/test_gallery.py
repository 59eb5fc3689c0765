"""How far a picture is, and who may ask the gallery for anything."""

import datetime as dt
import io
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.credentials import ReadOnlyCredentials

from local.gallery.api import Api
from local.gallery.pictures import _key_of
from local.gallery.server import Asked, Gallery, RefusalError
from local.gallery.state import Execution, Original, State, judge, sentence

if TYPE_CHECKING:
    from local.gallery.pictures import Pictures

NOON = dt.datetime(2026, 11, 29, 12, 0, 0, 400_000, tzinfo=dt.UTC)
ORIGINAL = Original("new", 1_000, NOON)
READY = {"original": {"key": "a.jpg", "etag": "new"}}
BROKEN = READY | {"error": {"name": "NotAnImageError", "message": "It is no picture."}}
OLD = {"original": {"key": "a.jpg", "etag": "old"}}

PORT = 3001
OWN = {"host": "127.0.0.1:3001", "origin": "http://127.0.0.1:3001", "sec-fetch-site": "same-origin"}


def execution(name: str, status: str, seconds: float = 1.0) -> Execution:
    """Make an execution that started so many seconds after the original was written."""
    failed = ("ConflictError", "Other runs kept working on it.") if status == "FAILED" else ("", "")
    return Execution(f"{name}-1", "a.jpg", status, NOON + dt.timedelta(seconds=seconds), None, *failed)


@pytest.mark.parametrize(
    ("original", "manifest", "executions", "expected"),
    [
        pytest.param(ORIGINAL, None, [], State.WAITING, id="just uploaded"),
        pytest.param(ORIGINAL, None, [execution("upload", "RUNNING")], State.WORKING, id="its execution runs"),
        pytest.param(ORIGINAL, READY, [execution("upload", "SUCCEEDED")], State.READY, id="all made"),
        pytest.param(ORIGINAL, READY, [], State.READY, id="all made, execution no longer listed"),
        pytest.param(ORIGINAL, BROKEN, [execution("upload", "FAILED")], State.FAILED, id="no picture"),
        pytest.param(ORIGINAL, OLD, [], State.WAITING, id="just replaced"),
        pytest.param(ORIGINAL, OLD, [execution("upload", "SUCCEEDED", -60)], State.WAITING, id="replaced since"),
        pytest.param(ORIGINAL, OLD, [execution("upload", "SUCCEEDED")], State.WAITING, id="replaced within a second"),
        pytest.param(ORIGINAL, None, [execution("upload", "FAILED", -0.3)], State.FAILED, id="in the same second"),
        pytest.param(ORIGINAL, None, [execution("upload", "TIMED_OUT")], State.FAILED, id="out of time"),
        pytest.param(ORIGINAL, READY, [execution("api", "FAILED")], State.READY, id="a request failed"),
        pytest.param(ORIGINAL, READY, [execution("api", "RUNNING")], State.WORKING, id="a request runs"),
        pytest.param(ORIGINAL, None, [execution("api", "FAILED")], State.WAITING, id="a request was too early"),
        pytest.param(None, READY, [execution("upload", "SUCCEEDED")], State.REMOVING, id="just deleted"),
        pytest.param(None, BROKEN, [execution("upload", "FAILED")], State.REMOVING, id="deleted, was no picture"),
        pytest.param(None, READY, [execution("removed", "RUNNING")], State.WORKING, id="is being removed"),
        pytest.param(None, READY, [execution("removed", "FAILED")], State.FAILED, id="could not be removed"),
    ],
)
def test_how_far_a_picture_is(
    original: Original | None, manifest: dict[str, Any] | None, executions: list[Execution], expected: State
) -> None:
    assert judge(original, manifest, executions, is_express=False).state is expected


def test_a_failure_has_the_sentence_of_the_manifest_or_of_the_execution() -> None:
    of_picture = judge(ORIGINAL, BROKEN, [], is_express=False)
    of_fault = judge(ORIGINAL, None, [execution("upload", "FAILED")], is_express=False)
    of_time = judge(ORIGINAL, None, [execution("upload", "TIMED_OUT")], is_express=False)

    assert (of_picture.error, of_picture.message) == ("NotAnImageError", "It is no picture.")
    assert (of_fault.error, of_fault.message) == ("ConflictError", "Other runs kept working on it.")
    assert (of_time.error, of_time.message) == ("TIMED_OUT", "")


def test_what_is_not_listed_is_not_said_to_be_waiting_for_an_execution() -> None:
    standard = judge(ORIGINAL, None, [], is_express=False)
    express = judge(ORIGINAL, None, [], is_express=True)

    assert "There is no execution" in standard.message
    assert "Express executions are not listed" in express.message


@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        ("The original is gone.", "The original is gone."),
        ('{"errorMessage": "S3 is slow.", "errorType": "TransientError"}', "S3 is slow."),
        ('{"other": 1}', '{"other": 1}'),
        ("[1]", "[1]"),
        ("", ""),
    ],
)
def test_the_sentence_of_a_cause(cause: str, expected: str) -> None:
    assert sentence(cause) == expected


@pytest.fixture
def gallery() -> Gallery:
    """Return a gallery that has nothing behind it: what is refused must not get that far."""
    return Gallery(cast("Pictures", None), Api("http://127.0.0.1:3000/prod/resize", "us-east-1", None), {}, PORT)


def asked(method: str, path: str, **headers: str) -> Asked:
    return Asked(method, path, {}, OWN | {name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE"])
@pytest.mark.parametrize("host", ["127.0.0.1:3001", "localhost:3001"])
def test_the_gallerys_own_page_is_answered(gallery: Gallery, method: str, host: str) -> None:
    gallery.check(asked(method, "/originals", host=host, origin=f"http://{host}"))


@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE"])
@pytest.mark.parametrize(
    "host", ["evil.example:3001", "127.0.0.1", "127.0.0.1:3000", "127.0.0.1.evil.example:3001", ""]
)
def test_a_name_that_was_made_to_point_here_is_refused(gallery: Gallery, method: str, host: str) -> None:
    with pytest.raises(RefusalError) as caught:
        gallery.check(asked(method, "/", host=host, origin=f"http://{host}"))

    assert (caught.value.status, caught.value.name) == (HTTPStatus.FORBIDDEN, "ForeignHost")


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "http://127.0.0.1:3000", "https://127.0.0.1:3001", "http://localhost:3001", "null", ""],
)
def test_only_the_gallerys_own_page_writes(gallery: Gallery, method: str, origin: str) -> None:
    with pytest.raises(RefusalError) as caught:
        gallery.check(asked(method, "/originals", origin=origin))

    assert (caught.value.status, caught.value.name) == (HTTPStatus.FORBIDDEN, "ForeignOrigin")


def test_a_write_that_names_no_origin_is_refused(gallery: Gallery) -> None:
    with pytest.raises(RefusalError, match="own page may make changes"):
        gallery.check(Asked("DELETE", "/originals", {"key": "a"}, {"host": OWN["host"]}))


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_other_sites_may_link_to_the_page_and_embed_nothing(gallery: Gallery, site: str) -> None:
    gallery.check(asked("GET", "/", sec_fetch_site=site))

    with pytest.raises(RefusalError, match="own page may read"):
        gallery.check(asked("GET", "/thumbnails", sec_fetch_site=site))


@pytest.mark.parametrize(
    "path", ["/../server.py", "/server.py", "//gallery.js", "/page/gallery.js", "/%2e%2e/server.py"]
)
def test_no_file_but_those_of_the_page(gallery: Gallery, path: str) -> None:
    with pytest.raises(RefusalError) as caught:
        gallery.answer(asked("GET", path), io.BytesIO())

    assert caught.value.status == HTTPStatus.NOT_FOUND


def test_curl_signs_as_the_gallery_does_and_only_where_it_does() -> None:
    url = "http://127.0.0.1:3000/prod/resize"

    assert Api(url, "us-east-1", None).curl_options == []
    assert Api(url, "us-east-1", ReadOnlyCredentials("ann", "secret", None)).curl_options == [
        *("--aws-sigv4", "aws:amz:us-east-1:execute-api", "--user", "ann:secret")
    ]


@pytest.mark.parametrize(
    ("wanted", "key"),
    [('{"object_key": "a/é.jpg"}', "a/é.jpg"), ("{}", ""), ("[]", ""), ('"x"', ""), ('{"object_key": ["a"]}', "")],
)
def test_an_execution_that_somebody_started_with_another_input_is_about_no_picture(wanted: str, key: str) -> None:
    assert _key_of(wanted) == key
