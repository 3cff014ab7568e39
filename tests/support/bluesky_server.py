"""Jetstream on loopback, versions 1 and 2: cursors, filters by account, what it no longer keeps, recorded frames at a rate."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import count, cycle

import orjson
from aiohttp import web

from pipeline.sources.platforms.bluesky_records import KINDS
from schemas.untyped import JsonObject
from tests.support.platform_server import Item
from tests.support.streaming_server import StreamingServer

POST, LIKE = "app.bsky.feed.post", "app.bsky.feed.like"
FAN = "did:plc:fan"
V2 = "network.bsky.jetstream.subscribeEvents"
Filters = tuple[frozenset[str], frozenset[str], frozenset[str]]
"""Collections, accounts, kinds; none of one: all."""


def did_of(author: str) -> str:
    """The account of an item's author."""
    return f"did:plc:{author}"


class BlueskyServer(StreamingServer):
    """Frames of the items: commits of their authors, likes of FAN; `identity` adds a change of a handle."""

    kept_since = 0
    """Older frames are gone; microseconds since 1970."""
    ends_with = ""
    """The error that ends each stream of version 2 after its first frames."""

    def routes(self) -> list[web.RouteDef]:
        self.greetings: list[JsonObject] = []
        self.urls: list[str] = []
        self.world.follow(self._changed)
        return [web.get("/subscribe", self._first), web.get(f"/xrpc/{V2}", self._second)]

    @property
    def address(self) -> str:
        """As the key `server` has it."""
        return self.url.replace("http", "ws", 1)

    def play_frames(self, frames: Sequence[JsonObject], rate: float, seconds: float) -> list[tuple[str, float]]:
        """Streams these frames of version 1 again and again, with keys and times of their own; the at-uri of each record that
        the mapper knows and that is created, and when it was sent."""
        sent: list[tuple[str, float]] = []
        renewed = (frame for frame, _ in zip(_renewed(frames), range(int(rate * seconds)), strict=False))
        self.play(renewed, rate, lambda frame, at: sent.append((_uri(frame), at)))
        return [(uri, at) for uri, at in sent if uri]

    # --- what happens ---------------------------------------------------------------------------------------------------
    def _changed(self, item: Item, kind: str) -> None:
        did, key = did_of(item.author), f"3k{item.number}"
        record = {"$type": POST, "text": item.text, "createdAt": _time(item.created_at), "langs": ["en"]}
        if kind == "like":
            subject = {"uri": f"at://{did}/{POST}/{key}", "cid": "c"}
            liked = {"$type": LIKE, "subject": subject, "createdAt": _time(time.time())}
            self.commit(FAN, LIKE, f"3l{item.number}x{item.likes}", "create", liked)
        else:
            operation = {"create": "create", "edit": "update", "delete": "delete"}[kind]
            self.commit(did, POST, key, operation, None if kind == "delete" else record)

    def commit(self, did: str, collection: str, key: str, operation: str, record: JsonObject | None, us: int = 0) -> None:
        """A commit, now or at this time."""
        part: JsonObject = {"rev": "3r", "operation": operation, "collection": collection, "rkey": key}
        part |= {"record": record, "cid": "bafy"} if record is not None else {}
        self.add({"did": did, "time_us": us or self._now(), "kind": "commit", "commit": part})

    def identity(self, did: str, handle: str) -> None:
        """A change of a handle."""
        part = {"did": did, "handle": handle, "seq": 1, "time": _time(time.time())}
        self.add({"did": did, "time_us": self._now(), "kind": "identity", "identity": part})

    def _now(self) -> int:
        """Ascending."""
        last = self.frames[-1] if self.frames else None
        return max(int(time.time() * 1e6), last["time_us"] + 1 if isinstance(last, dict) else 0)

    # --- the protocol ---------------------------------------------------------------------------------------------------
    def _begin(self, cursor: int | None) -> int:
        if cursor is None or cursor > time.time() * 1e6:
            return len(self.frames)
        least = max(cursor, self.kept_since)
        return next((at for at, frame in enumerate(self.frames) if _us(frame) >= least), len(self.frames))

    async def _first(self, request: web.Request) -> web.StreamResponse:
        self.urls.append(str(request.rel_url))
        cursor = int(request.query["cursor"]) if "cursor" in request.query else None
        filters = _filters(request, "wantedCollections", "wantedDids", "")
        socket = web.WebSocketResponse(autoping=False, max_msg_size=10 << 20)
        await socket.prepare(request)
        if request.query.get("requireHello") == "true":
            greeting = orjson.loads((await socket.receive()).data)
            self.greetings.append(greeting)
            wanted = greeting["payload"]
            filters = (frozenset(wanted["wantedCollections"]), frozenset(wanted["wantedDids"]), frozenset())
        await self.follow(socket, self._begin(cursor), lambda frame: _text(frame, filters))
        return socket

    async def _second(self, request: web.Request) -> web.StreamResponse:
        self.urls.append(str(request.rel_url))
        if not {"collections", "dids", "kinds", "cursor"} >= set(request.query):
            return web.json_response({"error": "InvalidRequest", "message": "a parameter of version 1"}, status=400)
        filters = _filters(request, "collections", "dids", "kinds")
        cursor = int(request.query["cursor"]) if "cursor" in request.query else None
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        if cursor is not None and cursor < self.kept_since:
            info = {"$type": f"{V2}#info", "name": "OutdatedCursor", "message": "resumed from seq 7"}
            await socket.send_str(orjson.dumps({"$type": "message", "payload": info}).decode())
        if self.ends_with:
            await socket.send_str(orjson.dumps({"$type": "error", "error": self.ends_with}).decode())
            await socket.close()
            return socket
        await self.follow(socket, self._begin(cursor), lambda frame: _text(frame, filters, second=True))
        return socket


