"""The functions are built in a folder whose name has a space and an apostrophe, where each path must be quoted."""

import os
import shutil
import subprocess
from pathlib import Path

from tests.deployed import ROOT


def test_a_function_is_built_in_a_folder_with_an_odd_name(tmp_path: Path) -> None:
    folder = tmp_path / "it's a test"
    for name in ("functions", "requirements", "schemas"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copy(ROOT / "recipes.json", folder)
    for name in (".venv", ".tools"):
        (folder / name).symlink_to(ROOT / name)
    # All of them absolute, as a caller may have them.
    paths = {
        "ARTIFACTS_DIR": folder / "artefact",
        "BUILD_PYTHON": folder / ".venv" / "bin" / "python",
        "UV": folder / ".tools" / "uv" / "bin" / "uv",
    }

    done = subprocess.run(  # noqa: S603 - ours
        ["make", "--file", folder / "functions" / "Makefile", "build-StartFromS3Function"],  # noqa: S607 - the system's make
        cwd=folder,
        env={
            **{name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}},
            **{name: str(path) for name, path in paths.items()},
            "ARCHITECTURE": "host",
        },
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert list((folder / "artefact" / "functions" / "start_from_s3" / "__pycache__").glob("handler.*.pyc"))
