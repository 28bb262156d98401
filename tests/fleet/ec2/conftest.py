"""EC2 as boto3 meets it: moto's server, and between the two what makes it behave as badly as the real one.

The helpers beside these tests are plain modules; importlib mode leaves the search path alone.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

sys.path.insert(0, str(Path(__file__).parent))

from between_aws import REGION, BetweenAws


@pytest.fixture(scope="module")
def moto_port() -> Iterator[int]:
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    yield server.get_host_and_port()[1]
    server.stop()


@pytest.fixture
def ec2(moto_port: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[BetweenAws]:
    """Serve a fresh account, and point boto3 at it as an operator would: by variables and a folder of AWS's own."""
    between = BetweenAws(moto_port)
    between.reset()
    for name, value in between.environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    yield between
    between.close()


@pytest.fixture
def region() -> str:
    return REGION
