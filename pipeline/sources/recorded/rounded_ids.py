"""Ids that a spreadsheet rounded: only the whole column shows it, so the first 1,000 rows are read before the first event."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from pipeline.sources.recorded.ids import IDS, LOST, WAY_OUT, is_long, rounded
from pipeline.sources.recorded.items import LeftOut, Mapped, Unmapped, judged
from pipeline.sources.recorded.mapping import NEEDED

_REASON = f"all ids of 16 digits and more end in zeros, they {LOST}: {WAY_OUT}"


def without_rounded_ids(items: Iterable[Mapped | Unmapped], fields: Iterable[str]) -> Iterator[Mapped | Unmapped]:
    """The items; where the ids of one of these `fields` were rounded, events are refused or left without them."""
    rest = iter(items)
    first = judged(rest)
    lost = [field for field in fields if field in IDS and rounded(_texts(first, field), _others_lost(first, field))]
    if not lost:
        yield from chain(first, rest)
        return
    for item in chain(first, rest):
        yield _refused(item, lost) if isinstance(item, Mapped) else item


def _texts(items: list[Mapped | Unmapped], field: str) -> Iterator[str]:
    return (text for item in items if isinstance(item, Mapped) and (text := value_at(item.event, field)))


def value_at(event: dict[str, object] | bytes, field: str) -> str:
    """The text of a field of an event; blank if it has none."""
    node: object = event
    for part in field.split("."):
        node = node.get(part) if isinstance(node, dict) else None
    return node if isinstance(node, str) else ""


def _others_lost(items: list[Mapped | Unmapped], field: str) -> bool:
    """Whether other ids of the field lost digits for sure."""
    for item in items:
        if isinstance(item, Unmapped):
            if item.reason.startswith(f"{field}: ") and LOST in item.reason:
                return True
        elif any(each.field == field and LOST in each.reason for each in item.left_out):
            return True
    return False


def _refused(item: Mapped, lost: list[str]) -> Mapped | Unmapped:
    assert isinstance(item.event, dict)
    for field in lost:
        if not is_long(value_at(item.event, field)):
            continue
        if field in NEEDED:
            return Unmapped(item.line, f"{field}: {_REASON}")
        head, _, tail = field.partition(".")
        branch = item.event[head] if tail else item.event
        assert isinstance(branch, dict)
        del branch[tail or head]
        if not branch:
            del item.event[head]
        item = item._replace(left_out=(*item.left_out, LeftOut(field, _REASON)))
    return item
