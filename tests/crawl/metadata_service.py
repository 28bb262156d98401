"""EC2's instance metadata service (IMDSv2) on loopback, with what it does wrong.

As the real one: a token is had by PUT with its life in seconds, a GET without a good token is 401, and what there is
not is 404 with a page.
"""

import asyncio
import contextlib
import secrets

from aiohttp import web

ACTION, REBALANCE = "/latest/meta-data/spot/instance-action", "/latest/meta-data/events/recommendations/rebalance"
MISBEHAVIOURS = ("unavailable", "garbage", "silence", "flood", "redirect", "broken", "trickle", "refused tokens")


class MetadataService:
    """Use as `async with`. `notices` maps paths to what is said there, `misbehaves` is one of MISBEHAVIOURS or empty.

    `asked` are (method, path, status) of all questions. A token is good for `uses` questions.
    """

    def __init__(self, uses=1_000_000, port=0):
        self.notices = {}
        self.misbehaves = ""
        self.asked = []
        self._uses = uses
        self._port = port
        self._tokens = {}
        self._news = asyncio.Event()

    async def __aenter__(self):
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        self._port = site._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        return self

    async def __aexit__(self, *_):
        await self._runner.cleanup()

    def recommend(self):
        self.notices[REBALANCE] = {"noticeTime": "2026-11-25T08:20:00Z"}

    def interrupt(self):
        self.notices[ACTION] = {"action": "terminate", "time": "2026-11-25T08:22:00Z"}

    async def asks(self, count):
        """Wait until so many questions have come from now on."""
        count += len(self.asked)
        async with asyncio.timeout(60):
            while len(self.asked) < count:
                self._news.clear()
                await self._news.wait()

    async def _answer(self, request):
        if self.misbehaves in ("silence", "trickle"):
            self._note(request, 0)
        response = await self._response(request)
        self._note(request, response.status)
        return response

    def _note(self, request, status):
        self.asked.append((request.method, request.path, status))
        self._news.set()

    async def _response(self, request):
        match self.misbehaves:
            case "unavailable":
                return web.Response(status=503)
            case "garbage":
                return web.Response(body=b'\xff{"action": "terminate", "time": ')
            case "silence":
                await asyncio.sleep(3600)
            case "flood":
                return web.Response(body=b'{"action": "terminate", "time": "2026-11-25T08:22:00Z"}' + b" " * 20_000_000)
            case "redirect":
                return web.Response(status=302, headers={"Location": "/elsewhere"})
            case "broken":
                request.transport.abort()
            case "trickle":
                response = web.StreamResponse()
                await response.prepare(request)
                with contextlib.suppress(ConnectionError):  # whoever asked has had enough
                    while True:
                        await response.write(b" ")
                        await asyncio.sleep(0.05)
                return response
        if request.path == "/latest/api/token":
            return self._token(request)
        token = request.headers.get("X-aws-ec2-metadata-token", "")
        if self._tokens.get(token, 0) <= 0 or self.misbehaves == "refused tokens":
            return web.Response(status=401, text="Unauthorized")
        self._tokens[token] -= 1
        if request.path in self.notices:
            return web.json_response(self.notices[request.path])
        return web.Response(status=404, text="<html><title>404 - Not Found</title></html>", content_type="text/html")

    def _token(self, request):
        life_s = request.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
        if request.method != "PUT" or not life_s.isdecimal() or not 1 <= int(life_s) <= 21_600:
            return web.Response(status=400)
        token = secrets.token_urlsafe(42)
        self._tokens[token] = self._uses
        return web.Response(text=token)
