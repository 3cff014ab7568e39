"""X's API v2 on loopback: recent search, the filtered stream and its rules.

A query is a word; it matches the posts with that word in their text. Search and stream give the newest version of a post.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from itertools import count

import orjson
from aiohttp import web

from pipeline.listen.drivers.twitter_times import id_at, time_at
from pipeline.listen.timer import text_of
from schemas.untyped import JsonObject
from tests.support.platform_server import Faults, Item, PlatformServer, World

TOKEN = "bearer-of-the-app"
SPAN_S = 7 * 86_400
PROBLEMS = "https://api.x.com/2/problems/"
_MACHINES = count()
RECENT, STREAM, RULES = "/2/tweets/search/recent", "/2/tweets/search/stream", "/2/tweets/search/stream/rules"


class TwitterServer(PlatformServer):
    """One app, with one connection to the stream. `reads` counts the posts that X would bill."""

    def __init__(self, world: World | None = None, faults: Faults | None = None) -> None:
        super().__init__(world, faults)
        self.versions: dict[int, list[str]] = {}
        """The ids of each item, oldest first: of what was there, by its time; else by the time when it came."""
        self.rules: dict[str, JsonObject] = {}
        self.connections = self.reads = 0
        self.blank_s = 20.0
        self.search_lag_s = 0.0
        """The search does not find younger posts."""
        self.forgets_tokens = self.repeats = False
        self.problem: tuple[int, JsonObject] | None = None
        """The answer to each request."""
        self._newest, self._machine = 0, next(_MACHINES) % 1_024 << 12
        """In the low bits of an id, so that posts of one millisecond differ: two servers are two parts of one X."""
        self._lock = threading.Lock()
        self._streams: list[asyncio.Queue[bytes | None]] = []
        for item in sorted(self.world.items().values(), key=lambda item: item.created_at):
            self._name(item, item.created_at)
        self.world.follow(self._changed)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(RECENT, self._recent),
            web.get(STREAM, self._stream),
            web.get(RULES, self._read_rules),
            web.post(RULES, self._write_rules),
        ]

    def line(self, text: bytes | None) -> None:
        """Sends a line to all connections; None ends them."""
        for each in list(self._streams):
            self._loop.call_soon_threadsafe(each.put_nowait, text)

    def put_rule(self, value: str, tag: str) -> str:
        """A rule of somebody else; its id."""
        name = str(len(self.requests) + len(self.rules) + 1_000)
        self.rules[name] = {"id": name, "value": value, "tag": tag}
        return name

    # --- the world ----------------------------------------------------------------------------------------------------
    def _name(self, item: Item, at: float) -> None:
        with self._lock:
            self._newest = max(self._newest + 1, int(id_at(at)) | self._machine)
            self.versions.setdefault(item.number, []).append(str(self._newest))

    def _changed(self, item: Item, kind: str) -> None:
        if kind in ("create", "edit"):
            self._name(item, max(time.time(), item.created_at))
            matching = [{"id": rule["id"], "tag": rule["tag"]} for rule in self.rules.values() if _matches(rule["value"], item)]
            if matching:
                frame = {"data": self._post(item), "includes": _includes([item]), "matching_rules": matching}
                self.line(orjson.dumps(frame))

    def _post(self, item: Item) -> JsonObject:
        versions = self.versions[item.number]
        return {
            "id": versions[-1],
            "edit_history_tweet_ids": versions,
            "created_at": text_of(item.edited_at or item.created_at),
            "author_id": _author_id(item),
            "conversation_id": versions[0],
            "text": item.text,
            "lang": "en",
            "public_metrics": {"like_count": item.likes, "retweet_count": 0, "reply_count": 0, "quote_count": 0},
        }

    # --- search -------------------------------------------------------------------------------------------------------
    async def _recent(self, request: web.Request) -> web.Response:
        if (refused := self._refused(request)) is not None:
            return refused
        asked = request.query
        edge = time.time() - SPAN_S
        for limit in ("since_id", "until_id"):
            if limit in asked and time_at(asked[limit]) < edge:
                return _invalid(limit, f"'{limit}' must be a tweet id created after {text_of(edge)}")
        if self.forgets_tokens and "next_token" in asked:
            return _invalid("next_token", "the token is not known")
        if not 10 <= int(asked["max_results"]) <= 100:
            return _invalid("max_results", "10 to 100")
        before = [int(asked["until_id"])] if "until_id" in asked else []
        if "next_token" in asked and not self.repeats:
            before.append(int(asked["next_token"].removeprefix("below")))
        after = max(int(asked.get("since_id", "0")), int(id_at(edge)))
        found = [
            item
            for item in self._newest_first()
            if _matches(asked["query"], item)
            and after < int(name := self.versions[item.number][-1]) < min(before, default=1 << 63)
            and time_at(name) <= time.time() - self.search_lag_s
        ]
        most = int(asked["max_results"])
        return self._answered(found[:most], more=len(found) > most)

    def _newest_first(self) -> list[Item]:
        return sorted(self.world.newest(), key=lambda item: -int(self.versions[item.number][-1]))

    def _answered(self, items: list[Item], more: bool) -> web.Response:
        self.reads += len(items)
        meta: JsonObject = {"result_count": len(items)}
        if not items:
            return _json(200, {"meta": meta})
        posts = [self._post(item) for item in items]
        meta |= {"newest_id": posts[0]["id"], "oldest_id": posts[-1]["id"]}
        if more:
            meta["next_token"] = f"below{posts[-1]['id']}"
        return _json(200, {"data": posts, "includes": _includes(items), "meta": meta})

    # --- stream -------------------------------------------------------------------------------------------------------
    async def _stream(self, request: web.Request) -> web.StreamResponse:
        if (refused := self._refused(request)) is not None:
            return refused
        issue = {"title": "ConnectionException", "type": f"{PROBLEMS}streaming-connection"}
        if not self.rules:
            return _json(
                409, {**issue, "connection_issue": "RuleConfigurationIssue", "detail": "Subscribed without any rules."}
            )
        if self._streams:
            return _json(429, {**issue, "connection_issue": "TooManyConnections", "detail": "At the limit."})
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        lines: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._streams.append(lines)
        self.connections += 1
        try:
            with suppress(ConnectionError):
                await self._send(response, lines)
        finally:
            self._streams.remove(lines)
        return response

    async def _send(self, response: web.StreamResponse, lines: asyncio.Queue[bytes | None]) -> None:
        while True:
            try:
                line = await asyncio.wait_for(lines.get(), self.blank_s)
            except TimeoutError:
                line = b""
            if line is None:
                return
            self.reads += line.startswith(b'{"data"')
            await response.write(line + b"\r\n")

    # --- rules --------------------------------------------------------------------------------------------------------
    async def _read_rules(self, request: web.Request) -> web.Response:
        if (refused := self._refused(request)) is not None:
            return refused
        data = {"data": [*self.rules.values()]} if self.rules else {}
        return _json(200, {**data, "meta": {"sent": text_of(time.time()), "result_count": len(self.rules)}})

    async def _write_rules(self, request: web.Request) -> web.Response:
        if (refused := self._refused(request)) is not None:
            return refused
        change = await request.json()
        for name in change.get("delete", {}).get("ids", ()):
            self.rules.pop(name)
        added, errors = [], list[JsonObject]()
        for rule in change.get("add", ()):
            same = [each["id"] for each in self.rules.values() if each["value"] == rule["value"]]
            if same or "(" in rule["value"]:
                title = "DuplicateRule" if same else "UnprocessableEntity"
                kind = "duplicate-rules" if same else "invalid-rules"
                known = {"id": same[0]} if same else {"details": ["the rule"]}
                errors.append({"value": rule["value"], **known, "title": title, "type": PROBLEMS + kind})
                continue
            added.append(self.rules[self.put_rule(rule["value"], rule["tag"])])
        meta = {"sent": text_of(time.time()), "summary": {"created": len(added), "not_created": len(errors)}}
        parts = {"data": added, "errors": errors}
        return _json(201 if added else 200, {"meta": meta, **{name: part for name, part in parts.items() if part}})

    def _refused(self, request: web.Request) -> web.Response | None:
        if self.problem is not None:
            return _json(*self.problem)
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return _json(401, {"title": "Unauthorized", "type": "about:blank", "status": 401, "detail": "Unauthorized"})
        return None


def _matches(query: str, item: Item) -> bool:
    return query in item.text


def _author_id(item: Item) -> str:
    return str(int.from_bytes(item.author.encode()[:7]))


def _includes(items: Iterable[Item]) -> JsonObject:
    authors = {item.author: _author_id(item) for item in items}
    counts = {"followers_count": 3, "following_count": 1, "tweet_count": 9, "listed_count": 0}
    return {
        "users": [
            {"id": name, "username": author, "name": author.title(), "public_metrics": counts}
            for author, name in authors.items()
        ]
    }


def _invalid(name: str, message: str) -> web.Response:
    errors = [{"parameters": {name: ["..."]}, "message": message}]
    return _json(400, {"errors": errors, "title": "Invalid Request", "type": f"{PROBLEMS}invalid-request"})


def _json(status: int, body: JsonObject) -> web.Response:
    headers = {"x-rate-limit-limit": "450", "x-rate-limit-remaining": "449", "x-rate-limit-reset": str(int(time.time()) + 900)}
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/json", headers=headers)
