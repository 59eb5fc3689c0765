"""The whole pipeline on one machine: MiniStack for AWS, the stock SAM CLI to deploy, a gateway for the API.

No Docker, no AWS account, nothing outside loopback. Runtime code imports nothing from here.
"""
