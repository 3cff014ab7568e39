"""Which requests our HTTP ports refuse: those that a page of another origin makes a browser send.

A browser names the origin of the page (Sec-Fetch-Site, Origin). A page whose own host name resolves to this machine counts as
the same origin, but it can't hide that name, which the browser sends in Host.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address
from typing import Protocol
from urllib.parse import SplitResult, urlsplit


class Headers(Protocol):
    """The headers of a request; names in upper and lower case are equal."""

    def get(self, name: str, default: str, /) -> str:
        """The value of this header, else `default`."""
        ...


def refusal(bound_to: str, headers: Headers) -> str | None:
    """Why a server that listens on the address `bound_to` refuses a request with these headers; None: it accepts it.

    Only a server on loopback knows its own names; elsewhere any Host is accepted (`worker:9400` in a container).
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
    """Whether this address or name is the machine's own."""
    try:
        address = ip_address(host)
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        return (mapped or address).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _name(host: str) -> str:
    """The name or address in a Host header, without the port; blank if the header is malformed."""
    match = re.fullmatch(r"(?:\[([\da-fA-F:.]+)\]|([\w.-]+))(?::\d*)?", host, re.ASCII)
    return (match[1] or match[2]) if match else ""


def _split(url: str) -> SplitResult:
    """The URL's parts, all blank if it is malformed."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")
