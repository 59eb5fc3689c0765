"""``python -m local.gateway``: serve the API of a deployed stack."""

import argparse
import os
import sys

from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

from local.gateway import GatewayError
from local.gateway.api import Api
from local.gateway.integration import AwsServices
from local.gateway.openapi import compile_api
from local.gateway.server import GatewayServer
from local.gateway.signature import Signers
from local.gateway.stack import read_deployed_api


def main(arguments: list[str] | None = None) -> int:
    """Read the stack, compile its API and serve it until a signal stops it; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m local.gateway", description="Serve the REST API of a deployed stack on loopback."
    )
    parser.add_argument("--endpoint", required=True, help="endpoint of AWS, such as http://127.0.0.1:4566")
    parser.add_argument("--stack", required=True, help="name of the deployed stack")
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address (default %(default)s)")
    parser.add_argument("--port", type=int, default=3000, help="port to listen on (default %(default)s)")
    options = parser.parse_args(arguments)
    try:
        server = _server(options.endpoint, options.stack, options.host, options.port)
    except (GatewayError, BotoCoreError, ClientError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    server.run()
    return 0


def _server(endpoint: str, stack: str, host: str, port: int) -> GatewayServer:
    session = Session()
    if session.get_config_variable("region") is None:
        session.set_config_variable("region", os.environ.get("AWS_REGION", "us-east-1"))
    if session.get_credentials() is None:
        raise GatewayError("There are no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.")
    deployed = read_deployed_api(session, endpoint, stack)
    definition = compile_api(deployed, AwsServices(session, endpoint))
    server = GatewayServer(host, port, Api(deployed, definition, Signers(endpoint, deployed.region)))
    if deployed.access_log_group:
        server.deliver_access_log(session.create_client("logs", endpoint_url=endpoint), deployed.access_log_group)
    return server


if __name__ == "__main__":
    sys.exit(main())
