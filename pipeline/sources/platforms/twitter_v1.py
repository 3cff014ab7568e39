"""Payloads of X's API v1.1 and of the premium and enterprise products built on it: statuses, and messages with their users."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.sources.platforms.observation import LeftOut, Observation, Origin, alone
from pipeline.sources.platforms.twitter_messages import conversation_of, like, message, profile, time_of_text
from pipeline.sources.platforms.twitter_post import Draft, deleted, observation, post_id, versions_of
from pipeline.sources.platforms.twitter_v2 import author_of as author_of_v2
from pipeline.sources.platforms.twitter_v2 import unwrapped
from pipeline.sources.platforms.twitter_words import language_of, names, plain, read, visible
from pipeline.sources.platforms.values import count_of, event, name_of, object_of, text_of, time_in_words, time_of
from schemas.untyped import JsonObject


def status(payload: JsonObject, origin: Origin) -> Iterator[Observation | LeftOut]:
    """The status, after those that it reposts or quotes, and those that these quote."""
    found = [payload]
    for each in found:  # grows
        original, quoted = each.get("retweeted_status"), each.get("quoted_status")
        if isinstance(original, dict):
            found.append(original)
            quoted = None if "quoted_status" in original else quoted
        if isinstance(quoted, dict):
            found.append(quoted)
    for each in reversed(found):
        yield alone(_post, each, origin)


def _post(post: JsonObject, origin: Origin) -> Observation | LeftOut:
    name = _id(post)
    if name is None:
        return LeftOut("no id")
    original, quoted_status = object_of(post.get("retweeted_status")), object_of(post.get("quoted_status"))
    quoted = _id_at(post, "quoted_status_id_str", "quoted_status_id")
    user, written = object_of(post.get("user")), post.get("created_at")
    reposted = _first(original) if original else None
    words, whole = _words(original) if reposted else _words(post)
    if user.get("protected") is True:
        words["visibility"] = "private"
    draft = Draft(
        id=name,
        versions=_versions(post, name),
        written_at=time_in_words(written) or time_of(written),
        words=words,
        words_whole=whole,
        author=author_of(user),
        author_whole="screen_name" in user,
        metrics=event(
            likes=count_of(post.get("favorite_count")),
            shares=count_of(post.get("retweet_count")),
            replies=count_of(post.get("reply_count")),
        ),
        location=text_of(object_of(post.get("place")).get("full_name")),
        answered=_id_at(post, "in_reply_to_status_id_str", "in_reply_to_status_id"),
        quoted=(_first(quoted_status) if quoted_status else None) or quoted,
        reposted=reposted,
        conversation=None,
        payload=post,
    )
    return observation(draft, origin)


def _id(post: JsonObject) -> str | None:
    return _id_at(post, "id_str", "id")


def _id_at(post: JsonObject, text: str, number: str) -> str | None:
    """The id, as a string if there is one: JavaScript rounds numbers of this size."""
    if (value := post.get(text)) is not None and (name := post_id(value)) is not None:
        return name
    return None if (value := post.get(number)) is None else post_id(value)


def _versions(post: JsonObject, name: str) -> list[str]:
    history = post.get("edit_history")
    return versions_of(name, history.get("edit_tweet_ids")) if isinstance(history, dict) else []


def _first(post: JsonObject) -> str | None:
    name = _id(post)
    return next(iter(_versions(post, name)), name) if name else None


def _words(post: JsonObject) -> tuple[JsonObject, bool]:
    """The fields of group text, and whether they are whole: a longer text is cut in `text`."""
    longer = post.get("extended_tweet")
    longer = longer if isinstance(longer, dict) else post
    text = longer.get("full_text")
    whole = isinstance(text, str)
    if not whole:
        longer, text = post, post.get("text")
        whole = post.get("truncated") is not True
    entities, name = object_of(longer.get("entities")), _id(post)
    quoted = _id_at(post, "quoted_status_id_str", "quoted_status_id")
    shown, urls = read(
        visible(text, longer.get("display_text_range")), entities, (f"/{name}", f"/{quoted}") if quoted else (f"/{name}",)
    )
    words = event(
        text=shown,
        language=language_of(post.get("lang")),
        mentions=names(entities, "user_mentions", "screen_name"),
        hashtags=names(entities, "hashtags", "text"),
        urls=urls,
    )
    return words, whole


def author_of(user: JsonObject) -> JsonObject:
    """Group author of an account."""
    handle, verified = name_of(user.get("screen_name")), user.get("verified")
    entities = object_of(user.get("entities"))
    return event(
        id=_id(user),
        handle=handle,
        name=plain(user.get("name")),
        followers=count_of(user.get("followers_count")),
        following=count_of(user.get("friends_count")),
        verified=verified if isinstance(verified, bool) else None,
        url=f"https://x.com/{handle}" if handle else None,
        bio=read(user.get("description"), object_of(entities.get("description")))[0],
    )


# --- profiles, messages, likes and deletes ----------------------------------------------------------------------------
def user(account: JsonObject, origin: Origin) -> Observation | LeftOut:
    """The profile of an account."""
    author = author_of(account), "followers_count" in account
    return profile(account, time_in_words(account.get("created_at")), author, origin)


def first_message(dm: JsonObject, origin: Origin) -> Observation | LeftOut:
    """A direct message with its sender and recipient, as the API gave it until 2018."""
    sender = author_of(object_of(dm.get("sender")))
    between = conversation_of(dm.get("sender_id"), dm.get("recipient_id"))
    return message(dm, dm, time_in_words(dm.get("created_at")), (sender, "handle" in sender), between, origin)


def message_event(dm: JsonObject, users: JsonObject, origin: Origin) -> Observation | LeftOut:
    """A direct message with the id of its sender; `users`: by id, in this API's shape or that of v2."""
    if dm.get("type") != "message_create":
        return LeftOut("other event of a conversation")
    made = object_of(dm.get("message_create"))
    sender = post_id(made.get("sender_id"))
    user = unwrapped(object_of(users.get(sender))) if sender else {}
    author = author_of_v2(user) if "username" in user else author_of(user)
    between = conversation_of(sender, object_of(made.get("target")).get("recipient_id"))
    known = (author, True) if "handle" in author else (event(id=sender), False)
    return message(dm, object_of(made.get("message_data")), time_of_text(dm.get("created_timestamp")), known, between, origin)


def favourite(payload: JsonObject, origin: Origin) -> Iterator[Observation | LeftOut]:
    """A like, after the status that is liked."""
    liked = payload.get("favorited_status")
    if isinstance(liked, dict):
        yield from status(liked, origin)
    author = author_of(object_of(payload.get("user")))
    yield like(payload, _id(object_of(liked)), (author, "handle" in author), origin)


def delete(notice: object) -> Observation | LeftOut:
    """The notice of a stream that a status was deleted; other things that are deleted are left out."""
    said = object_of(notice)
    gone = object_of(said.get("status"))
    return deleted(_id(gone) or gone.get("id"), time_of_text(said.get("timestamp_ms"))) if gone else LeftOut("other delete")
