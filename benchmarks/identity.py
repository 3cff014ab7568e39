"""What identity costs a worker and ClickHouse: keys and look-ups, the hot path with the step and without, inserts.

An account is one of `shop:n`. The standard load has 20,000 authors, which are among the accounts that are linked.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from statistics import median

import numpy as np
import polars as pl
from clickhouse_connect.driver.client import Client

from benchmarks import load
from benchmarks.ground import DATA_KEY, Ground, cpu_seconds, ground
from benchmarks.identity_tables import database
from benchmarks.progress import bar
from benchmarks.report import RATIO, Figure
from benchmarks.standard import AUTHORS
from benchmarks.steps import DAY_S, LIMIT, batches, chain, through
from pipeline.batch import EventBatch
from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.inserter import Inserter
from pipeline.config.keys import DataKeys
from pipeline.fence import Fence
from pipeline.generate.history import TableLetters
from pipeline.monitoring.health import Vitals
from pipeline.processors.completion import Completion
from pipeline.processors.dedup import RevisionIndex
from pipeline.processors.identity import Identity
from pipeline.processors.key_map import KeyMap
from pipeline.processors.keys import Keys, KeySet
from pipeline.processors.privacy import Pseudonymise
from pipeline.sinks.landing import Landing
from pipeline.sinks.letter_encryption import LetterEncryption
from pipeline.sinks.letter_rows import LetterRows
from pipeline.sinks.memory import MemoryLanding, MemoryTable
from pipeline.worker.hot_path import HotPath
from schemas.contacts import DEFAULT
from schemas.identity import account_keys

PATH_NAMES = ("identity.hot_path_ratio",)
LOOKUP_NAMES = ("identity.lookups", "identity.bytes_per_account")
INSERT_NAMES = ("identity.insert_cpu",)
BEFORE = (
    "DROP VIEW account_events_filled",
    "DROP VIEW interactions_now",
    "ALTER TABLE interactions DROP INDEX handles",
    "ALTER TABLE interactions DROP COLUMN account_key, DROP COLUMN customer_key, DROP COLUMN author_accounts",
)
"""What makes the tables what they were without identity."""


# --- keys and look-ups ------------------------------------------------------------------------------------------------
def lookup_figures(accounts: int, passes: int) -> Iterator[Figure]:
    """Accounts a second, by batches as large as a worker's: from the columns of rows to their customers."""
    names = [str(number * 7919) for number in range(accounts)]
    order = np.random.default_rng(1).permutation(accounts)
    columns = pl.DataFrame({"platform": "shop", "id": pl.Series(names).gather(order), "handle": pl.Series(names)})
    found, rates = KeyMap(), []
    found.put(*_linked(columns))
    for _ in bar.track(range(passes), passes, "look-ups: passes"):
        started = time.process_time()
        for start in range(0, accounts, load.BATCH_ROWS):
            found.of(_keys(columns[start : start + load.BATCH_ROWS]))
        rates.append(accounts / (time.process_time() - started))
    conditions = f"{accounts:,} linked accounts, batches of {load.BATCH_ROWS:,}, one thread; median of {passes} passes"
    yield Figure(LOOKUP_NAMES[0], median(rates), "accounts/s", f"keys and look-ups; {conditions}")
    yield Figure(LOOKUP_NAMES[1], found.nbytes / len(found), "bytes", f"of the map; {conditions}")


def _linked(accounts: pl.DataFrame) -> tuple[Keys, Keys]:
    """The keys of accounts, each with another customer than itself."""
    keys = _keys(accounts)
    return keys, keys ^ np.uint64(1)


def _keys(accounts: pl.DataFrame) -> Keys:
    return account_keys(*accounts.get_columns()).to_numpy()


