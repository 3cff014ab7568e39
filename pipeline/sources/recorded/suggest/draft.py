"""Drafts the events of a mapping from a sample of rows: the fields, their columns, and the doubts."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from pipeline.sources.recorded.suggest.choose import Choice, choose_id, choose_text, choose_time, finer_time, time_in_ids
from pipeline.sources.recorded.suggest.columns import Column, Columns, columns_of, lists_in
from pipeline.sources.recorded.suggest.names import is_of_other, is_of_reply, words_of
from pipeline.sources.recorded.suggest.others import choose_rest
from pipeline.sources.recorded.suggest.sample import Sample

_TAG = re.compile(r"<(?:p|br|a|div|span|b|i|em|strong|li)\b[^>]*>", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:amp|lt|gt|quot|nbsp|apos|#\d+|#x[0-9a-f]+);", re.IGNORECASE)
_MARKDOWN = re.compile(r"\]\(https?:|\*\*[^\s*][^*]*\*\*|^(?:>|&gt;) ", re.MULTILINE)
_GONE = ("[deleted]", "[removed]")
"""Reddit's words in place of a text or an author."""
_SIGNS = {("date_unixtime", "from_id"): ("telegram", "message"), ("cid", "time_parsed"): ("youtube", "comment")}
"""Columns by which a tool shows itself: platform and kind."""
_PLATFORMS = {
    **dict.fromkeys(("twitter", "tweet", "tweets", "tweetid", "retweet", "retweets"), "twitter"),
    **{
        name: name
        for name in ("instagram", "facebook", "youtube", "reddit", "mastodon", "bluesky", "telegram", "tiktok", "threads")
    },
    **{
        name: name
        for name in ("trustpilot", "linkedin", "vk", "weibo", "discord", "pinterest", "yelp", "tripadvisor", "slack", "zendesk")
    },
    **{"subreddit": "reddit", "toot": "mastodon", "reblog": "mastodon", "playstore": "google_play", "appstore": "app_store"},
    **{"微博": "weibo", "shortcode": "instagram", "survey": "survey"},
}
_HOSTS = re.compile(
    r"https?://(?:[\w-]+\.)*?(twitter|instagram|facebook|youtube|reddit|bsky|tiktok|trustpilot|weibo|vk|play\.google|t)\.(?:com|app|me|cn)\b"
)
_OF_HOST = {"play.google": "google_play", "bsky": "bluesky", "t": "telegram"}
_KINDS = {
    **dict.fromkeys(("review", "reviews", "bewertung", "bewertungen", "avis", "resena",
                    "resenas", "recensioni", "отзывы", "评论集"), "review"),
    **dict.fromkeys(("comment", "comments", "kommentar", "kommentare", "commentaires",
                     "comentarios", "yorum", "评论", "コメント"), "comment"),
    **dict.fromkeys(("message", "messages", "chat", "ticket", "tickets", "dialog", "turn", "turns", "conversation"), "message"),
    **dict.fromkeys(("mail", "mails", "email", "emails"), "email"),
    **dict.fromkeys(("reply", "replies", "antworten", "reponses"), "reply"),
}  # fmt: skip


class Constant(NamedTuple):
    """A field with the same value in every event."""

    field: str
    value: object
    doubt: str = ""


@dataclass
class Draft:
    """One entry of `events`."""

    choices: list[Choice]
    constants: list[Constant]
    each: tuple[str, str] | None = None
    """The path of a nested list, and the name of its elements."""
    when: str = ""
    extra: dict[str, object] = field(default_factory=dict)
    """Entries of fields that are made of several columns: hashes, templates, switches."""
    notes: list[str] = field(default_factory=list)


