"""Reddit on loopback: tokens, listings of at most a thousand, /api/info. The world's items whose text begins with `re:` are
comments, the others posts."""

from __future__ import annotations

import base64
from collections import Counter

from aiohttp import web

from schemas.untyped import JsonObject
from tests.support.platform_server import Faults, Item, PlatformServer, World

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
CLIENT, SECRET = "client-id", "s3cret"


def name_of(item: Item) -> str:
    """Its id with its kind."""
    return f"{'t1' if item.text.startswith('re:') else 't3'}_{_base36(item.number)}"


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = DIGITS[digit] + digits
    return digits or "0"


class RedditServer(PlatformServer):
    """`/r/NAMES/new`, `/r/NAMES/comments`, `/search`, `/api/info`, and where tokens come from."""

    def __init__(self, world: World | None = None, faults: Faults | None = None) -> None:
        super().__init__(world, faults)
        self.most = 1_000
        self.lasts = 86_400
        """Seconds that a token lasts."""
        self.tokens: list[str] = []
        """Granted; to revoke one, take it out."""
        self.granted = 0
        self.remaining = 98.0
        self.refuse: tuple[int, JsonObject] | None = None
        """Status and body of the listings."""
        self.repeats = 0
        """So many of the following pages are the newest one."""
        self.agents: Counter[str] = Counter()

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/api/v1/access_token", self._grant),
            web.get("/r/{names}/{list:new|comments}", self._list),
            web.get("/search", self._list),
            web.get("/api/info", self._info),
            web.get("/subreddits/search", self._subreddits),
        ]

    async def _grant(self, request: web.Request) -> web.Response:
        self.agents[request.headers["User-Agent"]] += 1
        basic = "Basic " + base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        if request.headers.get("Authorization") != basic:
            return web.json_response({"message": "Unauthorized", "error": 401}, status=401)
        if (await request.post()).get("grant_type") != "client_credentials":
            return web.json_response({"error": "unsupported_grant_type"})
        self.granted += 1
        self.tokens.append(f"token-{self.granted}")
        grant = {"access_token": self.tokens[-1], "token_type": "bearer", "expires_in": self.lasts, "scope": "*"}
        return web.json_response(grant)

    def _refused(self, request: web.Request) -> web.Response | None:
        self.agents[request.headers["User-Agent"]] += 1
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens:
            return web.json_response({"message": "Unauthorized", "error": 401}, status=401)
        if self.refuse is not None and request.path != "/api/info":
            return web.json_response(self.refuse[1], status=self.refuse[0])
        return None

    async def _list(self, request: web.Request) -> web.Response:
        if (refused := self._refused(request)) is not None:
            return refused
        if request.match_info.get("names") == "nowhere":
            raise web.HTTPFound("/subreddits/search?q=nowhere")
        comments = request.match_info.get("list") == "comments"
        word = request.query.get("q", "")
        items = [each for each in self.world.newest() if each.text.startswith("re:") == comments and word in each.text]
        page, after = self._page(items[: self.most], request)
        return self._answer([self._thing(each) for each in page], after)

    def _page(self, items: list[Item], request: web.Request) -> tuple[list[Item], str | None]:
        limit, names = min(100, int(request.query.get("limit", "25"))), [name_of(item) for item in items]
        begin = 0
        if (after := request.query.get("after")) is not None:
            if self.repeats:
                self.repeats -= 1
            elif after not in names:
                return [], None
            else:
                begin = names.index(after) + 1
        page = items[begin : begin + limit]
        return page, name_of(page[-1]) if page and begin + limit < len(items) else None

    async def _info(self, request: web.Request) -> web.Response:
        if (refused := self._refused(request)) is not None:
            return refused
        if "sr_name" in request.query:
            found = [each for each in request.query["sr_name"].split(",") if each != "nowhere"]
            return self._answer([_subreddit(each) for each in found], None)
        wanted = request.query["id"].split(",")
        assert len(wanted) <= 100
        items = {name_of(item): item for item in self.world.items().values()}
        return self._answer([self._thing(items[name]) for name in wanted if name in items], None)

    async def _subreddits(self, request: web.Request) -> web.Response:
        return self._answer([_subreddit("somewhere")], None)

    def _answer(self, children: list[JsonObject], after: str | None) -> web.Response:
        headers = {"x-ratelimit-used": "2", "x-ratelimit-remaining": str(self.remaining), "x-ratelimit-reset": "300"}
        data = {"modhash": "", "dist": len(children), "children": children, "after": after, "before": None}
        return web.json_response({"kind": "Listing", "data": data}, headers=headers)

    def _thing(self, item: Item) -> JsonObject:
        name = name_of(item)
        author, text = ("[deleted]", "[deleted]") if item.deleted else (item.author, item.text)
        common = {
            "name": name, "id": name[3:], "created_utc": item.created_at, "edited": item.edited_at or False,
            "score": item.likes, "author": author, "subreddit": "kettles", "subreddit_type": "public",
        }  # fmt: skip
        if not item.deleted:
            common["author_fullname"] = f"t2_{item.author}"
        if name.startswith("t1"):
            return {"kind": "t1", "data": common | {"body": text, "link_id": "t3_1", "parent_id": "t3_1"}}
        rest = {"title": "A kettle", "selftext": text, "is_self": True, "num_comments": 0, "num_crossposts": 0}
        return {"kind": "t3", "data": common | rest}


def _subreddit(name: str) -> JsonObject:
    kind = "private" if name.lower() == "club" else "public"
    return {"kind": "t5", "data": {"name": "t5_1", "display_name": name.title(), "subreddit_type": kind, "quarantine": False}}
