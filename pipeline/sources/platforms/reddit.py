"""Reddit: listings, trees of comments, /api/info, morechildren, the inbox, single things, also without `kind`, as in dumps.

| Reddit | event |
|---|---|
| t3 (a submission) | post; a crosspost is a repost whose in_reply_to and target are the original, itself an event |
| t1 (a comment) | comment, if it answers the submission; reply, if it answers a comment |
| t4 (a private message) | message, private |
| `name` | id: t3_abc, t1_abc |
| `title`, `selftext`, `body`, `subject` | text without Markdown; of a comment also without quotes (`>`), if it holds more |
| `url` of a link, links in the text; u/name | urls; mentions |
| `parent_id`, `link_id` | in_reply_to, conversation_id (a post's is its own id) |
| `author_fullname`, `author` | author.id, author.handle |
| AutoModerator; `distinguished` | author.kind bot; staff, that is, of the subreddit or of Reddit |
| `score`, unless it is hidden; it falls below 0 | metrics.likes |
| `num_comments`, `num_crossposts`, `view_count` | metrics.replies, metrics.shares, metrics.views |
| `edited` | time of the edit |
| `[deleted]`, `[removed]`, `removed_by_category` | a delete. A text whose author left stays, and its author.name is [deleted] |
| `subreddit_type` private | visibility private |

Left out: `more` (comments that are not in the payload), accounts, subreddits, awards, things that wait for a moderator; fields
without a place in the event: the subreddit, flair, ratio of votes, over_18, pictures.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from pipeline.sources.platforms.observation import LeftOut, Observation, Origin, Unreadable, alone
from pipeline.sources.platforms.values import (
    count_of,
    event,
    id_of,
    object_of,
    objects_of,
    text_of,
    time_of_seconds,
)
from pipeline.sources.recorded.markup import has_markdown, unescaped, without_html, without_markdown
from schemas.untyped import JsonObject

OTHERS: Final = frozenset({"t2", "t5", "t6", "LiveUpdate", "LiveUpdateEvent", "modaction", "more", "wikipage", "UserList"})
_MAPPED = frozenset({"t1", "t3", "t4"})
_FULLNAME = re.compile(r"t[1-6]_[0-9a-zA-Z]{1,20}").fullmatch
_HANDLE = re.compile(r"[\w.-]{1,60}").fullmatch
_THREAD = re.compile(r"/comments/([0-9a-z]{1,20})/").search
_MENTION = re.compile(r"(?<![\w/.-])/?u/([\w-]{3,20})(?![\w-])").findall
_LINK = re.compile(r"https?://(?:[^\s()<>\[\]]|\([^\s()<>]*\))+").findall
_QUOTE = re.compile(r"^ {0,3}>(?!!)", re.MULTILINE).search
_GONE = ("[deleted]", "[removed]")


def observe(payload: object, origin: Origin) -> Iterator[Observation | LeftOut]:
    """Observations in the order of the payload, parents first. Raises Unreadable for a payload of another shape."""
    if not _known(payload):
        raise Unreadable(f"{type(payload).__name__} without Reddit's posts, comments, messages or listings")
    left: list[object] = [payload]  # a stack: answers nest a thousand deep
    while left:
        node = left.pop()
        if isinstance(node, list):
            left.extend(reversed(node))
            continue
        kind, thing = _thing(node)
        if kind not in _MAPPED:
            if kind == "Listing":
                left.append(thing.get("children") or thing.get("things") or thing.get("data"))
            elif node is not None:
                yield LeftOut(kind)
            continue
        yield alone(_observation, kind, thing, origin)
        if replies := thing.get("replies"):
            left.append(replies)
        if inner := objects_of(thing.get("crosspost_parent_list")):
            left.extend({"kind": "t3", "data": each} for each in inner)


def _known(payload: object) -> bool:
    pages = payload.get("data") if isinstance(payload, dict) else payload
    if isinstance(pages, list):
        return not pages or any(_thing(each)[0] != "unknown" for each in pages)
    return _thing(payload)[0] != "unknown"


def _thing(node: object) -> tuple[str, JsonObject]:
    """Its kind, and what it holds; a page of things is a Listing, whatever its form."""
    if not isinstance(node, dict):
        return "unknown", {}
    kind, data = node.get("kind"), node.get("data")
    if isinstance(kind, str) and isinstance(data, dict):
        return (kind if kind in _MAPPED or kind == "Listing" or kind in OTHERS else "unknown"), data
    if things := object_of(object_of(node.get("json")).get("data")):  # of morechildren
        return "Listing", things
    if isinstance(data, list):  # of the archives of Reddit
        return "Listing", node
    name = node.get("name")
    if isinstance(name, str) and name[:2] in _MAPPED and name[2:3] == "_":
        return name[:2], node
    if "body" in node and ("link_id" in node or "parent_id" in node):
        return "t1", node
    return ("t3" if "title" in node and "subreddit" in node else "unknown"), node


def _observation(kind: str, thing: JsonObject, origin: Origin) -> Observation | LeftOut:
    name = _fullname(thing.get("name")) or _fullname(f"{kind}_{id_of(thing.get('id')) or ''}")
    if name is None:
        return LeftOut(f"{kind} without an id")
    removed = text_of(thing.get("removed_by_category"))
    if removed == "automod_filtered":
        return LeftOut(f"{kind} that waits for a moderator")
    body = thing.get("selftext" if kind == "t3" else "body")
    created = _time(thing.get("created_utc"))
    if removed or _is_gone(body):
        return Observation(event(platform="reddit", id=name, created_at=created), deleted=True, original=_alone(thing))
    if created is None:
        return LeftOut(f"{kind} without a time")
    author, own = _author(thing, origin)
    text, links, mentions = _text(kind, thing, body if isinstance(body, str) else "")
    seen = event(
        id=name,
        platform="reddit",
        direction="outbound" if own else "inbound",
        created_at=created,
        text=text_of(text),
        visibility="private" if kind == "t4" or thing.get("subreddit_type") == "private" else "public",
        author=author,
        mentions=mentions,
        urls=links,
        **_place(kind, name, thing),
        metrics=_metrics(kind, thing),
    )
    return Observation(seen, _time(thing.get("edited")) or "", original=_alone(thing))


def _place(kind: str, name: str, thing: JsonObject) -> JsonObject:
    if kind == "t3":
        shared = _fullname(thing.get("crosspost_parent"))
        return {"kind": "repost" if shared else "post", "in_reply_to": shared, "target": shared, "conversation_id": name}
    parent = _fullname(thing.get("parent_id"))
    if kind == "t4":
        first = _fullname(thing.get("first_message_name"))
        return {"kind": "message", "in_reply_to": parent, "conversation_id": first or name}
    thread = _fullname(thing.get("link_id"))
    if thread is None and (found := _THREAD(str(thing.get("permalink") or thing.get("context") or ""))):
        thread = f"t3_{found[1]}"
    return {"kind": "reply" if parent and parent[:2] == "t1" else "comment", "in_reply_to": parent, "conversation_id": thread}


def _text(kind: str, thing: JsonObject, body: str) -> tuple[str, list[str], list[str]]:
    """The text, its links, and whom it mentions."""
    if "&" in body:  # without raw_json=1, Reddit escapes
        body = unescaped(body)
    rendered = thing.get("selftext_html" if kind == "t3" else "body_html")
    if kind == "t1" and _QUOTE(body):
        whole, body = body, _unquoted(body)
        rendered = rendered if body is whole else None
    links = [link.rstrip(".,;:!?'\"*_") for link in _LINK(body)] if "://" in body else []
    mentions = _MENTION(body) if "u/" in body else []
    text = _shown(body, rendered)
    head = text_of(thing.get("title" if kind == "t3" else "subject")) if kind != "t1" else None
    if head is not None and not (kind == "t4" and thing.get("parent_id")):
        text = f"{unescaped(head).strip()}\n{text}".strip()
    if kind == "t3" and not thing.get("is_self"):
        url = thing.get("url_overridden_by_dest") or thing.get("url")
        if isinstance(url, str) and url.startswith(("https://", "http://")) and f"/comments/{thing.get('id')}" not in url:
            links.insert(0, url.replace("&amp;", "&"))
    return text, list(dict.fromkeys(links)), list(dict.fromkeys(mentions))


def _shown(body: str, rendered: object) -> str:
    """The body as a person reads it: from Reddit's HTML, where the payload has it, which takes a third of the time."""
    if isinstance(rendered, str) and rendered and has_markdown(body):
        return without_html(unescaped(rendered) if rendered.startswith("&lt;") else rendered)
    return without_markdown(body.replace(">!", "").replace("!<", "") if "!<" in body else body)  # marks of spoilers


