"""Identity: whose customer the author of each row is, and what the rows say about who is who.

Column `customer_key` is the author's customer as this worker knows it when the row lands: the author's own profile if it stands
alone, 0 without an author. The look-up map is filled from table assignments (worker/customers.py).

`batch.evidence` holds the edges that this worker has not sent yet, or not with a time as old (sinks/evidence.py sends them when
the rows are in ClickHouse). Most authors say again what they said before: such rows are known by a hash of what evidence is
made of, and no edge of theirs is made. An edge that comes again changes nothing, so the step may forget what it sent: after a
restart, or beyond SENT edges or authors. It must never take for sent what was not: what a batch would have sent is forgotten
when the batch is given up, and computed anew when ClickHouse refused a row of it.
"""

from __future__ import annotations

import secrets
import threading
from typing import NamedTuple

import numpy as np
import polars as pl

from pipeline.batch import EventBatch, Partition
from pipeline.identity.evidence import OF_AUTHORS, evidence
from pipeline.identity.own import RULE as OWN
from pipeline.identity.own import own_accounts
from pipeline.identity.rules_file import RulesFile
from pipeline.processors.key_map import KeyMap
from pipeline.processors.keys import Keys, Mask
from schemas.evidence import NO_EDGES
from schemas.identity import BASES, account_keys

SENT = 1_000_000
"""Edges that are remembered as sent, and authors, about: 20 MB each."""
_AHEAD = 100
"""More batches than are ever on their way at once."""
EVIDENT = (
    "event_key", "platform", "source_name", "direction", "is_deleted", "author_id", "author_handle", "author_kind", "author_at",
    *OF_AUTHORS,
)  # fmt: skip
"""The columns that evidence is made of."""
_NONE: Keys = np.zeros(0, np.uint64)
_PROFILE = ("platform", "author_id", "author_handle")
_SAYS = (
    "source_name", "direction", "is_deleted", "author_handle", "author_kind",
    *(column for column in OF_AUTHORS if column != "author_accounts"),
)  # fmt: skip
"""With the account, what evidence is made of; rows with `author_accounts`, which are few, are always looked at."""


class _OnItsWay(NamedTuple):
    generation: int
    rows: int
    sent: Keys
    """The keys of its edges in Sent."""
    authors: Keys
    """Those of its authors."""


class Sent:
    """Which edges of which basis were sent, or what authors say, and the oldest time of each. Beyond `most` the older half is
    forgotten."""

    def __init__(self, most: int = SENT) -> None:
        self._half = most // 2
        self._maps = KeyMap(), KeyMap()

    def older(self, keys: Keys, at: Keys) -> Mask:
        """Which of these times are older than what was sent: all of an edge that was not sent."""
        sent = [known.of(keys) for known in self._maps]
        older: Mask = np.logical_and.reduce([(times == keys) | (at < times) for times in sent])
        return older

    def remember(self, keys: Keys, at: Keys) -> None:
        """Their edges go with these times."""
        newer, _ = self._maps
        newer.put(keys, at)
        if len(newer) > self._half:
            self._maps = KeyMap(), newer

    def forget(self, keys: Keys) -> None:
        """They were not sent."""
        for known in self._maps:
            known.put(keys, keys)


