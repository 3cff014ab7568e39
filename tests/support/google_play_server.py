"""Google Play on loopback: tokens for a service account's assertion, pages of reviews of the last week, quotas."""

from __future__ import annotations

import json
import time
from functools import cache
from urllib.parse import parse_qs

from aiohttp import web
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from schemas.untyped import JsonObject
from tests.support.platform_server import Faults, Item, PlatformServer, World

ACCOUNT, PACKAGE, WEEK_S = "earshot@acme.example", "com.acme.kettle", 7 * 86_400.0


@cache
def key() -> RSAKey:
    """The service account's."""
    return RSAKey.generate_key(2048)


@cache
def key_file() -> str:
    """As Google's console gives it."""
    return json.dumps(
        {"type": "service_account", "client_email": ACCOUNT, "private_key": key().as_pem(private=True).decode()}, indent=2
    )


class GooglePlayServer(PlatformServer):
    """`/token`, and reviews by their last change; a world's item by `us` answers the review that its text names."""

    def __init__(self, world: World | None = None, faults: Faults | None = None) -> None:
        super().__init__(world, faults)
        self.tokens: list[str] = []
        """Granted; to revoke one, take it out."""
        self.granted = 0
        self.error: tuple[int, JsonObject] | None = None
        """Status and error of the reviews."""
        self.shuffled = False
        """Whether the newest review is on the last page."""
        self.ahead = 0.0
        """Of the server's clock."""
        self.has_clock = True
        """Whether an assertion has to be of now."""
        self.repeats = 0
        """So many of the following pages are the newest one."""

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/token", self._grant),
            web.get("/androidpublisher/v3/applications/{package}/reviews", self._reviews),
        ]

    async def _grant(self, request: web.Request) -> web.Response:
        (assertion,) = parse_qs(await request.text())["assertion"]
        try:
            token = jwt.decode(assertion, key(), algorithms=["RS256"])
        except (ValueError, JoseError):
            return web.json_response({"error": "invalid_grant", "error_description": f"Bad {assertion}"}, status=400)
        claims, now = token.claims, time.time() + self.ahead
        assert claims["scope"] == "https://www.googleapis.com/auth/androidpublisher" and claims["aud"] == f"{self.url}/token"
        if claims["iss"] != ACCOUNT or not (
            claims["iat"] - 300 < now < claims["exp"] <= claims["iat"] + 3_600 or not self.has_clock
        ):
            return web.json_response({"error": "invalid_grant"}, status=400)
        self.granted += 1
        self.tokens.append(f"ya29.token-{self.granted}")
        return web.json_response({"access_token": self.tokens[-1], "expires_in": 3599, "token_type": "Bearer"})

    async def _reviews(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens:
            return web.json_response({"error": {"code": 401, "status": "UNAUTHENTICATED"}}, status=401)
        if self.error is not None:
            return web.json_response({"error": self.error[1]}, status=self.error[0])
        if request.match_info["package"] != PACKAGE:
            return web.json_response({"error": {"code": 404, "status": "NOT_FOUND"}}, status=404)
        since = time.time() + self.ahead - WEEK_S
        items = sorted(self.world.newest(), key=lambda item: (-_changed(item), -item.number))
        items = [item for item in items if item.author != "us" and _changed(item) > since]
        items = [*items[1:], *items[:1]] if self.shuffled else items
        token, most = request.query.get("token", ""), int(request.query["maxResults"])
        if token and self.repeats:
            self.repeats -= 1
            token = ""
        first = int(token or 0)
        page: JsonObject = {"reviews": [self._review(item) for item in items[first : first + most]]} if items else {}
        return web.json_response(
            page | ({"tokenPagination": {"nextPageToken": str(first + most)}} if items[first + most :] else {})
        )

    def _review(self, item: Item) -> JsonObject:
        user = {
            "text": f"\t{item.text}", "lastModified": _time(_changed(item)), "starRating": 2, "reviewerLanguage": "en",
            "thumbsUpCount": item.likes,
        }  # fmt: skip
        answers = [each for each in self.world.newest() if each.author == "us" and each.text.endswith(f" {item.number}")]
        said = [{"developerComment": {"text": each.text, "lastModified": _time(_changed(each))}} for each in answers]
        return {"reviewId": f"r{item.number}", "authorName": "Ines", "comments": [{"userComment": user}, *said]}


def _changed(item: Item) -> float:
    return item.edited_at or item.created_at


def _time(seconds: float) -> JsonObject:
    return {"seconds": str(int(seconds)), "nanos": int(seconds % 1 * 1e9)}
