"""A worker that labels each text as the truth of a generated stream says: `python -m tests.support.truth_labels`. The file that
LABELS names has text -> tone, as JSON."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import orjson
import polars as pl

from pipeline.app import run_worker
from pipeline.config.load import load
from pipeline.worker.warm_up import TEXTS
from schemas.labels import COLUMNS, LABELLED
from tests.support.process import say_each_batch

COMMAND = ("-m", "tests.support.truth_labels")
LABELS = "TRUTH_LABELS"
MODEL = "truth@1"
SCORES = {"negative": (0.8, 0.1, 0.1), "neutral": (0.1, 0.8, 0.1), "positive": (0.1, 0.1, 0.8)}


class TruthLabeller:
    """A labeller. A text that neither the stream nor the worker's start has is an error."""

    models = frozenset({MODEL})

    def __init__(self, tones: Mapping[str, str]) -> None:
        self._tones = {**dict.fromkeys(TEXTS, "neutral"), **tones}

    def label(self, texts: pl.Series, languages: pl.Series, until: float | None = None) -> pl.DataFrame:
        tones = [self._tones[text] for text in texts]
        rows = [(tone, *SCORES[tone], MODEL, language, LABELLED, None) for tone, language in zip(tones, languages, strict=True)]
        return pl.DataFrame(rows, schema=COLUMNS, orient="row")


if __name__ == "__main__":
    settings = load()
    say_each_batch()
    run_worker(settings, lambda _: TruthLabeller(orjson.loads(Path(os.environ[LABELS]).read_bytes())))
