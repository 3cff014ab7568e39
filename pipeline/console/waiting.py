"""The conversations of page Now in which a customer waits, with who has them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipeline.console.reads import Reads

SHOWN, ASKED = 50, 1_000
"""Conversations of a page, and those that are counted."""
_SERVER = r"[a-z0-9.-]+\.[a-z0-9-]+(?::\d{1,5})?"
QUERY, KEEP_S, OLD_S = "unanswered", 10.0, 30.0
"""Who takes one, or is done with it, sees it at once: `Reads.forget`."""
_PLACES = {
    "twitter": (r"(\d{1,20})", "https://x.com/i/web/status/{}"),
    "reddit": (r"t3_([a-z0-9]{1,13})", "https://www.reddit.com/comments/{}"),
    "bluesky": (r"at://(did:[a-z]+:[\w.:%-]+)/app\.bsky\.feed\.post/([\w.~-]+)", "https://bsky.app/profile/{}/post/{}"),
    "discourse": (rf"({_SERVER}):t:(\d{{1,18}})", "https://{}/t/{}"),
    "mastodon": (rf"({_SERVER}):(\d{{1,20}})", "https://{}/statuses/{}"),
    "instagram": (r"(?!\d{12,}$)([\w-]{5,20})", "https://www.instagram.com/p/{}/"),
    "telegram": (r"-100(\d{4,15}):(?:t:)?(\d{1,18})", "https://t.me/c/{}/{}"),
    "rss": (r"(https?://\S+)", "{}"),
    "vk": (r"((?:wall|photo|video|topic)-?\d{1,18}_\d{1,18})", "https://vk.com/{}"),
    "linkedin": (r"(urn:li:(?:activity|share|ugcPost):\d{1,20})", "https://www.linkedin.com/feed/update/{}"),
    "facebook": (r"(\d{1,20})_(\d{1,20})", "https://www.facebook.com/{}/posts/{}"),
    "freshdesk": (rf"({_SERVER}):(\d{{1,18}})", "https://{}/a/tickets/{}"),
}
"""Platform -> the ids of conversations that its mapper gives, and the page of one. On Mastodon it is that of the server that
gave it, where one's own account answers; an entry of a feed whose id is a link is at that link."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """`rows` of named query unanswered, longest first, each with `place` added, without those that somebody said are done;
    how many more there are, at least."""

    rows: list[dict[str, object]]
    sql: str
    left_out: int
    more: bool
    """There are more than are counted."""


def place_of(platform: str, conversation_id: str) -> str:
    """The page on which the conversation is answered; blank: the platform has none that the id leads to."""
    pattern, page = _PLACES.get(platform, ("", ""))
    found = re.fullmatch(pattern, conversation_id, re.ASCII) if page else None
    return page.format(*found.groups()) if found else ""


async def waiting(reads: Reads, brand: str = "") -> Waiting:
    """Those of all brands, or of one. Raises ReadFailed."""
    given = {"limit": str(ASKED + 1), "done": "left-out"} | ({"brand": brand} if brand else {})
    answer = await reads.named(QUERY, given, KEEP_S, ASKED, old_s=OLD_S, first=True)
    rows = [
        row | {"place": "" if row["private"] else place_of(str(row["platform"]), str(row["conversation_id"]))}
        for row in answer.rows[:SHOWN]
    ]
    return Waiting(rows, answer.sql, max(len(answer.rows) - SHOWN, 0), answer.cut)
