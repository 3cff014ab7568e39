"""Warm-up: what the first batch would wait for is there before a record is read: tables of letters, automata, plans of Polars,
a model's first run. It runs while the group assigns partitions."""

from __future__ import annotations

from datetime import UTC, datetime

import orjson

from pipeline.sources.memory import batch_of
from pipeline.worker.hot_path import HotPath

_BATCH = 0
"""Batches of records are numbered from 1."""
_TEXTS = (
    "made up for the start @someone #words https://example.com/",
    "Ähnlich, auf Deutsch: größer, schöner & <b>kürzer</b> 👍🏽 ... !!!",
    "もう一つの言語 и ещё одна, وأخرى, और एक",
)


def warm_up(hot_path: HotPath) -> None:
    """Passes made-up events through the steps and gives them up, so that nothing of them stays, is written or counted."""
    batch = hot_path.process(batch_of(_records(), batch_id=_BATCH, topic="made up"))
    hot_path.give_up(batch)


def _records() -> list[bytes]:
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    author = {"id": "made-up", "handle": "@madeup", "name": "Made Up", "email": "made.up@example.com", "phone": "+4930123456"}
    event = {"platform": "crm", "kind": "post", "created_at": now, "language": "en", "author": author, "brands": ["Made up"]}
    return [orjson.dumps({**event, "id": str(number), "text": text}) for number, text in enumerate(_TEXTS)]
