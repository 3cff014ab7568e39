"""What the page of an alert shows: the alert as `earshot alerts show` has it, its counts over time, its rule as it stands."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar, cast

import yaml

from pipeline.config.settings import Settings
from pipeline.console.reads import Answer, Reads
from pipeline.processors.alerts.explain import where
from pipeline.processors.alerts.minutes import STEP_S
from pipeline.processors.alerts.rule_types import AnyRule, ThresholdRule
from pipeline.processors.alerts.rules import DEFAULT_RULES
from pipeline.queries.alerts import Asking, Shown, finding, key_digits, showing
from pipeline.queries.names import rules_of
from schemas.alerts import Alert

KEEP_S = 5.0
MOST_CHANGES = 1_000
BEFORE, AFTER, LONGEST = 72, 12, 240
"""Steps that a chart shows before an alert, after its last moment, and at most from its beginning on."""
T = TypeVar("T")
_LABELLED = "countIf(sentiment_status = 'labelled')"
_SUMS = {"followers": "author_followers", "likes": "metrics_likes", "shares": "metrics_shares", "replies": "metrics_replies"}
_SQL = {
    "negative_share": f"countIf(sentiment_label = 'negative') / nullIf({_LABELLED}, 0)",
    "score": f"sum(ifNull(sentiment_positive - sentiment_negative, 0)) / nullIf({_LABELLED}, 0)",
    "authors": "toFloat64(uniqExact(platform, if(author_id != '', author_id, author_handle)))",
    **{name: f"toFloat64(sum(ifNull({column}, 0)))" for name, column in _SUMS.items()},
}
"""Measure of a rule -> what it is in one step; any other one: mentions."""


@dataclass(frozen=True, slots=True)
class Asked:
    """An alert with everything known about it, and the statements that said so."""

    shown: Shown
    sql: Sequence[str]


@dataclass(frozen=True, slots=True)
class Counted:
    """The measure of the alert's rule in steps, around the alert."""

    measure: str
    step: timedelta
    steps: Sequence[datetime]
    values: Sequence[float | None]
    sql: str
    runs: bool
    """The last step is not over: it counts so far."""


@dataclass(frozen=True, slots=True)
class RuleNow:
    """The rule of an alert as this machine's file has it; None: the file has it no more."""

    rule: AnyRule | None
    file: str

    @property
    def text(self) -> str:
        """As it may stand in alerts.yaml."""
        if self.rule is None:
            return ""
        given = self.rule.model_dump(exclude_unset=True, by_alias=True)
        return yaml.safe_dump(_plain(given), sort_keys=False, allow_unicode=True, width=100)


async def find_alert(reads: Reads, text: str) -> str:
    """The whole key, as people write it, that begins with these digits. Raises SettingsError for what
    is no key, UnknownName, ReadFailed."""
    key, _ = await _ask(reads, finding(key_digits(text[:40])))
    return f"{key:016x}"


async def alert(reads: Reads, key: str) -> Asked:
    """The alert of this key. Raises UnknownName, ReadFailed."""
    return Asked(*await _ask(reads, showing(int(key, 16), MOST_CHANGES)))


async def counted(reads: Reads, alert: Alert, rule: AnyRule | None, now: datetime) -> Counted:
    """The counts around the alert and up to now, by the rule's own condition: by its scope alone if the rule is gone.
    Raises ReadFailed."""
    step = rule.window if isinstance(rule, ThresholdRule) else timedelta(seconds=STEP_S)
    measure = alert.measure if alert.measure in _SQL else "mentions"
    value = _SQL.get(measure, "toFloat64(count())")
    if isinstance(rule, ThresholdRule) and rule.aggregate == "mean" and measure in _SUMS:
        value = f"avg({_SUMS[measure]})"
    steps = _steps(alert, step, now)
    seconds = int(step.total_seconds())
    sql = (
        f"SELECT toDateTime(intDiv(toUnixTimestamp(created_at), {seconds}) * {seconds}, 'UTC') AS begins, {value} AS value\n"
        f"FROM interactions FINAL\n"
        f"WHERE toStartOfMinute(created_at) >= '{steps[0]:%Y-%m-%d %H:%M:%S}' "
        f"AND toStartOfMinute(created_at) < '{steps[-1] + step:%Y-%m-%d %H:%M:%S}' AND {where(rule, alert.scope)}\n"
        "GROUP BY begins ORDER BY begins"
    )
    answer = await reads.ask(sql, keep_s=KEEP_S)
    values = _values(answer, steps, None if measure in ("negative_share", "score") else 0.0)
    return Counted(measure, step, steps, values, answer.sql, steps[-1] + step > now)


async def rule_now(settings: Settings, name: str) -> RuleNow:
    """The rule of this name, from the file. Raises SettingsError."""
    rules = await asyncio.to_thread(rules_of, settings)
    return RuleNow(rules.rule(name), (settings.alerts or DEFAULT_RULES).name)


def _steps(alert: Alert, step: timedelta, now: datetime) -> list[datetime]:
    """The beginnings of the steps that the chart shows: none that has not come, as it would say that all is over."""
    seconds = int(step.total_seconds())
    first = int(alert.since.timestamp()) // seconds
    true = int(alert.last_at.timestamp()) // seconds
    last = min(max(min(true + AFTER, int(now.timestamp()) // seconds), true), first + LONGEST)
    return [datetime.fromtimestamp(number * seconds, UTC) for number in range(first - BEFORE, last + 1)]


def _values(answer: Answer, steps: Sequence[datetime], nothing: float | None) -> list[float | None]:
    found = {row["begins"]: None if row["value"] is None else float(str(row["value"])) for row in answer.rows}
    return [found.get(step, nothing) for step in steps]


def _plain(value: object) -> object:
    """As YAML writes it, with durations as people do."""
    if isinstance(value, timedelta):
        seconds = int(value.total_seconds())
        units = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))
        size, unit = next(each for each in units if seconds % each[0] == 0) if seconds else (1, "s")
        return f"{seconds // size}{unit}"
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return value if isinstance(value, (bool, int, float, str)) or value is None else str(value)


async def _ask(reads: Reads, asking: Asking[T]) -> tuple[T, list[str]]:
    """What they say, and the statements that were run."""
    statements = list[str]()
    try:
        question = next(asking)
        while True:
            answer = await reads.ask(*question)
            statements.append(answer.sql)
            question = asking.send(answer.rows)
    except StopIteration as end:
        return cast(T, end.value), statements
