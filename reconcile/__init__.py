"""``make reconcile``: plan, run, watch and stop ReconcileThumbnails, on AWS or on the local stack.

It is an ordinary client of the state machine: it starts executions and reads the objects that they write to ``plans/``.
"""
