"""EC2 as boto3 meets it: moto's server, and between the two what makes it behave as badly as the real one.

The helpers beside these tests are plain modules; importlib mode leaves the search path alone.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

sys.path.insert(0, str(Path(__file__).parent))

from between_aws import BetweenAws

from whoismesh.fleet.ec2.aws import Aws


@pytest.fixture(scope="module")
def between(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BetweenAws]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it writes a line a request
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    between = BetweenAws(server.get_host_and_port()[1])
    with pytest.MonkeyPatch.context() as environment:
        for name in ("AWS_PROFILE", "AWS_DEFAULT_REGION"):
            environment.delenv(name, raising=False)
        for name, value in between.environment(tmp_path_factory.mktemp("aws")).items():
            environment.setenv(name, value)
        yield between
    between.close()
    server.stop()


@pytest.fixture
def ec2(between: BetweenAws) -> BetweenAws:
    """Serve a fresh account, to which boto3 comes as it does to the real one: by what is in the environment."""
    between.reset()
    return between


@pytest.fixture(scope="module")
def aws(between: BetweenAws) -> Aws:
    return Aws()
