"""What must not be in the repository, and what every list of requirements must say."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.deployed import ROOT

LISTS = sorted(
    path.with_suffix("").relative_to(ROOT)
    for folder in ("functions", "requirements")
    for path in (ROOT / folder).rglob("*.txt")
)

# Written in pieces, because this file is looked at too.
FORBIDDEN = {
    "a registry's host": r"py" + r"pi\.org|python" + r"hosted|registry\." + r"npmjs|proxy\." + r"golang",
    "an index": r"(?<!emit-)\bindex" + r"[-_]url|find" + r"-links|trusted" + r"-host",
    "a download": r"https?://\S+\.(?:w" + r"hl|tar\.gz|tgz|zip|deb)\b",
}

REQUIREMENT = re.compile(r"^(?P<name>[A-Za-z0-9][\w.-]*)(?:\[[\w,]+\])?(?:==(?P<version>[^\s;\\]+))?\s*(?P<rest>.*)$")


def normalised(name: str) -> str:
    """Spell a name as PEP 503 does."""
    return re.sub(r"[-_.]+", "-", name).lower()


def tracked_texts() -> dict[str, str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)  # noqa: S607 - git of this machine
    texts = {}
    for name in listed.stdout.decode().split("\0"):
        path = ROOT / name
        if not name or not path.is_file():
            continue
        data = path.read_bytes()
        if b"\0" not in data:
            texts[name] = data.decode("utf-8")
    return texts


def wanted(path: Path) -> dict[str, str | None]:
    """Read an ``.in`` file: name to version, or ``None`` where any version does."""
    found: dict[str, str | None] = {}
    for line in path.read_text().splitlines():
        text = line.partition("#")[0].strip()
        if text.startswith("-r "):
            found |= wanted(path.parent / text.removeprefix("-r ").strip())
        elif text:
            requirement = REQUIREMENT.match(text)
            assert requirement is not None, text
            found[normalised(requirement["name"])] = requirement["version"]
    return found


def pinned(path: Path) -> dict[str, str]:
    """Read a ``.txt`` file, in which every requirement has one version and at least one hash."""
    found: dict[str, str] = {}
    for entry in path.read_text().replace("\\\n", " ").splitlines():
        if not entry.strip() or entry.startswith("#"):
            continue
        requirement = REQUIREMENT.match(entry)
        assert requirement is not None, entry
        assert requirement["version"] is not None, entry
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", requirement["rest"]), entry
        found[normalised(requirement["name"])] = requirement["version"]
    return found


@pytest.mark.parametrize("what", list(FORBIDDEN))
def test_no_file_names(what: str) -> None:
    pattern = re.compile(FORBIDDEN[what], re.IGNORECASE)

    assert {name: found[0] for name, text in tracked_texts().items() if (found := pattern.search(text))} == {}


def test_no_file_of_a_machine_is_named() -> None:
    home = re.compile(r"(?<![\w.])/(?:home|Users|root)/\w+")

    assert {name: found[0] for name, text in tracked_texts().items() if (found := home.search(text))} == {}


def test_there_are_lists() -> None:
    assert {Path("functions/resize/requirements"), Path("requirements/dev")} <= set(LISTS)
    sources = {path.with_suffix("").relative_to(ROOT) for path in ROOT.glob("*/**/*.in") if "." not in path.parts[0]}
    assert {source for source in sources if source.parts[0] in {"functions", "requirements"}} == set(LISTS)


@pytest.mark.parametrize("name", LISTS, ids=str)
def test_every_requirement_is_pinned_with_a_hash_to_what_was_asked_for(name: Path) -> None:
    asked = wanted(ROOT / f"{name}.in")
    given = pinned(ROOT / f"{name}.txt")

    assert asked.keys() <= given.keys()
    assert {package: given[package] for package, version in asked.items() if version} == {
        package: version for package, version in asked.items() if version
    }


@pytest.mark.parametrize("function", ["resize", "start_from_s3", "reconcile", "notify"])
def test_tests_run_on_what_the_functions_run_on(function: str) -> None:
    development = pinned(ROOT / "requirements" / "dev.txt")
    deployed = pinned(ROOT / "functions" / function / "requirements.txt")

    assert {name: development.get(name) for name in deployed} == deployed
