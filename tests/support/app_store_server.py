"""App Store Connect on loopback: tokens that a key signed, pages of reviews with answers, limits."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from functools import cache

from aiohttp import web
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from schemas.untyped import JsonObject
from tests.support.platform_server import Faults, Item, PlatformServer, World

APP, KEY_ID, ISSUER = "1234567890", "2X9R4HXF34", "57246542-96fe-1a63-e053-0824d011072a"


@cache
def key() -> ECKey:
    """The one that App Store Connect gave."""
    return ECKey.generate_key("P-256")


@cache
def key_file() -> str:
    """AuthKey_2X9R4HXF34.p8."""
    return key().as_pem(private=True).decode()


class AppStoreServer(PlatformServer):
    """Reviews by their last change; a world's item by `us` answers the review that its text names."""

    def __init__(self, world: World | None = None, faults: Faults | None = None) -> None:
        super().__init__(world, faults)
        self.error: tuple[int, str] | None = None
        """Status and code of the answers."""
        self.left = 3_599
        self.repeats = 0
        """So many of the following pages are the newest one."""
        self.elsewhere = ""
        """Where the link to the next page leads; blank: here."""
        self.tokens: set[str] = set()

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/v1/apps/{app}/customerReviews", self._reviews)]

    async def _reviews(self, request: web.Request) -> web.Response:
        if self.error is not None:
            return self._failed(*self.error)
        if (code := self._refusal(request)) is not None:
            return self._failed(401, code)
        if request.match_info["app"] != APP:
            return self._failed(404, "NOT_FOUND")
        assert (request.query["sort"], request.query["include"]) == ("-createdDate", "response")
        items = [item for item in self.world.newest() if item.author != "us"]
        items.sort(key=lambda item: (-_changed(item), -item.number))
        after, most = request.query.get("cursor", ""), int(request.query["limit"])
        if after and self.repeats:
            self.repeats -= 1
            after = ""
        first = int(after or 0)
        shown = items[first : first + most]
        answers = {item.number: self._answers(item) for item in shown}
        page: JsonObject = {
            "data": [_review(item, answers[item.number]) for item in shown],
            "included": [_answer(each) for found in answers.values() for each in found],
            "links": {"self": f"{self.url}{request.path}"},
            "meta": {"paging": {"total": len(items), "limit": most}},
        }
        if items[first + most :]:
            page["links"]["next"] = f"{self.elsewhere or self.url}{request.path}?cursor={first + most}&limit={most}"
        return web.json_response(page, headers={"X-Rate-Limit": f"user-hour-lim:3600;user-hour-rem:{self.left};"})

    def _refusal(self, request: web.Request) -> str | None:
        written = request.headers.get("Authorization", "").removeprefix("Bearer ")
        self.tokens.add(written)
        try:
            token = jwt.decode(written, key(), algorithms=["ES256"])
        except (ValueError, JoseError):
            return "NOT_AUTHORIZED"
        claims = token.claims
        right = claims.get("iss") == ISSUER and claims["aud"] == "appstoreconnect-v1" and token.header["kid"] == KEY_ID
        return None if right and time.time() - 60 < claims["exp"] <= claims["iat"] + 1_200 else "NOT_AUTHORIZED"

    def _failed(self, status: int, code: str) -> web.Response:
        error = {"id": "a", "status": str(status), "code": code, "title": "No", "detail": "A person's words"}
        return web.json_response({"errors": [error]}, status=status)

    def _answers(self, item: Item) -> list[Item]:
        return [each for each in self.world.newest() if each.author == "us" and each.text.endswith(f" {item.number}")]


def _review(item: Item, answers: list[Item]) -> JsonObject:
    says = {"rating": 2, "title": "A kettle", "body": item.text, "reviewerNickname": "ines", "territory": "DEU"}
    review: JsonObject = {
        "type": "customerReviews",
        "id": str(item.number),
        "attributes": says | {"createdDate": _time(_changed(item))},
    }
    if answers:
        review["relationships"] = {"response": {"data": {"type": "customerReviewResponses", "id": f"a{answers[0].number}"}}}
    return review


def _answer(item: Item) -> JsonObject:
    says = {"responseBody": item.text, "lastModifiedDate": _time(_changed(item)), "state": "PUBLISHED"}
    return {"type": "customerReviewResponses", "id": f"a{item.number}", "attributes": says}


def _changed(item: Item) -> float:
    return item.edited_at or item.created_at


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), timezone(timedelta(hours=-8))).isoformat()
