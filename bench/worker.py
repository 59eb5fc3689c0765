# ruff: noqa: PLC0415 - each process imports only its own engine.
"""One engine process of the bench, driven by JSON lines on stdin and stdout.

::

    {"do": "load", "path": "..."}                        reads the original into memory
    {"do": "make", "sizes": [128], "keep": ["a", ...]}   makes thumbnails; answers seconds, cpu_seconds, bytes

``keep`` lists files for the thumbnails, which are written after the clock has stopped. The answer to a failed request
is ``{"error": "..."}``.
"""

import io
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

Engine = Callable[[bytes, Sequence[int]], list[bytes]]


def ours() -> Engine:
    """Return the engine of this repository."""
    from functions.resize.limits import Limits
    from functions.resize.recipe import Box, Recipe
    from functions.resize.thumbnails import make_thumbnails

    # sharp and pyvips also run without limits.
    limits = Limits(max_bytes=10**9, max_total_pixels=10**9)

    def make(original: bytes, sizes: Sequence[int]) -> list[bytes]:
        result = make_thumbnails(original, Recipe(tuple(Box(size, size) for size in sizes)), limits)
        return [thumbnail.data for thumbnail in result.thumbnails]

    return make


def tutorial() -> Engine:
    """Return an engine that uses Pillow as tutorials do: open, thumbnail, save."""
    import pi_heif  # type: ignore[import-untyped]  # ships no type hints
    from PIL import Image

    pi_heif.register_heif_opener()

    def make(original: bytes, sizes: Sequence[int]) -> list[bytes]:
        outputs = []
        for size in sizes:
            image = Image.open(io.BytesIO(original))
            kind = "JPEG" if image.format == "HEIF" else image.format
            image.thumbnail((size, size))
            output = io.BytesIO()
            image.save(output, kind)
            outputs.append(output.getvalue())
        return outputs

    return make


def vips() -> Engine:
    """Return an engine that uses the thumbnail operation of pyvips, with the save options of sharp."""
    import pyvips  # type: ignore[import-untyped]  # ships no type hints

    pyvips.cache_set_max(0)
    savers = {
        "jpegload_buffer": ".jpg[Q=80,optimize-coding,keep=none]",
        "pngload_buffer": ".png[keep=none]",
        "webpload_buffer": ".webp[Q=80,keep=none]",
        "heifload_buffer": ".avif[Q=50,keep=none]",
        "gifload_buffer": ".gif[keep=none]",
    }

    def make(original: bytes, sizes: Sequence[int]) -> list[bytes]:
        loader = pyvips.Image.new_from_buffer(original, "").get("vips-loader")
        options = {"option_string": "n=-1"} if loader == "gifload_buffer" else {"output_profile": "srgb"}
        return [
            pyvips.Image.thumbnail_buffer(original, size, height=size, size="down", **options).write_to_buffer(
                savers[loader]
            )
            for size in sizes
        ]

    return make


def floor() -> Engine:
    """Return an engine that only decodes a JPEG at reduced scale with libjpeg-turbo: the minimum cost."""
    from PIL import Image

    def make(original: bytes, sizes: Sequence[int]) -> list[bytes]:
        image = Image.open(io.BytesIO(original), formats=["JPEG"])
        longest = max(sizes)
        width, height = image.size
        scale = longest / max(width, height)
        image.draft(None, (max(1, int(width * scale)), max(1, int(height * scale))))
        image.decodermaxblock = len(original)
        image.load()
        return []

    return make


ENGINES = {"ours": ours, "tutorial": tutorial, "pyvips": vips, "floor": floor}


def main() -> None:
    """Answer requests until stdin ends."""
    make = ENGINES[sys.argv[1]]()
    original = b""
    for line in sys.stdin:
        request = json.loads(line)
        reply: dict[str, object] = {}
        try:
            if request["do"] == "load":
                original = Path(request["path"]).read_bytes()
            else:
                start, worked = time.perf_counter(), time.process_time()
                outputs = make(original, request["sizes"])
                reply["seconds"] = time.perf_counter() - start
                reply["cpu_seconds"] = time.process_time() - worked
                reply["bytes"] = [len(output) for output in outputs]
                for path, output in zip(request.get("keep", ()), outputs, strict=False):
                    Path(path).write_bytes(output)
        # The table shows the error, and the bench continues.
        except Exception as error:  # noqa: BLE001 - an engine that cannot read a class may raise anything
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
