"""What the suites share.

``unit`` has no sockets, ``functional`` has moto in place of AWS, ``infrastructure`` reads the files that are
deployed and the artefacts built from them, ``e2e`` runs the local stack.
"""

import os
from collections.abc import Iterator
from typing import Final

import pytest

ACCOUNT = "123456789012"  # moto's
REGION: Final = "eu-central-1"


@pytest.fixture(scope="session")
def no_real_aws() -> Iterator[None]:
    """Hide whatever credentials, profiles and endpoints the machine has; a test must not be able to use them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith("AWS_"):
                patch.delenv(name)
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_DEFAULT_REGION", REGION)
        yield
