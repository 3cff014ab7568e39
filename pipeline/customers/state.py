"""State: the graph and the tables, changed together: evidence, commands and rules come in, customers and moves go out.

Everything runs on the leader's thread, one piece after the other. What comes is stored first, then what it changes is written:
moves, assignments, queue. Restart, or a kill between any two of these: `start` reads what came, computes the customers, and
writes what the tables lack.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

import polars as pl

from pipeline.customers.breaker import Breaker
from pipeline.errors import EarshotError
from pipeline.identity.change import Change, difference
from pipeline.identity.claims import CLAIM
from pipeline.identity.graph import Graph
from pipeline.identity.raised import raised
from pipeline.identity.rules_file import Hashes, RulesFile
from pipeline.monitoring import identity_metrics as metrics
from pipeline.sinks.customers import BREAKER, OWN_RULE, CustomerTables
from schemas.hashes import DIGITS
from schemas.identity import Command, Rules
from schemas.times import to_ms, utc_now

TERM = 1 << 40
"""Sequences of changes: the leader's term times this, then a counter; higher where tables or topic have come further."""


_SHADOWED = {
    "rule": pl.lit("erased"), "rule_version": pl.lit(0, pl.UInt32), "event": pl.lit(0, pl.UInt64), "claimed": pl.lit(""),
}  # fmt: skip


