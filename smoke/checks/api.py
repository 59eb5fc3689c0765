"""Check the responses of the API to valid, invalid, unsigned and repeated requests."""

from collections.abc import Iterator

from smoke.checks.uploads import thumbnail_key
from smoke.deployment import Deployment
from smoke.report import Mark, Row, judged, judged_all
from smoke.visit import Post, Visit

_OK, _BAD_REQUEST, _FORBIDDEN, _CONFLICT, _UNSUPPORTED = 200, 400, 403, 409, 415


def only_signed_requests_are_taken(deployment: Deployment, visit: Visit) -> Iterator[Row]:
    """Check that the API requires signatures if the stack's parameter says so."""
    good = visit.posts["good"].answer
    if deployment.is_signed:
        answer = visit.posts["unsigned"].answer
        yield judged("an unsigned request is refused: 403", str(answer), kept=answer.status == _FORBIDDEN)
    else:
        found = "anybody who knows the URL can post" if good.status == _OK else str(good)
        yield judged("the API is open: ApiAuthorization=NONE", found, kept=good.status == _OK)


def good_requests_are_done(_deployment: Deployment, visit: Visit) -> Iterator[Row]:
    """Check that a valid request starts an execution whose status the client can read until it ends."""
    answer = visit.posts["good"].answer
    body = answer.body if isinstance(answer.body, dict) else {}
    faults = [] if answer.status == _OK else [str(answer)]
    location, name = answer.headers.get("location", ""), str(body.get("executionId"))
    if answer.status == _OK and not location.endswith(f"/executions/{name}"):
        faults.append(f"Location is '{location}' for the executionId '{name}'")
    yield judged_all("a valid request returns its execution: 200", f"Location: {location}", faults)
    yield followed(visit)


def followed(visit: Visit) -> Row:
    """Compare the last response at the ``Location`` with the execution in Step Functions."""
    promise = "its Location returns its outcome"
    seen, execution = visit.described, visit.posts["good"].execution
    if execution is None or not isinstance(seen.body, dict):
        return Row(Mark.BROKEN, promise, "there is no execution" if execution is None else str(seen))
    output = seen.body.get("output")
    made = output.get("thumbnails", []) if isinstance(output, dict) else []
    faults = []
    if (seen.status, seen.body.get("status")) != (_OK, "SUCCEEDED"):
        faults.append(f"{seen}, while the execution is {execution.failed_with}")
    elif output != execution.output:
        faults.append("the output is not the execution's")
    elif [each["key"] for each in made] != [thumbnail_key(visit.uploads[0], (40, 30))]:
        faults.append(f"it made {', '.join(each['key'] for each in made)}")
    return judged_all(promise, "SUCCEEDED, with the requested thumbnail", faults)


def bad_requests_are_refused(_deployment: Deployment, visit: Visit) -> Iterator[Row]:
    """Check that the gateway or the function refuses each invalid request, with an error name."""
    for what in ("width 0", "17 sizes", "an unknown field"):
        yield refused(f"a request with {what} is refused", visit.posts[what], "InvalidRequestError")
    for what, status in (("broken JSON", _BAD_REQUEST), ("text/plain", _UNSUPPORTED)):
        answer = visit.posts[what].answer
        yield judged(f"{what} is refused: {status}", str(answer), kept=answer.status == status)
    yield ended("a missing original fails with its error name", visit.posts["missing key"], "OriginalNotFoundError")
    yield ended("another bucket is refused with its error name", visit.posts["another bucket"], "BucketNotAllowedError")


def refused(promise: str, post: Post, error: str) -> Row:
    """Judge a request that either the gateway refuses with 400, or the function.

    API Gateway checks only those rules of the schema that it kept when it imported the API.
    """
    if post.answer.status == _OK:
        row = ended(promise, post, error)
        return Row(row.mark, row.promise, f"by the function, not by the gateway: {row.found}")
    body = post.answer.body
    kept = post.answer.status == _BAD_REQUEST and isinstance(body, dict) and body.get("error") == "InvalidRequest"
    return judged(promise, str(post.answer), kept=kept)


def ended(promise: str, post: Post, error: str) -> Row:
    """Judge a request whose execution ends with a permanent error."""
    if post.execution is None:
        return Row(Mark.BROKEN, promise, str(post.answer))
    kept = (post.execution.status, post.execution.error) == ("FAILED", f"Permanent.{error}")
    return judged(promise, post.execution.failed_with, kept=kept)


def repeated_requests_start_once(_deployment: Deployment, visit: Visit) -> Iterator[Row]:
    """Check that an Idempotency-Key starts one execution."""
    yield repeated(visit.posts["first"], visit.posts["repeated"])
    other = visit.posts["repeated with another body"].answer
    yield judged("the same key with another body is refused: 409", str(other), kept=other.status == _CONFLICT)


def repeated(first: Post, again: Post) -> Row:
    """Judge a repetition: the same execution while it runs, 409 with its name after it has ended."""
    promise = "a repeated Idempotency-Key starts one execution"
    if first.answer.status != _OK or not isinstance(again.answer.body, dict):
        return Row(Mark.BROKEN, promise, str(first.answer if first.answer.status != _OK else again.answer))
    name = first.answer.body["executionId"]
    same = again.answer.body.get("executionId") == name
    return judged(
        promise,
        f"{again.answer.status}, the same execution" if same else f"{again.answer}, the first one was {name}",
        kept=same and again.answer.status in {_OK, _CONFLICT},
    )
