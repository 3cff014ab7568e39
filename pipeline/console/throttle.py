"""Slows failed logins down: after ten for a name, or from an address, the next one has to wait, each time twice as long."""

from __future__ import annotations

from collections import OrderedDict, deque
from ipaddress import IPv6Address, ip_address

from pipeline.clock import Clock, steady

FREE = 10
WINDOW_S = 15 * 60.0
"""So long a failure counts."""
LONGEST_S = 5 * 60.0
MOST = 20_000
"""Names and addresses that are remembered; the oldest are forgotten first."""


class Throttle:
    """Counts tries by name and by address. Restart: they are forgotten."""

    def __init__(self, clock: Clock = steady) -> None:
        self._clock = clock
        self._tries: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()

    def wait_s(self, name: str, address: str) -> float:
        """How long a login has to wait; 0: it may be tried now."""
        now = self._clock()
        return max(self._left(key, now) for key in _keys(name, address))

    def tried(self, name: str, address: str) -> None:
        """A try begins: it counts as failed until `passed`, so that many at once are as slow as one after the other."""
        now = self._clock()
        for key in _keys(name, address):
            self._tries.setdefault(key, deque(maxlen=64)).append(now)
            self._tries.move_to_end(key)
        while len(self._tries) > MOST:
            self._tries.popitem(last=False)

    def passed(self, name: str, address: str) -> None:
        """The try was right: the name begins anew; of the address only this try is taken back."""
        of_name, of_address = _keys(name, address)
        self._tries.pop(of_name, None)
        if tries := self._tries.get(of_address):
            tries.pop()

    def _left(self, key: tuple[str, str], now: float) -> float:
        tries = self._tries.get(key)
        while tries and tries[0] <= now - WINDOW_S:
            tries.popleft()
        if not tries or len(tries) < FREE:
            return 0.0
        return max(0.0, tries[-1] + min(2.0 ** (len(tries) - FREE), LONGEST_S) - now)


def _keys(name: str, address: str) -> tuple[tuple[str, str], tuple[str, str]]:
    return ("name", name.casefold()[:64]), ("address", network(address))


def network(address: str) -> str:
    """Who counts as one: the address; of IPv6 the network, as each host has 2^64 of them."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        return str(parsed.ipv4_mapped or int(parsed) >> 64)
    return str(parsed)
