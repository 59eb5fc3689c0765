# ruff: noqa: PLC0415, S603 - starts its own workers by fixed names; imports matplotlib last, because that is slow.
"""Compare the engines and write the table, the JSON and the chart. Called by bench/run.py."""

import argparse
import itertools
import json
import math
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pi_heif  # type: ignore[import-untyped]  # ships no type hints
from numpy.typing import NDArray
from PIL import Image, ImageOps

from bench.machine import processor
from bench.originals import make_originals
from functions.resize.colour import to_srgb
from samples.reference import lanczos, ssim

# The environment of the deployed function; docs/engine.md explains it.
TEMPLATE = Path(__file__).parents[1] / "template.yaml"
DEPLOYED = dict(re.findall(r'(PILLOW_BLOCKS_MAX): "(\d+)"', TEMPLATE.read_text(encoding="utf-8")))
# Each class is measured for at least this many rounds, and for no further round after this many seconds.
FEWEST, LONGEST = 3, 120.0

HERE = Path(__file__).parent
ENGINES = ("ours", "sharp", "pyvips", "tutorial", "floor")
PEER = "sharp"
SIZES = {"128": [128], "800": [800], "five": [128, 320, 640, 1024, 1920]}


class Worker:
    """One engine in a process of its own, on one processor, because a function with 1,769 MB has one."""

    def __init__(self, engine: str, packages: Path) -> None:
        command = [sys.executable, "-m", "bench.worker", engine]
        if engine == "sharp":
            command = ["node", str(HERE / "sharp_worker.mjs"), str(packages / "package.json")]
        environment = {**os.environ, "VIPS_CONCURRENCY": "1"}
        if engine == "ours":
            environment |= DEPLOYED
        self.process = subprocess.Popen(
            command,
            cwd=HERE.parent,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdin and self.process.stdout  # noqa: S101, PT018 - both are pipes, for the type checker
        self._requests, self._answers = self.process.stdin, self.process.stdout
        os.sched_setaffinity(self.process.pid, {max(os.sched_getaffinity(0))})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        self._requests.close()
        self.process.wait(timeout=60)

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send one request of the protocol and return the answer."""
        self._requests.write(json.dumps(request) + "\n")
        self._requests.flush()
        answer: dict[str, Any] = json.loads(self._answers.readline())
        return answer

    def memory(self, key: str) -> int:
        """Return one value of the process's ``/proc`` status, such as ``VmHWM``, in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith(key + ":"))
        return int(line.split()[1]) * 1024

    def forget_peak(self) -> None:
        """Reset the peak (VmHWM) to the present size (proc(5), clear_refs)."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")


@dataclass
class Row:
    """The result of one engine for one class and size; ``None`` if it cannot process them."""

    name: str
    size: str
    engine: str
    seconds: float | None = None
    cpu_seconds: float | None = None
    ratio: float | None = None
    bytes: int | None = None
    ssim: float | None = None
    peak_mb: float | None = None
    repetitions: int = 0
    error: str | None = None


def measure(name: str, path: Path, size: str, packages: Path, least: tuple[int, float]) -> list[Row]:
    """Measure one class at one size: times with the engines taking turns, then memory in fresh processes.

    ``least`` is the minimum number of rounds and of seconds; a few rounds of milliseconds would not be reliable.
    """
    engines = [engine for engine in ENGINES if engine != "floor" or path.suffix == ".jpg"]
    workers = {engine: Worker(engine, packages) for engine in engines}
    rows = {engine: _check(worker, Row(name, size, engine), path) for engine, worker in workers.items()}
    able = {engine: worker for engine, worker in workers.items() if rows[engine].error is None}
    times = _race(able, SIZES[size], *least)
    for worker in workers.values():
        worker.close()
    for engine in able:
        rows[engine].seconds = statistics.median(answer["seconds"] for answer in times[engine])
        rows[engine].cpu_seconds = statistics.median(answer["cpu_seconds"] for answer in times[engine])
        rows[engine].repetitions = len(times[engine])
        rows[engine].peak_mb = _peak(engine, path, size, packages)
    peer = rows[PEER].cpu_seconds
    for row in rows.values():
        row.ratio = row.cpu_seconds / peer if row.cpu_seconds and peer else None
    return list(rows.values())


def _check(worker: Worker, row: Row, path: Path) -> Row:
    """Let an engine make the thumbnails once, to warm up and to measure their quality."""
    sides = SIZES[row.size]
    with tempfile.TemporaryDirectory() as folder:
        keep = [f"{folder}/{side}" for side in sides]
        worker.ask(do="load", path=str(path))
        answer = worker.ask(do="make", sizes=sides, keep=keep)
        row.error = answer.get("error")
        if row.error is None and row.engine != "floor":
            similarity = min(map(_similarity, [path] * len(keep), keep, sides))
            if math.isnan(similarity):
                row.error = "keeps one frame of the animation"
            else:
                row.bytes, row.ssim = sum(answer["bytes"]), similarity
    return row


def _race(workers: dict[str, Worker], sides: list[int], rounds: int, seconds: float) -> dict[str, list[dict[str, Any]]]:
    """Return the answer of every run, the engines taking turns."""
    times: dict[str, list[dict[str, Any]]] = {engine: [] for engine in workers}
    start = time.monotonic()
    for repetition in itertools.count():
        elapsed = time.monotonic() - start
        if (repetition >= rounds and elapsed > seconds) or (repetition >= FEWEST and elapsed > LONGEST):
            break
        # Every other round runs backwards, so that no engine always follows the same one.
        for engine in workers if repetition % 2 else reversed(workers):
            times[engine].append(workers[engine].ask(do="make", sizes=sides))
    return times


def _peak(engine: str, path: Path, size: str, packages: Path) -> float:
    """Return how far one request raises a fresh process above its idle memory, in MB."""
    with Worker(engine, packages) as worker:
        worker.ask(do="load", path=str(path))
        idle = worker.memory("VmRSS")
        worker.forget_peak()
        worker.ask(do="make", sizes=SIZES[size])
        return (worker.memory("VmHWM") - idle) / 1e6


_references: dict[tuple[Path, int], list[np.ndarray]] = {}


def _similarity(path: Path, output: str, side: int) -> float:
    """Return the SSIM of an encoded thumbnail against the reference; for an animation, the mean of its frames."""
    if (path, side) not in _references:
        _references[path, side] = [_reference(frame, side) for frame in _frames(path)]
    references = _references[path, side]
    frames = list(_frames(Path(output)))
    if len(frames) != len(references):
        return float("nan")
    pairs = zip(references, frames, strict=True)
    return statistics.fmean(ssim(reference, _on_white(frame, reference)) for reference, frame in pairs)


def _frames(path: Path) -> Iterable[Image.Image]:
    if path.suffix == ".heic":
        yield pi_heif.open_heif(path).to_pillow().convert("RGB")
        return
    with Image.open(path) as image:
        profile = image.info.get("icc_profile")
        for index in range(getattr(image, "n_frames", 1) if image.format in {"GIF", "WEBP"} else 1):
            image.seek(index)
            transparent = image.has_transparency_data
            frame = image.convert("RGBA" if transparent else "CMYK" if image.mode == "CMYK" else "RGB")
            yield ImageOps.exif_transpose(to_srgb(frame, profile)[0])


def _reference(frame: Image.Image, side: int) -> NDArray[Any]:
    """Shrink a full decode in floating point on white, with premultiplied alpha if it has any."""
    scale = min(side / frame.width, side / frame.height, 1)
    size = (max(1, int(frame.width * scale + 0.5)), max(1, int(frame.height * scale + 0.5)))
    pixels: NDArray[Any] = np.asarray(frame, dtype=np.float32)
    if frame.mode == "RGBA":
        alpha = pixels[..., 3:] / 255
        pixels = pixels[..., :3] * alpha + 255 * (1 - alpha)
    return np.clip(lanczos(pixels, size, (0, 0, *frame.size)), 0, 255)


def _on_white(frame: Image.Image, reference: NDArray[Any]) -> NDArray[Any]:
    if frame.mode == "RGBA":
        white = Image.new("RGBA", frame.size, "white")
        frame = Image.alpha_composite(white, frame).convert("RGB")
    # Engines round half a pixel up or down.
    height, width = reference.shape[:2]
    return np.asarray(frame if frame.size == (width, height) else frame.resize((width, height)))


def _table(rows: list[Row]) -> str:
    """Return the table as Markdown: times, ratio to sharp, bytes, SSIM and peak memory of each engine."""
    lines = [
        "| class | to | engine | ms | CPU ms | ÷ sharp | KB | SSIM | peak MB |",
        "|---|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        if row.seconds is None or row.cpu_seconds is None or row.peak_mb is None:
            lines.append(f"| {row.name} | {row.size} | {row.engine} | - | - | - | - | - | - |")
            continue
        cells = [
            f"{row.seconds * 1e3:.1f}",
            f"{row.cpu_seconds * 1e3:.1f}",
            f"{row.ratio:.2f}" if row.ratio else "-",
            f"{row.bytes / 1e3:.1f}" if row.bytes else "-",
            f"{row.ssim:.4f}" if row.ssim else "-",
            f"{row.peak_mb:.0f}",
        ]
        lines.append(f"| {row.name} | {row.size} | {row.engine} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _means(rows: list[Row]) -> dict[str, float]:
    """Return the geometric mean of each engine's ratios, over the classes that both it and sharp can process."""
    return {
        engine: statistics.geometric_mean([row.ratio for row in rows if row.engine == engine and row.ratio])
        for engine in ENGINES
        if any(row.ratio for row in rows if row.engine == engine)
    }


def _chart(rows: list[Row], path: Path) -> None:
    """Draw the ratio to sharp of each class, with one panel for each size."""
    import matplotlib as mpl  # type: ignore[import-not-found]  # in the bench's own environment only

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    colours = {"ours": "#1b7f4d", "pyvips": "#8a8fb5", "tutorial": "#d3a15c"}
    sizes = [size for size in SIZES if any(row.size == size and row.ratio for row in rows)]
    figure, axes = plt.subplots(1, len(sizes), figsize=(5 * len(sizes), 6.5), squeeze=False, layout="constrained")
    for axis, size in zip(axes[0], sizes, strict=True):
        names = list(dict.fromkeys(row.name for row in rows if row.size == size and row.ratio))[::-1]
        for offset, (engine, colour) in enumerate(colours.items()):
            ratios = {row.name: row.ratio for row in rows if row.size == size and row.engine == engine}
            places = [index + 0.27 * (1 - offset) for index in range(len(names))]
            axis.barh(places, [ratios.get(name) or 0 for name in names], 0.25, color=colour, label=engine)
        axis.axvline(1, color="black", linewidth=1)
        axis.set_yticks(range(len(names)), names)
        axis.set_xlim(0, 3)
        axis.set_title({"five": "five sizes at once"}.get(size, f"to {size} pixels"))
        axis.set_xlabel("processor time ÷ sharp's (left of the line is faster)")
    axes[0][0].legend(loc="lower right")
    figure.savefig(path, dpi=80)


def main() -> None:
    """Measure the selected classes and sizes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="the bench's own folder")
    parser.add_argument("--output", type=Path, required=True, help="folder for benchmarks.md, .json and .png")
    parser.add_argument("--repetitions", type=int, default=11, help="minimum number of rounds for each class")
    parser.add_argument("--seconds", type=float, default=15, help="minimum seconds of measuring for each class")
    parser.add_argument("--classes", default="", help="only classes whose name contains one of these, comma-separated")
    parser.add_argument("--sizes", default="128,800,five")
    arguments = parser.parse_args()
    arguments.work = arguments.work.resolve()
    originals = make_originals(arguments.work / "photographs", arguments.work / "originals")
    wanted = arguments.classes.split(",")
    arguments.output.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    for file, path in originals.items():
        name = Path(file).stem
        if not any(part in name for part in wanted):
            continue
        for size in arguments.sizes.split(","):
            if size == "five" and name not in {"jpeg-12mp", "jpeg-24mp"}:
                continue
            least = arguments.repetitions, arguments.seconds
            measured = measure(name, path, size, arguments.work / "node", least)
            rows += measured
            for row in measured:
                print(_table([row]).splitlines()[-1] + (f" {row.error}" if row.error else ""), flush=True)
        _references.clear()
        _write(rows, arguments.output)
    _chart(rows, arguments.output / "benchmarks.png")
    print(f"Next: read {os.path.relpath(arguments.output / 'benchmarks.md')}.")


def _write(rows: list[Row], folder: Path) -> None:
    """Write the results so far as JSON and as a page."""
    means = _means(rows)
    summary = ", ".join(f"{engine} {mean:.2f}" for engine, mean in means.items())
    report = {
        "machine": {
            "processor": processor(),
            "load": os.getloadavg()[0],
            "python": platform.python_version(),
        },
        "geometric_mean": means,
        "rows": [asdict(row) for row in rows],
    }
    (folder / "benchmarks.json").write_text(json.dumps(report, indent=1) + "\n")
    heading = (
        "# Benchmarks\n\nWritten by `make bench`; bench/README.md explains the method. Times are medians of warm runs "
        f"on one processor ({processor()}, load {os.getloadavg()[0]:.1f}), with the engines taking turns; the JSON "
        "contains the number of runs. The ratio is that of processor time.\n\n"
        f"Geometric mean ÷ sharp: {summary}.\n\n"
        "The start of the function is measured separately: [benchmarks-startup.md](benchmarks-startup.md).\n\n"
        "![time ÷ sharp](benchmarks.png)\n\n"
    )
    (folder / "benchmarks.md").write_text(heading + _table(rows) + "\n")


if __name__ == "__main__":
    main()