def drafts_of(sample: Sample, path: Path) -> list[Draft]:
    """The entries of the mapping; none if no column holds a text."""
    columns = columns_of(sample.rows)
    columns.pop("", None)
    drafts: list[Draft] = []
    main = _draft(columns, path, words_of(Path(str(sample.keys.get("member", ""))).stem))
    if main is not None:
        drafts.append(main)
        if (answer := _answer(columns, main)) is not None:
            drafts.append(answer)
    for where, elements in lists_in(sample.rows).items():
        if is_of_other(where) and not any(word in _KINDS for word in words_of(where)):
            continue
        inner = columns_of(elements, "element.")
        text = choose_text(_plain(inner))
        if text is None or text.words < 0.5 or not (choose_id(_plain(inner), text)[0] or choose_time(_plain(inner))):
            continue
        nested = _draft(inner, path, words_of(where))
        if nested is not None:
            nested.each = where, "element"
            drafts.append(_below(nested, main))
    return drafts


def _below(nested: Draft, main: Draft | None) -> Draft:
    """A draft of elements knows the row that they are in."""
    if "id" in nested.extra:
        nested.extra["id"] = {"hash": [*_hash_names(nested.extra["id"]), "$index"]}
    identifier = next((choice for choice in main.choices if choice.field == "id"), None) if main else None
    if identifier and not any(choice.field == "in_reply_to" for choice in nested.choices):
        nested.extra["conversation_id"] = {"from": identifier.column.path, **identifier.keys}
    return nested


def _hash_names(entry: object) -> list[str]:
    return [str(name) for name in entry.get("hash", [])] if isinstance(entry, dict) else []


def _plain(columns: Columns) -> Columns:
    """The columns that hold one value a row."""
    return Columns({path: column for path, column in columns.items() if ".*." not in path})


def _draft(columns: Columns, path: Path, names: tuple[str, ...]) -> Draft | None:
    plain = _plain(columns)
    text = choose_text(plain)
    if text is None:
        return None
    for column in columns.values():
        column.base = text.path.rpartition(".")[0] + "." if "." in text.path else ""
    without = Columns({name: each for name, each in plain.items() if name != text.path})
    identifier, notes = choose_id(without, text)
    time = choose_time(without) or time_in_ids(without, identifier)
    chosen = [each for each in (identifier, time) if each is not None]
    taken = {text.path, *(each.column.path for each in chosen)}
    rest = choose_rest(Columns({name: each for name, each in columns.items() if name != text.path}), taken)
    draft = Draft([*chosen, Choice("text", text, _text_keys(text), _text_doubts(text)), *rest], [], notes=notes)
    _set_kind(draft, columns, path, names)
    if identifier is None:
        _set_hash(draft, time, plain)
    if time is None:
        doubt = "the file holds no time: this is when it was last changed"
        draft.constants.append(Constant("created_at", _changed(path), doubt))
    return draft


def _text_keys(text: Column) -> dict[str, object]:
    gone: dict[str, object] = {"missing": list(_GONE)} if set(_GONE) & set(text.texts) else {}
    if sum(_TAG.search(each) is not None for each in text.texts) > 0.1 * len(text.texts):
        return {"strip": "html", **gone}
    if _is_markdown(text):
        return {"strip": "markdown", **gone}
    return {"unescape": True, **gone} if any(_ENTITY.search(each) for each in text.texts) else gone


def _is_markdown(text: Column) -> bool:
    return sum(_MARKDOWN.search(each) is not None for each in text.texts) > 0.1 * len(text.texts)


def _text_doubts(text: Column) -> list[str]:
    return ["links and stars look like Markdown"] if "markdown" in _text_keys(text).values() else []


def _set_hash(draft: Draft, time: Choice | None, columns: Columns) -> None:
    """An id made of author, time, text and rating; equal rows are different events if nothing says when each was written."""
    fields = ("author.id", "author.handle", "author.name", "created_at", "text", "in_reply_to", "rating")
    names = [choice.column.path for name in fields for choice in draft.choices if choice.field == name]
    if time is not None and (finer := finer_time(columns, time.column)) is not None:
        names.append(finer.path)
    own = time is not None and time.column.distinct > 0.2
    draft.extra["id"] = {"hash": list(dict.fromkeys([*names, *([] if own else ["$line"])]))}
    draft.notes.append("no column holds an id: it is made of others" + ("" if own else "; equal rows are different events"))


