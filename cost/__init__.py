"""Calculate the cost of the pipeline from the template, counted requests, measured durations and one table of prices.

``make cost`` writes docs/cost.md; ``make cost UPLOADS=3e6 SIZES=5`` prints the cost for your own numbers. ``python -m
cost.measure`` measures uploads on the running local stack and writes docs/measured.json.
"""
