"""Generated pictures and colour profiles, and reference resampling and SSIM: for tests, bench and fuzz.

Only ``mandelbrot.heic`` is a file, because Pillow cannot write HEIC. It was drawn by ``Image.effect_mandelbrot`` and
encoded once with pillow-heif, for the soak and the smoke test.
"""
