"""Remove what the function does not load: ``functions/trim.py <artefact> --service <service> <operation>…``.

This saves a fifth of the artefact's size and of its start-up (docs/decisions/0016). Packages are pinned, so the build
stops if a file is not where it was: check the new version of the package, then adapt this file.
"""
# ruff: noqa: INP001 - functions/ is not a package: Lambda imports functions.resize from a folder without __init__.py

import argparse
import gzip
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Top-level folder of a package -> the parts that no function imports.
UNUSED = {
    # Text, windows and arithmetic.
    "PIL": ["_imagingft*", "_imagingtk*", "_imagingmath*", "_imagingmorph*", "ImageFont.py", "ImageTk.py"],
    # The compiled extension of pyvips does not need these packages.
    "cffi": ["."],
    "pycparser": ["."],
    "pyvips": ["vdecls.py", "vimage.pyi"],
    "rpds": ["*.pyi"],
    "attr": ["*.pyi"],
    "attrs": ["*.pyi"],
    "jsonschema": ["benchmarks"],
    "dateutil": ["zoneinfo"],
    "aws_lambda_powertools": [
        "event_handler",
        *(
            f"utilities/{name}"
            for name in (
                *("auth_alpha", "circuit_breaker", "data_masking", "feature_flags", "idempotency", "kafka"),
                *("parameters", "parser", "streaming", "validation"),
            )
        ),
    ],
}

# The classes that botocore.client and botocore.waiter import; the rest of botocore.docs writes documentation.
DOCSTRINGS = '''\
"""Empty strings instead of docstrings from the service's model, which a function does not need."""


class _Empty(str):
    def __new__(cls, *_args, **_options):
        return super().__new__(cls)


ClientMethodDocstring = PaginatorDocstring = WaiterDocstring = _Empty
'''

# urllib3 imports this for HTTP/2, which botocore does not use. It imports zipfile, email and csv in turn.
HTTP2_BEFORE = "from importlib.metadata import version\n"
HTTP2_CALL = '    h2_version = version("h2")\n'
HTTP2_AFTER = f"    {HTTP2_BEFORE}\n{HTTP2_CALL}"


def main() -> None:
    """Trim one artefact."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("artefact", type=Path)
    parser.add_argument(
        "--service",
        action="append",
        nargs="+",
        required=True,
        help="a service of AWS and the operations that the function calls, such as s3 GetObject",
    )
    arguments = parser.parse_args()
    try:
        remove_unused(arguments.artefact)
        calls = {service: operations for service, *operations in arguments.service}
        trim_botocore(arguments.artefact / "botocore", calls)
        trim_urllib3(arguments.artefact / "urllib3")
    except (LookupError, OSError) as error:
        sys.exit(f"functions/trim.py: a package has changed: {error}. Next: adapt functions/trim.py.")


def remove_unused(artefact: Path) -> None:
    """Remove modules that are never imported, then the libraries that only those modules need."""
    for package, patterns in UNUSED.items():
        folder = artefact / package
        for pattern in patterns if folder.is_dir() else []:
            found = [folder] if pattern == "." else list(folder.glob(pattern))
            if not found:
                raise LookupError(f"{package}/{pattern}")
            for path in found:
                _remove(path)
    for path in _unneeded_libraries(artefact):
        path.unlink()


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def _unneeded_libraries(artefact: Path) -> set[Path]:
    """Return the bundled libraries that no extension needs; a file that needs a library contains its file name."""
    libraries = {path: path.read_bytes() for path in artefact.rglob("*.so*")}
    bundled = {path for path in libraries if path.parent.suffix == ".libs"}
    found = libraries.keys() - bundled
    while found:
        needed = {path for path in bundled if any(path.name.encode() in libraries[by] for by in found)}
        bundled -= needed
        found = needed
    return bundled


def trim_botocore(botocore: Path, calls: dict[str, list[str]]) -> None:
    """Keep only these services and operations in botocore's data, without their documentation."""
    data = botocore / "data"
    for folder in data.iterdir():
        if folder.is_dir() and folder.name not in calls:
            shutil.rmtree(folder)
    endpoints = json.loads((data / "endpoints.json").read_text(encoding="utf-8"))
    for partition in endpoints["partitions"]:
        known = partition["services"]
        partition["services"] = {service: known[service] for service in calls if service in known}
    _write(data / "endpoints.json", endpoints)
    for service, operations in calls.items():
        (model_path,) = (data / service).glob("*/service-2.json.gz")
        model = json.loads(gzip.decompress(model_path.read_bytes()))
        model_path.unlink()
        _write(model_path.with_suffix(""), trim_model(model, operations))
        for path in model_path.parent.iterdir():
            if not path.name.startswith(("service-2.", "endpoint-rule-set-1.")):
                path.unlink()

    docs = botocore / "docs"
    for path in docs.iterdir():
        # botocore.handlers imports it.
        if path.name != "utils.py":
            _remove(path)
    (docs / "__init__.py").touch()
    (docs / "docstring.py").write_text(DOCSTRINGS, encoding="utf-8")


def trim_model(model: dict[str, Any], operations: list[str]) -> dict[str, Any]:
    """Return the model of a service with only some operations and the shapes that they use.

    Parameters
    ----------
    model : dict
        As in botocore's ``service-2.json``.
    operations : list of str

    Raises
    ------
    KeyError
        The service has no such operation.
    """
    kept = {name: model["operations"][name] for name in operations}
    shapes: dict[str, Any] = {}
    found = list(_shapes_in(kept))
    while found:
        name = found.pop()
        if name not in shapes:
            shapes[name] = model["shapes"][name]
            found += _shapes_in(shapes[name])
    return {**model, "operations": _undocumented(kept), "shapes": _undocumented(shapes)}


def _shapes_in(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("shape"), str):
            yield part["shape"]
        part = list(part.values())
    for inner in part if isinstance(part, list) else []:
        yield from _shapes_in(inner)


def _undocumented(part: Any) -> Any:
    """Remove documentation, which is text; a shape's member may have the same name, but is not text."""
    if isinstance(part, dict):
        return {
            name: _undocumented(value)
            for name, value in part.items()
            if not (name == "documentation" and isinstance(value, str))
        }
    return [_undocumented(value) for value in part] if isinstance(part, list) else part


def trim_urllib3(urllib3: Path) -> None:
    """Make urllib3 import the version of its HTTP/2 package only when HTTP/2 is used."""
    path = urllib3 / "http2" / "__init__.py"
    source = path.read_text(encoding="utf-8")
    if source.count(HTTP2_BEFORE) != 1 or source.count(HTTP2_CALL) != 1:
        raise LookupError(str(path))
    path.write_text(source.replace(HTTP2_BEFORE, "").replace(HTTP2_CALL, HTTP2_AFTER), encoding="utf-8")


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, separators=(",", ":")), encoding="utf-8")


if __name__ == "__main__":
    main()
