"""Show that bursts lose no upload, fail none, and cost little more than the same uploads on a calm day.

``python -m burst`` simulates bursts, and with ``--uploads`` also runs a real one on a local stack.
"""
