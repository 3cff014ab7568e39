"""Rematch: applies the current brands.yaml to the stored rows.

A row whose text or mentions now match other brands gets a new minor version (schemas/events.py) with other `brands`; its
revision and all other columns stay. Brands that the source gave are never removed. Tombstones, deleted rows and `direction`
stay as they are. A row without a label that gains its first brand becomes `deferred` in the same version: a worker labels it.

ClickHouse selects the candidates (the row has the brand, the text holds a part of a term, the text is not ASCII or has markup,
or the row has mentions). Only they travel, a bounded number at a time, and the worker's own code matches them, with all brands
of the file and the words of all rules: joined hashtags are read by them. ClickHouse makes the new versions. A second run
changes nothing; after a kill it does the rest.

Workers may run at the same time: a change that lands meanwhile has a higher version, so it wins. A change that a worker
completed from an older row, or matched with the old brands, carries the old brands; so a rematch reads the rows that arrived
since its start again until nothing changes. Cost: one scan of the columns it reads, with FINAL, in time order; traffic and
matching grow with the candidates.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import polars as pl
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.migrations import check_tables
from pipeline.clickhouse.query import LONG_SQL, frame, one_line, settings_for
from pipeline.clickhouse.row_versions import COLUMNS_SQL, insert_versions, looked_up
from pipeline.config.document import hint
from pipeline.config.settings import Settings
from pipeline.errors import EarshotError, UnknownName
from pipeline.maintenance.scan import AGAIN, EVER, IN_CHUNK, WHERE, Progress, chunks
from pipeline.processors.alerts.rules import DEFAULT_RULES, load_rules
from pipeline.processors.alerts.single import words_of
from pipeline.processors.mentions.brands import SAMPLE_BRANDS, Brand, load_brands
from pipeline.processors.mentions.links import domain_forms
from pipeline.processors.mentions.markup import CHANGED_RE2
from pipeline.processors.mentions.step import Matching
from pipeline.processors.mentions.terms import Use, term_text, words
from pipeline.queries.counted_names import is_named_sql
from pipeline.sinks.changes import Changing, unheard
from schemas import events
from schemas.inbound import INBOUND_SQL
from schemas.labels import DEFERRED

WRITTEN_AT_ONCE = 5_000
NEEDLES = 255
"""The most needles that multiSearchAny takes."""
CLOCKS = timedelta(seconds=60)
"""How far a worker's clock may differ from ours."""
PASSES, PAUSE_S = 10, 1.0
_MATCHED = ("brands", "brands_linked")


@dataclass
class Rematched:
    """The changes of a rematch, or with `dry_run` those it would make: changed rows, and the rows that each brand gained and
    lost."""

    rows: int = 0
    gained: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)


def rematch(
    settings: Settings,
    names: Sequence[str],
    *,
    since: datetime | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
    changing: Changing = unheard,
) -> Rematched:
    """Applies brands.yaml to the rows created at or after `since`, for the brands `names`. A brand may have left the file.
    `changing` hears of the rows that change.

    Raises SettingsError for a broken file, UnreachableError without ClickHouse, EarshotError for a name that is neither in the
    file nor in any row, if ClickHouse refuses a query, and if workers keep landing rows that match otherwise.
    """
    brands = load_brands(settings.brands or SAMPLE_BRANDS)
    matching = Matching(brands.brands, words_of(load_rules(settings.alerts or DEFAULT_RULES)))
    client = clickhouse_client(settings.clickhouse)
    try:
        check_tables(client)
        with one_line(client, AGAIN):
            tracked = [brand for brand in brands.brands if brand.name in names]
            wanted = tracked, sorted(set(names))
            work = _Rematch(client, matching, wanted, labelled=settings.sentiment.model != "off", changing=changing)
            work.check_names([brand.name for brand in brands.brands])
            return work.run(since or EVER, dry_run, progress or (lambda done, total: None))
    finally:
        client.close()


