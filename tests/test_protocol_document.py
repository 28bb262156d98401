"""docs/protocol.md says what the code does: messages, fields, limits, and the frames of its example."""

from __future__ import annotations

import re
from dataclasses import fields
from hashlib import blake2b
from pathlib import Path

import msgpack
import pytest

from whoismesh import checks, packing
from whoismesh.addresses import Range
from whoismesh.answers.outcome import Status
from whoismesh.blocks import PIECE_ENTRIES, Block, BlockLog, Blocks
from whoismesh.compounds import DISAGREEMENT, OWN_STATUSES, RECORDS_ONLY, LeaseGrant, Peer, Result, Run
from whoismesh.gossip import engine, exchange, guard, logs, peers, replica, responder
from whoismesh.lanes import coordinator_clock, findings, membership
from whoismesh.lanes.engine import METRICS_S
from whoismesh.lanes.lane import LAPSE_S
from whoismesh.lanes.outcomes import NO_ANSWER
from whoismesh.ledger import engine as ledger
from whoismesh.ledger import hearsay, leases
from whoismesh.messages import (
    MAX_FRAME_BYTES,
    MAX_SENT_BYTES,
    MAX_TAILS,
    TYPES,
    Compare,
    Digest,
    Discovered,
    Join,
    Message,
    Sent,
    Welcome,
    decode,
    encode,
)
from whoismesh.networks import COMPARED_FIELDS
from whoismesh.outbox import RESULTS_A_MESSAGE
from whoismesh.worker import FLUSH_S

TEXT = (Path(__file__).parent.parent / "docs" / "protocol.md").read_text(encoding="utf-8")
#: The same on one line a paragraph, for statements that are broken across lines.
FLAT = re.sub(r"\s+", " ", TEXT)
CRAWL = bytes.fromhex("5f1c0a2e9b7d4e63a1f08c35d2b94716")
LOG_HASH = bytes.fromhex("8f03c1a97be2d450")
NEWS = Blocks.of(
    (
        Block("ripencc", Range.parse("193.0.0.0/21")),
        Block("ripencc", Range.parse("2001:67c:2e8::/48")),
        None,
        Block("apnic", Range.parse("1.0.16.0-1.0.19.127")),
    )
)
EXAMPLE: tuple[Message, ...] = (
    Join(b"", "192.0.2.7:4711", "tcp://192.0.2.7:7800", 0, ()),
    Welcome(CRAWL, 17, 7701, 7702, 7703, 2.0, ("arin",), 86_400.5),
    Discovered(CRAWL, (Run(17, 41, None, NEWS),)),
    Compare(CRAWL, logs.hash_of((1200, {17: 44, 23: 9}), (1, 12), LOG_HASH)),
    Digest(CRAWL, 1200, {17: 44, 23: 9}, (1, 12), logs.MOST_CREDIT_BYTES, LOG_HASH),
    Sent(CRAWL, True, False),
)


