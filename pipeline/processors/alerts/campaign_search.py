"""Searches for campaigns: where they look, and the alerts that the matches raise. campaign_queue.py says when."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np
import polars as pl

from pipeline.clickhouse.query import Query
from pipeline.processors.alerts.campaign import Campaign, Match, campaigns
from pipeline.processors.alerts.campaign_sql import late_sql, texts_sql
from pipeline.processors.alerts.campaign_texts import Minute, about, read_minute
from pipeline.processors.alerts.condition import Condition
from pipeline.processors.alerts.lifecycle import Lifecycle
from pipeline.processors.alerts.minutes import MINUTE_S, floor
from pipeline.processors.alerts.rule_types import CampaignRule
from pipeline.processors.alerts.similarity import readable
from pipeline.processors.alerts.text_groups import Numbers, alike
from schemas.alerts import Alert, Scope

MOST_ROWS, MOST_TEXTS, MOST_LATE = 2_000_000, 20_000, 20_000
"""Texts in memory, the minute aside that is being read; texts of a search that are read to be compared exactly; late rows whose
likes alone are read: beyond it, all texts around them."""
STRETCH = 10
"""Minutes that one look is about at most, their windows aside."""
LANDING = 2
"""Minutes before the newest one whose rows may still land: they are searched with it."""
ARRIVAL = timedelta(minutes=10)
"""The longest that a row waited for its insert, by its column `ingested_at`."""
log = logging.getLogger("earshot.control")


class Search(NamedTuple):
    """What a search is about: windows that hold events of touched minutes, up to minute `last`."""

    rules: Sequence[CampaignRule]
    touched: Sequence[int]
    """Ascending."""
    last: int
    recent: int
    """Minutes from this one on were not searched yet, or not as a whole; before it only rows that came late are new."""
    since: datetime
    """When the first of the touched minutes was touched, by the clock."""


def longest(rules: Iterable[CampaignRule]) -> int:
    """The longest window, in minutes."""
    return max((-(rule.window // -timedelta(seconds=MINUTE_S)) for rule in rules), default=0)


class CampaignFinder:
    """Searches; it remembers the texts of the minutes of the last window. For one thread. Restart: empty."""

    def __init__(self) -> None:
        self.left_out = 0
        """Minutes that were left out, as a whole or in part: more texts than fit. A counter."""
        self._minutes: dict[int, Minute] = {}
        self._rules: Sequence[CampaignRule] = ()

    def search(self, query: Query, due: Search) -> list[Match]:
        """The campaigns that are new, or have new events. It takes some seconds where a million texts are in the windows.

        Newest versions count and no deleted rows: the number of workers that wrote them makes no difference. Raises the errors
        of `query`.
        """
        if [*map(id, due.rules)] != [*map(id, self._rules)]:  # other rules: other brands, or minutes that touched no rule
            self._rules, self._minutes = due.rules, {}
        for minute in due.touched:
            self._minutes.pop(minute, None)
        late = [minute for minute in due.touched if minute < due.recent]
        recent = [minute for minute in due.touched if minute >= due.recent]
        found = self._late(query, due, late) if late else []
        for part in self._parts(query, due, recent):
            found += self._around(query, due, part)
        kept = due.last - longest(due.rules) - LANDING
        self._minutes = {number: minute for number, minute in self._minutes.items() if number >= kept}
        return found

    def _parts(self, query: Query, due: Search, touched: Sequence[int]) -> Iterator[list[int]]:
        """The minutes in parts of STRETCH minutes at most, each of which fits in memory."""
        part, rows = list[int](), 0
        for minute in touched:
            if part and (minute - part[0] >= STRETCH or rows > MOST_ROWS // 2):
                yield part
                part, rows = [], 0
            part.append(minute)
            rows += len(self._minute(query, due, minute, part).keys)
        if part:
            yield part

    def _around(self, query: Query, due: Search, touched: Sequence[int]) -> list[Match]:
        """The campaigns in all windows of the touched minutes, which are read first, then those next to them, and so on."""
        window, chosen, rows = longest(due.rules), dict[int, Minute](), 0
        numbers = range(touched[0] - window, min(touched[-1] + window, due.last) + 1)
        order = sorted(numbers, key=lambda n: (n not in touched, max(touched[0] - n, n - touched[-1]), -n))
        for place, number in enumerate(order):
            minute = self._minute(query, due, number, {*chosen, number})
            rows += len(minute.keys)
            if rows > MOST_ROWS and number not in touched:
                log.warning("windows for campaigns hold more than %d texts: the outer minutes are left out", MOST_ROWS)
                self.left_out += len(order) - place
                del self._minutes[number]
                break
            chosen[number] = minute
        return _matches(query, due.rules, [chosen[number] for number in sorted(chosen)], touched)

    def _minute(self, query: Query, due: Search, number: int, kept: Collection[int]) -> Minute:
        """The texts of the minute. Older minutes make room for them, except those of `kept`."""
        if minute := self._minutes.get(number):
            return minute
        self._minutes[number] = minute = read_minute(query, number, _names(due.rules))
        self.left_out += minute.cut
        rows = sum(len(each.keys) for each in self._minutes.values())
        for old in sorted(self._minutes.keys() - set(kept)):
            if rows <= MOST_ROWS:
                break
            rows -= len(self._minutes.pop(old).keys)
        return minute

    def _late(self, query: Query, due: Search, touched: Sequence[int]) -> list[Match]:
        """The campaigns with rows that came late: few, so that only rows somewhat like them are read."""
        names, window = _names(due.rules), longest(due.rules)
        rows = query(late_sql(touched, due.since - ARRIVAL, names, MOST_LATE + 1))
        if rows.height > MOST_LATE:
            return [match for part in self._parts(query, due, touched) for match in self._around(query, due, part)]
        values = rows.get_column("text_sketch").explode(empty_as_null=False).unique().to_list()
        fresh = sorted(set(rows.get_column("minute")))
        numbers = sorted({number for minute in fresh for number in range(minute - window, minute + window + 1)})
        minutes = [read_minute(query, number, names, values) for number in numbers if number <= due.last]
        return _matches(query, due.rules, minutes, fresh)


def _names(rules: Iterable[CampaignRule]) -> set[str] | None:
    """The brands that the rules are about; None: all."""
    names = [set(rule.brands) for rule in rules]
    return set().union(*names) if all(names) else None


def _matches(
    query: Query, rules: Sequence[CampaignRule], minutes: Sequence[Minute], touched: Collection[int]
) -> list[Match]:  # fmt: skip
    found, wanted, count = list[Match](), dict[str, Numbers](), 0
    numbers, marked = [minute.number for minute in minutes], set(touched)
    for brand in sorted(set().union(*(minute.brands for minute in minutes if minute.number in marked))):
        mine = [rule for rule in rules if not rule.brands or brand in rule.brands]
        least = min((rule.accounts for rule in mine), default=0)
        if not mine or sum(place.stop - place.start for minute in minutes if (place := minute.brands.get(brand))) < least:
            continue  # as most brands; `about` takes much longer
        keys, texts = about(brand, minutes, marked)
        if not (chosen := alike(texts, least)).size:
            continue
        wanted[brand] = keys[chosen[-MOST_TEXTS:]]
        count += len(wanted[brand])
        if count >= MOST_TEXTS:
            found += _compared(query, rules, wanted, numbers, marked)
            wanted, count = {}, 0
    return found + (_compared(query, rules, wanted, numbers, marked) if wanted else [])


def _compared(
    query: Query, rules: Sequence[CampaignRule], wanted: Mapping[str, Numbers], minutes: Sequence[int], touched: Collection[int]
) -> list[Match]:
    """The campaigns among the texts of these keys, by brand."""
    rows = readable(query(texts_sql(np.unique(np.concatenate(list(wanted.values()))), minutes)))
    found = list[Match]()
    for brand, keys in wanted.items():
        about_it = pl.col("event_key").is_in(pl.Series(keys).implode()) & pl.col("brands").list.contains(brand)
        mine = [rule for rule in rules if not rule.brands or brand in rule.brands]
        found += campaigns(rows.filter(about_it), brand, mine, touched)
    return found


def campaign_alerts(lifecycle: Lifecycle, matches: Iterable[Match], now: datetime) -> list[Alert]:
    """Takes over the matches of a search."""
    return [alert for rule, campaign in matches for alert in lifecycle.met(_condition(rule, campaign), now)]


def _condition(rule: CampaignRule, campaign: Campaign) -> Condition:
    first, last = floor(campaign.first_at), floor(campaign.last_at)
    return Condition(
        rule, Scope(campaign.brand), first, last, rule.severity, campaign.accounts, "accounts", upper=rule.accounts,
        samples=campaign.samples, platforms=campaign.platforms,
    )  # fmt: skip
