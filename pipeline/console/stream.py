"""Hub: topic `alerts` read once a process, and told to every open page by server-sent events.

| event | data | id |
|---|---|---|
| what `show` names | what `show` makes of a change, once for all pages | the place behind the change |
| `state` | what `tell` makes of whether Kafka answers, and since when | at the beginning of a stream |
| `beat` | nothing: a sign of life, every BEAT_S; a page without one for long says so (static/now.js) | |
| `reload` | why: what came meanwhile can't be told any more, so the page is to be loaded anew | |
| `ended` | why: the session is over | |

A browser that comes back sends the id of what it saw last (`Last-Event-ID`) and gets what came after; a page gives `hub.place`,
as it was before it read its tables, in `?after=`. An id means the same after a restart. A change may come twice, never not at
all: it tells the state of an alert, so the newest version counts. What `show` makes stays in memory for up to MOST changes
(console/ring.py), so it has no post's text in it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from pipeline.clock import Clock, wall
from pipeline.config.settings import KafkaSettings
from pipeline.console.changes import Change, Changes, Places, State, as_json
from pipeline.console.ring import Ring
from pipeline.console.sse import BEAT, Said, Stream, encoded, together
from schemas.alerts import Alert

BACK = 500
"""Records of each partition that are read at the start: pages that were open before a restart miss nothing."""
BEAT_S = 4.0
"""Who waits for three of them in vain is not live any more; and a proxy closes what is silent for a minute."""
MOST_STREAMS, MOST_OF_PERSON = 400, 40
"""Of MOST connections (console/connections.py): pages need some, too; and of one person, in all their browsers."""
log = logging.getLogger("earshot.console")


Show = Callable[[Alert], Sequence[Said]]
"""The events for a change of an alert; none: the pages are not told. It runs in the thread that reads."""
Tell = Callable[[State], str]


class Hub:
    """For one event loop. `start` begins to read; nothing waits for Kafka."""

    def __init__(self, kafka: KafkaSettings, show: Show, tell: Tell = as_json, clock: Clock = wall) -> None:
        self._show, self._tell, self._clock = show, tell, clock
        self._changes = Changes(kafka, self, BACK)
        self._ring = Ring({}, {})
        self._whole = False
        self._streams: set[Stream] = set()
        self._early: dict[Stream, str | None] = {}
        """Opened before the last changes were read, with the place that each asks for."""
        self._beat: asyncio.TimerHandle | None = None
        self._closed = False
        self.state = State(self._now(), "the console has just started")

    def start(self) -> None:
        """In the event loop."""
        self._loop = asyncio.get_running_loop()
        self._changes.start()
        self._beats()

    def end_all(self) -> None:
        """Ends all streams, so that the server can stop, and takes no more."""
        self._closed = True
        for stream in self._streams:
            stream.end()

    async def close(self) -> None:
        """Ends the streams and the reader."""
        self.end_all()
        if self._beat:
            self._beat.cancel()
        await asyncio.to_thread(self._changes.stop)

    @property
    def place(self) -> str:
        """Behind all changes that were told so far: what a page gives to its stream, asked for before its tables are read."""
        return self._ring.place

    @property
    def sessions(self) -> set[str]:
        """Those with an open stream."""
        return {stream.session for stream in self._streams}

    @property
    def full(self) -> bool:
        """No more streams: as many are open as may be, or it is closed."""
        return len(self._streams) >= MOST_STREAMS or self._closed

    def of(self, person: str) -> int:
        """How many are open of this person."""
        return sum(stream.person == person for stream in self._streams)

    def open(self, session: str, after: str | None, cut: Callable[[], None] | None = None, person: str = "") -> Stream:
        """A stream of all that comes after the place, or without one from now on."""
        stream = Stream(session, cut, person)
        self._streams.add(stream)
        if self._whole:
            self._catch_up(stream, after)
        else:
            stream.put(self._state())
            self._early[stream] = after or ""
        return stream

    def _catch_up(self, stream: Stream, after: str | None) -> None:
        """Tells it what it missed; from then on it is told of all that comes. None: it missed nothing."""
        missed = [] if after is None else self._ring.since(after)
        for event in missed or ():
            stream.put(event)
        stream.put(self._state(self.place))
        if missed is None:
            stream.put(encoded(Said("reload", "what came meanwhile is not kept any more")))

    def leave(self, stream: Stream) -> None:
        """Nothing more for it."""
        self._streams.discard(stream)
        self._early.pop(stream, None)

    def end(self, session: str) -> None:
        """Ends the streams of a session that is over, at once."""
        for stream in self._streams:
            if stream.session == session:
                stream.end(encoded(Said("ended", "the session is over: log in again")))

    # --- told by the thread that reads ---
    def begun(self, places: Places, ends: Places, topic: str) -> None:
        self._soon(self._begun, places, ends, topic)

    def whole(self) -> None:
        self._soon(self._caught_up)

    def came(self, changes: Sequence[Change]) -> None:
        self._soon(self._came, [(change, self._shown(change)) for change in changes])

    def lost(self, reason: str, ago: float) -> None:
        self._soon(self._turned, State(datetime.fromtimestamp(self._clock() - ago, UTC), reason))

    def answered(self) -> None:
        self._soon(self._turned, State(None, ""))

    def _soon(self, call: Callable[..., None], *values: Any) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody is there to be told
            self._loop.call_soon_threadsafe(call, *values)

    def _shown(self, change: Change) -> Sequence[Said]:
        if change.alert is None:
            return ()
        try:
            return self._show(change.alert)
        except Exception:
            log.exception("alert %s is not told to open pages", change.alert.hex)
            return ()

    # --- in the event loop ---
    def _begun(self, places: Places, ends: Places, topic: str) -> None:
        before, self._ring, self._whole = self._ring.place, Ring(places, ends, topic), False
        if before:
            self._all(encoded(Said("reload", "Kafka has not kept what came meanwhile"), self.place))
            self._early |= dict.fromkeys(self._streams, self.place)

    def _caught_up(self) -> None:
        self._whole = True
        for stream, after in self._early.items():
            self._catch_up(stream, after)
        self._early.clear()

    def _came(self, changes: Sequence[tuple[Change, Sequence[Said]]]) -> None:
        events = list[bytes]()
        for (partition, offset, _), said in changes:
            place = self._ring.passed(partition, offset)
            if said:
                *others, last = said
                events.append(b"".join(map(encoded, others)) + encoded(last, place))
                self._ring.keep(partition, offset, events[-1])
        for block in together(events) if self._whole else ():
            self._all(block)

    def _turned(self, state: State) -> None:
        if (state.away_since is None) != (self.state.away_since is None):
            self.state = state
            self._all(self._state())
        elif state.away_since is not None:
            self.state = self.state._replace(reason=state.reason)

    def _state(self, place: str = "") -> bytes:
        return encoded(Said("state", self._tell(self.state)), place)

    def _all(self, event: bytes) -> None:
        for stream in self._streams:
            stream.put(event)

    def _beats(self) -> None:
        self._all(BEAT)
        self._beat = self._loop.call_later(BEAT_S, self._beats)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)


def sse_response(request: Request, hub: Hub, session: str = "", person: str = "") -> Response:
    """The answer to a page of this person that wants to be told; 503 if too many are open, 429 if too many of theirs are."""
    if person and hub.of(person) >= MOST_OF_PERSON:
        return PlainTextResponse(f"{MOST_OF_PERSON} of your pages are told of changes: close some", 429, {"Retry-After": "10"})
    if hub.full:
        return PlainTextResponse(f"{MOST_STREAMS} pages are told of changes: close some", 503, {"Retry-After": "10"})
    after = request.headers.get("last-event-id") or request.query_params.get("after")
    cut = getattr(request.state, "abort", None)
    return _Told(lambda: hub.open(session, after, cut, person), hub, cut)


class _Told(Response):
    """The events of one stream, until it or the connection is over."""

    media_type = "text/event-stream"

    def __init__(self, begin: Callable[[], Stream], hub: Hub, cut: Callable[[], None] | None) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._begin, self._hub, self._cut = begin, hub, cut

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        stream = self._begin()
        gone = asyncio.create_task(_lost_with(receive, stream))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            while block := await stream.take():
                await send({"type": "http.response.body", "body": block, "more_body": True})
            if not stream.dropped:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            elif self._cut:
                await gone  # else uvicorn takes the end of an answer without its end for an error
        finally:
            self._hub.leave(stream)
            gone.cancel()


async def _lost_with(receive: Receive, stream: Stream) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    stream.lose()
