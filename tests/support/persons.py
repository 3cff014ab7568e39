"""Persons planted in every table in which the register finds one, with a marker in every field."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from clickhouse_connect.driver.client import Client

from pipeline.config.keys import DataKeys
from pipeline.identity.encryption import ENCRYPTED, Encryption
from pipeline.privacy.register import TABLES
from pipeline.sinks.letter_encryption import LetterEncryption, Place
from schemas.identity import CRM, account_key, value_key

DATA_KEY = "ab" * 32
DATA_KEYS = DataKeys((DATA_KEY,))
AT = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=3)
"""No row of it is too old for its table."""
COLUMNS = """
SELECT table, name, type FROM system.columns
WHERE database = currentDatabase() AND default_kind NOT IN ('ALIAS', 'MATERIALIZED') ORDER BY table, position"""
Row = dict[str, object]


@dataclass(frozen=True)
class Planted:
    """A person with an account that has an id and a handle, one that has a handle alone, and a record of a CRM."""

    mark: str
    """In small letters and digits; in every text that is planted of the person, and in no other."""

    @property
    def bird(self) -> int:
        return account_key("twitter", self.id)

    @property
    def id(self) -> str:
        return f"{self.mark}-id"

    @property
    def handle(self) -> str:
        return f"{self.mark}_bird"

    @property
    def by_handle(self) -> int:
        """Rows of `bird` whose source gave no id."""
        return account_key("twitter", None, self.handle)

    @property
    def forum(self) -> int:
        return account_key("forum", None, f"{self.mark}_owl")

    @property
    def record(self) -> int:
        return account_key(CRM, f"{self.mark}-crm")

    @property
    def email(self) -> str:
        """As a hash."""
        return f"{self.mark}-email-hash"

    def event(self, number: int) -> int:
        """The key of one of the person's events."""
        return account_key("event", f"{self.mark}{number}")

    def rows(self, table: str) -> Iterator[Row]:
        """What is planted in a table, without the columns that get a marker alone."""
        if table in _ROWS:
            yield from _ROWS[table](self)


def _author(person: Planted) -> list[Row]:
    fixed = {"kind": "post", "operation": "create", "direction": "inbound", "visibility": "public", "author_kind": "person"}
    authors = [
        {"platform": "twitter", "author_id": person.id, "author_handle": f"@{person.handle.upper()}"},
        {"platform": "twitter", "author_id": "", "author_handle": person.handle},
        {"platform": "forum", "author_id": "", "author_handle": f"{person.mark}_owl"},
        {"platform": "form", "author_id": "", "author_handle": ""},
    ]
    more = {"author_email": person.email, "author_phone": "", "customer_key": person.bird}
    return [{**fixed, **more, **each, "event_key": person.event(number)} for number, each in enumerate(authors)]


def _changes(person: Planted) -> list[Row]:
    change = f'{{"author_id": "{person.id}", "text": "{person.mark} waits"}}'
    waiting = {"platform": "twitter", "event_key": person.event(90), "change": change, "operation": "update"}
    return [waiting, {**waiting, "event_key": person.event(0), "change": "", "done": 1}]


def _edges(person: Planted) -> list[Row]:
    page = {"kind": "value", "type": "email", "a": person.bird, "b": value_key("email", person.email), "edge": person.event(50)}
    claim = {"kind": "profile", "type": "handle", "a": person.bird, "b": person.forum, "edge": person.event(51)}
    return [page, {**page, "a": person.record, "edge": person.event(52)}, claim]


def _record(person: Planted) -> list[Row]:
    encryption = Encryption(DATA_KEYS)
    sealed = {name: encryption.encrypt(person.record, name, f"{person.mark} {name}") for name in ENCRYPTED}
    return [{"profile": person.record, "id": f"{person.mark}-crm", "email_hash": person.email, "phone_hash": "", **sealed}]


def _letters(person: Planted) -> list[Row]:
    encryption, place = LetterEncryption(DATA_KEYS), Place("social.events", 0, person.event(95) >> 1)
    sealed = {"raw": encryption.encrypt(place, f"{person.mark} was rejected".encode()), "key": None}
    letter = {**place._asdict(), **sealed, "form": 1, "accounts": [person.bird], "event_key": person.event(95)}
    old = f'{{"platform": "twitter", "id": "1", "author": {{"id": "{person.id}"}}, "text": "{person.mark} before"}}'.encode()
    return [letter, {**letter, "offset": 1 + place.offset, "raw": old, "form": 0, "accounts": [], "event_key": 0}]


