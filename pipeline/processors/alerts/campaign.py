"""Campaigns: the same text, give or take, from many accounts.

Column `text_sketch` (schemas/clickhouse/006_campaign.sql) finds candidates among millions of rows; the texts of those few then
decide (similarity.py). A text belongs to a campaign because of its similarity to the campaign's common text, never to another
member: no chain leads from one text over others to a quite different one. docs/campaigns.md says more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from pipeline.clickhouse.query import Query
from pipeline.processors.alerts.campaign_sql import (
    MOST_TEXTS,
    extended_sql,
    listed,
    period_of,
    rows_of,
    sharing_sql,
    texts_sql,
    threes_sql,
)
from pipeline.processors.alerts.rule_types import CampaignRule
from pipeline.processors.alerts.similarity import clusters, matrix, readable, support_of

SAMPLES = 3


@dataclass(frozen=True, slots=True)
class Campaign:
    """One campaign against, or for, one brand, in one window."""

    brand: str
    accounts: int
    """Different accounts: an id or a handle, on one platform."""
    event_keys: tuple[int, ...]
    """Its events, in order of time. A campaign that goes on shares some with an earlier search's."""
    representative: int
    """The event whose text is nearest to the common text; a public one if there is one."""
    samples: tuple[int, ...]
    """Up to three public events, the nearest first."""
    first_at: datetime
    last_at: datetime
    platforms: tuple[str, ...]

    @property
    def events(self) -> int:
        return len(self.event_keys)


def find(
    query: Query, rule: CampaignRule, since: datetime, until: datetime, brands: Iterable[str] | None = None
) -> list[Campaign]:
    """The campaigns among events created from `since` to before `until`, by brand, the largest first.

    `brands` are those that may have new ones (None: all), within the rule's own. It reads newest versions and no deleted rows:
    the number of workers that wrote them makes no difference. Raises the errors of `query`.
    """
    names = _names(rule, brands)
    if names is not None and not names:
        return []
    where = rows_of(rule, since, until, names)
    threes = query(threes_sql(where)).get_column("three")
    if threes.is_empty():
        return []
    sharing = query(sharing_sql(where, threes))
    support = support_of(matrix(sharing.get_column("text_sketch")))
    cores = np.argsort(-support, kind="stable")[: min(MOST_TEXTS, np.count_nonzero(support > 1))]
    if not cores.size:
        return []
    period = period_of(since, until)
    # First the texts that share most, as seeds of campaigns; then all texts that share something with the seeds.
    rows = readable(query(texts_sql(listed(sharing.get_column("event_key").gather(cores)), period)))
    seeds = [members for members, _ in clusters(rows, max(2, rule.accounts // 4))]
    if not seeds:
        return []
    values = np.unique(matrix(rows[np.concatenate(seeds)].get_column("text_sketch")))
    rows = readable(query(texts_sql(extended_sql(where, values[values > 0]), period)))
    campaigns: list[Campaign] = []
    for members, nearness in clusters(rows, rule.accounts):
        campaigns += _campaigns(rows[members].with_columns(nearness=pl.Series(nearness)), rule.accounts, names)
    return sorted(campaigns, key=lambda campaign: (campaign.brand, -campaign.accounts, campaign.representative))


def _names(rule: CampaignRule, brands: Iterable[str] | None) -> list[str] | None:
    if brands is None:
        return sorted(rule.brands) or None
    return sorted(set(brands) & set(rule.brands) if rule.brands else set(brands))


def _campaigns(rows: pl.DataFrame, accounts: int, names: Sequence[str] | None) -> Iterator[Campaign]:
    """A campaign for each brand that rows of enough accounts are about."""
    about = set(rows.get_column("brands").explode().drop_nulls())
    for name in sorted(about if names is None else about & set(names)):
        mine = rows.filter(pl.col("brands").list.contains(name))
        if mine.get_column("account").n_unique() < accounts:
            continue
        nearest = mine.sort(["nearness", "event_key"], descending=[True, False])
        public = nearest.filter(pl.col("private") == 0).get_column("event_key").to_list()
        yield Campaign(
            name,
            mine.get_column("account").n_unique(),
            tuple(mine.get_column("event_key")),
            public[0] if public else nearest.get_column("event_key")[0],
            tuple(public[:SAMPLES]),
            mine.get_column("created_at")[0],
            mine.get_column("created_at")[-1],
            tuple(mine.get_column("platform").unique().sort()),
        )
