"""The Lambda behind ReconcileThumbnails: list what there is, compare it, price the difference, report what was done."""
