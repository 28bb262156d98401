"""Debian's Chromium, driven by Playwright, with everything noted that a page should not do."""

from __future__ import annotations

import os
import shutil
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest

#: Nothing that is waited for takes longer, milliseconds.
DEADLINE_MS = 60_000
_NAMES = ("chromium", "chromium-browser", "google-chrome")
#: What a browser does of its own accord would look like the page's doing.
_QUIET = ("--no-sandbox", "--disable-background-networking", "--disable-component-update", "--no-first-run",
          "--disable-sync", "--disable-default-apps", "--disable-dev-shm-usage", "--enable-precise-memory-info",
          "--js-flags=--expose-gc")  # fmt: skip


def need_browser() -> str:
    """Return where Chromium is; without it skip, or in CI fail."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        reason = "no Chromium here: bin/setup-browser installs it on Debian, as root"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


class Watched:
    """What a page did: where it asked, and what its console said beside silence."""

    def __init__(self, page) -> None:
        self.hosts: set[str] = set()
        self.complaints: list[str] = []
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._console)

    def _console(self, message) -> None:
        # That the map is read back again and again is the tests' doing.
        if message.type in ("error", "warning") and "willReadFrequently" not in message.text:
            self.complaints.append(message.text)


@asynccontextmanager
async def browser():
    """Yield a browser."""
    path = need_browser()
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=path, args=_QUIET)
        try:
            yield running
        finally:
            await running.close()
