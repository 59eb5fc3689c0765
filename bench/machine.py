"""The machine that the bench runs on."""

import platform
from pathlib import Path


def processor() -> str:
    """Return the name of the processor, or its architecture if the kernel does not report a name."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
