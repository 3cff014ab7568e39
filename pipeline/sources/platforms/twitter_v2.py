"""Payloads of X's API v2: pages and lines of streams, with `data` and `includes`.

Of a post's fields the API gives id, text and the ids of its versions if no others are asked for. Without `lang`, group text is
partial, and without `public_metrics` of the author, group author.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.sources.platforms.observation import LeftOut, Observation, Origin, alone
from pipeline.sources.platforms.twitter_messages import message, profile
from pipeline.sources.platforms.twitter_post import Draft, observation, post_id, versions_of
from pipeline.sources.platforms.twitter_words import language_of, names, plain, read, visible
from pipeline.sources.platforms.values import count_of, event, id_of, name_of, object_of, objects_of, text_of, time_of
from schemas.untyped import JsonObject

ORGANISATIONS = ("business", "government")
"""Types of verified accounts."""


MARK = "RT @"
"""Before the text of a repost; it shows where the payload has no `referenced_tweets`."""


class Page:
    """What a page or line includes beside its data."""

    def __init__(self, includes: JsonObject, origin: Origin) -> None:
        """Of the accounts, posts and places without an id none is kept."""
        self.origin = origin
        self.posts = {name: post for post in objects_of(includes.get("tweets")) if (name := post_id(post.get("id")))}
        self._accounts = {
            name: account
            for each in objects_of(includes.get("users"))
            if (name := post_id((account := unwrapped(each)).get("id")))
        }
        self._places = {
            name: text_of(place.get("full_name"))
            for place in objects_of(includes.get("places"))
            if (name := id_of(place.get("id")))
        }
        self._authors: dict[str, tuple[JsonObject, bool]] = {}

    def account(self, name: str | None) -> JsonObject:
        """The account with this id; empty, if it is not included."""
        return self._accounts.get(name, {}) if name else {}

    def author(self, name: str | None) -> tuple[JsonObject, bool]:
        """The author of this id, as far as it is known, and whether it is known as a whole."""
        if name is None:
            return {}, False
        if (known := self._authors.get(name)) is None:
            account = self._accounts.get(name)
            known = ({"id": name}, False) if account is None else (author_of(account), "public_metrics" in account)
            self._authors[name] = known
        return known

    def place(self, post: JsonObject) -> str | None:
        """The name of the place from which the post was sent."""
        name = id_of(object_of(post.get("geo")).get("place_id")) if self._places else None
        return self._places.get(name) if name else None

    def first(self, name: str | None) -> str | None:
        """The id of the post's first version, if the post is included; else `name`."""
        versions = versions_of(name, post.get("edit_history_tweet_ids")) if name and (post := self.posts.get(name)) else []
        return versions[0] if versions else name


def page(payload: JsonObject, origin: Origin) -> Iterator[Observation | LeftOut]:
    """Posts that are included, then the items of the data, then the errors."""
    included = Page(object_of(payload.get("includes")), origin)
    data = payload.get("data")
    items = data if isinstance(data, list) else [] if data is None else [data]
    if included.posts:
        listed = {each.get("id") for each in objects_of(items) if isinstance(each.get("id"), str)}
        for name, post in included.posts.items():
            if name not in listed:
                yield alone(_post, post, included)
    for each in items:
        yield alone(item, each, included)
    for _ in objects_of(payload.get("errors")):
        yield LeftOut("error")


def item(each: object, included: Page) -> Observation | LeftOut:
    """One object of a page's data."""
    if not isinstance(each, dict):
        return LeftOut("no object")
    if "event_type" in each:
        return _message(each, included)
    if "text" in each or "author_id" in each:
        return _post(each, included)
    if "username" in each:
        author = author_of(each), "public_metrics" in each
        return profile(each, time_of(each.get("created_at")), author, included.origin)
    return LeftOut("count" if "tweet_count" in each else "other object")


