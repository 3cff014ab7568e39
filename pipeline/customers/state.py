"""State: the graph and the tables, changed together: evidence, commands and rules come in, customers and moves go out.

Everything runs on the leader's thread, one piece after the other. What comes is stored first, then what it changes is written:
moves, assignments, queue. Restart, or a kill between any two of these: `start` reads what came, computes the customers, and
writes what the tables lack.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from pipeline.customers.breaker import Breaker
from pipeline.identity.change import MOVED_COLUMNS, REFUSED_COLUMNS, Change, difference
from pipeline.identity.graph import Graph
from pipeline.identity.rules_file import Hashes, RulesFile
from pipeline.sinks.customers import BREAKER, OWN_RULE, CustomerTables
from schemas.identity import Command, Rules

TERM = 1 << 40
"""Sequences of changes: the leader's term times this, then a counter."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a piece of evidence, a command or rules changed. All of it is in the tables."""

    moved: pl.DataFrame
    """MOVED_COLUMNS."""
    refusals: pl.DataFrame
    """REFUSED_COLUMNS."""


class State:
    """The customers, while this process leads. `hashes` are those of step privacy.

    All methods block while ClickHouse is away, and raise GivenUp when another process leads: after that only `start` helps.
    """

    def __init__(self, tables: CustomerTables, hashes: Hashes, breaker: Breaker | None = None) -> None:
        self._tables, self._hashes = tables, hashes
        self.breaker = breaker or Breaker()
        self.graph = Graph(Rules(0, {}))
        self.rules, self.rules_version = RulesFile(), 0
        self.queue: Counter[str] = Counter()
        """Edges that link nobody, by reason."""
        self._generation = self._sequence = self._last_command = 0

    def start(self, term: int, generation: int, now: datetime) -> Outcome:
        """Reads everything, and writes what an earlier leader could not any more."""
        self._generation, self._sequence = generation, term * TERM
        self.rules_version, self.rules = self._tables.rules()
        commands, self._last_command = self._tables.commands()
        self.graph = Graph(self.rules.compiled(self.rules_version, self._hashes))
        edges, own = self._tables.evidence()
        self.graph.take(edges, commands, own)
        del edges
        mark = self._tables.mark(BREAKER)
        self.breaker.release()
        self.breaker.held = mark if not any(one.action == "release" and one.sequence >= mark for one in commands) else 0
        customers = self.graph.customers()
        self.queue = Counter(dict(customers.refusals.group_by("reason").len().iter_rows()))
        return self._write(difference(self._tables.customers(), customers), 0, now)

    # --- what comes ---------------------------------------------------------------------------------------------------
    def take(self, evidence: pl.DataFrame, imported: bool, now: datetime) -> Outcome:
        """Takes a piece of EVIDENCE_COLUMNS. What is `imported` is neither held back nor counted by the breaker."""
        if not imported and self.breaker.held:
            evidence = evidence.with_columns(held=pl.lit(self.next_sequence(), pl.UInt64))
        says_own = pl.col("rule") == OWN_RULE
        own = evidence.filter(says_own & ~pl.col("a").is_in(self.graph.own.implode())).unique("a", keep="first")
        change = self.graph.take(evidence, own=own.get_column("a").to_list())
        new = pl.concat([change.new.join(own, on=["edge", "basis"], how="anti"), own])
        self._tables.write_edges(new, now, self._generation)
        outcome = self._changed(change, 0, now)
        if not imported and not self.breaker.held and self.breaker.count(change):
            self._hold(self.next_sequence())
        return outcome

    def next_sequence(self) -> int:
        """The sequence that the next command has."""
        return self._last_command + 1

    def command(self, command: Command, now: datetime) -> Outcome:
        """Carries out a command, whose sequence is `next_sequence`."""
        self._record(command, "", now)
        outcome = self._changed(self.graph.take(commands=[command]), command.sequence, now)
        if command.action == "release":
            self._hold(0)
        return outcome

    def refuse(self, command: Command, why: str, now: datetime) -> None:
        """Records a command, whose sequence is `next_sequence`, and that it was refused."""
        self._record(command, why, now)

    def apply(self, rules: RulesFile, by: str, now: datetime) -> Outcome:
        """Puts rules in force; `rules_version` is theirs."""
        kept, version = rules.kept(self._hashes), self.rules_version + 1
        graph = self.graph.under(kept.compiled(version, self._hashes))
        self._tables.write_rules(version, kept, by, now, self._generation)
        change = difference(self.graph.customers(), graph.customers())
        self.graph, self.rules, self.rules_version = graph, kept, version
        return self._changed(change, 0, now)

    def _record(self, command: Command, refused: str, now: datetime) -> None:
        assert command.sequence == self.next_sequence(), f"command {command.sequence} is not the next one"
        self._tables.write_command(command, refused, now, self._generation)
        self._last_command = command.sequence

    def _hold(self, sequence: int) -> None:
        """Holds evidence back until a release of this sequence or a later one; 0: does so no longer."""
        if not sequence:
            self.breaker.release()
        self.breaker.held = sequence
        self.keep_mark(BREAKER, sequence)

    def keep_mark(self, name: str, value: int) -> None:
        """Sets a mark."""
        self._tables.write_mark(name, value, self._next(), self._generation)

    # --- what it changes ----------------------------------------------------------------------------------------------
    def _changed(self, change: Change, command: int, now: datetime) -> Outcome:
        for column, sign in ("before", -1), ("after", 1):
            for reason, count in change.refusals.drop_nulls(column).group_by(column).len().iter_rows():
                self.queue[reason] += sign * count
        return self._write(change, command, now)

    def _write(self, change: Change, command: int, now: datetime) -> Outcome:
        """Moves first: a worker that loads assignments finds all later moves by the highest sequence in them."""
        moved = self._numbered(change.moved)
        self._tables.write_moves(moved, command, now, self._generation)
        others = self._numbered(change.profiles.join(moved, on="profile", how="anti"))
        rows = change.profiles.join(moved.select("profile", "sequence"), on="profile")
        rows = pl.concat([rows.sort("sequence"), others]).rename({"after": "customer"})
        self._tables.write_assignments(rows, self._generation)
        refusals = self._numbered(change.refusals)
        self._tables.write_queue(refusals.rename({"after": "reason"}), now, self._generation)
        return Outcome(change.moved.select(list(MOVED_COLUMNS)), change.refusals.select(list(REFUSED_COLUMNS)))

    def _numbered(self, rows: pl.DataFrame) -> pl.DataFrame:
        first, self._sequence = self._sequence + 1, self._sequence + rows.height
        return rows.with_columns(sequence=pl.int_range(first, first + rows.height, dtype=pl.UInt64))

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence
