"""``python -m local.gallery``: serve the gallery of a deployed stack on 127.0.0.1."""

import argparse
import json
import sys

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from functions.resize.request import SCHEMA_PATH
from local.gallery.api import Api
from local.gallery.pictures import MOST_ORIGINALS, Pictures, read_deployment
from local.gallery.server import Gallery, GalleryServer


def main() -> int:
    """Read the stack and serve its pictures until told to stop; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m local.gallery", description=__doc__)
    parser.add_argument("--endpoint", required=True, help="where AWS answers, such as http://127.0.0.1:4566")
    parser.add_argument("--stack", required=True, help="name of the deployed stack")
    parser.add_argument("--api", required=True, help="where the API takes requests for resizes")
    parser.add_argument("--port", type=int, default=3001, help="port to listen on (default %(default)s)")
    options = parser.parse_args()
    try:
        server = _server(options.endpoint, options.stack, options.api, options.port)
    except (BotoCoreError, ClientError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    server.run()
    return 0


def _server(endpoint: str, stack: str, url: str, port: int) -> GalleryServer:
    session = boto3.Session()
    deployment = read_deployment(session.client("cloudformation", endpoint_url=endpoint), stack)
    pictures = Pictures(
        deployment,
        session.client("s3", endpoint_url=endpoint),
        session.client("stepfunctions", endpoint_url=endpoint),
        session.client("logs", endpoint_url=endpoint),
    )
    credentials = session.get_credentials()
    signer = credentials.get_frozen_credentials() if credentials and deployment.is_signed else None
    api = Api(url, session.region_name or "us-east-1", signer)
    request = json.loads(SCHEMA_PATH.read_text(encoding="utf-8"))["properties"]
    about = {
        "stack": stack,
        "originals": deployment.originals,
        "thumbnails": deployment.thumbnails,
        "prefix": deployment.prefix,
        "is_express": deployment.is_express,
        "most_originals": MOST_ORIGINALS,
        "api": url,
        "curl_options": api.curl_options,
        "fits": request["fit"]["enum"],
        "formats": request["format"]["enum"],
        "largest_side": request["width"]["maximum"],
    }
    return GalleryServer(port, Gallery(pictures, api, about, port))


if __name__ == "__main__":
    sys.exit(main())
