"""What the pipeline costs: computed from the template, counted requests, measured durations and one table of prices.

``make cost`` writes docs/cost.md; ``make cost UPLOADS=3e6 SIZES=5`` answers a question of your own. ``python -m
cost.measure`` measures one upload on the running local stack and writes docs/measured.json.
"""
