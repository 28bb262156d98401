"""Whatever comes: no exception, no long computation, no I/O."""

from __future__ import annotations

import ast
import json
import random
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import whoismesh.answers
from whoismesh.answers import CANNOT_TELL, Answer, Reply, Status, _read, ipwhois_parser, understand
from whoismesh.answers.rdap import understand_rdap
from whoismesh.registries import REGISTRIES

CAPTURES = Path(__file__).parent.parent / "fixtures" / "captures"
BASES = {
    "https://rdap.arin.net/registry/": "arin",
    "127.0.0.1:4801": "apnic",
    "http://127.0.0.1:4711/": "lacnic",
    "://": "x",
}

BODIES = [
    (path.parent.name if path.parent.parent.name == "ipwhois" else "arin", path.read_bytes())
    for path in sorted(CAPTURES.rglob("*"))
    if path.suffix in (".json", ".txt")
]

addresses = st.one_of(
    st.tuples(st.just(4), st.integers(0, 2**32 - 1)), st.tuples(st.just(6), st.integers(0, 2**128 - 1))
)
texts = st.text() | st.sampled_from(
    ["193.0.0.0", "193.0.7.255", "::", "v4", "ip network", "registrant", "org", "fn", "kind", "vcard", "last changed"]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
FIELDS = [
    "objectClassName",
    "handle",
    "startAddress",
    "endAddress",
    "ipVersion",
    "name",
    "type",
    "country",
    "parentHandle",
]
FIELDS += ["status", "events", "entities", "remarks", "notices", "links", "port43", "cidr0_cidrs", "errorCode"]


@st.composite
def entity_like(draw: st.DrawFn) -> Any:
    keys = st.sampled_from(["handle", "roles", "vcardArray", "entities", "events"])
    found = draw(st.dictionaries(keys, values, max_size=5))
    if draw(st.booleans()):
        found["vcardArray"] = ["vcard", draw(st.lists(st.lists(values, max_size=4), max_size=4))]
    return found


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    document: dict[str, Any] = {"startAddress": "193.0.0.0", "endAddress": "193.0.7.255"}
    document |= draw(st.dictionaries(st.sampled_from(FIELDS), values, max_size=6))
    if draw(st.booleans()):
        document["entities"] = draw(st.lists(entity_like() | values, max_size=4))
    return json.dumps(document).encode()


@st.composite
def mutated(draw: st.DrawFn) -> tuple[str, bytes]:
    registry, body = draw(st.sampled_from(BODIES))
    chance = random.Random(draw(st.integers(0, 2**32)))
    raw = bytearray(body)
    for _ in range(draw(st.integers(1, 12))):
        at = chance.randrange(len(raw))
        match chance.randrange(4):
            case 0:
                raw[at] = chance.randrange(256)
            case 1:
                del raw[at : at + chance.randrange(1, 80)]
            case 2:
                raw[at:at] = raw[chance.randrange(len(raw)) :][: chance.randrange(1, 200)]
            case _:
                raw[at:at] = chance.choice([b"\r", b"\n\n", b":", b"%ERROR:201", b"null", b'"', b"[", b"\xff", b"#201"])
        if not raw:
            break
    return registry, bytes(raw)


@st.composite
def mistreated(draw: st.DrawFn) -> tuple[str, bytes]:
    """Draw a capture as a bad line, a bad proxy or a bad server would deliver it."""
    registry, body = draw(st.sampled_from(BODIES))
    for _ in range(draw(st.integers(1, 3))):
        match draw(
            st.sampled_from(["cut", "head lost", "line doubled", "lines mixed", "charset", "line ends", "garbage"])
        ):
            case "cut":
                body = body[: draw(st.integers(0, len(body)))]
            case "head lost":
                body = body[draw(st.integers(0, len(body))) :]
            case "line doubled":
                lines = body.split(b"\n")
                at = draw(st.integers(0, len(lines) - 1))
                body = b"\n".join([*lines[: at + 1], *[lines[at]] * draw(st.integers(1, 50)), *lines[at + 1 :]])
            case "lines mixed":
                body = b"\n".join(draw(st.permutations(body.split(b"\n")[:60])))
            case "charset":
                charset = draw(st.sampled_from(["utf-16", "utf-8-sig", "cp1252", "iso2022_jp", "cp037", "utf-7"]))
                body = body.decode("latin-1").encode(charset, "replace")
            case "line ends":
                body = body.replace(b"\n", draw(st.sampled_from([b"\r\n", b"\r", b"\r\r\n", b"\x85", b"\x00"])))
            case _:
                at = draw(st.integers(0, len(body)))
                body = body[:at] + draw(st.binary(max_size=200)) + body[at:]
    return registry, body


def check(answer: Answer) -> None:
    assert isinstance(answer.status, Status)
    assert (answer.status is Status.NETWORK) <= (answer.network is not None)
    claims = answer.status is Status.FAILED and answer.reason.startswith(CANNOT_TELL)
    assert answer.network is None or claims or answer.status in (Status.NETWORK, Status.TRUNCATED)
    assert "\n" not in answer.reason
    assert answer.elsewhere is None or answer.status is Status.ELSEWHERE
    if answer.network is not None:
        json.dumps(answer.network.to_map(), default=bytes.hex).encode()


@pytest.mark.slow
@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(
    st.sampled_from([*REGISTRIES, "", "x"]),
    st.sampled_from(["rdap", "whois", "x"]),
    addresses,
    st.binary() | documents(),
    st.integers(-1, 1000) | st.sampled_from([200, 301, 403, 429, 503]),
    st.dictionaries(st.sampled_from(["location", "retry-after"]), st.text()),
    st.floats(),
    st.text() | st.just("https://rdap.arin.net/registry/"),
)
def test_nothing_raises(
    registry: str,
    protocol: str,
    address: tuple[int, int],
    body: bytes,
    http_status: int,
    headers: dict[str, str],
    fetched_at: float,
    server: str,
) -> None:
    reply = Reply(registry, protocol, *address, body, server, fetched_at, http_status, headers)
    check(_read(reply, BASES))


@pytest.mark.slow
@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(st.sampled_from(REGISTRIES), addresses, documents())
def test_no_json_raises(registry: str, address: tuple[int, int], body: bytes) -> None:
    check(_read(Reply(registry, "rdap", *address, body, "s", 0.0), BASES))
    check(_read(Reply(registry, "rdap", 4, 193 << 24, body, "s", 0.0), BASES))


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(mutated(), addresses, st.sampled_from(["rdap", "whois"]))
def test_no_mutated_capture_raises(capture: tuple[str, bytes], address: tuple[int, int], protocol: str) -> None:
    registry, body = capture
    check(_read(Reply(registry, protocol, *address, body, "s", 0.0), BASES))


ASKED = [
    (4, int.from_bytes(bytes(map(int, path.name.rsplit(".", 2)[0].split(".")))))
    for path in sorted((CAPTURES / "ipwhois").rglob("*.whois.txt"))
]


@pytest.mark.slow
@settings(max_examples=600, deadline=None, derandomize=True, database=None)
@given(
    mistreated(), st.sampled_from(ASKED) | addresses, st.sampled_from(["rdap", "whois"]), st.sampled_from(REGISTRIES)
)
def test_a_mistreated_capture_is_one_answer(
    capture: tuple[str, bytes], address: tuple[int, int], protocol: str, other: str
) -> None:
    registry, body = capture
    for asked in (registry, other):
        reply = Reply(asked, protocol, *address, body, "s", 0.0)
        check(_read(reply, BASES))
        assert understand(reply, BASES) == _read(reply, BASES)


rpsl_lines = st.tuples(
    st.sampled_from(
        ["inetnum", "inet6num", "NetRange", "descr", "changed", "org", "organisation", "", " ", "%ERROR", "country"]
    ),
    st.sampled_from(["193.0.0.0 - 193.0.7.255", "2001:600::/23", "200/8", ":201: access denied", "(", "()", "#"])
    | st.text(),
)


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(st.sampled_from(REGISTRIES), st.lists(rpsl_lines, max_size=12))
def test_no_text_raises(registry: str, lines: list[tuple[str, str]]) -> None:
    body = "\n".join(f"{key}: {value}" for key, value in lines).encode("utf-8", "replace")
    check(_read(Reply(registry, "whois", 4, 193 << 24, body, "s", 0.0), BASES))


def test_a_bug_costs_one_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(reply: Reply, bases: object) -> Answer:
        raise ZeroDivisionError

    monkeypatch.setattr(whoismesh.answers, "understand_rdap", broken)
    reply = Reply("arin", "rdap", 4, 0, b"", "s", 0.0)
    assert understand(reply, {}).status is Status.MALFORMED
    assert "ZeroDivisionError" in understand(reply, {}).reason


def test_deep_json_and_long_numbers_are_no_document() -> None:
    for body in (b"[" * 500_000, b'{"a":' * 100_000, b'{"a": ' + b"9" * 100_000 + b"}"):
        assert understand_rdap(Reply("arin", "rdap", 4, 0, body, "s", 0.0), {}).status is Status.MALFORMED


# --- time -----------------------------------------------------------------------------------------------------------


def seconds(
    registry: str, protocol: str, body: bytes, family: int = 4, address: int = 193 << 24, times: int = 3, **more: Any
) -> float:
    """Return the least CPU time of some readings."""
    reply = Reply(registry, protocol, family, address, body, "https://s.example/", 0.0, **more)
    spent = []
    for _ in range(times):
        begun = time.process_time()
        check(_read(reply, BASES))
        spent.append(time.process_time() - begun)
    return min(spent)


HEADS = {
    "arin": "NetRange: 193.0.0.0 - 193.0.7.255\n",
    "lacnic": "inetnum: 193.0.0/21\n",
    "ripencc": "inetnum: 193.0.0.0 - 193.0.7.255\n",
    "apnic": "inetnum: 193.0.0.0 - 193.0.7.255\n",
    "afrinic": "inetnum: 193.0.0.0 - 193.0.7.255\n",
}
# Each is repeated to fill a body: what a pattern with two greedy parts in a row would stumble over.
PIECES = [
    "a: b@c.d ",
    "changed: 20200101 ",
    "descr: " + " " * 60 + "\n",
    "descr: x\n",
    "% Query rate limit exceede",
    "%ERROR:20\n",
    "%ERROR:201: access denied\n",
    "%\n",
    "\r",
    "\n",
    " ",
    "\n ",
    "(",
    "Parent: (((((((((",
    "inetnum: 1.1.1.1 - \n\n",
    "inetnum: 193.0.0.0 - 193.0.7.255\n\n",
    "NetRange: 193.0.0.0 - 193.0.7.255\n",
    "Comment: x\n",
    "organisation: x\n\n",
    "Your host ",
    "country: ",
    ":",
    "\x85",
    "é",
    "200.57.128/",
]


@pytest.mark.parametrize("registry", REGISTRIES)
@pytest.mark.parametrize("piece", PIECES)
def test_crafted_texts_take_milliseconds(registry: str, piece: str) -> None:
    small = (HEADS[registry] + piece * (2048 // len(piece.encode()))).encode()
    assert seconds(registry, "whois", small) < 0.05
    large = (HEADS[registry] + piece * ((1 << 20) // len(piece.encode()) - 40)).encode()
    assert seconds(registry, "whois", large, times=1) < 3.0


@pytest.mark.parametrize(
    "part",
    [
        {"entities": [{"roles": ["registrant"], "vcardArray": ["vcard", [["kind", {}, "text", "org"]] * 20]}] * 1000},
        {"entities": [{"entities": [{"entities": [{"roles": ["registrant"]}] * 20}] * 20}] * 20},
        {"events": [{"eventAction": "x", "eventDate": "y"}] * 20_000},
        {"remarks": [{"description": ["x" * 1000] * 100}] * 9},
        {"status": ["x"] * 100_000},
        {"notices": [{"title": "x"}] * 50_000},
        {"name": " \x00" * 140_000},
        {"handle": "1" * 900_000},
        {"port43": "a." * 400_000},
        {"startAddress": "1." * 400_000},
        {"cidr0_cidrs": [{"v4prefix": "1.1.1.1", "length": 32}] * 20_000, "startAddress": None, "endAddress": None},
        {"errorCode": "4" * 900_000},
    ],
)
def test_crafted_documents_take_milliseconds(part: dict[str, Any]) -> None:
    document = {"startAddress": "193.0.0.0", "endAddress": "193.0.7.255", **part}
    body = json.dumps(document).encode()
    assert len(body) <= 1 << 20
    parsing = time.process_time()
    json.loads(body)
    parsing = time.process_time() - parsing
    assert seconds("ripencc", "rdap", body) < 0.05 + 3 * parsing


def test_the_most_scattered_ranges_are_bounded() -> None:
    body = json.dumps({"startAddress": "2a00::1", "endAddress": "2a0f:ffff:ffff:ffff:ffff:ffff:ffff:fffe"}).encode()
    assert seconds("ripencc", "rdap", body, 6, 0x2A01 << 112) < 0.1
    text = b"inet6num: 2a00::1 - 2a0f:ffff:ffff:ffff:ffff:ffff:ffff:fffe\n"
    assert seconds("ripencc", "whois", text, 6, 0x2A01 << 112) < 0.1


@pytest.mark.parametrize("http_status", [403, 429])
def test_long_error_pages_are_bounded(http_status: int) -> None:
    for piece in (b"<", b"Your host ", b"\n", b"a"):
        body = piece * ((1 << 20) // len(piece))
        assert seconds("ripencc", "rdap", body, http_status=http_status) < 0.5


def test_headers_of_any_length_are_bounded() -> None:
    for name in ("location", "retry-after"):
        for piece in ("1", "/", "../", "http:", " ", "["):
            headers = {name: piece * 300_000}
            assert seconds("ripencc", "rdap", b"", http_status=301, headers=headers) < 0.1
            assert seconds("ripencc", "rdap", b"", http_status=429, headers=headers) < 0.1


# --- no I/O ---------------------------------------------------------------------------------------------------------


def test_the_engine_imports_no_io() -> None:
    forbidden = {"zmq", "time", "socket", "asyncio", "random", "sqlite3", "aiohttp", "os", "pathlib", "threading"}
    folder = Path(whoismesh.answers.__file__).parent
    users = set()
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            roots = {name.partition(".")[0] for name in names}
            assert not roots & forbidden, path.name
            if "ipwhois" in roots:
                users.add(path.name)
    assert users == {"ipwhois_parser.py"}


def test_nothing_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **more: object) -> None:
        raise AssertionError("the engine tried to do I/O")

    ipwhois_parser._parsers.cache_clear()
    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr("builtins.open", refuse)
    monkeypatch.setattr("dns.resolver.Resolver.__init__", refuse)
    body = json.dumps({"startAddress": "193.0.0.0", "endAddress": "193.0.7.255", "name": "X"}).encode()
    assert _read(Reply("ripencc", "rdap", 4, 193 << 24, body, "s", 0.0), {}).status is Status.NETWORK
    text = b"inetnum: 193.0.0.0 - 193.0.7.255\nnetname: X\n"
    assert _read(Reply("ripencc", "whois", 4, 193 << 24, text, "s", 0.0), {}).status is Status.NETWORK


def test_ipwhois_is_the_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    rdap, whois = ipwhois_parser._parsers()

    def spy(name: str, lookup: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(**more: Any) -> Any:
            asked.append(name)
            assert "emails" not in more.get("field_list", ())
            return lookup(**more)

        return wrapped

    monkeypatch.setattr(rdap, "lookup", spy("rdap", rdap.lookup))
    monkeypatch.setattr(whois, "lookup", spy("whois", whois.lookup))
    for registry, body in BODIES:
        for protocol in ("rdap", "whois"):
            _read(Reply(registry, protocol, 4, 0, body, "s", 0.0), {})
    assert {"rdap", "whois"} == set(asked)


def test_what_ipwhois_refuses_is_malformed(monkeypatch: pytest.MonkeyPatch) -> None:
    rdap, whois = ipwhois_parser._parsers()

    def refuse(**more: Any) -> Any:
        raise AttributeError

    monkeypatch.setattr(rdap, "lookup", refuse)
    monkeypatch.setattr(whois, "lookup", refuse)
    body = json.dumps({"startAddress": "193.0.0.0", "endAddress": "193.0.7.255"}).encode()
    assert _read(Reply("ripencc", "rdap", 4, 193 << 24, body, "s", 0.0), {}).status is Status.MALFORMED
    answer = _read(Reply("ripencc", "whois", 4, 193 << 24, b"inetnum: 193.0.0.0 - 193.0.7.255\n", "s", 0.0), {})
    assert answer.status is Status.NETWORK  # the range is our own reading
