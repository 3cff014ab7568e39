"""Facebook, by the Graph API: posts of a page and posts that tag it, their comments, conversations; answers of `?ids=`, too.

| Graph API | event |
|---|---|
| a post | post |
| a comment; one with `parent`, or whose link has `reply_comment_id` | comment; reply |
| a message of a conversation | message, private |
| `id` | id; of a comment without the page's number: 777_888, as newer answers have it; else from `permalink_url` |
| `message`, else `story`, else the title of the first attachment | text |
| `message_tags` of pages and people; #words | mentions, by name; hashtags |
| links in the text, `unshimmed_url` of attachments that are links | urls |
| `parent`, else the post | in_reply_to |
| the post; the conversation | conversation_id |
| `from` | author.id, author.name |
| `reactions` (all kinds), `like_count`, `likes` | metrics.likes |
| `shares`; `comments`, `comment_count` | metrics.shares; metrics.replies |
| `is_hidden` or `is_private` of a comment, a `privacy` other than EVERYONE | visibility private |

A post that comes without `reactions`, or a comment without `comment_count`, replaces no counts. `from` is there for who may
manage the page. An edit has no time of its own: `updated_time` moves with each comment, too. Left out: pictures, who reacted,
conversations without their messages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipeline.sources.platforms.meta_text import hashtags_in, inside, links_in, objects_in, total_of
from pipeline.sources.platforms.observation import LeftOut, Observation, Origin, Unreadable, alone, readable
from pipeline.sources.platforms.values import count_of, event, fits, id_of, name_of, object_of, objects_of, text_of, time_of
from schemas.untyped import JsonObject

_NUMBERED = re.compile(r"(?:\d{1,30}_){0,2}\d{1,30}").fullmatch
_PLACE = re.compile(r"/(\d{1,30})/posts/(\d{1,30})/?\?comment_id=(\d{1,30})(?:&reply_comment_id=(\d{1,30}))?").search
_LONGEST_ID = 500


def observe(payload: object, origin: Origin) -> Iterator[Observation | LeftOut]:
    """In the order of the payload, what is said of a post behind it. Raises Unreadable for a payload of another shape."""
    yield from readable(objects_in(payload), lambda item: list(_observed(item, origin)))


def _observed(item: JsonObject, origin: Origin) -> Iterator[Observation | LeftOut]:
    ident = id_of(item.get("id"))
    if "messages" in item:
        for message in objects_of(inside(item, "messages")):
            yield alone(_message, message, ident, origin)
    elif ident is not None and ident.startswith("m_"):
        yield alone(_message, item, None, origin)
    elif _is_comment(item):
        yield from _said(item, None, origin)
    elif "created_time" in item:
        yield alone(_post, item, origin)
        yield from _comments(item, _id(item), origin)
    elif "comments" in item:  # what else there is to say of the post, another answer did
        yield from _comments(item, _id(item), origin)
    elif ident is not None and ident.startswith("t_"):
        yield LeftOut("conversation")
    else:
        raise Unreadable("an object that is no post, comment or message of Facebook")


def _comments(item: JsonObject, ident: str | None, origin: Origin) -> Iterator[Observation | LeftOut]:
    for comment in objects_of(inside(item, "comments")):
        yield from _said(comment, ident, origin)


def _said(comment: JsonObject, post: str | None, origin: Origin) -> Iterator[Observation | LeftOut]:
    """A comment, and the answers inside of it."""
    yield alone(_comment, comment, post, origin)
    for answer in objects_of(inside(comment, "comments")):
        yield alone(_comment, {"parent": comment, **answer}, post, origin)


def _is_comment(item: JsonObject) -> bool:
    return "comment_id=" in str(item.get("permalink_url")) or "comment_count" in item or "parent" in item


def _post(item: JsonObject, origin: Origin) -> Observation | LeftOut:
    ident, created = _id(item), time_of(item.get("created_time"))
    if ident is None or created is None:
        return LeftOut(f"post without {'an id' if ident is None else 'a time'}")
    attachments = objects_of(inside(item, "attachments"))
    title = next((text for each in attachments if (text := text_of(each.get("title")))), None)
    text = text_of(item.get("message")) or text_of(item.get("story")) or title
    shared = [link for each in attachments if each.get("media_type") == "link" and (link := text_of(each.get("unshimmed_url")))]
    reach = text_of(object_of(item.get("privacy")).get("value"))
    author, own = _author(item, origin)
    reacted = count_of(total_of(item, "reactions"))
    seen = event(
        id=ident,
        platform="facebook",
        kind="post",
        direction="outbound" if own else "inbound",
        created_at=created,
        visibility="private" if reach not in (None, "EVERYONE") else "public",
        author=author,
        conversation_id=ident,
        metrics=event(
            likes=reacted,
            shares=count_of(object_of(item.get("shares")).get("count")),
            replies=count_of(total_of(item, "comments")),
        ),
        **_words(item, text, shared),
    )
    return Observation(seen, partial=frozenset() if reacted is not None else frozenset({"metrics"}), original=_alone(item))


def _comment(item: JsonObject, post: str | None, origin: Origin) -> Observation | LeftOut:
    place = _PLACE(str(item.get("permalink_url") or ""))
    whole, created = _id(item) or "", time_of(item.get("created_time"))
    ident = _short(whole)
    post = post or (whole.rpartition("_")[0] if whole.count("_") == 2 else None)
    parent = _short(_id(object_of(item.get("parent"))))
    if place is not None:
        page, number, first, answer = place.groups()
        ident = ident or f"{number}_{answer or first}"
        post = post or f"{page}_{number}"
        parent = parent or (f"{number}_{first}" if answer else None)
    if ident is None or created is None:
        return LeftOut(f"comment without {'an id' if ident is None else 'a time'}")
    hidden = item.get("is_hidden") is True or item.get("is_private") is True
    author, own = _author(item, origin)
    likes = item.get("like_count") if "like_count" in item else item.get("likes")
    seen = event(
        id=ident,
        platform="facebook",
        kind="reply" if parent else "comment",
        direction="outbound" if own else "inbound",
        created_at=created,
        visibility="private" if hidden else "public",
        author=author,
        in_reply_to=parent or post,
        conversation_id=post,
        metrics=event(likes=count_of(likes), replies=count_of(item.get("comment_count"))),
        **_words(item, text_of(item.get("message")), []),
    )
    partial = frozenset() if "comment_count" in item else frozenset({"metrics"})
    return Observation(seen, partial=partial, original=_alone(item))


def _message(item: JsonObject, conversation: str | None, origin: Origin) -> Observation | LeftOut:
    ident, created = id_of(item.get("id")), time_of(item.get("created_time"))
    if ident is None or not fits(ident, _LONGEST_ID) or created is None:
        return LeftOut("message without an id or a time")
    author, own = _author(item, origin)
    text = text_of(item.get("message"))
    seen = event(
        id=ident,
        platform="facebook",
        kind="message",
        direction="outbound" if own else "inbound",
        created_at=created,
        visibility="private",
        author=author,
        conversation_id=conversation if conversation is not None and fits(conversation, _LONGEST_ID) else None,
        text=text,
        urls=links_in(text or ""),
    )
    return Observation(seen, original=_alone(item))


def _words(item: JsonObject, text: str | None, shared: list[str]) -> JsonObject:
    tagged = [name for tag in objects_of(item.get("message_tags")) if (name := name_of(tag.get("name")))]
    return {
        "text": text,
        "mentions": list(dict.fromkeys(name for name in tagged if not name.startswith("#"))),
        "hashtags": hashtags_in(text or ""),
        "urls": list(dict.fromkeys([*links_in(text or ""), *shared])),
    }


def _author(item: JsonObject, origin: Origin) -> tuple[JsonObject, bool]:
    """The author, and whether it is one of one's own accounts."""
    who = object_of(item.get("from"))
    number = _id(who)
    return event(id=number, name=text_of(who.get("name"))), origin.owns((number,), ())


def _id(item: JsonObject) -> str | None:
    """A number, or several of them: of page, post, comment."""
    ident = id_of(item.get("id"))
    return ident if ident is not None and _NUMBERED(ident) else None


def _short(ident: str | None) -> str | None:
    """A comment's id without the page's number, which older answers have before it."""
    return "_".join(ident.split("_")[-2:]) if ident else None


def _alone(item: JsonObject) -> JsonObject:
    """Without who reacted, and without the objects inside, which are observations of their own."""
    return {name: value for name, value in item.items() if name not in ("reactions", "comments", "messages")}
