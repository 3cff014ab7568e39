"""The names that people and platforms give to the columns of an export, in ten languages and more."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from pathlib import Path
from typing import Any

import yaml

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_WORD = re.compile(r"[^\W_]+")

LISTS: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "names.yaml").read_text("utf-8"))


def words_of(name: str) -> tuple[str, ...]:
    """The words of a column's name: `reply_createdAt` is reply, created, at; in lower case without accents."""
    spaced = _CAMEL.sub(" ", name)
    flat = "".join(c for c in unicodedata.normalize("NFKD", spaced.casefold()) if not unicodedata.combining(c))
    return tuple(_WORD.findall(unicodedata.normalize("NFKC", flat).replace("ı", "i")))


@cache
def _lexicon() -> dict[str, frozenset[str]]:
    """Field -> names without spaces."""
    return {field: frozenset("".join(words_of(name)) for name in names.split()) for field, names in LISTS["fields"].items()}


@cache
def _words(kind: str) -> frozenset[str]:
    return frozenset("".join(words_of(word)) for word in LISTS[kind].split())


def likeness(path: str, field: str) -> float:
    """How well the name of a column fits a field, 0 to 1: the whole name, the last part of a path, its end, or a word of it."""
    known = _lexicon()[field]
    last = words_of(path.rpartition(".")[2]) or words_of(path)
    if "".join(last) in known:
        return 1.0 if "".join(words_of(path)) in known or "." not in path else 0.9
    if any("".join(last[start:]) in known for start in range(1, len(last))):
        return 0.7
    if any("".join(last[:end]) in known for end in range(1, len(last))):
        return 0.4
    return 0.4 if any(word in known for word in last if len(word) > 2 or not word.isascii()) else 0.0


def is_of_other(path: str) -> bool:
    """Whether the name says that the value belongs to something else than the post."""
    return not _words("other").isdisjoint(words_of(path))


def is_of_author(path: str) -> bool:
    """Whether the name says that the value belongs to the author."""
    return not _words("author").isdisjoint(words_of(path))


def is_of_reply(path: str) -> bool:
    """Whether the name says that the value belongs to the answer to the row."""
    return not _words("reply").isdisjoint(words_of(path))
