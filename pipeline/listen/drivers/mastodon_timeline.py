"""A timeline of a Mastodon server by its REST API, and where its stream is."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from pipeline.http.answer import Answer
from pipeline.listen.api import Api, parsed
from pipeline.listen.sources_file import AnySource, Mastodon
from pipeline.listen.states import Failed, NoCredentials, SourceError
from pipeline.sources.platforms.values import id_of, object_of, objects_of, text_of
from schemas.untyped import JsonObject

LIMIT = 40
"""Statuses of a page, the most that servers give."""
LONGEST_ID, MOST = 100, 1_000
"""Characters; statuses that are taken."""
NOTHING = "0"
"""An id before all others."""
_PATHS = {"public": "public", "local": "public", "home": "home"}
_STREAMS = {"public": "public", "local": "public:local", "home": "user"}


class Fetched(NamedTuple):
    """A page of a timeline."""

    statuses: list[object]
    gap: JsonObject | None
    """What is missed between the ids `after` and `upto`; `at` is the time of `after`. None: nothing."""
    lost: bool = False
    """The timeline does not reach down to the gap's `after` any more: the page begins with the oldest status that it has."""


class Timeline:
    """The timeline that a source names. All methods raise SourceError."""

    def __init__(self, source: Mastodon, api: Api) -> None:
        self._source, self._api = source, api
        tag = (source.tag or "").lstrip("#")
        path = f"tag/{quote(tag, safe='')}" if source.timeline == "tag" else _PATHS[source.timeline]
        self._url = f"{source.server}/api/v1/timelines/{path}"
        self._query = {"limit": str(LIMIT)} | ({"local": "true"} if source.timeline == "local" else {})
        named = {"stream": "hashtag", "tag": tag} if source.timeline == "tag" else {"stream": _STREAMS[source.timeline]}
        self._stream = "/api/v1/streaming?" + urlencode(named)

    async def page(self, **query: str) -> list[object]:
        """Statuses, of the newest ones or those that `query` bounds; none where nobody has used the tag yet."""
        answer = await self._api.get(self._url, self._query | query, expect=(404,) if self._source.timeline == "tag" else ())
        statuses = parsed(answer) if answer.status == 200 else []
        if not isinstance(statuses, list) or len(statuses) > MOST:
            raise Failed("the answer is no list of statuses, or far longer than what was asked for")
        return statuses

    async def fill(self, gap: JsonObject) -> Fetched:
        """The oldest statuses of the gap, and the rest of it. Of a new gap: whether the timeline reaches so far (`sure`)."""
        after, upto = str(gap["after"]), str(gap["upto"])
        if "sure" not in gap:
            return Fetched([], {**gap, "sure": await self._reaches(after)})
        page = await self.page(min_id=after)
        newest = max((key for key in ids_of(page) if rank(key) > rank(after)), key=rank, default=None)
        over = newest is None or rank(newest) >= rank(upto)
        return Fetched(page, None if over else {**gap, "after": newest, "sure": True}, lost=not gap["sure"])

    async def _reaches(self, key: str) -> bool:
        """Whether the timeline still has this status or an older one."""
        above = str(int(key) + 1) if key.isdecimal() else key
        return key == NOTHING or bool(await self.page(max_id=above, limit="1"))

    async def stream_url(self) -> str:
        """Where the timeline is streamed: often on another host than the server's."""
        answer = await self._api.get(f"{self._source.server}/api/v2/instance", expect=(404,))
        configuration = object_of(object_of(parsed(answer) if answer.status == 200 else None).get("configuration"))
        base = text_of(object_of(configuration.get("urls")).get("streaming")) or self._source.server
        parts = urlsplit(base)
        if parts.scheme not in ("wss", "https") and (parts.scheme not in ("ws", "http") or _is_safe(self._source)):
            raise Failed("the server names a stream without TLS")
        return base.rstrip("/") + self._stream

    async def who(self) -> str:
        """To whom the token belongs."""
        account = object_of(parsed(await self._api.get(f"{self._source.server}/api/v1/accounts/verify_credentials")))
        return f"@{text_of(account.get('acct')) or '?'}"


def judge(answer: Answer, now: float, logged_in: bool) -> SourceError | None:
    """What the server's refusals mean. It gives 422 to who comes without a user's token where one is needed."""
    if not logged_in and answer.status in (401, 403, 422):
        return NoCredentials(f"the server shows this to nobody without a token: status {answer.status}")
    if answer.status == 403:
        return NoCredentials("the token lacks a permission, read:statuses or read:accounts: status 403")
    return (
        NoCredentials("the server wants the token of a user, not of an application: status 422")
        if answer.status == 422
        else None
    )


def _is_safe(source: Mastodon) -> bool:
    return urlsplit(source.server).scheme == "https"


def ids_of(statuses: Iterable[object]) -> list[str]:
    """The ids of those that have one; cursors hold them, so they are short."""
    keys = (id_of(status.get("id")) for status in objects_of([*statuses]))
    return [key for key in keys if key is not None and len(key) <= LONGEST_ID]


def rank(key: str) -> tuple[int, str]:
    """Orders ids by time: they are numbers, or texts of one length."""
    return len(key), key


def elsewhere(source: Mastodon, others: Collection[AnySource]) -> frozenset[str]:
    """Servers whose own accounts' posts come from another source, first-hand: one that hears all of them. Two sources that
    listen to each other's server both hear their own."""
    return frozenset(
        urlsplit(other.server).hostname or ""
        for other in others
        if isinstance(other, Mastodon)
        and urlsplit(other.server).hostname != urlsplit(source.server).hostname
        and other.keep in ("all", source.keep)
        and (other.timeline in ("public", "local") or (other.timeline == "tag" and _same_tag(source, other)))
    )


def _same_tag(source: Mastodon, other: Mastodon) -> bool:
    return source.timeline == "tag" and (source.tag or "").lstrip("#").lower() == (other.tag or "").lstrip("#").lower()


def is_left(status: object, servers: frozenset[str]) -> bool:
    """Whether a source of another server brings this status: public timelines hold no replies, reposts or private posts."""
    if not servers:
        return False
    whole = object_of(status)
    host = str(object_of(whole.get("account")).get("acct")).rpartition("@")[2].lower()
    return (
        host in servers and whole.get("visibility") == "public" and not whole.get("in_reply_to_id") and not whole.get("reblog")
    )
