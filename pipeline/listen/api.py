"""Requests of a source: rate limits are obeyed, and each answer that is no success becomes a state of the source."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import orjson
from yarl import URL

from pipeline.http.addresses import PUBLIC_ONLY, Allowed
from pipeline.http.answer import Answer, NotAccepted
from pipeline.http.failures import NotPublic, OutgoingError
from pipeline.http.lasting import Lines, Socket
from pipeline.http.outgoing import Limits, Outgoing
from pipeline.listen.shares import Shares
from pipeline.listen.spending import Spending
from pipeline.listen.states import Failed, NoCredentials, SourceError, Waiting
from pipeline.listen.timer import Timer
from pipeline.monitoring import source_metrics
from pipeline.sources.platforms.values import time_of
from pipeline.sources.recorded.json_text import NotJson
from pipeline.sources.recorded.json_text import parsed as json_value

LIMITS = Limits(total_s=60.0, body=10 << 20)
LONGEST_WAIT_S = 24 * 3600.0
SHORTEST_WAIT_S = 1.0
MOST_REPAIRED = 2 << 20
"""Bytes of an answer in which halves of characters are looked for."""
_REFUSED, _BUSY = (401, 403), (420, 429, 503)
_LEFT = ("x-rate-limit-remaining", "x-ratelimit-remaining", "ratelimit-remaining")
_RESET = ("x-rate-limit-reset", "x-ratelimit-reset", "ratelimit-reset")


@dataclass
class Limit:
    """The rate limit of a credential, which its sources share."""

    until: float = 0.0
    """No request before this time, in seconds since 1970."""
    why: str = ""
    left: float | None = None
    """Requests left in this window, by the platform's headers; None: it names none."""
    shares: Shares = field(default_factory=Shares)
    """Of its sources in this window."""

    def check(self, now: float) -> None:
        """Raises Waiting while the platform asks to wait."""
        if self.until > now + LONGEST_WAIT_S:  # our clock was set back
            self.until = 0.0
        if now < self.until:
            raise Waiting(self.why, self.until)


