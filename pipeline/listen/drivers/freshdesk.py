"""Freshdesk, by polls of the tickets that changed since the last one, and of what was said in those that were answered.

Tickets come by the time of their last change, oldest first, from that of the newest known one on; each page asks anew from
where the last one ended, as a ticket that changes meanwhile moves to the end. `stats` say when a ticket was answered: only then
are its conversations read.

The cursor: `at` (the newest known change), `there` (the tickets of that very second, with the time of their last answer),
`again` (the page of that second, if it has more than one), `said` (tickets whose conversations have yet to be read, with the
page), `begun` (since when), `last`, if no more tickets come before the next poll, and `late` (those of `said` that come behind
them, as they took too long).
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncGenerator, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from pipeline.http.answer import Answer
from pipeline.listen.api import parsed
from pipeline.listen.driver import Gap, Page, Reach
from pipeline.listen.sources_helpdesk import Freshdesk
from pipeline.listen.states import Failed, NoCredentials, SourceError
from pipeline.listen.timer import possible, text_of
from pipeline.sources.platforms.observation import Origin
from pipeline.sources.platforms.values import id_of, object_of, objects_of, time_of
from schemas.untyped import JsonObject

PAGE, FIRST = 100, 30
"""Tickets or answers of a page; tickets of the first start."""
MOST_PAGES = 300
"""Freshdesk gives no more pages of a list."""
LATE_S = 300.0
"""One ticket whose conversations fail for so long must not hold up the others."""
REST_S = 1.0
"""Between pages of the past, which what comes live should not wait for."""


class _Ticket(NamedTuple):
    ident: str
    changed: str
    answered: str
    """When it was answered last, by an agent or the customer; blank: never."""


class FreshdeskDriver:
    """A helpdesk."""

    def __init__(self, source: Freshdesk, reach: Reach) -> None:
        """Raises NoCredentials without a token."""
        if not (token := reach.token.get_secret_value()):
            raise NoCredentials("token_env or token_file should hold an API key of Freshdesk")
        self._source, self._reach = source, reach
        self.origin = Origin(urlsplit(source.server).netloc, source.own_accounts())
        reach.api.headers["Authorization"] = "Basic " + b64encode(f"{token}:X".encode()).decode()
        reach.api.judge = self._judged

    async def pages(self, cursor: JsonObject) -> AsyncGenerator[Page, None]:
        """The tickets that changed, and what was said in them; at the first start the newest tickets."""
        if "at" not in cursor:
            payload, tickets = await self._tickets({"order_type": "desc", "per_page": str(FIRST)})
            yield Page([payload], _begun(tickets))
            return
        async for page in self._changed(cursor):
            yield page

    async def backfill(self, cursor: JsonObject, since: float) -> AsyncGenerator[Page, None]:
        """All tickets that changed since then, with all that was said in them."""
        if cursor.get("over"):
            return
        async for page in self._changed(cursor or {"at": text_of(since), "there": {}, "past": True}):
            yield page
            cursor = page.cursor
            await self._reach.timer.sleep(REST_S)
        yield Page([], {"over": True})

    async def check(self) -> str:
        """How many tickets the newest page has."""
        _, tickets = await self._tickets({"order_type": "desc", "per_page": str(FIRST)})
        newest = f", the last change at {tickets[0].changed}" if tickets else ""
        return f"{self._source.server}: {len(tickets)} tickets on the newest page{newest}"

    async def close(self) -> None:
        """Nothing is open."""

    async def _changed(self, cursor: JsonObject) -> AsyncGenerator[Page, None]:
        now = self._reach.timer.now()
        if cursor.get("said") and not 0.0 <= now - cursor.get("begun", now) <= LATE_S:
            cursor = _delayed(cursor)
        over = bool(cursor.get("last"))
        while not over or cursor.get("said") or cursor.get("late"):
            if over and not cursor.get("said"):
                cursor = {**cursor, "said": cursor["late"], "late": [], "last": True, "begun": now}
            if cursor.get("said"):
                payloads, cursor, gap = await self._said(cursor)
                yield Page(payloads, cursor, gap)
                continue
            again = cursor.get("again", 1)
            payload, tickets = await self._tickets(
                {"updated_since": cursor["at"], "order_type": "asc", "per_page": str(PAGE)}
                | ({"page": str(again)} if again > 1 else {})
            )
            over, gap = len(tickets) < PAGE, None
            if again >= MOST_PAGES and not over:
                over, gap = True, Gap(cursor["at"], "", "Freshdesk gives no more tickets of one second")
            cursor = _further(cursor, tickets, now, more=not over)
            yield Page([payload], cursor, gap)

    async def _said(self, cursor: JsonObject) -> tuple[list[object], JsonObject, Gap | None]:
        """The next page of the first ticket's conversations."""
        (ident, page), *others = cursor["said"]
        query = {"per_page": str(PAGE)} | ({"page": str(page)} if page > 1 else {})
        answer = await self._reach.api.get(f"{self._source.server}/api/v2/tickets/{ident}/conversations", query, expect=(404,))
        if answer.status == 404:  # it was deleted a moment ago
            return [], _without(cursor, others), None
        answers = _listed(answer)
        gap = None
        if len(answers) >= PAGE and page < MOST_PAGES:
            others.insert(0, [ident, page + 1])
        elif len(answers) >= PAGE:
            gap = Gap("", cursor["at"], "Freshdesk gives no more answers of one ticket")
        return [answers], _without(cursor, others), gap

    async def _tickets(self, query: dict[str, str]) -> tuple[list[object], list[_Ticket]]:
        query = {"order_by": "updated_at", "include": "requester,stats,description", **query}
        payload = _listed(await self._reach.api.get(f"{self._source.server}/api/v2/tickets", query))
        tickets = [ticket for item in objects_of(payload) if (ticket := _ticket(item)) is not None]
        times = {*possible((ticket.changed for ticket in tickets), self._reach.timer.now())}
        return payload, [ticket for ticket in tickets if ticket.changed in times]

    def _judged(self, answer: Answer, now: float) -> SourceError | None:
        if answer.status == 401:
            return NoCredentials("Freshdesk refuses the API key: status 401")
        if answer.status == 403:
            return NoCredentials("the key's agent may not see tickets, or the plan has no API: status 403")
        return Failed("status 404: is server that of a helpdesk of Freshdesk?") if answer.status == 404 else None


