"""Activity Streams, the older format of X's enterprise products (Gnip): an activity is read as the status that it holds."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.sources.platforms.observation import LeftOut, Observation, Origin
from pipeline.sources.platforms.twitter_post import deleted
from pipeline.sources.platforms.twitter_v1 import status
from pipeline.sources.platforms.values import object_of, text_of, time_of
from schemas.untyped import JsonObject

DEEPEST = 3
"""A repost of a quote of a post."""


def activity(payload: JsonObject, origin: Origin) -> Iterator[Observation | LeftOut]:
    """The posts in an activity: a share has the original as its object, a quote the quoted one."""
    verb = payload.get("verb")
    if verb in ("post", "share"):
        parts: dict[str, JsonObject] = {}
        for seen in status(_status(payload, parts, DEEPEST), origin):
            yield seen if isinstance(seen, LeftOut) else seen._replace(original=parts[seen.event["id"]])
    elif verb == "delete":
        yield deleted(_last(object_of(payload.get("object")).get("id"), ":"), time_of(payload.get("updated")))
    else:
        yield LeftOut("other activity")


def _status(activity: JsonObject, parts: dict[str, JsonObject], deep: int) -> JsonObject:
    """The status; `parts` gets the activities by the ids of their statuses."""
    longer, place = object_of(activity.get("long_object")), object_of(activity.get("location"))
    name = _last(activity.get("id"), ":")
    parts[name or ""] = activity
    found: JsonObject = {
        "id_str": name,
        "created_at": activity.get("postedTime"),
        "full_text": longer.get("body") or activity.get("body"),
        "display_text_range": (longer or activity).get("display_text_range"),
        "entities": (longer or activity).get("twitter_entities"),
        "lang": activity.get("twitter_lang"),
        "user": _user(object_of(activity.get("actor"))),
        "favorite_count": activity.get("favoritesCount"),
        "retweet_count": activity.get("retweetCount"),
        "place": {"full_name": place.get("displayName")},
        "in_reply_to_status_id_str": _last(object_of(activity.get("inReplyTo")).get("link"), "/"),
    }
    original, quoted = activity.get("object"), activity.get("twitter_quoted_status")
    if deep and activity.get("verb") == "share" and isinstance(original, dict):
        found["retweeted_status"] = _status(original, parts, deep - 1)
    if deep and isinstance(quoted, dict):
        found["quoted_status"] = _status(quoted, parts, deep - 1)
        found["quoted_status_id_str"] = found["quoted_status"]["id_str"]
    return found


def _user(actor: JsonObject) -> JsonObject:
    return {
        "id_str": _last(actor.get("id"), ":"),
        "screen_name": actor.get("preferredUsername"),
        "name": actor.get("displayName"),
        "followers_count": actor.get("followersCount"),
        "friends_count": actor.get("friendsCount"),
        "verified": actor.get("verified"),
        "description": actor.get("summary"),
    }


def _last(name: object, mark: str) -> str | None:
    """The id at the end of `tag:search.twitter.com,2005:1`, or of a link."""
    return text_of(name.rpartition(mark)[2]) if isinstance(name, str) else None
