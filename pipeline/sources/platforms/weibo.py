"""Weibo, from files, since its API is closed to new apps: statuses as the API gives them, also as the mobile site
does, with HTML and counts such as 1万+; rows of a table of comments; a vendor's export.

| payload | observation |
|---|---|
| status | `post`, or `reply`; with `deleted`, a delete |
| status with `retweeted_status` | `repost`; the retweeted status is an observation of its own before it, and its `target` |
| row of comments | `comment`; its id is a hash of author, time and text, so equal rows are one; its post is not known |
| vendor's post | `post`, under the id that the API gives it; its author has fewer fields than the API's, and replaces none |
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal

from xxhash import xxh3_64_hexdigest

from pipeline.sources.platforms.observation import LeftOut, Observation, Origin, Unreadable, alone
from pipeline.sources.platforms.values import (
    count_of,
    event,
    fits,
    id_of,
    name_of,
    object_of,
    text_of,
    time_in_words,
    time_of_milliseconds,
)
from pipeline.sources.recorded.markup import unescaped, without_html
from schemas.events import ID_BYTES
from schemas.untyped import JsonObject

_COUNT = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,4})?)\s*([万亿]?)\+?")
_FACTORS = {"": 1, "万": 10**4, "亿": 10**8}
_DATE = re.compile(r"/Date\((-?[0-9]{1,15})(?:[+-][0-9]{4})?\)/")
_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,4000}>")
_SMILEY = re.compile(r"<img\b[^<>]{0,2000}?\balt=[\"']?(\[[^\[\]\"'<>]{1,40}\])[^<>]{0,2000}>")
_LINK = re.compile(
    r"<a\b[^<>]{0,2000}?\b(?:data-url|href)=[\"'](https?://[^\"'<>\s]{1,2000})[\"'][^<>]{0,2000}>"
    r"\s*(?:<[^<>]{0,2000}>\s*)*(?![#@\s<])"
)
"""A link whose words are no name and no hashtag: those lead to Weibo's own pages."""
_URL = re.compile(r"https?://[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+")
_HASHTAG = re.compile(r"#([^#\s@][^#\n@]{0,138}?)#")
_MENTION = re.compile(r"(?<![A-Za-z0-9_.-])@([\w-]{1,30})")
_KINDS = {-1: "person", 0: "person", 200: "person", 220: "person", **dict.fromkeys(range(1, 8), "organisation")}
"""Author's kind by `verified_type`: none or a person's own; from 1 on authorities, companies, media, schools and the like."""


def observe(payload: object, origin: Origin) -> Iterator[Observation | LeftOut]:
    """The items of an answer with `statuses`, of a list, or the one item that the payload is. Raises Unreadable for anything
    else, an error of the API too."""
    if isinstance(payload, dict) and isinstance(payload.get("statuses"), list):
        payload = payload["statuses"]
    items = payload if isinstance(payload, list) else [payload]
    kinds = [_kind(item) for item in items]
    if items and not any(kinds):
        raise Unreadable("no status, comment or vendor's post of Weibo")
    for item, kind in zip(items, kinds, strict=True):
        if kind == "status":
            yield from _statuses(item, origin)
        elif kind == "vendor":
            yield alone(_vendor_post, item, origin)
        elif kind == "comment":
            yield alone(_comment, item, origin)
        else:
            yield LeftOut("item of another shape")


def _kind(item: object) -> str:
    """Which of the shapes an item has; blank: none."""
    names = object_of(item).keys()
    if {"Mid", "PubTime"} <= names:
        return "vendor"
    if {"user_name", "created_at", "comments"} <= names:
        return "comment"
    return "status" if "text" in names and names & {"idstr", "mid", "id"} and names & {"created_at", "deleted"} else ""


# --- statuses -------------------------------------------------------------------------------------------------------
def _statuses(status: JsonObject, origin: Origin) -> Iterator[Observation | LeftOut]:
    chain = [status]
    while isinstance(inner := chain[-1].get("retweeted_status"), dict):
        chain.append(inner)
    target: str | None = None
    for each in reversed(chain):
        yield alone(_status, each, target, origin)
        target = _id(each)


def _status(status: JsonObject, target: str | None, origin: Origin) -> Observation | LeftOut:
    identifier, created_at = _id(status), time_in_words(status.get("created_at"))
    if identifier is None:
        return LeftOut("status without an id")
    if status.get("deleted") in (1, "1", True):
        return Observation({"platform": "weibo", "id": identifier}, deleted=True, original=status)
    if created_at is None:
        return LeftOut("status without a time")
    long_text = text_of(object_of(status.get("longText")).get("longTextContent"))
    cut = long_text is None and (status.get("truncated") is True or status.get("isLongText") is True)
    author = _author(object_of(status.get("user")))
    replied = _short_id(status.get("in_reply_to_status_id"))
    return Observation(
        event(
            platform="weibo",
            id=identifier,
            kind="repost" if "retweeted_status" in status else "reply" if replied else "post",
            direction=_direction(author, origin),
            created_at=created_at,
            **_text(long_text or status.get("text")),
            visibility=_visibility(object_of(status.get("visible")).get("type")),
            author=author,
            in_reply_to=replied,
            target=target,
            metrics=event(
                likes=_count(status.get("attitudes_count")),
                shares=_count(status.get("reposts_count")),
                replies=_count(status.get("comments_count")),
            ),
        ),
        at=time_in_words(status.get("edit_at")) or "",
        partial=frozenset({"text"} if cut else ()),
        original=status,
    )


