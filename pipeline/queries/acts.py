"""Table acts: what people did, in the console, by an API, by a command."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pipeline.clickhouse.query import conditions

WAYS = ("console", "api", "command line")
COLUMNS = ("at", "actor", "way", "act", "subject", "before", "after", "comment", "outcome")


@dataclass(frozen=True, slots=True)
class Filter:
    """Acts that meet every condition that is set."""

    actor: str = ""
    act: str = ""
    way: str = ""
    """One of WAYS."""
    subject: str = ""
    """Any part of it."""
    since: datetime | None = None
    """Done then or later."""
    before: datetime | None = None

    def where(self) -> tuple[str, dict[str, object]]:
        """As SQL: the condition and its parameters."""
        return conditions(
            {
                "actor": ("actor = {actor:String}", self.actor or None),
                "act": ("act = {act:String}", self.act or None),
                "way": ("way = {way:String}", self.way or None),
                "subject": ("positionCaseInsensitiveUTF8(subject, {subject:String}) > 0", self.subject or None),
                "since": ("at >= {since:DateTime64(3, 'UTC')}", self.since),
                "before": ("at < {before:DateTime64(3, 'UTC')}", self.before),
            }
        )


def question(which: Filter, most: int) -> tuple[str, dict[str, object]]:
    """The newest acts, the last first: COLUMNS, and the statement's parameters."""
    where, values = which.where()
    return f"SELECT {', '.join(COLUMNS)} FROM acts FINAL WHERE {where} ORDER BY at DESC, id DESC LIMIT {most:d}", values


def names_question() -> tuple[str, dict[str, object]]:
    """Who did something, and what there is to filter by: columns `actors` and `acts`, each a list."""
    return "SELECT arraySort(groupUniqArray(1000)(actor)) AS actors, arraySort(groupUniqArray(1000)(act)) AS acts FROM acts", {}