@dataclass
class Api:
    """The requests of one source; `limit` is that of its credential. No URL and no header is in an error."""

    client: Outgoing
    source: str
    timer: Timer
    limit: Limit
    allow: Allowed = PUBLIC_ONLY
    spending: Spending = field(default_factory=lambda: Spending(Timer()))
    """Of the source; a driver asks it before each request that the platform bills, and counts what came."""
    is_past: bool = False
    """Whether these are requests of a back-fill, which leaves others their part."""
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    """Sent with each request, the token among them."""
    judge: Callable[[Answer, float], SourceError | None] = lambda answer, now: None
    """What an answer that is no success means on this platform, by its body; None: what its status and headers say. Waiting
    holds for all sources of the credential."""

    async def get(
        self,
        url: str | URL,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        expect: tuple[int, ...] = (),
        *,
        held: bool = False,
    ) -> Answer:
        """The answer, if its status is 200 or `expect` names it. Raises SourceError for any other. `held`: a long poll."""
        return await self.send("GET", url, query=query, headers=headers, expect=expect, held=held)

    async def json(self, url: str, query: Mapping[str, str] | None = None) -> object:
        """The answer's JSON. Raises SourceError: Failed for what is no JSON, as a page of HTML."""
        return parsed(await self.get(url, query))

    async def send(
        self,
        method: str,
        url: str | URL,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        expect: tuple[int, ...] = (),
        held: bool = False,
    ) -> Answer:
        """As `get`, with another method. A URL goes as it is, also where it is escaped in a way of its own."""
        with self._failures():
            answer = await self.client.request(
                method,
                url,
                params=query,
                headers={**self.headers, **(headers or {})},
                body=body,
                limits=replace(LIMITS, held=held),
                allow=self.allow,
            )
        self._note(answer)
        if answer.status == 200 or answer.status in expect:
            source_metrics.REQUESTS.labels(self.source, "ok").inc()
            return answer
        raise self._refused(answer)

    @asynccontextmanager
    async def stream(self, url: str, query: Mapping[str, str] | None = None, idle_s: float = 30.0) -> AsyncIterator[Lines]:
        """The lines of a stream, until it breaks. Raises SourceError."""
        with self._failures():
            async with self.client.stream(url, params=query, headers=self.headers, idle_s=idle_s, allow=self.allow) as lines:
                source_metrics.REQUESTS.labels(self.source, "ok").inc()
                yield lines

    @asynccontextmanager
    async def websocket(self, url: str, quiet_s: float = math.inf, idle_s: float = 30.0) -> AsyncIterator[Socket]:
        """The messages of a WebSocket, until it breaks: also when for `quiet_s` no message comes, or for `idle_s` nothing at
        all, though the server was pinged. Raises SourceError."""
        with self._failures():
            async with self.client.websocket(
                url, headers=self.headers, idle_s=idle_s, quiet_s=quiet_s, allow=self.allow
            ) as socket:
                source_metrics.REQUESTS.labels(self.source, "ok").inc()
                yield socket

    @contextmanager
    def _failures(self) -> Iterator[None]:
        self.limit.check(self.timer.now())
        self.limit.shares.ask(self.source, self.timer.now(), is_past=self.is_past)
        try:
            yield
        except NotAccepted as error:
            self._note(error.answer)
            raise self._refused(error.answer) from None
        except OutgoingError as error:
            raise self.counted(failed(error)) from None

    def _note(self, answer: Answer) -> None:
        """Takes in what the headers say about the rate limit."""
        left = _number(answer, _LEFT)
        self.limit.left = left if left is not None else self.limit.left
        if left is not None:
            source_metrics.BUDGET.labels(self.source).set(left)
        if left is not None and (reset := self._reset(answer)):
            self.limit.shares.note(left, self.timer.now() + reset, self.timer.now())
            if left < 1:
                self.wait("its rate limit is used up", reset)

    def wait(self, why: str, seconds: float) -> None:
        """No request of the credential for so long, LONGEST_WAIT_S at most: a year that an answer names is no year."""
        until = self.timer.now() + min(LONGEST_WAIT_S, max(SHORTEST_WAIT_S, seconds))
        if until > self.limit.until:
            self.limit.until, self.limit.why = until, why

    def _refused(self, answer: Answer) -> Exception:
        if (judged := self.judge(answer, self.timer.now())) is not None:
            return self.counted(judged)
        if answer.status in _REFUSED and "retry-after" not in answer.headers:
            source_metrics.REQUESTS.labels(self.source, "refused").inc()
            return NoCredentials(f"the platform refuses the credential, or lacks a permission: status {answer.status}")
        asked = self._retry_after(answer)
        if answer.status in _BUSY and asked is not None:
            source_metrics.REQUESTS.labels(self.source, "limited").inc()
            self.wait(f"the platform asks to wait: status {answer.status}", asked)
            return Waiting(self.limit.why, self.limit.until)
        source_metrics.REQUESTS.labels(self.source, "failed").inc()
        return Failed(f"status {answer.status}")

    def counted(self, error: SourceError) -> SourceError:
        """The error, of a request that did not go by this client, taken in: Waiting holds for all sources of the credential."""
        result = "refused" if isinstance(error, NoCredentials) else "limited" if isinstance(error, Waiting) else "failed"
        source_metrics.REQUESTS.labels(self.source, result).inc()
        if isinstance(error, Waiting):
            self.wait(str(error), error.until - self.timer.now())
            return Waiting(self.limit.why, self.limit.until)  # not for as long as a stranger's answer says
        return error

    def _retry_after(self, answer: Answer) -> float | None:
        """Seconds, of Retry-After or of the end of the window; None where the answer names neither."""
        text = answer.headers.get("retry-after", "")
        if text.strip().isdecimal():
            return float(text[:9])
        try:
            return parsedate_to_datetime(text).astimezone(UTC).timestamp() - self.timer.now()
        except (ValueError, TypeError, OverflowError):
            return self._reset(answer)

    def _reset(self, answer: Answer) -> float | None:
        """Seconds until the window ends, which platforms name in seconds, as seconds since 1970, or as a time."""
        reset = _number(answer, _RESET)
        return None if reset is None else reset - self.timer.now() if reset > 1e9 else reset


def failed(error: OutgoingError) -> Failed:
    """The error as the state of a source."""
    return Failed(f"{error}: key allow of the source may name it" if isinstance(error, NotPublic) else str(error))


def parsed(answer: Answer) -> object:
    """The answer's JSON. Raises Failed."""
    try:
        value: object = json_value(answer.body) if len(answer.body) < MOST_REPAIRED else orjson.loads(answer.body)
    except (NotJson, orjson.JSONDecodeError):
        kind = "HTML" if answer.body.lstrip()[:1] == b"<" else "nothing" if not answer.body else "no JSON"
        raise Failed(f"the answer is {kind} in place of JSON") from None
    return value


def _number(answer: Answer, names: tuple[str, ...]) -> float | None:
    for name in names:
        value = answer.headers.get(name)
        if (time := time_of(value)) is not None:
            return datetime.fromisoformat(time).timestamp()
        with suppress(ValueError):
            if math.isfinite(number := float(value or "")):
                return number
    return None
