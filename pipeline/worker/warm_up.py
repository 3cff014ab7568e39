"""Warm-up: what the first batch would wait for is there before a record is read: tables of letters, automata, plans of Polars,
a model's first run. It runs while the group assigns partitions."""

from __future__ import annotations

from datetime import UTC, datetime

import orjson

from pipeline.batch import EventBatch
from pipeline.worker.hot_path import HotPath

TEXTS = (
    "made up for the start @someone #words https://example.com/",
    "Ähnlich, auf Deutsch: größer, schöner & <b>kürzer</b> 👍🏽 ... !!!",
    "もう一つの言語 и ещё одна, وأخرى, और एक",
)


def warm_up(hot_path: HotPath, made_up: EventBatch) -> None:
    """Passes made-up events through the steps and gives them up, so that nothing of them stays, is written or counted."""
    hot_path.give_up(hot_path.process(made_up))


def made_up_records() -> list[bytes]:
    """Events that take each step's way."""
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    author = {"id": "made-up", "handle": "@madeup", "name": "Made Up", "email": "made.up@example.com", "phone": "+4930123456"}
    event = {"platform": "crm", "kind": "post", "created_at": now, "language": "en", "author": author, "brands": ["Made up"]}
    return [orjson.dumps({**event, "id": str(number), "text": text}) for number, text in enumerate(TEXTS)]