def _unquoted(body: str) -> str:
    """Without quotes, which end at a blank line; the whole body, if it is a quote and nothing else."""
    kept: list[str] = []
    quoted = False
    for line in body.split("\n"):
        quoted = bool(_QUOTE(line)) or (quoted and bool(line.strip()))
        if not quoted:
            kept.append(line)
    own = "\n".join(kept)
    return own if own.strip() else body


def _author(thing: JsonObject, origin: Origin) -> tuple[JsonObject, bool]:
    """The author, and whether it is one of one's own accounts."""
    handle = thing.get("author")
    if handle == "[deleted]":  # takes the place of the author that was sent before
        return {"name": handle}, False
    if not isinstance(handle, str) or not _HANDLE(handle):
        return {}, False
    number = _fullname(thing.get("author_fullname"))
    kind = "bot" if handle == "AutoModerator" else "staff" if thing.get("distinguished") else None
    return event(id=number, handle=handle, kind=kind), origin.owns((number,), () if _fullname(handle) else (handle,))


def _metrics(kind: str, thing: JsonObject) -> JsonObject:
    if kind == "t4":
        return {}
    score = thing.get("score")
    hidden = thing.get("score_hidden") or thing.get("hide_score")
    likes = score if not hidden and type(score) is int and abs(score) < 1 << 63 else None
    if kind == "t1":
        return {} if likes is None else {"likes": likes}
    return event(
        likes=likes,
        replies=count_of(thing.get("num_comments")),
        shares=count_of(thing.get("num_crossposts")),
        views=count_of(thing.get("view_count")),
    )


def _is_gone(body: object) -> bool:
    return isinstance(body, str) and body[:1] == "[" and (body in _GONE or body.startswith("[ Removed by Reddit"))


def _alone(thing: JsonObject) -> JsonObject:
    """Without the things inside, which are observations of their own."""
    if not thing.get("replies") and "crosspost_parent_list" not in thing:
        return thing
    return {key: value for key, value in thing.items() if key not in ("replies", "crosspost_parent_list")}


def _fullname(value: object) -> str | None:
    return value if isinstance(value, str) and _FULLNAME(value) else None


def _time(value: object) -> str | None:
    if isinstance(value, str) and value.isascii() and value.isdigit():  # in old dumps
        value = int(value[:12])
    return time_of_seconds(value)
