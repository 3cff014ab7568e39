"""Searches for campaigns: in which brands one may have begun, and the alerts that the matches raise."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from pipeline.processors.alerts import campaign
from pipeline.processors.alerts.campaign import Campaign
from pipeline.processors.alerts.condition import Condition
from pipeline.processors.alerts.lifecycle import Lifecycle
from pipeline.processors.alerts.minutes import floor
from pipeline.processors.alerts.rules import CampaignRule
from schemas.alerts import Alert, Scope

MOMENT = timedelta(seconds=1)


class Search(NamedTuple):
    """Where to look for campaigns: in the windows that end at `at`."""

    rules: Sequence[CampaignRule]
    brands: Sequence[str]
    at: datetime


def due_searches(ask: campaign.Query, due: Search) -> list[tuple[CampaignRule, str]]:
    """What is worth a search: brands with fewer texts than the rule has accounts can't have a campaign."""
    pairs: list[tuple[CampaignRule, str]] = []
    for rule in due.rules:
        wanted = [brand for brand in due.brands if not rule.brands or brand in rule.brands]
        if wanted:
            found = ask(campaign.enough_sql(rule, due.at - rule.window, due.at + MOMENT, wanted))
            pairs += ((rule, brand) for brand in found.get_column("brand"))
    return pairs


def search(ask: campaign.Query, rule: CampaignRule, brand: str, at: datetime) -> list[tuple[CampaignRule, Campaign]]:
    """The brand's campaigns in the window that ends at `at`. It takes a second among 30,000 texts."""
    return [(rule, found) for found in campaign.find(ask, rule, at - rule.window, at + MOMENT, [brand])]


def campaign_alerts(lifecycle: Lifecycle, rule: CampaignRule, found: Campaign, now: datetime) -> list[Alert]:
    first, last = floor(found.first_at), floor(found.last_at)
    truth = Condition(
        rule, Scope(found.brand), first, last, rule.severity, found.accounts, "accounts", upper=rule.accounts,
        samples=found.samples, platforms=found.platforms,
    )  # fmt: skip
    return lifecycle.met(truth, now)
