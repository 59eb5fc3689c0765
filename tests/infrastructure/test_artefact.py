"""What `sam build` hands to Lambda: built here by the recipe itself, once for each function and architecture."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import botocore.loaders
import pytest
from botocore.model import ServiceModel

from bench import startup
from bench.loopback_s3 import loopback_s3
from functions.reconcile.price import MEASURED_PATH, PRICES_PATH
from functions.start_from_s3.recipes import RECIPES_PATH
from local.template import example_stack
from samples import profiles
from samples.files import encoded
from samples.pictures import cut_out, photograph
from tests.deployed import ROOT, SCHEMA_PATH

FOLDERS = {
    "ResizeFunction": "resize",
    "StartFromS3Function": "start_from_s3",
    "ReconcileFunction": "reconcile",
    "NotifyFunction": "notify",
}
# What lies beside functions and packages.
FILES = {
    "ResizeFunction": {"schemas"},
    "StartFromS3Function": {"recipes.json"},
    "ReconcileFunction": {"recipes.json", "docs"},
    "NotifyFunction": set(),
}
# Modules of other functions that a function imports.
SHARED = {
    "ReconcileFunction": {
        "start_from_s3": {"__init__.py", "recipes.py", "requests.py"},
        "resize": {"__init__.py", "errors.py", "keys.py", "limits.py", "manifest.py", "recipe.py", "storage.py"},
    },
    "NotifyFunction": {"reconcile": {"__init__.py", "errors.py"}},
}
# Service -> operations.
CALLS = {
    "ResizeFunction": {"s3": {"DeleteObject", "GetObject", "HeadObject", "PutObject"}},
    "ReconcileFunction": {"s3": {"DeleteObject", "GetObject", "HeadObject", "ListObjectsV2", "PutObject"}},
    "StartFromS3Function": {
        "stepfunctions": {"DescribeExecution", "ListExecutions", "StartExecution", "StartSyncExecution"},
        "sqs": {"SendMessage"},
    },
    "NotifyFunction": {"sns": {"Publish"}},
}
# e_machine of the ELF header: https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html
MACHINES = {"arm64": 183, "x86_64": 62}
RUNTIME = (3, 13)
# The first two bytes of bytecode of 3.13: https://github.com/python/cpython/blob/3.13/Include/internal/pycore_magic_number.h
MAGIC = (3571).to_bytes(2, "little") + b"\r\n"
# Bytes, with a tenth to spare; Lambda takes 250 MB, and reads what it takes at every cold start.
LARGEST_UNZIPPED = {
    "ResizeFunction": 58_000_000,
    "StartFromS3Function": 8_000_000,
    "ReconcileFunction": 8_000_000,
    "NotifyFunction": 8_000_000,
}
# What functions/trim.py takes out of the pinned packages as a whole.
UNUSED_PACKAGES = {"cffi", "pycparser"}
# Amazon Linux 2023, which python3.13 runs on: https://docs.aws.amazon.com/linux/al2023/ug/core-glibc.html
GLIBC = (2, 34)

Build = Callable[[str, str], Path]


def run_make(function: str, target: Path, *variables: str, root: Path = ROOT, **environment: str) -> str:
    """Build a function and return what was printed."""
    # Of a make around this one, neither flags nor jobs are meant for it.
    inherited = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}}
    done = subprocess.run(  # noqa: S603 - fixed arguments
        ["make", "-f", "functions/Makefile", f"build-{function}", f"ARTIFACTS_DIR={target}", *variables],  # noqa: S607 - the make of this machine
        cwd=root,
        env=inherited | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def runtimes_python() -> str:
    """Return the Python 3.13 of this machine, or an empty string."""
    uv = shutil.which("uv") or ".tools/uv/bin/uv"
    command = ["sh", "functions/find-python.sh", "3.13", uv]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603 - fixed arguments


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    built: dict[tuple[str, str], Path] = {}

    def once(function: str, architecture: str) -> Path:
        if (function, architecture) not in built:
            target = tmp_path_factory.mktemp(f"{function}-{architecture}-")
            if architecture == "host":
                variables = [f"BUILD_PYTHON={sys.executable}"]
            else:
                variables = [] if runtimes_python() else ["WITHOUT_BYTECODE=1"]
            run_make(function, target, f"ARCHITECTURE={architecture}", *variables)
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
    expected = packaged | {"functions"} | FILES[function]

    expected -= UNUSED_PACKAGES | {"__pycache__"}
    assert {path.name for path in artefact.iterdir()} - {"__pycache__"} == expected
    assert {"bin", "tests", "boto3", "local"} & expected == set()


def test_the_tests_of_packages_stay_behind(artefact: Path) -> None:
    assert [path for path in artefact.rglob("*") if path.is_dir() and path.name in {"test", "tests"}] == []


def test_the_function_is_the_one_of_the_repository(artefact: Path, function: str) -> None:
    folder = FOLDERS[function]
    ours = {path.name: path.read_bytes() for path in (ROOT / "functions" / folder).glob("*.py")}
    packed = artefact / "functions"

    shared = SHARED.get(function, {})
    assert {path.name for path in packed.iterdir()} - {"__pycache__"} == {folder} | shared.keys()
    for other, modules in shared.items():
        found = {path.name: path.read_bytes() for path in (packed / other).iterdir() if path.is_file()}
        assert found == {name: (ROOT / "functions" / other / name).read_bytes() for name in modules}
    assert {path.name: path.read_bytes() for path in (packed / folder).iterdir() if path.is_file()} == ours


def test_the_schema_is_the_one_of_the_repository(build: Build, architecture: str) -> None:
    folder = build("ResizeFunction", architecture) / "schemas"

    assert [path.name for path in folder.iterdir()] == [SCHEMA_PATH.name]
    assert (folder / SCHEMA_PATH.name).read_bytes() == SCHEMA_PATH.read_bytes()


@pytest.mark.parametrize("function", ["StartFromS3Function", "ReconcileFunction"])
def test_the_recipes_are_those_of_the_repository(build: Build, function: str, architecture: str) -> None:
    shipped = build(function, architecture) / RECIPES_PATH.name

    assert shipped.read_bytes() == RECIPES_PATH.read_bytes()


def test_the_prices_are_those_of_the_repository(build: Build, architecture: str) -> None:
    folder = build("ReconcileFunction", architecture) / "docs"

    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        path.name: path.read_bytes() for path in (PRICES_PATH, MEASURED_PATH)
    }


def test_a_build_with_a_wrong_recipe_stops_with_the_line_and_the_rule(tmp_path: Path) -> None:
    root = copy_of_the_build(tmp_path / "copy")
    (root / "recipes.json").write_text(
        '[\n  {"prefix": "a/", "sizes": ["8x8"]},\n  {"prefix": "", "quality": 101}\n]\n'
    )
    variables = [] if runtimes_python() else ["WITHOUT_BYTECODE=1"]

    with pytest.raises(AssertionError) as stopped:
        run_make("StartFromS3Function", tmp_path / "artefact", *variables, root=root)

    sentence = " ".join(str(stopped.value).split())
    assert "recipes.json, line 3: 'quality' must be a whole number from 1 to 100" in sentence
    assert "Next: correct recipes.json" in sentence
    assert not (tmp_path / "artefact").exists()


def test_the_sdk_knows_exactly_the_calls_that_are_made(artefact: Path, function: str) -> None:
    loader = botocore.loaders.Loader([str(artefact / "botocore" / "data")], include_default_search_paths=False)
    shipped = {
        service: set(ServiceModel(loader.load_service_model(service, "service-2")).operation_names)
        for service in CALLS[function]
    }

    assert shipped == CALLS[function]


def test_the_sdk_knows_no_other_services(artefact: Path, function: str) -> None:
    data = artefact / "botocore" / "data"
    endpoints = json.loads((data / "endpoints.json").read_text())

    assert {path.name for path in data.iterdir() if path.is_dir()} == CALLS[function].keys()
    assert {service for partition in endpoints["partitions"] for service in partition["services"]} <= CALLS[
        function
    ].keys()


def test_what_the_sdk_knows_of_the_calls_is_what_it_always_knew(artefact: Path, function: str) -> None:
    shipped = botocore.loaders.Loader([str(artefact / "botocore" / "data")], include_default_search_paths=False)
    for service in CALLS[function]:
        trimmed = ServiceModel(shipped.load_service_model(service, "service-2"))
        whole = ServiceModel(botocore.loaders.Loader().load_service_model(service, "service-2"))

        assert trimmed.metadata == whole.metadata
        assert trimmed.operation_names
        for name in trimmed.operation_names:
            ours, theirs = trimmed.operation_model(name), whole.operation_model(name)
            assert ours.http == theirs.http
            assert [shape.name for shape in ours.error_shapes] == [shape.name for shape in theirs.error_shapes]
            for side in ("input_shape", "output_shape"):
                assert shapes_of(getattr(ours, side)) == shapes_of(getattr(theirs, side))


def shapes_of(shape: Any) -> Any:
    """Return a shape and all that is in it as plain values, without documentation."""
    inner = {name: shapes_of(member) for name, member in getattr(shape, "members", {}).items()}
    for part in ("member", "key", "value"):
        if hasattr(shape, part):
            inner[part] = shapes_of(getattr(shape, part))
    serialization = dict(getattr(shape, "serialization", {}))
    return getattr(shape, "name", None), getattr(shape, "type_name", None), serialization, inner


def test_it_has_no_megabytes_that_nothing_imports(artefact: Path, function: str) -> None:
    size = sum(path.stat().st_size for path in artefact.rglob("*") if path.is_file())

    assert size < LARGEST_UNZIPPED[function]


def test_bytecode_is_shipped_where_there_is_a_python_that_writes_it(artefact: Path) -> None:
    sources = set(artefact.rglob("*.py"))
    compiled = set(artefact.rglob("*.pyc"))
    if not runtimes_python():
        assert compiled == set()
        return

    assert compiled == {path.parent / "__pycache__" / f"{path.stem}.cpython-313.pyc" for path in sources}
    for path in compiled:
        magic, flags = path.read_bytes()[:4], path.read_bytes()[4:8]
        assert magic == MAGIC
        # Found by hash and not looked up in the source: https://peps.python.org/pep-0552/
        assert flags == b"\1\0\0\0"


def another_python(folder: Path) -> Path:
    """Make a Python 3.12 that runs as well as this one, but for saying so."""
    path = folder / "python3"
    path.write_text(
        f'#!/bin/sh\ncase "$2" in *version_info*) echo 3.12; exit 1 ;; esac\nexec "{sys.executable}" "$@"\n'
    )
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("named", [True, False])
def test_a_build_without_the_runtimes_python_stops(tmp_path: Path, *, named: bool) -> None:
    root = copy_of_the_build(tmp_path / "copy")
    path = another_python(tmp_path)
    (tmp_path / "python3.13").symlink_to(path)
    variables = [f"BUILD_PYTHON={path}"] if named else []
    machine = {"PATH": f"{tmp_path}:/usr/bin:/bin", "HOME": str(tmp_path), "PYENV_ROOT": str(tmp_path), "UV": "false"}

    with pytest.raises(AssertionError) as stopped:
        run_make("StartFromS3Function", tmp_path / "artefact", *variables, root=root, **machine)

    sentence = " ".join(str(stopped.value).split())
    assert ("BUILD_PYTHON is not" if named else "There is no") + " Python 3.13" in sentence
    assert "a cold start takes 2.7 times as much processor time" in sentence
    assert "Next: uv python install 3.13, or go on without bytecode: WITHOUT_BYTECODE=1 sam build" in sentence
    assert not (tmp_path / "artefact").exists()


def test_a_build_without_bytecode_is_one_that_was_asked_for(tmp_path: Path) -> None:
    target = tmp_path / "artefact"

    said = run_make("StartFromS3Function", target, f"BUILD_PYTHON={another_python(tmp_path)}", WITHOUT_BYTECODE="1")

    assert list(target.rglob("*.pyc")) == []
    assert (target / "functions" / "start_from_s3" / "handler.py").is_file()
    assert "No bytecode is shipped: a cold start takes 2.7 times as much processor time" in said


def copy_of_the_build(root: Path) -> Path:
    """Copy what a build reads, without this folder's environment."""
    for name in ("functions", "schemas", "requirements"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(RECIPES_PATH, root)
    return root


@pytest.mark.parametrize("architecture", ["arm64", "host"])
def test_folders_may_have_spaces_and_apostrophes(tmp_path: Path, architecture: str) -> None:
    root = copy_of_the_build(tmp_path / "it's a test")
    (root / "a python").symlink_to(ROOT / (runtimes_python() or sys.executable))
    uv = shutil.which("uv") or ROOT / ".tools" / "uv" / "bin" / "uv"
    (root / "a uv").symlink_to(uv)
    variables = [f"ARCHITECTURE={architecture}", f"BUILD_PYTHON={root / 'a python'}", f"UV={root / 'a uv'}"]
    target = root / "its artefact"

    run_make(
        "StartFromS3Function", target, *variables, *([] if runtimes_python() else ["WITHOUT_BYTECODE=1"]), root=root
    )

    assert (target / "functions" / "start_from_s3" / "handler.py").is_file()
    assert bool(list(target.rglob("*.pyc"))) == bool(runtimes_python())


def test_an_unknown_architecture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="ARCHITECTURE is 'sparc'; it must be arm64, x86_64 or host"):
        run_make("StartFromS3Function", tmp_path, "ARCHITECTURE=sparc")


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
    stack = example_stack({"NotificationTopicArn": "arn:aws:sns:us-east-1:123456789012:thumbnails"})
    resolved = stack.resolve(properties["Environment"]["Variables"])
    variables = {name: str(value) for name, value in resolved.items()}

    done = subprocess.run(  # noqa: S603 - fixed arguments
        # Neither this folder nor the packages of this environment are on the path.
        [sys.executable, "-I", "-S", "-c", IMPORT, str(build(function, "host")), properties["Handler"]],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")


MAKE = """
import hashlib, json, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from functions.resize.recipe import Box, OutputFormat, Recipe
from functions.resize.thumbnails import make_thumbnails
assert not {"PIL.TiffImagePlugin", "PIL.AvifImagePlugin", "pi_heif", "pyvips"} & sys.modules.keys()
made = {}
for original in sorted(Path(sys.argv[2]).iterdir()):
    for format in OutputFormat:
        result = make_thumbnails(original.read_bytes(), Recipe((Box(90, 90), Box(20, 30)), format=format))
        made[f"{original.name} as {format}"] = [hashlib.sha256(each.data).hexdigest() for each in result.thumbnails]
print(json.dumps(made))
assert not {"cffi", "pycparser", "jsonschema"} & sys.modules.keys()
"""


@pytest.fixture
def originals(tmp_path: Path) -> Path:
    """Write a picture for every reader, decoder of a TIFF and way through libvips that an original can need."""
    scene = photograph(320, 240)
    films = [photograph(64, 48), photograph(64, 48).rotate(90)]
    files = {
        **{f"still {kind}": encoded(scene, kind) for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "AVIF", "HEIF")},
        **{f"large {kind}": encoded(photograph(1400, 1000), kind) for kind in ("JPEG", "PNG", "WEBP")},
        **{f"film {kind}": encoded(films[0], kind, save_all=True, append_images=films[1:]) for kind in ("GIF", "WEBP")},
        **{
            f"TIFF in {compression}": encoded(scene, "TIFF", compression=compression)
            for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "jpeg", "zstd", "lzma", "packbits")
        },
        "progressive": encoded(scene, "JPEG", progressive=True),
        "cmyk": encoded(scene.convert("CMYK"), "JPEG"),
        "with transparency": encoded(cut_out(320, 240), "PNG"),
        "of another colour space": encoded(scene, "JPEG", icc_profile=profiles.display_p3()),
    }
    folder = tmp_path / "originals"
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def test_every_picture_becomes_what_it_becomes_here(build: Build, originals: Path) -> None:
    def made(*arguments: object) -> dict[str, list[str]]:
        command = [sys.executable, *map(str, arguments), str(originals)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed arguments
        assert done.returncode == 0, done.stderr
        thumbnails: dict[str, list[str]] = json.loads(done.stdout)
        return thumbnails

    # Neither this folder nor the packages of this environment are on the path.
    shipped = made("-I", "-S", "-c", MAKE, build("ResizeFunction", "host"))

    assert shipped == made("-c", MAKE, ROOT)
    assert len(shipped) == 23 * 5


LOADED = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from functions.resize.request import parse_request
from functions.resize.thumbnails import make_thumbnails
buckets = {"source_bucket": "originals", "destination_bucket": "thumbnails"}
request = parse_request({**buckets, "object_key": "a.jpg", "width": 90, "height": 90})
make_thumbnails(Path(sys.argv[2]).read_bytes(), request.recipe)
print(" ".join(sys.modules))
"""


def test_a_small_jpeg_loads_what_it_needs(build: Build, originals: Path) -> None:
    command = [sys.executable, "-I", "-S", "-c", LOADED, str(build("ResizeFunction", "host"))]
    done = subprocess.run([*command, str(originals / "still JPEG")], capture_output=True, text=True, check=True)  # noqa: S603 - fixed arguments

    loaded = {name for name in done.stdout.split() if name.endswith("ImagePlugin")}
    assert loaded == {"PIL.JpegImagePlugin"}
    assert not {"jsonschema", "pi_heif", "pyvips"} & set(done.stdout.split())


def test_the_shipped_function_speaks_with_s3(build: Build, resources: dict[str, Any]) -> None:
    function = startup.Function(
        "shipped", build("ResizeFunction", "host"), resources["ResizeFunction"]["Properties"]["Handler"]
    )

    with loopback_s3(encoded(photograph(320, 240), "JPEG")) as endpoint:
        times = startup.start(function, endpoint, python=sys.executable)

    assert 0 < times["import_cpu_seconds"] < times["cpu_seconds"]


def test_a_build_gives_the_same_files_again(build: Build, tmp_path: Path) -> None:
    def digests(folder: Path) -> dict[str, str]:
        return {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in folder.rglob("*")
            if path.is_file()
        }

    variables = [] if runtimes_python() else ["WITHOUT_BYTECODE=1"]
    run_make("StartFromS3Function", tmp_path, "ARCHITECTURE=arm64", *variables)

    assert digests(tmp_path) == digests(build("StartFromS3Function", "arm64"))
