"""Command line of the local stack: ``python -m local up | down | status | demo``."""

import argparse
import errno
import os
import re
import sys

from local import demo, proxies
from local.stack import ROOT, Settings, Stack, StackError, down, functions_log, shown, state_folder

# Errors of writes to the state folder that the user has to fix.
_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES}


def main() -> int:
    """Run one command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m local", description="The local stack.")
    parser.add_argument("command", choices=["up", "down", "status", "demo"])
    command = parser.parse_args().command
    try:
        # First and without settings, because it must work even if the settings cannot be read.
        if command == "down":
            ended = down(state_folder())
            print(
                "The local stack is stopped. Its buckets are deleted." if ended else "The local stack was not running."
            )
            print("Next: make up")
            return 0
        settings = Settings.from_environment()
        if command == "demo":
            return demo.run(settings, _say)
        stack = Stack(settings, _say)
        if command == "up":
            stack.up()
        elif missing := stack.missing():
            print(f"The local stack is not up. Not running: {', '.join(missing)}.\nNext: make up")
            return 1
        _say_where(stack)
    except StackError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        if error.errno not in _DISK_ERRORS:
            raise
        where = error.filename or shown(state_folder())
        print(f"Error: cannot write {where}: {error.strerror}. Free some space, then: make {command}", file=sys.stderr)
        return 1
    return 0


def _say(line: str) -> None:
    print(line, flush=True)


def _say_where(stack: Stack) -> None:
    settings, outputs = stack.settings, stack.outputs()
    originals, machine = outputs["OriginalsBucketName"], outputs["StateMachineArn"]
    servers = [settings.state / f"{name}.log" for name in ("aws", "gateway", "gallery")]
    print(
        f"""
The local stack is up.

  Gallery        {settings.gallery}
  AWS endpoint   {settings.endpoint}
  API            POST {settings.api}
  Originals      s3://{originals}
  Thumbnails     s3://{outputs["ThumbnailsBucketName"]}/thumbnails/
  State machine  {machine}
  Function log   {shown(functions_log(settings.state))}
  Other logs     {", ".join(map(shown, servers))}

To use the stock AWS and SAM CLIs with it (they are in .tools/awscli/bin and .tools/sam/bin):

{_indented(_exports(stack))}
  (For aws sqs, this version of the AWS CLI also needs --endpoint-url $AWS_ENDPOINT_URL.)

Then list the failed executions and their errors (with UploadWorkflow=EXPRESS only the second command shows uploads):

  STATE_MACHINE_ARN={machine}
{_indented(_find_what_failed())}

Next: open {settings.gallery} and drop pictures in, or
      aws s3 cp picture.jpg s3://{originals}/
      aws stepfunctions list-executions --state-machine-arn {machine} --max-results 5
      make down"""
    )


def _exports(stack: Stack) -> str:
    lines = [
        f"export AWS_ENDPOINT_URL={stack.settings.endpoint} AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1",
        "export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test",
        'export PATH="$PWD/.tools/awscli/bin:$PWD/.tools/sam/bin:$PATH"',
    ]
    if proxies(os.environ):
        lines.append("export NO_PROXY='{NO_PROXY}' no_proxy='{no_proxy}'".format(**os.environ))
    return "\n".join(lines)


def _find_what_failed() -> str:
    runbook = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    section = runbook.split("\n## Find what failed\n")[1].split("\n## ")[0]
    # The list of executions, and the log, which also contains Express executions.
    commands: list[str] = re.findall(r"^```console\n\$ (.*?)\n```$", section, re.DOTALL | re.MULTILINE)
    return "\n".join(commands[:2])


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


if __name__ == "__main__":
    sys.exit(main())