class _Rematch:
    def __init__(
        self, client: Client, matching: Matching, wanted: tuple[list[Brand], list[str]], labelled: bool, changing: Changing
    ) -> None:  # fmt: skip
        """`wanted`: the brands to apply, and the names of all that rows may gain or lose."""
        brands, names = wanted
        self._client, self._changing = client, changing
        self._names = names
        self._matching = matching
        self._candidates, self._values = _candidates(brands, names)
        self._columns = [column for (column,) in client.query(COLUMNS_SQL).result_rows]
        self._status = _STATUS.format(gained=_GAINED if labelled else "0")
        self.done = Rematched()

    def check_names(self, known: Collection[str]) -> None:
        """`known`: the names in brands.yaml. The rows have the brands that left the file."""
        for name in sorted(set(self._names) - set(known)):
            if not self._client.query(is_named_sql("brand", name)).result_rows:
                near = hint(name, known)
                raise UnknownName(f"no brand is named {name!r}, neither in brands.yaml nor in stored events{near}")

    def run(self, since: datetime, dry_run: bool, progress: Progress) -> Rematched:
        arrived = EVER
        for _ in range(PASSES):
            begun, before = datetime.now(UTC), self.done.rows
            first = arrived is EVER
            self._pass(since, arrived, dry_run, progress if first else lambda done, total: None)
            if dry_run or not (first or self.done.rows > before):
                return self.done
            arrived = begun - CLOCKS
            time.sleep(PAUSE_S)
        raise EarshotError("workers keep writing rows that this brands.yaml matches otherwise: does one run with another file?")

    def _pass(self, since: datetime, arrived: datetime, dry_run: bool, progress: Progress) -> None:
        for values in chunks(self._client, since, arrived, progress):
            self._chunk(values, dry_run)

    def _chunk(self, values: dict[str, object], dry_run: bool) -> None:
        rows = frame(self._client, f"{_ROWS} AND ({self._candidates})", values | self._values, settings_for(self._client))
        changed = self._changed(rows)
        for name in self._names:
            now, then = (changed.get_column(c).list.contains(name) for c in ("brands_now", "brands"))
            self.done.gained[name] += int((now & ~then).sum())
            self.done.lost[name] += int((then & ~now).sum())
        self.done.rows += changed.height
        for part in [] if dry_run else changed.iter_slices(WRITTEN_AT_ONCE):
            self._write(part, values)

    def _write(self, rows: pl.DataFrame, values: dict[str, object]) -> None:
        """Inserts the rows' next versions, made from the newest ones: a label that was written meanwhile stays."""
        new = {column: looked_up(rows.get_column(f"{column}_now")) for column in _MATCHED} | {"sentiment_status": self._status}
        statement = insert_versions(self._columns, rows, new, events.BRANDS_STEP, IN_CHUNK)
        with self._changing(rows):
            self._client.command(statement, values, settings=LONG_SQL)

    def _changed(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows whose brands change, or which of them are only linked; with the new ones in columns `<column>_now`."""
        brands, linked, _ = self._matching.columns(rows.select("platform", "text", "mentions", brands="brands_given"))
        names = pl.lit(pl.Series([self._names], dtype=pl.List(pl.String)).first(), pl.List(pl.String))
        for column, should in zip(_MATCHED, (brands, linked.fill_null([])), strict=True):
            kept, gained = pl.col(column).list.set_difference(names), should.alias("should").list.set_intersection(self._names)
            rows = rows.with_columns(kept.list.set_union(gained).list.sort().alias(f"{column}_now"))
        return rows.filter(pl.any_horizontal(pl.col(f"{column}_now") != pl.col(column).list.sort() for column in _MATCHED))


def _candidates(brands: Sequence[Brand], names: Sequence[str]) -> tuple[str, dict[str, object]]:
    """The SQL condition that a row must meet so that a rematch can change it, and its parameters."""
    conditions = ["hasAny(brands, {names:Array(String)})"]
    values: dict[str, object] = {"names": list(names)}
    needles = sorted({needle for brand in brands for needle in _needles(brand)})
    for start in range(0, len(needles), NEEDLES):
        conditions.append(f"multiSearchAnyCaseInsensitive(text, {{needles{start}:Array(String)}})")
        values[f"needles{start}"] = needles[start : start + NEEDLES]
    if brands:
        conditions += ["length(text) != lengthUTF8(text)", "match(text, {changed:String})", "notEmpty(mentions)"]
        values["changed"] = CHANGED_RE2
    return " OR ".join(conditions), values


def _needles(brand: Brand) -> Iterator[str]:
    """A part of each term, as an ASCII text holds it: the longest of several words, since the text between them varies."""
    terms = [spelling.text for word in (*brand.keywords, *brand.phrases) for spelling in words(word, Use.KEYWORD, 0)]
    domains = [form for domain in brand.domains for form in domain_forms(domain)]
    for term in (*terms, *(term_text("@" + handle) for handle in brand.handles), *domains):
        if term.isascii():
            yield max(term.split(" "), key=len)


# A row that gains its first brand needs a label; a row that lost its last needs none.
_GAINED = f"notEmpty(_brands) AND sentiment_status = '' AND {INBOUND_SQL} AND text != ''"
_STATUS = f"multiIf({{gained}}, '{DEFERRED}', empty(_brands) AND sentiment_status = '{DEFERRED}', '', sentiment_status)"
_ROWS = f"""
SELECT event_key, revision, created_at, platform, text, mentions, brands, brands_given, brands_linked FROM interactions FINAL
WHERE {IN_CHUNK} AND {WHERE}"""
