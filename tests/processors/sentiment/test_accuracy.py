"""The bundled models on the validation texts: what docs/models.md promises."""

from __future__ import annotations

import os
from pathlib import Path
from statistics import mean

import polars as pl
import pytest

from pipeline.config.settings import SentimentSettings
from pipeline.processors.sentiment.load import load_labeller
from pipeline.processors.sentiment.training.data import labelled
from schemas.labels import LABELS

DATA = Path(os.environ.get("EARSHOT_DATA", "../shared/data"))
SIX = ("ar", "de", "es", "fr", "it", "pt")
FLOORS = {
    "accurate": {"en": 0.74, "en2": 0.715, "six": 0.675, "ru": 0.80, "zh": 0.80},
    "fast": {"en": 0.72, "en2": 0.70, "six": 0.63, "ru": 0.76, "zh": 0.76},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fast", "accurate"])
def test_macro_recall(name: str) -> None:
    if not (DATA / "sentiment").is_dir():
        pytest.skip(f"no recorded data at {DATA / 'sentiment'}")
    checks = labelled(DATA / "sentiment").filter(pl.col("split").is_in(["en", "en2", *SIX, "ru", "zh"]))
    found = load_labeller(SentimentSettings(model=name, backend="onnx", threads=2)).label(
        checks.get_column("text"), checks.get_column("language")
    )
    right = found.get_column("sentiment_label").replace_strict(LABELS, range(3), return_dtype=pl.Int64) == checks["label"]
    by_class = (
        checks.select("split", "label", right=right.fill_null(False)).group_by("split", "label").agg(pl.col("right").mean())
    )
    recall = dict(by_class.group_by("split").agg(pl.col("right").mean()).iter_rows())
    recall["six"] = mean(recall[code] for code in SIX)
    assert {split: recall[split] >= floor for split, floor in FLOORS[name].items()} == dict.fromkeys(FLOORS[name], True), recall
