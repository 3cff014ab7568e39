"""A login by OpenID Connect from begin to end, and what its session stands on."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

import orjson

from pipeline.clock import Clock, steady, wall
from pipeline.config.console import ROLES, ConsoleSettings
from pipeline.console.oidc.failed import LoginFailed, UnknownKey
from pipeline.console.oidc.id_token import Claimed, Expected, claimed, verified
from pipeline.console.oidc.provider import Provider, shown
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


class Oidc:
    """Login by the provider of the settings."""

    def __init__(self, settings: ConsoleSettings, route: Route, clock: Clock = wall, kept: Clock = steady) -> None:
        """`kept`: the clock by which the provider's keys grow old."""
        self._settings, self._clock = settings, clock
        self.provider = Provider(settings, route, kept)
        self.waiting = WaitingLogins(clock)
        self.host = urlsplit(settings.oidc_issuer).hostname or ""
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
        issuer = answer.get("iss", "")
        if issuer != self._settings.oidc_issuer and (issuer or await self.provider.names_itself()):
            raise LoginFailed("The answer comes from another login provider.")
        if error := answer.get("error", ""):
            raise LoginFailed(f"The login provider says: {shown(error)}.")
        code = answer.get("code", "")
        if not 0 < len(code) <= LONGEST_CODE or not code.isascii() or not code.isprintable():
            raise LoginFailed("The login provider's answer holds no code.")
        token, keys = await self.provider.redeem(code, login)
        expected = Expected(
            self._settings.oidc_issuer, self._settings.oidc_client_id, login.nonce, login.since, self._clock()
        )  # fmt: skip
        try:
            claims = verified(token, keys, expected)
        except UnknownKey:
            claims = verified(token, await self.provider.newer_keys(), expected)
        return self._known(claimed(claims, self._settings.oidc_groups))

    def _known(self, who: Claimed) -> Known:
        given = {role for group in who.groups for role in self._settings.oidc_roles.get(group, ())}
        roles = tuple(role for role in ROLES if role in given)
        if not roles:
            raise LoginFailed(f"{who.name} is in no group that has a role here (console.oidc_roles).")
        log.info("%s logs in by OpenID Connect, as %s", who.name, ", ".join(roles))
        person = _fingerprint(self._settings.oidc_issuer, who.subject, roles)
        return Known(who.name, roles, f"{self._rules}:{person}")


def _fingerprint(*values: object) -> str:
    return hashlib.sha256(orjson.dumps(values)).hexdigest()[:32]
