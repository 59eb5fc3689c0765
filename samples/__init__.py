"""Pictures and colour profiles made in code, and what a thumbnail is measured against: for tests, bench and fuzz."""
