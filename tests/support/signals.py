"""The oracle of signals: what the workers told has to name all that is in the table, and what rules say of it.

Also a worker that dies right between an insert and its signal: `python -m tests.support.signals`.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from pipeline.app import run_worker
from pipeline.clickhouse.inserter import Inserter
from pipeline.config.load import load
from pipeline.config.settings import Settings
from pipeline.fence import Fence
from pipeline.monitoring.health import Vitals
from pipeline.processors.alerts.rules import parse_rules
from pipeline.processors.alerts.single import JUDGED, SingleEvent, touched, words_of
from pipeline.processors.mentions.brands import SAMPLE_BRANDS, load_brands
from pipeline.processors.mentions.step import Mentions
from pipeline.processors.sentiment.memory import MemoryLabeller
from pipeline.sinks.signals import Signals
from schemas.signals import Signal, parse_signal
from tests.support.labels import DELAY
from tests.support.oracle import connect
from tests.support.process import say_each_batch
from tests.support.topics import read_topic

DIE_AT = "SIGNALS_DIE_AT"
"""Of which signal with candidates a worker dies instead of sending it, in its environment; 0: of none."""
RULES = {
    "rules": [
        {"name": "money", "type": "keyword", "words": {"en": ["refund"], "de": ["love"]}},
        {"name": "any", "type": "keyword", "words": {"any": ["battery"]}, "platforms": ["reddit", "x"]},
        {"name": "counts", "type": "reach", "engagement": 90_000, "negative": False},
        {"name": "voice", "type": "reach", "followers": 4_900, "negative": False},
        {"name": "anger", "type": "reach", "followers": 4_000},
    ]
}
Told = tuple[str, str, int]


def write_rules(folder: Path) -> Path:
    path = folder / "alerts.yaml"
    path.write_text(yaml.safe_dump(RULES))
    return path


def check(settings: Settings, rules: Path, *, labels_follow: bool = False) -> list[str]:
    """What was not told, or told without a reason, a line each. Merges have to be off.

    Where labels follow their rows, a label that an edit overtook may have been told.
    """
    heard = _heard(settings)
    rows = _rows(settings)
    brands = load_brands(settings.brands or SAMPLE_BRANDS)
    alerts = parse_rules(rules.read_bytes(), rules)
    single = SingleEvent(alerts, Mentions(brands, words_of(alerts)).words_in)
    expected = {(each.rule, each.brand, each.event_key) for each in single.judge(rows)}
    told = {(each.rule, each.brand, each.event_key) for signal in heard for each in signal.candidates}
    pairs = set(touched(rows).iter_rows())
    named = {(minute, brand) for signal in heard for minute, brands in signal.touched.items() for brand in brands}
    print(f"{len(heard)} signals named {len(named)} minutes of brands and {len(told)} candidates")
    assert len(expected) > 100, "the load meets too few rules"
    wrong = [f"not told: {each}" for each in expected - told] + [f"not named: {each}" for each in pairs - named]
    return wrong if labels_follow else wrong + [f"told without a reason: {each}" for each in told - expected]


def _heard(settings: Settings) -> list[Signal]:
    return [parse_signal(record.value()) for record in read_topic(settings.kafka, settings.kafka.topic("signals"))]


def _rows(settings: Settings) -> pl.DataFrame:
    """Every version of every row, as it landed or got its label."""
    with connect(settings) as client:
        inserter = Inserter(client, Fence(), Vitals(), "oracle")
        sql = f"SELECT {', '.join(JUDGED)}, text, text_at, occurred_at AS said_at FROM interactions"
        return inserter.query(sql).with_columns(kafka_ms=pl.lit(None, pl.Int64))


class _Dying(Signals):
    """Dies instead of sending."""

    left = int(os.environ.get(DIE_AT, 0))

    def send(self, told: Signal, generation: int) -> None:
        if told.candidates:
            _Dying.left -= 1
            if _Dying.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        super().send(told, generation)


def _run() -> None:
    pytest.MonkeyPatch().setattr("pipeline.worker.connections.Signals", _Dying)
    say_each_batch()
    delay = os.environ.get(DELAY)
    labeller: Any = MemoryLabeller("memory@1", float(delay)) if delay else None
    run_worker(load(), lambda _: labeller)


if __name__ == "__main__":
    _run()
