# ruff: noqa: S603 - starts make, uv and Python by names and paths it knows.
"""Measure the start of the resize function beside the tutorials' one: process start to first answer.

Called by bench/run.py. Both as `sam build` would ship them, for the Python of this machine: folders that nothing is
written to, with bytecode and without. They take turns, each start in a process of its own, against an S3 on loopback.
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
    # No profile or configuration of this machine's user.
    "HOME": "/nonexistent",
}


@dataclass(frozen=True, slots=True)
class Function:
    """One way to ship a function."""

    name: str
    artefact: Path
    handler: str


@dataclass(frozen=True, slots=True)
class Row:
    """Medians over the starts of one function; ``ratio`` is that of processor time to the peer's."""

    name: str
    seconds: float
    cpu_seconds: float
    import_cpu_seconds: float
    ratio: float
    peak_mb: float
    unzipped_mb: float
    repetitions: int


def build(folder: Path) -> list[Function]:
    """Build both functions, with bytecode and without."""
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
    # The flags of a make around this one are not meant for it.
    environment = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL"}}
    subprocess.run(
        [*command, "ARCHITECTURE=host", f"BUILD_PYTHON={PYTHON}"],
        cwd=ROOT,
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )


def _build_tutorial(artefact: Path) -> None:
    """Install what tutorials do, in our versions."""
    pins = (ROOT / "functions" / "resize" / "requirements.in").read_text(encoding="utf-8")
    versions = dict(re.findall(r"^(botocore|Pillow)==(\S+)$", pins, re.MULTILINE))
    # The two are released together, under one number.
    wanted = [f"boto3=={versions['botocore']}", f"botocore=={versions['botocore']}", f"Pillow=={versions['Pillow']}"]
    install = ["uv", "pip", "install", "--quiet", "--no-compile-bytecode", "--link-mode", "copy"]
    subprocess.run([*install, "--python", PYTHON, "--target", artefact, *wanted], check=True)
    shutil.copy(ROOT / "bench" / "tutorial_handler.py", artefact)
    options = ["-q", "-j", "0", "--invalidation-mode", "unchecked-hash"]
    subprocess.run([PYTHON, "-m", "compileall", *options, artefact], check=True)


def start(function: Function, endpoint: str, python: str | Path = PYTHON) -> dict[str, float]:
    """Start a function once and return its times and its peak memory.

    Parameters
    ----------
    function : Function
    endpoint : str
        URL of the S3 that it calls.
    python : str or Path
        The Python that it runs on.
    """
    # Neither packages of this machine nor new bytecode: -B, because root may write into any folder.
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
    """Start the functions in turn and return the medians, after one round that fills the caches of the disk."""
    picture = encoded(Image.effect_noise((160, 120), 50).convert("RGB"), "JPEG")
    times: dict[str, list[dict[str, float]]] = {function.name: [] for function in functions}
    with loopback_s3(picture) as endpoint:
        for repetition in range(repetitions + 1):
            # Every other round backwards, so that nobody always follows the same function.
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
        "| function | ms | CPU ms | of them imports | ÷ tutorial | peak MB | unzipped MB |",
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
        "# Start-up\n\nMade by `make bench BENCH=--startup`; bench/README.md says how. From the start of the process "
        f"to the first answer, medians of {rows[0].repetitions} alternating starts on one processor ({where}). "
        "The ratio is that of processor time to that of the tutorial with bytecode.\n\n"
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
        sys.exit("The functions run on Python 3.13. Next: run this with it.")
    print("Building the artefact and the tutorial's …", flush=True)
    functions = build(arguments.work / "startup")
    # One processor, as a function of 1,769 MB has.
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    print(f"Starting each of {len(functions)} functions {arguments.repetitions} times …", flush=True)
    rows = measure(functions, arguments.repetitions)
    arguments.output.mkdir(parents=True, exist_ok=True)
    write(rows, arguments.output)
    print(table(rows))
    print(f"Next: read {os.path.relpath(arguments.output / 'benchmarks-startup.md')}.")


if __name__ == "__main__":
    main()
