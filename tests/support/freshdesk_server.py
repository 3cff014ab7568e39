"""A helpdesk of Freshdesk on loopback: tickets by their last change, conversations, keys, limits."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime

from aiohttp import web

from schemas.untyped import JsonObject
from tests.support.platform_server import Faults, Item, PlatformServer, World

KEY = "fresh-k3y"


class FreshdeskServer(PlatformServer):
    """The world's items are tickets, those of `answer` what was said in one."""

    def __init__(self, world: World | None = None, faults: Faults | None = None) -> None:
        super().__init__(world, faults)
        self.answers: dict[int, int] = {}
        """Of each answer, its ticket."""
        self.status = 200
        self.left = 99
        self.broken = 0
        """The ticket whose conversations fail."""
        self.queries: list[dict[str, str]] = []

    def answer(self, ticket: int, number: int, at: float, text: str, author: str = "ines") -> Item:
        """Says something in a ticket; by `us` it is an agent."""
        self.answers[number] = ticket
        return self.world.post(number, at, text, author)

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/api/v2/tickets", self._tickets), web.get("/api/v2/tickets/{id}/conversations", self._said)]

    def _refused(self, request: web.Request) -> web.Response | None:
        if request.headers.get("Authorization") != "Basic " + b64encode(f"{KEY}:X".encode()).decode():
            return web.json_response({"code": "invalid_credentials"}, status=401)
        return web.json_response({"code": "no"}, status=self.status) if self.status != 200 else None

    async def _tickets(self, request: web.Request) -> web.Response:
        if (refused := self._refused(request)) is not None:
            return refused
        query = dict(request.query)
        self.queries.append(query)
        assert query["order_by"] == "updated_at" and query["include"] == "requester,stats,description"
        items = [item for item in self.world.newest() if item.number not in self.answers]
        items.sort(key=lambda item: (int(self._changed(item)), item.number), reverse=query["order_type"] == "desc")
        if since := query.get("updated_since"):
            items = [item for item in items if _time(self._changed(item)) >= since]
        return self._page(items, query, self._ticket)

    async def _said(self, request: web.Request) -> web.Response:
        if (refused := self._refused(request)) is not None:
            return refused
        if request.match_info["id"] == str(self.broken):
            return web.Response(status=500)
        ticket = self.world.items().get(int(request.match_info["id"]))
        if ticket is None or ticket.deleted:
            return web.Response(status=404)
        return self._page(self._of(ticket.number), dict(request.query), self._answer)

    def _page(self, items: list[Item], query: dict[str, str], shown: object) -> web.Response:
        most, first = int(query["per_page"]), int(query.get("page", "1")) - 1
        found = [shown(item) for item in items[first * most : (first + 1) * most]]  # type: ignore[operator]
        return web.json_response(found, headers={"X-RateLimit-Total": "100", "X-RateLimit-Remaining": str(self.left)})

    def _of(self, ticket: int) -> list[Item]:
        items = [self.world.items()[number] for number, of in self.answers.items() if of == ticket]
        return sorted(items, key=lambda item: item.number)

    def _changed(self, ticket: Item) -> float:
        return max([ticket.created_at, ticket.edited_at, *(item.created_at for item in self._of(ticket.number))])

    def _ticket(self, item: Item) -> JsonObject:
        said = self._of(item.number)
        stats = {"agent_responded_at": _last(said, True), "requester_responded_at": _last(said, False)}
        return {
            "id": item.number, "subject": "A kettle", "description_text": item.text, "description": f"<div>{item.text}</div>",
            "status": 2, "created_at": _time(item.created_at), "updated_at": _time(self._changed(item)), "requester_id": 7,
            "requester": {"id": 7, "name": "Ines", "email": "ines@example.com"}, "stats": stats, "spam": False,
        }  # fmt: skip

    def _answer(self, item: Item) -> JsonObject:
        return {
            "id": item.number, "ticket_id": self.answers[item.number], "body_text": item.text, "private": False,
            "incoming": item.author != "us", "user_id": 7, "created_at": _time(item.created_at),
            "updated_at": _time(item.created_at),
        }  # fmt: skip


def _last(said: list[Item], by_us: bool) -> str | None:
    times = [item.created_at for item in said if (item.author == "us") == by_us]
    return _time(max(times)) if times else None


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
