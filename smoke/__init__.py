"""``make smoke``: check from the outside, with ordinary AWS credentials, that a deployment keeps its promises.

``checks/`` lists the checks. The other modules upload, post, wait, print the results and clean up.
"""
