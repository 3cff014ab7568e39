"""Bluesky by Jetstream, in both versions of its protocol: everything, or the accounts that the source names. No token.

The cursor, `us`, is a time of the network in microseconds since 1970, in both versions. (Version 2 has numbers of its own, too,
but they hold on one server only, and grow old while the accounts rest.) It is inclusive: the last frame comes again. While a
stream of few accounts is quiet, `us` follows the clock at a distance. The cursor of the backfill has `until`, too.

Jetstream keeps 36 hours. What it no longer has is a gap: version 2 says so, version 1 begins with a later frame. The back-fill
is a second connection, as the first one brings what is new at once; it ends where that one began.

Accounts: version 1 takes 10,000 in a message; version 2 takes no message, and as many as fit into a URL; beyond these it sends
everything, and the driver picks.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager
from urllib.parse import urlencode, urlsplit

import orjson

from pipeline.http.lasting import Socket
from pipeline.listen.driver import Gap, Page, Reach, together
from pipeline.listen.sources_file import Bluesky
from pipeline.listen.states import Failed
from pipeline.listen.timer import text_of
from pipeline.sources.platforms.bluesky_records import KINDS, seconds_of
from pipeline.sources.platforms.observation import Origin
from pipeline.sources.platforms.values import count_of, object_of
from pipeline.sources.recorded.json_text import NotJson
from pipeline.sources.recorded.json_text import parsed as json_value
from schemas.untyped import JsonObject

QUIET_S, SIGN_S = 30.0, 20.0
"""The whole network is never quiet for so long; a quiet stream of few accounts says so often that it lives."""
BEHIND_US, KEPT_US, SECOND_US = 60_000_000, 36 * 3_600_000_000, 1_000_000
"""So far `us` stays behind the clock; so long Jetstream keeps frames."""
MOST_IN_URL = 150
"""Accounts of version 2: about 7 kB, less than proxies take."""


class BlueskyDriver:
    """A Jetstream."""

    def __init__(self, source: Bluesky, reach: Reach) -> None:
        self._source, self._api, self._timer = source, reach.api, reach.timer
        self._accounts = frozenset(source.accounts)
        self._picks = source.version == 2 and len(self._accounts) > MOST_IN_URL
        self.origin = Origin(urlsplit(source.server).hostname or "", source.own_accounts())

    async def pages(self, cursor: JsonObject) -> AsyncGenerator[Page, None]:
        """The stream until it breaks."""
        known = cursor.get("us")
        async with self._connected(known) as socket:
            await self._greet(socket)
            begun = known or self._now()
            yield Page([], {"us": begun})
            async for page in self._followed(socket, begun, known):
                yield page
        raise Failed("the server ended the stream")

    async def backfill(self, cursor: JsonObject, since: float) -> AsyncGenerator[Page, None]:
        """From `since` to now, oldest first; it ends early where a quiet stream has no more."""
        known, until = cursor.get("us", int(since * SECOND_US)), cursor.get("until", self._now())
        async with self._connected(known) as socket:
            await self._greet(socket)
            last = known
            async for page in self._followed(socket, known, known):
                yield page._replace(cursor={**page.cursor, "until": until})
                if page.cursor["us"] >= until or (page.cursor["us"] == last and not page.payloads):
                    return
                last = page.cursor["us"]
        raise Failed("the server ended the stream")

    async def check(self) -> str:
        """When the newest frame is from; of accounts, which may be quiet, how many there are."""
        async with self._connected(None) as socket:
            await self._greet(socket)
            if self._accounts:
                return f"{self.origin.host}: it takes {len(self._accounts):,} accounts"
            async for frame in _frames(socket):
                return f"{self.origin.host}: its newest frame is from {text_of((_time_of(frame) or 0) / SECOND_US)}"
        raise Failed("the server ended the stream")

    async def close(self) -> None:
        """Nothing is open."""

    # --- the connection -------------------------------------------------------------------------------------------------
    def _connected(self, cursor: int | None) -> AbstractAsyncContextManager[Socket]:
        whole = self._picks or not self._accounts
        return self._api.websocket(self._url(cursor), quiet_s=QUIET_S if whole else math.inf)

    def _url(self, cursor: int | None) -> str:
        """With `cursor`, if there is one, from this time on."""
        first = self._source.version == 1
        query = [("wantedCollections" if first else "collections", collection) for collection in KINDS]
        if not first:
            query += [("kinds", "commit"), ("kinds", "identity")]
            query += [("dids", did) for did in self._source.accounts if not self._picks]
        elif self._accounts:
            query.append(("requireHello", "true"))
        query += [("cursor", str(cursor))] if cursor is not None else []
        path = "/subscribe" if first else "/xrpc/network.bsky.jetstream.subscribeEvents"
        return f"{self._source.server}{path}?{urlencode(query)}"

    async def _greet(self, socket: Socket) -> None:
        """Names the accounts to version 1, which waits for them."""
        if self._accounts and self._source.version == 1:
            wanted = {"wantedCollections": [*KINDS], "wantedDids": [*self._source.accounts], "maxMessageSizeBytes": 0}
            await socket.send(orjson.dumps({"type": "options_update", "payload": wanted}).decode())

    # --- frames ---------------------------------------------------------------------------------------------------------
    async def _followed(self, socket: Socket, begun: int, known: int | None) -> AsyncGenerator[Page, None]:
        """Pages of frames, each with the time of its last one; `known`: the time that was asked for."""
        loop = asyncio.get_running_loop()
        us, newest, heard, late, first = begun, begun, loop.time(), False, True
        async for frames in together(_frames(socket), SIGN_S):
            late = late or any(_is_late(frame) for frame in frames[:2])
            times = [time for frame in (*frames[:2], *frames[-1:]) if (time := self._time(frame)) is not None]
            if times:
                if first:
                    us = min(us, times[0])  # a cursor ahead of the network is one by our clock
                newest, heard, first = times[-1], loop.time(), False
            quiet = int((loop.time() - heard) * SECOND_US) - BEHIND_US
            us = max(us, newest, 0 if frames else newest + quiet)
            gap, known = (self._gap(known, times[0], late), None) if times and known is not None else (None, known)
            yield Page([frame for frame in frames if self._is_wanted(frame)], {"us": us}, gap)

    def _gap(self, known: int, first: int, late: bool) -> Gap | None:
        """What is lost between the time that was asked for and the first frame."""
        kept = self._now() - KEPT_US
        whole = self._picks or not self._accounts
        if self._source.version == 1:  # of accounts that rest, the first frame may be late though nothing is lost
            late = first - known > BEHIND_US and (whole or known < kept + 3_600 * SECOND_US)
        if not late or first <= known:
            return None
        until = first if whole else max(known, min(first, kept))
        return Gap(text_of(known / SECOND_US), text_of(until / SECOND_US), "Jetstream keeps 36 hours")

    def _is_wanted(self, frame: object) -> bool:
        """Version 1 may send changes of everybody's handles, whatever the accounts."""
        if not self._accounts or not isinstance(frame, dict):
            return True
        return str(frame.get("did", object_of(frame.get("payload")).get("did"))) in self._accounts

    def _time(self, frame: object) -> int | None:
        """None also for a time that is a day ahead: as a cursor it would skip that day."""
        time = _time_of(frame)
        return time if time is not None and time < self._now() + 86_400 * SECOND_US else None

    def _now(self) -> int:
        return int(self._timer.now() * SECOND_US)


