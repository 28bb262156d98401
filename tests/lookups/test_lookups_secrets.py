"""TLS, keys and proxies."""

import asyncio
import ssl
import subprocess

import pytest
from loopback import ADDRESS, FAMILY, lookup, request_head, served, settings

from whoismesh.answers import Status, understand
from whoismesh.lookups import Lookups, NoAnswerError
from whoismesh.settings import RegistrySettings

# --- TLS ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Make a certificate for 127.0.0.1 that nobody vouches for; return its file and its key's."""
    folder = tmp_path_factory.mktemp("tls")
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    command += ["-subj", "/CN=practice", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "cert.pem", folder / "key.pem"


@pytest.mark.parametrize("vouched_for", [False, True])
def test_certificates_are_verified(certificate, vouched_for, monkeypatch):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    if vouched_for:
        trusting = ssl.create_default_context(cafile=certificate[0])
        monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", trusting)
    heads = []

    async def handler(reader, writer):
        heads.append(await request_head(reader))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        await writer.drain()
        writer.close()

    async def run():
        server = await asyncio.start_server(handler, "127.0.0.1", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        one = {"arin": RegistrySettings(f"https://127.0.0.1:{port}/", "127.0.0.1:1", timeout_s=5)}
        try:
            async with Lookups(one, "", None) as lookups:
                return await lookups.ask("arin", "rdap", FAMILY, ADDRESS, None)
        finally:
            server.close()

    if vouched_for:
        assert asyncio.run(run()).body == b"{}"
    else:
        with pytest.raises(NoAnswerError, match="certificate verify failed") as caught:
            asyncio.run(run())
        assert caught.value.unreachable
        assert heads == []


# --- keys and proxies -----------------------------------------------------------------------------------------------

KEY = "s3cret-K3y"


def test_the_key_goes_to_its_registry_and_nowhere_else():
    heads = []

    async def server(reader, writer):
        heads.append(await request_head(reader))
        target = heads[-1].split()[1]
        writer.write(f"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: {target}\r\n\r\n".encode())
        await writer.drain()

    reply = lookup(server, "rdap", registry="lacnic", api_key=KEY)
    assert heads[0].startswith(f"GET /rdap/ip/193.0.6.139?apikey={KEY} HTTP")
    assert KEY not in repr(reply)
    assert KEY not in repr(settings(1, api_key=KEY))

    async def elsewhere():
        async with served(server) as port:
            async with Lookups(settings(1, api_key=KEY), "", None) as lookups:
                await lookups.ask("lacnic", "rdap", FAMILY, ADDRESS, f"http://127.0.0.1:{port}/rdap/ip/193.0.6.139")

    asyncio.run(elsewhere())
    assert KEY not in heads[1]


@pytest.mark.parametrize("answer", [b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", b""])
def test_no_error_tells_the_key(answer):
    async def server(reader, writer):
        await request_head(reader)
        writer.write(answer)
        await writer.drain()
        writer.close()

    with pytest.raises(NoAnswerError) as caught:
        lookup(server, "rdap", registry="lacnic", api_key=KEY)
    assert KEY not in str(caught.value) and "apikey" not in str(caught.value)


def proxied(protocol, behind, *, refuse=False):
    """Look an address up through a proxy; return (what the proxy was asked, the reply or what was raised)."""
    heads = []

    async def proxy(reader, writer):
        heads.append(await request_head(reader))
        if refuse:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            return
        if heads[-1].startswith("CONNECT "):
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await writer.drain()
        await behind(reader, writer)

    async def run():
        async with served(proxy) as port:
            here = settings(1, proxy=f"http://user:p%40ss-w0rd@127.0.0.1:{port}")
            async with Lookups(here, "", None) as lookups:
                return await lookups.ask("arin", protocol, FAMILY, ADDRESS, None)

    try:
        return heads, asyncio.run(run())
    except NoAnswerError as error:
        return heads, error


def test_both_protocols_go_through_the_proxy():
    async def rdap(reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        await writer.drain()

    heads, reply = proxied("rdap", rdap)
    assert reply.body == b"{}"
    assert heads[0].startswith("GET http://127.0.0.1:1/rdap/ip/193.0.6.139 HTTP/1.1\r\n")
    assert "Proxy-Authorization: Basic dXNlcjpwQHNzLXcwcmQ=\r\n" in heads[0]

    async def whois(reader, writer):
        assert await reader.readline() == b"n + 193.0.6.139\r\n"
        writer.write(b"No match found for n + 193.0.6.139.\n")
        await writer.drain()

    heads, reply = proxied("whois", whois)
    assert reply.body.startswith(b"No match")
    assert heads[0].startswith("CONNECT 127.0.0.1:1 HTTP/1.1\r\n")
    assert "Proxy-Authorization: Basic dXNlcjpwQHNzLXcwcmQ=\r\n" in heads[0]


def test_a_proxy_that_refuses_is_no_registry():
    async def nothing(reader, writer):
        pass

    _, error = proxied("whois", nothing, refuse=True)
    assert isinstance(error, NoAnswerError) and error.unreachable and "407" in str(error)
    _, reply = proxied("rdap", nothing, refuse=True)
    assert reply.http_status == 407
    assert understand(reply, {}).status is Status.FAILED
