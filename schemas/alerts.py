"""Alert: one incident, and each change of it.

A change is the whole alert again with a higher `version`; the newest one says how it is now. Table alerts and topic `alerts`
hold every change, in these fields.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple, TypedDict, Unpack

import orjson
import polars as pl
import xxhash

from schemas.times import TIME, rfc3339
from schemas.untyped import JsonObject, Row


class State(StrEnum):
    """Pending to firing, maybe to acknowledged, to resolved; a pending alert may resolve without having fired."""

    PENDING = "pending"
    """True, but not for as long as the rule asks."""
    FIRING = "firing"
    ACKNOWLEDGED = "acknowledged"
    """Somebody is working on it: no reminders until it resolves."""
    RESOLVED = "resolved"


class Scope(NamedTuple):
    """The subject of an alert; blank: all. `source` is the one that a no_data rule misses."""

    brand: str = ""
    platform: str = ""
    language: str = ""
    source: str = ""

    def __str__(self) -> str:
        return " / ".join(part for part in self if part) or "everything"


class Change(TypedDict, total=False):
    """The fields of an alert that may change while it lives."""

    state: State
    severity: int
    since: datetime
    last_at: datetime
    raised_at: datetime | None
    ended_at: datetime | None
    measure: str
    observed: float
    expected: float | None
    lower: float | None
    upper: float | None
    summary: str
    terms: tuple[str, ...]
    samples: tuple[int, ...]
    negative: int
    neutral: int
    positive: int
    actor: str
    comment: str
    platforms: tuple[str, ...]
    muted: str
    unmuted_at: datetime | None
    escalated_at: datetime | None


@dataclass(frozen=True, slots=True)
class Alert:
    """All times are aware, UTC, whole milliseconds.

    Texts of people are only where `samples` point to, except for `terms`: words that several posts share. A name that people
    talk about may be among them, and stays when the posts are deleted.
    """

    key: int
    """Stable: the same incident has the same key, whichever process finds it and however often."""
    version: int
    """1, 2, 3 ... of one key."""
    rule: str
    type: str
    scope: Scope
    state: State
    severity: int
    """1 to 10."""
    since: datetime
    """The condition is true since then, by the events' time."""
    last_at: datetime
    """The condition was last true then, by the events' time."""
    changed_at: datetime
    """When this change was made, by the clock."""
    raised_at: datetime | None = None
    """When it began to fire, by the clock; None: it never did."""
    ended_at: datetime | None = None
    historical: bool = False
    """Discovered an hour or more after the fact: stored, and nobody is notified."""
    test: bool = False
    measure: str = ""
    observed: float = 0.0
    expected: float | None = None
    lower: float | None = None
    upper: float | None = None
    summary: str = ""
    """One line for people, without anything from a post but the words that a rule looks for."""
    terms: tuple[str, ...] = ()
    """Words that set the window apart from the week before, the most significant first."""
    samples: tuple[int, ...] = ()
    """Event keys of up to three public posts; their texts are read when the alert is shown."""
    negative: int = 0
    neutral: int = 0
    positive: int = 0
    query: str = ""
    """SQL that shows its events."""
    actor: str = ""
    """Who acknowledged it."""
    comment: str = ""
    platforms: tuple[str, ...] = ()
    """The platforms of its events; blank: any platform. A silence of all of these mutes it."""
    muted: str = ""
    """Why nobody is notified: "silence <id>" or "inhibited by <key in hex>"; blank: receivers are notified."""
    unmuted_at: datetime | None = None
    """When the last mute that ended did so; None: none has."""
    escalated_at: datetime | None = None
    """When it was escalated, because nobody had acknowledged it; None: it never was."""

    @property
    def is_no_data(self) -> bool:
        """Whether a source sends nothing. An alert that was open when the type was still named "silence" keeps that name to its
        end: receivers know it by its fields (Alertmanager by its labels)."""
        return self.type in ("no_data", "silence")

    @property
    def hex(self) -> str:
        """The key as people write it: 16 hexadecimal digits."""
        return f"{self.key:016x}"

    def change(self, now: datetime, **changed: Unpack[Change]) -> Alert:
        """The next change of this alert."""
        return replace(self, version=self.version + 1, changed_at=now, **changed)