async def _frames(socket: Socket) -> AsyncIterator[object]:
    """Frames as they come; what is no JSON stays a text, which the mapper counts as unreadable. Raises Failed for an error."""
    async for text in socket:
        try:
            frame = json_value(text)
        except NotJson:
            frame = text
        if isinstance(frame, dict) and frame.get("$type") == "error":
            name = str(frame.get("error"))
            raise Failed(f"the server ended the stream: {name if name.isalpha() and len(name) < 40 else 'an error'}")
        yield frame


def _time_of(frame: object) -> int | None:
    """When the network saw it, in microseconds since 1970."""
    whole = object_of(frame)
    if "time_us" in whole:
        return count_of(whole["time_us"])
    message = object_of(whole.get("payload"))
    seconds = seconds_of(message.get("witnessedAt", message.get("time")))
    return None if seconds is None else int(seconds * SECOND_US) - 1  # not later than it was, whatever floats do


def _is_late(frame: object) -> bool:
    """Version 2 says with its first frame that it does not reach back to the cursor."""
    message = object_of(object_of(frame).get("payload"))
    return message.get("name") == "OutdatedCursor" and str(message.get("$type")).endswith("#info")


def make(source: Bluesky, reach: Reach) -> BlueskyDriver:
    """The driver of a Jetstream."""
    return BlueskyDriver(source, reach)
