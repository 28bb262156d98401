"""A registry for the engine's tests: practice answers to what the engine asks, without a socket."""

from __future__ import annotations

from collections.abc import Iterable

from whoismesh.addresses import format_address
from whoismesh.answers import Reply
from whoismesh.lanes.events import Ask
from whoismesh.port43 import line_for
from whoismesh.practice.row import Row
from whoismesh.practice.server import BASE_PATHS, PracticeRegistries
from whoismesh.practice.table import AllocationTable
from whoismesh.registries import REGISTRIES

URLS = {registry: f"http://{registry}.test{BASE_PATHS[registry]}" for registry in REGISTRIES}
BASES = {url: registry for registry, url in URLS.items()}


class Oracle:
    """Answers every question of a worker from rows; `rir_search` are the registries with relation searches."""

    def __init__(self, rows: Iterable[Row], *, rir_search: Iterable[str] = (), most_listed: int = 100) -> None:
        self.table = AllocationTable(rows)
        self.asked: list[Ask] = []
        self._practice = PracticeRegistries(self.table, rir_search=rir_search, most_listed=most_listed)
        self._practice._urls = URLS

    def reply(self, ask: Ask) -> Reply:
        self.asked.append(ask)
        if ask.protocol == "whois":
            line = line_for(ask.registry, ask.family, ask.address, ask.question)
            body = self._practice._whois(ask.registry, "127.0.0.1", line.encode()).payload
            return Reply(ask.registry, "whois", ask.family, ask.address, body, f"{ask.registry}.test:43", 1.0)
        url = ask.url or f"{URLS[ask.registry]}ip/{format_address(ask.family, ask.address)}"
        path = url.removeprefix(f"http://{ask.registry}.test").replace("%20", " ")
        answer = self._practice._rdap(ask.registry, "127.0.0.1", path)
        headers = dict(line.lower().split(": ", 1) for line in answer.headers.split("\r\n") if line)
        server = URLS[ask.registry]
        return Reply(
            ask.registry,
            "rdap",
            ask.family,
            ask.address,
            answer.body,
            server,
            1.0,
            answer.status,
            headers,
            ask.url or "",
        )
