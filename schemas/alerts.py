"""Alert: one incident, and each change of it.

A change is the whole alert again with a higher `version`; the newest one says how it is now. Table alerts and topic `alerts`
hold every change, in these fields.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

import orjson
import xxhash

from schemas.times import rfc3339


class State(StrEnum):
    PENDING = "pending"
    """True, but not for as long as the rule asks."""
    FIRING = "firing"
    ACKNOWLEDGED = "acknowledged"
    """Somebody looks after it: it is not told again until it is resolved."""
    RESOLVED = "resolved"


class Scope(NamedTuple):
    """What an alert is about; blank: all of them. `source` is the one that a no_data rule misses."""

    brand: str = ""
    platform: str = ""
    language: str = ""
    source: str = ""

    def __str__(self) -> str:
        return " / ".join(part for part in self if part) or "everything"


@dataclass(frozen=True, slots=True)
class Alert:
    """All times are aware, UTC, whole milliseconds.

    What people wrote is only where `samples` point to, but for `terms`: words that several posts share. A name that is talked
    about may be among them, and stays when the posts are deleted.
    """

    key: int
    """Stable: the same incident has the same key, whoever finds it and however often."""
    version: int
    """1, 2, 3 ... of one key."""
    rule: str
    type: str
    scope: Scope
    state: State
    severity: int
    """1 to 10."""
    since: datetime
    """Since when what the rule asks for is true, by the events' time."""
    last_at: datetime
    """Until when it was, so far, by the events' time."""
    changed_at: datetime
    """When this change was made, by the clock."""
    raised_at: datetime | None = None
    """When it began to fire, by the clock; None: it never did."""
    ended_at: datetime | None = None
    historical: bool = False
    """It came to light an hour or more after it was true: on record, and nobody is told."""
    test: bool = False
    measure: str = ""
    observed: float = 0.0
    expected: float | None = None
    lower: float | None = None
    upper: float | None = None
    summary: str = ""
    """One line for people, without anything from a post but the words that a rule looks for."""
    terms: tuple[str, ...] = ()
    """Words that set the window apart from the week before, the most telling first."""
    samples: tuple[int, ...] = ()
    """Event keys of up to three public posts; what they say is read when it is shown."""
    negative: int = 0
    neutral: int = 0
    positive: int = 0
    query: str = ""
    """SQL that shows what it is about."""
    actor: str = ""
    """Who acknowledged it."""
    comment: str = ""
    platforms: tuple[str, ...] = ()
    """Where its events are, as far as that is not anywhere: a silence of all of these mutes it."""
    muted: str = ""
    """Why nobody is told: "silence <id>" or "inhibited by <key in hex>"; blank: they are."""

    @property
    def is_no_data(self) -> bool:
        """Whether a source sends nothing. An alert that was open when the type was still named "silence" keeps that name to its
        end: receivers know it by its fields (Alertmanager by its labels)."""
        return self.type in ("no_data", "silence")

    @property
    def hex(self) -> str:
        """The key as people write it: 16 hexadecimal digits."""
        return f"{self.key:016x}"

    def change(self, now: datetime, **fields: Any) -> Alert:
        """The next change of this alert."""
        return replace(self, version=self.version + 1, changed_at=now, **fields)


def alert_key(rule: str, scope: Scope, start: int) -> int:
    """XXH3-64 of what an incident is: `start` is the minute it began (s since 1970), or the event key that raised it."""
    return xxhash.xxh3_64_intdigest("\x1f".join((rule, *scope, str(start))).encode())


def to_record(alert: Alert) -> dict[str, Any]:
    """The alert as a JSON object, as topic `alerts` and webhooks have it. Keys are hex: JavaScript's numbers end at 2^53."""
    fields = {name: getattr(alert, name) for name in Alert.__slots__ if name not in ("key", "scope", "samples")}
    return {
        "key": alert.hex,
        **alert.scope._asdict(),
        **{name: _text(value) for name, value in fields.items()},
        "samples": [f"{key:016x}" for key in alert.samples],
    }


def dump(alert: Alert) -> bytes:
    return orjson.dumps(to_record(alert))


def _text(value: Any) -> Any:
    return rfc3339(value) if isinstance(value, datetime) else value
