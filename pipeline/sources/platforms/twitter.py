"""X, once Twitter: what its APIs send, in any version.

| in an event | API v2 | API v1.1, premium, enterprise | Activity Streams |
|---|---|---|---|
| `id` | the first of `edit_history_tweet_ids`, `id` | the first of `edit_tweet_ids`, `id_str` | end of `id` |
| `created_at` | of the first version; `created_at` | of the first version; `created_at` | `postedTime` |
| `kind` repost, reply | `referenced_tweets` | `retweeted_status`, `in_reply_to_status_id_str` | share, `inReplyTo` |
| `target`, of a quote, too | `referenced_tweets` | `retweeted_status`, `quoted_status` | `object`, quoted status |
| `in_reply_to` | `referenced_tweets` | `in_reply_to_status_id_str` | `inReplyTo` |
| `conversation_id` | `conversation_id` | | |
| `text` | `note_tweet`, `text` | `extended_tweet`, `full_text`, `text` | `long_object`, `body` |
| `language` | `lang` | `lang` | `twitter_lang` |
| `mentions`, `hashtags`, `urls` | `entities` | `entities` | `twitter_entities` |
| `location` | place of `geo.place_id` | `place.full_name` | `location.displayName` |
| `visibility` private | author is `protected` | `user` is `protected` | |
| `author` | user of `author_id` | `user` | `actor` |
| `metrics.likes` | `like_count` | `favorite_count` | `favoritesCount` |
| `metrics.shares` | `retweet_count` | `retweet_count` | `retweetCount` |
| `metrics.replies` | `reply_count` | `reply_count` | |
| `metrics.views` | `impression_count` | | |

A post without `created_at` has the time inside of its id, as an edited one has that inside of its first id. In a text HTML
entities are resolved and t.co links replaced by their targets. It has no links to the post's own media or to the quoted post,
and no handles before the start of `display_text_range`; these are in `mentions`. A repost has the text of its original, if
that comes with it, and no metrics: X repeats those of the original. `shares` are reposts without quotes, which older payloads
do not count; a quote is a post with a `target`. `author.url` is the account's page, not its web site. Accounts in lists of
accounts are profiles with the id `account:ID`, direct messages private messages, and likes are likes, where X says who likes
what.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pipeline.sources.platforms import twitter_v1 as v1
from pipeline.sources.platforms.observation import LeftOut, Observation, Origin, Unreadable
from pipeline.sources.platforms.twitter_activity import activity
from pipeline.sources.platforms.twitter_messages import like
from pipeline.sources.platforms.twitter_post import deleted, post_id
from pipeline.sources.platforms.twitter_v2 import Page, item, page
from pipeline.sources.platforms.values import object_of, objects_of, time_of
from schemas.untyped import JsonObject

Seen = Iterator[Observation | LeftOut]

NOTICES = frozenset(
    ("control", "disconnect", "drop", "follow_warning", "friends", "limit", "scrub_geo", "status_withheld", "tweet_edit")
    + ("undrop", "user_delete", "user_profile_modification", "user_protect", "user_suspend", "user_undelete", "user_unprotect")
    + ("user_unsuspend", "user_update", "user_withheld", "warning", "withheld")
)
"""What streams say of themselves, and of posts and accounts beside deletes. (Of an edit the post comes, too.)"""
TOPICS = frozenset(("block", "chat", "dm", "follow", "like", "mute", "news", "oauth", "post", "profile", "spaces"))
"""First words of the types of events in the activity stream."""


def observe(payload: object, origin: Origin) -> Seen:
    """The observations of a post, a page, a line of a stream, a notice, or of a list of these."""
    if isinstance(payload, dict):
        if (seen := _answer(payload, origin)) is None:
            raise Unreadable(f"an object of {len(payload)} fields that is no post, page or notice of X")
        yield from seen
    elif isinstance(payload, list):
        parts = [_answer(each, origin) if isinstance(each, dict) else None for each in payload]
        if parts and not any(parts):
            raise Unreadable(f"a list of {len(parts)} items, none of which is a post, page or notice of X")
        for part in parts:
            yield from _or_other(part)
    else:
        raise Unreadable(f"{type(payload).__name__} in place of a JSON object or list")


def _answer(payload: JsonObject, origin: Origin) -> Seen | None:
    """The observations of what X sends as a whole; None: the shape is unknown."""
    data = payload.get("data")
    if isinstance(data, dict):
        return _one(data, payload, origin)
    if isinstance(data, list) or "meta" in payload or "errors" in payload:
        return page(payload, origin)
    if (seen := _item(payload, origin)) is not None:
        return seen
    if any(isinstance(payload.get(name), list) for name in LISTS):
        return _lists(payload, origin)
    if "delete" in payload:
        return _just(v1.delete(payload["delete"]))
    notice = next((name for name in payload if name in NOTICES), None)
    if notice is not None or "error" in payload or ("title" in payload and "detail" in payload):
        return _just(LeftOut(notice or "error"))
    return None


def _item(payload: JsonObject, origin: Origin) -> Seen | None:
    """The observations of an item, on its own or in a list."""
    if "user" in payload and ("text" in payload or "full_text" in payload):
        return v1.status(payload, origin)
    if "verb" in payload and "objectType" in payload:
        return activity(payload, origin)
    if "sender" in payload and "recipient" in payload:
        return _just(v1.first_message(payload, origin))
    if "message_create" in payload:
        return _just(v1.message_event(payload, {}, origin))
    if "screen_name" in payload:
        return _just(v1.user(payload, origin))
    if "id" in payload and ("text" in payload or "username" in payload):
        return _just(item(payload, Page({}, origin)))
    return _just(LeftOut("count")) if "timePeriod" in payload or "tweet_count" in payload else None


def _one(data: JsonObject, payload: JsonObject, origin: Origin) -> Seen:
    """The observations of an answer or a line of API v2 whose data is one object."""
    if "event_type" in data and "payload" in data:
        return _event(data, origin)
    if isinstance(gone := data.get("delete"), dict):
        return _just(deleted(object_of(gone.get("tweet")).get("id"), time_of(gone.get("event_at"))))
    notice = next(iter(data), "")
    return _just(LeftOut(notice)) if notice in NOTICES else page(payload, origin)


def _event(data: JsonObject, origin: Origin) -> Seen:
    """The observations of an event of the activity stream."""
    name, inner, includes = data["event_type"], object_of(data["payload"]), object_of(data.get("includes"))
    topic = name.partition(".")[0] if isinstance(name, str) else ""
    if name == "post.delete":
        yield deleted(inner.get("id"), None)
    elif topic == "post":
        yield from page({"data": inner, "includes": includes}, origin)
    elif topic == "dm" and "direct_message_events" in inner:
        yield from _lists(inner, origin)
    elif name == "like.create":
        yield from page({"includes": includes}, origin)
        included = Page(includes, origin)
        wanted = object_of(data.get("filter"))  # names the account that likes, or the one whose post is liked
        liker = post_id(wanted.get("user_id")) if wanted.get("direction") == "outbound" else None
        yield like(inner, included.first(post_id(inner.get("liked_tweet_id"))), included.author(liker), origin)
    else:
        yield LeftOut(topic if topic in TOPICS else "other event")


def _lists(payload: JsonObject, origin: Origin) -> Seen:
    """The observations of the lists by which API v1.1 and the webhooks of its time send items."""
    for name, values in payload.items():
        if name in LISTS:
            for each in objects_of(values):
                yield from LISTS[name](each, payload, origin)
        elif name.endswith("_events"):
            yield from (LeftOut("other event") for _ in objects_of(values))


def _or_other(seen: Seen | None) -> Seen:
    return _just(LeftOut("other object")) if seen is None else seen


def _just(seen: Observation | LeftOut) -> Seen:
    return iter((seen,))


def _of_items(each: JsonObject, _: JsonObject, origin: Origin) -> Seen:
    return _or_other(_item(each, origin))


def _of_messages(each: JsonObject, payload: JsonObject, origin: Origin) -> Seen:
    return _just(v1.message_event(each, object_of(payload.get("users")), origin))


LISTS: dict[str, Callable[[JsonObject, JsonObject, Origin], Seen]] = {
    "statuses": _of_items,
    "results": _of_items,
    "users": _of_items,
    "tweet_create_events": _of_items,
    "tweet_delete_events": lambda each, _, __: _just(v1.delete(each)),
    "favorite_events": lambda each, _, origin: v1.favourite(each, origin),
    "direct_message_events": _of_messages,
    "events": _of_messages,
}
"""By the name of the list."""
