"""The real template on the local stack, deployed once for all end-to-end tests, on ports of its own."""

from collections.abc import Iterator

import pytest

from local.processes import free_ports
from local.stack import ROOT, Settings, Stack
from tests.e2e.pipeline import UPLOAD_SIZES, Pipeline


@pytest.fixture(scope="session")
def pipeline() -> Iterator[Pipeline]:
    """Deploy the template as it stands, and end the stack afterwards."""
    aws_port, api_port, gallery_port = free_ports(3)
    settings = Settings(
        aws_port=aws_port,
        api_port=api_port,
        gallery_port=gallery_port,
        state=ROOT / ".local" / "e2e",
        parameters={
            "ApiAuthorization": "NONE",
            "ThumbnailSizes": ",".join(UPLOAD_SIZES),
            # Not while the tests run: the test of the check makes it due.
            "ReconcileSchedule": "cron(0 3 1 1 ? 2199)",
        },
    )
    stack = Stack(settings)
    stack.down()
    try:
        stack.up()
        yield Pipeline(stack)
    finally:
        stack.down()
