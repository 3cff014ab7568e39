"""Google Play, by polls of reviews.list, with a service account: its key signs an assertion, for which Google gives a token."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlencode

import orjson
from joserfc import jwt
from joserfc.jwk import RSAKey

from pipeline.http.answer import Answer
from pipeline.listen.api import parsed
from pipeline.listen.driver import Reach
from pipeline.listen.drivers.reviews import UNUSABLE, Listed, ReviewDriver
from pipeline.listen.sources_reviews import GooglePlay
from pipeline.listen.states import Failed, NoCredentials, SourceError, Waiting
from pipeline.sources.platforms.google_play import observe
from pipeline.sources.platforms.observation import Observation, Origin, Unreadable
from pipeline.sources.platforms.values import id_of, object_of, objects_of
from schemas.untyped import JsonObject

PAGE, HOUR_S, DAY_S = 100, 3_600.0, 86_400.0
RENEW_S = 120.0
"""A token is renewed so long before its end."""
BUSY_S = 60.0
SCOPE = "https://www.googleapis.com/auth/androidpublisher"
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_QUOTA = frozenset({"quotaExceeded", "dailyLimitExceeded"})
_RATE = frozenset({"rateLimitExceeded", "userRateLimitExceeded", "RESOURCE_EXHAUSTED"})
_WORD = re.compile(r"[A-Za-z_]{1,40}").fullmatch
_LONGEST_TOKEN = 2_000


@dataclass
class _Token:
    """Of a service account; never in a cursor."""

    text: str = field(default="", repr=False)
    until: float = 0.0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)


class GooglePlayDriver(ReviewDriver):
    """An app on Google Play."""

    what, kept_s, whole_s = "Google Play gives reviews of the last week", 7 * DAY_S, DAY_S

    def __init__(self, source: GooglePlay, reach: Reach) -> None:
        """Raises NoCredentials where the token is no key of a service account."""
        super().__init__(reach, source.own_accounts())
        self._source = source
        self._account, self._key = _service_account(reach.token.get_secret_value())
        reach.api.judge = self._judged
        self._token = reach.shared.setdefault(f"google_play {source.login} {self._account}", _Token())

    async def page(self, after: str) -> Listed:
        """A page of up to 100 reviews."""
        payload = await self._get({"maxResults": str(PAGE)} | ({"token": after} if after else {}))
        reviews = payload.get("reviews", [])
        if not isinstance(reviews, list):
            raise Failed("the answer is no list of reviews")
        times = list[str]()
        with suppress(Unreadable):  # which of its reviews the runner says
            seen = [each for each in observe(payload, Origin()) if isinstance(each, Observation)]
            times = [each.at for each in seen if each.at and each.event["kind"] == "review"]
        following = object_of(payload.get("tokenPagination")).get("nextPageToken")
        usable = isinstance(following, str) and len(following) <= _LONGEST_TOKEN and following.isascii()
        first = id_of(object_of(reviews[0] if reviews else None).get("reviewId")) or ""
        return Listed(payload, first[:_LONGEST_TOKEN], times, str(following) if usable else "")

    async def check(self) -> str:
        """How many reviews the newest page has."""
        found = await self.page("")
        return f"{self._source.package}: {len(found.times)} reviews on the newest page, as {self._account} sees it"

    async def _get(self, query: dict[str, str]) -> JsonObject:
        url = f"{self._source.server}/androidpublisher/v3/applications/{self._source.package}/reviews"
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
        now = int(self._reach.timer.now())
        claims = {"iss": self._account, "scope": SCOPE, "aud": self._source.login, "iat": now, "exp": now + int(HOUR_S)}
        body = urlencode({"grant_type": _GRANT, "assertion": jwt.encode({"alg": "RS256"}, claims, self._key)})
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = await self._reach.api.send("POST", self._source.login, headers=headers, body=body.encode())
        grant = object_of(parsed(answer))
        token, lasts = grant.get("access_token"), grant.get("expires_in")
        if not isinstance(token, str) or not (token.isascii() and token.isprintable() and token):
            raise NoCredentials("Google grants no token: its answer holds none")
        return token, now + (lasts if isinstance(lasts, int | float) else HOUR_S)

    def _judged(self, answer: Answer, now: float) -> SourceError | None:
        body = _body(answer)
        if answer.url.startswith(self._source.login) and answer.status in (400, 401, 403):
            name = str(body.get("error"))
            kind = name if _WORD(name) else f"status {answer.status}"
            return NoCredentials(f"Google refuses the service account's key, or our clock is wrong: {kind}")
        error = object_of(body.get("error"))
        named = [*(each.get("reason") for each in objects_of(error.get("errors"))), error.get("status")]
        reasons = {reason for reason in named if isinstance(reason, str)}
        said = ", ".join(sorted(filter(_WORD, reasons)))
        waits = HOUR_S if reasons & _QUOTA else BUSY_S if reasons & _RATE or answer.status == 429 else 0.0
        if waits and "retry-after" not in answer.headers:
            return Waiting(f"Google's quota is used up: {said or f'status {answer.status}'}", now + waits)
        if answer.status == 403 and not waits:
            return NoCredentials(f"{self._account} may not read the reviews of {self._source.package}: {said or 'status 403'}")
        return Failed(f"{self._source.package}: there is no such app (status 404)") if answer.status == 404 else None


def _service_account(key_file: str) -> tuple[str, RSAKey]:
    """Its address, and its private key. Raises NoCredentials."""
    try:
        found = object_of(orjson.loads(key_file))
        account = str(found["client_email"])
        key = RSAKey.import_key(str(found["private_key"]))
    except UNUSABLE:
        raise NoCredentials(
            "token_file should be the JSON key of a service account, with client_email and private_key"
        ) from None
    if not (account.isprintable() and len(account) <= 200 and key.is_private):
        raise NoCredentials("the key of the service account is not a whole one")
    return account, key


def _body(answer: Answer) -> JsonObject:
    try:
        return object_of(orjson.loads(answer.body))
    except orjson.JSONDecodeError:
        return {}


def make(source: GooglePlay, reach: Reach) -> GooglePlayDriver:
    """The driver of an app on Google Play. Raises NoCredentials."""
    return GooglePlayDriver(source, reach)
