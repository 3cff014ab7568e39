"""A login by OpenID Connect from begin to end, and what its session stands on."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

import orjson
from joserfc.jwk import KeySet

from pipeline.clock import Clock, Seldom, steady, wall
from pipeline.config.console import ROLES, ConsoleSettings
from pipeline.console.oidc.failed import LoginFailed
from pipeline.console.oidc.id_token import Claimed, Expected, claimed, verified
from pipeline.console.oidc.provider import ANOTHER, Provider, shown
from pipeline.console.oidc.waiting import Waiting, WaitingLogins
from pipeline.console.session_table import Row
from pipeline.http.route import Route

LONGEST_CODE = 4_096
log = logging.getLogger("earshot.console")


class Known(NamedTuple):
    """Who somebody is, and what a session of theirs stands on."""

    name: str
    roles: tuple[str, ...]
    entry: str
    account: str
    """Fingerprint of issuer and subject: who it is, whatever the name."""


class Oidc:
    """Login by the provider of the settings."""

    def __init__(self, settings: ConsoleSettings, route: Route, clock: Clock = wall, kept: Clock = steady) -> None:
        """`kept`: the clock by which the provider's keys grow old."""
        self._settings, self._clock = settings, clock
        self.provider = Provider(settings, route, kept)
        self.waiting = WaitingLogins(clock)
        self.host = urlsplit(settings.oidc_issuer).hostname or ""
        self.away = Seldom()
        """Limits the lines of the log about a provider that is away."""
        self._rules = _fingerprint(
            settings.oidc_issuer,
            settings.oidc_client_id,
            settings.oidc_groups,
            sorted((group, sorted(roles)) for group, roles in settings.oidc_roles.items()),
        )

    def stands(self, row: Row) -> bool:
        """Whether a session was given by the rules that hold now, and not too long ago: groups change at the provider."""
        return row.entry.startswith(f"{self._rules}:") and self._clock() - row.created_at < self._settings.oidc_hours * 3600

    async def begin(self, address: str, returns_to: str, going: str, kept: str) -> tuple[str, str]:
        """The URL of the provider's page, and what the browser's cookie holds until it is back. Raises LoginFailed."""
        login, cookie = self.waiting.add(address, returns_to, going, kept)
        try:
            return await self.provider.page(login), cookie
        except LoginFailed:
            self.waiting.take(login.state, cookie)
            raise

    async def finish(self, answer: Mapping[str, str], login: Waiting) -> Known:
        """Who the provider's answer, to this login, says that somebody is. Raises LoginFailed."""
        issuer, error, code = (answer.get(name, "") for name in ("iss", "error", "code"))
        if issuer not in ("", self._settings.oidc_issuer):
            raise LoginFailed(ANOTHER)
        if error:
            raise LoginFailed(f"The login provider says: {shown(error)}.")
        if not 0 < len(code) <= LONGEST_CODE or not code.isascii() or not code.isprintable():
            raise LoginFailed("The login provider's answer holds no code.")

        def read(token: str, keys: KeySet) -> Claimed:
            of = self._settings
            expected = Expected(of.oidc_issuer, of.oidc_client_id, login.nonce, login.since, self._clock())
            return claimed(verified(token, keys, expected), of.oidc_groups)

        return self._known(await self.provider.redeem(code, bool(issuer), login, read))

    def _known(self, who: Claimed) -> Known:
        given = {role for group in who.groups for role in self._settings.oidc_roles.get(group, ())}
        roles = tuple(role for role in ROLES if role in given)
        if not roles:
            raise LoginFailed(f"{who.name} is in no group that has a role here (console.oidc_roles).", who.name)
        log.info("%s, at the provider %s, logs in as %s", who.name, shown(who.subject), ", ".join(roles))
        person = _fingerprint(self._settings.oidc_issuer, who.subject, roles)
        account = _fingerprint(self._settings.oidc_issuer, who.subject)
        return Known(who.name, roles, f"{self._rules}:{person}", account)


def _fingerprint(*values: object) -> str:
    return hashlib.sha256(orjson.dumps(values)).hexdigest()[:32]