def _set_kind(draft: Draft, columns: Columns, path: Path, names: tuple[str, ...]) -> None:
    words = [*names, *words_of(path.stem), *(word for column in columns for word in words_of(column))]
    found = next((_PLATFORMS[word] for word in words if word in _PLATFORMS), None)
    links = " ".join(text for column in columns.values() for text in column.texts[:20] if column.is_url)
    if found is None and (match := _HOSTS.search(links)):
        found = _OF_HOST.get(match[1], match[1])
    if found is None and any(choice.keys.get("time") == "snowflake" for choice in draft.choices):
        found = "twitter"
    signs = next((each for names, each in _SIGNS.items() if set(names) <= columns.keys()), None)
    found = found or (signs[0] if signs else None)
    draft.constants.append(Constant("platform", found or "unknown", "" if found else "name the platform, in lower case"))
    rating = any(choice.field == "rating" for choice in draft.choices)
    named = signs[1] if signs else next((_KINDS[word] for word in (*names, *words_of(path.stem)) if word in _KINDS), None)
    kind = named or ("review" if rating else "post")
    parent = next((choice for choice in draft.choices if choice.field == "in_reply_to"), None)
    text = next(choice.column for choice in draft.choices if choice.field == "text")
    if signs and signs[0] == "telegram":
        draft.notes.append('Telegram counts the messages of each chat anew: with several chats, id: {template: "CHAT/{id}"}')
    cases: list[dict[str, object]] = []
    if found == "twitter" and any(each.startswith("RT @") for each in text.texts):
        cases.append({"when": {"from": text.path, "matches": "^RT @"}, "then": "repost"})
    if parent is not None:
        cases.append({"when": {"from": parent.column.path}, "then": "reply"})
    if cases and kind == "post":
        draft.extra["kind"] = {"switch": [*cases, {"then": "post"}]}
    else:
        draft.constants.append(Constant("kind", kind, "" if named or rating else "a post? a comment, a review, a message?"))


def _changed(path: Path) -> str:
    from datetime import UTC, datetime

    from schemas.times import rfc3339

    return rfc3339(datetime.fromtimestamp(int(path.stat().st_mtime), UTC), short=True)


def _answer(columns: Columns, main: Draft) -> Draft | None:
    """The answer of the company that some exports have in the row of a review."""
    identifier = next((choice for choice in main.choices if choice.field == "id"), None)
    taken = {choice.column.path for choice in main.choices}
    replies = Columns(
        {path: each for path, each in _plain(columns).items() if is_of_reply(path) and path not in taken and each.texts}
    )
    if not replies:
        return None
    filled = Columns({path: Column(path, max(1, len(each.texts)), each.values) for path, each in replies.items()})
    texts = [each for each in filled.values() if each.words > 0.5 and each.length > 20 and not each.is_url]
    times = Columns({path: each for path, each in filled.items() if each not in texts})
    time = choose_time(times)
    if len(texts) != 1 or time is None or (identifier and set("{}") & set(identifier.column.path)):
        return None
    draft = Draft([time, Choice("text", texts[0], _text_keys(texts[0]))], [], when=texts[0].path)
    if identifier is not None:
        draft.extra["id"] = {"template": "{" + identifier.column.path + "}/reply"}
        draft.extra["in_reply_to"] = {"from": identifier.column.path, **identifier.keys}
    else:
        draft.extra["id"] = {"hash": [*_hash_names(main.extra["id"]), texts[0].path]}
        draft.extra["in_reply_to"] = main.extra["id"]
    platform = next(each for each in main.constants if each.field == "platform")
    draft.constants += [platform, Constant("kind", "reply"), Constant("direction", "outbound")]
    return draft
