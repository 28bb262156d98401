"""A registry's budget by itself."""

from __future__ import annotations

import pytest

from whoismesh.ledger import Budget


def test_each_registry_has_a_wait_of_its_own() -> None:
    for wait_s, told, waited in ((300.0, None, 300.0), (300.0, 30.0, 30.0), (60.0, None, 60.0)):
        budget = Budget(10.0, 10.0, wait_s)
        assert budget.limit(100.0, told, 1.0)
        assert budget.waits_s(100.0) == pytest.approx(waited)
