"""Logins that people have begun and not ended: they are at their provider's page now.

Nothing of a login is in the browser but a random cookie, so that nobody changes it, and nobody ends in one browser what began
in another. A restart forgets them: people begin again.
"""

from __future__ import annotations

import hmac
from collections import deque
from typing import NamedTuple

from pipeline.clock import Clock, wall
from pipeline.console.session_table import hash_of, new_token
from pipeline.console.throttle import network

VALID_S = 600.0
MOST_OF_ADDRESS = 100
MOST_BYTES, MOST_BYTES_OF_ADDRESS = 32 << 20, 2 << 20
OWN_BYTES = 1_000
"""Of a login, besides what people had typed when their sessions ended, and where they go."""


class Waiting(NamedTuple):
    """A login, from its begin on."""

    state: str
    """What the provider's answer names it by."""
    nonce: str
    """What the id token names it by."""
    verifier: str
    """What proves to the provider that the code is for us (PKCE)."""
    browser: str
    """The hash of its cookie."""
    address: str
    """Whose it is: others give way to none of it."""
    returns_to: str
    """The URL that the provider sends the browser back to."""
    going: str
    kept: str
    since: float

    @property
    def size(self) -> int:
        """Bytes in memory, about."""
        return OWN_BYTES + sum(len(text.encode(errors="replace")) for text in (self.returns_to, self.going, self.kept))


class WaitingLogins:
    """All of them. Each is taken once. An address has so many, and so many bytes: its oldest make room for its new ones. Where
    all together are too many, the address that has the most bytes gives: who has few loses none to who has many."""

    def __init__(self, clock: Clock = wall) -> None:
        self._clock = clock
        self._waiting: dict[str, Waiting] = {}
        self._of: dict[str, deque[str]] = {}
        """The states of an address, the oldest first."""
        self._bytes: dict[str, int] = {}
        self._all_bytes = 0

    def add(self, address: str, returns_to: str, going: str, kept: str) -> tuple[Waiting, str]:
        """A new login, and what the browser's cookie holds."""
        cookie, (state, nonce, verifier) = new_token(), (new_token() for _ in range(3))
        login = Waiting(state, nonce, verifier, hash_of(cookie), network(address), returns_to, going, kept, self._clock())
        self._waiting[state] = login
        self._of.setdefault(login.address, deque()).append(state)
        self._count(login.address, login.size)
        self._make_room(login.address)
        return login, cookie

    def take(self, state: str, cookie: str) -> Waiting | None:
        """The login with this state, if this browser began it; it is over with that. None: there is none, or no longer."""
        login = self._waiting.get(state)
        if login is None or not hmac.compare_digest(login.browser, hash_of(cookie)):
            return None
        self._drop(state)
        return login if self._fresh(login) else None

    def _make_room(self, address: str) -> None:
        while self._waiting and not self._fresh(first := next(iter(self._waiting.values()))):
            self._drop(first.state)
        own = self._of[address]
        while len(own) > 1 and (len(own) > MOST_OF_ADDRESS or self._bytes[address] > MOST_BYTES_OF_ADDRESS):
            self._drop(own[0])
        while self._all_bytes > MOST_BYTES and len(self._waiting) > 1:
            largest = max(self._bytes, key=self._bytes.__getitem__)
            self._drop(self._of[largest][0])

    def _fresh(self, login: Waiting) -> bool:
        return 0 <= self._clock() - login.since < VALID_S

    def _drop(self, state: str) -> None:
        login = self._waiting.pop(state)
        of = self._of[login.address]
        of.remove(state)
        self._count(login.address, -login.size)
        if not of:
            del self._of[login.address], self._bytes[login.address]

    def _count(self, address: str, more: int) -> None:
        self._bytes[address] = self._bytes.get(address, 0) + more
        self._all_bytes += more
