"""Lists of the Graph API, by polls: of a page or account its posts with their comments, posts that tag it, conversations.

A poll reads each list, newest first, until it meets the newest known object, and of each object what was said since the last
poll. Then it reads one page of older objects, in turn those below the first page: so comments on 250 posts are seen.

The cursor: `lists`, for each list `at` and `talk` (times of the newest known object, and of the newest inside of one), `below`
(where its older pages begin), `turn` (the older page that comes next: `until`, `depth`, and `since`, when the last turn began);
within a poll `left`, what it has yet to do, `begun`, when it began, and `walks`, how far each of these is: `begun`, `after`
(the page that comes next), `first` and `pages` (against circles), `top` and `talk` (the newest of it), `below`, and `threads`,
inner pages that have yet to be read.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import NamedTuple

from pipeline.http.answer import Answer
from pipeline.listen.api import parsed
from pipeline.listen.driver import Gap, Page, Reach
from pipeline.listen.drivers.graph_lists import Edge, Listed, after_of, listed, thread_times
from pipeline.listen.drivers.graph_problems import REGAIN_S, Missing, judge, usage
from pipeline.listen.sources_meta import Facebook, Instagram
from pipeline.listen.states import Failed, NoCredentials
from pipeline.listen.timer import text_of
from pipeline.sources.platforms.observation import Origin
from pipeline.sources.platforms.values import name_of
from schemas.untyped import JsonObject

PAGE, INNER = 25, 50
OLDER = 9
"""Pages below the first one that are read again."""
MOST_PAGES = 200
"""More of a list, or of what is inside of one object, are a circle."""
LATE_S, KEPT_S = 300.0, 6 * 3_600.0
"""What has failed for so long comes last: one list must not hold up the others. For how long it goes on where it was: Meta's
cursors do not last."""
SLOW_PERCENT, SLOWEST_S = 75.0, 300.0
"""Of a limit: above it requests become fewer."""
REST_S = 1.0
"""Between pages of the past, which what comes live should not wait for."""
AGAIN = " again"


class _Ends(NamedTuple):
    """Where a walk ends: at objects, and inside of them, that are not newer. None: with the first page; nothing more inside."""

    at: str | None
    talk: str | None


class GraphDriver:
    """A page or an account."""

    def __init__(self, source: Facebook | Instagram, reach: Reach, me: str, edges: Sequence[Edge]) -> None:
        """`me`: its number. Raises NoCredentials without a token."""
        if not (token := reach.token.get_secret_value()):
            raise NoCredentials("token_env or token_file should hold an access token of Meta")
        self._source, self._reach, self._me = source, reach, me
        self._edges = {edge.name: edge for edge in edges}
        self.origin = Origin("", source.own_accounts() | {me})
        reach.api.headers["Authorization"] = f"Bearer {token}"
        reach.api.judge = judge

    async def pages(self, cursor: JsonObject) -> AsyncGenerator[Page, None]:
        """Each list down to the newest known object, then a page of older ones."""
        now = self._reach.timer.now()
        late = max(LATE_S, self._source.every.total_seconds())
        if not cursor.get("left") or not 0.0 <= now - cursor["begun"] <= late:
            tasks = [each for name, edge in self._edges.items() for each in (name, *((name + AGAIN,) if edge.is_old else ()))]
            late_one = cursor.get("left", [])[:1]
            left = [*(each for each in tasks if each not in late_one), *(each for each in tasks if each in late_one)]
            walks = {task: walk for task, walk in cursor.get("walks", {}).items() if 0.0 <= now - walk["begun"] <= KEPT_S}
            cursor = {"lists": cursor.get("lists", {}), "left": left, "begun": now, "walks": walks}
        while cursor["left"]:
            page = await self._step(cursor)
            cursor = page.cursor
            yield page

    async def backfill(self, cursor: JsonObject, since: float) -> AsyncGenerator[Page, None]:
        """Each list down to `since`, or to its end, and all that was said in it since then."""
        left, walk, earliest = cursor.get("left", [*self._edges]), cursor.get("walk", {}), text_of(since)
        while left:
            payloads, walk, gap = await self._walked(self._edges[left[0]], walk, _Ends(earliest, earliest))
            if walk["over"] and not walk["threads"]:
                left, walk = left[1:], {}
            yield Page(payloads, {"left": left, "walk": walk}, gap)
            await self._reach.timer.sleep(REST_S)

    async def check(self) -> str:
        """Its name, and that each list may be read."""
        lists = [
            f"{edge.path.partition('/')[2]}.limit(1){{id}}" for edge in self._edges.values() if edge.path.startswith(self._me)
        ]
        name = "name" if isinstance(self._source, Facebook) else "username"
        found = await self._get(self._me, {"fields": ",".join(("id", name, *lists))})
        return f"{name_of(found.get(name)) or '?'} ({self._me}): {', '.join(self._edges)}"

    async def close(self) -> None:
        """Nothing is open."""

    async def _step(self, cursor: JsonObject) -> Page:
        """A page of what the poll has yet to do first."""
        task, walks = cursor["left"][0], cursor["walks"]
        walk: JsonObject = walks.get(task, {"begun": cursor["begun"]})
        edge = self._edges.get(task.removesuffix(AGAIN))
        known: JsonObject = cursor["lists"].get(task.removesuffix(AGAIN), {})
        others = {name: each for name, each in walks.items() if name != task}
        over = {"lists": cursor["lists"], "left": cursor["left"][1:], "begun": cursor["begun"], "walks": others}
        again = task.endswith(AGAIN)
        turn = _turn(known)
        if edge is None or (again and not turn["until"]):
            return Page([], over)
        if again and task not in walks:
            walk = {**walk, "until": turn["until"]}
        ends = _Ends(None, turn.get("since")) if again else _Ends(known.get("at"), known.get("talk"))
        payloads, walk, gap = await self._walked(edge, walk, ends)
        if not walk["over"] or walk["threads"]:
            return Page(payloads, {**cursor, "walks": {**walks, task: walk}}, gap)
        further = _turned(known, turn, walk) if again else _met(known, walk)
        return Page(payloads, {**over, "lists": {**cursor["lists"], edge.name: further}}, gap)

    async def _walked(self, edge: Edge, walk: JsonObject, ends: _Ends) -> tuple[list[object], JsonObject, Gap | None]:
        """One page further: of a thread, or of the list."""
        if walk.get("threads"):
            return await self._said(edge, walk, ends)
        asked = {"until": str(int(datetime.fromisoformat(walk["until"]).timestamp()) + 1)} if walk.get("until") else {}
        asked |= {"after": walk["after"]} if walk.get("after") else {}
        query = {"fields": edge.fields, "limit": str(PAGE), **edge.query, **asked}
        found = listed(edge, _page(await self._get(edge.path, query)), self._reach.timer.now())
        further = _further(walk, found, ends)
        gap = None
        if further["over"] and ends.at is not None and found.oldest > ends.at and found.after:
            gap = Gap(ends.at, found.oldest, f"Meta gives the list {edge.name} without an end")
        return [found.payload], further, gap

    async def _said(self, edge: Edge, walk: JsonObject, ends: _Ends) -> tuple[list[object], JsonObject, Gap | None]:
        """The next page of the first thread."""
        (ident, after, oldest, pages), *others = walk["threads"]
        query = {"fields": edge.inner_fields, "limit": str(INNER), **edge.inner_query, "after": after}
        try:
            page = _page(await self._get(f"{ident}/{edge.inner}", query))
        except Missing:  # it was deleted a moment ago
            return [], {**walk, "threads": others}, None
        times = thread_times(edge, page, self._reach.timer.now())
        rest, lowest, until = after_of(page), min(times, default=""), ends.talk or ""
        gap = None
        if rest and until <= lowest <= oldest and lowest and rest != after and pages < MOST_PAGES:
            others.insert(0, [ident, rest, lowest, pages + 1])
        elif rest and not "" < lowest < until:
            gap = Gap(until, oldest, f"Meta gives the {edge.inner} of one object without an end")
        talk = max([walk["talk"], *times])
        return [{"id": ident, edge.inner: page}], {**walk, "talk": talk, "threads": others}, gap

    async def _get(self, path: str, query: dict[str, str]) -> JsonObject:
        answer = await self._reach.api.get(f"{self._source.server}/{self._source.version}/{path}", query)
        self._mind(answer)
        payload = parsed(answer)
        if not isinstance(payload, dict):
            raise Failed("the answer is no JSON object")
        return payload

    def _mind(self, answer: Answer) -> None:
        """Slows down as a limit is approached, and stops when it is used up: an app that goes on is blocked for longer."""
        used = usage(answer)
        if used.percent < SLOW_PERCENT and not used.regain_s:
            return
        part = min(1.0, (used.percent - SLOW_PERCENT) / (100.0 - SLOW_PERCENT))
        wait = used.regain_s or (REGAIN_S if used.percent >= 100 else part * SLOWEST_S)
        self._reach.api.wait(f"{used.percent:.0f} % of Meta's rate limit are used up", wait)


def _further(walk: JsonObject, found: Listed, ends: _Ends) -> JsonObject:
    """The walk after a page of its list; `over` once the page that comes next holds nothing new."""
    pages = walk.get("pages", 0) + 1
    circle = bool(found.first) and found.first == walk.get("first")
    met = ends.at is None or (bool(found.oldest) and found.oldest < ends.at)  # of that second there may be more
    threads = [[*each, 1] for each in found.threads if ends.talk is not None and each.oldest >= ends.talk]
    return {
        **walk,
        "after": found.after,
        "first": found.first,
        "pages": pages,
        "top": max(walk.get("top", ""), found.newest),
        "talk": max(walk.get("talk", ""), found.talk),
        "oldest": found.oldest,
        "below": walk.get("below", found.oldest if found.after else ""),
        "threads": [] if circle else threads,
        "over": met or circle or not found.after or pages >= MOST_PAGES,
    }


def _met(known: JsonObject, walk: JsonObject) -> JsonObject:
    """What is known of a list after a walk through its news."""
    newest = {name: max(known.get(name, ""), walk[key]) for name, key in (("at", "top"), ("talk", "talk"))}
    return {**newest, "below": walk["below"], **({"turn": known["turn"]} if known.get("turn") else {})}


def _turned(known: JsonObject, turn: JsonObject, walk: JsonObject) -> JsonObject:
    """What is known of a list after one of its older pages."""
    depth, lower = turn["depth"] + 1, walk["oldest"]
    on = bool(walk["after"]) and depth < OLDER and bool(lower) and lower < turn["until"]
    return {**known, "turn": {**turn, "until": lower, "depth": depth} if on else {"since": turn["next"]}}


def _turn(known: JsonObject) -> JsonObject:
    """The older page that comes next: the first one again, once the last turn is over."""
    turn: JsonObject = known.get("turn", {})
    return turn if turn.get("until") else {**turn, "until": known.get("below", ""), "depth": 0, "next": known.get("talk", "")}


def _page(payload: JsonObject) -> JsonObject:
    if not isinstance(payload.get("data"), list):
        raise Failed("the answer is no list of the Graph API")
    return payload
