"""What a hostile peer can send, one fault at a time: what would have come of it, and does not."""

from __future__ import annotations

import pytest
from small_mesh import CRAWL, blocks

from whoismesh.checks import MAX_COUNT
from whoismesh.errors import MessageError
from whoismesh.messages import Discovered, Run, decode, encode


def told(*runs: Run) -> Discovered:
    return Discovered(CRAWL, runs)


def test_a_run_ends_below_the_highest_count() -> None:
    """Else a digest that names its last entry is no message for anybody, and the node is cut off for good."""
    for last in (MAX_COUNT, MAX_COUNT + 1):
        frame = encode(told(Run(2, last - 2, 0, blocks(range(3)))))
        if last == MAX_COUNT:
            assert decode(frame)
        else:
            with pytest.raises(MessageError, match="numbered from 1 to"):
                decode(frame)
