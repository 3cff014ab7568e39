"""The App Store, by polls of customerReviews, with tokens that a key of App Store Connect signs for twenty minutes at most."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import orjson
from joserfc import jwt
from joserfc.jwk import ECKey

from pipeline.http.answer import Answer
from pipeline.listen.api import parsed
from pipeline.listen.driver import Reach
from pipeline.listen.drivers.reviews import UNUSABLE, Listed, ReviewDriver
from pipeline.listen.sources_reviews import AppStore
from pipeline.listen.states import Failed, NoCredentials, SourceError, Waiting
from pipeline.monitoring import source_metrics
from pipeline.sources.platforms.values import id_of, object_of, objects_of, time_of
from schemas.untyped import JsonObject

PAGE = 200
LASTS_S, RENEW_S = 900, 60.0
"""Apple takes tokens of up to twenty minutes; how long before its end one is renewed."""
REGAIN_S = 600.0
"""How long to wait for a limit: Apple counts the requests of the last hour, and does not say when it takes more."""
_LEFT = re.compile(r"user-hour-rem:(\d{1,9})").search
_CODE = re.compile(r"[A-Z_]{1,60}(?:\.[A-Z_]{1,60}){0,4}").fullmatch
_LONGEST = 2_000


class AppStoreDriver(ReviewDriver):
    """An app in the App Store."""

    what = "the App Store"

    def __init__(self, source: AppStore, reach: Reach) -> None:
        """Raises NoCredentials where the token is no key of App Store Connect."""
        super().__init__(reach, source.own_accounts())
        self._source, self._key = source, _key(reach.token.get_secret_value())
        self._until = 0.0
        reach.api.judge = self._judged

    async def page(self, after: str) -> Listed:
        """A page of up to 200 reviews, with what was answered."""
        query = {"sort": "-createdDate", "limit": str(PAGE), "include": "response"} | ({"cursor": after} if after else {})
        url = f"{self._source.server}/v1/apps/{self._source.app}/customerReviews"
        answer = await self._reach.api.get(url, query, {"Authorization": f"Bearer {self._token()}"})
        self._note(answer)
        payload = parsed(answer)
        reviews = payload.get("data") if isinstance(payload, dict) else None
        if not isinstance(payload, dict) or not isinstance(reviews, list):
            raise Failed("the answer is no list of reviews")
        written = [time_of(object_of(each.get("attributes")).get("createdDate")) for each in objects_of(reviews)]
        first = id_of(object_of(reviews[0] if reviews else None).get("id")) or ""
        return Listed(payload, first[:_LONGEST], [time for time in written if time], _after(payload))

    async def check(self) -> str:
        """How many reviews the newest page has."""
        found = await self.page("")
        newest = f", the last of {max(found.times)}" if found.times else ""
        return f"app {self._source.app}: {len(found.times)} reviews on the newest page{newest}"

    def _token(self) -> str:
        now = self._reach.timer.now()
        if not 0.0 < self._until - now - RENEW_S <= LASTS_S:
            self._until = now + LASTS_S
            claims: JsonObject = {"iat": int(now), "exp": int(self._until), "aud": "appstoreconnect-v1"}
            claims |= {"iss": self._source.issuer} if self._source.issuer else {"sub": "user"}
            self._signed = jwt.encode({"alg": "ES256", "kid": self._source.key_id, "typ": "JWT"}, claims, self._key)
        return self._signed

    def _note(self, answer: Answer) -> None:
        """Apple's header is not as others'."""
        if (found := _LEFT(answer.headers.get("x-rate-limit", ""))) is None:
            return
        self._reach.api.limit.left = left = float(found[1])
        source_metrics.BUDGET.labels(self._reach.api.source).set(left)
        if left < 1:
            self._reach.api.wait("its rate limit is used up", REGAIN_S)

    def _judged(self, answer: Answer, now: float) -> SourceError | None:
        try:
            errors = objects_of(object_of(orjson.loads(answer.body)).get("errors"))
        except orjson.JSONDecodeError:
            errors = []
        code = next((code for each in errors if isinstance(code := each.get("code"), str) and _CODE(code)), "")
        said = f"{code}, status {answer.status}" if code else f"status {answer.status}"
        if answer.status == 401:
            return NoCredentials(f"Apple refuses the key, key_id or issuer, or our clock is wrong: {said}")
        if answer.status == 403:
            return NoCredentials(f"the key may not read the reviews of app {self._source.app}: {said}")
        if answer.status == 404:
            return Failed(f"there is no app {self._source.app} for this key: {said}")
        if answer.status == 429 and "retry-after" not in answer.headers:
            return Waiting(f"Apple's rate limit is used up: {said}", now + REGAIN_S)
        return None


def _after(payload: JsonObject) -> str:
    """The cursor in the link to the next page; the link itself may lead anywhere."""
    link = object_of(payload.get("links")).get("next")
    try:
        cursors = parse_qs(urlsplit(link).query).get("cursor", []) if isinstance(link, str) else []
    except ValueError:
        return ""
    return cursors[0] if cursors and len(cursors[0]) <= _LONGEST else ""


def _key(written: str) -> ECKey:
    """Raises NoCredentials."""
    try:
        key = ECKey.import_key(written.replace("\\n", "\n"))
        usable = key.is_private and key.curve_name == "P-256"
    except UNUSABLE:
        raise NoCredentials("token_file should be the key that App Store Connect gave, AuthKey_....p8") from None
    if not usable:
        raise NoCredentials("the key is no private key of App Store Connect")
    return key


def make(source: AppStore, reach: Reach) -> AppStoreDriver:
    """The driver of an app in the App Store. Raises NoCredentials."""
    return AppStoreDriver(source, reach)
