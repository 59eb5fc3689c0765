"""Command line: ``python -m reconcile plan | run | status | stop | report | concurrency``."""

import argparse
import sys
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

import local  # noqa: F401 - disables proxies for loopback addresses
from functions.reconcile.inputs import CONCURRENCY
from functions.reconcile.plans import Names, count_of
from local.amounts import counted, in_dollars
from local.stack import StackError
from reconcile.deployed import CannotRunError, Deployed, Execution, find
from reconcile.follow import Seen, follow
from reconcile.page import duration, plan_lines, run_lines

_DONE, _FAILED, _COULD_NOT_RUN = 0, 1, 2
_STACK = "alison-image"


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return 0 if it succeeded, 1 if an execution failed, 2 if the command could not run."""
    options = _parse(arguments)
    try:
        deployed = find(options.stack, is_local=options.local)
        status: int = options.command(deployed, options)
    except (CannotRunError, StackError) as error:
        return _refuse(str(error))
    except (BotoCoreError, ClientError) as error:
        following = "make up" if options.local else "check credentials and region"
        return _refuse(f"The call to AWS failed: {str(error).rstrip('.')}. Next: {following}.")
    except KeyboardInterrupt:
        print(f"\nThe execution continues. Next: {options.make} DO=status, or DO=stop", file=sys.stderr)
        return 130
    return status


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m reconcile", description="Make the thumbnails of existing originals."
    )
    parser.add_argument("--stack", default=_STACK, help="the CloudFormation stack (default %(default)s)")
    parser.add_argument("--local", action="store_true", help="use the local stack (make up) instead of AWS")
    commands = parser.add_subparsers(required=True, metavar="plan | run | status | stop | report | concurrency")
    plan = commands.add_parser("plan", help="show what a run would do and cost; changes no thumbnail")
    plan.add_argument("--prefix", default="", help="key prefix of the originals, such as 2026/")
    plan.add_argument(
        "--concurrency", type=int, default=CONCURRENCY, help="pictures at the same time (default %(default)s)"
    )
    plan.add_argument("--strays", action="store_true", help="also find thumbnails that no manifest lists")
    plan.set_defaults(command=_plan)
    run = commands.add_parser("run", help="make the thumbnails that a plan found missing or old")
    run.add_argument("plan", metavar="PLAN")
    run.add_argument(
        "--prune",
        nargs="?",
        const="orphans",
        default="no",
        choices=["no", "orphans", "all"],
        help="also delete thumbnails without an original or a manifest; all: even if they are more than a tenth",
    )
    run.add_argument("--max-objects", type=int, help="maximum number of originals")
    run.add_argument("--max-usd", type=float, help="maximum cost in dollars (an estimate)")
    run.add_argument(
        "--concurrency", type=int, default=CONCURRENCY, help="pictures at the same time (default %(default)s)"
    )
    run.add_argument("--yes", action="store_true", help="do not ask before spending money")
    run.set_defaults(command=_run)
    commands.add_parser("status", help="show the progress of the last execution").set_defaults(command=_status)
    commands.add_parser("stop", help="stop the running execution; nothing is lost").set_defaults(command=_stop)
    report = commands.add_parser("report", help="show what a plan found, and what is left")
    report.add_argument("plan", metavar="PLAN", nargs="?")
    report.set_defaults(command=_report)
    concurrency = commands.add_parser("concurrency", help="change the concurrency of the running execution")
    concurrency.add_argument("number", type=int)
    concurrency.set_defaults(command=_set_concurrency)
    options = parser.parse_args(arguments)
    chosen = [f"STACK={options.stack}" if options.stack != _STACK else "", "LOCAL=1" if options.local else ""]
    # The command that runs this program again for the same deployment.
    options.make = " ".join(["make reconcile", *filter(None, chosen)])
    return options


def _plan(deployed: Deployed, options: argparse.Namespace) -> int:
    _say("Planning reads keys and manifests. It costs about $0.86 a million keys (estimate: docs/cost.md).")
    arn = deployed.start(
        {
            "mode": "plan",
            "prefix": options.prefix,
            "strays": options.strays,
            "concurrency": options.concurrency,
        }
    )
    ended = follow(deployed, arn, Console())
    report = deployed.report(ended.plan)
    if ended.status != "SUCCEEDED" or report is None:
        return _ended_badly(ended)
    return _say_plan(report, options)


def _say_plan(report: dict[str, Any], options: argparse.Namespace) -> int:
    _say("", *plan_lines(report), "")
    counts = report["output"]["counts"]
    if counts["out_of_line"]:
        _say(f"Next: {options.make} DO='run {report['plan']}'")
    elif counts["orphans"] or counts.get("strays"):
        _say(f"Next: {options.make} DO='run {report['plan']} --prune'")
    else:
        _say("Everything is in line. Next: nothing to do until recipes.json changes.")
    return _DONE


def _run(deployed: Deployed, options: argparse.Namespace) -> int:
    report = deployed.report(options.plan)
    if report is None:
        raise CannotRunError(f"There is no finished plan '{options.plan}'. Next: {options.make} DO=plan")
    _say(*plan_lines(report), "")
    if not options.yes and not _agrees(report, options):
        _say("Nothing was started. Next: use --max-usd or --max-objects to run only a part of the plan.")
        return _DONE
    wanted = {"mode": "run", "plan": options.plan, "prune": options.prune, "concurrency": options.concurrency}
    limits = {"max_objects": options.max_objects, "max_usd": options.max_usd}
    arn = deployed.start(wanted | {name: value for name, value in limits.items() if value is not None})
    ended = follow(deployed, arn, Console())
    if ended.output is None:
        return _ended_badly(ended)
    _say("", *run_lines(ended.output), "")
    if ended.output["counts"]["left"]:
        _say(f"Next: {options.make} DO='run {options.plan}', to continue with what is left")
    else:
        _say(f"Next: {options.make} DO=plan, to check that everything is in line")
    return _DONE


def _agrees(report: dict[str, Any], options: argparse.Namespace) -> bool:
    cost = report["output"]["dollars"]
    most = min(cost, options.max_usd) if options.max_usd is not None else cost
    question = f"Spend {in_dollars(most)} and {duration(report['output']['hours'])}? [y/N] "
    try:
        return input(question).strip().lower() in {"y", "yes"}
    except EOFError:
        raise CannotRunError("There is no terminal to confirm the price. Next: run it again with --yes") from None


def _status(deployed: Deployed, options: argparse.Namespace) -> int:
    newest = deployed.newest()
    if newest is None:
        _say(f"There is no plan or run yet. Next: {options.make} DO=plan")
        return _DONE
    _say(f"{newest.wanted.get('mode', '?')} of {newest.plan}: {newest.status}, started {newest.started:%Y-%m-%d %H:%M}")
    if newest.wanted.get("mode") == "run":
        seen = Seen()
        seen.look(deployed, newest.plan, newest.own_id)
        _say(f"  {seen.done:>13,}  done", f"  {seen.in_line:>13,}  were in line already")
        _say(f"  {seen.failed + seen.faulted:>13,}  failed", f"  {_left(deployed, newest.plan):>13,}  left")
        _say(*(f"  {error}" for error in seen.errors))
    elif newest.is_running and (found := deployed.map_run(newest.arn)):
        counts = found["itemCounts"]
        _say(f"  {counts['succeeded']:,} of {counted(counts['total'], 'part')} compared")
    if newest.is_running:
        _say(f"Next: {options.make} DO=stop, or wait")
    elif newest.error:
        return _ended_badly(newest)
    else:
        _say(f"Next: {options.make} DO='report {newest.plan}'")
    return _DONE


def _left(deployed: Deployed, plan: str) -> int:
    return sum(map(count_of, deployed.names(Names(plan).work(with_orphans=False))))


def _stop(deployed: Deployed, options: argparse.Namespace) -> int:
    running = deployed.running()
    for arn in running:
        deployed.stop(arn)
        _say(f"Stopped {arn}")
    if running:
        _say(f"Nothing is lost. Next: {options.make} DO='run PLAN', to continue with what is left of a plan")
    else:
        _say(f"No execution is running. Next: {options.make} DO=status")
    return _DONE


def _report(deployed: Deployed, options: argparse.Namespace) -> int:
    report = deployed.report(options.plan) if options.plan else deployed.newest_report()
    if report is None:
        name = f" '{options.plan}'" if options.plan else ""
        raise CannotRunError(f"There is no finished plan{name}. Next: {options.make} DO=plan")
    plan = report["plan"]
    left = _left(deployed, plan)
    _say(*plan_lines(report), "", f"  {left:>13,}  left to work on", "")
    _say(f"Next: {options.make} DO='run {plan}'" if left else f"Next: {options.make} DO=plan")
    return _DONE


def _set_concurrency(deployed: Deployed, options: argparse.Namespace) -> int:
    changed = [arn for arn in deployed.running() if deployed.set_concurrency(arn, options.number)]
    if not changed:
        raise CannotRunError(f"No execution is running. Next: {options.make} DO=status")
    _say(f"The concurrency is now {options.number}. Next: {options.make} DO=status")
    return _DONE


def _ended_badly(execution: Execution) -> int:
    reason = ": ".join(filter(None, (execution.error, execution.cause))) or "no reason"
    print(f"The execution ended as {execution.status}: {reason}", file=sys.stderr)
    print(f"Next: docs/runbook.md, or aws stepfunctions describe-execution --execution-arn {execution.arn}")
    return _FAILED


def _refuse(sentence: str) -> int:
    print(f"Error: {sentence}", file=sys.stderr)
    return _COULD_NOT_RUN


def _say(*lines: str) -> None:
    for line in lines:
        print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