class State:
    """The customers, while this process leads. `hashes` are those of step privacy.

    A method returns what it changed when that is in the tables. All block while ClickHouse is away, and raise GivenUp when
    another process leads. After any error only `start` helps: the graph may be ahead of the tables.
    """

    def __init__(self, tables: CustomerTables, hashes: Hashes, clock: Callable[[], datetime] = utc_now) -> None:
        self._tables, self._hashes, self._clock = tables, hashes, clock
        self._breaker = Breaker()
        self.graph = Graph(Rules(0, {}))
        self.rules_file, self.version = RulesFile(), 0
        """The rules in force, as they are kept, and their version; 0: none were applied."""
        self.queue: Counter[str] = Counter()
        """Edges that link nobody, by reason."""
        self.last_move = 0
        """The sequence of the newest move."""
        self.written = 0
        """When the newest evidence was stored, ms since 1970: above that of all before."""
        self.claimed = 0
        """When the newest claim was stored, or later."""
        self._suppressed = pl.Series("key", [], pl.UInt64)
        """Accounts of persons who were erased: evidence of them is refused."""
        self._erased: frozenset[int] | None = None
        """Those that this process has erased; None: it has not looked yet."""
        self._generation = self._sequence = self._last_command = self._told = 0
        self._half = False
        """A change was begun, and has not ended."""
        self._marks: dict[str, int] = {}

    @property
    def holds(self) -> bool:
        """Whether the breaker holds automatic evidence back."""
        return self._breaker.held > 0

    def start(self, term: int, generation: int, told: int = 0) -> Change:
        """Reads everything, and writes what an earlier leader could not any more: as moves of no command. `told`: the sequence
        that the topic has come to, which is above that of a database restored from a backup."""
        self._generation, self._half, self._told, self._marks = generation, False, told, {}
        self._suppressed, self._erased = self._tables.suppressed(), None
        self._sequence = max(term * TERM, told, self._tables.newest())
        self.version, self.rules_file = self._tables.rules()
        commands, self._last_command = self._tables.commands()
        self.graph = Graph(self.rules_file.compiled(self.version, self._hashes))
        self.written = self.claimed = self._tables.written()
        edges, own = self._tables.edges()
        self.graph.take(edges, commands, own)
        del edges
        self._breaker = Breaker()
        mark = self._tables.mark(BREAKER)
        if not any(command.action == "release" and command.sequence >= mark for command in commands):
            self._breaker.held = mark
        customers = self.graph.customers()
        self.queue = Counter(dict(customers.refusals.group_by("reason").len().iter_rows()))
        return self._write(difference(self._tables.customers(), customers), 0, "evidence")

    # --- what comes ---------------------------------------------------------------------------------------------------
    def take(self, evidence: pl.DataFrame, imported: bool) -> Change:
        """Takes a piece of EVIDENCE_COLUMNS. What is `imported` is neither held back nor counted by the breaker."""
        with self._changing():
            evidence = raised(evidence, self._hashes)
            if len(self._suppressed):
                evidence = evidence.filter(~_names(self._suppressed))
            if self.holds and not imported:
                evidence = evidence.with_columns(held=pl.lit(self.next_sequence(), pl.UInt64))
            own = evidence.filter(pl.col("rule") == OWN_RULE)
            own = own.filter(~self.graph.owns(own.get_column("a"))).unique("a", keep="first")
            change = self.graph.take(evidence, own=own.get_column("a").to_list())
            # A row that says whose account it is may be no news for the graph: the edge was known. It is kept all the same.
            new = pl.concat([change.new.join(own, on=["edge", "basis"], how="anti"), own])
            if new.height:
                self.written = max(to_ms(self._clock()), self.written + 1)
                self._tables.write_edges(new, self.written, self._generation)
                self.claimed = self.written if new.select(CLAIM.any()).item() else self.claimed
            self._changed(change, 0, "import" if imported else "evidence")
            if not imported and not self.holds and self._breaker.count(change, self.graph.claims):
                self._hold(self.next_sequence())
            return change

    def next_sequence(self) -> int:
        """The sequence that the next command has."""
        return self._last_command + 1

    def command(self, command: Command) -> Change:
        """Carries out a command, whose sequence is `next_sequence`."""
        with self._changing():
            self._record(command, "")
            change = self._changed(self.graph.take(commands=[command]), command.sequence, "command")
            metrics.COMMANDS.labels("done").inc()
            if command.action == "release":
                self._hold(0)
            return change

    def refuse(self, command: Command, reason: str) -> None:
        """Records a command, whose sequence is `next_sequence`, and why it was refused."""
        with self._changing():
            self._record(command, reason)
            metrics.COMMANDS.labels("refused").inc()

    def suppress(self, profiles: pl.Series, again: bool) -> int:
        """Evidence of these alone is refused from now on; those that were not among them before are erased, `again`: of all of
        them what is there. Returns how many there was anything known of."""
        before, self._suppressed = self._erased or frozenset(), profiles
        new = sorted(set(profiles.to_list()) - (frozenset() if again else before))
        first = self._told + 1 if again or self._erased is None else self._sequence + 1  # what is not told yet stays
        known = self.graph.knows(new)
        with self._changing():
            gone = self._erase(known) if known else []
            if new:
                self._tables.erase(new, gone, first, self._generation)
        self._erased = frozenset(profiles.to_list())
        return len(known)

    def _erase(self, profiles: list[int]) -> list[int]:
        """Takes them out of the graph. Returns the keys of the edges that are no more."""
        now, first = to_ms(self._clock()), self.next_sequence()
        commands = [Command(first + n, "erase", profile, at=now) for n, profile in enumerate(profiles)]
        for command in commands:
            self._record(command, "")
        change, edges, kept = self.graph.erase(commands, self._shadow)
        if kept.height:
            self.written = max(now, self.written + 1)
            self._tables.write_edges(kept.with_columns(**_SHADOWED), self.written, self._generation)
        self._changed(change, first, "erasure")
        return edges.to_list()

    def _shadow(self, edges: list[int]) -> list[int]:
        """Under the key of step privacy: from what stays nobody can tell whose it was, and it is the same after a kill."""
        return [int(digest[-DIGITS:][:16], 16) for digest in self._hashes("author_email", [f"erased {edge}" for edge in edges])]

    def apply(self, rules: RulesFile, by: str) -> Change:
        """Puts rules in force, under the next `version`."""
        with self._changing():
            kept, version = rules.kept(self._hashes), self.version + 1
            graph = self.graph.under(kept.compiled(version, self._hashes))
            self._tables.write_rules(version, kept, by, self._clock(), self._generation)
            change = difference(self.graph.customers(), graph.customers())
            self.graph, self.rules_file, self.version = graph, kept, version
            return self._changed(change, 0, "rules")

    def check(self) -> None:
        """Raises EarshotError if a change broke off: this process has to start again."""
        if self._half:
            raise EarshotError("a change of customers broke off by an error: it is repaired when this process starts again")

    @contextmanager
    def _changing(self) -> Iterator[None]:
        self.check()
        self._half = True
        yield
        self._half = False

    def _record(self, command: Command, refused: str) -> None:
        assert command.sequence == self.next_sequence(), f"command {command.sequence} is not the next one"
        self._tables.write_command(command, refused, self._clock(), self._generation)
        self._last_command = command.sequence

    def _hold(self, sequence: int) -> None:
        """Holds evidence back until a release of this sequence or a later one; 0: does so no longer."""
        self._breaker = Breaker()
        self._breaker.held = sequence
        self.keep_mark(BREAKER, sequence)

    def mark(self, name: str) -> int:
        """The value of a mark; 0: it was never set. Who leads alone sets them: each is read once after `start`."""
        if name not in self._marks:
            self._marks[name] = self._tables.mark(name)
        return self._marks[name]

    def query(self, sql: str) -> pl.DataFrame:
        """Asks ClickHouse, which has all that was written so far."""
        return self._tables.query(sql)

    def keep_mark(self, name: str, value: int) -> None:
        """Sets a mark."""
        self._sequence += 1
        self._tables.write_mark(name, value, self._sequence, self._generation)
        self._marks[name] = value

    # --- what it changes ----------------------------------------------------------------------------------------------
    def _changed(self, change: Change, command: int, cause: str) -> Change:
        for column, sign in ("before", -1), ("after", 1):
            for reason, count in change.refusals.drop_nulls(column).group_by(column).len().iter_rows():
                self.queue[reason] += sign * count
        return self._write(change, command, cause)

    def _write(self, change: Change, command: int, cause: str) -> Change:
        """Moves first: a worker that loads assignments finds all later moves by the highest sequence in them."""
        now, generation = self._clock(), self._generation
        moved = self._numbered(change.moved)
        if moved.height:
            self._tables.write_moves(moved, command, now, generation)
            metrics.MOVES.labels(cause).inc(moved.height)
        newest = self._sequence
        stayed = self._numbered(change.profiles.join(moved, on="profile", how="anti"))
        rows = pl.concat([moved.select("profile", "sequence"), stayed.select("profile", "sequence")])
        rows = rows.join(change.profiles, on="profile", maintain_order="left")
        self._tables.write_assignments(rows.select("profile", "sequence", customer="after"), generation)
        if moved.height:  # only now: whoever sees it reads the assignments, as the dictionary does
            self.last_move = newest
        self._tables.write_queue(self._numbered(change.refusals).select("edge", "sequence", reason="after"), now, generation)
        return change

    def _numbered(self, rows: pl.DataFrame) -> pl.DataFrame:
        first, self._sequence = self._sequence + 1, self._sequence + rows.height
        return rows.with_columns(sequence=pl.int_range(first, first + rows.height, dtype=pl.UInt64))


def _names(profiles: pl.Series) -> pl.Expr:
    """Evidence that names one of them."""
    keys = profiles.implode()
    return pl.col("a").is_in(keys) | ((pl.col("kind") == "profile") & pl.col("b").is_in(keys))
