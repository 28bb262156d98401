"""The dashboard in a real browser, of a real crawl: the map fills, search jumps, a killed worker turns up as gone."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import socket
from pathlib import Path

import aiohttp
import pytest
from browser import DEADLINE_MS, Watched, browser, need_browser

from whoismesh.addresses import parse_space
from whoismesh.dashboard import server
from whoismesh.hilbert import point

ROOT = Path(__file__).parent.parent.parent
#: Slow enough that a killed worker is given up (20 s) while the other one goes on: some 250 lookups.
RATE = 9.0
READY = re.compile(r"dashboard ready: (http://\S+)")


async def dashboard(field, coordinator, *more):
    program = await field.program(
        "-m", "whoismesh", "dashboard", "--coord", coordinator.endpoint, "--listen", "127.0.0.1:0", *more
    )
    ready = READY.match((await program.stderr.readline()).decode())
    assert ready is not None
    return program, ready[1]


async def until(page, expression):
    """Wait until something is so on a page. Playwright's own way evaluates texts, which the page's policy forbids."""
    async with asyncio.timeout(DEADLINE_MS / 1000):
        while not await page.evaluate(expression):
            await asyncio.sleep(0.05)


async def painted(page, colour):
    """Return how many pixels of the map have a colour (r, g, b)."""
    return await page.evaluate(
        """([r, g, b]) => { const map = document.getElementById('map');
        const {data} = map.getContext('2d').getImageData(0, 0, map.width, map.height); let count = 0;
        for (let i = 0; i < data.length; i += 4) count += data[i] == r && data[i+1] == g && data[i+2] == b;
        return count; }""",
        colour,
    )


RIPE_NCC = [0xE6, 0x9F, 0x00]

#: What a screen reader would be told of: everything that can be used has a name.
NAMELESS = """() => [...document.querySelectorAll(
  'button, input, select, [tabindex], canvas:not([aria-hidden]), table, progress')]
  .filter((each) => !(each.ariaLabel || each.getAttribute('aria-labelledby') || each.labels?.length || each.caption
    || each.textContent.trim() || each.closest('section[aria-labelledby]')))
  .map((each) => each.outerHTML)"""


@pytest.mark.slow
def test_a_real_crawl_in_a_real_browser(in_field, tmp_path):
    need_browser()

    async def watch(field):
        config = field.practice.config_text(parse_space(["193.104.0.0/16"]))
        (field.folder / "practice.toml").write_text(re.sub(r"(?m)^rate = inf$", f"rate = {RATE}", config))
        coordinator = await field.coordinator()
        program, url = await dashboard(field, coordinator)
        async with browser() as chromium:
            page = await chromium.new_page(viewport={"width": 1400, "height": 1100}, color_scheme="light")
            page.set_default_timeout(DEADLINE_MS)
            watched = Watched(page)
            answer = await page.goto(url)
            assert "default-src 'none'" in answer.headers["content-security-policy"]
            await until(page, "document.getElementById('summary').textContent.includes('0 networks')")
            await field.worker(coordinator, "first")
            doomed = await field.worker(coordinator, "doomed")
            await until(page, "document.querySelectorAll('#workers tr').length == 2")
            await field.end(doomed)

            # The map fills, and the tables with it.
            await page.fill("#query", "193.104.0.0/16")
            await page.press("#query", "Enter")
            await until(page, "document.getElementById('view').textContent == '193.96.0.0/12'")
            await until(page, "Number(document.getElementById('map').dataset.rows) > 20")
            before = await painted(page, RIPE_NCC)
            rows = await page.evaluate("Number(document.getElementById('map').dataset.rows)")
            await until(page, f"Number(document.getElementById('map').dataset.rows) > {rows + 20}")
            assert await painted(page, RIPE_NCC) > before > 0
            text = await page.inner_text("#registries")
            assert re.search(r"ripencc\s+[1-9]\d*\s+\d+\.\d\s+9\.00", text), text

            # What lies under the pointer, and under the keyboard's cursor.
            await page.click("#zoom-all")
            await page.fill("#query", "193.104.1.1")
            await page.press("#query", "Enter")
            await until(page, "document.getElementById('found-count').textContent.includes('193.104.1.1')")
            await page.focus("#overlay")
            await page.keyboard.press("ArrowRight")
            await until(page, "/^193\\.104\\./.test(document.getElementById('under').textContent)")
            view = await page.inner_text("#view")
            await page.keyboard.press("-")
            await until(page, f"document.getElementById('view').textContent != '{view}'")
            await page.keyboard.press("Home")
            await until(page, "document.getElementById('view').textContent == '0.0.0.0/0'")
            await page.click("#blocks tr:nth-child(13) button")
            await until(page, "document.getElementById('view').textContent == '192.0.0.0/4'")
            for layer in ("country", "status", "age", "registry"):
                await page.select_option("#layer", layer)
                assert len(await page.query_selector_all("#legend li")) >= 5
            assert re.search(r"(?m)^[A-Z]{2}$", await legend_of(page, "country"))
            await page.select_option("#layer", "registry")
            await page.select_option("#family", "6")
            assert await page.inner_text("#view") == "2000:0::/4"
            await page.select_option("#family", "4")

            # The killed worker: silent first, then gone.
            await until(page, "/gone \\(lost\\)/.test(document.getElementById('workers').textContent)")
            assert "worker lost" in await page.inner_text("#events")
            assert "1 here, 1 gone" in await page.inner_text("#workers-count")

            await until(page, "document.getElementById('summary').textContent.includes('complete')")
            # A name, and what is no name.
            await page.fill("#query", "t-mobile")
            await page.press("#query", "Enter")
            await page.wait_for_selector("#found li button")
            assert "T-Mobile" in await page.inner_text("#found")
            await page.fill("#query", "<img src=x onerror=alert(1)>")
            await page.press("#query", "Enter")
            await until(page, "document.getElementById('found-count').textContent.includes('<img')")
            assert await page.query_selector_all("img") == []

            assert await page.evaluate(NAMELESS) == []
            assert await page.query_selector_all("main, header, footer, [role=search], [role=log]") != []
            tree = await page.locator("body").aria_snapshot()
            for named in ('textbox "Address or name"' if "textbox" in tree else 'searchbox "Address or name"',
                          'application "Map of the address space"', 'combobox "Layer"', 'button "Zoom in"',
                          'heading "Workers"', 'progressbar "Share of the space that is settled"'):  # fmt: skip
                assert named in tree, tree
            await compare_curves(page)
            await take_pictures(page)
            assert watched.hosts == {url.split("/")[2]}
            assert watched.complaints == []
            late = await chromium.new_page()
            await late.goto(url)
            await until(late, f"Number(document.getElementById('map').dataset.rows) >= {len(field.networks())}")
        program.terminate()
        assert await program.wait() == 0

    in_field(watch)


def test_it_answers_its_own_page_alone_and_drops_who_is_slow(in_field, monkeypatch):
    async def watch(field):
        coordinator = await field.coordinator()
        await field.worker(coordinator)
        # In this process, so that the limits can be low.
        monkeypatch.setattr(server, "MOST_PAGES", 2)
        monkeypatch.setattr(server, "SLOW_S", 0.2)
        monkeypatch.setattr(server, "STATE_S", 0.01)
        monkeypatch.setattr(server, "BUFFER_BYTES", 4096)
        told, stop = asyncio.get_running_loop().create_future(), asyncio.Event()
        here = server.Dashboard(coordinator.endpoint, None, "127.0.0.1", 0)
        running = asyncio.create_task(server.run(here, told.set_result, stop))
        url = await told
        async with aiohttp.ClientSession() as client:

            async def ask(path, **headers):
                async with client.get(url + path, headers=headers) as answer:
                    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'")
                    return answer.status, await answer.read()

            assert (await ask(""))[1].startswith(b"<!doctype html>")
            assert (await ask("", Host="evil.example:8080"))[0] == 421
            assert (await ask("", Host="localhost:8080"))[0] == 200
            assert (await ask("server.py"))[0] == (await ask("..%2fserver.py"))[0] == 404
            for bad in ("rows?after=-1", "rows?after=x", "rows?after=%D9%A3", "address?q=", "address?q=1.2.3"):
                assert (await ask(bad))[0] == 400
            assert json.loads((await ask("search?q="))[1]) == {"found": [], "at": None, "more": False}
            while not json.loads((await ask("address?q=193.104.1.1"))[1]):
                await here._mesh.news()
            assert json.loads((await ask("address?q=193.104.1.1"))[1])["range"] == "193.104.1.0/24"
            jump = json.loads((await ask("search?q=193.104.0.0/16"))[1])["at"]
            assert jump == {"range": "193.104.0.0/16", "family": 4, "first": 0xC1680000, "last": 0xC168FFFF}
            async with asyncio.timeout(30):
                while len((await ask("rows?after=0"))[1]) < 16 * len(field.networks()):
                    await asyncio.sleep(0.05)
            assert (await ask("rows?after=999999999")) == (200, b"")

            # Two that read nothing: a third is refused, they are dropped, and it is let in.
            host, port = url.split("/")[2].split(":")
            slow = [await asyncio.open_connection(host, int(port), limit=1024) for _ in range(2)]
            for reader, writer in slow:
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                reader._transport.pause_reading()
                writer.write(f"GET /state HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            async with asyncio.timeout(60):
                while here._pages < 2:
                    await asyncio.sleep(0.01)
                assert (await ask("state"))[0] == 503
                while here._dropped_pages < 2:
                    await asyncio.sleep(0.05)
            async with client.get(url + "state") as answer:
                assert (await answer.content.readline()) == b"event: shape\n"
                async for line in answer.content:
                    if line.startswith(b"data: ") and b'"dropped"' in line:
                        assert json.loads(line[6:])["dropped"]["pages"] == 2
                        break
            for _, writer in slow:
                writer.close()
        stop.set()
        await running

    in_field(watch)


async def legend_of(page, layer):
    await page.select_option("#layer", layer)
    return await page.inner_text("#legend")


async def take_pictures(page):
    """Leave pictures for the documentation where SCREENSHOTS names a folder."""
    folder = os.environ.get("SCREENSHOTS")
    if folder:
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme)
            await page.screenshot(path=Path(folder) / f"dashboard-{scheme}.png")


async def compare_curves(page):
    """See that the page lays addresses out as `whoismesh map` does."""
    draw = random.Random(1)
    asked = [[draw.getrandbits(32), levels] for levels in range(1, 17) for _ in range(40)]
    # The first row of https://xkcd.com/195/, and its last corner.
    asked += [[number << 24, 4] for number in (0, 1, 14, 15, 16, 19, 20, 21, 255)]
    told = await page.evaluate(
        """async (asked) => { const {cellOf, addressOf} = await import('/hilbert.js');
        return asked.map(([address, levels]) => { const cell = cellOf(address, levels);
          const x = cell % 65536, y = Math.floor(cell / 65536); return [x, y, addressOf(x, y, levels)]; }); }""",
        asked,
    )
    assert [cell[:2] for cell in told[-9:]] == [[x, 0] for x in (0, 1, 2, 3, 4, 5, 6, 7, 15)]
    for (address, levels), (x, y, first) in zip(asked, told, strict=True):
        number = address >> (32 - 2 * levels)
        assert first == number << (32 - 2 * levels)
        assert (x, y) == point(number, levels)
