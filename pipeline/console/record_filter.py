"""The filter of page Record, from what people type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from pipeline.errors import SettingsError
from pipeline.queries.acts import WAYS, Filter
from pipeline.queries.named import time_of

FIELDS = ("actor", "act", "way", "subject", "from", "to")


def filter_of(typed: Mapping[str, str], now: datetime) -> tuple[Filter, list[str]]:
    """The filter, and what is wrong with what was typed: then it is none to ask by. Times without a zone are UTC."""
    given = {name: typed.get(name, "").strip() for name in FIELDS}
    which, problems = Filter(given["actor"], given["act"], given["way"], given["subject"]), list[str]()
    if which.way and which.way not in WAYS:
        problems.append(f"way {which.way[:40]!r}: it is one of {', '.join(WAYS)}")
    times = dict[str, datetime | None]()
    for name in ("from", "to"):
        times[name] = None
        if given[name]:
            try:
                times[name] = time_of(f"{name} {given[name][:40]!r}", given[name], ZoneInfo("UTC"), now).astimezone(UTC)
            except (SettingsError, OverflowError) as error:
                problems.append(str(error))
    since, before = times["from"], times["to"]
    if since and before and since >= before:
        problems.append("from is not before to")
    elif since and since > now:
        problems.append("from has still to come")
    return replace(which, since=since, before=before), problems
