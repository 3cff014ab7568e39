"""YouTube's Data API on loopback: commentThreads.list and comments.list with page tokens, keys, quotas. The world's items whose
text begins with `re N:` answer item N, the others begin threads."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime

from aiohttp import web

from schemas.untyped import JsonObject
from tests.support.platform_server import Faults, Item, PlatformServer, World

CHANNEL, KEY = "UC" + "k" * 22, "k3y"
INLINE = 5
"""Answers that a thread shows."""
_ANSWER = re.compile(r"re (\d+):").match


class YouTubeServer(PlatformServer):
    """One channel. A page token names the item that the page follows, and holds until `ends` says otherwise."""

    def __init__(self, world: World | None = None, faults: Faults | None = None) -> None:
        super().__init__(world, faults)
        self.refuse: tuple[int, str] | None = None
        """Status and reason of the next answers."""
        self.metadata: JsonObject = {}
        """Of the refusal, as newer errors have it."""
        self.ends = 0
        """So many of the following tokens have ended."""
        self.repeats = False
        """Each page is the newest one."""
        self.units = 0
        self.by: Counter[str] = Counter()

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/youtube/v3/commentThreads", self._threads), web.get("/youtube/v3/comments", self._comments)]

    def _refused(self, request: web.Request) -> web.Response | None:
        self.units += 1
        self.by[request.path.rpartition("/")[2]] += 1
        if self.refuse is not None:
            return _error(*self.refuse, self.metadata)
        if request.headers.get("X-Goog-Api-Key") != KEY:
            return _error(400, "badRequest", {}, "API_KEY_INVALID")
        if request.query.get("pageToken") and self.ends:
            self.ends -= 1
            return _error(400, "invalidPageToken")
        return None

    async def _threads(self, request: web.Request) -> web.Response:
        if (refused := self._refused(request)) is not None:
            return refused
        if request.query["allThreadsRelatedToChannelId"] != CHANNEL:
            return _error(404, "channelNotFound")
        assert request.query["order"] == "time" and request.query["part"] == "snippet,replies"
        items = self.world.newest()
        answers = [item for item in items if _ANSWER(item.text)]
        shown, token = self._page(request, [item for item in items if not _ANSWER(item.text)])
        return _answer("commentThread", [_thread(item, answers) for item in shown], token)

    async def _comments(self, request: web.Request) -> web.Response:
        if (refused := self._refused(request)) is not None:
            return refused
        parent = int(request.query["parentId"].removeprefix("Ug"))
        if self.world.items()[parent].deleted:
            return _error(404, "commentNotFound")
        answers = [item for item in self.world.newest() if item.text.startswith(f"re {parent}:")]
        shown, token = self._page(request, answers)
        return _answer("comment", [_comment(item, parent) for item in shown], token)

    def _page(self, request: web.Request, items: list[Item]) -> tuple[list[Item], str]:
        assert request.query["textFormat"] == "html"
        most, token = int(request.query["maxResults"]), request.query.get("pageToken", "")
        if token and not self.repeats:
            items = [item for item in items if item.number < int(token)]
        return items[:most], str(items[most - 1].number) if len(items) > most else ""


def _answer(kind: str, items: list[JsonObject], token: str) -> web.Response:
    found: JsonObject = {
        "kind": f"youtube#{kind}ListResponse",
        "etag": "e",
        "items": items,
        "pageInfo": {"resultsPerPage": 100},
    }
    return web.json_response({**found, "nextPageToken": token} if token else found)


def _error(status: int, reason: str, metadata: JsonObject | None = None, detail: str = "") -> web.Response:
    error: JsonObject = {
        "code": status,
        "message": "No.",
        "errors": [{"message": "No.", "domain": "youtube", "reason": reason}],
    }
    if metadata or detail:
        error["details"] = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": detail, "metadata": metadata}]
    return web.json_response({"error": error}, status=status)


def _thread(item: Item, answers: list[Item]) -> JsonObject:
    mine = [each for each in answers if each.text.startswith(f"re {item.number}:")]
    found: JsonObject = {
        "kind": "youtube#commentThread",
        "id": f"Ug{item.number}",
        "snippet": {
            "channelId": CHANNEL, "videoId": "v1deo", "canReply": True, "totalReplyCount": len(mine), "isPublic": True,
            "topLevelComment": _comment(item, None),
        },
    }  # fmt: skip
    return {**found, "replies": {"comments": [_comment(each, item.number) for each in mine[:INLINE]]}} if mine else found


def _comment(item: Item, parent: int | None) -> JsonObject:
    snippet: JsonObject = {
        "channelId": CHANNEL, "videoId": "v1deo", "textDisplay": item.text, "textOriginal": item.text, "likeCount": item.likes,
        "authorDisplayName": f"@{item.author}", "authorChannelUrl": f"http://www.youtube.com/@{item.author}",
        "authorChannelId": {"value": f"UC{item.author}"}, "canRate": True, "viewerRating": "none",
        "publishedAt": _time(item.created_at), "updatedAt": _time(item.edited_at or item.created_at),
    }  # fmt: skip
    ident = f"Ug{item.number}" if parent is None else f"Ug{parent}.{item.number}"
    return {
        "kind": "youtube#comment",
        "id": ident,
        "snippet": snippet if parent is None else {**snippet, "parentId": f"Ug{parent}"},
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
