"""Chooses the columns for the other fields of an event: authors, counts, ratings, parents, lists."""

from __future__ import annotations

import re
from collections.abc import Callable

from pipeline.processors.language_codes import language_tag
from pipeline.sources.recorded.suggest.choose import Choice, with_find
from pipeline.sources.recorded.suggest.columns import Column, Columns
from pipeline.sources.recorded.suggest.names import is_of_author, is_of_other, is_of_reply, likeness

_POSITIVE = ("metrics.likes", "metrics.shares", "metrics.replies", "metrics.views", "author.followers", "author.following")
_LISTS = {
    "hashtags": ("name", "text", "tag", "hashtag"),
    "mentions": ("screen_name", "username", "acct", "handle", "name"),
    "urls": ("expanded_url", "url", "href", "link"),
}
"""Fields that are lists, and the keys of a list of objects in which their names are."""
_FULLNAME = re.compile(r"t[1-6]_\w+")
"""Reddit's names of posts: kind and id."""
_EMAIL = re.compile(r"\S+@\S+\.\S+")
_VISIBILITIES = {"public", "unlisted", "private", "direct", "followers", "friends"}


def choose_rest(columns: Columns, taken: set[str]) -> list[Choice]:
    """The other fields that have a likely column."""
    chosen: list[Choice] = []
    for name, fits in _FITS.items():
        scores = {
            each.path: fits(each) * _named(each.label, name)
            for each in columns.values()
            if each.path not in taken and each.texts and _belongs(each.label, name)
        }
        path = max(scores, key=lambda each: scores[each], default=None)
        if path is None or scores[path] < 0.45:
            continue
        taken.add(path)
        choice = Choice(name, columns[path], _keys(name, columns[path]))
        if scores[path] < 0.8:
            choice.doubts.append("by a part of its name")
        chosen.append(choice)
    fields = [choice.field for choice in chosen]
    if "author.name" in fields and "author.handle" in fields:
        named = chosen[fields.index("author.name")]
        if not is_of_author(named.column.label) and named.column.words < 0.05:  # of the post: Reddit's t1_x
            chosen.remove(named)
    elif "author.name" in fields:
        named = chosen[fields.index("author.name")]
        if _is_handle(named.column):
            named.field = "author.handle"
    return chosen


def _named(path: str, name: str) -> float:
    """As `likeness`; inside an author, id is the author's id, and a column of authors may hold their names."""
    outer, each, key = path.partition(".*.")
    if each:
        return likeness(outer, name) * (key in _LISTS.get(name, ()))
    parent, _, last = path.rpartition(".")
    named = likeness(path, name)
    if name.startswith("author.") and is_of_author(parent):
        named = max(named, (1.0 if name == "author.id" else 0.85) * (likeness(f"user_{last}", name) == 1))
    if name == "author.name":
        named = max(named, 0.85 * (likeness(path, "author.handle") >= 0.9))
    return named


def _belongs(path: str, name: str) -> bool:
    """A path inside an author is the author's, inside a parent or a reply of neither."""
    parts, exact = path.split(".")[:-1], likeness(path, name) >= 0.9
    if ".*." in path:
        return name in _LISTS and not any(is_of_author(part) for part in parts)
    if any(is_of_other(part) for part in parts):
        return False
    if name == "in_reply_to":
        return not is_of_author(path)
    if name == "language" and not parts:
        return not is_of_other(path)
    if (is_of_reply(path) or is_of_other(path)) and not exact:
        return False
    inside_author = any(is_of_author(part) for part in parts)
    if name.startswith("author."):
        return inside_author or (not parts and (exact or is_of_author(path)))
    return not inside_author and (exact or not is_of_author(path))


def _keys(name: str, column: Column) -> dict[str, object]:
    if name in ("in_reply_to", "conversation_id") and column.share(_FULLNAME) > 0.9:
        return {"find": "[^_]+$"}
    if name == "author.handle" and "[deleted]" in column.texts:
        return {"missing": ["[deleted]"]}
    if name in ("in_reply_to", "conversation_id", "author.id"):
        return with_find(Choice(name, column)).keys
    if name == "visibility":
        return {"map": {"public": "public", "unlisted": "public"}, "else": "private"}
    if name == "rating" and column.numeric < 0.9:
        return {"scale": 5}
    if name in _LISTS and ".*." not in column.path:
        for mark in (";", "|", ","):
            if sum(mark in text and not text.startswith(("[", "{", "(")) for text in column.texts) > 0.05 * len(column.texts):
                return {"split": mark}
        if isinstance(column.values[0], str) and sum(" " in text for text in column.texts) > 0.05 * len(column.texts):
            return {"split": " "}
    return {}


def _is_name(column: Column) -> float:
    return float(column.length < 60 and not column.is_url and column.numeric < 0.5 and column.distinct > 0.005)


def _is_handle(column: Column) -> float:
    return _is_name(column) * (column.words < 0.1) * (column.share(_EMAIL) < 0.5)


def _is_language(column: Column) -> float:
    known = sum(language_tag(text) is not None for text in column.texts)
    return float(known > 0.8 * len(column.texts) and column.length < 15)


def _is_rating(column: Column) -> float:
    if max(column.numeric, column.scored) < 0.9 or column.length > 8:
        return 0.0
    return 1.0 if len(set(column.texts)) <= 21 else 0.4


_FITS: dict[str, Callable[[Column], float]] = {
    "author.id": lambda column: float(column.is_id),
    "author.handle": _is_handle,
    "author.name": _is_name,
    **dict.fromkeys(_POSITIVE, lambda column: float(column.numeric > 0.9)),
    "rating": _is_rating,
    "language": _is_language,
    "in_reply_to": lambda column: float(column.is_id),
    "conversation_id": lambda column: float(column.is_id),
    "location": lambda column: float(column.length < 80 and column.numeric < 0.2),
    "hashtags": lambda column: float(column.length < 200),
    "mentions": lambda column: float(column.length < 200),
    "urls": lambda column: float(column.is_url),
    "author.verified": lambda column: float(len(set(column.texts)) <= 2),
    "visibility": lambda column: float({text.lower() for text in column.texts} <= _VISIBILITIES),
    "author.bio": lambda column: float(column.words > 0.3),
}
"""How well the values of a column fit a field, 0 to 1; the fields in the order in which they choose."""
