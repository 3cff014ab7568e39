"""Telegram's Bot API on loopback: getUpdates with its offset, which confirms, webhooks, other getters. The world's changes are
updates: posts of a channel, edits of them; items whose text begins with `b:` are messages of a business, with deletes."""

from __future__ import annotations

import asyncio

from aiohttp import web

from schemas.untyped import JsonObject
from tests.support.ledger import STREAMS
from tests.support.platform_server import Faults, Item, PlatformServer, World

BOT, SECRET = "5550123", "s3cret-of-the-bot"
TOKEN = f"{BOT}:{SECRET}"
CHANNEL: JsonObject = {"id": -1001234567890, "type": "channel", "title": "Kettles", "username": "kettles"}
CUSTOMER: JsonObject = {"id": 7, "type": "private", "first_name": "Ines"}


class TelegramServer(PlatformServer):
    """One bot. An update is there until it is confirmed."""

    held_s = 0.2
    """How long a request without news is held, at most."""

    def __init__(self, world: World | None = None, faults: Faults | None = None) -> None:
        super().__init__(world, faults)
        self.updates: list[JsonObject] = []
        self.next_id = 100
        self.offsets: list[int | None] = []
        """Of each request."""
        self.allowed = ""
        self.webhook = ""
        self.other_getter = False
        """The next request ends by another one."""
        self.retry_after = 0
        """Of the next answer: 429."""
        self.world.follow(self._changed)

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/bot{token}/{method}", self._call)]

    def add(self, **body: object) -> None:
        """A new update."""
        self.updates.append({"update_id": self.next_id, **body})
        self.next_id += 1

    def _changed(self, item: Item, kind: str) -> None:
        is_business = item.text.startswith("b:")
        if kind == "delete" and is_business:
            self.add(deleted_business_messages={"business_connection_id": "bc", "chat": CUSTOMER, "message_ids": [item.number]})
        elif kind in ("create", "edit"):
            name = "business_message" if is_business else "channel_post"
            self.add(**{f"edited_{name}" if kind == "edit" else name: _message(item, is_business)})

    async def _call(self, request: web.Request) -> web.Response:
        if request.match_info["token"] != TOKEN:
            return _error(401, "Unauthorized")
        if self.retry_after:
            wait, self.retry_after = self.retry_after, 0
            return _error(429, f"Too Many Requests: retry after {wait}", retry_after=wait)
        match request.match_info["method"]:
            case "getMe":
                found: object = {"id": int(BOT), "is_bot": True, "first_name": "Kettle", "can_read_all_group_messages": False}
            case "getWebhookInfo":
                found = {"url": self.webhook, "pending_update_count": len(self.updates)}
            case "getUpdates":
                return await self._get(request)
            case other:
                return _error(404, f"Not Found: {other}")
        return web.json_response({"ok": True, "result": found})

    async def _get(self, request: web.Request) -> web.Response:
        if self.webhook:
            return _error(409, "Conflict: can't use getUpdates method while webhook is active")
        if self.other_getter:
            self.other_getter = False
            return _error(409, "Conflict: terminated by other getUpdates request")
        offset = int(request.query["offset"]) if "offset" in request.query else None
        self.allowed = request.query["allowed_updates"]
        self.offsets.append(offset)
        if offset is not None:
            self.updates = [each for each in self.updates if each["update_id"] >= offset]
        until = asyncio.get_running_loop().time() + min(self.held_s, float(request.query["timeout"]))
        while not self.updates and asyncio.get_running_loop().time() < until:
            request[STREAMS] = True
            await asyncio.sleep(0.01)
        request[STREAMS] = False
        return web.json_response({"ok": True, "result": self.updates[: int(request.query["limit"])]})


def _message(item: Item, is_business: bool) -> JsonObject:
    found: JsonObject = {"message_id": item.number, "date": int(item.created_at), "text": item.text}
    if item.edited_at:
        found["edit_date"] = int(item.edited_at)
    if is_business:
        return {**found, "business_connection_id": "bc", "chat": CUSTOMER, "from": {"id": 7, "first_name": "Ines"}}
    return {**found, "chat": CHANNEL, "sender_chat": CHANNEL}


def _error(status: int, why: str, **parameters: object) -> web.Response:
    return web.json_response({"ok": False, "error_code": status, "description": why, "parameters": parameters}, status=status)