def _moves(person: Planted) -> list[Row]:
    return [{"profile": key, "customer": person.bird} for key in (person.bird, person.forum, person.record)]


_ROWS: dict[str, Callable[[Planted], list[Row]]] = {
    "interactions": _author,
    "pending_changes": _changes,
    "dead_letters": _letters,
    "account_quarters": lambda person: [{"account_key": person.bird, "platform": "twitter"}],
    "threads": lambda person: [
        {
            "customer": person.bird,
            "customers": 1,
            "platform": "twitter",
            "conversation_id": f"{person.mark}-talk",
            "conversation": account_key("twitter", f"{person.mark}-talk"),
        }
    ],
    "cases": lambda person: [{"platform": "twitter", "conversation_id": f"{person.mark}-talk"}],
    "relations": lambda person: [{"account": person.bird, "event": person.event(1), "kind": "like"}],
    "measures": lambda person: [{"event": person.event(1)}],
    "orders": lambda person: [{"account": person.bird, "event": person.event(1)}],
    "alerts": lambda person: [{"samples": [person.event(0)], "alert_key": person.event(70)}],
    "alert_events": lambda person: [{"event_key": person.event(0)}],
    "alert_candidates": lambda person: [{"event_key": person.event(0)}],
    "identity_edges": _edges,
    "identity_commands": lambda person: [
        {"action": "link", "a": person.bird, "b": person.forum, "sequence": person.event(60)},
        {"action": "accept", "a": person.event(51), "b": 0, "sequence": person.event(61)},
    ],
    "assignments": _moves,
    "assignment_changes": lambda person: [
        {"profile": each["profile"], "before": each["profile"], "after": person.bird, "sequence": each["profile"]}
        for each in _moves(person)
    ],
    "identity_queue": lambda person: [{"edge": person.event(51)}],
    "customers": _record,
}  # fmt: skip


def plant(client: Client, *persons: Planted) -> dict[str, list[Row]]:
    """Plants the persons in all tables where the register finds one; returns the rows of the first, by table."""
    types: dict[str, dict[str, str]] = {}
    for table, name, type_ in client.query(COLUMNS).result_rows:
        types.setdefault(table, {})[name] = type_
    planted: dict[str, list[Row]] = {}
    for person in persons:
        for table in (place.name for place in TABLES.values() if place.findable):
            rows = [_whole(row, types[table], person.mark, number) for number, row in enumerate(person.rows(table))]
            if rows:
                client.insert(table, [list(row.values()) for row in rows], column_names=list(rows[0]))
            if person is persons[0] and rows:
                planted[table] = rows
    return planted


def plant_rows(client: Client, tables: Iterable[str], mark: str) -> None:
    """A row with a value in each column in each of these tables."""
    types: dict[str, dict[str, str]] = {}
    for table, name, type_ in client.query(COLUMNS).result_rows:
        types.setdefault(table, {})[name] = type_
    for table in tables:
        row = _whole({}, types[table], mark, 0)
        client.insert(table, [list(row.values())], column_names=list(row))


def _whole(row: Row, types: Mapping[str, str], mark: str, number: int) -> Row:
    """The row, with a value in each column that it leaves out: in a text the marker."""
    unknown = set(row) - set(types)
    assert not unknown, f"no such column: {unknown}"
    return {name: row.get(name, _value(name, type_, mark, number)) for name, type_ in types.items()}


def _value(name: str, type_: str, mark: str, number: int) -> object:
    inner = re.sub(r"^(?:Nullable|LowCardinality)\((.*)\)$", r"\1", type_)
    inner = re.sub(r"^Nullable\((.*)\)$", r"\1", inner)
    if inner.startswith("Array"):
        return [f"{mark} {name}"] if "String" in inner else []
    if inner.startswith("DateTime"):
        return AT + timedelta(minutes=number)
    if inner.startswith("Enum8"):
        return re.findall(r"'(\w+)'", inner)[0]
    if inner == "String":
        return f"{mark} {name} {number}"
    return 0 if name in ("is_deleted", "done", "part") else True if inner == "Bool" else number + 1
