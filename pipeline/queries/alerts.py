"""Alerts in the tables: a list, and one alert with its history, deliveries and posts.

Posts are read when an alert is shown, by their event keys: a post that was deleted since is gone here too.

What takes several questions is a generator of them, so that who waits for ClickHouse (the command line) and who does not (the
console) ask the same: `finding`, `showing`.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import NamedTuple, TypeVar, cast

from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.query import conditions, one_line, settings_for
from pipeline.errors import SettingsError, UnknownName
from pipeline.notify.delivery_log import Delivery
from pipeline.queries.alert_changes import changes_sql, deliveries_sql
from schemas.alerts import COLUMNS, Alert, Scope, State, alert_of, to_record
from schemas.times import to_ms
from schemas.untyped import JsonObject

OPEN = (State.FIRING, State.ACKNOWLEDGED)
AROUND = timedelta(days=1)
"""An alert's posts were written within so long before and after its time."""
LISTED = (
    *("alert_key", *Scope._fields, "version", "rule", "type", "state", "severity", "since", "last_at", "changed_at"),
    *("ended_at", "historical", "test", "summary", "actor", "comment", "muted", "escalated_at"),
)
"""What lists show: a server reads a million rows of these in a tenth of the time of all columns."""
Question = tuple[str, dict[str, object]]
"""SQL, and its parameters."""
_UNLISTED: JsonObject = {each.name: each.default for each in fields(Alert) if each.default is not MISSING}
T = TypeVar("T")
Asking = Generator[Question, Sequence[JsonObject], T]
"""Yields questions, is sent the rows of each, and returns what they say."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Alerts that meet every condition that is set. No `states`: any."""

    brand: str = ""
    rule: str = ""
    states: tuple[State, ...] = ()
    min_severity: int = 1
    since: datetime | None = None
    """Changed at or after this."""
    historical: bool | None = None

    def passes(self, alert: Alert) -> bool:
        """Whether the alert meets the conditions."""
        return (
            self.brand in ("", alert.scope.brand)
            and self.rule in ("", alert.rule)
            and (not self.states or alert.state in self.states)
            and alert.severity >= self.min_severity
            and (self.since is None or alert.changed_at >= self.since)
            and self.historical in (None, alert.historical)
        )

    def where(self) -> tuple[str, dict[str, object]]:
        """The same as SQL over the newest change of each alert, with its parameters."""
        given: dict[str, tuple[str, object]] = {
            "brand": ("brand = {brand:String}", self.brand or None),
            "rule": ("rule = {rule:String}", self.rule or None),
            "states": ("state IN {states:Array(String)}", [str(state) for state in self.states] or None),
            "min_severity": ("severity >= {min_severity:UInt8}", self.min_severity),
            "since": ("changed_at >= fromUnixTimestamp64Milli({since:Int64})", self.since and to_ms(self.since)),
            "historical": ("historical = {historical:Bool}", self.historical),
        }
        return conditions(given)


class Post(NamedTuple):
    """A post as it is now."""

    created_at: datetime
    platform: str
    kind: str
    author: str
    sentiment: str
    text: str


class Shown(NamedTuple):
    """One alert with everything known about it."""

    history: list[Alert]
    """Every change, oldest first."""
    deliveries: list[Delivery]
    posts: list[Post]
    silenced_by: Mapping[str, str] = MappingProxyType({})
    """Who made the silences that muted it, by Alert.muted."""

    @property
    def alert(self) -> Alert:
        """Its newest change."""
        return self.history[-1]

    def record(self) -> JsonObject:
        """The JSON object of `earshot alerts show --json`: a contract."""
        return {
            "alert": to_record(self.alert),
            "history": [to_record(alert) for alert in self.history],
            "deliveries": [_delivery_record(delivery) for delivery in self.deliveries],
            "posts": [post._asdict() for post in self.posts],
        }


def _delivery_record(delivery: Delivery) -> JsonObject:
    return {name: value for name, value in delivery._asdict().items() if name not in ("alert_key", "term")}


def newest(client: Client, which: Filter, most: int) -> list[Alert]:
    """The newest change of each alert, the last changed first. Raises EarshotError with the server's reason."""
    return [alert_of(row) for row in _rows(client, *newest_sql(which, most))]


def newest_sql(which: Filter, most: int, columns: Iterable[str] = COLUMNS) -> Question:
    """What `newest` asks: columns of at most so many alerts, with the statement's parameters."""
    where, values = which.where()
    tail = f"WHERE {where} ORDER BY changed_at DESC, alert_key LIMIT {most:d}"
    return f"SELECT {', '.join(columns)} FROM alerts_now FINAL {tail}", values


def listed(row: JsonObject) -> Alert:
    """The alert of a row that has LISTED alone; the rest of it is blank."""
    return alert_of(_UNLISTED | row)


def count_sql(which: Filter) -> Question:
    """How many there are, in column `alerts`."""
    where, values = which.where()
    return f"SELECT count() AS alerts FROM alerts_now FINAL WHERE {where}", values


