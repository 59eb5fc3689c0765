"""``make reconcile``: plan, run, watch and stop ReconcileThumbnails, on AWS or on the local stack.

A client of the state machine like any other: it starts executions, and reads what they write under ``plans/``.
"""
