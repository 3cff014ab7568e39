"""Table `cases`: who has which conversation. Its rows are the only state: nothing of them is kept in memory."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Literal, NamedTuple

import polars as pl

from pipeline.clickhouse.fenced_inserter import FencedInserter
from pipeline.clickhouse.row_versions import quoted
from schemas.times import TIME

CaseState = Literal["taken", "done", "free"]
MOST = 10_000
"""Cases that a list has at most."""


class Conversation(NamedTuple):
    """A conversation about a brand, by the names that table threads has."""

    brand: str
    platform: str
    conversation_id: str


@dataclass(frozen=True, slots=True)
class Case:
    """A row: the newest version of a conversation's is how it is. Times are aware, UTC."""

    brand: str
    platform: str
    conversation_id: str
    state: CaseState
    owner: str
    actor: str
    comment: str
    since: datetime
    changed_at: datetime
    version: int = 0


_COLUMNS = ", ".join(
    f"toString({each.name}) AS {each.name}" if each.name in ("brand", "platform", "state") else each.name
    for each in fields(Case)
)


class CaseTable:
    """The table, by the inserter of a leader: every call raises GivenUp when another process leads."""

    def __init__(self, inserter: FencedInserter) -> None:
        self._inserter = inserter
        self._term = self._counter = 0

    def exists(self, of: Conversation) -> bool:
        """Whether table threads has this conversation."""
        rows = self._inserter.query(
            f"SELECT 1 FROM threads FINAL WHERE conversation = xxh3({quoted(f'{of.platform}:{of.conversation_id}')}) "
            f"AND brand = {quoted(of.brand)} LIMIT 1"
        )
        return not rows.is_empty()

    def case(self, of: Conversation) -> Case | None:
        """The case of this conversation; None: nobody ever had it."""
        found = self._read(_is(of), 1)
        return found[0] if found else None

    def hide(self, of: Conversation) -> None:
        """Nothing finds what is there of this case any more."""
        self._inserter.command(f"DELETE FROM cases WHERE {_is(of)}")

    def taken(self) -> list[Case]:
        """The cases that somebody has, the newest first: MOST at most."""
        return self._read("state = 'taken'", MOST)

    def write(self, case: Case, generation: int) -> Case:
        """Writes the case as its newest version, and returns it."""
        if self._term != self._inserter.term:
            self._term, self._counter = self._inserter.term, 0
        self._counter += 1
        row = asdict(case) | {"version": self._term << 32 | self._counter}
        types: dict[str, Any] = {"since": TIME, "changed_at": TIME, "version": pl.UInt64}
        self._inserter.insert_all("cases", pl.DataFrame([row], schema_overrides=types), generation)
        return Case(**row)

    def _read(self, where: str, most: int) -> list[Case]:
        # The condition is of the newest versions alone.
        rows = self._inserter.query(
            f"SELECT {_COLUMNS} FROM (SELECT * FROM cases FINAL) WHERE {where} ORDER BY changed_at DESC, version DESC "
            f"LIMIT {most:d}"
        )
        return [Case(**row) for row in rows.iter_rows(named=True)]


def _is(of: Conversation) -> str:
    return " AND ".join(f"{name} = {quoted(value)}" for name, value in of._asdict().items())
