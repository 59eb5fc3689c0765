"""``python -m cost``: write docs/cost.md and its chart, or print the cost for given numbers."""

import argparse
import sys
from pathlib import Path

from cost.chart import draw
from cost.deployment import read_deployment
from cost.measured import read_measured
from cost.model import WORKFLOWS, Work
from cost.page import Facts, answer, write_page
from cost.prices import read_prices
from local.amounts import counted

_DOCS = Path(__file__).parents[1] / "docs"
# Uploads a month: four values for each power of ten.
_CURVE = [10 ** (4 + step / 4) for step in range(17)]
# The limit of the request schema.
_MOST_SIZES = 80
# The columns of the tables have room for so many.
_MOST_UPLOADS = 1e12


def main() -> int:
    """Run one command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m cost", description="Calculate what the pipeline costs.")
    parser.add_argument("--uploads", type=float, help="uploads a month, such as 3e6")
    parser.add_argument("--sizes", type=int, help=f"thumbnails of each upload, 1 to {_MOST_SIZES} (default 1)")
    parser.add_argument("--ms", type=float, help="duration of a resize in milliseconds (default: as measured)")
    options = parser.parse_args()
    facts = Facts(read_prices(), read_deployment(), read_measured())
    most = {"uploads": _MOST_UPLOADS, "sizes": _MOST_SIZES, "ms": facts.deployment.resize_timeout * 1000}
    asked = {name: value for name in most if (value := getattr(options, name)) is not None}
    for name, value in asked.items():
        # Also false for "nan".
        if not 1 <= value <= most[name]:
            parser.error(f"--{name} must be from 1 to {most[name]:,.0f}")
    if options.uploads is not None and not options.uploads.is_integer():
        parser.error("--uploads must be a whole number, such as 3e6")
    if asked:
        return _answer(facts, int(options.uploads or 1e6), options.sizes or 1, options.ms)
    (_DOCS / "cost.md").write_text(write_page(facts), encoding="utf-8")
    curves = {f"this pipeline, {workflow}": facts.curve(_CURVE, workflow) for workflow in WORKFLOWS}
    curves |= {peer.name: [peer.dollars(count, 1) for count in _CURVE] for peer in facts.table.peers}
    draw("Dollars a month at list prices: a model, see docs/cost.md", _CURVE, curves, _DOCS / "cost.png")
    print("Written: docs/cost.md and docs/cost.png. Next: make cost UPLOADS=3e6 SIZES=5, for your own numbers")
    return 0


def _answer(facts: Facts, uploads: int, sizes: int, milliseconds: float | None) -> int:
    seconds = None if milliseconds is None else milliseconds / 1000
    shown = seconds if seconds is not None else facts.measured.resize_seconds(sizes)
    print(
        f"{counted(uploads, 'upload')} in a month, {counted(sizes, 'thumbnail')} each, "
        f"{shown * 1000:,.0f} ms a resize.\n"
        f"An estimate: list prices of {facts.table.region} in dollars, without free tiers, storage and transfer out.\n"
    )
    print(answer(Work(uploads, sizes, resize_seconds=seconds), facts))
    how = "MS=400 for another duration of a resize" if milliseconds is None else "without MS= for the measured duration"
    print(f"\nNext: read docs/cost.md, which explains what is counted, or run make cost again, {how}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
