# ruff: noqa: S603 - starts make, uv and Python by fixed names and paths.
"""Compare the start of the resize function with that of a tutorial's function: from process start to first answer.

Called by bench/run.py. Both functions are built as `sam build` builds them, but for the Python of this machine:
read-only folders, with and without bytecode. They take turns. Each start is a new process, and S3 is a server on
loopback.
"""

import argparse
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from bench.loopback_s3 import loopback_s3
from bench.machine import processor
from samples.files import encoded

ROOT = Path(__file__).resolve().parent.parent
RUNTIME = (3, 13)
PYTHON = Path(sys.base_prefix) / "bin" / "python3.13"
PEER = "tutorial, with bytecode"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_REGION": "eu-central-1",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_LAMBDA_FUNCTION_NAME": "resizer",
    "POWERTOOLS_SERVICE_NAME": "resize",
    "POWERTOOLS_METRICS_NAMESPACE": "bench",
    "ORIGINALS_BUCKET": "originals",
    "ORIGINALS_PREFIX": "",
    "THUMBNAILS_BUCKET": "thumbnails",
    "BUCKET_OWNER": "123456789012",
    "KMS_KEY_ARN": "",
    "CACHE_CONTROL": "max-age=86400",
    "CARRIED_HEADERS": "",
    # Hides the AWS profiles and configuration of this machine's user.
    "HOME": "/nonexistent",
}


@dataclass(frozen=True, slots=True)
class Function:
    """One built function."""

    name: str
    artefact: Path
    handler: str


@dataclass(frozen=True, slots=True)
class Row:
    """Medians over the starts of one function; ``ratio`` is processor time divided by that of `PEER`."""

    name: str
    seconds: float
    cpu_seconds: float
    import_cpu_seconds: float
    ratio: float
    peak_mb: float
    unzipped_mb: float
    repetitions: int


def build(folder: Path) -> list[Function]:
    """Build both functions, with and without bytecode."""
    shutil.rmtree(folder, ignore_errors=True)
    ours, tutorial = folder / "ours", folder / "tutorial"
    _build_ours(ours)
    _build_tutorial(tutorial)
    functions = []
    for name, artefact, handler in (
        ("ours", ours, "functions.resize.handler.lambda_handler"),
        ("tutorial", tutorial, "tutorial_handler.lambda_handler"),
    ):
        without = folder / f"{name}-without-bytecode"
        shutil.copytree(artefact, without, ignore=shutil.ignore_patterns("__pycache__"))
        functions += [
            Function(f"{name}, with bytecode", artefact, handler),
            Function(f"{name}, without", without, handler),
        ]
    for path in folder.rglob("*"):
        path.chmod(path.stat().st_mode & ~0o222)
    return functions


def _build_ours(artefact: Path) -> None:
    command = ["make", "--silent", "-f", "functions/Makefile", "build-ResizeFunction", f"ARTIFACTS_DIR={artefact}"]
    # If another make runs this bench, its flags are not meant for this make.
    environment = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL"}}
    subprocess.run(
        [*command, "ARCHITECTURE=host", f"BUILD_PYTHON={PYTHON}"],
        cwd=ROOT,
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )


def _build_tutorial(artefact: Path) -> None:
    """Install what tutorials install, in the versions that ours uses."""
    pins = (ROOT / "functions" / "resize" / "requirements.in").read_text(encoding="utf-8")
    versions = dict(re.findall(r"^(botocore|Pillow)==(\S+)$", pins, re.MULTILINE))
    # boto3 and botocore are released together under one version number.
    wanted = [f"boto3=={versions['botocore']}", f"botocore=={versions['botocore']}", f"Pillow=={versions['Pillow']}"]
    install = ["uv", "pip", "install", "--quiet", "--no-compile-bytecode", "--link-mode", "copy"]
    subprocess.run([*install, "--python", PYTHON, "--target", artefact, *wanted], check=True)
    shutil.copy(ROOT / "bench" / "tutorial_handler.py", artefact)
    options = ["-q", "-j", "0", "--invalidation-mode", "unchecked-hash"]
    subprocess.run([PYTHON, "-m", "compileall", *options, artefact], check=True)