def frames() -> dict[str, bytes]:
    """Return the frames of the example by the name of their message: of each line the hex digits before the words."""
    found = {}
    for name, body in re.findall(r"^```frame (\w+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL):
        hexadecimal = ""
        for line in body.splitlines():
            match = re.match(r" *[0-9a-f]{2}( {1,2}[0-9a-f]{2}\b)*", line)
            assert match is not None, line
            hexadecimal += match[0]
        found[name] = bytes.fromhex(hexadecimal)
    return found


def test_the_frames_of_the_example_are_what_is_sent_and_read() -> None:
    shown = frames()
    assert list(shown) == [type(message).__name__ for message in EXAMPLE]
    for message in EXAMPLE:
        frame = shown[type(message).__name__]
        assert frame == encode(message)
        assert decode(frame) == message and encode(decode(frame)) == frame


def test_every_message_and_field_is_told_in_order() -> None:
    sections = re.findall(r"^### (\d+) (\w+)\n\n(.*?)(?=^#)", TEXT, re.MULTILINE | re.DOTALL)
    assert {int(number): name for number, name, _ in sections} == {n: cls.__name__ for n, cls in TYPES.items()}
    for _, name, section in sections:
        told = re.findall(r"^\| (\w+) \| (?!type)", section, re.MULTILINE)
        cls = next(each for each in TYPES.values() if each.__name__ == name)
        assert told == [field.name for field in fields(cls)], name
        assert f"{name}, " in TEXT or f"| {name} |" in TEXT or f", {name} |" in TEXT, f"{name}: from whom to whom"


@pytest.mark.parametrize("cls", [LeaseGrant, Result, Run, Peer])
def test_every_part_of_a_message_is_told_in_order(cls: type) -> None:
    name = {LeaseGrant: "grant"}.get(cls, cls.__name__.lower())
    names = {"blocks": ("count", "blocks")}
    own = getattr(cls, "_fields", None) or [field.name for field in fields(cls)]
    wanted = [each for field in own for each in names.get(field, (field,))]
    (told,) = re.findall(rf"\*\*{name}\*\*: array of (\d+): (.*?)\. ", FLAT)
    assert int(told[0]) == len(wanted)
    at = [re.search(rf"(^|, ){field}\b", told[1]) for field in wanted]
    assert None not in at and [each.start() for each in at if each] == sorted(each.start() for each in at if each)


@pytest.mark.parametrize(
    "said",
    [
        f"frame accepted (set ZMQ_MAXMSGSIZE to it) | {MAX_FRAME_BYTES:,} bytes",
        f"frame sent | {MAX_SENT_BYTES:,} bytes",
        f"elements of an array or a map | {packing.MAX_ITEMS:,};",
        f"entries of a run | {PIECE_ENTRIES:,}",
        f"logs in `tails` | {MAX_TAILS:,}",
        f"answer to one question | {logs.MOST_CREDIT_BYTES:,} bytes",
        f"at most {checks.MAX_TEXT:,} characters",
        f"bin, at most {checks.MAX_PAYLOAD_BYTES:,} bytes",
        f"bin of {checks.CRAWL_ID_BYTES} bytes, the id of a crawl",
        f"at most {RESULTS_A_MESSAGE} and about 64 KiB a message",
        f"then after {membership.FIRST_JOIN_AGAIN_S:g} s, doubled up to {membership.LONGEST_JOIN_AGAIN_S:g} s",
        f"Renew every `renew_s` ({ledger.RENEW_S:g})",
        f"Metrics every {METRICS_S:g} s",
        f"it was not run for {membership.PAUSE_S:g} s or more",
        f"says nothing for {leases.LEASE_TTL_S:g} s is lost",
        f"{leases.LEASE_TTL_S:g} s after the last Renew",
        f"may take {leases.AWAIT_S:g} s to arrive",
        f"lends nothing for {ledger.ADOPTION_S:g} s",
        f"at most a moment ({LAPSE_S:g} s) after it",
        f"in the last {coordinator_clock.WINDOW_S:g} to {2 * coordinator_clock.WINDOW_S:g} s",
        f"sent again after {findings.RESEND_S:g} s, doubled up to {findings.LONGEST_RESEND_S:g} s",
        f"gathered for {1000 * FLUSH_S:g} ms)",
        f"With {peers.FULL_MESH} other members or fewer",
        f"listens to {peers.LINKS} (a setting):",
        f"again only after {1000 * engine.NEWS_S:g} ms, or when {engine.NEWS_BYTES:,} bytes",
        f"a queue of {replica.MOST_AHEAD_BYTES:,} bytes (each run takes {replica.AHEAD_RUN_BYTES} more",
        f"At most {logs.MOST_TAIL_ENTRIES:,} entries of one origin that are not sealed, {logs.MOST_WAITING_ENTRIES:,}",
        f"forgotten {logs.FORGET_S:g} s after it was last heard of",
        f"kept for {peers.RETURNING_S:g} s",
        f"no member for {hearsay.ADOPT_S:g} s",
        f"nothing for {exchange.TIMEOUT_S:g} s; or {exchange.LONGEST_S:g} s are over",
        f"another partner after about {exchange.SOON_S:g} s",
        f"After {peers.FAILURES_TO_SKIP} failures in a row a partner is left alone for {peers.SKIP_S:g} s",
        f"{responder.LEAST_COST_BYTES:,} bytes for each question, {responder.LOG_COST_BYTES} for each log",
        f"and {responder.MEMBER_BYTES} for each member named",
        f"above {responder.SERVED_BYTES_S // 2**20} MiB a second",
        f"messages of about {responder.MESSAGE_BYTES // 1024} KiB",
        f"Of more than {guard.MOST_ORIGINS:,} origins",
    ],
)
def test_limits_and_times_are_those_of_the_code(said: str) -> None:
    assert said in FLAT


def test_closed_sets_are_told_whole() -> None:
    spare = exchange.INTERVAL_S * exchange.JITTER
    assert f"({exchange.INTERVAL_S - spare:g} to {exchange.INTERVAL_S + spare:g} s)" in FLAT
    assert logs.TAILS_FIRST == 0.25
    reasons = {value for name, value in vars(guard).items() if name.isupper() and isinstance(value, str)}
    (told,) = re.findall(r"Reasons: (.*?) \(runs", FLAT)
    assert set(re.findall(r"`(\w+)`", told)) == reasons
    (told,) = re.findall(r"`status` is (.*?); any other text counts as a failure, and (.*?) are refused", FLAT)
    sent = set(Status) - set(NO_ANSWER) - {Status.TRUNCATED} | {Status.FAILED, Status.MALFORMED}
    assert set(re.findall(r"`(\w+)`", told[0])) == sent
    assert set(re.findall(r"`(\w+)`", told[1])) == set(OWN_STATUSES)
    (told,) = re.findall(rf"status `{DISAGREEMENT}` settles nothing .*? they differ \((.*?)\)", FLAT)
    assert tuple(re.findall(r"`(\w+)`", told)) == COMPARED_FIELDS
    assert set(re.findall(r"A result of status `(\w+)` settles nothing and has no block", FLAT)) == set(RECORDS_ONLY)


def test_hashes_are_what_the_text_says() -> None:
    """Written down once more, from the text alone."""
    log, packed = BlockLog(), []
    for number in range(2 * PIECE_ENTRIES + 7):
        entry = Block("arin", Range(4, (23 << 24) + number, (23 << 24) + number))
        log.append(entry)
        packed.append(Blocks.of((entry,)).packed)
    for length in (0, 1, PIECE_ENTRIES, PIECE_ENTRIES + 1, 2 * PIECE_ENTRIES, 2 * PIECE_ENTRIES + 7):
        so_far = bytes(8)
        for start in range(0, length, 1_000):
            piece = b"".join(packed[start : min(start + 1_000, length)])
            so_far = blake2b(so_far + piece, digest_size=8).digest()
        assert log.hash_at(length) == so_far
    told = blake2b(msgpack.packb([1200, [[17, 44], [23, 9]], 1, 12, LOG_HASH]), digest_size=8).digest()
    assert told == logs.hash_of((1200, {23: 9, 17: 44}), (1, 12), LOG_HASH)
