"""Redirects, followed by hand: each hop is a request with checks of its own, and credentials stay with their host."""

from __future__ import annotations

from typing import NamedTuple

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from pipeline.http.failures import AddressRefused, BadAnswer

_REDIRECTS = {301, 302, 303, 307, 308}
_FOR_EVERYBODY = {"accept", "accept-language", "accept-encoding", "user-agent", "if-none-match", "if-modified-since"}
"""Headers that go along to another host; any other header may be a credential."""


class Hop(NamedTuple):
    """One request of a chain of redirects."""

    method: str
    url: URL
    headers: CIMultiDict[str]
    body: bytes | None = None


def plain_url(url: str | URL, schemes: tuple[str, ...] = ("http", "https")) -> URL:
    """Raises AddressRefused for anything but a URL of these schemes with a host and without user and password."""
    try:
        parsed = URL(url)
        port = parsed.port
    except ValueError:
        raise AddressRefused("it is no URL") from None
    if parsed.scheme not in schemes or not parsed.raw_host or port == 0:
        raise AddressRefused(f"a URL should look like {schemes[-1]}://host/path")
    if parsed.raw_user or parsed.raw_password:
        raise AddressRefused("a URL holds no user and password")
    return parsed


def next_hop(hop: Hop, response: aiohttp.ClientResponse) -> Hop | None:
    """Where the answer redirects to; None: it does not. Raises BadAnswer for a redirect that must not be followed."""
    if response.status not in _REDIRECTS or not (location := response.headers.get("Location")):
        return None
    try:
        url = hop.url.join(URL(location)).with_user(None).with_fragment(None)
        url = plain_url(url)
    except (ValueError, AddressRefused):
        raise BadAnswer("it redirects to no http(s) URL") from None
    if (hop.url.scheme, url.scheme) == ("https", "http"):
        raise BadAnswer("it redirects from https to http")
    method, headers, body = hop.method, hop.headers, hop.body
    if (response.status == 303 and method != "HEAD") or (response.status in (301, 302) and method == "POST"):
        method, body = "GET", None
        headers = CIMultiDict((name, value) for name, value in headers.items() if name.lower() != "content-type")
    if not _same_server(hop.url, url):
        if body is not None:
            raise BadAnswer("it redirects a body to another host")
        headers = CIMultiDict((name, value) for name, value in headers.items() if name.lower() in _FOR_EVERYBODY)
    return Hop(method, url, headers, body)


def _same_server(one: URL, other: URL) -> bool:
    if one.raw_host != other.raw_host:
        return False
    return one.port == other.port or (one.port, other.port, other.scheme) == (80, 443, "https")
