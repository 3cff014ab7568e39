"""Campaigns: the same text, give or take, from many accounts.

campaign_texts.py reads the texts, text_groups.py finds the few among them that may be alike, similarity.py compares these. A
text belongs to a campaign because of its similarity to the campaign's common text, never to another member: no chain leads from
one text over others to a quite different one. docs/campaigns.md says more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.processors.alerts.minutes import MINUTE_S
from pipeline.processors.alerts.rule_types import CampaignRule
from pipeline.processors.alerts.similarity import clusters

SAMPLES = 3
Match = tuple[CampaignRule, "Campaign"]
"""A rule, and a campaign that meets it."""
_MS = 1000
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Campaign:
    """One campaign against, or for, one brand: all windows that hold enough accounts and follow each other."""

    brand: str
    accounts: int
    """Different accounts, in the window that holds most: an id or a handle, on one platform."""
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


def campaigns(rows: pl.DataFrame, brand: str, rules: Sequence[CampaignRule], touched: Collection[int]) -> Iterator[Match]:
    """The rules' campaigns among these texts about the brand, in windows with an event of a touched minute.

    `rows`: as campaign_sql.texts_sql has them, readable, in order of time.
    """
    for members, nearness in clusters(rows, min((rule.accounts for rule in rules), default=0)):
        alike = rows[members].with_columns(nearness=pl.Series(nearness))
        for rule in rules:
            mine = alike.filter(pl.col("platform").is_in(rule.platforms)) if rule.platforms else alike
            yield from ((rule, _campaign(brand, mine[first:end], most)) for first, end, most in _runs(mine, rule, touched))


def _runs(rows: pl.DataFrame, rule: CampaignRule, touched: Collection[int]) -> list[tuple[int, int, int]]:
    """The first row and the end of each run of windows that hold enough accounts, and the most accounts of one of them.

    A window ends with each event. A run ends where for a whole window none holds enough."""
    times = rows.get_column("created_at").dt.epoch("ms").to_numpy()
    window = round(rule.window.total_seconds() * _MS)
    starts = np.searchsorted(times, times - window)
    counts = _accounts(rows.get_column("account").to_list(), starts)
    marked = np.cumsum(np.isin(times // (MINUTE_S * _MS), list(touched)))
    ends = np.flatnonzero((counts >= rule.accounts) & (marked > np.concatenate([[0], marked])[starts]))
    parts = np.split(ends, np.flatnonzero(np.diff(times[ends]) > window) + 1)
    return [(int(starts[part[0]]), int(part[-1]) + 1, int(counts[part].max())) for part in parts if part.size]


def _accounts(accounts: Sequence[int], starts: Ints) -> Ints:
    """How many different accounts each window has: it begins at the row of `starts`, and ends with its own."""
    inside, counts, begin = Counter[int](), [], 0
    for account, start in zip(accounts, starts, strict=True):
        inside[account] += 1
        for left in accounts[begin:start]:
            inside[left] -= 1
            if not inside[left]:
                del inside[left]
        begin = start
        counts.append(len(inside))
    return np.array(counts, dtype=np.int64)


def _campaign(brand: str, rows: pl.DataFrame, accounts: int) -> Campaign:
    nearest = rows.sort(["nearness", "event_key"], descending=[True, False])
    public = nearest.filter(pl.col("private") == 0).get_column("event_key").to_list()
    return Campaign(
        brand,
        accounts,
        tuple(rows.get_column("event_key")),
        public[0] if public else nearest.get_column("event_key")[0],
        tuple(public[:SAMPLES]),
        rows.get_column("created_at")[0],
        rows.get_column("created_at")[-1],
        tuple(rows.get_column("platform").unique().sort()),
    )