def _id(status: JsonObject) -> str | None:
    return next((found for name in ("idstr", "mid", "id") if (found := _short_id(status.get(name)))), None)


def _author(user: JsonObject) -> JsonObject:
    handle, page = name_of(user.get("screen_name")), text_of(user.get("profile_url"))
    verified, kind = user.get("verified"), user.get("verified_type")
    return event(
        id=_short_id(user.get("idstr")) or _short_id(user.get("id")),
        handle=handle,
        name=text_of(user.get("name")) or text_of(user.get("screen_name")),
        kind=_KINDS.get(kind) if isinstance(kind, int) else None,
        followers=_count(user.get("followers_count")),
        following=_count(user.get("friends_count")),
        verified=verified if isinstance(verified, bool) else None,
        url=page if page is None or "://" in page else f"https://weibo.com/{page}",
        bio=text_of(user.get("description")),
    )


def _visibility(kind: object) -> str | None:
    """0: everybody; others: oneself, a group, friends."""
    return None if not isinstance(kind, int) else "public" if kind == 0 else "private"


# --- the other shapes -----------------------------------------------------------------------------------------------
def _vendor_post(post: JsonObject, origin: Origin) -> Observation | LeftOut:
    identifier, date = _short_id(post.get("Mid")), _DATE.fullmatch(str(post.get("PubTime")))
    created_at = time_of_milliseconds(int(date[1])) if date else None
    if identifier is None or created_at is None:
        return LeftOut("post without an id" if identifier is None else "post without a time")
    account, user = object_of(post.get("Author")), _short_id(object_of(post.get("Author")).get("Id"))
    author = event(
        id=user.removeprefix("weibo:") or None if user else None,
        handle=name_of(account.get("DisplayName")),
        name=text_of(account.get("DisplayName")),
        verified=True if account.get("Type") == "verified" else None,
    )
    return Observation(
        event(
            platform="weibo",
            id=identifier,
            kind="post",
            direction=_direction(author, origin),
            created_at=created_at,
            **_text(post.get("Text")),
            author=author,
            metrics=event(shares=_count(post.get("ForwardCount")), replies=_count(post.get("CommentCount"))),
        ),
        partial=frozenset({"author"}),
        original=post,
    )


def _comment(row: JsonObject, origin: Origin) -> Observation | LeftOut:
    created_at = time_in_words(row["created_at"])
    if created_at is None:
        return LeftOut("comment without a time")
    parts = "\0".join(str(row[name]) for name in ("user_name", "created_at", "comments"))
    author = event(handle=name_of(row["user_name"]), name=text_of(row["user_name"]))
    return Observation(
        event(
            platform="weibo",
            id=f"comment-{xxh3_64_hexdigest(parts.encode('utf-8', 'surrogatepass'))}",
            kind="comment",
            direction=_direction(author, origin),
            created_at=created_at,
            **_text(row["comments"]),
            author=author,
            metrics=event(likes=_count(row.get("attitudes_count"))),
        ),
        original=row,
    )


# --- values ---------------------------------------------------------------------------------------------------------
def _text(value: object) -> JsonObject:
    """A text as a reader sees it, a smiley by its name, with the names and links in it. The API escapes &, < and >; the mobile
    site gives HTML, in which the words of a link stand in place of its address."""
    raw = text_of(value)
    if raw is None:
        return {}
    links: list[str] = []
    if _TAG.search(raw):
        links = [unescaped(link) for link in _LINK.findall(raw)]
        text = without_html(_SMILEY.sub(r"\1", raw))
    else:
        text = unescaped(raw)
    plain = _URL.sub(" ", text)
    return event(
        text=text_of(text),
        mentions=list(dict.fromkeys(_MENTION.findall(plain))),
        hashtags=list(dict.fromkeys(tag.strip() for tag in _HASHTAG.findall(plain))),
        urls=list(dict.fromkeys(links + _URL.findall(text))),
    )


def _count(value: object) -> int | None:
    """A count, also as text: `12`, `1.2万`; of `1万+`, which says no more, 10,000."""
    if isinstance(value, str):
        match = _COUNT.fullmatch(value.strip())
        return count_of(int(Decimal(match[1]) * _FACTORS[match[2]])) if match else None
    return count_of(value)


def _short_id(value: object) -> str | None:
    """An id that is as short as ids have to be."""
    found = id_of(value)
    return found if found and found.strip() and fits(found, ID_BYTES) else None


def _direction(author: JsonObject, origin: Origin) -> str | None:
    return "outbound" if origin.owns((author.get("id"),), (author.get("handle"),)) else None