def start(function: Function, endpoint: str, python: str | Path = PYTHON) -> dict[str, float]:
    """Start a function once and return its times and peak memory.

    Parameters
    ----------
    function : Function
    endpoint : str
        URL of the S3 server that it calls.
    python : str or Path
        The Python that it runs on.
    """
    # -I and -S hide this machine's packages. -B prevents new bytecode, because root can write into read-only folders.
    command = [python, "-I", "-S", "-B", ROOT / "bench" / "first_answer.py", function.artefact, function.handler]
    done = subprocess.run(
        [*command, str(time.monotonic())],
        env={**ENVIRONMENT, "AWS_ENDPOINT_URL": endpoint, "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{function.name} does not start:\n{done.stderr}")
    times: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return times


def measure(functions: list[Function], repetitions: int) -> list[Row]:
    """Start the functions in turn and return the medians, without the first round, which only fills the disk cache."""
    picture = encoded(Image.effect_noise((160, 120), 50).convert("RGB"), "JPEG")
    times: dict[str, list[dict[str, float]]] = {function.name: [] for function in functions}
    with loopback_s3(picture) as endpoint:
        for repetition in range(repetitions + 1):
            # Every other round runs backwards, so that no function always follows the same one.
            for function in functions if repetition % 2 else reversed(functions):
                answer = start(function, endpoint)
                if repetition:
                    times[function.name].append(answer)
    medians = {
        name: {key: statistics.median(answer[key] for answer in answers) for key in answers[0]}
        for name, answers in times.items()
    }
    return [
        Row(
            name=function.name,
            ratio=medians[function.name]["cpu_seconds"] / medians[PEER]["cpu_seconds"],
            unzipped_mb=sum(path.stat().st_size for path in function.artefact.rglob("*") if path.is_file()) / 1e6,
            repetitions=repetitions,
            **medians[function.name],
        )
        for function in functions
    ]


def table(rows: list[Row]) -> str:
    """Return the table as Markdown."""
    lines = [
        "| function | ms | CPU ms | CPU ms of imports | ÷ tutorial | peak MB | unzipped MB |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        cells = [
            f"{row.seconds * 1e3:.0f}",
            f"{row.cpu_seconds * 1e3:.0f}",
            f"{row.import_cpu_seconds * 1e3:.0f}",
            f"{row.ratio:.2f}",
            f"{row.peak_mb:.0f}",
            f"{row.unzipped_mb:.0f}",
        ]
        lines.append(f"| {row.name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def write(rows: list[Row], folder: Path) -> None:
    """Write the rows as JSON and as a page."""
    machine: dict[str, Any] = {
        "processor": processor(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
    }
    report = {"machine": machine, "rows": [asdict(row) for row in rows]}
    (folder / "benchmarks-startup.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    where = f"{machine['processor']}, load {machine['load']:.1f}, Python {machine['python']}"
    heading = (
        "# Start-up\n\nWritten by `make bench BENCH=--startup`; bench/README.md explains the method. Times are from "
        f"the start of the process to the first answer: medians of {rows[0].repetitions} alternating starts on one "
        f"processor ({where}). The ratio is processor time divided by that of the tutorial with bytecode.\n\n"
    )
    (folder / "benchmarks-startup.md").write_text(heading + table(rows) + "\n", encoding="utf-8")


def main() -> None:
    """Build, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="the bench's own folder")
    parser.add_argument("--output", type=Path, required=True, help="folder for benchmarks-startup.md and .json")
    parser.add_argument("--repetitions", type=int, default=13, help="starts of each function")
    arguments = parser.parse_args()
    if sys.version_info[:2] != RUNTIME:
        sys.exit("The functions run on Python 3.13. Next: run this command with Python 3.13.")
    print("Building our function and the tutorial's …", flush=True)
    functions = build(arguments.work / "startup")
    # A function with 1,769 MB has one processor.
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    print(f"Starting each of {len(functions)} functions {arguments.repetitions} times …", flush=True)
    rows = measure(functions, arguments.repetitions)
    arguments.output.mkdir(parents=True, exist_ok=True)
    write(rows, arguments.output)
    print(table(rows))
    print(f"Next: read {os.path.relpath(arguments.output / 'benchmarks-startup.md')}.")


if __name__ == "__main__":
    main()
