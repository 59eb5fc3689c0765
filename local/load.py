"""``python -m local.load``: fifty clients for a minute against the API of the running local stack.

Locust (https://locust.io) sends and measures, in an environment of its own; load_clients.py says what a client does.
"""

import os
import subprocess
import sys
import uuid

from local.stack import ROOT, Settings, Stack, StackError, functions_log, shown

_LOCUST = ROOT / ".tools" / "load" / "bin" / "locust"
_PICTURE = ROOT / ".tools" / "photos" / "skimage" / "data" / "rocket.jpg"


def main() -> int:
    """Run the load; return the exit status, 0 if no request failed."""
    try:
        settings = Settings.from_environment()
        stack = Stack(settings)
        _check(stack)
        clients, seconds = _bounded("LOAD_CLIENTS", 50, 200), _bounded("LOAD_SECONDS", 60, 600)
        outputs = stack.outputs()
        key = f"load/{uuid.uuid4()}.jpg"
        stack.aws("s3", "cp", "--only-show-errors", str(_PICTURE), f"s3://{outputs['OriginalsBucketName']}/{key}")
    except StackError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    # The host is always loopback: nobody else's API can be loaded with this command.
    command = [
        *(str(_LOCUST), "--headless", "--only-summary", "--locustfile", str(ROOT / "local" / "load_clients.py")),
        *("--host", f"http://127.0.0.1:{settings.api_port}", "--loglevel", "WARNING"),
        *("--users", str(clients), "--spawn-rate", str(clients), "--run-time", f"{seconds}s"),
    ]
    environment = {
        "LOAD_ORIGINALS": outputs["OriginalsBucketName"],
        "LOAD_THUMBNAILS": outputs["ThumbnailsBucketName"],
        "LOAD_KEY": key,
    }
    print(f"{clients} clients for {seconds} seconds against http://127.0.0.1:{settings.api_port} …", flush=True)
    done = subprocess.run(  # noqa: S603 - the command is ours
        command,
        env={**os.environ, **environment},
        # Locust prints its figures there, and they are what was asked for.
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode:
        print(f"Requests failed. Next: look for the reason in {shown(functions_log(settings.state))}")
    else:
        print("Next: make load LOAD_CLIENTS=100, or make down")
    return done.returncode


def _check(stack: Stack) -> None:
    if missing := stack.missing():
        raise StackError(f"The local stack is not up: {' and '.join(missing)} not running. Start it with: make up")
    if stack.settings.parameters["ApiAuthorization"] != "NONE":
        raise StackError("The clients of make load do not sign: use a stack with ApiAuthorization=NONE.")


def _bounded(name: str, default: int, most: int) -> int:
    text = os.environ.get(name) or str(default)
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise StackError(f"{name} is '{text}'; it must be a number from 1 to {most}.")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