class Member(NamedTuple):
    """An event of a single-event rule's alert: a row of table alert_events."""

    rule: str
    brand: str
    event_key: int
    alert_key: int
    created_at: datetime


def alert_key(rule: str, scope: Scope, start: int) -> int:
    """XXH3-64 of the incident's identity: `start` is the minute it began (s since 1970), or the event key that raised it."""
    return xxhash.xxh3_64_intdigest("\x1f".join((rule, *scope, str(start))).encode())


# --- stored -----------------------------------------------------------------------------------------------------------
COLUMNS: dict[str, pl.DataType | type[pl.DataType]] = {
    "alert_key": pl.UInt64,
    **dict.fromkeys(Scope._fields, pl.String),
    "version": pl.UInt32,
    "rule": pl.String,
    "type": pl.String,
    "state": pl.String,
    "severity": pl.UInt8,
    **dict.fromkeys(("since", "last_at", "changed_at", "raised_at", "ended_at"), TIME),
    **dict.fromkeys(("historical", "test"), pl.Boolean),
    "measure": pl.String,
    **dict.fromkeys(("observed", "expected", "lower", "upper"), pl.Float64),
    "summary": pl.String,
    "terms": pl.List(pl.String),
    "samples": pl.List(pl.UInt64),
    **dict.fromkeys(("negative", "neutral", "positive"), pl.UInt64),
    **dict.fromkeys(("query", "actor", "comment"), pl.String),
    "platforms": pl.List(pl.String),
    "muted": pl.String,
    **dict.fromkeys(("unmuted_at", "escalated_at"), TIME),
}
"""Of table alerts, with their types; `alert_key` is Alert.key, and the scope has a column for each part. Records of topic
`alerts` have the same fields, but for the key and for how JSON writes times and event keys."""
_FIELDS = [field.name for field in fields(Alert) if field.name not in ("key", "scope")]
_TIMES = [name for name, type_ in COLUMNS.items() if type_ is TIME]
_LISTS = [name for name, type_ in COLUMNS.items() if isinstance(type_, pl.List)]
_LATER: JsonObject = {"platforms": [], "unmuted_at": None, "escalated_at": None}
"""The columns that came later than the topic."""


def alert_rows(alerts: Iterable[Alert]) -> pl.DataFrame:
    """The alerts as rows of table alerts: COLUMNS."""
    return pl.DataFrame([_row(alert) for alert in alerts], schema=COLUMNS, orient="row")


def alert_of(row: Row) -> Alert:
    """The alert of a row of table alerts, COLUMNS by name. Raises KeyError or ValueError for anything else."""
    values = {name: row[name] for name in _FIELDS}
    values |= {name: tuple(row[name]) for name in _LISTS} | {"state": State(row["state"])}
    return Alert(key=row["alert_key"], scope=Scope(*(row[name] for name in Scope._fields)), **values)


def to_record(alert: Alert) -> JsonObject:
    """The alert as a JSON object, as topic `alerts` and webhooks have it. Keys are hex: JavaScript's numbers end at 2^53."""
    values = {name: getattr(alert, name) for name in _FIELDS if name != "samples"}
    return {
        "key": alert.hex,
        **alert.scope._asdict(),
        **values,
        **{name: values[name] and rfc3339(values[name]) for name in _TIMES},
        "samples": [f"{key:016x}" for key in alert.samples],
    }


def dump(alert: Alert) -> bytes:
    """A record of topic `alerts`."""
    return orjson.dumps(to_record(alert))


def parse_alert(record: bytes | None) -> Alert | None:
    """The alert of a record of topic `alerts`; None for anything else."""
    try:
        row = {**_LATER, **orjson.loads(record or b"")}
        row |= {name: datetime.fromisoformat(row[name]) for name in _TIMES if row[name] is not None}
        row |= {"alert_key": int(row["key"], 16), "samples": [int(key, 16) for key in row["samples"]]}
        return alert_of(row)
    except (ValueError, KeyError, TypeError):
        return None


def _row(alert: Alert) -> tuple[Any, ...]:
    values = ({**alert.scope._asdict(), "alert_key": alert.key}.get(name, getattr(alert, name, None)) for name in COLUMNS)
    return tuple(list(value) if isinstance(value, tuple) else value for value in values)
