"""The types of rules in alerts.yaml: the keys of each, their limits, and who judges which (rules.py reads the file)."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from pipeline.config.document import StrictModel
from pipeline.config.fields import Duration, Name
from pipeline.config.zone import UTC, Zone
from pipeline.processors.alerts.minutes import STEP_S
from pipeline.processors.alerts.receiver import Escalation
from pipeline.processors.alerts.rule_fields import Dimension, Language, Platform, Text, Window, Word, by_language
from schemas import events
from schemas.alerts import Scope

SPIKE_WINDOW = timedelta(seconds=STEP_S)


class Rule(StrictModel):
    """The keys of every type. A key that a type does not take is an error: it would have no effect."""

    name: Name
    receivers: tuple[Name, ...] = ()
    """Which receivers are notified; none given: all but those of `escalate`."""
    escalate: Escalation | None = Field(None, json_schema_extra={"as": "{after: 15m, to: [pager]}"})
    """An alert about events or a campaign stays open until somebody acknowledges it or it escalates, then for `resolve`."""
    repeat: Duration = timedelta(hours=4)
    """How often receivers are reminded while it fires and nobody has acknowledged it."""
    runbook: str = ""

    @model_validator(mode="after")
    def _somebody(self) -> Self:
        if "receivers" in self.model_fields_set and not self.receivers:
            raise ValueError("receivers: name at least one; without the key all are notified")
        return self

    @field_validator("repeat")
    @classmethod
    def _some_rest(cls, repeat: timedelta) -> timedelta:
        if repeat < timedelta(minutes=1):
            raise ValueError("it is 1 minute at least; for no reminders write a long time, as 365d")
        return repeat


class Mentioning(Rule):
    """A rule about mentions of brands."""

    brands: tuple[Text, ...] = ()
    """The brands; none given: all."""
    platforms: tuple[Platform, ...] = ()
    resolve: Duration = timedelta(minutes=10)
    """The alert resolves when the condition has been false for so long."""


class Windowed(Mentioning):
    by: tuple[Dimension, ...] = ()
    """One alert a brand, or a brand and platform, and language."""
    languages: tuple[Language, ...] = ()
    min_mentions: int = Field(10, ge=1)
    persistence: Duration = timedelta(0)
    """The alert fires when the condition has been true for so long."""

    def is_about(self, scope: Scope) -> bool:
        """Whether the rule may raise an alert about the scope."""
        if self.brands and scope.brand not in self.brands:
            return False
        if scope.language and "language" not in self.by or bool(scope.platform) != ("platform" in self.by):
            return False  # an event without a language has one with `by: [language]`, too: blank
        limits = (("platform", self.platforms), ("language", self.languages))
        return all(getattr(scope, name) in listed for name, listed in limits if listed and name in self.by)


class SpikeRule(Windowed):
    """Volume, or the share of negative mentions, is unusual for this time (docs/spikes.md); over SPIKE_WINDOW."""

    type: Literal["spike"]
    measure: Literal["volume", "negative_share"] = "volume"
    direction: Literal["above", "below"] = "above"
    resolve: Duration = timedelta(hours=1)
    severity: int = Field(1, ge=1, le=10)
    """The least severity that raises an alert."""
    zone: Zone | None = None
    """Whose hours of the week the expected volume follows; none given: that of the brand (brands.yaml), else UTC."""

    @model_validator(mode="after")
    def _zone_of_volume(self) -> SpikeRule:
        if self.zone is not None and self.measure != "volume":
            raise ValueError(f"zone: it is for volume: the expected {self.measure} is the same at each hour")
        return self


ADDED_UP = ("followers", "likes", "shares", "replies")
NUMBERS = {"count": "mentions", "authors": "authors"}


class ThresholdRule(Windowed):
    """A number over a window is above or below a limit."""

    type: Literal["threshold"]
    measure: Literal["count", "authors", "negative_share", "score", "followers", "likes", "shares", "replies"]
    aggregate: Literal["sum", "mean"] = "sum"
    """For followers, likes, shares and replies."""
    window: Window = timedelta(minutes=10)
    above: float | None = None
    below: float | None = None
    severity: int = Field(5, ge=1, le=10)

    @property
    def asks_least(self) -> bool:
        """Whether `min_mentions` applies: to a share or a mean; for a sum, `above` or `below` is the limit."""
        return self.measure in ("negative_share", "score") or self.aggregate == "mean"

    @model_validator(mode="after")
    def _one_limit(self) -> ThresholdRule:
        if (self.above is None) == (self.below is None):
            raise ValueError("a threshold has either above or below")
        limit = self.above if self.above is not None else self.below or 0.0
        if self.measure == "negative_share" and not 0 <= limit <= 1:
            raise ValueError(f"a share is 0 to 1, as 0.75, and not {limit:g}")
        if self.below is not None and self.measure != "score" and self.below <= 0:
            raise ValueError(f"below: no {self.measure} is below {self.below:g}: the rule would never fire")
        if "aggregate" in self.model_fields_set and self.measure not in ADDED_UP:
            raise ValueError(f"aggregate: it is for {', '.join(ADDED_UP)}, not for {self.measure}")
        if "min_mentions" in self.model_fields_set and not self.asks_least:
            what = f"a sum of {self.measure}" if self.measure in ADDED_UP else f"a number of {NUMBERS[self.measure]}"
            raise ValueError(f"min_mentions: it is for shares and means, not for {what}")
        return self


class KeywordRule(Mentioning):
    """A word that means trouble in an inbound event about a brand; by language, `any` for all."""

    type: Literal["keyword"]
    words: Annotated[dict[str, Annotated[tuple[Word, ...], Field(min_length=1)]], BeforeValidator(by_language)] = Field(
        min_length=1
    )
    severity: int = Field(7, ge=1, le=10)


class ReachRule(Mentioning):
    """One event that many see: its author's followers, or its own likes, shares and replies together."""

    type: Literal["reach"]
    followers: int | None = Field(None, ge=1)
    engagement: int | None = Field(None, ge=1)
    negative: bool = True
    """Only events with the label negative."""
    severity: int = Field(6, ge=1, le=10)

    @model_validator(mode="after")
    def _some(self) -> ReachRule:
        if self.followers is None and self.engagement is None:
            raise ValueError("reach asks for followers, engagement or both")
        return self


