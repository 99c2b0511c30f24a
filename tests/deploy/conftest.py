"""What the deploy tests share: the static binary."""

import os
from pathlib import Path

import pytest
from rendering import ROOT


@pytest.fixture(scope="session")
def queuepost():
    """The static binary: $QUEUEPOST_BINARY, or where deploy/image/prebuilt puts it."""
    path = Path(os.environ.get("QUEUEPOST_BINARY", ROOT / "target/image/queuepost"))
    if not path.exists():
        pytest.skip("the static binary is not built: deploy/image/prebuilt builds it")
    return path
