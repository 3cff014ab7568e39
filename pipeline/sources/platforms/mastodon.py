"""Mastodon, and servers with its API: statuses, pages of them, frames of the streaming API, notifications, accounts.

| payload | observation |
|---|---|
| Status | `post`, or `reply`; its `reblog` and `quote` are observations of their own |
| Status with `reblog` | `repost` without a text, `target` and `in_reply_to` name the status |
| frame `update`, `status.update`, `conversation` | its status; `edited_at` is `at` |
| frame `delete` | a delete; it has no time |
| notification mention, status, poll, update, quote | its status |
| notification favourite, reblog, follow | `like`, `repost`, `follow`, and its status |
| Account, as of `reblogged_by` | `profile` |

| field | comes from |
|---|---|
| `text` | `spoiler_text`, `content`, the options of a poll, a line each; descriptions of media and cards are left out |
| `visibility` | public and unlisted are public, all else is private |
| `urls` | links in the content, except mentions and hashtags, and the card's |
| `mentions`, `author.handle` | `acct`, always with a host |
| `metrics` | `favourites_count`, `reblogs_count`, `replies_count`, as this server knows them |
| `author.kind` | bot for `bot`, organisation for `group` |
| `author.bio` | `note`, and those of `fields` that hold a link: `Code: https://github.com/mira` |

Ids are local to the server that answered: `mastodon.social:109381959`. The server is `origin.host`; without it, that of an
account of the page whose `acct` has no host. A remote status by itself, without `origin.host`, gets the id that it has at home,
by its `uri`; fields that only the server that answered can name, as `in_reply_to`, are then left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from pipeline.sources.platforms.mastodon_names import HOST, at_home, author_of, handle_of, local, server_of
from pipeline.sources.platforms.observation import LeftOut, Observation, Origin, Unreadable, readable
from pipeline.sources.platforms.values import count_of, event, id_of, name_of, object_of, objects_of, text_of, time_of
from pipeline.sources.recorded.json_text import NotJson
from pipeline.sources.recorded.json_text import parsed as json_value
from pipeline.sources.recorded.markup import unescaped, without_html
from schemas.events import EARLIEST
from schemas.untyped import JsonObject

PLATFORM = "mastodon"
OF_STATUS = ("mention", "status", "poll", "update", "quote", "quoted_update")
"""Notifications that say nothing beside their status."""
REACTIONS = {"favourite": "like", "reblog": "repost", "follow": "follow"}
LEFT_OUT = (
    *("follow_request", "admin.sign_up", "admin.report", "severed_relationships", "moderation_warning", "annual_report"),
    *("filters_changed", "announcement", "announcement.reaction", "announcement.delete", "encrypted_message"),
)
"""Notifications and frames that are not mapped; names that no server has yet count as `other`."""
DEEPEST = 3
"""Statuses inside of statuses that are looked at: a reblog of a quote of a quote."""
Found = list[Observation | LeftOut]
_ANCHOR = re.compile(r"<a ([^<>]*)>")
_NO_LINK = re.compile(r'(?:class|rel)="(?:[^"]* )?(?:mention|hashtag|tag)[ "]')
_HREF = re.compile(r'href="(https?://[^"]+)"')


def observe(payload: object, origin: Origin) -> Iterator[Observation | LeftOut]:
    """The statuses, accounts and reactions of a payload. An item of a page that can't be read is left out as `unreadable`.
    Raises Unreadable where none can be read."""
    if isinstance(payload, list):
        yield from _page(payload, origin)
    elif isinstance(payload, dict):
        yield from _one(payload, origin)
    else:
        raise Unreadable(f"neither an object nor a list, but {type(payload).__name__}")


def _page(items: list[object], origin: Origin) -> Found:
    if not origin.host:
        origin = Origin(next(filter(None, map(server_of, objects_of(items))), ""), origin.own)
    return readable(items, lambda item: _one(item, origin))


def _one(item: JsonObject, origin: Origin) -> Found:
    if "event" in item and ("payload" in item or "stream" in item):
        return _frame(item, origin)
    return _item(item, origin)


def _item(item: JsonObject, origin: Origin) -> Found:
    if "content" in item and "account" in item:
        return _status(item, origin)
    if "type" in item and "account" in item:
        return _notification(item, origin)
    if "acct" in item:
        return [_profile(item, origin)]
    if isinstance(item.get("last_status"), dict):
        return _status(item["last_status"], origin)
    raise Unreadable("an error of the server" if "error" in item else "no status, account, notification or frame")


def _frame(frame: JsonObject, origin: Origin) -> Found:
    name, payload = frame["event"], frame.get("payload")
    if name == "delete":
        if not origin.host or (key := id_of(payload)) is None:
            raise Unreadable("a delete without a server or an id")
        return [Observation({"id": local(origin.host, key), "platform": PLATFORM}, deleted=True, original=frame)]
    if not isinstance(name, str):
        raise Unreadable("a frame without an event")
    if name not in ("update", "status.update", "notification", "conversation"):
        return [LeftOut(name if name in LEFT_OUT else "other")]
    if isinstance(payload, str):
        try:
            payload = json_value(payload)
        except NotJson:
            raise Unreadable(f"a frame {name} whose payload is no JSON") from None
    return _item(object_of(payload), origin)


def _notification(notice: JsonObject, origin: Origin) -> Found:
    name, status, account = notice["type"], notice.get("status"), object_of(notice.get("account"))
    inner = _inner(status, origin, 1) if isinstance(status, dict) else []
    if name in OF_STATUS:
        return inner or [LeftOut(name)]
    kind = REACTIONS.get(name) if isinstance(name, str) else None
    if kind is None:
        return [LeftOut(name if isinstance(name, str) and name in LEFT_OUT else "other")]
    server = origin.host or server_of(notice) or server_of(object_of(status))
    if not server:
        raise Unreadable("a notification without a server")
    author, own = author_of(account, server, origin)
    target = _key(inner)
    seen = event(
        id=local(server, f"notification:{_id(notice)}"),
        platform=PLATFORM,
        kind=kind,
        created_at=_time(notice, "created_at"),
        direction="outbound" if own else None,
        author=author,
        in_reply_to=target if kind == "repost" else None,
        target=target,
    )
    return [Observation(seen, original=notice), *inner]


def _profile(account: JsonObject, origin: Origin) -> Observation:
    server = origin.host or server_of(account)
    if not server:
        raise Unreadable("an account without a server")
    author, own = author_of(account, server, origin)
    created = _time(account, "created_at")
    direction = "outbound" if own else None
    name = local(server, f"account:{_id(account)}")
    seen = event(id=name, platform=PLATFORM, kind="profile", created_at=created, direction=direction, author=author)
    return Observation(seen, original=account)


def _status(status: JsonObject, origin: Origin, level: int = 0) -> Found:
    """The status, and those inside of it, behind it."""
    server = origin.host or server_of(status)
    key = local(server, _id(status)) if server else at_home(status)
    within = Origin(server, origin.own) if server and not origin.host else origin
    reblog = object_of(status.get("reblog"))
    quote = object_of(status.get("quote"))
    quoted = quote.get("quoted_status") or (quote if "content" in quote else None)
    inner = _inner(reblog or quoted, within, level + 1)
    answers = id_of(status.get("in_reply_to_id"))
    replied = local(server, answers) if server and answers else None
    author, own = author_of(object_of(status.get("account")), server, origin)
    target = _key(inner)
    if target is None and server and (only := id_of(quote.get("quoted_status_id"))):
        target = local(server, only)
    seen = event(
        id=key,
        platform=PLATFORM,
        kind="repost" if reblog else "reply" if answers else "post",
        created_at=_time(status, "created_at"),
        direction="outbound" if own else None,
        visibility=_visibility(status.get("visibility")),
        author=author,
        in_reply_to=target if reblog else replied,
        target=target,
    )
    if reblog:
        return [Observation(seen, original=status), *inner]
    seen |= _said(status, server)
    return [Observation(seen, time_of(status.get("edited_at")) or "", original=status), *inner]


def _said(status: JsonObject, server: str) -> JsonObject:
    content = text_of(status.get("content")) or ""
    lines = [text_of(status.get("spoiler_text")), without_html(content)]
    if poll := object_of(status.get("poll")):
        lines += [text_of(option.get("title")) for option in objects_of(poll.get("options"))]
    mentions, tags = status.get("mentions"), status.get("tags")
    return event(
        text="\n".join(filter(None, lines)) or None,
        language=name_of(status.get("language")),
        mentions=_distinct(handle_of(mention, server) for mention in objects_of(mentions)) if mentions else None,
        hashtags=_distinct(text_of(tag.get("name")) for tag in objects_of(tags)) if tags else None,
        urls=_urls(content, object_of(status.get("card")).get("url")),
        metrics=event(
            likes=count_of(status.get("favourites_count")),
            shares=count_of(status.get("reblogs_count")),
            replies=count_of(status.get("replies_count")),
        ),
    )


def _inner(status: object, origin: Origin, level: int) -> Found:
    if not isinstance(status, dict) or level > DEEPEST:
        return []
    try:
        return _status(status, origin, level)
    except Unreadable:
        return [LeftOut("unreadable")]


def _key(found: Found) -> str | None:
    first = found[0] if found else None
    key: str | None = first.event["id"] if isinstance(first, Observation) else None
    return key


def _id(item: JsonObject) -> str:
    key = id_of(item.get("id"))
    if key is None:
        raise Unreadable("an item without an id")
    return key


def _time(item: JsonObject, name: str) -> str:
    time = time_of(item.get(name))
    if time is None or time < EARLIEST:
        raise Unreadable(f"no time in {name}")
    return time


def _visibility(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    return "public" if value in ("public", "unlisted") else "private"


def _urls(content: str, card: object) -> list[str]:
    urls = []
    for tag in _ANCHOR.findall(content):
        named = ("mention" in tag or "tag" in tag) and _NO_LINK.search(tag)
        if not named and (found := _HREF.search(tag)):
            urls.append(unescaped(found[1]))
    if isinstance(card, str) and HOST.match(card):
        urls.append(card)
    return _distinct(urls)


def _distinct(values: Iterable[str | None]) -> list[str]:
    return list(dict.fromkeys(filter(None, values)))
