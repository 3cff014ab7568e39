"""A token endpoint on loopback, as Google and Microsoft have one: it refreshes access tokens, and says to whom they belong."""

from __future__ import annotations

from urllib.parse import parse_qs

from aiohttp import web

from tests.support.imap import USER
from tests.support.platform_server import PlatformServer

REFRESH, CLIENT, SECRET = "1//refresh-0123", "app-1", "app-s3cret"
ACCESS = "ya29.access-%d"


class TokenServer(PlatformServer):
    """`/token` takes REFRESH of CLIENT with SECRET; `refusal` is then its answer instead."""

    refusal: web.Response | None = None
    granted = 0
    refresh_lasts_s: float | None = None

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/token", self._token), web.get("/who", self._who)]

    async def _token(self, request: web.Request) -> web.Response:
        asked = {name: values[0] for name, values in parse_qs(await request.text()).items()}
        if self.refusal is not None:
            return self.refusal
        if (asked.get("client_id"), asked.get("client_secret")) != (CLIENT, SECRET):
            return refused("invalid_client", f"no app {asked.get('client_id')}", 401)
        if asked.get("grant_type") != "refresh_token" or asked.get("refresh_token") != REFRESH:
            return refused("invalid_grant", f"Token {asked.get('refresh_token')} has been expired or revoked.")
        self.granted += 1
        lasts = {} if self.refresh_lasts_s is None else {"refresh_token_expires_in": self.refresh_lasts_s}
        grant = {"access_token": ACCESS % self.granted, "expires_in": 3599, "token_type": "Bearer"}
        return web.json_response(grant | lasts)

    async def _who(self, request: web.Request) -> web.Response:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token == ACCESS % self.granted:
            return web.json_response({"active": True, "username": USER})
        return web.json_response({"active": False}, status=401)


def refused(error: str, words: str, status: int = 400) -> web.Response:
    """An answer of RFC 6749, 5.2."""
    return web.json_response({"error": error, "error_description": words}, status=status)
