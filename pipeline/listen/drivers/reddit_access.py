"""Reddit's tokens: one an hour for each app, granted for its id and secret, and shared by all its sources."""

from __future__ import annotations

import asyncio
import base64
import re
from dataclasses import dataclass, field
from importlib.metadata import version

import orjson

from pipeline.http.answer import Answer
from pipeline.listen.api import parsed
from pipeline.listen.driver import Reach
from pipeline.listen.sources_file import Reddit
from pipeline.listen.states import Failed, NoCredentials, SourceError
from pipeline.sources.platforms.values import object_of
from schemas.untyped import JsonObject

RENEW_S = 120.0
"""A token is renewed so long before its end."""
HOUR_S = 3_600.0
_REASON = re.compile(r"[a-z_]{1,40}").fullmatch
_NAMES = re.compile(r"/r/([A-Za-z0-9_+]+)/").search


@dataclass
class _Token:
    """Of an app; never in a cursor."""

    text: str = field(default="", repr=False)
    until: float = 0.0
    """In seconds since 1970."""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)


class RedditAccess:
    """Requests with the app's token."""

    def __init__(self, source: Reddit, reach: Reach) -> None:
        """Raises NoCredentials without the app's secret."""
        if not (secret := reach.token.get_secret_value()):
            raise NoCredentials("token_env or token_file should hold the secret of the app")
        self._source, self._reach = source, reach
        self._basic = "Basic " + base64.b64encode(f"{source.client_id}:{secret}".encode()).decode()
        by = f" (by /u/{source.contact})" if source.contact else ""
        reach.api.headers["User-Agent"] = f"server:earshot.{source.client_id}:{version('earshot')}{by}"
        reach.api.judge = self._judged
        self._token = reach.shared.setdefault(f"reddit {source.login} {source.client_id}", _Token())

    async def get(self, path: str, query: dict[str, str]) -> JsonObject:
        """The answer's JSON object, its texts without HTML entities. Raises SourceError."""
        url, query = self._source.server + path, {**query, "raw_json": "1"}
        token = await self._valid()
        answer = await self._reach.api.get(url, query, {"Authorization": f"Bearer {token}"}, expect=(401,))
        if answer.status == 401:  # revoked before its end
            token = await self._valid(refused=token)
            answer = await self._reach.api.get(url, query, {"Authorization": f"Bearer {token}"})
        payload = parsed(answer)
        if not isinstance(payload, dict):
            raise Failed("the answer is no JSON object")
        return payload

    async def _valid(self, refused: str = "") -> str:
        shared = self._token
        assert isinstance(shared, _Token)
        async with shared.turn:
            if shared.text in ("", refused) or self._reach.timer.now() > shared.until - RENEW_S:
                shared.text, shared.until = await self._granted()
            return shared.text

    async def _granted(self) -> tuple[str, float]:
        """A new token, and its end."""
        headers = {"Authorization": self._basic, "Content-Type": "application/x-www-form-urlencoded"}
        url = f"{self._source.login}/api/v1/access_token"
        answer = await self._reach.api.send("POST", url, headers=headers, body=b"grant_type=client_credentials")
        grant = object_of(parsed(answer))
        token, lasts = grant.get("access_token"), grant.get("expires_in")
        if not isinstance(token, str) or not token:
            error = str(grant.get("error"))
            raise NoCredentials(f"Reddit grants no token: {error if _REASON(error) else 'its answer holds none'}")
        return token, self._reach.timer.now() + (lasts if isinstance(lasts, int | float) else HOUR_S)

    def _judged(self, answer: Answer, now: float) -> SourceError | None:
        if answer.url.startswith(f"{self._source.login}/api/v1/access_token") and answer.status in (400, 401):
            return NoCredentials(f"Reddit refuses client_id and the app's secret: status {answer.status}")
        named = _NAMES(answer.url)
        if named is None or answer.status not in (403, 404):
            return None
        try:
            reason = str(object_of(orjson.loads(answer.body)).get("reason"))
        except orjson.JSONDecodeError:
            return None
        which = f"{'one of ' if '+' in named[1] else ''}r/{named[1]}"
        if answer.status == 404:
            return Failed(f"{which}: {reason if _REASON(reason) else 'there is no such subreddit'} (status 404)")
        return NoCredentials(f"{which}: {reason} (status 403)") if _REASON(reason) else None
