# ruff: noqa: S603 - a command that prints, and runs tools by fixed names.
"""Install what the bench needs in ``.bench/`` and measure: ``python bench/run.py [--quick | --startup]``.

Needs Linux, Python 3.13, uv, Node.js with npm, and apt with dpkg-deb (no root). Packages come from the
registries that these tools are configured for. ``--startup`` needs only Python 3.13 and uv.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / ".bench"
PHOTOGRAPHS = ("lomiri-wallpapers-16.04", "lomiri-wallpapers-20.04")
PACKAGES = ("numpy==2.5.5", "matplotlib", "pillow-heif")
QUICK = ["--repetitions", "3", "--seconds", "0", "--sizes", "128", "--classes", "jpeg-2mp,progressive,png-rgb-"]


def main() -> int:
    """Install what is missing, then measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three classes, three rounds; writes nothing to docs/")
    parser.add_argument("--startup", action="store_true", help="only the start of the function; half a minute")
    arguments, passed = parser.parse_known_args()
    output = WORK / "quick" if arguments.quick else ROOT / "docs"
    startup: list[str | Path] = [sys.executable, "-m", "bench.startup", "--work", WORK, "--output", output]
    startup += ["--repetitions", "3"] if arguments.quick else []
    for tool in ("uv",) if arguments.startup else ("uv", "npm", "node", "apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            print(f"{tool} is missing. Next: install it and run this again.")
            return 2
    if arguments.startup:
        return subprocess.call([*startup, *passed], cwd=ROOT)
    python = _set_up_python()
    _set_up_sharp()
    _set_up_photographs()
    command: list[str | Path] = [python, "-m", "bench.measure", "--work", WORK, "--output", output]
    code = subprocess.call([*command, *(QUICK if arguments.quick else []), *passed], cwd=ROOT)
    return code or subprocess.call(startup, cwd=ROOT)


def _set_up_python() -> Path:
    """Create an environment with the requirements of the function and of the bench."""
    python = WORK / "venv" / "bin" / "python"
    if not python.exists():
        _run("uv", "venv", "--python", sys.executable, WORK / "venv")
    requirements = ROOT / "functions" / "resize" / "requirements.in"
    _run("uv", "pip", "install", "--quiet", "--python", python, "-r", requirements, *PACKAGES)
    return python


def _set_up_sharp() -> None:
    folder = WORK / "node"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "bench" / "package.json", folder)
    _run("npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--silent", cwd=folder)


def _set_up_photographs() -> None:
    folder = WORK / "photographs"
    if folder.exists():
        return
    packages = WORK / "packages"
    packages.mkdir(parents=True, exist_ok=True)
    _run("apt-get", "download", *PHOTOGRAPHS, cwd=packages)
    for package in sorted(packages.glob("*.deb")):
        _run("dpkg-deb", "-x", package, folder)


def _run(*command: object, cwd: Path = ROOT) -> None:
    print("+", *command, flush=True)
    subprocess.run([str(part) for part in command], cwd=cwd, check=True)


if __name__ == "__main__":
    sys.exit(main())
