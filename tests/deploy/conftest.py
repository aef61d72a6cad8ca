import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "publishers"))  # the broker and the sample batches are shared


@pytest.fixture
def deploy() -> Path:
    return Path(__file__).parents[2] / "deploy"