def author_of(account: JsonObject) -> JsonObject:
    """Group author of an account."""
    handle, counts = name_of(account.get("username")), object_of(account.get("public_metrics"))
    verified = account.get("verified")
    entities = account.get("entities")
    return event(
        id=post_id(account.get("id")),
        handle=handle,
        name=plain(account.get("name")),
        kind="organisation" if account.get("verified_type") in ORGANISATIONS else None,
        followers=count_of(counts.get("followers_count")),
        following=count_of(counts.get("following_count")),
        verified=verified if isinstance(verified, bool) else None,
        url=f"https://x.com/{handle}" if handle else None,
        bio=read(account.get("description"), object_of(object_of(entities).get("description")))[0],
    )


def unwrapped(account: JsonObject) -> JsonObject:
    """An account, which the activity stream wraps into an object."""
    inner = account.get("data")
    return inner if isinstance(inner, dict) else account


def _post(post: JsonObject, included: Page) -> Observation | LeftOut:
    name = post_id(post.get("id"))
    if name is None:
        return LeftOut("no id")
    answered, quoted, reposted = _references(post)
    whole = "lang" in post
    if reposted is None and not whole and str(post.get("text", "")).startswith(MARK):
        reposted = ""
    original = included.posts.get(reposted) if reposted else None
    author_id = post_id(post.get("author_id"))
    author, author_whole = included.author(author_id)
    words = _words(post, name, quoted) if original is None else _words(original, reposted or "", _references(original)[1])
    if included.account(author_id).get("protected") is True:
        words["visibility"] = "private"
    counts = object_of(post.get("public_metrics"))
    draft = Draft(
        id=name,
        versions=versions_of(name, post.get("edit_history_tweet_ids")),
        written_at=time_of(post.get("created_at")),
        words=words,
        words_whole=whole and (reposted is None or original is not None),
        author=author,
        author_whole=author_whole,
        metrics=event(
            likes=count_of(counts.get("like_count")),
            shares=count_of(counts.get("retweet_count")),
            replies=count_of(counts.get("reply_count")),
            views=count_of(counts.get("impression_count")),
        ),
        location=included.place(post),
        answered=included.first(answered),
        quoted=included.first(quoted),
        reposted=included.first(reposted),
        conversation=included.first(post_id(post.get("conversation_id"))),
        payload=post,
    )
    return observation(draft, included.origin)


def _references(post: JsonObject) -> tuple[str | None, str | None, str | None]:
    """The ids of the posts that it answers, quotes and reposts."""
    answered = quoted = reposted = None
    for each in objects_of(post.get("referenced_tweets")):
        kind = each.get("type")
        if kind == "replied_to":
            answered = post_id(each.get("id"))
        elif kind == "quoted":
            quoted = post_id(each.get("id"))
        elif kind == "retweeted":
            reposted = post_id(each.get("id"))
    return answered, quoted, reposted


def _words(post: JsonObject, name: str, quoted: str | None) -> JsonObject:
    entities, note = object_of(post.get("entities")), post.get("note_tweet")
    if isinstance(note, dict) and text_of(note.get("text")):  # the whole of a text that is cut in `text`
        text, entities = note["text"], object_of(note.get("entities")) or entities
    else:
        text = visible(post.get("text"), post.get("display_text_range"))
    shown, urls = read(text, entities, (f"/{name}", f"/{quoted}") if quoted else (f"/{name}",))
    return event(
        text=shown,
        language=language_of(post.get("lang")),
        mentions=names(entities, "mentions", "username"),
        hashtags=names(entities, "hashtags", "tag"),
        urls=urls,
    )


def _message(dm: JsonObject, included: Page) -> Observation | LeftOut:
    if dm.get("event_type") != "MessageCreate":
        return LeftOut("other event of a conversation")
    author = included.author(post_id(dm.get("sender_id")))
    conversation = name_of(dm.get("dm_conversation_id"))
    return message(dm, dm, time_of(dm.get("created_at")), author, conversation, included.origin)
