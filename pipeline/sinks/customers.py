"""Tables of identity as the leader reads and writes them: evidence, commands and rules in; customers, moves and the queue out.

All writes are by the leader's inserter, so ClickHouse refuses those of an earlier leader. Each may be written again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

import polars as pl

from pipeline.clickhouse.inserter import Inserter
from pipeline.clickhouse.query import Query
from pipeline.identity.rules_file import RulesFile
from pipeline.sinks.erased_customers import erase_rows, suppressed
from schemas.evidence import STORED_COLUMNS
from schemas.identity import ASSIGNMENT_COLUMNS, EDGE_COLUMNS, REFUSAL_COLUMNS, Command, Customers
from schemas.times import TIME

BREAKER, CLAIMS, ARRIVED, LATE = "breaker", "claims", "arrived", "late"
"""Marks: whether the breaker holds (not 0: the least sequence of a release), how far claims, arrivals, late ones are known."""
OWN_RULE = "own"
"""Rule of the edges that say: this profile is one of our own."""
PIECE_ROWS = 100_000
"""Rows of an insert: it appears whole, and earlier ones first."""
_COMMAND = [field.name for field in fields(Command)]


def read_edges(query: Query) -> tuple[pl.DataFrame, list[int]]:
    """All evidence, as `Graph.take` takes it, an edge and basis possibly several times; and the keys of the own accounts."""
    names = [name for name in EDGE_COLUMNS if name not in ("rule", "rule_version", "event")]
    rows = query(f"SELECT edge, {', '.join(map(_numbered, names))} FROM identity_edges")
    enums = {name: type_ for name in names if isinstance(type_ := EDGE_COLUMNS[name], pl.Enum)}
    edges = rows.with_columns(pl.col(name).cat.to(type_) for name, type_ in enums.items())
    own = query(f"SELECT DISTINCT a FROM identity_edges WHERE rule = '{OWN_RULE}'")
    return edges, own.get_column("a").to_list()


def read_commands(query: Query) -> tuple[list[Command], int]:
    """The commands that were carried out, and the highest sequence of all."""
    names = ", ".join("toUnixTimestamp64Milli(at) AS at" if name == "at" else name for name in _COMMAND)
    rows = query(f"SELECT {names} FROM identity_commands FINAL WHERE refused = '' ORDER BY sequence")
    last = query("SELECT max(sequence) AS last FROM identity_commands").get_column("last")[0]
    return [Command(**row) for row in rows.iter_rows(named=True)], last


def read_rules(query: Query) -> tuple[int, RulesFile]:
    """The version of the rules in force, and they; 0: none were ever applied."""
    rows = query("SELECT version, rules FROM identity_rules FINAL ORDER BY version DESC LIMIT 1")
    if rows.is_empty():
        return 0, RulesFile()
    return rows["version"][0], RulesFile.model_validate_json(rows["rules"][0])


class CustomerTables:
    """Blocks while ClickHouse is away. Raises GivenUp when the fence's generation is over: another process leads."""

    def __init__(self, inserter: Inserter) -> None:
        self._inserter = inserter

    # --- evidence, commands, rules ------------------------------------------------------------------------------------
    def edges(self) -> tuple[pl.DataFrame, list[int]]:
        """As `read_edges`."""
        return read_edges(self._inserter.query)

    def written(self) -> int:
        """When the newest evidence was stored, ms since 1970; 0: there is none."""
        rows = self._inserter.query("SELECT toUnixTimestamp64Milli(max(written_at)) AS at FROM identity_edges")
        at: int = rows.get_column("at")[0]
        return max(0, at)

    def write_edges(self, edges: pl.DataFrame, at: int, generation: int) -> None:
        """Adds rows of evidence, EVIDENCE_COLUMNS; `at`: now, ms since 1970."""
        rows = edges.select(list(STORED_COLUMNS)).with_columns(
            *(pl.col(name).cast(pl.String) for name in ("kind", "type", "basis")),
            pl.from_epoch("at", time_unit="ms").cast(TIME),
            written_at=pl.from_epoch(pl.lit(at), time_unit="ms").cast(TIME),
        )
        self._insert("identity_edges", rows, generation)

    def commands(self) -> tuple[list[Command], int]:
        """As `read_commands`."""
        return read_commands(self._inserter.query)

    def write_command(self, command: Command, refused: str, now: datetime, generation: int) -> None:
        """Records a command; `refused`: why it changed nothing, else blank."""
        row = {**asdict(command), "refused": refused, "done_at": now}
        types: dict[str, Any] = {**{name: pl.UInt64 for name in ("sequence", "a", "b")}, "done_at": TIME}
        frame = pl.DataFrame([row], schema_overrides=types).with_columns(pl.from_epoch("at", time_unit="ms").cast(TIME))
        self._insert("identity_commands", frame, generation)

    def rules(self) -> tuple[int, RulesFile]:
        """As `read_rules`."""
        return read_rules(self._inserter.query)

    def write_rules(self, version: int, rules: RulesFile, by: str, now: datetime, generation: int) -> None:
        """Puts rules in force, in the form that they are kept in (`RulesFile.kept`)."""
        row = {"version": version, "rules": rules.model_dump_json(exclude_defaults=True), "by": by, "applied_at": now}
        frame = pl.DataFrame([row], schema_overrides={"version": pl.UInt32, "applied_at": TIME})
        self._insert("identity_rules", frame, generation)

    # --- customers ----------------------------------------------------------------------------------------------------
    def customers(self) -> Customers:
        """The assignments and the queue as the tables have them."""
        assignments = self._inserter.query("SELECT profile, customer FROM assignments FINAL WHERE is_deleted = 0")
        queue = self._inserter.query("SELECT edge, reason FROM identity_queue FINAL WHERE is_deleted = 0")
        return Customers(_typed(assignments, ASSIGNMENT_COLUMNS), _typed(queue, REFUSAL_COLUMNS))

    def write_moves(self, moved: pl.DataFrame, command: int, now: datetime, generation: int) -> None:
        """Adds moves: MOVED_COLUMNS and `sequence`, rising; `command`: the steward's, 0 for evidence and rules."""
        changes = moved.with_columns(command=pl.lit(command, pl.UInt64), changed_at=pl.lit(now).cast(TIME))
        self._insert("assignment_changes", changes, generation)

    def write_assignments(self, rows: pl.DataFrame, generation: int) -> None:
        """Profiles with their customer, null: they stand alone now; and `sequence`."""
        alone = pl.col("customer").is_null()
        rows = rows.select(
            "profile", pl.col("customer").fill_null(pl.col("profile")), "sequence", is_deleted=alone.cast(pl.UInt8)
        )
        self._insert("assignments", rows, generation)

    def write_queue(self, rows: pl.DataFrame, now: datetime, generation: int) -> None:
        """Edges with the reason why they link nobody, null: they link; and `sequence`."""
        rows = rows.select(
            "edge",
            pl.col("reason").cast(pl.String).fill_null(""),
            "sequence",
            is_deleted=pl.col("reason").is_null().cast(pl.UInt8),
            changed_at=pl.lit(now).cast(TIME),
        )
        self._insert("identity_queue", rows, generation)

    def newest(self) -> int:
        """The highest sequence of all tables; 0: there is none."""
        tables = ("assignment_changes", "assignments", "identity_queue", "identity_marks")
        each = " UNION ALL ".join(f"SELECT max(sequence) AS sequence FROM {table}" for table in tables)
        newest: int = self._inserter.query(f"SELECT max(sequence) AS newest FROM ({each})").get_column("newest")[0]
        return newest

    # --- persons who were erased --------------------------------------------------------------------------------------
    def suppressed(self) -> pl.Series:
        """As `erased_customers.suppressed`."""
        return suppressed(self._inserter.query)

    def erase(self, profiles: Sequence[int], edges: Iterable[int], before: int, generation: int) -> None:
        """As `erase_rows`."""
        erase_rows(self._inserter, profiles, edges, before, lambda table, rows: self._insert(table, rows, generation))

    # --- marks --------------------------------------------------------------------------------------------------------
    def mark(self, name: str) -> int:
        """The value of a mark; 0: it was never set."""
        rows = self._inserter.query(f"SELECT value FROM identity_marks FINAL WHERE name = '{name}'").get_column("value")
        return rows[0] if len(rows) else 0

    def write_mark(self, name: str, value: int, sequence: int, generation: int) -> None:
        """Sets a mark. Of two values the one with the higher sequence counts."""
        types = {"value": pl.UInt64, "sequence": pl.UInt64}
        row = pl.DataFrame({"name": [name], "value": [value], "sequence": [sequence]}, schema_overrides=types)
        self._insert("identity_marks", row, generation)

    def query(self, sql: str) -> pl.DataFrame:
        """The answer; times are aware, UTC."""
        return self._inserter.query(sql)

    def _insert(self, table: str, rows: pl.DataFrame, generation: int) -> None:
        for start in range(0, rows.height, PIECE_ROWS):
            self._inserter.insert_all(table, rows[start : start + PIECE_ROWS], generation)


def _typed(rows: pl.DataFrame, types: Any) -> pl.DataFrame:
    return rows.select(pl.col(name).cast(type_) for name, type_ in types.items())


def _numbered(name: str) -> str:
    """A column of table identity_edges; of an enum its number, which travels as one byte."""
    if name == "at":
        return "toUnixTimestamp64Milli(at) AS at"
    type_ = EDGE_COLUMNS[name]
    if not isinstance(type_, pl.Enum):
        return name
    listed = ", ".join(f"'{value}'" for value in type_.categories.to_list())
    return f"toUInt8(indexOf([{listed}], {name}) - 1) AS {name}"
