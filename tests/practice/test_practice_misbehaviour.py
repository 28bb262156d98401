"""Faults, quirks, limits and bans as a worker's lookups meet them: served, asked for and understood."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from whoismesh.addresses import Range, format_address
from whoismesh.answers import CANNOT_TELL, Answer, Status, understand
from whoismesh.errors import UsageError
from whoismesh.lookups import Lookups, NoAnswerError
from whoismesh.practice.faults import Fault, RateLimit, RetryAfter, Weather
from whoismesh.practice.quirks import LOOKALIKES, QUIRKS, Quirk, Quirks
from whoismesh.practice.row import Row
from whoismesh.practice.server import PracticeRegistries
from whoismesh.practice.table import AllocationTable, packaged
from whoismesh.registries import REGISTRIES
from whoismesh.settings import RegistrySettings

TABLE = AllocationTable.load(packaged())
PROTOCOLS = ("rdap", "whois")
RIPE_LIKE = ("ripencc", "apnic", "afrinic")


def held_by(registry: str, count: int = 1) -> list[Row]:
    """Return some rows of a registry's: those that are no CIDR first."""
    rows = [row for row in TABLE.rows() if row.held and row.registry == registry]
    return sorted(rows, key=lambda row: (row.range.is_cidr(), row.range))[:count]


class Asker:
    """Asks practice registries as a worker does and understands what comes."""

    def __init__(self, practice: PracticeRegistries, lookups: Lookups, bases: dict[str, str]) -> None:
        self.practice = practice
        self._lookups = lookups
        self._bases = bases

    async def ask(self, registry: str, protocol: str, found: Range, url: str | None = None) -> Answer:
        """Ask for a range's middle. Raises NoAnswerError."""
        address = (found.first + found.last) // 2
        reply = await self._lookups.ask(registry, protocol, found.family, address, url)
        return understand(reply, self._bases)


@asynccontextmanager
async def asking(timeout_s: float = 5.0, table: AllocationTable = TABLE, **options: Any) -> AsyncIterator[Asker]:
    async with PracticeRegistries(table, **options) as practice:
        registries = {
            each: RegistrySettings(practice.rdap_url(each), practice.whois_address(each), timeout_s=timeout_s)
            for each in REGISTRIES
        }
        bases = {server: each for each, one in registries.items() for server in (one.rdap, one.whois)}
        async with Lookups(registries, "practice@example.org", None) as lookups:
            yield Asker(practice, lookups, bases)


# --- faults ---------------------------------------------------------------------------------------------------------