class Identity:
    """The step, and a BatchMemory. Restart: nothing is remembered; another thread fills `customers`, the look-up map."""

    name = "identity"

    def __init__(self, customers: KeyMap, most_sent: int = SENT) -> None:
        self.customers = customers
        self._rules = RulesFile(), 0
        self._sent, self._authors = Sent(most_sent), Sent(most_sent)
        self._seed = secrets.randbits(64)
        """Nobody outside finds two authors of one hash."""
        self._on_their_way: dict[int, _OnItsWay] = {}
        self._refused_until = 0
        self._lock = threading.Lock()

    def use(self, rules: RulesFile, version: int) -> None:
        """These rules are in force from the next batch on. From any thread."""
        self._rules = rules, version

    def process(self, batch: EventBatch) -> EventBatch:
        accounts = account_keys(*(batch.events.get_column(name) for name in _PROFILE)).to_numpy()
        batch.events = batch.events.with_columns(pl.Series("customer_key", self.customers.of(accounts)))
        with self._lock:
            for number in [n for n, other in self._on_their_way.items() if other.generation != batch.generation]:
                self._forget(number)
        rows, authors = self._with_news(batch.events, accounts)
        edges = self.evidence_of(rows)
        with self._lock:
            batch.evidence, sent = self._not_sent(edges) if edges.height else (edges, _NONE)
            self._on_their_way[batch.id] = _OnItsWay(batch.generation, batch.events.height, sent, authors)
        return batch

    def _with_news(self, rows: pl.DataFrame, accounts: Keys) -> tuple[pl.DataFrame, Keys]:
        """The rows, with EVIDENT, of which not every edge goes with an earlier batch, and the keys of their authors."""
        rows = rows.select(EVIDENT)
        if all(rows.get_column(name).null_count() == rows.height for name in OF_AUTHORS):
            return rows, _NONE  # at most own accounts: that is cheaper to ask than to remember
        _, version = self._rules
        keys = rows.select(pl.Series("account", accounts), *_SAYS).hash_rows(self._seed ^ version).to_numpy()
        at = rows.get_column("author_at").dt.epoch("ms").fill_null(0).to_numpy().astype(np.uint64)
        listed = (rows.get_column("author_accounts").list.len().fill_null(0) > 0).to_numpy()
        with self._lock:
            new = (self._authors.older(keys, at) | listed) & (accounts != 0)
            self._authors.remember(keys[new], at[new])
        return rows[np.flatnonzero(new)], keys[new]

    def _not_sent(self, edges: pl.DataFrame) -> tuple[pl.DataFrame, Keys]:
        """The edges that go with a batch, and their keys in Sent, which takes them for sent."""
        keys, at = _sent_keys(edges), edges.get_column("at").to_numpy().astype(np.uint64)
        new = self._sent.older(keys, at)
        self._sent.remember(keys[new], at[new])
        return edges.filter(pl.Series(new)), keys[new]

    def evidence_of(self, rows: pl.DataFrame) -> pl.DataFrame:
        """EVIDENCE_COLUMNS: all edges that these rows give, whether they were sent or not."""
        rules, version = self._rules
        found = [edges for edges in (evidence(rows, rules, version), own_accounts(rows, version)) if edges.height]
        return pl.concat(found) if found else NO_EDGES

    def to_send(self, batch: EventBatch) -> pl.DataFrame:
        """The edges to send of a batch whose rows have landed: `batch.evidence`, but all that its rows give where ClickHouse
        refused some, or some of a batch shortly before, of which later ones may have taken edges for sent."""
        with self._lock:
            noted = self._on_their_way.get(batch.id)
            if noted is not None and batch.events.height < noted.rows:
                self._refused_until = batch.id + _AHEAD
                self._forget(batch.id)
        if batch.evidence is None or batch.id <= self._refused_until:
            return self.evidence_of(batch.events)
        return batch.evidence

    def landed(self, batch: EventBatch, refused: Keys) -> None:
        """Its edges were sent."""
        with self._lock:
            self._on_their_way.pop(batch.id, None)

    def given_up(self, batch: EventBatch) -> None:
        """Its edges were not sent, or are sent again."""
        with self._lock:
            self._forget(batch.id)

    def left(self, partitions: set[Partition] | None) -> None:
        """Without any partition no batch is on its way."""
        if partitions is None:
            with self._lock:
                for number in list(self._on_their_way):
                    self._forget(number)

    def _forget(self, number: int) -> None:
        if (batch := self._on_their_way.pop(number, None)) is not None:
            self._sent.forget(batch.sent)
            self._authors.forget(batch.authors)


def _sent_keys(edges: pl.DataFrame) -> Keys:
    """A key for each edge and basis; that an account is our own is another fact than that it bears a handle."""
    own = (pl.col("rule") == OWN).cast(pl.UInt64)
    fact = edges.select(pl.col("basis").to_physical().cast(pl.UInt64) + own * len(BASES)).to_series()
    keys: Keys = edges.get_column("edge").to_numpy() ^ fact.to_numpy()
    return keys
