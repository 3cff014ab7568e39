"""What docs/one-row.md says of an event, in plain Python: the row that any records of it end in. It shares no code with the
pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

GROUPS = {"text": ("text", "language"), "metrics": ("likes", "shares"), "author": ("handle", "followers")}
"""The fields of the records of these tests, by the group that changes as a whole."""


@dataclass
class Event:
    """An event, by the records that came so far."""

    created_at: str | None = None
    conversation: str | None = None
    deleted: bool = False
    groups: dict[str, tuple[float, int, dict[str, Any]]] = field(default_factory=dict)
    """By group: its time, the offset that it came from, its fields."""
    said: set[str] = field(default_factory=set)
    """What creates have said, without their times."""

    def take(self, record: Mapping[str, Any], offset: int, kafka_s: float) -> None:
        """A record that was never read before."""
        operation = record.get("operation", "create")
        if operation == "delete":
            self.deleted = True
            return
        at = _seconds(record["occurred_at"]) if "occurred_at" in record else kafka_s
        if operation == "create":
            content = repr(sorted(_carried(record).items()))
            if "occurred_at" not in record and content in self.said:
                return
            if self.created_at is None:
                self.created_at, self.conversation = record["created_at"], record.get("conversation_id")
                at = at if "occurred_at" in record else _seconds(record["created_at"])
            self.said.add(content)
        for group, fields in _carried(record).items():
            if (at, offset) > self.groups.get(group, (0.0, -1, {}))[:2]:
                self.groups[group] = at, offset, fields

    def row(self) -> dict[str, Any] | None:
        """Its columns; None: it was never created."""
        if self.created_at is None:
            return None
        columns: dict[str, Any] = {name: None for names in GROUPS.values() for name in names}
        if not self.deleted:
            for _, _, fields in self.groups.values():
                columns |= fields
        text = columns["text"] or ""
        brands = ["Acme"] if "acme" in text else []
        more = {"conversation_id": None if self.deleted else self.conversation, "brands": None if self.deleted else brands}
        return columns | more | {"created_at": self.created_at, "deleted": self.deleted}


def end_of(records: Sequence[Mapping[str, Any]], kafka_s: Sequence[float]) -> Event:
    """The event after these records, in the order of their offsets."""
    event = Event()
    for offset, (record, at) in enumerate(zip(records, kafka_s, strict=True)):
        event.take(record, offset, at)
    return event


def _carried(record: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The groups that the record carries, each with all of its fields."""
    found = {}
    for group, names in GROUPS.items():
        place = record if group == "text" else record.get(group, {})
        if any(place.get(name) is not None for name in names):
            found[group] = {name: place.get(name) for name in names}
    return found


def _seconds(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()