NO_ANSWER = "no answer"
#: What each fault may come to, by protocol.
OUTCOMES = {
    Fault.ERROR: {Status.FAILED},
    Fault.RESET: {NO_ANSWER},
    # Half an answer may hold the whole registration; what it must not be is another one.
    Fault.CUT: {NO_ANSWER, Status.TRUNCATED, Status.MALFORMED, Status.NETWORK},
    Fault.GARBAGE: {Status.MALFORMED},
    Fault.SLOW: {NO_ANSWER, Status.TRUNCATED, Status.MALFORMED, Status.NETWORK},
    Fault.EMPTY: {Status.MALFORMED, Status.FAILED},
    Fault.HTML: {Status.MALFORMED},
    Fault.PARTIAL: {Status.MALFORMED, Status.TRUNCATED, Status.NETWORK},
    Fault.MISPLACED: {Status.MALFORMED},
    Fault.LOOP: {Status.ELSEWHERE, Status.FAILED},
    Fault.CHAIN: {Status.ELSEWHERE, Status.FAILED},
    Fault.ASTRAY: {Status.ELSEWHERE, Status.FAILED},
    Fault.UNAVAILABLE: {Status.LIMITED},
    Fault.TRICKLE: {NO_ANSWER},
    Fault.FLOOD: {Status.MALFORMED},
    Fault.BOMB: {Status.MALFORMED},
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", Fault)
def test_no_fault_becomes_another_network(fault: Fault) -> None:
    async def run() -> None:
        weather = Weather(share=1, kinds=(fault,))
        slow = fault is Fault.TRICKLE
        async with asking(0.5 if slow else 20.0, weather=weather, slow_s=2.0 if slow else 0.05) as asker:
            for registry in REGISTRIES:
                row = held_by(registry)[0]
                for protocol in PROTOCOLS:
                    try:
                        answer = await asker.ask(registry, protocol, row.range)
                    except NoAnswerError as error:
                        assert not error.unreachable
                        assert NO_ANSWER in OUTCOMES[fault], (registry, protocol, error)
                        continue
                    assert answer.status in OUTCOMES[fault], (registry, protocol, answer)
                    if answer.network is not None:
                        assert (answer.network.registry, answer.network.range) == (registry, row.range)
                    elif answer.status is not Status.ELSEWHERE:
                        assert answer.transient or fault in (Fault.FLOOD, Fault.BOMB)
            if fault is not Fault.TRICKLE:
                assert asker.practice.counts["arin", "rdap", f"fault:{fault}"] == 1

    asyncio.run(run())


def test_a_loop_leads_to_where_it_came_from() -> None:
    async def run() -> None:
        async with asking(weather=Weather(share=1, kinds=(Fault.LOOP,))) as asker:
            row = held_by("apnic")[0]
            first = await asker.ask("apnic", "rdap", row.range)
            assert (first.status, first.elsewhere) == (Status.ELSEWHERE, "apnic")
            again = await asker.ask("apnic", "rdap", row.range, first.url)
            assert again.url == first.url

    asyncio.run(run())


def test_a_chain_never_leads_to_the_same_place() -> None:
    async def run() -> None:
        async with asking(weather=Weather(share=1, kinds=(Fault.CHAIN,))) as asker:
            row, url, seen = held_by("apnic")[0], None, set()
            for _ in range(20):
                answer = await asker.ask("apnic", "rdap", row.range, url)
                assert (answer.status, answer.elsewhere) == (Status.ELSEWHERE, "apnic")
                url = answer.url
                seen.add(url)
            assert len(seen) == 20

    asyncio.run(run())


def test_who_is_sent_astray_is_sent_back() -> None:
    async def run() -> None:
        async with asking(weather=Weather(share=1, kinds=(Fault.ASTRAY,))) as asker:
            answer = await asker.ask("arin", "rdap", held_by("arin")[0].range)
            assert (answer.status, answer.elsewhere, answer.url) == (Status.ELSEWHERE, "ripencc", None)

    asyncio.run(run())


@pytest.mark.parametrize("registry", ["apnic", "afrinic", "lacnic"])
def test_a_part_that_says_so_is_kept_as_one(registry: str) -> None:
    async def run() -> None:
        async with asking(weather=Weather(share=1, kinds=(Fault.PARTIAL,))) as asker:
            row = held_by(registry)[0]
            answer = await asker.ask(registry, "whois", row.range)
            assert (answer.status, answer.transient) == (Status.TRUNCATED, True)
            assert answer.network is not None
            assert answer.network.range == row.range

    asyncio.run(run())


def test_all_kinds_can_be_named_and_none_cannot() -> None:
    weather = Weather(share=1, seed=2, kinds=tuple(Fault))
    assert {weather.decide("arin", "rdap", str(number), 0).fault for number in range(500)} == set(Fault)
    for make in (lambda: Weather(kinds=()), lambda: Quirks(kinds=()), lambda: Quirks(share=1.5)):
        with pytest.raises(UsageError):
            make()


# --- quirks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quirk", QUIRKS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_odd_answer_is_the_same_network(quirk: Quirk, protocol: str) -> None:
    async def run() -> None:
        async with asking(quirks=Quirks(share=1, kinds=(quirk,))) as asker:
            for registry in REGISTRIES:
                for row in held_by(registry, 20):
                    answer = await asker.ask(registry, protocol, row.range)
                    if quirk is Quirk.ECHO and (registry, protocol) == ("lacnic", "rdap"):
                        assert answer.status is Status.FAILED and answer.reason.startswith(CANNOT_TELL)
                        continue
                    assert answer.status is Status.NETWORK, (row, answer)
                    assert answer.network is not None
                    assert (answer.network.registry, answer.network.range) == (registry, row.range)

    asyncio.run(run())


def test_ipv6_is_as_odd() -> None:
    row = Row(Range.parse("2a02:26f0::/29"), "ripencc", "NL", "allocated", "20100101", "x", "Exämple")
    table = AllocationTable([row, replace_registry(row, "2400:8900::/29", "apnic")])

    async def run() -> None:
        for quirk in QUIRKS:
            async with asking(table=table, quirks=Quirks(share=1, kinds=(quirk,))) as asker:
                for each in table.rows():
                    for protocol in PROTOCOLS:
                        answer = await asker.ask(each.registry, protocol, each.range)
                        assert answer.network is not None, (quirk, protocol, answer)
                        assert answer.network.range == each.range

    asyncio.run(run())


def replace_registry(row: Row, text: str, registry: str) -> Row:
    return row._replace(range=Range.parse(text), registry=registry)


def test_what_apnic_passes_on_leads_to_whose_it_is() -> None:
    async def run() -> None:
        async with asking(quirks=Quirks(share=1, kinds=(Quirk.PROXIED,))) as asker:
            moved = [
                row for row in held_by("ripencc", 5_000) + held_by("arin", 5_000) if row.range.first >> 24 in (61, 202)
            ]
            assert {row.registry for row in moved} == {"arin", "ripencc"}
            for row in moved:
                answer = await asker.ask("apnic", "rdap", row.range)
                assert (answer.status, answer.elsewhere) == (Status.ELSEWHERE, row.registry)
                assert answer.reason == f"the answer refers to {row.registry}", "no redirect"

    asyncio.run(run())


def test_lookalikes_are_in_the_answers_and_in_the_records() -> None:
    async def run() -> None:
        async with asking(quirks=Quirks(share=1, kinds=(Quirk.LOOKALIKE,))) as asker:
            answer = await asker.ask("lacnic", "whois", held_by("lacnic")[0].range)
            assert answer.network is not None
            assert answer.network.holder.name in LOOKALIKES

    asyncio.run(run())


def test_the_same_questions_are_odd_whoever_asks_and_when() -> None:
    quirks = Quirks(share=0.3, seed=4)
    odd = [quirks.of("arin", "rdap", str(number)) for number in range(2000)]
    assert odd == [quirks.of("arin", "rdap", str(number)) for number in range(2000)]
    assert 0.25 < sum(each is not None for each in odd) / 2000 < 0.35
    assert set(odd) == {None, *QUIRKS}


# --- limits and bans ------------------------------------------------------------------------------------------------


def test_who_goes_on_after_refusals_is_banned() -> None:
    limit = RateLimit(1, ban_after=3)
    assert [limit.ask("arin", "c", 0.0) > 0 for _ in range(3)] == [False, True, True]
    assert limit.ask("arin", "c", 0.0) == float("inf")
    assert limit.ask("arin", "c", 10_000.0) == float("inf")
    assert limit.ask("apnic", "c", 0.0) == 0
    patient = RateLimit(0.001, ban_after=3)
    patient.ask("arin", "c", 0.0)
    assert all(patient.ask("arin", "c", 61.0 * number) < float("inf") for number in range(1, 10))
    with pytest.raises(UsageError):
        RateLimit(1, ban_after=0)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_ban_is_understood_as_one(protocol: str) -> None:
    async def run() -> None:
        async with asking(rate_limit=1, ban_after=2, clock=lambda: 0.0) as asker:
            for registry in REGISTRIES:
                row = held_by(registry)[0]
                statuses = [(await asker.ask(registry, protocol, row.range)).status for _ in range(4)]
                # ARIN's text at port 43 does not tell how long it means.
                last = Status.LIMITED if (registry, protocol) == ("arin", "whois") else Status.BANNED
                assert statuses == [Status.NETWORK, Status.LIMITED, last, last]
                assert asker.practice.counts[registry, protocol, "banned"] == 2

    asyncio.run(run())


@pytest.mark.parametrize(
    ("form", "low", "high"),
    [
        (RetryAfter.SECONDS, 1, 1),
        (RetryAfter.DATE, 0, 3),
        (RetryAfter.ZERO, 0, 0),
        (RetryAfter.ABSURD, 86_400, 86_400),
        (RetryAfter.ABSENT, None, None),
    ],
)
def test_a_wait_is_told_in_every_form(form: RetryAfter, low: float | None, high: float | None) -> None:
    async def run() -> None:
        async with asking(rate_limit=1, clock=lambda: 0.0, retry_after=form) as asker:
            for registry in REGISTRIES:
                row = held_by(registry)[0]
                await asker.ask(registry, "rdap", row.range)
                answer = await asker.ask(registry, "rdap", row.range)
                assert answer.status is Status.LIMITED
                if low is None or high is None:
                    # LACNIC's notice tells its minute even so.
                    assert answer.retry_after_s == (60.0 if registry == "lacnic" else None)
                else:
                    assert answer.retry_after_s is not None
                    assert low <= answer.retry_after_s <= high

    asyncio.run(run())


def test_too_many_connections_at_once() -> None:
    async def run() -> None:
        async with asking(most_connections=2) as asker:
            for registry in REGISTRIES:
                host, _, port = asker.practice.whois_address(registry).partition(":")
                idle = [await asyncio.open_connection(host, int(port)) for _ in range(2)]
                answer = await asker.ask(registry, "whois", held_by(registry)[0].range)
                assert answer.status is Status.LIMITED
                assert answer.host_only is (registry != "arin")
                for _, writer in idle:
                    writer.close()

    asyncio.run(run())


# --- kept connections -----------------------------------------------------------------------------------------------


def test_kept_connections_answer_one_question_after_the_other() -> None:
    rows = held_by("ripencc", 5)

    async def run() -> None:
        async with asking() as asker:
            for row in rows:
                answer = await asker.ask("ripencc", "whois", row.range)
                assert answer.network is not None
                assert answer.network.range == row.range
            assert len(asker.practice._connections["ripencc", "whois"]) == 1
            host, _, port = asker.practice.whois_address("ripencc").partition(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            address = format_address(4, rows[0].range.first)
            writer.write(f"-k -r {address}\n-r -k {address}\n-k\n".encode())
            text = await reader.read()
            assert text.count(b"inetnum:") == 2
            writer.close()

    asyncio.run(run())


def test_a_decision_is_a_value() -> None:
    weather = Weather(share=1, kinds=(Fault.CUT,))
    assert replace(weather.decide("arin", "rdap", "x", 0), noise=b"").fault is Fault.CUT
