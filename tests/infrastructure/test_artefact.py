"""What `sam build` hands to Lambda: built here by the recipe itself, once for each function and architecture."""

import hashlib
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.deployed import ROOT, SCHEMA_PATH

FOLDERS = {"ResizeFunction": "resize", "StartFromS3Function": "start_from_s3"}
SERVICES = {"ResizeFunction": "s3", "StartFromS3Function": "stepfunctions"}
# e_machine of the ELF header: https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html
MACHINES = {"arm64": 183, "x86_64": 62}
RUNTIME = (3, 13)
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
LARGEST_UNZIPPED = 250 * 1024 * 1024
# Amazon Linux 2023, which python3.13 runs on: https://docs.aws.amazon.com/linux/al2023/ug/core-glibc.html
GLIBC = (2, 34)

Build = Callable[[str, str], Path]


def make(function: str, architecture: str, target: Path, python: str = sys.executable) -> None:
    # Of a make around this one, neither flags nor jobs are meant for it.
    environment = {
        name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}
    }
    arguments = [
        f"build-{function}",
        f"ARTIFACTS_DIR={target}",
        f"ARCHITECTURE={architecture}",
        f"BUILD_PYTHON={python}",
    ]
    done = subprocess.run(  # noqa: S603 - fixed arguments
        ["make", "-f", "functions/Makefile", *arguments],  # noqa: S607 - the make of this machine
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    built: dict[tuple[str, str], Path] = {}

    def once(function: str, architecture: str) -> Path:
        if (function, architecture) not in built:
            target = tmp_path_factory.mktemp(f"{function}-{architecture}-")
            make(function, architecture, target)
            built[function, architecture] = target
        return built[function, architecture]

    return once


@pytest.fixture(params=list(FOLDERS))
def function(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(params=list(MACHINES))
def architecture(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def artefact(build: Build, function: str, architecture: str) -> Path:
    return build(function, architecture)


def pins(function: str) -> dict[str, str]:
    text = (ROOT / "functions" / FOLDERS[function] / "requirements.txt").read_text()
    return {name.lower(): version for name, version in re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.MULTILINE)}


def libraries(artefact: Path) -> list[Path]:
    return [path for path in artefact.rglob("*.so*") if path.is_file()]


def test_every_library_is_for_the_architecture(artefact: Path, function: str, architecture: str) -> None:
    headers = {path.name: path.read_bytes()[:20] for path in libraries(artefact)}

    assert all(header.startswith(b"\x7fELF") for header in headers.values())
    assert {int.from_bytes(header[18:20], "little") for header in headers.values()} <= {MACHINES[architecture]}
    # Without one there would be nothing to see.
    assert bool(headers) == (function == "ResizeFunction")


def test_every_extension_is_for_the_runtimes_python(artefact: Path) -> None:
    tagged = [path.name for path in libraries(artefact) if ".cpython-" in path.name]

    assert [name for name in tagged if ".cpython-313-" not in name] == []


def test_every_library_finds_its_glibc(artefact: Path) -> None:
    for path in libraries(artefact):
        wanted = {(int(major), int(minor)) for major, minor in re.findall(rb"\0GLIBC_(\d+)\.(\d+)", path.read_bytes())}
        assert max(wanted, default=(2, 0)) <= GLIBC, path.name


def test_the_packages_are_exactly_the_pinned_ones(artefact: Path, function: str) -> None:
    installed = {}
    for folder in artefact.glob("*.dist-info"):
        name, _, version = folder.name.removesuffix(".dist-info").rpartition("-")
        installed[name.lower().replace("_", "-")] = version

    assert installed == pins(function)


def test_pillow_is_the_one_without_known_holes(build: Build, architecture: str) -> None:
    # An older platform tag makes installers choose an older Pillow in silence.
    artefact = build("ResizeFunction", architecture)
    version = re.search(r'^__version__ = "(.+)"$', (artefact / "PIL" / "_version.py").read_text(), re.MULTILINE)

    assert version is not None
    assert version[1] == pins("ResizeFunction")["pillow"]


def test_function_schema_and_packages_are_there_and_nothing_else(artefact: Path, function: str) -> None:
    packaged = {
        line.partition("/")[0].partition(",")[0]
        for record in artefact.glob("*.dist-info/RECORD")
        for line in record.read_text().splitlines()
        if not line.startswith(("..", "bin/"))
    }
    expected = packaged | {"functions"} | ({"schemas"} if function == "ResizeFunction" else set())

    assert {path.name for path in artefact.iterdir()} - {"__pycache__"} == expected - {"__pycache__"}
    assert {"bin", "tests", "boto3", "local"} & expected == set()


def test_the_tests_of_packages_stay_behind(artefact: Path) -> None:
    assert [path for path in artefact.rglob("*") if path.is_dir() and path.name in {"test", "tests"}] == []


def test_the_function_is_the_one_of_the_repository(artefact: Path, function: str) -> None:
    folder = FOLDERS[function]
    ours = {path.name: path.read_bytes() for path in (ROOT / "functions" / folder).glob("*.py")}
    packed = artefact / "functions"

    assert {path.name for path in packed.iterdir()} - {"__pycache__"} == {folder}
    assert {path.name: path.read_bytes() for path in (packed / folder).iterdir() if path.is_file()} == ours


def test_the_schema_is_the_one_of_the_repository(build: Build, architecture: str) -> None:
    folder = build("ResizeFunction", architecture) / "schemas"

    assert [path.name for path in folder.iterdir()] == [SCHEMA_PATH.name]
    assert (folder / SCHEMA_PATH.name).read_bytes() == SCHEMA_PATH.read_bytes()


def test_the_sdk_knows_no_other_services(artefact: Path, function: str) -> None:
    data = artefact / "botocore" / "data"

    assert {path.name for path in data.iterdir() if path.is_dir()} == {SERVICES[function]}
    assert (data / "endpoints.json").is_file()


def test_lambda_takes_it(artefact: Path) -> None:
    assert sum(path.stat().st_size for path in artefact.rglob("*") if path.is_file()) < LARGEST_UNZIPPED


def test_bytecode_is_shipped_when_the_building_python_is_the_runtimes(artefact: Path) -> None:
    sources = set(artefact.rglob("*.py"))
    compiled = set(artefact.rglob("*.pyc"))
    if sys.version_info[:2] != RUNTIME:
        assert compiled == set()
        return

    assert compiled == {Path(importlib.util.cache_from_source(str(source))) for source in sources}
    for path in compiled:
        magic, flags = path.read_bytes()[:4], path.read_bytes()[4:8]
        assert magic == importlib.util.MAGIC_NUMBER
        # Found by hash and not looked up in the source: https://peps.python.org/pep-0552/
        assert flags == b"\1\0\0\0"


def test_bytecode_is_not_shipped_when_another_python_builds(tmp_path: Path) -> None:
    other = tmp_path / "python"
    other.write_text("#!/bin/sh\necho 3.12\n")
    other.chmod(0o755)
    target = tmp_path / "artefact"

    make("StartFromS3Function", "arm64", target, python=str(other))

    assert list(target.rglob("*.pyc")) == []
    assert (target / "functions" / "start_from_s3" / "handler.py").is_file()


def test_an_unknown_architecture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="ARCHITECTURE is 'sparc'; it must be arm64, x86_64 or host"):
        make("StartFromS3Function", "sparc", tmp_path)


IMPORT = """
import sys
sys.path.insert(0, sys.argv[1])
import importlib
module, _, name = sys.argv[2].rpartition(".")
assert callable(getattr(importlib.import_module(module), name))
outside = [m.__file__ for m in sys.modules.values() if "site-packages" in (getattr(m, "__file__", None) or "")]
assert not outside, outside
"""


@pytest.mark.usefixtures("no_real_aws")
def test_the_handler_starts_from_the_artefact_alone(build: Build, function: str, resources: dict[str, Any]) -> None:
    properties = resources[function]["Properties"]
    variables = {
        name: value if isinstance(value, str) else "8x8"
        for name, value in properties["Environment"]["Variables"].items()
    }

    done = subprocess.run(  # noqa: S603 - fixed arguments
        # Neither this folder nor the packages of this environment are on the path.
        [sys.executable, "-I", "-S", "-c", IMPORT, str(build(function, "host")), properties["Handler"]],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_a_build_gives_the_same_files_again(build: Build, tmp_path: Path) -> None:
    def digests(folder: Path) -> dict[str, str]:
        return {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in folder.rglob("*")
            if path.is_file()
        }

    make("StartFromS3Function", "arm64", tmp_path)

    assert digests(tmp_path) == digests(build("StartFromS3Function", "arm64"))
