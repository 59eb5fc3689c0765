"""Pictures and colour profiles made in code, and what a thumbnail is measured against: for tests, bench and fuzz.

``mandelbrot.heic`` is the one that is not made when it is needed, because Pillow writes no HEIC: it was drawn by
``Image.effect_mandelbrot`` and encoded once with pillow-heif, for the soak and the smoke test.
"""