class CampaignRule(Mentioning):
    """The same text, up to a few words, from many accounts."""

    type: Literal["campaign"]
    accounts: int = Field(10, ge=3)
    window: Window = timedelta(minutes=10)
    severity: int = Field(6, ge=1, le=10)


class NoDataRule(Rule):
    """No event for so long from a platform, from a source or about a brand that had one within the week before. Of a source
    that a listener runs: no answer, or no event for longer than is usual at this hour of the week."""

    type: Literal["no_data"]
    of: Literal["platform", "source", "brand"] = "platform"
    names: tuple[Text, ...] = ()
    """Which ones; none given: all with an event within the week before."""
    after: Duration = timedelta(hours=1)
    """Of a source that a listener runs: until two weeks of it are known (source_life.py)."""
    zone: Zone = UTC
    """By whose clock the hours of such a source's week are the same."""
    severity: int = Field(4, ge=1, le=10)
    resolve: ClassVar[timedelta] = timedelta(0)
    """No key: the alert resolves with the first event."""

    @model_validator(mode="after")
    def _names_of_platforms(self) -> NoDataRule:
        for name in self.names if self.of == "platform" else ():
            if not re.fullmatch(events.PLATFORM_PATTERN, name):
                raise ValueError(f"names: {name!r} is no platform's name: a small letter, then a-z 0-9 _ . -")
        return self

    @model_validator(mode="after")
    def _zone_of_sources(self) -> NoDataRule:
        if "zone" in self.model_fields_set and self.of != "source":
            raise ValueError(f"zone: it is for of: source; how long a {self.of} may be quiet is the same at each hour")
        return self

    @field_validator("after")
    @classmethod
    def _long_enough(cls, after: timedelta) -> timedelta:
        if not timedelta(minutes=1) <= after <= timedelta(days=7):
            raise ValueError("it is 1 minute to 7 days")
        return after


def _present_type(rule: object) -> object:
    if isinstance(rule, dict) and rule.get("type") == "silence":
        raise ValueError("type: silence is named no_data now; nothing else about the rule changes")
    return rule


WindowedRule = SpikeRule | ThresholdRule  # judged over counts of minutes (windows.py)
EventRule = KeywordRule | ReachRule  # judged on one event, in the worker (single.py)
OverTimeRule = WindowedRule | CampaignRule  # over a window of mentions: explained, and judged again after late mentions
ConditionRule = OverTimeRule | NoDataRule  # judged by the leader, which makes a Condition of it
AnyRule = Annotated[
    WindowedRule | EventRule | CampaignRule | NoDataRule,
    Field(discriminator="type"),
    BeforeValidator(_present_type),
]


def brands_of(rule: AnyRule) -> tuple[str, ...]:
    """The brands that the rule names."""
    if isinstance(rule, NoDataRule):
        return rule.names if rule.of == "brand" else ()
    return rule.brands


def platforms_of(rule: AnyRule) -> tuple[str, ...]:
    """The platforms that the rule names."""
    if isinstance(rule, NoDataRule):
        return rule.names if rule.of == "platform" else ()
    return rule.platforms


def window_of(rule: AnyRule | None) -> timedelta:
    """The time over which the rule looks at mentions."""
    return SPIKE_WINDOW if rule is None or isinstance(rule, (SpikeRule, EventRule, NoDataRule)) else rule.window
