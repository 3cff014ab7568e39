"""Which addresses an outgoing request may reach.

The authors of sources.yaml and alerts.yaml, and the DNS servers of the names in them, decide where requests go, and these come
from inside the network. So each address is checked before a connection: it is public, or an `allow` names it; of a name, all
addresses have to pass.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Self

from pipeline.http.failures import AddressRefused, NotPublic

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Networks = frozenset[Network] | None
"""Networks that may be reached although they are not public; None: every address may be."""

_NAT64 = ip_network("64:ff9b::/96")
_UNICAST = ip_network("2000::/3")
_SHARED = ip_network("100.64.0.0/10")
# Public by their number, but answered by the local network: metadata and wire servers of clouds, a relay that nobody runs.
_LOCAL_SERVICES = tuple(map(ip_network, ("168.63.129.16/32", "192.0.0.0/24", "192.88.99.0/24")))


def kind(address: Address) -> str:
    """Why it is no address of the public internet, in a word or two; blank: it is one."""
    if isinstance(address, IPv6Address):
        if (inner := _embedded(address)) is not None:
            return kind(inner)
        if address.sixtofour or address.teredo:
            return "a tunnel"
    for named, word in (
        (address.is_unspecified, "unspecified"),
        (address.is_loopback, "loopback"),
        (address.is_link_local, "link-local"),
        (address.is_multicast, "multicast"),
        (isinstance(address, IPv4Address) and address in _SHARED, "shared"),
        (isinstance(address, IPv4Address) and any(address in network for network in _LOCAL_SERVICES), "the network's own"),
        (address.is_reserved, "reserved"),
        (address.is_private, "private"),
        (not address.is_global, "not public"),
        (isinstance(address, IPv6Address) and address not in _UNICAST, "not public"),
    ):
        if named:
            return word
    return ""


def _embedded(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that this one leads to."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped


@dataclass(frozen=True)
class Allowed:
    """The `allow` of one source or receiver: what it may reach beside the public internet."""

    names: frozenset[str] = frozenset()
    networks: frozenset[Network] = frozenset()

    @classmethod
    def of(cls, entries: Iterable[str]) -> Self:
        """Of addresses, networks (`10.0.0.0/8`) and host names."""
        names, networks = set[str](), set[Network]()
        for entry in entries:
            try:
                networks.add(ip_network(entry))
            except ValueError:
                names.add(_bare(entry))
        return cls(frozenset(names), frozenset(networks))

    def within(self, host: str) -> Networks:
        """The networks that connections to this host may reach."""
        return None if _bare(host) in self.names else self.networks


PUBLIC_ONLY = Allowed()


def literal(host: str) -> Address | None:
    """The address that a URL's host is; None: it is a name.

    Raises AddressRefused for 127.1, 0x7f000001, 2130706433 or 127.0.0.1.: systems take them for an address, other code may not.
    """
    try:
        return ip_address(host.replace("%25", "%"))
    except ValueError:
        with suppress(OSError):
            socket.inet_aton(host.rstrip("."))
            raise AddressRefused("an address must be written in full") from None
        return None


def refuse_private(address: Address, networks: Networks) -> None:
    """Raises NotPublic unless the address is public or in one of the networks."""
    if networks is None or not (word := kind(address)):
        return
    inner = _embedded(address) if isinstance(address, IPv6Address) else None
    if not any(each in network for network in networks for each in (address, inner) if each is not None):
        raise NotPublic(f"{inner or address} is {word}")


def _bare(host: str) -> str:
    return host.rstrip(".").lower()
