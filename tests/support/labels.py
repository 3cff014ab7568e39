"""The oracle of labels: what every row has to say of its text, and how often it may have been said.

Also a worker that labels by a rule instead of a model, slowly: `python -m tests.support.labels`.
"""

from __future__ import annotations

import os

from pipeline.app import run_worker
from pipeline.config.load import load
from pipeline.config.settings import Settings
from pipeline.processors.sentiment.memory import MemoryLabeller, label_of
from schemas.labels import DEFERRED, LABELLED
from tests.support.oracle import MINOR_MASK, connect
from tests.support.process import say_each_batch

MODEL = "memory@1"
DELAY = "LABELS_DELAY_S"
"""Seconds a text, in the worker's environment."""


def deferred(settings: Settings) -> int:
    with connect(settings) as client:
        return int(str(client.command(f"SELECT count() FROM interactions FINAL WHERE sentiment_status = '{DEFERRED}'")))


def check(settings: Settings, allow_zombie_rows: int = 0) -> list[str]:
    """What is wrong, a line each: a row without its label, with another's, or labelled twice by one model.

    Merges have to be off. Every event of the load is inbound and names a tracked brand.
    """
    with connect(settings) as client:
        rows = client.query(
            "SELECT event_key, text, sentiment_status, sentiment_label, sentiment_model FROM interactions FINAL"
        )
        twice = client.query(
            "SELECT event_key, revision, sentiment_model, count() AS n, groupArray("
            f"bitAnd(version, {MINOR_MASK})) FROM interactions WHERE sentiment_status = '{LABELLED}' "
            "GROUP BY event_key, revision, sentiment_model HAVING n > 1"
        )
        blank = client.command(
            "SELECT count() FROM interactions WHERE is_deleted = 1 AND (sentiment_status != '' OR sentiment_positive > 0)"
        )
    wrong = [
        f"event_key {key} is {status} {label!r} by {model!r}"
        for key, text, status, label, model in rows.result_rows
        if (status, label, model) != ((LABELLED, label_of(text), MODEL) if text else ("", "", ""))
    ]
    if sum(row[3] - 1 for row in twice.result_rows) > allow_zombie_rows:
        wrong += [f"event_key {row[0]}, revision {row[1]}: {row[3]} labels, minors {row[4]}" for row in twice.result_rows]
    return wrong + ([f"{blank} tombstones hold a label"] if blank else [])


if __name__ == "__main__":
    settings = load()
    say_each_batch()
    run_worker(settings, lambda _: MemoryLabeller(MODEL, float(os.environ[DELAY])))
