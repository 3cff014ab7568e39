"""Searches for campaigns: in which brands one may have begun, and the alerts that the matches raise."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from pipeline.clickhouse.query import Query
from pipeline.processors.alerts.campaign import Campaign, find
from pipeline.processors.alerts.campaign_sql import enough_sql
from pipeline.processors.alerts.condition import Condition
from pipeline.processors.alerts.lifecycle import Lifecycle
from pipeline.processors.alerts.minutes import floor, time_of
from pipeline.processors.alerts.rule_types import CampaignRule
from schemas.alerts import Alert, Scope

MOMENT = timedelta(seconds=1)


class Search(NamedTuple):
    """Where to look for campaigns: in the windows that end at `at`."""

    rules: Sequence[CampaignRule]
    brands: Sequence[str]
    at: datetime


class CampaignQueue:
    """Brands with news since the last search. Restart: `recall`."""

    def __init__(self) -> None:
        self._brands: set[str] = set()
        self._not_before = time_of(0)

    def add(self, rules: Sequence[CampaignRule], brands: Iterable[str]) -> None:
        """Takes in those of the brands that a rule can be about."""
        self._brands |= {brand for brand in brands if any(not rule.brands or brand in rule.brands for rule in rules)}

    def recall(self, query: Query, rules: Sequence[CampaignRule], watermark: datetime) -> None:
        """Takes in all brands of the rules' windows: the process that led before may not have searched them yet. The next
        search waits until the watermark moves on."""
        if not rules:
            return
        since = f"{watermark - max(rule.window for rule in rules):%Y-%m-%d %H:%M:00}"
        recent = f"toStartOfMinute(created_at) >= '{since}' AND is_deleted = 0"
        brands = query(f"SELECT DISTINCT toString(arrayJoin(brands)) AS brand FROM interactions WHERE {recent}")
        self.add(rules, brands.get_column("brand"))
        self._not_before = watermark + timedelta(milliseconds=1)

    def take(self, rules: Sequence[CampaignRule], watermark: datetime) -> Search | None:
        """The brands to search now, which leave the queue; None: no search is due."""
        if not rules or not self._brands or watermark < self._not_before:
            return None
        brands, self._brands = sorted(self._brands), set()
        return Search(rules, brands, watermark)


def due_searches(query: Query, due: Search) -> list[tuple[CampaignRule, str]]:
    """The searches that may have a match: a brand with fewer texts than the rule has accounts can't have a campaign."""
    pairs: list[tuple[CampaignRule, str]] = []
    for rule in due.rules:
        wanted = [brand for brand in due.brands if not rule.brands or brand in rule.brands]
        if wanted:
            with_enough = query(enough_sql(rule, due.at - rule.window, due.at + MOMENT, wanted))
            pairs += ((rule, brand) for brand in with_enough.get_column("brand"))
    return pairs


def search(query: Query, rule: CampaignRule, brand: str, at: datetime) -> list[tuple[CampaignRule, Campaign]]:
    """The brand's campaigns in the window that ends at `at`. It takes a second among 30,000 texts."""
    return [(rule, campaign) for campaign in find(query, rule, at - rule.window, at + MOMENT, [brand])]


def campaign_alerts(lifecycle: Lifecycle, rule: CampaignRule, campaign: Campaign, now: datetime) -> list[Alert]:
    """Takes over a campaign of the rule."""
    first, last = floor(campaign.first_at), floor(campaign.last_at)
    condition = Condition(
        rule, Scope(campaign.brand), first, last, rule.severity, campaign.accounts, "accounts", upper=rule.accounts,
        samples=campaign.samples, platforms=campaign.platforms,
    )  # fmt: skip
    return lifecycle.met(condition, now)
