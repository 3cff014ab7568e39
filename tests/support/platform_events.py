"""What every mapper of a platform has to keep to; recorded payloads, where they are."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from pathlib import Path

import msgspec
import pytest

from pipeline.sources.platforms.observation import LeftOut, Observation
from schemas.events import BY_COLUMN, KINDS, known_paths, record_type
from schemas.untyped import JsonObject

RECORDED = Path(os.environ.get("EARSHOT_DATA", "../shared/data"))
WITHOUT_TIMES = {"app_store", "google_play", "rss"}
"""Platforms whose items may have no time: they get that of the poll which sees them first (changes.py)."""
needs_recorded = pytest.mark.skipif(not RECORDED.is_dir(), reason=f"no recorded data: EARSHOT_DATA ({RECORDED}) is no folder")


@cache
def _strict() -> type[msgspec.Struct]:
    return record_type()


def check(platform: str, seen: Observation) -> None:
    """Fails, without a word of the event's, if the pipeline would not take it."""
    event = seen.event
    assert not (unknown := paths(event) - known_paths()), f"unknown fields {unknown}"
    assert not {"operation", "occurred_at", "original"} & event.keys(), "the framework's fields"
    assert event["platform"] == platform
    try:
        msgspec.convert(event, _strict())
    except msgspec.ValidationError as error:
        pytest.fail(str(error))
    long = [field.path for field in BY_COLUMN.values() if field.limit and _too_long(event, field.path, field.limit)]
    assert not long, f"too long: {long}"
    assert event["id"]
    for time in filter(None, (event.get("created_at"), seen.at)):
        assert isinstance(time, str) and datetime.fromisoformat(time).tzinfo is not None and time.endswith("Z")
    if seen.deleted:
        return
    assert event["kind"] in KINDS and ("created_at" in event or platform in WITHOUT_TIMES)
    assert seen.partial <= {"text", "metrics", "author"}


def paths(event: JsonObject) -> set[str]:
    """The names at the top, and the paths inside of objects."""
    inner = {f"{name}.{each}" for name, value in event.items() if isinstance(value, dict) for each in value}
    return set(event) | inner


def _too_long(event: JsonObject, path: str, limit: int) -> bool:
    head, _, tail = path.partition(".")
    value = event.get(head)
    if tail:
        value = value.get(tail) if isinstance(value, dict) else None
    texts = value if isinstance(value, list) else [value]
    return any(isinstance(text, str) and len(text.encode()) > limit for text in texts)


def table(observed: Iterable[Observation | LeftOut]) -> Counter[str]:
    """How many of each kind: `post`, `delete`, and `-KIND` of what is left out."""
    return Counter(
        f"-{each.kind}" if isinstance(each, LeftOut) else "delete" if each.deleted else str(each.event["kind"])
        for each in observed
    )
