"""Real hosts. The helpers beside these tests are plain modules; importlib mode leaves the search path alone."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from obstacles import obstacle


@pytest.fixture(scope="session")
def hosts_can_be_made(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skip what needs hosts where none can be made; in CI nothing may be skipped."""
    reason = obstacle(tmp_path_factory.mktemp("trial"))
    if reason and os.environ.get("CI"):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
