"""Whose server is this? From a URL or a WHOIS host to the registry behind it.

What the operator configured comes first (`bases`), so that stand-ins on loopback are known; then the well-known hosts
of `registries`. Nothing here raises.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from urllib.parse import urljoin, urlsplit

from whoismesh.registries import RDAP_HOSTS, WHOIS_HOSTS

_DEFAULT_PORTS = {"http": 80, "https": 443}
_WHOIS_PORT = 43  # RFC 3912
_MAX_CHARS = 2000


def registry_of_url(url: str, bases: Mapping[str, str]) -> str | None:
    """Return the registry whose RDAP base is the longest prefix of the URL; else by its host; else None."""
    wanted = _normal(url)
    if wanted is None:
        return None
    best, found = -1, None
    same_place = set()
    for base, registry in bases.items():
        if "://" not in base or (normal := _normal_base(base)) is None:
            continue
        place, path = normal
        if place != wanted[0]:
            continue
        same_place.add(registry)
        path = path.rstrip("/") + "/"  # whole path segments only: /rdap/ is no prefix of /rdapx/
        if (wanted[1] + "/").startswith(path) and len(path) > best:
            best, found = len(path), registry
    if found is None and len(same_place) == 1:
        found = same_place.pop()
    return found or RDAP_HOSTS.get(wanted[0].partition("://")[2].rpartition(":")[0])


def registry_of_whois(server: object, bases: Mapping[str, str]) -> str | None:
    """Return the registry of a WHOIS server written `host`, `host:port` or `whois://host:port`; None if unknown."""
    if not isinstance(server, str) or len(server) > _MAX_CHARS:
        return None
    text = server.strip().lower()
    scheme, separator, rest = text.partition("://")
    if separator:
        if scheme != "whois":  # rwhois:// leads to a holder's own server, never to a registry
            return None
        text = rest.partition("/")[0]
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit():
        host, port = text, str(_WHOIS_PORT)
    return bases.get(f"{host}:{port}") or WHOIS_HOSTS.get(host.rstrip("."))


def url_of(server: str, bases: Mapping[str, str]) -> str:
    """Return the URL of an RDAP server named by URL or by host alone; https unless it is configured otherwise."""
    if "://" in server:
        return server
    return next((base for base in bases if f"://{server}/" in f"{base}/"), f"https://{server}/")


def absolute(location: str, server_url: str) -> str | None:
    """Return the absolute URL that a Location header means (RFC 9110 section 10.2.2), without a fragment, or None."""
    if len(location) > _MAX_CHARS:
        return None
    try:
        url = urljoin(server_url, location.strip()).partition("#")[0]
    except ValueError:
        return None
    return url if _normal(url) is not None and url.isprintable() else None


def _normal(url: str) -> tuple[str, str] | None:
    """Return (`scheme://host:port`, path) of an http or https URL, None for anything else."""
    try:
        parts = urlsplit(url)
        port = parts.port or _DEFAULT_PORTS[parts.scheme]
    except (ValueError, KeyError):
        return None
    return (f"{parts.scheme}://{parts.hostname}:{port}", parts.path or "/") if parts.hostname else None


#: Of the configured servers, which are few and in question with each answer.
_normal_base = cache(_normal)
