"""``make smoke``: whether a deployment keeps its word, asked from the outside with ordinary AWS credentials.

``checks/`` lists what is asked; everything else here uploads, posts, waits, shows the answers and cleans up.
"""
