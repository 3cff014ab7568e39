"""Discourse: /posts.json, /t/ID.json, single posts, and webhooks about posts.

| Discourse | event |
|---|---|
| the first post of a topic; any other post | post; reply |
| a post of a topic of archetype private_message | message, private |
| `id` | id: forum.example:15; without the forum's host, 15 |
| `topic_title` and `cooked`, else `raw` | text, without quotes of other posts, previews of links, trimmed mail, pictures |
| links; @names; #tags of `cooked` | urls; mentions; hashtags |
| `topic_id` | conversation_id: forum.example:t:11 |
| `reply_to_post_number`, else 1 | in_reply_to: forum.example:14, if the payload has that post; else forum.example:t:11:1 |
| `user_id`, `username`, `name` | author.id: forum.example:1; author.handle, author.name |
| `staff`, `admin`, `moderator`; a `user_id` below 0 | author.kind staff; bot |
| likes of `actions_summary`, `reply_count`, `reads` | metrics.likes, metrics.replies, metrics.views; a webhook gives no likes |
| `updated_at`, of `version` 2 and above | time of the edit |
| `deleted_at`, `user_deleted`, `hidden` | a delete |
| `locale` | language |

Left out: topics in lists, as /posts.json gives their first post; small actions (closed, pinned, split); whispers among the
staff; of webhooks likes, which have no time, and all that is no post. A post that is recovered stays deleted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from pipeline.sources.platforms.observation import LeftOut, Observation, Origin, Unreadable, alone
from pipeline.sources.platforms.values import count_of, event, id_of, name_of, object_of, objects_of, text_of, time_of
from pipeline.sources.recorded.markup import html_tree, shown_text, without_html, without_markdown
from schemas.untyped import JsonObject

OTHERS: Final = frozenset(
    {
        "topic",
        "user",
        "category",
        "tag",
        "group",
        "group_user",
        "notification",
        "reviewable",
        "solved",
        "user_badge",
        "ping",
        "like",
        "topic_voting",
        "chat_message",
    }
)
"""Webhooks about something else than posts."""
SMALL_ACTION, WHISPER = 3, 4
LIKE = 2
"""Among the kinds of actions on a post."""
_FOREIGN = "aside.quote, aside.onebox, details.elided, div.lightbox-wrapper"
_FOREIGN_MARKS = ("<aside", "<details", "lightbox")
_WITH_TREE = ("<a ", "<aside", "<details", "lightbox", 'class="emoji')
"""Without one of these there is nothing to find but words."""


class Topic(NamedTuple):
    """What the payload says of a topic beside its posts."""

    title: str | None = None
    private: bool = False


class Cooked(NamedTuple):
    """A post as a person reads it."""

    text: str
    urls: list[str] = []
    mentions: list[str] = []
    hashtags: list[str] = []


def observe(payload: object, origin: Origin) -> Iterator[Observation | LeftOut]:
    """The posts, in the order of the payload. Raises Unreadable for a payload of another shape."""
    others, posts, topic = _parts(payload)
    yield from map(LeftOut, others)
    ids = {(post.get("topic_id"), post.get("post_number")): post.get("id") for post in posts if _is_numbered(post)}
    for post in posts:
        yield alone(_observation, post, topic, ids, origin)


def _parts(payload: object) -> tuple[list[str], list[JsonObject], Topic]:
    """Kinds that are left out; the posts; their topic, if they are of one."""
    if isinstance(payload, list) and (not payload or any(_is_post(each) for each in payload)):
        return [], objects_of(payload), Topic()
    if not isinstance(payload, dict):
        raise Unreadable(f"a {type(payload).__name__}, where Discourse sends an object or a list of posts")
    if isinstance(stream := payload.get("post_stream"), dict):
        private = payload.get("archetype") == "private_message"
        return [], objects_of(stream.get("posts")), Topic(text_of(payload.get("title")), private)
    for name in ("latest_posts", "private_posts"):
        if isinstance(payload.get(name), list):
            return [], objects_of(payload[name]), Topic(private=name == "private_posts")
    if isinstance(topics := payload.get("topic_list"), dict):
        return ["topic"] * len(objects_of(topics.get("topics"))), [], Topic()
    if _is_post(payload):
        return [], [payload], Topic()
    if isinstance(post := payload.get("post"), dict):
        return [], [post], Topic()
    if len(payload) == 1 and (found := list(OTHERS & payload.keys())):
        liked = object_of(object_of(payload.get("like")).get("post"))
        return found, [liked] if liked else [], Topic()
    raise Unreadable("an object without posts or topics")


def _is_post(value: object) -> bool:
    return isinstance(value, dict) and "post_number" in value and "topic_id" in value


def _is_numbered(post: JsonObject) -> bool:
    return isinstance(post.get("topic_id"), int) and isinstance(post.get("post_number"), int)


def _observation(
    post: JsonObject, topic: Topic, ids: dict[tuple[object, object], object], origin: Origin
) -> Observation | LeftOut:
    kind = post.get("post_type")
    if kind in (SMALL_ACTION, WHISPER):
        return LeftOut("small action" if kind == SMALL_ACTION else "whisper")
    prefix = f"{origin.host.lower()}:" if origin.host else ""
    created, number = time_of(post.get("created_at")), id_of(post.get("id"))
    if number is None or len(number) > 20:
        return LeftOut("post without an id")
    named = event(id=prefix + number, platform="discourse", created_at=created)
    if post.get("deleted_at") or post.get("user_deleted") or post.get("hidden"):
        return Observation(named, time_of(post.get("deleted_at")) or "", deleted=True, original=post)
    if created is None:
        return LeftOut("post without a time")
    body, title, first = _read(post), text_of(post.get("topic_title")) or topic.title, post.get("post_number") == 1
    thread, answered = _places(post, ids, prefix)
    private = topic.private or post.get("topic_archetype") == "private_message"
    author, own = _author(post, prefix, origin)
    metrics, given = _metrics(post)
    seen = named | event(
        kind="message" if private else "post" if first else "reply",
        direction="outbound" if own else "inbound",
        text=text_of(f"{title}\n{body.text}" if first and title else body.text),
        language=(text_of(post.get("locale")) or "").replace("_", "-")[:35] or None,
        visibility="private" if private else "public",
        author=author,
        mentions=body.mentions,
        hashtags=body.hashtags,
        urls=body.urls,
        in_reply_to=None if first else answered,
        conversation_id=thread,
        metrics=metrics,
    )
    partial = frozenset(name for name, part in (("text", first and not title), ("metrics", not given)) if part)
    return Observation(seen, _edited(post), partial=partial, original=post)


def _places(post: JsonObject, ids: dict[tuple[object, object], object], prefix: str) -> tuple[str | None, str | None]:
    """The conversation, and the post that this one answers."""
    topic, number = count_of(post.get("topic_id")), count_of(post.get("reply_to_post_number")) or 1
    if topic is None:
        return None, None
    answered = id_of(ids.get((topic, number)))
    thread = f"{prefix}t:{topic}"
    return thread, f"{thread}:{number}" if answered is None else prefix + answered


def _edited(post: JsonObject) -> str:
    """The time of the last edit: other changes move `updated_at`, too."""
    version = post.get("version")
    return (time_of(post.get("updated_at")) or "") if isinstance(version, int) and version > 1 else ""


def _author(post: JsonObject, prefix: str, origin: Origin) -> tuple[JsonObject, bool]:
    """The author, and whether it is one of one's own accounts."""
    number, handle = id_of(post.get("user_id")), name_of(post.get("username"))
    ident = prefix + number if number is not None and len(number) <= 20 else None
    staff = post.get("staff") or post.get("admin") or post.get("moderator")
    kind = "bot" if number is not None and number[0] == "-" else "staff" if staff else None
    own = bool(origin.own) and ((handle or "").lower() in origin.own or (ident or "") in origin.own)
    name = text_of(post.get("name")) or text_of(post.get("display_username"))
    return event(id=ident, handle=handle, name=name, kind=kind), own