# --- the hot path -----------------------------------------------------------------------------------------------------
def path_figures(events: int, passes: int, accounts: int) -> Iterator[Figure]:
    """CPU a million events with the step over that without, in turns."""
    values, found = load.records(events), KeyMap()
    names = [*(f"u{number}" for number in range(AUTHORS)), *map(str, range(accounts - AUTHORS))]
    found.put(*_linked(pl.DataFrame({"platform": "twitter", "id": names, "handle": ""})))
    costs: dict[str, list[float]] = {"without": [], "with": []}
    for _ in bar.track(range(passes), passes, "the hot path: passes"):
        for name, spent in costs.items():
            index, completion = RevisionIndex(KeySet(LIMIT, DAY_S)), Completion(MemoryTable(), DAY_S)
            identity = Identity(found) if name == "with" else None
            steps = [*chain(values, index, load.brands()), completion, identity]
            path = HotPath(steps, MemoryLanding(), [index, completion, identity])
            spent.append(through(values, path).cpu_per_million)
    ratio = median(after / before for before, after in zip(*costs.values(), strict=True))
    conditions = (
        f"{median(costs['with']):.2f} over {median(costs['without']):.2f} CPU s/M events: decode, privacy, dedup, mentions, "
        f"completion, and identity; {events:,} events, {accounts:,} linked accounts, {passes} passes in turns"
    )
    yield Figure(PATH_NAMES[0], ratio, RATIO, conditions)


# --- inserts ----------------------------------------------------------------------------------------------------------
def insert_figures(events: int, runs: int) -> Iterator[Figure]:
    """CPU seconds of ClickHouse for inserts and their merges, with the tables of identity less without, in turns."""
    whole = [_keyed(batch) for batch in _whole(load.records(events))]
    rows = sum(batch.events.height for batch in whole)
    spent: dict[str, list[float]] = {"before": [], "after": []}
    with ground() as stage:
        for _ in range(runs):
            for name, costs in spent.items():
                with database(stage, name) as settings, clickhouse_client(settings.clickhouse) as client:
                    for statement in BEFORE if name == "before" else ():
                        client.command(statement)
                    costs.append(_inserted(stage, client, whole, name == "after") / rows * 1e6)
    before, after = (median(costs) for costs in spent.values())
    conditions = (
        f"{after:.2f} less {before:.2f} without identity; {rows:,} rows, batches of {load.BATCH_ROWS:,}, with their merges; "
        f"medians of {runs} runs in turns"
    )
    yield Figure(INSERT_NAMES[0], after - before, "CPU s/M rows", conditions)


def _whole(values: Sequence[bytes]) -> Iterator[EventBatch]:
    """The records as batches of whole rows."""
    index = RevisionIndex(KeySet(LIMIT, DAY_S))
    steps = [*chain(values, index, load.brands()), Completion(MemoryTable(), DAY_S)]
    path = HotPath(steps, _Nowhere(), [index])
    for batch in batches(values):
        path.land([path.process(batch)])
        yield batch


class _Nowhere:
    def land(self, landed: Sequence[EventBatch]) -> list[int]:
        return []


def _keyed(batch: EventBatch) -> EventBatch:
    keys = account_keys(*(batch.events.get_column(name) for name in ("platform", "author_id", "author_handle")))
    batch.events = batch.events.with_columns(keys.alias("customer_key"))
    return batch


def _inserted(stage: Ground, client: Client, whole: Sequence[EventBatch], keyed: bool) -> float:
    """The CPU seconds of ClickHouse until all rows are there and no merge runs."""
    inserter = Inserter(client, Fence(lambda: 0.0), Vitals(), "landing")
    letters = LetterRows(LetterEncryption(DataKeys((DATA_KEY,))), Pseudonymise(b"benchmark", "", DEFAULT))
    landing = Landing(inserter, TableLetters(inserter, letters), str)
    pid = stage.stack.pid("clickhouse")
    started = cpu_seconds(pid)
    for batch in bar.track(whole, len(whole), "inserts"):
        events = batch.events
        if not keyed:
            batch.events = events.with_columns(pl.lit(None, pl.UInt64).alias("customer_key"))
        landing.land([batch])
        batch.events = events
    while client.command("SELECT count() FROM system.merges"):
        time.sleep(0.1)
    return cpu_seconds(pid) - started
