"""VK on loopback: the Bots Long Poll with its failures, wall.get and wall.getComments. The world's items whose text begins with
`re N:` are comments on post N, those with `m:` messages, the others posts."""

from __future__ import annotations

import asyncio
import re
from collections import Counter

from aiohttp import web

from schemas.untyped import JsonObject
from tests.support.ledger import STREAMS
from tests.support.platform_server import Faults, Item, PlatformServer, World

GROUP, TOKEN, SERVICE = 1234, "c0mmunity-key", "s3rvice-key"
_ON = re.compile(r"re (\d+):").match


class VkServer(PlatformServer):
    """One community. Events of the newest `kept` are there."""

    held_s = 0.2
    """How long a request without news is held, at most."""

    def __init__(self, world: World | None = None, faults: Faults | None = None) -> None:
        super().__init__(world, faults)
        self.events: list[JsonObject] = []
        self.kept = 10_000
        self.key = 1
        """Another one: the next request of the old one is answered by failed 2."""
        self.forgets = False
        """The next request is answered by failed 3."""
        self.error = 0
        """Of all methods."""
        self.off: set[str] = set()
        self.calls: Counter[str] = Counter()
        self.world.follow(self._changed)

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/method/{name}", self._method), web.get("/lp", self._poll)]

    def add(self, kind: str, body: JsonObject) -> None:
        """A new event."""
        self.events.append({"group_id": GROUP, "type": kind, "event_id": f"e{len(self.events)}", "v": "5.199", "object": body})

    def _changed(self, item: Item, kind: str) -> None:
        comment = _ON(item.text)
        if comment and kind == "delete":
            self.add("wall_reply_delete", {"owner_id": -GROUP, "id": item.number, "deleter_id": 9, "post_id": int(comment[1])})
        elif comment and kind in ("create", "edit"):
            body = _comment(item) | {"post_owner_id": -GROUP}
            self.add("wall_reply_new" if kind == "create" else "wall_reply_edit", body)
        elif item.text.startswith("m:") and kind == "create":
            message = {"id": item.number, "date": int(item.created_at), "peer_id": 7, "from_id": 7, "text": item.text, "out": 0}
            self.add("message_new", {"message": {**message, "conversation_message_id": item.number}, "client_info": {}})
        elif not comment and kind == "create":
            self.add("wall_post_new", {name: value for name, value in _post(item, []).items() if name != "likes"})

    async def _method(self, request: web.Request) -> web.Response:
        name, body = request.match_info["name"], await request.post()
        self.calls[name] += 1
        token = body["access_token"]
        assert body["v"] == "5.199"
        if self.error:
            return _error(self.error)
        if token not in (TOKEN, SERVICE):
            return _error(5)
        if name.startswith("wall.") and token != SERVICE:
            return _error(27)
        match name:
            case "groups.getLongPollServer":
                found: object = {"server": f"{self.url}/lp", "key": f"k{self.key}", "ts": str(len(self.events))}
            case "groups.getLongPollSettings":
                names = ("message_new", "message_reply", "message_edit", "wall_post_new", "wall_reply_new", "wall_reply_edit")
                events = {each: int(each not in self.off) for each in (*names, "wall_reply_delete")}
                found = {"is_enabled": "all" not in self.off, "events": events}
            case "wall.get":
                found = self._wall(int(str(body["offset"])), int(str(body["count"])))
            case "wall.getComments":
                return self._comments(int(str(body["post_id"])), int(str(body["offset"])), int(str(body["count"])))
            case other:
                raise AssertionError(other)
        return web.json_response({"response": found})

    def _wall(self, offset: int, count: int) -> JsonObject:
        items = self.world.newest()
        posts = [item for item in items if not _ON(item.text) and not item.text.startswith("m:")]
        shown = [_post(item, items) for item in posts[offset : offset + count]]
        return {"count": len(posts), "items": shown, "profiles": [_PROFILE], "groups": []}

    def _comments(self, post: int, offset: int, count: int) -> web.Response:
        if self.world.items()[post].deleted:
            return _error(15)
        items = [item for item in self.world.newest() if item.text.startswith(f"re {post}:")]
        shown = [_comment(item) | {"likes": {"count": item.likes}} for item in items[offset : offset + count]]
        return web.json_response({"response": {"count": len(items), "items": shown, "profiles": [_PROFILE], "groups": []}})

    async def _poll(self, request: web.Request) -> web.Response:
        self.calls["poll"] += 1
        first = int(request.query["ts"])
        if request.query["key"] != f"k{self.key}":
            return web.json_response({"failed": 2})
        if self.forgets:
            self.forgets, self.key = False, self.key + 1
            return web.json_response({"failed": 3})
        if first < len(self.events) - self.kept:
            return web.json_response({"failed": 1, "ts": len(self.events)})
        until = asyncio.get_running_loop().time() + min(self.held_s, float(request.query["wait"]))
        while len(self.events) <= first and asyncio.get_running_loop().time() < until:
            request[STREAMS] = True
            await asyncio.sleep(0.01)
        request[STREAMS] = False
        return web.json_response({"ts": str(len(self.events)), "updates": self.events[first:]})


_PROFILE: JsonObject = {"id": 7, "first_name": "Ines", "last_name": "K", "screen_name": "ines_k"}


def _post(item: Item, items: list[Item]) -> JsonObject:
    count = sum(each.text.startswith(f"re {item.number}:") for each in items)
    return {
        "id": item.number, "from_id": 7, "owner_id": -GROUP, "date": int(item.created_at), "post_type": "post",
        "text": item.text, "comments": {"count": count}, "likes": {"count": item.likes}, "reposts": {"count": 0},
    }  # fmt: skip


def _comment(item: Item) -> JsonObject:
    on = _ON(item.text)
    assert on
    return {
        "id": item.number, "from_id": 7, "date": int(item.created_at), "text": item.text, "owner_id": -GROUP,
        "post_id": int(on[1]), "parents_stack": [],
    }  # fmt: skip


def _error(code: int) -> web.Response:
    return web.json_response({"error": {"error_code": code, "error_msg": "No.", "request_params": []}})
