"""The Graph API on loopback: lists with pages inside of their objects, cursors, `until`, tokens, limits. The world's items are
posts, unless `comment`, `tag` or `message` put them elsewhere."""

from __future__ import annotations

import base64
import json
import re
from abc import abstractmethod
from collections.abc import Callable
from datetime import UTC, datetime
from typing import cast

from aiohttp import web

from schemas.untyped import JsonObject
from tests.support.platform_server import Faults, Item, PlatformServer, World

TOKEN = "EAAB-token"
_INNER = re.compile(r"(comments|messages)\b((?:\.\w+\([^)]*\))*)\{").search
_LIMIT = re.compile(r"\.limit\((\d+)\)").search


class GraphServer(PlatformServer):
    """`/vN.N/ID`, `/vN.N/ID/EDGE`. A subclass has the platform's edges and payloads."""

    posts, tagged, me, page = "feed", "tagged", "100", "100"

    def __init__(self, world: World | None = None, faults: Faults | None = None) -> None:
        super().__init__(world, faults)
        self.under: dict[int, int] = {}
        """Comments, by number, and their posts; of messages their conversations."""
        self.tags: set[int] = set()
        self.messages: set[int] = set()
        self.error: JsonObject | None = None
        """What all lists answer; `of` limits it to an edge."""
        self.of = ""
        self.usage, self.regain = 0, 0
        """Of the app's limit, in percent; of the account's, in minutes."""
        self.repeats = 0
        """So many of the following pages are the newest one."""
        self.asked: list[str] = []
        """The queries so far."""

    def comment(self, post: int, number: int, created_at: float, text: str) -> Item:
        """A comment on a post."""
        self.under[number] = post
        return self.world.post(number, created_at, text)

    def message(self, conversation: int, number: int, created_at: float, text: str, author: str = "ines") -> Item:
        """A message of a conversation."""
        self.messages.add(number)
        self.under[number] = conversation
        return self.world.post(number, created_at, text, author)

    def tag(self, number: int, created_at: float, text: str) -> Item:
        """Somebody's post with a tag of us."""
        self.tags.add(number)
        return self.world.post(number, created_at, text)

    def routes(self) -> list[web.RouteDef]:
        return [web.get(r"/v24.0/{id}/{edge}", self._list), web.get(r"/v24.0/{id}", self._one)]

    # --- what a subclass has ------------------------------------------------------------------------------------------
    @abstractmethod
    def post_of(self, item: Item) -> JsonObject:
        """A post as the platform shows it."""

    @abstractmethod
    def comment_of(self, item: Item) -> JsonObject:
        """The same of a comment."""

    def message_of(self, item: Item) -> JsonObject:
        return {
            "id": f"m_{item.number}",
            "created_time": time_of(item.created_at),
            "message": item.text,
            "from": self.author(item),
        }

    def author(self, item: Item) -> JsonObject:
        """Who wrote it."""
        return {"id": self.me if item.author == "us" else "7", "name": item.author.title()}

    def number_of(self, ident: str) -> int:
        return int(ident.rpartition("_")[2])

    # --- answers ------------------------------------------------------------------------------------------------------
    def _refusal(self, request: web.Request) -> web.Response | None:
        self.asked.append(request.query_string)
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            words = f"Error validating access token {request.headers.get('Authorization')}"
            return self._failed({"message": words, "type": "OAuthException", "code": 190, "error_subcode": 463})
        edge = request.match_info.get("edge", "")
        return self._failed(self.error) if self.error is not None and self.of in ("", edge) else None

    def _failed(self, error: JsonObject) -> web.Response:
        return self._answer({"error": {"message": "No", "type": "OAuthException", "fbtrace_id": "A", **error}}, 400)

    def _answer(self, body: JsonObject, status: int = 200) -> web.Response:
        used = {"call_count": self.usage, "total_time": 3, "total_cputime": 0}
        of_account = [{"type": "pages", **used, "estimated_time_to_regain_access": self.regain}]
        headers = {"X-App-Usage": json.dumps(used), "X-Business-Use-Case-Usage": json.dumps({"9": of_account})}
        return web.json_response(body, status=status, headers=headers)

    async def _one(self, request: web.Request) -> web.Response:
        if (refused := self._refusal(request)) is not None:
            return refused
        return self._answer({"id": request.match_info["id"], "name": "Acme Coffee", "username": "acme_coffee"})

    async def _list(self, request: web.Request) -> web.Response:
        if (refused := self._refusal(request)) is not None:
            return refused
        ident, edge, query = request.match_info["id"], request.match_info["edge"], request.query
        if edge in ("comments", "messages"):
            return self._inner(ident, edge, request)
        assert ident == (self.page if edge == "conversations" else self.me)
        assert edge in ("conversations", self.posts, self.tagged)
        items, shown = self._conversations(), cast(Callable[[Item, str], JsonObject], self._conversation)
        if edge != "conversations":
            posts = [item for item in self._newest() if item.number not in self.under]
            items, shown = [item for item in posts if (item.number in self.tags) == (edge == self.tagged)], self._with_comments
        if until := query.get("until"):
            items = [item for item in items if item.created_at < float(until) + 1]
        page = self._page(items, int(query["limit"]), query.get("after"), lambda item: shown(item, query["fields"]))
        return self._answer(page)

    def _inner(self, ident: str, edge: str, request: web.Request) -> web.Response:
        of = self.number_of(ident)
        post = self.world.items().get(of)
        if edge == "comments" and (post is None or post.deleted):
            return self._failed({"code": 100, "error_subcode": 33})
        shown = self.comment_of if edge == "comments" else self.message_of
        return self._answer(self._page(self._inside(of, edge), int(request.query["limit"]), request.query.get("after"), shown))

    def _page(self, items: list[Item], limit: int, after: str | None, shown: Callable[[Item], JsonObject]) -> JsonObject:
        if after is not None and self.repeats:
            self.repeats -= 1
            after = None
        if after is not None:
            place = base64.b64decode(after).decode()
            items = [item for item in items if _place(item) < place]
        found = items[:limit]
        cursors = {"before": "b", "after": base64.b64encode(_place(found[-1]).encode()).decode() if found else ""}
        paging: JsonObject = {"cursors": cursors}
        if len(items) > limit:
            paging["next"] = f"{self.url}/next?access_token={TOKEN}"
        return {"data": [shown(item) for item in found], **({"paging": paging} if found else {})}

    def _newest(self) -> list[Item]:
        return sorted((item for item in self.world.items().values() if not item.deleted), key=_place, reverse=True)

    def _inside(self, of: int, edge: str) -> list[Item]:
        mine = [item for item in self._newest() if self.under.get(item.number) == of]
        return [item for item in mine if (item.number in self.messages) == (edge == "messages")]

    def _with_comments(self, item: Item, fields: str) -> JsonObject:
        post = self.post_of(item)
        if (asked := _INNER(fields)) is not None and (limit := _LIMIT(asked[2])) is not None:
            inner = self._inside(item.number, "comments")
            if inner:
                total = {"summary": {"total_count": len(inner)}}
                post["comments"] = self._page(inner, int(limit[1]), None, self.comment_of) | total
        return post

    def _conversations(self) -> list[Item]:
        """Each by its newest message."""
        newest = [self._inside(of, "messages")[0] for of in {self.under[number] for number in self.messages}]
        return sorted(newest, key=_place, reverse=True)

    def _conversation(self, newest: Item, fields: str) -> JsonObject:
        of, limit = self.under[newest.number], _LIMIT(fields)
        assert limit is not None
        page = self._page(self._inside(of, "messages"), int(limit[1]), None, self.message_of)
        return {"id": f"t_{of}", "updated_time": time_of(newest.created_at), "messages": page}


def _place(item: Item) -> str:
    return f"{item.created_at:020.3f} {item.number:012}"


def time_of(seconds: float) -> str:
    """As the Graph API writes it."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%S+0000")