def _metrics(post: JsonObject) -> tuple[JsonObject, bool]:
    """The counts, and whether the payload gives all of them."""
    actions = post.get("actions_summary")
    likes = None
    if isinstance(actions, list):  # of kinds of actions that nobody took, newer versions of Discourse give none
        likes = next((count_of(each.get("count")) or 0 for each in objects_of(actions) if each.get("id") == LIKE), 0)
    counts = event(likes=likes, replies=count_of(post.get("reply_count")), views=count_of(post.get("reads")))
    return counts, likes is not None


def _read(post: JsonObject) -> Cooked:
    cooked = post.get("cooked")
    if not isinstance(cooked, str):
        *quotes, rest = str(post.get("raw") or "").split("[/quote]")
        return Cooked(without_markdown("".join(quote.partition("[quote")[0] for quote in quotes) + rest))
    if not any(tag in cooked for tag in _WITH_TREE):
        return Cooked(without_html(cooked))
    tree = html_tree(cooked)
    urls, mentions, hashtags = dict[str, None](), dict[str, None](), dict[str, None]()
    foreign = tree.css(_FOREIGN) if any(mark in cooked for mark in _FOREIGN_MARKS) else []
    for node in reversed(foreign):  # those inside of others come first
        if link := node.attributes.get("data-onebox-src"):
            urls[link] = None
        node.decompose()
    for node in tree.css("a[href], img.emoji"):
        attributes = node.attributes
        classes, link = attributes.get("class") or "", attributes.get("href") or ""
        if node.tag == "img":
            node.replace_with(attributes.get("alt") or "")
        elif classes.startswith("mention") and (name := node.text().strip().lstrip("@")):
            mentions[name] = None
        elif classes.startswith("hashtag") and (name := node.text().strip().lstrip("#")):
            hashtags[name] = None
        elif link.startswith(("https://", "http://")):
            urls[link] = None
    return Cooked(shown_text(tree), list(urls), list(mentions), list(hashtags))
