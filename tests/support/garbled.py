"""Payloads with a value that no platform sends, at a random place: a mapper raises Unreadable, or leaves the value out."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from random import Random

from schemas.untyped import JsonObject

VALUES: tuple[object, ...] = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1 << 62,
        1 << 80,
        0.5,
        "",
        " ",
        "x",
        "x" * 3_000,
        "é" * 600,
        "0",
        "2026-13-01T00:00:00Z",
        "1970-01-01",
    ),
    *(
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999999Z",
        "https://",
        "at://",
        "<p>",
        "<a href=",
        "&#0;",
        "@",
        "#",
        "{",
        "[]",
    ),
    *([], {}, [[]], [{}], [None], ["x"], [1], {"x": 1}, {"id": {}}, [[[[{}]]]]),
)


def garbled(payload: object, count: int, seed: int = 0) -> Iterator[object]:
    """So many copies of the payload, each with one to three values replaced, taken out or moved."""
    random = Random(seed)
    for _ in range(count):
        whole = {"payload": copy.deepcopy(payload)}
        for _ in range(random.choice((1, 1, 1, 2, 3))):
            holder, key = random.choice(list(_places(whole)))
            if random.random() < 0.2 and holder is not whole:
                del holder[key]  # type: ignore[arg-type]
            elif random.random() < 0.1:
                other, name = random.choice(list(_places(whole)))
                holder[key] = copy.deepcopy(other[name])  # type: ignore[index]
            else:
                holder[key] = copy.deepcopy(random.choice(VALUES))  # type: ignore[index]
        yield whole["payload"]


def _places(node: object) -> Iterator[tuple[JsonObject | list[object], str | int]]:
    keys: list[str | int] = list(node) if isinstance(node, dict) else list(range(len(node))) if isinstance(node, list) else []
    for key in keys:
        assert isinstance(node, dict | list)
        yield node, key
        yield from _places(node[key])  # type: ignore[index]
