"""`/metrics` and `/healthz` of a daemon, over HTTP, where it is asked for."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable

from aiohttp import web
from structlog.typing import FilteringBoundLogger as BoundLogger

from whoismesh.errors import UnavailableError
from whoismesh.exposition import CONTENT_TYPE, Family, text
from whoismesh.sockets import is_loopback, parse_endpoint


def add_http_argument(parser: argparse.ArgumentParser) -> None:
    """Add --http."""
    parser.add_argument(
        "--http", metavar="HOST:PORT", help="serve /metrics (Prometheus) and /healthz, as 127.0.0.1:9100"
    )


class StatusServer:
    """The server. `families` are the daemon's metrics now, `trouble` says what is wrong with it, or nothing."""

    def __init__(self, families: Callable[[], Iterable[Family]], trouble: Callable[[], str]) -> None:
        self._families = families
        self._trouble = trouble
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/healthz", self._healthz)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)

    async def start(self, listen: str, log: BoundLogger) -> None:
        """Serve at HOST:PORT and say so; 0 takes a free port. Raises UsageError and UnavailableError."""
        host, port = parse_endpoint(f"tcp://{listen}", what="--http")
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host.strip("[]"), port).start()
        except OSError as error:
            await self.stop()
            reason = f"cannot listen on {listen}: {error.strerror}"
            raise UnavailableError(f"{reason}; give --http another address") from None
        log.info("http_ready", url=f"http://{host}:{self._runner.addresses[0][1]}")
        if not is_loopback(host):
            log.warning("http_open", reason="anybody who reaches this address can read the metrics", address=listen)

    async def stop(self) -> None:
        """Stop serving, if it did."""
        await self._runner.cleanup()

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=text(self._families()).encode(), headers={"Content-Type": CONTENT_TYPE})

    async def _healthz(self, _: web.Request) -> web.Response:
        trouble = self._trouble()
        return web.Response(text=f"{trouble or 'ok'}\n", status=503 if trouble else 200)
