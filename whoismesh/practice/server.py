"""The practice registries as servers, by default on loopback: five RDAP and five WHOIS ports in one event loop.

Beside them, on a port of its own, stands the bulk WHOIS that tells who announces an address (`cymru`).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import json
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from whoismesh.addresses import Range
from whoismesh.errors import AddressError, UnavailableError, UsageError
from whoismesh.practice import cymru, rdap_answers, relations, rpsl_answers, whois_answers, whois_queries
from whoismesh.practice.bad_answers import bad_rdap, bad_whois, half_rdap, on_the_wire, part_of_whois
from whoismesh.practice.faults import CALM, Decision, Fault, RateLimit, RetryAfter, Weather
from whoismesh.practice.journal import Journal, Request
from whoismesh.practice.outdated import Outdated
from whoismesh.practice.quirks import Quirk, Quirks, odd_network, odd_text
from whoismesh.practice.table import AllocationTable
from whoismesh.practice.verdicts import Kind, judge
from whoismesh.practice.wire import BulkConnection, Delivery, RdapConnection, RdapReply, WhoisConnection, _Connection
from whoismesh.registries import REGISTRIES

#: Nobody else is listened to unless an address is named.
HOST = "127.0.0.1"

#: Where each registry's RDAP service has its root (IANA's RDAP bootstrap files, RFC 9224).
BASE_PATHS = {"arin": "/registry/", "ripencc": "/", "apnic": "/", "lacnic": "/rdap/", "afrinic": "/rdap/"}

#: What is served, in the order of the ports.
SERVICES = (
    *((registry, protocol) for registry in REGISTRIES for protocol in ("rdap", "whois")),
    (cymru.NAME, "whois"),
)
PORTS = len(SERVICES)

#: A silence longer than a crawler should put up with.
SLOW_S = 30.0

#: RIPE NCC's RDAP cuts lists at so many.
MOST_LISTED = 100

#: Connections at once in the config written: no registry's number, but enough to keep one event loop busy.
CONNECTIONS = 16


class PracticeRegistries:
    """Serves the five registries from one table while the context is open.

    `host` is the address to serve at, `rate_limit` is in lookups a second for one client at one registry, `ban_after`
    refusals within a minute one is banned, `most_connections` is how many one may have at a port 43, `retry_after` how
    a wait is told, `quirks` how odd the answers are, `outdated` where port 43 lags behind, `origin_weather` how badly
    the server of origins behaves, `rir_search` who has relation searches (RFC 9910), `most_listed` how many networks
    one answer lists. `first_port` 0 takes free ports and any other number eleven consecutive ones (arin rdap, arin
    whois, ripencc rdap and so on, the server of origins last), `log` appends a line a request and `on_request` hears of
    it.

    ::

        async with PracticeRegistries(AllocationTable.load(packaged())) as practice:
            practice.rdap_url("arin")       # 'http://127.0.0.1:40123/registry/'
            practice.whois_address("arin")  # '127.0.0.1:40124'
    """

    def __init__(
        self,
        table: AllocationTable,
        *,
        host: str = HOST,
        rate_limit: float | None = None,
        ban_after: int | None = None,
        most_connections: int | None = None,
        retry_after: RetryAfter = RetryAfter.SECONDS,
        weather: Weather | None = None,
        quirks: Quirks | None = None,
        origin_weather: Weather | None = None,
        outdated: Outdated | None = None,
        rir_search: Iterable[str] = (),
        most_listed: int = MOST_LISTED,
        first_port: int = 0,
        log: Path | None = None,
        keep_requests: bool = True,
        slow_s: float = SLOW_S,
        clock: Callable[[], float] = time.monotonic,
        on_request: Callable[[Request], None] | None = None,
    ) -> None:
        """Set up without opening anything. Raises UsageError for impossible addresses, limits and ports."""
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            raise UsageError(f"host {host!r}: expected an IP address of this machine") from None
        if address.is_unspecified:
            raise UsageError(f"host {host}: expected one address; the config has to tell where to ask")
        if first_port and not 0 < first_port <= 65536 - PORTS:
            raise UsageError(f"port {first_port} is impossible; expected 1 to {65536 - PORTS}, or 0")
        if most_connections is not None and most_connections < 1:
            raise UsageError(f"{most_connections} connections at most are impossible; expected 1 or more")
        self._host = host
        self._named_host = f"[{host}]" if address.version == 6 else host
        self._table = table
        self._limit = RateLimit(rate_limit, ban_after)
        self._most_connections = most_connections
        self._retry_after = retry_after
        self._weather = weather or Weather()
        self._quirks = quirks or Quirks()
        self._origin_weather = origin_weather or Weather()
        self._cymru = cymru.Cymru(table)
        self._batches = 0
        self._outdated = outdated or Outdated()
        self._rir_search = frozenset(rir_search)
        self._most_listed = most_listed
        self._first_port = first_port
        self._log = log
        self._keep_requests = keep_requests
        self._slow_s = slow_s
        self._clock = clock
        self._on_request = on_request
        self._journal = Journal()
        self._times_asked: Counter[tuple[str, str, str]] = Counter()
        self._ports: dict[tuple[str, str], int] = {}
        self._urls: dict[str, str] = {}
        self._servers: list[asyncio.Server] = []
        self._connections: dict[tuple[str, str], set[_Connection]] = {service: set() for service in SERVICES}

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Open the log and bind all ports. Raises UnavailableError if one of them cannot be had."""
        self._journal = Journal(self._log, self._keep_requests, self._on_request)
        loop = asyncio.get_running_loop()
        try:
            for number, (registry, protocol) in enumerate(SERVICES):
                port = self._first_port + number if self._first_port else 0
                make = partial(self._connection, registry, protocol)
                server = await loop.create_server(make, self._host, port, backlog=1024)
                self._servers.append(server)
                self._ports[registry, protocol] = int(server.sockets[0].getsockname()[1])
        except OSError as error:
            await self.stop()
            if error.errno == errno.EADDRINUSE:
                raise UnavailableError(
                    f"port {port} of {self._host} is in use; name another --port, or none"
                ) from error
            raise UnavailableError(
                f"cannot listen on port {port} of {self._host}: {error.strerror or error}"
            ) from error
        self._urls = {registry: self.rdap_url(registry) for registry in REGISTRIES}

    async def stop(self) -> None:
        """Close ports, connections and log."""
        for server in self._servers:
            server.close()
        for connection in [each for connections in self._connections.values() for each in connections]:
            connection.abort()
        for server in self._servers:
            with contextlib.suppress(Exception):
                await server.wait_closed()
        self._servers.clear()
        self._journal.close()

    def rdap_url(self, registry: str) -> str:
        """Return a registry's base URL, with its slash; `ip/{address}` is appended (RFC 9082 section 3.1.1)."""
        return f"http://{self._named_host}:{self._ports[registry, 'rdap']}{BASE_PATHS[registry]}"

    def whois_address(self, registry: str) -> str:
        """Return `host:port` of a registry's WHOIS."""
        return f"{self._named_host}:{self._ports[registry, 'whois']}"

    @property
    def origins_address(self) -> str:
        """Return `host:port` of the bulk WHOIS that tells of origins."""
        return f"{self._named_host}:{self._ports[cymru.NAME, 'whois']}"

    @property
    def requests(self) -> list[Request]:
        """All requests so far, in the order of their coming (none with `keep_requests=False`)."""
        return self._journal.requests

    @property
    def counts(self) -> Counter[tuple[str, str, str]]:
        """How many requests there were by (registry, protocol, kind)."""
        return self._journal.counts

    def config_text(self, space: Iterable[Range] | None = None) -> str:
        """Return a config (TOML) that points a crawl here; `space` is all the table speaks about by default."""
        found = self._table.space() if space is None else list(space)
        lines = [
            "# Written by `whoismesh practice`: stand-ins for the registries that answer from an allocation table.",
            "[crawl]",
            f"space = {json.dumps([str(each) for each in found])}",
            'contact = "practice@example.org"',
        ]
        lines += ["", "[origins]", f'whois = "{self.origins_address}"', "rate = inf"]
        for registry in REGISTRIES:
            lines += [
                "",
                f"[registries.{registry}]",
                f'rdap = "{self.rdap_url(registry)}"',
                f'whois = "{self.whois_address(registry)}"',
                'protocols = ["rdap", "whois"]',
                "# Nobody has to be spared here. Real registries get the careful defaults instead.",
                "rate = inf",
                "host_rate = inf",
                f"connections = {CONNECTIONS}",
            ]
        return "\n".join(lines) + "\n"

    def _connection(self, registry: str, protocol: str) -> asyncio.Protocol:
        connections = self._connections[registry, protocol]
        if registry == cymru.NAME:
            return BulkConnection(self._origins, connections, self._slow_s)
        if protocol == "rdap":
            return RdapConnection(partial(self._rdap, registry), connections, self._slow_s)
        return WhoisConnection(partial(self._whois, registry), connections, self._slow_s)

    def _decide(self, registry: str, protocol: str, question: str) -> Decision:
        if self._weather.calm:
            return self._weather.decide(registry, protocol, question, 0)
        key = (registry, protocol, question)
        nth = self._times_asked[key]
        self._times_asked[key] = nth + 1
        return self._weather.decide(registry, protocol, question, nth)

    def _note(self, now: float, registry: str, protocol: str, question: str, kind: Kind, decision: Decision) -> None:
        what = kind.value if decision.fault is None else f"fault:{decision.fault.value}"
        self._journal.add(now, registry, protocol, question, what)

    def _rdap(self, registry: str, client: str, path: str) -> RdapReply:
        now = self._clock()
        base = BASE_PATHS[registry]
        kind_of_object, _, text = path.removeprefix(base).partition("/") if path.startswith(base) else ("", "", path)
        wait = self._limit.ask(registry, client, now)
        if wait > 0:
            kind = Kind.BANNED if math.isinf(wait) else Kind.LIMITED
            self._note(now, registry, "rdap", text, kind, CALM)
            if kind is Kind.BANNED:
                return rdap_answers.as_reply(rdap_answers.banned(registry, client))
            told = self._retry_after.header(wait, time.time())
            return rdap_answers.as_reply(rdap_answers.limited(registry, client, told))
        decision = self._decide(registry, "rdap", text)
        quirk = self._quirks.of(registry, "rdap", text)
        kind = Kind.BAD
        relation, _, related = text.removeprefix("rirSearch1/").partition("/")
        if kind_of_object == "help":
            answer = rdap_answers.help_answer(registry)
        elif kind_of_object == "ips" and registry in self._rir_search and relation in ("rdap-up", "rdap-down"):
            kind, answer = self._related(registry, relation, related)
        elif kind_of_object != "ip":
            answer = rdap_answers.not_implemented(registry) if kind_of_object else rdap_answers.bad_request(registry)
        else:
            try:
                asked = Range.parse(text) if "-" not in text else None
            except AddressError:
                asked = None
            if asked is None:
                answer = rdap_answers.bad_request(registry)
            else:
                verdict = judge(self._table, registry, self._misplaced(registry, asked, decision))
                kind = verdict.kind
                speaker = registry
                if quirk is Quirk.PROXIED and registry == "apnic" and verdict.owner is not None:
                    speaker, verdict = verdict.owner, judge(self._table, verdict.owner, verdict.asked)
                answer = self._searchable(registry, rdap_answers.answer(speaker, verdict, text, self._urls))
                if quirk is not None and isinstance(answer.body, dict) and kind is Kind.NETWORK:
                    answer = replace(answer, body=odd_network(quirk, registry, answer.body, verdict))
        self._note(now, registry, "rdap", text, kind, decision)
        if decision.fault is not None:
            told = self._retry_after.header(1.0, time.time())
            instead = bad_rdap(decision, registry, text, self._urls, told)
            if instead is not None:
                return instead
        reply = rdap_answers.as_reply(answer, decision, "latin-1" if quirk is Quirk.OTHER_CHARSET else "utf-8")
        return half_rdap(reply) if decision.fault is Fault.PARTIAL else reply

    def _searchable(self, registry: str, answer: rdap_answers.RdapAnswer) -> rdap_answers.RdapAnswer:
        """Return an answer with its links, where the registry has relation searches."""
        if registry not in self._rir_search or answer.status != 200 or not isinstance(answer.body, dict):
            return answer
        return replace(answer, body=rdap_answers.with_relations(registry, answer.body, self._urls[registry]))

    def _related(self, registry: str, relation: str, text: str) -> tuple[Kind, rdap_answers.RdapAnswer]:
        """Answer a relation search: the one network around a range, or those below it (RFC 9910 section 3)."""
        try:
            asked = Range.parse(text)
        except AddressError:
            return Kind.BAD, rdap_answers.bad_request(registry)
        base = self._urls[registry]
        value = f"{base}ips/rirSearch1/{relation}/{text}"
        if relation == "rdap-down":
            below = relations.below(self._table, registry, asked, all_levels=False)
            found = rdap_answers.listing(registry, below, base, value, self._most_listed)
            return Kind.LIST, self._searchable(registry, found)
        around = [each for each in relations.around(self._table, registry, asked) if each.asked != asked]
        if not around:
            return Kind.LIST, rdap_answers.not_found(registry)
        return Kind.LIST, self._searchable(registry, rdap_answers.answer(registry, around[-1], text, self._urls))

    def _whois(self, registry: str, client: str, line: bytes) -> Delivery:
        now = self._clock()
        query = whois_queries.read(registry, line.decode("latin-1"))
        question = query.text
        if query.persistent and not question:  # how a client says that it has done
            return Delivery(b"")
        if self._most_connections is not None:
            connected = sum(each.client == client for each in self._connections[registry, "whois"])
            if connected > self._most_connections:
                self._note(now, registry, "whois", question, Kind.LIMITED, CALM)
                return Delivery(whois_answers.too_many_connections(registry).encode("ascii"))
        wait = self._limit.ask(registry, client, now)
        if wait > 0:
            kind = Kind.BANNED if math.isinf(wait) else Kind.LIMITED
            self._note(now, registry, "whois", question, kind, CALM)
            refuse = whois_answers.banned if kind is Kind.BANNED else whois_answers.limited
            return Delivery(refuse(registry, client).encode("ascii", "replace"))
        decision = self._decide(registry, "whois", question)
        quirk = self._quirks.of(registry, "whois", question)
        kind = Kind.BAD
        if query.asked is None:
            text = whois_answers.bad_query(registry, query)
        elif query.relation and not query.unserved:
            kind, question = Kind.LIST, f"-{query.relation} {question}"
            found = relations.around(self._table, registry, query.asked)
            if query.relation in "mM":
                found = relations.below(self._table, registry, query.asked, all_levels=query.relation == "M")
            elif query.relation == "l":
                found = [each for each in found if each.asked != query.asked][-1:]
            text = whois_answers.listing(registry, found, query, self._most_listed)
        else:
            verdict = judge(self._table, registry, self._misplaced(registry, query.asked, decision))
            kind = verdict.kind
            if kind is Kind.NETWORK and verdict.row is not None:
                verdict = replace(verdict, row=self._outdated.row(verdict.row, verdict.asked))
            text = whois_answers.answer(registry, verdict, query)
            if quirk is not None and kind is Kind.NETWORK:
                text = odd_text(quirk, registry, text, verdict)
            if decision.fault is Fault.PARTIAL:
                text = part_of_whois(registry, text, client)
        self._note(now, registry, "whois", question, kind, decision)
        payload = bad_whois(decision, registry)
        if payload is None:
            charset = whois_answers.charset(registry, query)
            if quirk is Quirk.OTHER_CHARSET and not query.utf8:
                charset = "latin-1" if charset == "utf-8" else "utf-8"
            payload = text.encode(charset, "replace")
        keep = query.persistent and registry in rpsl_answers.HEAD and decision.fault is None
        return on_the_wire(Delivery(payload, decision, keep))

    def _origins(self, client: str, lines: list[str], single: bool) -> Delivery:
        addresses = [line for line in lines if line[:1].isdigit() or ":" in line]
        first = addresses[0] if addresses else ""
        routed = self._cymru.null_routes(client, single=single)
        # Every try is another one: a batch that is asked again has a part of the addresses, and another first one.
        decision = CALM if single else self._origin_weather.decide(cymru.NAME, "whois", "batch", self._batches)
        self._batches += not single
        kind = Kind.BANNED.value if routed else "single" if single else f"bulk:{len(addresses)}"
        if decision.fault is not None and not routed:
            kind = f"fault:{decision.fault.value}"
        self._journal.add(self._clock(), cymru.NAME, "whois", first, kind)
        if routed:
            return cymru.null_routed()
        return on_the_wire(cymru.deliver(self._cymru.answer(lines, single=single), decision))

    def _misplaced(self, registry: str, asked: Range, decision: Decision) -> Range:
        """Return the question that is answered: another one where that is the fault."""
        if decision.fault is not Fault.MISPLACED:
            return asked
        others = (row.range for row in self._table.rows() if row.held and row.registry == registry)
        other = next((each for each in others if not each.holds(asked.family, asked.first)), asked)
        return Range(other.family, other.first, other.first)
