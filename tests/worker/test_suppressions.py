"""A worker knows what table suppressions says: at its start, as it grows, and when somebody is readmitted."""

from __future__ import annotations

import polars as pl

from pipeline.batch import EventBatch
from pipeline.config.keys import HashKeys
from pipeline.processors.privacy import Pseudonymise
from pipeline.processors.suppressed import Suppressed
from pipeline.sinks.erasures import suppression_rows
from pipeline.sources.decode import Decode
from pipeline.sources.memory import batch_of
from pipeline.worker.suppressions import BACK_MS, WHOLE_S, Suppressions
from schemas.contacts import DEFAULT
from schemas.erasures import Keys
from schemas.identity import account_key
from schemas.times import utc_now
from tests.support.bad_records import event

ANN, BOB = account_key("x", "ann"), account_key("x", "bob")
ERA = 1_800_000_000_000


class Table:
    """The table: rows in the order in which they became visible."""

    def __init__(self) -> None:
        self.rows = suppression_rows(Keys(), 0, utc_now()).with_columns(sequence=pl.lit(0, pl.UInt64))
        self.wholes = 0

    def write(self, sequence: int, keys: Keys, erasure: int = 1, lifted: bool = False) -> None:
        rows = suppression_rows(keys, erasure, utc_now(), lifted)
        self.rows = pl.concat([self.rows, rows.with_columns(sequence=pl.lit(ERA + sequence, pl.UInt64))])

    def query(self, sql: str) -> pl.DataFrame:
        if sql.endswith("FINAL"):
            self.wholes += 1
            newest = self.rows.sort("sequence").unique(["kind", "key", "value", "erasure"], keep="last")
            return newest.filter(is_deleted=0)
        return self.rows.filter(pl.col("sequence") > int(sql.rsplit(" ", 1)[1]))


def step(suppressed: Suppressed, keys: HashKeys | bytes = b"key") -> Pseudonymise:
    privacy = Pseudonymise(keys, "", DEFAULT)
    privacy.suppressed = suppressed
    return privacy


def known(suppressed: Suppressed, *more: bytes) -> set[str]:
    privacy = step(suppressed)
    records = [event(id=name, platform="x", author={"id": name}) for name in ("ann", "bob")]
    batch: EventBatch = Decode().process(batch_of([*records, *more]))
    there = set(batch.events.get_column("id").to_list())
    return there - set(privacy.process(batch).events.get_column("id").to_list())


def test_each_row_counts_however_late_it_is_seen() -> None:
    table, suppressed = Table(), Suppressed()
    table.write(0, Keys([ANN]))
    following = Suppressions(table.query, step(suppressed), lambda: 0.0)
    following.load()
    assert len(suppressed) == 1
    table.write(9_000, Keys(values=["ab"]))
    following.ask()
    table.write(9_000 - BACK_MS + 1, Keys([BOB]), erasure=2)  # its insert began before, and ended now
    following.ask()
    assert len(suppressed) == 3 and table.wholes == 1
    assert known(suppressed) == {"ann", "bob"}


def test_who_is_lifted_lands_again_unless_another_erasure_suppresses_the_key() -> None:
    table, suppressed = Table(), Suppressed()
    following = Suppressions(table.query, step(suppressed), lambda: 0.0)
    following.load()
    table.write(0, Keys([ANN, BOB]), erasure=1)
    table.write(0, Keys([BOB]), erasure=2)
    following.ask()
    table.write(10, Keys([ANN, BOB]), erasure=1, lifted=True)
    for _ in range(3):
        following.ask()
    assert table.wholes == 2, "everything is read again once"
    assert known(suppressed) == {"bob"}


def test_the_handle_of_an_account_with_an_id_is_its_next_owners_unless_another_erasure_has_it_alone() -> None:
    table, suppressed = Table(), Suppressed()
    following = Suppressions(table.query, step(suppressed), lambda: 0.0)
    handle = account_key("x", None, "ann")
    table.write(0, Keys([1, handle], handles=frozenset([handle])))
    following.load()
    post = event(id="next", platform="x", author={"id": "ann", "handle": "ann"})
    assert known(suppressed, post) == set()
    table.write(1, Keys([handle]), erasure=2)
    following.ask()
    assert known(suppressed, post) == {"next"}
    table.write(2, Keys([handle]), erasure=2, lifted=True)
    following.ask()
    assert known(suppressed, event(id="later", platform="x", author={"id": "ann", "handle": "ann"})) == set()


def test_everything_is_read_again_now_and_then() -> None:
    """A clock that was set back gives rows that are older than what was read."""
    table, suppressed, now = Table(), Suppressed(), [0.0]
    following = Suppressions(table.query, step(suppressed), lambda: now[0])
    table.write(0, Keys([ANN]))
    following.load()
    table.write(-BACK_MS, Keys([BOB]), erasure=2)
    following.ask()
    assert len(suppressed) == 1
    now[0] = WHOLE_S
    following.ask()
    assert len(suppressed) == 2


def test_an_address_stays_suppressed_under_a_later_key() -> None:
    table, suppressed = Table(), Suppressed()
    privacy = step(suppressed, HashKeys(("key", "later")))
    following = Suppressions(table.query, privacy, lambda: 0.0)
    old, older = (step(Suppressed()).hashes("author_email", [f"{name}@example.org"])[0] for name in ("ann", "bob"))
    table.write(0, Keys(values=[old]))
    following.load()
    table.write(1, Keys(values=[older, *privacy.hashes("author_email", ["ann@example.org"])]))
    following.ask()
    records = [event(id=name, author={"email": f"{name}@example.org"}) for name in ("ann", "bob", "eve")]
    left = privacy.process(Decode().process(batch_of(records))).events
    assert left.get_column("id").to_list() == ["eve"] and len(suppressed) == 4, "both events are suppressed from now on"
