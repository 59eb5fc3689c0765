"""``python -m smoke --stack NAME``: check one deployment; the exit status is the result."""

import argparse
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from botocore.exceptions import BotoCoreError, ClientError

import local  # noqa: F401 - disables proxies for loopback addresses
from local.amounts import in_dollars
from smoke.checks import CHECKS, Check
from smoke.checks.logs import interrupted
from smoke.cost import dollars
from smoke.deployment import CannotRunError, Deployment, read_deployment, why_not
from smoke.report import Mark, Row, table
from smoke.visit import Visit, Visitor

_KEPT, _BROKEN, _COULD_NOT_RUN = 0, 1, 2


def main() -> int:
    """Run every check; return 0 if every promise is kept, 1 if one is broken, 2 if the checks could not run."""
    parser = argparse.ArgumentParser(prog="python -m smoke", description="Check a deployment.")
    parser.add_argument(
        "--stack", default="alison-image", help="name of the CloudFormation stack (default %(default)s)"
    )
    parser.add_argument(
        "--api-url", help="URL to post to instead of the stack's output ApiUrl, such as a custom domain"
    )
    parser.add_argument(
        "--delivery-via",
        help="address to connect to instead of the stack's output DeliveryUrl, for a local stack: its endpoint",
    )
    parser.add_argument(
        "--wait", type=float, default=90.0, help="seconds to wait for executions and logs (default %(default)s)"
    )
    options = parser.parse_args()
    # Treat SIGTERM like Ctrl-C, so that the uploads are deleted before the end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    began = time.monotonic()
    try:
        deployment = read_deployment(options.stack, options.api_url or None, options.delivery_via or None)
        _say(
            f"Checking {options.stack} in {deployment.session.region_name}. This takes about a minute and costs "
            f"{in_dollars(dollars(deployment))} (list prices: smoke/cost.py)."
        )
        sections = _ask(deployment, options.wait)
    except CannotRunError as error:
        return _refuse(str(error))
    except (BotoCoreError, ClientError) as error:
        return _refuse(why_not(error) or f"AWS refused: {error}. Next: read docs/runbook.md, or try again.")
    except KeyboardInterrupt:
        print("\nInterrupted. Next: make smoke", file=sys.stderr)
        return 128 + signal.SIGINT
    print(f"\n{table(sections)}\n")
    return _verdict([row for _, rows in sections for row in rows], deployment, time.monotonic() - began)


def _ask(deployment: Deployment, patience: float) -> list[tuple[str, list[Row]]]:
    visitor = Visitor(deployment, _say, patience)
    try:
        visit = visitor.visit()
        _say("Reading settings, logs and metrics …")
        return _check(deployment, visit)
    finally:
        for left in visitor.clean_up():
            print(f"Could not delete {left}. Next: delete it by hand.", file=sys.stderr)


def _check(deployment: Deployment, visit: Visit) -> list[tuple[str, list[Row]]]:
    checks = [check for section in CHECKS.values() for check in section]
    # In parallel, because some of them wait for logs.
    pool = ThreadPoolExecutor(len(checks))
    try:
        rows = iter(list(pool.map(lambda check: list(_rows(check, deployment, visit)), checks)))
    finally:
        # Checks only read, so an interruption need not wait for them.
        interrupted.set()
        pool.shutdown(wait=False, cancel_futures=True)
    return [(title, [row for _ in section for row in next(rows)]) for title, section in CHECKS.items()]


def _rows(check: Check, deployment: Deployment, visit: Visit) -> Iterator[Row]:
    """Yield the rows of a check; an error of AWS is a row too, unless the credentials lack a permission."""
    try:
        yield from check(deployment, visit)
    except ClientError as error:
        if why_not(error):
            raise
        yield Row(Mark.BROKEN, check.__name__.replace("_", " "), str(error))


def _verdict(rows: list[Row], deployment: Deployment, seconds: float) -> int:
    broken = sum(row.mark is Mark.BROKEN for row in rows)
    waiting = sum(row.mark is Mark.OPEN for row in rows)
    counted = f"{sum(row.mark is Mark.KEPT for row in rows)} kept, {broken} broken, {waiting} open, {seconds:.0f} s"
    if broken:
        print(
            f"This deployment breaks a promise ({counted}). Next: read the lines with ✗, fix the causes, "
            f"deploy again, then make smoke STACK={deployment.stack}"
        )
        return _BROKEN
    if waiting:
        following = (
            "read the lines with …. New metrics and logs can take a quarter of an hour: run the command again then"
        )
    else:
        following = f"aws s3 cp picture.jpg s3://{deployment.originals}/{deployment.originals_prefix}"
    print(f"This deployment keeps its promises ({counted}). Next: {following}")
    return _KEPT


def _refuse(sentence: str) -> int:
    print(f"Error: {sentence}", file=sys.stderr)
    return _COULD_NOT_RUN


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
