"""Changes: the events that the pipeline takes, made of the observations of an item: a create once, then updates of the
groups that changed, and a delete.

An older version of an item may be seen after a newer one, as where a stream's first post waits behind a page of a search: its
text and counts change nothing. A changed text that the platform dates is an update of its own: beside counts it would carry the
poll's time, by another clock, and the next edit could seem older than it. No update is from before its item, whose platform's
clock may be ahead of ours: the worker would ignore it for ever. An item that the worker would not take for its time gets that
of the poll: a stranger's clock hides no post. An item whose platform says only when it was changed last was created then, as it
is seen first: its updates name no other time, under which its row would not be found.

An update carries whole groups (processors/completion.py): so a group of which a payload gives only a part replaces none. What
was sent last of an item is known by hashes, of the newest items alone: an item beyond them is a create again, which the
worker's dedup takes for a redelivery, or for an update of all that it carries (docs/one-row.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final

import orjson
from xxhash import xxh3_64_intdigest

from pipeline.sources.platforms.known_items import KnownItems, Sent
from pipeline.sources.platforms.observation import Observation
from schemas.events import EARLIEST, FIELDS, Group
from schemas.untyped import JsonObject

MOST_ITEMS = 6_000
"""Items of a live source that are known, the newest. Sources list 5,000 at most: of a list as long as this, each new item would
push out the one that the next poll reads first, and so all of them."""
GROUPS: Final[tuple[Group, ...]] = ("text", "metrics", "author")
UNSENT, GONE = 0, 1
"""In place of a group's hash: it was not sent as a whole; the item was deleted."""
_SORTED = orjson.OPT_SORT_KEYS
_TOPS: dict[str, Group] = {field.path.split(".")[0]: field.group for field in FIELDS}


_GONE = Sent(GONE, GONE, GONE, 0)
DAY_MS = 86_400_000
"""A platform's time that is so far ahead is none, nor is one before EARLIEST: the worker takes no such time, and the first one
would hide what comes after it."""
_DATED = frozenset({"text", "metrics"})
"""What an older version has no say in."""


class Known:
    """The newest items of a source: for each the hash of each group, as last sent. For one thread. Restart: from `dump`."""

    def __init__(self, dumped: bytes = b"", most: int = MOST_ITEMS) -> None:
        """Takes the items that `dump` returned; bytes of another length are none. `most`: how many items are known."""
        self._items = KnownItems(dumped, most)

    def __len__(self) -> int:
        return len(self._items)

    def copy(self) -> Known:
        """The same items, apart from these."""
        other = Known.__new__(Known)
        other._items = self._items.copy()
        return other

    def has(self, platform: str, item: str | None) -> bool:
        """Whether something of the item was sent, lately."""
        return item is not None and _key(platform, item) in self._items

    def dump(self) -> bytes:
        """Key, three hashes and time of the edit of each item, oldest first, as little-endian 64-bit numbers."""
        return self._items.dump()

    def changes(self, observations: Iterable[Observation], now: str) -> Iterator[JsonObject]:
        """The events to send, each with `operation`; `now`, of changes to which the platform gives no time, is their
        `occurred_at`, and the `created_at` of an item with no time at all. They count as sent once they are taken."""
        for observation in observations:
            yield from self._changes(observation, now)

    def _changes(self, seen: Observation, now: str) -> list[JsonObject]:
        event = _possible(seen.event, now)
        key = _key(event["platform"], event["id"])
        before = self._items.get(key)
        if seen.at and (seen.at < EARLIEST or _ms(seen.at) > _ms(now) + DAY_MS):
            seen = seen._replace(at="")
        if seen.deleted:
            self._items.keep(key, _GONE)
            return [] if before == _GONE else [_delete(event, seen.at or now)]
        if before is None:
            self._items.keep(key, Sent(*_hashes(event, seen.partial), _ms(seen.at)))
            return [{"created_at": _first(seen.at, now), **event, "operation": "create"}]
        if before == _GONE:
            return []
        older = before.edited and 0 < _ms(seen.at or event.get("created_at", "")) < before.edited
        after = _hashes(event, seen.partial | _DATED if older else seen.partial)
        changed = [group for group, old, new in zip(GROUPS, before[:3], after, strict=True) if new not in (UNSENT, old)]
        merged = [new if new != UNSENT else old for old, new in zip(before[:3], after, strict=True)]
        self._items.keep(key, Sent(merged[0], merged[1], merged[2], max(_ms(seen.at), before.edited)))
        dated: list[Group] = ["text"] if "text" in changed and seen.at else []
        others = [group for group in changed if group not in dated]
        begun = event.get("created_at", "")
        updates = [(dated, seen.at), (others, now)]
        return [_update(event, groups, max(at, begun, key=_ms)) for groups, at in updates if groups]


def _possible(event: JsonObject, now: str) -> JsonObject:
    """Without a time that the worker would not take: an update must not name that of its own poll in place of the create's, as
    its row is looked for under it."""
    created = event.get("created_at", now)
    if created >= EARLIEST and _ms(created) <= _ms(now) + DAY_MS:
        return event
    return {name: value for name, value in event.items() if name != "created_at"}


def _first(changed: str, now: str) -> str:
    """When an item was created of which only the last change is known: then, at the latest now."""
    return changed if changed >= EARLIEST and _ms(changed) <= _ms(now) else now


def _key(platform: str, item: str) -> int:
    return xxh3_64_intdigest(f"{platform}:{item}".encode())


def _hashes(event: JsonObject, partial: frozenset[str]) -> tuple[int, int, int]:
    parts: dict[str, JsonObject] = {group: {} for group in GROUPS}
    for name, value in event.items():
        if (group := _TOPS[name]) != "fixed":
            parts[group][name] = value
    text, metrics, author = (
        UNSENT if group in partial or not parts[group] else max(2, xxh3_64_intdigest(orjson.dumps(parts[group], None, _SORTED)))
        for group in GROUPS
    )
    return text, metrics, author


def _ms(written: str) -> int:
    """Since 1970; 0 for none, and for one that is no time."""
    if not written:
        return 0
    try:
        return max(0, int(datetime.fromisoformat(written).timestamp() * 1_000))
    except (ValueError, OverflowError):
        return 0


def _update(event: JsonObject, groups: list[Group], at: str) -> JsonObject:
    carried = {name: value for name, value in event.items() if _TOPS[name] in groups}
    return {**_named(event), **carried, "operation": "update", "occurred_at": at}


def _delete(event: JsonObject, at: str) -> JsonObject:
    return {**_named(event), "operation": "delete", "occurred_at": at}


def _named(event: JsonObject) -> JsonObject:
    return {name: event[name] for name in ("id", "platform", "created_at", "source") if name in event}
