"""Which requests our HTTP ports refuse: those that a page of another origin makes a browser send.

A browser says for whom it asks (Sec-Fetch-Site, Origin). A page whose own name was made to resolve to this machine passes
for the same origin; it can't hide that name, which stands in Host.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address
from typing import Protocol
from urllib.parse import SplitResult, urlsplit


class Headers(Protocol):
    """Of a request: names in upper and lower case alike."""

    def get(self, name: str, default: str, /) -> str: ...


def refusal(bound_to: str, headers: Headers) -> str | None:
    """Why a server that listens on the address `bound_to` refuses a request with these headers; None: it may be answered.

    Only a server on loopback knows by which names it is called; elsewhere any Host will do (`worker:9400` in a container).
    """
    host = headers.get("Host", "")
    if host and is_loopback(bound_to) and not is_loopback(_name(host)):
        return f"this is {bound_to}, not {host}"
    if headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        return "not for a page of another origin"
    if (origin := headers.get("Origin", "")) and _split(origin).netloc != host:
        return "not for a page of another origin"
    return None


def is_loopback(host: str) -> bool:
    try:
        address = ip_address(host)
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        return (mapped or address).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _name(host: str) -> str:
    """Of a Host header, which is a name or address and perhaps a port; blank for what is none."""
    found = re.fullmatch(r"(?:\[([\da-fA-F:.]+)\]|([\w.-]+))(?::\d*)?", host, re.ASCII)
    return (found[1] or found[2]) if found else ""


def _split(url: str) -> SplitResult:
    """The URL's parts, all blank for what is none."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")
