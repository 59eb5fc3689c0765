"""The Lambda of ReconcileThumbnails: list both buckets, compare them, estimate the cost, and report what was done."""
