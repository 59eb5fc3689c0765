"""Command line of the local stack: ``python -m local up | down | status | demo``."""

import argparse
import sys

from local import demo
from local.stack import Settings, Stack, StackError, shown


def main() -> int:
    """Run one command; give its exit status."""
    parser = argparse.ArgumentParser(prog="python -m local", description="The local stack.")
    parser.add_argument("command", choices=["up", "down", "status", "demo"])
    command = parser.parse_args().command
    try:
        settings = Settings.from_environment()
        if command == "demo":
            return demo.run(settings, _say)
        stack = Stack(settings, _say)
        if command == "down":
            ended = stack.down()
            print("The local stack is down, its buckets are gone." if ended else "The local stack was not running.")
            print("Next: make up")
            return 0
        if command == "up":
            stack.up()
        elif missing := stack.missing():
            print(f"The local stack is not up: {' and '.join(missing)} not running.\nNext: make up")
            return 1
        _say_where(stack)
    except StackError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


def _say(line: str) -> None:
    print(line, flush=True)


def _say_where(stack: Stack) -> None:
    settings, outputs = stack.settings, stack.outputs()
    originals, machine = outputs["OriginalsBucketName"], outputs["StateMachineArn"]
    print(
        f"""
The local stack is up.

  AWS endpoint   {settings.endpoint}
  API            POST {settings.api}
  Originals      s3://{originals}
  Thumbnails     s3://{outputs["ThumbnailsBucketName"]}/thumbnails/
  State machine  {machine}
  Logs           {shown(settings.state / "aws.log")}, {shown(settings.state / "gateway.log")}

To use the stock AWS and SAM CLIs with it (they are in .tools/awscli/bin and .tools/sam/bin):

  export AWS_ENDPOINT_URL={settings.endpoint} AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1
  export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test
  export PATH="$PWD/.tools/awscli/bin:$PWD/.tools/sam/bin:$PATH"
  (This version of the AWS CLI wants --endpoint-url $AWS_ENDPOINT_URL for aws sqs all the same.)

Next: aws s3 cp picture.jpg s3://{originals}/
      aws stepfunctions list-executions --state-machine-arn {machine} --max-results 5
      make down"""
    )


if __name__ == "__main__":
    sys.exit(main())
