"""LinkedIn on loopback: organizationalEntityNotifications, by its documentation. The world's changes are notifications about
comments on one post; items whose text begins with `share:` are shares."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from email.utils import formatdate

from aiohttp import web

from schemas.untyped import JsonObject
from tests.support.platform_server import Faults, Item, PlatformServer, World

PAGE, TOKEN = 1234, "t0ken-of-an-administrator"
POST = "urn:li:activity:7094637247890620418"
_QUERY = re.compile(
    r"q=criteria&actions=List\(([A-Z_,]+)\)&organizationalEntity=urn%3Ali%3Aorganization%3A(\d+)"
    r"&timeRange=\(start:(\d+),end:(\d+)\)&start=(\d+)&count=(\d+)"
).fullmatch


def number_of(item: Item) -> int:
    """LinkedIn's numbers hold the time."""
    return (int(item.created_at * 1000) << 22) + item.number


class LinkedInServer(PlatformServer):
    """One page. It lists the newest notifications first, or the oldest, as `oldest_first` says: its documentation does not."""

    def __init__(self, world: World | None = None, faults: Faults | None = None, oldest_first: bool = False) -> None:
        super().__init__(world, faults)
        self.notices: list[JsonObject] = []
        self.oldest_first = oldest_first
        self.refuse: tuple[int, JsonObject] | None = None
        self.endless = False
        """Each page is full."""
        self.told: Callable[[float], float] = float
        """When it is for us what a request's times say: the client's clock may run otherwise."""
        self.clock: Callable[[], float] = time.time
        """What a clock as the client's shows now."""
        self.world.follow(self._changed)

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/rest/organizationalEntityNotifications", self._list)]

    def _changed(self, item: Item, kind: str) -> None:
        at = item.edited_at or item.created_at
        at = max(at, time.time()) if kind == "delete" else at
        if item.text.startswith("share:"):
            entity = f"urn:li:share:{number_of(item)}"
            self.add("SHARE", at, entity, {"share": {"entity": entity, "owner": "urn:li:person:ines", "text": item.text}})
        elif kind in ("create", "edit", "delete"):
            action = {"create": "COMMENT", "edit": "COMMENT_EDIT", "delete": "COMMENT_DELETE"}[kind]
            entity, short = f"urn:li:comment:({POST},{number_of(item)})", f"urn:li:comment:({POST[7:]},{number_of(item)})"
            comment = {"entity": entity, "owner": "urn:li:person:ines", "text": item.text, "object": POST}
            self.add(action, at, short, {} if kind == "delete" else {"comment": comment})

    def add(self, action: str, at: float, activity: str, made: JsonObject) -> None:
        """A new notification."""
        notice: JsonObject = {
            "notificationId": 5_000 + len(self.notices), "organizationalEntity": f"urn:li:organization:{PAGE}",
            "action": action, "sourcePost": POST, "lastModifiedAt": int(at * 1000), "generatedActivity": activity,
            "subscriber": "urn:li:person:otto",
        }  # fmt: skip
        self.notices.append({**notice, "decoratedGeneratedActivity": made} if made else notice)

    async def _list(self, request: web.Request) -> web.Response:
        if self.refuse is not None:
            return web.json_response(self.refuse[1], status=self.refuse[0])
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.json_response({"status": 401, "serviceErrorCode": 65600, "message": "Invalid access token"}, status=401)
        assert request.headers["X-Restli-Protocol-Version"] == "2.0.0" and request.headers["LinkedIn-Version"] == "202610"
        query = _QUERY(request.raw_path.partition("?")[2])
        if query is None:
            return web.json_response({"status": 400, "code": "ILLEGAL_ARGUMENT", "message": request.raw_path}, status=400)
        if query[2] != str(PAGE):
            return web.json_response({"status": 403, "code": "ACCESS_DENIED"}, status=403)
        first, until = (self.told(int(each) / 1000) * 1000 for each in query.groups()[2:4])
        start, count = map(int, query.groups()[4:])
        found = [each for each in self.notices if first <= each["lastModifiedAt"] <= until and each["action"] in query[1]]
        found.sort(key=lambda each: int(each["lastModifiedAt"]), reverse=not self.oldest_first)
        shown = found[:count] if self.endless else found[start : start + count]
        answer = {"paging": {"start": start, "count": count, "links": []}, "elements": shown}
        return web.json_response(answer, headers={"Date": formatdate(self.clock(), usegmt=True)})
