"""``make smoke``: check from the outside, with ordinary AWS credentials, that a deployment keeps its promises.

``checks/`` lists what is asked; everything else here uploads, posts, waits, shows the answers and cleans up.
"""
