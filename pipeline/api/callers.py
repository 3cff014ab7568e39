"""Who calls an API: the owner of a token, or the person for whom the console asks."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote, unquote

from pipeline.config.apis import ApiSettings
from pipeline.http.same_origin import Headers
from schemas.acts import Way

ACTOR = "X-Earshot-Actor"
"""The header in which the console names the person, percent-encoded."""
LONGEST = 200
_OF_BROWSERS = ("Origin", "Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest", "Sec-Fetch-User")


class RequestError(Exception):
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Caller(NamedTuple):
    """A person, and how they ask."""

    name: str
    way: Way


class Callers:
    """The actors of an API with their tokens, and the console's token, with which alone a request may name its person."""

    def __init__(self, api: str, tokens: Mapping[str, str], console_token: str = "") -> None:
        self._api = api
        self._tokens = {actor: token.encode() for actor, token in tokens.items()}
        self._console = console_token.encode()

    @classmethod
    def of(cls, api: str, section: ApiSettings) -> Callers:
        """Those of the settings."""
        tokens = {actor: token.get_secret_value() for actor, token in section.tokens.items()}
        return cls(api, tokens, section.console_token.get_secret_value())

    def caller(self, headers: Headers) -> Caller:
        """Who asks. Raises RequestError for an unknown token, and for a name that this token may not give.

        Every token is compared whole, so that the time taken reveals nothing.
        """
        scheme, _, given = headers.get("Authorization", "").partition(" ")
        sent = given.strip().encode(errors="surrogateescape")
        actors = [actor for actor, token in self._tokens.items() if hmac.compare_digest(token, sent)]
        console = hmac.compare_digest(self._console, sent) and self._console != b""
        if not (actors or console) or scheme.lower() != "bearer":
            raise RequestError(401, f"send `Authorization: Bearer <token>` with a token of setting {self._api}.tokens")
        named = headers.get(ACTOR, "")
        if not console:
            if named:
                raise RequestError(400, f"{ACTOR} goes with {self._api}.console_token alone: a token is of one person")
            return Caller(actors[0], "api")
        return Caller(_name(named), "console")


def from_browser(headers: Headers) -> bool:
    """Whether a browser sent it: each names the page, or what it wants the answer for."""
    return any(headers.get(name, "") for name in _OF_BROWSERS)


def actor_header(name: str) -> dict[str, str]:
    """The header that names this person."""
    return {ACTOR: quote(name, safe="")}


def _name(sent: str) -> str:
    try:
        name = unquote(sent, errors="strict")
    except UnicodeDecodeError:
        name = ""
    if not name or name != name.strip() or len(name) > LONGEST or not name.isprintable():
        raise RequestError(400, f"the console names the person in {ACTOR}: up to {LONGEST} characters, percent-encoded")
    return name
