"""A process that runs one backtest for the console: what a rule would have raised. It computes for seconds or minutes, and the
console's pages shall not wait for it.

On stdin comes a pickled `Asked`; on stdout go lines of JSON: {"share": 0.25} again and again, then {"raised": [...]} or
{"failed": "why"}. It reads ClickHouse as `earshot alerts backtest` does, and writes nothing.
"""

from __future__ import annotations

import os
import pickle
import sys
from datetime import timedelta
from typing import NamedTuple

import orjson

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.query import asker
from pipeline.config.settings import Settings
from pipeline.errors import EarshotError, UnknownName
from pipeline.processors.alerts.backtest.judge import Backtest
from pipeline.processors.alerts.backtest.read import stored_span
from pipeline.processors.alerts.rule_types import AnyRule, Mentioning
from pipeline.processors.alerts.rules import DEFAULT_RULES, Alerts, load_rules
from pipeline.processors.mentions.brands import SAMPLE_BRANDS, load_brands
from schemas.times import rfc3339

TOLD = 0.01
"""The share after which progress is said again."""

MOST_RAISED = 2_000
"""Alerts that are told, the first ones: the console keeps results in memory."""


class Asked(NamedTuple):
    """Which backtest. `brand`: of this brand alone; blank: of all."""

    settings: Settings
    rule: str
    brand: str
    days: int


def run(asked: Asked) -> None:
    """Raises EarshotError."""
    settings = asked.settings
    brands = load_brands(settings.brands or SAMPLE_BRANDS)
    ask = asker(clickhouse_client(settings.clickhouse))
    config = _chosen(load_rules(settings.alerts or DEFAULT_RULES), asked)
    first, end = stored_span(ask)
    start = max(first, end - timedelta(days=asked.days))
    test, told = Backtest(ask, config, start, end, brands.zones, brands), 0.0
    for share in test.steps():
        if share - told >= TOLD:
            told = share
            _say({"share": share})
    raised = [
        {
            "since": rfc3339(alert.since),
            "until": rfc3339(alert.last_at),
            "severity": alert.severity,
            "brand": alert.scope.brand,
            "summary": alert.summary,
            "terms": list(alert.terms),
            "notified": [each.receiver for each in test.hearing.of(alert.key)],
        }
        for alert in test.alerts[:MOST_RAISED]
    ]
    _say(
        {
            "raised": raised,
            "left_out": len(test.alerts) - len(raised),
            "from": rfc3339(start),
            "to": rfc3339(end),
            "receivers": bool(config.receivers),
        }
    )


def _chosen(config: Alerts, asked: Asked) -> Alerts:
    """The rule alone, about the brand alone."""
    rule = config.rule(asked.rule)
    if rule is None:
        raise UnknownName(f"alerts.yaml has no rule {asked.rule!r} any more")
    about: AnyRule = rule
    if asked.brand and isinstance(rule, Mentioning):
        about = rule.model_copy(update={"brands": (asked.brand,)})
    return config.model_copy(update={"rules": (about,)})


def _say(line: dict[str, object]) -> None:
    sys.stdout.buffer.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
    sys.stdout.buffer.flush()


def main() -> None:
    os.nice(10)
    try:
        run(pickle.load(sys.stdin.buffer))
    except EarshotError as error:
        _say({"failed": str(error)})


if __name__ == "__main__":
    main()
