"""Logins that people have begun and not ended: they are at their provider's page now.

Nothing of a login is in the browser but a random cookie, so that nobody changes it, and nobody ends in one browser what began
in another. A restart forgets them: people begin again.
"""

from __future__ import annotations

import hmac
from collections import OrderedDict
from typing import NamedTuple

from pipeline.clock import Clock, wall
from pipeline.console.session_table import hash_of, new_token

VALID_S = 600.0
MOST, MOST_OF_ADDRESS = 10_000, 100
MOST_BYTES = 32 << 20
"""Of what people had typed when their sessions ended."""


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
    returns_to: str
    """The URL that the provider sends the browser back to."""
    going: str
    kept: str
    since: float


class WaitingLogins:
    """All of them. Each is taken once. The oldest make room for new ones: of the same address first."""

    def __init__(self, clock: Clock = wall) -> None:
        self._clock = clock
        self._waiting: OrderedDict[str, Waiting] = OrderedDict()
        self._bytes = 0

    def add(self, address: str, returns_to: str, going: str, kept: str) -> tuple[Waiting, str]:
        """A new login, and what the browser's cookie holds."""
        cookie, (state, nonce, verifier) = new_token(), (new_token() for _ in range(3))
        login = Waiting(state, nonce, verifier, hash_of(cookie), address, returns_to, going, kept, self._clock())
        self._waiting[state] = login
        self._bytes += len(kept)
        self._make_room(address)
        return login, cookie

    def take(self, state: str, cookie: str) -> Waiting | None:
        """The login with this state, if this browser began it; it is over with that. None: there is none, or no longer."""
        login = self._waiting.get(state)
        if login is None or not hmac.compare_digest(login.browser, hash_of(cookie)):
            return None
        self._drop(state)
        return login if 0 <= self._clock() - login.since < VALID_S else None

    def _make_room(self, address: str) -> None:
        ours = [login.state for login in self._waiting.values() if login.address == address]
        for state in ours[:-MOST_OF_ADDRESS]:
            self._drop(state)
        while len(self._waiting) > MOST or (self._bytes > MOST_BYTES and len(self._waiting) > 1):
            self._drop(next(iter(self._waiting)))

    def _drop(self, state: str) -> None:
        self._bytes -= len(self._waiting.pop(state).kept)
