"""A port 43 that lags behind: a share of the networks, the same for every question, and nothing else."""

from __future__ import annotations

from collections import Counter

import pytest

from whoismesh.addresses import Range, format_address
from whoismesh.answers import Reply, understand
from whoismesh.answers.disagreement import claim_of, differing
from whoismesh.errors import UsageError
from whoismesh.port43 import QUERY
from whoismesh.practice import rdap_answers, whois_answers, whois_queries
from whoismesh.practice.outdated import Before, Outdated
from whoismesh.practice.row import Row
from whoismesh.practice.table import AllocationTable, packaged
from whoismesh.practice.verdicts import judge
from whoismesh.registries import REGISTRIES

TABLE = AllocationTable.load(packaged())
URLS = {registry: f"http://{registry}.test/" for registry in REGISTRIES}


def held(every: int) -> list[Row]:
    return [row for row in TABLE.rows() if row.held][::every]


def test_the_share_is_of_the_networks_and_both_ways_occur() -> None:
    outdated, rows = Outdated(0.3, 5), held(1)
    ways = Counter(outdated.of(row) for row in rows)
    assert 0.27 < 1 - ways[None] / len(rows) < 0.33
    assert min(ways[Before.HOLDER], ways[Before.RANGE]) > 1_000
    assert [Outdated(0.3, 5).of(row) for row in rows] == [outdated.of(row) for row in rows]
    assert {Outdated().of(row) for row in rows} == {None}


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_an_impossible_share_is_refused(share: float) -> None:
    with pytest.raises(UsageError, match="expected 0 to 1"):
        Outdated(share)


def test_an_older_record_holds_every_address_asked() -> None:
    outdated = Outdated(1.0, 5)
    for row in held(50):
        for address in (row.range.first, (row.range.first + row.range.last) // 2, row.range.last):
            asked = Range(row.range.family, address, address)
            before = outdated.row(row, asked)
            assert before.range.contains(asked)
            assert row.range.contains(before.range)
            assert before.registry == row.registry


def test_a_reader_sees_just_the_field_that_it_is_about() -> None:
    """At the address that a worker asks about, the middle: at every registry, whatever the network is like."""
    outdated, seen = Outdated(1.0, 5), Counter[tuple[str, Before | None]]()
    for row in held(7):
        middle = (row.range.first + row.range.last) // 2
        text = format_address(row.range.family, middle)
        verdict = judge(TABLE, row.registry, Range(row.range.family, middle, middle))
        query = whois_queries.read(row.registry, QUERY[row.registry].format(text))
        older = judge(AllocationTable([outdated.row(row, verdict.asked)]), row.registry, verdict.asked)
        bodies = {
            "rdap": rdap_answers.as_reply(rdap_answers.answer(row.registry, verdict, text, URLS)).body,
            "whois": whois_answers.answer(row.registry, older, query).encode(
                whois_answers.charset(row.registry, query), "replace"
            ),
        }
        claims = []
        for protocol, body in bodies.items():
            reply = Reply(row.registry, protocol, row.range.family, middle, body, "test", 1.0)
            claims.append(claim_of(reply, understand(reply, {})))
        one, other = claims
        assert one is not None and other is not None, row
        way = outdated.of(row)
        assert way is not None
        assert differing(one, other) == (way.value,), row
        seen[row.registry, way] += 1
    assert min(seen.values()) > 20 and len(seen) == 10
