"""The watch over a spot host: exactly these questions, and what each answer leads to."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whoismesh.spot import (
    ASK_S,
    INSTANCE_ACTION,
    MOST_BODY_BYTES,
    REBALANCE,
    TOKEN,
    TOKEN_MARGIN_S,
    TOKEN_TTL_S,
    Away,
    Back,
    Broken,
    Event,
    Fetch,
    Instruction,
    Interruption,
    Rebalance,
    Replied,
    SpotWatch,
    Tick,
)

ASK_TOKEN = Fetch("PUT", TOKEN, (("X-aws-ec2-metadata-token-ttl-seconds", "21600"),))
NOTHING = Replied(404, b"<html>404 - Not Found</html>")
TERMINATE = Replied(200, b'{"action": "terminate", "time": "2017-09-18T08:22:00Z"}')
RECOMMENDED = Replied(200, b'{"noticeTime": "2020-10-26T15:55:00Z"}')


def ask(path: str, token: str = "one") -> Fetch:
    return Fetch("GET", path, (("X-aws-ec2-metadata-token", token),))


class Watched:
    """A watch with a clock."""

    def __init__(self) -> None:
        self.watch = SpotWatch()
        self.now = 50.0

    def do(self, event: Event, after_s: float = 0.0) -> list[Instruction]:
        self.now += after_s
        return self.watch.handle(event, self.now)

    def rounds(self, *replies: Event, after_s: float = ASK_S) -> list[list[Instruction]]:
        """Begin the next round and give it these answers."""
        return [self.do(Tick(), after_s), *(self.do(each) for each in replies)]

    def with_token(self) -> Watched:
        assert self.rounds(Replied(200, b"one"), NOTHING, NOTHING) == [
            [ASK_TOKEN], [ask(INSTANCE_ACTION)], [ask(REBALANCE)], [],
        ]  # fmt: skip
        return self


def test_a_quiet_host_is_asked_about_both_notices_every_five_seconds_with_one_token() -> None:
    host = Watched().with_token()
    assert host.watch.wake_at == host.now + 5.0
    assert host.do(Tick(), 4.9) == []
    assert host.rounds(NOTHING, NOTHING, after_s=0.1) == [[ask(INSTANCE_ACTION)], [ask(REBALANCE)], []]
    assert host.do(Tick()) == []
    assert not host.watch.counters


def test_a_question_is_not_asked_while_another_is_on_its_way() -> None:
    host = Watched()
    assert host.do(Tick()) == [ASK_TOKEN]
    assert host.do(Tick(), 100.0) == []


def test_a_rebalance_recommendation_is_told_once_and_an_interruption_is_still_looked_for() -> None:
    host = Watched().with_token()
    assert host.rounds(NOTHING, RECOMMENDED)[-1] == [Rebalance("2020-10-26T15:55:00Z")]
    assert host.rounds(NOTHING) == [[ask(INSTANCE_ACTION)], []]
    assert host.rounds(TERMINATE)[-1] == [Interruption("terminate", "2017-09-18T08:22:00Z")]
    assert host.watch.wake_at == math.inf
    assert host.do(Tick(), 100.0) == []


def test_a_token_is_replaced_before_it_expires() -> None:
    host = Watched().with_token()
    assert host.do(Tick(), TOKEN_TTL_S - TOKEN_MARGIN_S) == [ASK_TOKEN]
    assert host.do(Replied(200, b"two")) == [ask(INSTANCE_ACTION, "two")]


def test_a_token_that_is_refused_is_replaced_at_once_but_not_twice_in_a_round() -> None:
    host = Watched().with_token()
    refused = Replied(401, b"")
    assert host.rounds(refused, Replied(200, b"two"), NOTHING, NOTHING) == [
        [ask(INSTANCE_ACTION)], [ASK_TOKEN], [ask(INSTANCE_ACTION, "two")], [ask(REBALANCE, "two")], [],
    ]  # fmt: skip
    assert host.rounds(refused, Replied(200, b"three"), refused)[-1] == [Away(f"{INSTANCE_ACTION} answered 401")]
    assert host.rounds(NOTHING, NOTHING)[-1] == [Back()]


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Broken("no answer within 2 s"), "no_answer"),
        (Replied(503, b""), "status_503"),
        (Replied(302, b""), "status_302"),
        (Replied(200, b"not json"), "not_understood"),
        (Replied(200, b"[" * 4000), "not_understood"),
        (Replied(200, b'{"action": "terminate"}'), "not_understood"),
        (Replied(200, b'{"action": "reboot", "time": "2017-09-18T08:22:00Z"}'), "not_understood"),
        (Replied(200, b'{"action": ["stop"], "time": "2017-09-18T08:22:00Z"}'), "not_understood"),
        (Replied(200, b'{"action": "stop", "time": 5}'), "not_understood"),
        (Replied(200, b'{"action": "stop", "time": "soon"}'), "not_understood"),
        (Replied(200, b'["terminate"]'), "not_understood"),
        (Replied(200, TERMINATE.body + b" " * MOST_BODY_BYTES), "not_understood"),
    ],
)
def test_whatever_else_comes_is_told_once_and_stops_nobody(reply: Event, kind: str) -> None:
    host = Watched().with_token()
    (told,) = host.rounds(reply)[-1]
    assert isinstance(told, Away)
    for _ in range(3):
        assert host.rounds(reply)[-1] == []
    assert host.watch.counters == {kind: 4}
    assert host.rounds(NOTHING, NOTHING)[-1] == [Back()]


def test_a_half_of_the_service_that_is_away_does_not_make_it_come_and_go() -> None:
    host = Watched().with_token()
    assert isinstance(host.rounds(NOTHING, Replied(503, b""))[-1][0], Away)
    assert host.rounds(NOTHING, Replied(503, b""))[1:] == [[ask(REBALANCE)], []]
    assert host.rounds(NOTHING, NOTHING)[-1] == [Back()]


def test_a_notice_counts_however_bad_the_service_was_before() -> None:
    host = Watched().with_token()
    host.rounds(Replied(503, b""))
    assert host.rounds(TERMINATE)[-1] == [Interruption("terminate", "2017-09-18T08:22:00Z")]


@pytest.mark.parametrize("body", [b"", b"two words", b"x\r\nHost: y", b"\xff", b"x" * 1025])
def test_a_token_that_is_none_goes_into_no_header(body: bytes) -> None:
    host = Watched()
    assert host.rounds(Replied(200, body))[-1] == [Away("the token is none")]
    assert host.do(Tick(), ASK_S) == [ASK_TOKEN]


def test_a_host_without_the_service_is_told_of_once() -> None:
    host = Watched()
    assert host.rounds(Replied(404, b"")) == [[ASK_TOKEN], [Away(f"{TOKEN} answered 404")]]
    assert host.rounds(Replied(403, b"")) == [[ASK_TOKEN], []]
    assert host.watch.counters == {"status_404": 1, "status_403": 1}


REPLIES = st.one_of(
    st.just(Tick()),
    st.builds(Broken, st.text(max_size=5)),
    st.builds(
        Replied,
        st.sampled_from([200, 200, 401, 404, 500]),
        st.one_of(st.binary(max_size=30), st.just(b"token"), st.just(RECOMMENDED.body)),
    ),
)


@given(st.lists(st.tuples(REPLIES, st.floats(0, 10)), max_size=40))
def test_no_answers_but_a_whole_notice_stop_a_worker_and_the_watch_never_ends(
    events: list[tuple[Event, float]],
) -> None:
    host = Watched()
    waiting = False
    for event, after_s in events:
        if waiting == isinstance(event, Tick):
            continue  # a shell gives an answer to a question, and ticks else
        out = host.do(event, after_s)
        assert not any(isinstance(each, Interruption) for each in out)
        assert not any(isinstance(each, Fetch) for each in out[:-1])
        waiting = bool(out) and isinstance(out[-1], Fetch)
        assert waiting or host.watch.wake_at <= host.now + ASK_S
