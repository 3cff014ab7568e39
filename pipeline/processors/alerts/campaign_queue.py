"""Which minutes a search for campaigns is due for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from pipeline.processors.alerts.campaign_search import LANDING, STRETCH, Search, longest
from pipeline.processors.alerts.lifecycle import OLD
from pipeline.processors.alerts.minutes import minute_of, time_of
from pipeline.processors.alerts.rule_types import CampaignRule

BACKOFF, LONGEST_BACKOFF = timedelta(minutes=1), timedelta(minutes=16)
"""How long a minute waits after its first failed search, and at most; it doubles with each."""


class CampaignQueue:
    """Minutes with news since their last search. A search is about a stretch of them, or about all that have late rows alone.
    The stretch that has waited longest and the newest take turns: after an outage, the minutes of an hour keep no campaign of
    the present waiting.

    It counts once it is `done`. The minutes of one that `failed` wait, and then come one by one, never two of them in a row:
    so they keep no others waiting. Restart: `recall`."""

    def __init__(self) -> None:
        self._waiting: dict[int, datetime] = {}
        """Minute -> when it was touched first."""
        self._searching: dict[int, datetime] = {}
        self._whole = set[int]()
        """Minutes before `_recent` that were never searched as a whole."""
        self._failed: dict[int, tuple[int, datetime]] = {}
        """Minute -> how many searches failed, and the watermark of the next one."""
        self._recent = self._last = 0
        self._not_before = self._watermark = time_of(0)
        self._retried = False
        self._newest = True

    def add(self, rules: Sequence[CampaignRule], touched: Mapping[int, Collection[str]], now: datetime) -> None:
        """Takes in those of the touched minutes (with their brands) that a rule can be about."""
        for minute, brands in touched.items():
            if any(not rule.brands or not set(rule.brands).isdisjoint(brands) for rule in rules):
                self._waiting.setdefault(minute, now)

    def recall(self, rules: Sequence[CampaignRule], watermark: datetime, now: datetime) -> None:
        """Takes in all minutes from an hour before the kept watermark until now: the process that led before may not
        have searched them yet. The next search waits until the watermark moves on."""
        minutes = range(minute_of(watermark - OLD) + 1, minute_of(now) + 1)
        self._clear()
        self._waiting = dict.fromkeys(minutes, watermark) if rules else {}
        self._recent, self._not_before = minute_of(watermark) - longest(rules), watermark + timedelta(milliseconds=1)

    def take(self, rules: Sequence[CampaignRule], watermark: datetime) -> Search | None:
        """The search that is due now; None: none is."""
        if not rules:
            self._clear()
            return None
        if watermark < self._not_before:
            return None
        self._watermark, self._last = watermark, minute_of(watermark)
        self._put_back()
        whole = min(self._recent, self._last - LANDING)
        self._whole.update(minute for minute in self._waiting if whole <= minute <= self._last)
        self._recent = self._last - LANDING
        self._forget(minute_of(watermark - OLD))
        if not (part := self._part()):
            return None
        self._searching = {minute: self._waiting.pop(minute) for minute in part}
        recent = part[0] if part[0] in self._whole else self._last + 1
        return Search(rules, part, self._last, recent, min(self._searching.values()))

    def _part(self) -> list[int]:
        """The minutes of the next search, ascending: those that have waited longest, in turns with the newest."""
        due = [minute for minute in self._waiting if minute <= self._last]
        again = [minute for minute in due if minute in self._failed and self._failed[minute][1] <= self._watermark]
        ready = sorted(minute for minute in due if minute not in self._failed)
        self._retried = bool(again) and not (ready and self._retried)
        if self._retried:
            return [min(again, key=lambda minute: (self._failed[minute][1], minute))]
        if not ready:
            return []
        first = min(ready, key=lambda minute: (self._waiting[minute], minute))
        if first in self._whole:
            newest = max(first, ready[-1] - STRETCH + 1)
            self._newest = newest == first or not self._newest
            first = newest if self._newest else first
            return [minute for minute in ready if minute in self._whole and first <= minute < first + STRETCH]
        return [minute for minute in ready if minute not in self._whole]

    def done(self) -> None:
        """The search that was taken last has ended well."""
        self._whole -= self._searching.keys()
        for minute in self._searching:
            self._failed.pop(minute, None)
        self._searching = {}

    def failed(self) -> None:
        """The search that was taken last has met an error."""
        for minute in self._searching:
            count = self._failed.get(minute, (0, self._watermark))[0]
            self._failed[minute] = count + 1, self._watermark + min(BACKOFF * 2**count, LONGEST_BACKOFF)
        self._put_back()

    def waited(self, now: datetime) -> timedelta:
        """How long the oldest of the minutes has waited for the end of its search."""
        return now - min((*self._waiting.values(), *self._searching.values()), default=now)

    def _put_back(self) -> None:
        for minute, at in self._searching.items():
            self._waiting[minute] = min(at, self._waiting.get(minute, at))
        self._searching = {}

    def _forget(self, oldest: int) -> None:
        """Minutes until `oldest` are history."""
        self._waiting = {minute: at for minute, at in self._waiting.items() if minute > oldest}
        self._failed = {minute: tries for minute, tries in self._failed.items() if minute > oldest}
        self._whole = {minute for minute in self._whole if minute > oldest}

    def _clear(self) -> None:
        self._waiting, self._searching, self._failed, self._whole = {}, {}, {}, set()
