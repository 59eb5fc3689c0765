"""A bounded session: damage, try, count, keep what must not happen."""

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

# MemorySize of the function in template.yaml; a test keeps the two equal. The limit is of the address space, which is
# stricter than Lambda's, which is of the memory that is used.
MEMORY = 1769 * 1024 * 1024
# A third of the function's timeout: damaged files are small.
HANG_SECONDS = 20.0
_REARRANGED = 0.5
_DAMAGED_AS_WELL = 0.2


@dataclass(frozen=True, slots=True)
class Trial:
    """One input and how it ended: ``made``, ``refused``, ``unnamed``, ``crash`` or ``hang``."""

    seed: str
    data: bytes
    request: dict[str, Any]
    kind: str
    name: str
    detail: str = ""

    @property
    def is_finding(self) -> bool:
        """Tell whether this must not happen."""
        return self.kind not in {"made", "refused"}


@dataclass
class Report:
    """What a session has seen."""

    trials: int = 0
    outcomes: dict[str, collections.Counter[str]] = field(default_factory=dict)
    shapes: collections.Counter[str] = field(default_factory=collections.Counter)
    findings: list[Trial] = field(default_factory=list)
    slowest: float = 0.0

    def add(self, trial: Trial, shape: str, seconds: float) -> None:
        """Count one trial of an input that was made in some way."""
        self.trials += 1
        self.shapes[shape] += 1
        self.outcomes.setdefault(trial.seed, collections.Counter())[trial.name] += 1
        self.slowest = max(self.slowest, seconds)
        if trial.is_finding:
            self.findings.append(trial)


class Child:
    """A child process that is started again when it crashed or hung."""

    def __init__(self, engine: str = ENGINE, memory: int = MEMORY, hang_seconds: float = HANG_SECONDS) -> None:
        self._command = [sys.executable, "-m", "fuzz.child", engine, str(memory)]
        self._hang_seconds = hang_seconds
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def attempt(self, seed: str, data: bytes, request: dict[str, Any]) -> Trial:
        """Try one input."""
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
                    # It died with a request half read.
                    continue
        try:
            status = process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            process.kill()
            status = process.wait()
        return signal.Signals(-status).name if status < 0 else f"exit status {status}"


def run(seconds: float, seed: int, progress: Callable[[Report, float], None] = lambda *_: None) -> Report:
    """Fuzz for so many seconds.

    Parameters
    ----------
    seconds : float
        How long; a trial that has begun is finished.
    seed : int
        The same seed gives the same inputs in the same order.
    progress : callable
        Gets the report and the elapsed seconds about once a second.
    """
    chance = random.Random(seed)  # noqa: S311 - damage, not secrets
    corpus = list(seeds().items())
    report = Report()
    start = said = time.monotonic()
    with Child() as child:
        while (now := time.monotonic()) - start < seconds:
            name, source = chance.choice(corpus)
            data, shape = _spoil(source, chance.choice(corpus)[1], chance)
            trial = child.attempt(name, data, _request(chance))
            report.add(trial, shape, time.monotonic() - now)
            if now - said >= 1:
                said = now
                progress(report, now - start)
    return report


def _spoil(source: bytes, other: bytes, chance: random.Random) -> tuple[bytes, str]:
    """Return a hostile file and how it was made."""
    rearranged = rearrange(source, chance) if chance.random() < _REARRANGED else None
    if rearranged is None:
        return damage(source, other, chance), "random damage"
    data, shape = rearranged
    return (damage(data, other, chance) if chance.random() < _DAMAGED_AS_WELL else data), shape


def _request(chance: random.Random) -> dict[str, Any]:
    # What is decoded for a large box, whole or straight to its size, a small one never reaches.
    side = chance.choice([200, 200, 200, 1600])
    return {
        "boxes": [[chance.randint(1, side), chance.randint(1, side)] for _ in range(chance.choice([1, 1, 3]))],
        "fit": chance.choice(["inside", "cover", "pad", "fill"]),
        "format": chance.choice(["source", "source", "jpeg", "png", "webp"]),
    }
