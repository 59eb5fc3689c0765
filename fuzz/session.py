"""A session of limited time: damage files, run the engine on them, count outcomes and keep findings."""

import collections
import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from fuzz.corpus import seeds
from fuzz.damage import damage
from fuzz.structure import rearrange

ROOT = Path(__file__).parents[1]
ENGINE = "functions.resize.thumbnails:make_thumbnails"

# MemorySize of the function in template.yaml; a test compares the two. This limits the address space, which is stricter
# than Lambda's limit on used memory.
MEMORY = 1769 * 1024 * 1024
# A third of the function's timeout, because damaged files are small.
HANG_SECONDS = 20.0
_REARRANGED = 0.5
_DAMAGED_AS_WELL = 0.2


@dataclass(frozen=True, slots=True)
class Trial:
    """One input and its outcome: ``made``, ``refused``, ``unnamed``, ``crash`` or ``hang``."""

    seed: str
    data: bytes
    request: dict[str, Any]
    kind: str
    name: str
    detail: str = ""

    @property
    def is_finding(self) -> bool:
        """Whether this outcome must not happen."""
        return self.kind not in {"made", "refused"}


@dataclass
class Report:
    """The outcomes of a session."""

    trials: int = 0
    outcomes: dict[str, collections.Counter[str]] = field(default_factory=dict)
    shapes: collections.Counter[str] = field(default_factory=collections.Counter)
    findings: list[Trial] = field(default_factory=list)
    slowest: float = 0.0

    def add(self, trial: Trial, shape: str, seconds: float) -> None:
        """Count one trial; ``shape`` is how its input was made."""
        self.trials += 1
        self.shapes[shape] += 1
        self.outcomes.setdefault(trial.seed, collections.Counter())[trial.name] += 1
        self.slowest = max(self.slowest, seconds)
        if trial.is_finding:
            self.findings.append(trial)


class Child:
    """A child process that is restarted after a crash or a hang."""

    def __init__(self, engine: str = ENGINE, memory: int = MEMORY, hang_seconds: float = HANG_SECONDS) -> None:
        self._command = [sys.executable, "-m", "fuzz.child", engine, str(memory)]
        self._hang_seconds = hang_seconds
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def attempt(self, seed: str, data: bytes, request: dict[str, Any]) -> Trial:
        """Run the engine on one input."""
        process = self._process or self._start()
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the child has no pipes")
        try:
            process.stdin.write(json.dumps(request | {"length": len(data)}).encode() + b"\n" + data)
            process.stdin.flush()
        except BrokenPipeError:
            return Trial(seed, data, request, "crash", self._stop())
        ready, _, _ = select.select([process.stdout], [], [], self._hang_seconds)
        if not ready:
            self._stop()
            return Trial(seed, data, request, "hang", f"no answer in {self._hang_seconds:.0f} s")
        line = process.stdout.readline()
        if not line:
            return Trial(seed, data, request, "crash", self._stop())
        answer = json.loads(line)
        return Trial(seed, data, request, answer["kind"], answer["name"], answer.get("trace", ""))

    def _start(self) -> subprocess.Popen[bytes]:
        self._process = subprocess.Popen(  # noqa: S603 - the command is ours
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        return self._process

    def _stop(self) -> str:
        process, self._process = self._process, None
        if process is None:
            return ""
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    # It crashed before it had read the whole request.
                    continue
        try:
            status = process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            process.kill()
            status = process.wait()
        return signal.Signals(-status).name if status < 0 else f"exit status {status}"


def run(
    seconds: float,
    seed: int,
    progress: Callable[[Report, float], None] = lambda *_: None,
    *,
    most: float = float("inf"),
) -> Report:
    """Fuzz for a number of seconds, or until there were enough trials.

    Parameters
    ----------
    seconds : float
        Duration of the session; a trial that has begun is finished.
    seed : int
        The same seed produces the same inputs in the same order.
    progress : callable
        Called with the report and the elapsed seconds about once a second.
    most : float
        Number of trials after which the session ends.
    """
    chance = random.Random(seed)  # noqa: S311 - damage, not secrets
    corpus = list(seeds().items())
    report = Report()
    start = reported = time.monotonic()
    with Child() as child:
        while (now := time.monotonic()) - start < seconds and report.trials < most:
            name, source = chance.choice(corpus)
            data, shape = _spoil(source, chance.choice(corpus)[1], chance)
            trial = child.attempt(name, data, _request(chance))
            report.add(trial, shape, time.monotonic() - now)
            if now - reported >= 1:
                reported = now
                progress(report, now - start)
    return report


def _spoil(source: bytes, other: bytes, chance: random.Random) -> tuple[bytes, str]:
    """Return a damaged file and how it was made."""
    rearranged = rearrange(source, chance) if chance.random() < _REARRANGED else None
    if rearranged is None:
        return damage(source, other, chance), "random damage"
    data, shape = rearranged
    return (damage(data, other, chance) if chance.random() < _DAMAGED_AS_WELL else data), shape


def _request(chance: random.Random) -> dict[str, Any]:
    # A large box runs code that a small one does not: full decodes, and decodes at other scales.
    side = chance.choice([200, 200, 200, 1600])
    return {
        "boxes": [[chance.randint(1, side), chance.randint(1, side)] for _ in range(chance.choice([1, 1, 3]))],
        "fit": chance.choice(["inside", "cover", "pad", "fill"]),
        "format": chance.choice(["source", "source", "jpeg", "png", "webp"]),
    }
