"""Who announces what is found: what is asked when, what becomes of failures, and that nothing waits for it."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import replies
from stage import CRAWL, UNLIMITED, Host, asks, kept, only_ask, sent

from whoismesh.addresses import Range, parse_address
from whoismesh.checks import MAX_PAYLOAD_BYTES
from whoismesh.compounds import ORIGINS
from whoismesh.lanes.events import (
    AskOrigins,
    Drain,
    Instruction,
    Keep,
    Note,
    OriginsBroken,
    OriginsReplied,
    Stop,
    Tick,
)
from whoismesh.lanes.origins import LONGEST_RETRY_S, MOST_WAITING, RECORDS_A_RESULT, RETRY_S, TRIES, Origins
from whoismesh.messages import Acknowledge, PermitRequest, Permits, Renewed, Return
from whoismesh.origins import pack_origins, read_origins

FREE = (*UNLIMITED, "origins")


def host(most: int = 100, patience_s: float = 30.0, unlimited: tuple[str, ...] = FREE) -> Host:
    return Host(origins=(most, patience_s), unlimited=unlimited)


def batches(out: list[Instruction]) -> list[AskOrigins]:
    return [each for each in out if isinstance(each, AskOrigins)]


def notes(out: list[Instruction]) -> list[str]:
    return [each.event for each in out if isinstance(each, Note)]


def texts(*addresses: str) -> tuple[tuple[int, int], ...]:
    return tuple(map(parse_address, addresses))


def works_off(worker: Host, *networks: str) -> list[Instruction]:
    """Have a lease of exactly these networks worked off; return what followed the last answer."""
    out = worker.lease(*networks)
    while pending := asks(out):
        (ask,) = pending
        where = next(each for each in networks if Range.parse(each).holds(ask.family, ask.address))
        out = worker.answer(ask, replies.network, where)
    return out


def answer(*rows: str) -> bytes:
    return ("Bulk mode; whois.cymru.com\n" + "".join(f"{row} | NL | ripencc | | X\n" for row in rows)).encode()


def test_nothing_is_asked_before_the_lease_is_over_and_then_all_of_it_at_once() -> None:
    worker = host()
    out = worker.lease("193.0.0.0/24", "193.0.4.0/24")
    first = only_ask(out)
    out = worker.answer(
        first, replies.network, "193.0.0.0/24" if first.address < parse_address("193.0.4.0")[1] else "193.0.4.0/24"
    )
    assert not batches(out)
    out = worker.answer(only_ask(out), replies.network, "193.0.4.0/24")
    assert sent(out, Return)
    (batch,) = batches(out)
    assert sorted(batch.addresses) == list(texts("193.0.0.0", "193.0.4.0"))
    out = worker.do(OriginsReplied(batch.batch, answer("3333 | 193.0.0.0 | 193.0.0.0/21", "NA | 193.0.4.0 | NA")))
    result = kept(out)
    assert (result.status, result.origin, result.sequence) == (ORIGINS, 7, 3)
    assert sorted(read_origins(result.payload)) == [
        (bytes([193, 0, 0, 0]), bytes([193, 0, 0, 255]), 3333, "193.0.0.0/21"),
        (bytes([193, 0, 4, 0]), bytes([193, 0, 4, 255]), None, None),
    ]
    assert [keep.block for keep in out if isinstance(keep, Keep)] == [None]
    assert worker.lanes.counters["origins_found"] == 2


def test_a_lease_given_back_is_over_too() -> None:
    worker = host()
    ask = only_ask(worker.lease("193.0.0.0/24", "193.0.4.0/24"))
    found = "193.0.0.0/24" if ask.address < parse_address("193.0.4.0")[1] else "193.0.4.0/24"
    assert not batches(worker.answer(ask, replies.network, found))
    (batch,) = batches(worker.hear(Renewed(CRAWL, (1,), False, 0.0)))
    assert batch.addresses == texts(found.partition("/")[0])


def test_without_the_setting_nothing_is_asked() -> None:
    worker = Host()
    assert not batches(works_off(worker, "193.0.0.0/24"))


def test_a_batch_has_a_size_and_one_is_asked_at_a_time() -> None:
    worker = host(most=2)
    networks = ("193.0.0.0/24", "193.0.4.0/24", "193.0.8.0/24")
    (first,) = batches(works_off(worker, *networks))
    assert len(first.addresses) == 2
    assert not batches(works_off(worker, "193.0.16.0/24"))
    out = worker.do(OriginsReplied(first.batch, answer(*(f"NA | {_text(a)} | NA" for a in first.addresses))))
    (second,) = batches(out)
    assert len(second.addresses) == 2
    assert set(first.addresses) | set(second.addresses) == set(
        texts("193.0.0.0", "193.0.4.0", "193.0.8.0", "193.0.16.0")
    )


def _text(address: tuple[int, int]) -> str:
    return str(Range(*address, address[1]).cidrs()[0]).partition("/")[0]


def test_what_is_not_answered_is_asked_again_later_and_only_that() -> None:
    worker = host()
    (batch,) = batches(works_off(worker, "193.0.0.0/24", "193.0.4.0/24"))
    out = worker.do(OriginsReplied(batch.batch, answer("3333 | 193.0.0.0 | 193.0.0.0/21")))
    assert read_origins(kept(out).payload) == [(bytes([193, 0, 0, 0]), bytes([193, 0, 0, 255]), 3333, "193.0.0.0/21")]
    assert notes(out) == ["origins_failed"]
    assert not batches(worker.do(Tick(), RETRY_S - 0.1))
    (again,) = batches(worker.do(Tick(), 0.2))
    assert again == AskOrigins(batch.batch, texts("193.0.4.0"))


def test_a_batch_that_nobody_answers_is_given_up_and_counted_and_the_crawl_goes_on() -> None:
    worker = host()
    (batch,) = batches(works_off(worker, "193.0.0.0/24", "193.0.4.0/24"))
    waits = []
    for attempt in range(TRIES):
        out = worker.do(OriginsBroken(batch.batch, "refused"), 0.1)
        assert notes(out) == ["origins_failed" if attempt < TRIES - 1 else "origins_given_up"]
        if attempt < TRIES - 1:
            before = worker.now
            while not (tried := batches(worker.do(Tick(), 0.5))):
                pass
            assert tried == [batch]
            waits.append(worker.now - before)
    assert waits == [pytest.approx(RETRY_S, abs=0.5), pytest.approx(2 * RETRY_S, abs=0.5)]
    assert worker.lanes.counters["origins_missing"] == 2
    assert worker.lanes.counters["origin_failures"] == TRIES
    # What is found next waits for the server's sake, and lookups do not wait at all.
    out = works_off(worker, "193.0.16.0/24")
    assert sent(out, Return)
    assert not batches(out)
    assert len(batches(worker.do(Tick(), 4 * RETRY_S))) == 1


def test_a_permit_is_asked_for_where_there_is_a_budget() -> None:
    worker = host(unlimited=UNLIMITED)
    out = works_off(worker, "193.0.0.0/24")
    assert not batches(out)
    assert sent(out, PermitRequest) == [PermitRequest(CRAWL, 7, "origins", 1)]
    assert not sent(worker.do(Tick(), 1.0), PermitRequest)
    assert not batches(worker.hear(Permits(CRAWL, "origins", 0.0, (0.4,), 0.0)))
    (batch,) = batches(worker.do(Tick(), 0.4))
    out = worker.do(OriginsBroken(batch.batch, "refused"))
    out = worker.do(Tick(), RETRY_S + 0.1)
    assert not batches(out)
    assert len(sent(out, PermitRequest)) == 1


def test_a_permit_that_came_too_late_is_asked_for_again() -> None:
    worker = host(unlimited=UNLIMITED)
    works_off(worker, "193.0.0.0/24")
    worker.hear(Permits(CRAWL, "origins", 0.0, (0.4,), 0.0))
    out = worker.do(Tick(), 5.0)
    # A timer that is late by a little is no matter; this one was not run for seconds.
    assert len(sent(out, PermitRequest)) == 1
    assert not batches(out)


def test_a_new_coordinator_is_asked_anew() -> None:
    worker = host(unlimited=UNLIMITED)
    assert len(sent(works_off(worker, "193.0.0.0/24"), PermitRequest)) == 1
    assert len(sent(worker.join(), PermitRequest)) == 1


def test_the_end_waits_for_what_is_under_way_and_for_its_results() -> None:
    worker = host()
    (batch,) = batches(works_off(worker, "193.0.0.0/24"))
    worker.hear(Acknowledge(CRAWL, 7, ((1, 1),)))
    out = worker.hear(Renewed(CRAWL, (), True, 0.0))
    assert not [each for each in out if isinstance(each, Stop)]
    worker.do(OriginsReplied(batch.batch, answer("3333 | 193.0.0.0 | 193.0.0.0/21")), 5.0)
    assert not worker.lanes._stopped
    out = worker.hear(Acknowledge(CRAWL, 7, ((2, 2),)))
    assert [each for each in out if isinstance(each, Stop)] == [Stop()]
    assert worker.lanes.counters["origins_missing"] == 0


def test_the_end_asks_at_once_about_what_is_left() -> None:
    worker = host()
    only_ask(worker.lease("193.0.0.0/24", "193.0.4.0/24"))
    worker.lanes._origins.found("ripencc", Range.parse("193.0.0.0/24"))  # type: ignore[union-attr]
    out = worker.hear(Renewed(CRAWL, (), True, 0.0))
    assert batches(out) == [AskOrigins(1, texts("193.0.0.0"))]


@pytest.mark.parametrize("failures", [0, 1, TRIES])
def test_the_end_does_not_wait_for_a_server_that_does_not_answer(failures: int) -> None:
    worker = host(patience_s=12.0)
    (batch,) = batches(works_off(worker, "193.0.0.0/24"))
    worker.hear(Acknowledge(CRAWL, 7, ((1, 1),)))
    for _ in range(failures):
        worker.do(OriginsBroken(batch.batch, "refused"))
        while worker.lanes._origins._batch and not batches(worker.do(Tick(), 1.0)):  # type: ignore[union-attr]
            pass
    worker.hear(Renewed(CRAWL, (), True, 0.0))
    began = worker.now
    while not worker.lanes._stopped:
        worker.do(Tick(), 0.5)
    assert worker.now - began <= (0.0 if failures == TRIES else 12.5)
    assert worker.lanes.counters["origins_missing"] == 1
    assert worker.do(OriginsReplied(batch.batch, answer())) == []


def test_a_drain_asks_once_about_what_was_found() -> None:
    worker = host()
    ask = only_ask(worker.lease("193.0.0.0/24", "193.0.4.0/24"))
    found = "193.0.0.0/24" if ask.address < parse_address("193.0.4.0")[1] else "193.0.4.0/24"
    out = worker.answer(ask, replies.network, found)
    ask = only_ask(out)
    worker.hear(Acknowledge(CRAWL, 7, ((1, 1),)))
    assert not batches(worker.do(Drain()))
    out = worker.answer(ask, replies.network, "193.0.4.0/24" if found == "193.0.0.0/24" else "193.0.0.0/24")
    (batch,) = batches(out)
    worker.hear(Acknowledge(CRAWL, 7, ((2, 2),)))
    assert not worker.lanes._stopped
    out = worker.do(OriginsBroken(batch.batch, "refused"))
    assert [each for each in out if isinstance(each, Stop)] == [Stop()]


def test_an_answer_to_a_batch_that_is_given_up_or_was_never_asked_means_nothing() -> None:
    worker = host()
    assert worker.do(OriginsReplied(3, answer())) == []
    assert worker.do(OriginsBroken(3, "refused")) == []
    (batch,) = batches(works_off(worker, "193.0.0.0/24"))
    body = answer("3333 | 193.0.0.0 | 193.0.0.0/21")
    assert kept(worker.do(OriginsReplied(batch.batch, body)))
    assert worker.do(OriginsReplied(batch.batch, body)) == []


def test_results_are_of_a_size_that_a_message_takes() -> None:
    origins = Origins(2 * RECORDS_A_RESULT, 30.0, Counter())
    origins.unlimited = True
    for number in range(2 * RECORDS_A_RESULT):
        first = (0x20010DB8 << 96) + (number << 64)
        origins.found("arin", Range(6, first, first + 2**64 - 1))
    origins.leases_ended("arin", 1)
    ask = origins.ask(0.0)
    assert ask is not None
    body = answer(*(f"4294967295 | {_text(each)} | {Range(*each, each[1])}" for each in ask.addresses))
    results, told = origins.answered(1, body, 0.0)
    assert [len(each) for each in results] == [RECORDS_A_RESULT] * 2
    assert not told
    assert all(len(pack_origins(each)) < MAX_PAYLOAD_BYTES for each in results)


def test_what_waits_for_a_server_that_is_away_has_an_end() -> None:
    counters: Counter[str] = Counter()
    origins = Origins(100, 30.0, counters)
    for number in range(MOST_WAITING + 5):
        origins.found("arin", Range(4, number, number))
    origins.leases_ended("arin", 1)
    assert counters["origins_missing"] == 5
    assert origins.wake_at(1.0) == 1.0
    assert not origins.ask(1.0)


def test_waits_are_doubled_and_have_an_end() -> None:
    origins = Origins(1, math.inf, Counter())
    origins.unlimited = True
    now, waits = 0.0, []
    for number in range(60):
        origins.found("arin", Range(4, number, number))
    origins.leases_ended("arin", 1)
    for _ in range(12):
        ask = origins.ask(now)
        assert ask is not None
        origins.failed(ask.batch, "away", now)
        waits.append(origins.wake_at(now) - now)
        now += waits[-1]
    assert waits[:4] == [RETRY_S, 2 * RETRY_S, 4 * RETRY_S, 8 * RETRY_S]
    assert waits[-1] == LONGEST_RETRY_S
    ask = origins.ask(now)
    assert ask is not None
    origins.answered(ask.batch, answer(f"NA | {_text(ask.addresses[0])} | NA"), now)
    assert origins.wake_at(now) == now
