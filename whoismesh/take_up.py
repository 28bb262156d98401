"""How a coordinator starts: the engine made from what is stored, from the settings, and from what the prior says."""

from __future__ import annotations

import math

from structlog.typing import FilteringBoundLogger

from whoismesh.ledger import Budget, Ledger
from whoismesh.notify import Notifier
from whoismesh.prior_files import load_prior
from whoismesh.registries import ORIGINS_BUDGET
from whoismesh.settings import Settings
from whoismesh.sockets import EXCHANGE_OFFSET, FEED_OFFSET, RESULTS_OFFSET
from whoismesh.store import CrawlRecord, LedgerStore

#: One step of the start (SQLite looks the ledger through, the prior is read, 10,000 results are taken up) may take so
#: long, seconds: a ledger of 20 GB at 50 MB/s.
START_STEP_S, STEP_RESULTS = 400.0, 10_000


def take_up(
    settings: Settings,
    store: LedgerStore,
    port: int,
    notifier: Notifier,
    log: FilteringBoundLogger,
    *,
    retry_failed: bool = False,
) -> tuple[CrawlRecord, Ledger]:
    """Begin a crawl or go on with it, and settle what the prior calls free; `port` is the ROUTER's.

    Raises StateError, ConfigError, sqlite3.Error.
    """
    if settings.prior:
        notifier.starting("reading the prior", START_STEP_S)
    prior = load_prior(settings.prior, settings.space, settles=settings.prior_settles)
    record = store.begin(settings.space, settings.attempts, depth=settings.depth, retry_failed=retry_failed)
    ledger = Ledger(
        record.id,
        record.space,
        _budgets(settings),
        epoch=record.epoch,
        origins=record.origins,
        ports=(port + RESULTS_OFFSET, port + FEED_OFFSET, port + EXCHANGE_OFFSET),
        lease_s=settings.lease_s,
        attempts=settings.attempts,
        give_up_s=settings.give_up_s,
        most_members=settings.mesh.most_members,
        prior=prior,
    )
    for number, result in enumerate(store.results()):
        if number % STEP_RESULTS == 0:
            notifier.starting(f"taking up the ledger: {number:,} results", START_STEP_S)
        ledger.replay(result)
    free = ledger.delegated()
    store.append(free, {})
    for result in free:
        ledger.replay(result)
    if settings.prior:
        aims = sum(map(len, prior.aims.values()))
        log.info("prior_read", files=len(settings.prior), aims=aims, free_results=len(free))
    return record, ledger


def _budgets(settings: Settings) -> dict[str, Budget]:
    found = {registry: Budget(each.rate, each.host_rate, each.wait_s) for registry, each in settings.registries.items()}
    if settings.asn:
        found[ORIGINS_BUDGET] = Budget(settings.origins.rate, math.inf)
    return found