def _listed(answer: Answer) -> list[object]:
    payload = parsed(answer)
    if not isinstance(payload, list) or len(payload) > PAGE:
        raise Failed("the answer is no list, or far longer than what was asked for")
    found: list[object] = payload
    return found


def _ticket(item: JsonObject) -> _Ticket | None:
    ident, changed = id_of(item.get("id")), time_of(item.get("updated_at"))
    if ident is None or not (ident.isascii() and ident.isdigit() and len(ident) < 20) or changed is None:
        return None
    stats = object_of(item.get("stats"))
    answers = [time for name in ("agent_responded_at", "requester_responded_at") if (time := time_of(stats.get(name)))]
    return _Ticket(ident, changed, max(answers, default=""))


def _without(cursor: JsonObject, said: Sequence[object]) -> JsonObject:
    """The cursor with these conversations left to read."""
    return {name: value for name, value in cursor.items() if said or name not in ("last", "begun")} | {"said": said}


def _delayed(cursor: JsonObject) -> JsonObject:
    """The cursor with what is left to read behind the tickets that come next, and its first behind the others."""
    left: list[list[object]] = [*cursor["said"], *cursor.get("late", [])]
    return {**_without(cursor, []), "late": [*left[1:], left[0]]}


def _begun(tickets: list[_Ticket]) -> JsonObject:
    """After the first start: what was said before it is the past."""
    at = max((ticket.changed for ticket in tickets), default="1970-01-01T00:00:00Z")
    return {"at": at, "there": {ticket.ident: ticket.answered for ticket in tickets if ticket.changed == at}}


def _further(cursor: JsonObject, tickets: list[_Ticket], now: float, *, more: bool) -> JsonObject:
    """The cursor after a page of tickets."""
    since, there = cursor["at"], cursor["there"]
    at = max([since, *(ticket.changed for ticket in tickets)])
    news = [each for each in tickets if each.answered and (cursor.get("past") or each.answered >= since)]
    said = [[each.ident, 1] for each in news if there.get(each.ident) != each.answered]
    same = {ticket.ident: ticket.answered for ticket in tickets if ticket.changed == at}
    kept: JsonObject = {name: cursor[name] for name in ("past", "late") if cursor.get(name)}
    kept |= {"begun": now} if said else {}
    again = {"again": cursor.get("again", 1) + 1} if more and at == since else {}
    last = {"last": True} if said and not more else {}
    return {**kept, "at": at, "there": {**there, **same} if at == since else same, "said": said, **again, **last}


def make(source: Freshdesk, reach: Reach) -> FreshdeskDriver:
    """The driver of a helpdesk. Raises NoCredentials."""
    return FreshdeskDriver(source, reach)
