"""A forum of Discourse on loopback: /posts.json of newer and older versions, keys, limits."""

from __future__ import annotations

from datetime import UTC, datetime

from aiohttp import web

from schemas.untyped import JsonObject
from tests.support.platform_server import Faults, Item, PlatformServer, World

PAGE = 50


class DiscourseServer(PlatformServer):
    """`PATH/posts.json`. Items deleted by their authors stay for a day, as stubs; `hidden` ids are not public."""

    def __init__(self, world: World | None = None, faults: Faults | None = None, path: str = "", window: bool = False) -> None:
        """`window`: as older versions, which list the 50 ids up to `before`."""
        super().__init__(world, faults)
        self.path, self.window = path, window
        self.key = ""
        self.hidden: set[int] = set()
        self.wait_seconds = 0
        """Of the next answer: 429, with the seconds in its body alone."""
        self.repeats = 0
        """So many of the following pages are the newest one."""

    def routes(self) -> list[web.RouteDef]:
        return [web.get(f"{self.path}/posts.json", self._posts)]

    async def _posts(self, request: web.Request) -> web.Response:
        if self.wait_seconds:
            body = {"errors": ["Slow down"], "error_type": "rate_limit", "extras": {"wait_seconds": self.wait_seconds}}
            self.wait_seconds = 0
            return web.json_response(body, status=429)
        if self.key and (error := self._refusal(request)):
            return web.json_response({"errors": ["No"], "error_type": error}, status=403)
        before = int(request.query.get("before", "0"))
        if before and self.repeats:
            self.repeats -= 1
            before = 0
        items = sorted(self.world.items().values(), key=lambda item: -item.number)
        if self.window:
            newest = before or (items[0].number if items else 0)
            items = [item for item in items if newest - PAGE < item.number <= newest]
        elif before:
            items = [item for item in items if item.number < before]
        shown = [item for item in items if item.number not in self.hidden][:PAGE]
        return web.json_response({"latest_posts": [_post(item) for item in shown]})

    def _refusal(self, request: web.Request) -> str:
        if "Api-Key" not in request.headers:
            return "not_logged_in"
        right = request.headers["Api-Key"] == self.key and request.headers.get("Api-Username") == "otto"
        return "" if right else "invalid_access"


def _post(item: Item) -> JsonObject:
    text = "(post deleted by author)" if item.deleted else item.text
    return {
        "id": item.number, "username": item.author, "user_id": 7, "name": "Ines", "created_at": _time(item.created_at),
        "updated_at": _time(item.edited_at or item.created_at), "version": 2 if item.edited_at else 1,
        "cooked": f"<p>{text}</p>", "topic_id": 11, "topic_title": "A kettle", "topic_slug": "a-kettle",
        "post_number": item.number, "post_type": 1, "reply_to_post_number": None, "reply_count": 0, "reads": 3,
        "actions_summary": [{"id": 2, "count": item.likes}] if item.likes else [],
        "hidden": False, "deleted_at": None, "user_deleted": item.deleted,
    }  # fmt: skip


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
