"""What a worker has to do with customers: step identity, the evidence that goes to `earshot customers`, and what comes back.

A thread follows the tables: all of `assignments` at the start, then the changes after the last one known, and the newest rules.
Before them what is suppressed (worker/suppressions.py): whose events are dropped.
"""

from __future__ import annotations

import logging
import threading
import time

import polars as pl
import pyarrow as pa
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from pydantic import ValidationError

from pipeline.clickhouse.query import frame, one_line
from pipeline.clock import worth_logging
from pipeline.errors import reason
from pipeline.identity.rules_file import RulesFile
from pipeline.monitoring import identity_metrics
from pipeline.monitoring.health import Vitals
from pipeline.processors.identity import Identity
from pipeline.processors.privacy import Pseudonymise
from pipeline.worker.suppressions import Suppressions

NAME = "customers"
EVERY_S = 0.5
MOST = 1_000_000
"""Changes of one answer: 24 MB."""
_NEWS = """
SELECT countIf(news = 1) AS suppressed, countIf(news = 2) AS moved, countIf(news = 3) AS ruled FROM (
    SELECT 1 AS news FROM suppressions WHERE sequence > {}
    UNION ALL SELECT 2 FROM assignment_changes WHERE sequence > {}
    UNION ALL SELECT 3 FROM identity_rules WHERE version > {})"""
"""One statement: three, twice a second, were half of what an idle worker asks; as three scalars it takes half as long again."""
_ALL = "SELECT profile, customer FROM assignments FINAL"
_CHANGES = "SELECT sequence, profile, after FROM assignment_changes WHERE sequence > {} ORDER BY sequence LIMIT {}"
_RULES = "SELECT version, rules FROM identity_rules WHERE version > {} ORDER BY version DESC LIMIT 1"
log = logging.getLogger("earshot.customers")


class Following:
    """Keeps the look-up map and the rules of a worker as the leader of the customers writes them.

    The leader writes a change before the assignment that it makes, each with a sequence that rises: so the changes after the
    highest sequence in `assignments` are all that its rows lack, and what an older leader writes late stands below. While
    ClickHouse is away everything stays as it is.
    """

    def __init__(self, client: Client, vitals: Vitals, step: Identity, privacy: Pseudonymise) -> None:
        self._client, self._vitals = client, vitals
        self._customers, self._step, self._privacy = step.customers, step, privacy
        self._suppressions = Suppressions(self._query, privacy)
        self._sequence = self._version = 0
        self._asked_at = time.monotonic()

    def start(self) -> None:
        """Reads everything, so that the first batch knows it, and then follows on a daemon thread until the process ends.

        Raises EarshotError if ClickHouse does not answer.
        """
        with one_line(self._client):
            self.load()
        identity_metrics.MAP_LINKS.set_function(lambda: len(self._customers))
        identity_metrics.MAP_AGE.set_function(lambda: time.monotonic() - self._asked_at)
        threading.Thread(target=self._run, name=NAME, daemon=True).start()

    def load(self) -> None:
        """Whose events are dropped, all customers, and the rules. Raises ClickHouseError."""
        self._suppressions.load()
        # Before the rows: what is written between both questions comes again with the changes.
        newest = self._query("SELECT max(sequence) AS newest FROM assignments").get_column("newest")[0]
        rows = self._query(_ALL)
        self._customers.put(rows.get_column("profile").to_numpy(), rows.get_column("customer").to_numpy())
        self._sequence = newest
        self.ask()

    def ask(self) -> None:
        """What is new. Raises ClickHouseError."""
        news = self._query(_NEWS.format(self._suppressions.since, self._sequence, self._version))
        suppressed, moved, ruled = news.row(0)
        if suppressed or self._suppressions.old:
            self._suppressions.ask()
        if moved:
            self._follow()
        if ruled:
            self._take_rules()
        self._asked_at = time.monotonic()

    def _follow(self) -> None:
        while True:
            changes = self._query(_CHANGES.format(self._sequence, MOST))
            if changes.height:
                self._customers.put(changes.get_column("profile").to_numpy(), changes.get_column("after").to_numpy())
                self._sequence = changes.get_column("sequence")[-1]
            if changes.height < MOST:
                return

    def _take_rules(self) -> None:
        for version, rules in self._query(_RULES.format(self._version)).iter_rows():
            self._version = version
            self._use(version, rules)

    def _use(self, version: int, rules: str) -> None:
        try:
            parsed = RulesFile.model_validate_json(rules)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            log.error("rules of identity, version %d, stay out of force here: %s: %s", version, where, first["msg"])
            return
        self._privacy.block(parsed.contacts(self._privacy.hashes))
        self._step.use(parsed, version)
        log.info("rules of identity, version %d, are in force from the next batch on", version)

    def _query(self, sql: str) -> pl.DataFrame:
        return frame(self._client, sql, {}, {})

    def _run(self) -> None:
        pause, failed, away = threading.Event(), 0, f"clickhouse ({NAME})"
        while not pause.wait(EVERY_S):
            self._vitals.busy(NAME)
            try:
                self.ask()
            except (ClickHouseError, OSError, pa.ArrowInvalid) as error:
                failed += 1
                self._vitals.hold(away, reason(error))
                if worth_logging(failed):
                    log.warning("changes of customers: %s; try %d, will be retried", reason(error), failed)
            else:
                failed = 0
                self._vitals.clear(away)
            self._vitals.idle(NAME)
