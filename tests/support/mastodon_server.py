"""Mastodon on loopback: timelines with min_id, since_id and max_id, the stream, tokens, limits of the rate."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import cycle

import orjson
from aiohttp import web

from schemas.untyped import JsonObject
from tests.support.platform_server import Item
from tests.support.streaming_server import StreamingServer

FIRST_ID = 113_000_000_000_000_000
"""Ids are large numbers, as on the real servers: this one and an item's number."""
FRAMES = {"create": "update", "edit": "status.update", "delete": "delete"}


class MastodonServer(StreamingServer):
    """All timelines hold all items; of an item's author, a host behind @ is another server."""

    token = ""
    """What requests must carry, if they need a token; blank: none is needed."""
    streams_to_all = True
    shows_to_all = True
    kept = 10_000
    """Statuses that a timeline holds."""
    streaming = ""
    """The host that streams; blank: this one."""
    left = 300
    """Requests until the rate limit; at 0 the answer is 429."""
    reset = "2026-01-01T00:00:00.000000Z"

    def routes(self) -> list[web.RouteDef]:
        self.urls: list[str] = []
        self.world.follow(self._changed)
        return [
            web.get("/api/v2/instance", self._instance),
            web.get("/api/v1/timelines/{name:public|home|tag/.+}", self._timeline),
            web.get("/api/v1/accounts/verify_credentials", self._account),
            web.get("/api/v1/streaming", self._stream),
        ]

    def play_statuses(self, statuses: Sequence[JsonObject], rate: float, seconds: float) -> list[tuple[str, float]]:
        """Streams these statuses again and again, with ids and times of their own; the id of each and when it was sent. They
        are in no timeline."""
        sent: list[tuple[str, float]] = []
        self.play(_renewed(statuses, int(rate * seconds)), rate, lambda frame, at: sent.append((_id(frame), at)))
        return sent

    # --- what happens ---------------------------------------------------------------------------------------------------
    def _changed(self, item: Item, kind: str) -> None:
        if kind in FRAMES:
            payload = str(FIRST_ID + item.number) if kind == "delete" else self.status(item)
            self.add({"stream": ["public"], "event": FRAMES[kind], "payload": payload})

    def status(self, item: Item) -> JsonObject:
        """The item as a Status."""
        name, _, host = item.author.partition("@")
        home = f"https://{host}" if host else self.url
        account = {"id": f"9{len(name)}", "username": name, "acct": item.author, "display_name": name, "url": f"{home}/@{name}"}
        return {
            "id": str(FIRST_ID + item.number),
            "created_at": _time(item.created_at),
            "edited_at": _time(item.edited_at) if item.edited_at else None,
            "in_reply_to_id": None,
            "visibility": "public",
            "language": "en",
            "uri": f"{home}/users/{name}/statuses/{item.number}",
            "url": f"{home}/@{name}/{item.number}",
            "content": f"<p>{item.text}</p>",
            "favourites_count": item.likes,
            "reblogs_count": 0,
            "replies_count": 0,
            "reblog": None,
            "account": account,
            "mentions": [],
            "tags": [],
        }

    # --- the API --------------------------------------------------------------------------------------------------------
    def _refused(self, request: web.Request, to_all: bool) -> web.Response | None:
        self.urls.append(str(request.rel_url))
        given = request.headers.get("Authorization", "")
        if (given or not to_all) and given != f"Bearer {self.token}":
            return web.json_response({"error": "The access token is invalid"}, status=401)
        return None

    async def _instance(self, request: web.Request) -> web.Response:
        base = self.streaming or self.url.replace("http", "ws", 1)
        return web.json_response({"domain": "toot.example", "configuration": {"urls": {"streaming": base}}})

    async def _account(self, request: web.Request) -> web.Response:
        return self._refused(request, False) or web.json_response({"id": "7", "acct": "northwind"})

    async def _timeline(self, request: web.Request) -> web.Response:
        to_all = self.shows_to_all and request.match_info["name"] != "home"
        if refused := self._refused(request, to_all):
            return refused
        self.left -= 1
        headers = {"X-RateLimit-Limit": "300", "X-RateLimit-Remaining": str(max(0, self.left)), "X-RateLimit-Reset": self.reset}
        if self.left < 0:
            return web.json_response({"error": "Too many requests"}, status=429, headers=headers)
        query = {name: int(value) for name, value in request.query.items() if name.endswith("_id")}
        limit = min(40, int(request.query.get("limit", "20")))
        before, after = query.get("max_id"), query.get("min_id", query.get("since_id"))
        held = self.world.newest()[: self.kept]
        found = [
            item
            for item in held
            if (before is None or FIRST_ID + item.number < before) and (after is None or FIRST_ID + item.number > after)
        ]
        page = found[-limit:] if "min_id" in query else found[:limit]
        if page:
            older, newer = FIRST_ID + page[-1].number, FIRST_ID + page[0].number
            url = f"{self.url}{request.path}"
            headers["Link"] = f'<{url}?max_id={older}>; rel="next", <{url}?min_id={newer}>; rel="prev"'
        return web.json_response([self.status(item) for item in page], headers=headers)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        to_all = self.streams_to_all and request.query.get("stream") != "user"
        if refused := self._refused(request, to_all):
            return refused
        first = len(self.frames)
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        await self.follow(socket, first, _text)
        return socket


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _renewed(statuses: Sequence[JsonObject], number: int) -> Iterator[object]:
    for each, status in zip(range(number), cycle(statuses), strict=False):
        fields = {"id": str(FIRST_ID + 1_000_000 + each), "created_at": _time(time.time()), "edited_at": None, "reblog": None}
        yield {"stream": ["public"], "event": "update", "payload": {**status, **fields}}


def _id(frame: object) -> str:
    assert isinstance(frame, dict)
    return str(frame["payload"]["id"])


def _text(frame: object) -> str:
    """As it is sent: the payload is a text."""
    if isinstance(frame, str):
        return frame
    if isinstance(frame, dict) and isinstance(frame.get("payload"), dict):
        frame = {**frame, "payload": orjson.dumps(frame["payload"]).decode()}
    return orjson.dumps(frame).decode()