def _filters(request: web.Request, collections: str, dids: str, kinds: str) -> Filters:
    wanted = (request.query.getall(name, []) for name in (collections, dids, kinds))
    first, second, third = (frozenset(each) for each in wanted)
    return first, second, third


def _text(frame: object, filters: Filters, second: bool = False) -> str | None:
    """The frame as it is sent; None: the filters drop it."""
    if isinstance(frame, str):
        return frame
    assert isinstance(frame, dict)
    collections, dids, kinds = filters
    kind = frame["kind"]
    if second and dids and frame["did"] not in dids:
        return None
    if not second and kind == "commit" and dids and frame["did"] not in dids:
        return None  # changes of handles come from everybody
    if kind == "commit" and collections and frame["commit"]["collection"] not in collections or (kinds and kind not in kinds):
        return None
    if not second:
        return orjson.dumps(frame).decode()
    at = datetime.fromtimestamp(frame["time_us"] // 1_000_000, UTC).replace(microsecond=frame["time_us"] % 1_000_000)
    written = at.isoformat(timespec="microseconds").replace("+00:00", "Z")
    part = frame[kind] if kind == "commit" else {kind: frame[kind]}
    head = {"$type": f"{V2}#{kind}", "seq": frame["time_us"] // 1_000, "did": frame["did"], "time": written}
    return orjson.dumps({"$type": "message", "payload": {**head, "witnessedAt": written, **part}}).decode()


def _renewed(frames: Sequence[JsonObject]) -> Iterator[object]:
    for number, frame in zip(count(), cycle(frames)):
        renewed = {**frame, "time_us": int(time.time() * 1e6)}
        if frame["kind"] == "commit":
            renewed["commit"] = {**frame["commit"], "rkey": f"{frame['commit']['rkey']}x{number}"}
            if isinstance(record := frame["commit"].get("record"), dict) and "createdAt" in record:
                renewed["commit"]["record"] = {**record, "createdAt": _time(time.time())}
        yield renewed


def _uri(frame: object) -> str:
    """Of a record that is created; blank for other frames."""
    if not isinstance(frame, dict) or frame["kind"] != "commit":
        return ""
    if frame["commit"]["operation"] != "create" or frame["commit"]["collection"] not in KINDS:
        return ""
    return f"at://{frame['did']}/{frame['commit']['collection']}/{frame['commit']['rkey']}"


def _us(frame: object) -> int:
    return int(frame["time_us"]) if isinstance(frame, dict) else 0


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
