"""Shows that nothing is lost, failed or overpaid when a thousand or a million uploads arrive at once.

``python -m burst`` simulates them, and with ``--uploads`` also runs a real one on a local stack.
"""