def overlapping_sql(brand: str, start: datetime, end: datetime, most: int) -> Question:
    """The alerts about a brand that were true in this time, by the events' time, the last begun first: LISTED. Tests, and what
    never fired, are left out."""
    where = (
        "brand = {brand:String} AND NOT test AND (historical OR raised_at IS NOT NULL) "
        "AND since < fromUnixTimestamp64Milli({end:Int64}) AND last_at >= fromUnixTimestamp64Milli({start:Int64})"
    )
    tail = f"WHERE {where} ORDER BY since DESC, alert_key LIMIT {most:d}"
    sql = f"SELECT {', '.join(LISTED)} FROM alerts_now FINAL {tail}"
    return sql, {"brand": brand, "start": to_ms(start), "end": to_ms(end)}


def showing(key: int, most: int = 0) -> Asking[Shown]:
    """The alert with everything known about it. `most`: of its changes and deliveries the newest so many alone, and of earlier
    changes the first of each state, severity and so on. Raises UnknownName if it does not exist."""
    history = [alert_of(row) for row in (yield changes_sql(most), {"key": key})]
    if not history:
        raise UnknownName(f"there is no alert {key:016x}")
    deliveries = [Delivery(**row) for row in reversed((yield deliveries_sql(most), {"key": key}))]
    posts = yield from _posts(history[-1])
    return Shown(history, deliveries, posts, (yield from _silenced_by(history)))


def show(client: Client, key: int) -> Shown:
    """The same for who waits. Raises EarshotError, also with the server's reason."""
    return _asked(client, showing(key))


def _silenced_by(history: list[Alert]) -> Asking[dict[str, str]]:
    """Who made the silences that muted the alert."""
    muted = {alert.muted for alert in history if alert.muted.startswith("silence ")}
    if not muted:
        return {}
    ids = [int(name.removeprefix("silence "), 16) for name in sorted(muted)]
    first = "SELECT silence_id, argMin(actor, version) AS actor FROM alert_silences"
    sql = f"{first} WHERE silence_id IN {{ids:Array(UInt64)}} GROUP BY silence_id"
    return {f"silence {row['silence_id']:016x}": row["actor"] for row in (yield sql, {"ids": ids})}


def key_digits(text: str) -> str:
    """A key or its first digits, in lower case. Raises SettingsError for another text."""
    if not re.fullmatch("[0-9a-f]{1,16}", text.lower()):
        raise SettingsError(f"{text!r} is no alert's key: it has up to 16 hexadecimal digits")
    return text.lower()


def finding(text: str) -> Asking[int]:
    """The key that begins with these digits (`key_digits`). Raises UnknownName if none or several do."""
    if len(text) == 16:
        return int(text, 16)
    bounds: dict[str, object] = {"first": int(text.ljust(16, "0"), 16), "last": int(text.ljust(16, "f"), 16)}
    sql = "SELECT DISTINCT alert_key FROM alerts WHERE alert_key BETWEEN {first:UInt64} AND {last:UInt64} LIMIT 5"
    keys = sorted(row["alert_key"] for row in (yield sql, bounds))
    if not keys:
        raise UnknownName(f"there is no alert whose key begins with {text}")
    if len(keys) > 1:
        raise UnknownName(f"several alerts begin with {text}: {', '.join(f'{key:016x}' for key in keys)}")
    return int(keys[0])


def find(client: Client, text: str) -> int:
    """The same for who waits. Raises EarshotError, also with the server's reason."""
    return _asked(client, finding(text))


def _posts(alert: Alert) -> Asking[list[Post]]:
    """The samples of the alert that are stored and not private now."""
    if not alert.samples:
        return []
    sql = """
SELECT created_at, platform, kind, if(author_handle = '', author_name, author_handle) AS author,
    sentiment_label AS sentiment, text
FROM interactions FINAL
WHERE visibility != 'private' AND (toStartOfMinute(created_at), event_key) IN
(
    -- Found by its key first: no other text is read.
    SELECT toStartOfMinute(created_at), event_key FROM interactions FINAL WHERE event_key IN {keys:Array(UInt64)}
        AND created_at BETWEEN fromUnixTimestamp64Milli({first:Int64}) AND fromUnixTimestamp64Milli({last:Int64})
)
ORDER BY created_at, event_key"""
    bounds = {"first": to_ms(alert.since - AROUND), "last": to_ms(alert.last_at + AROUND)}
    return [Post(**row) for row in (yield sql, {"keys": list(alert.samples), **bounds})]


def _asked(client: Client, asking: Asking[T]) -> T:
    """What they say, asked one after the other."""
    try:
        question = next(asking)
        while True:
            question = asking.send(_rows(client, *question))
    except StopIteration as end:
        return cast(T, end.value)


def _rows(client: Client, sql: str, values: dict[str, object]) -> Sequence[JsonObject]:
    with one_line(client):
        answer = client.query(sql, values, settings=settings_for(client), query_tz="UTC", tz_mode="aware")
    return list(answer.named_results())
