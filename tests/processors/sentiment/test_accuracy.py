"""The bundled models on the validation texts: what docs/models.md promises. The long form, with accurate and with capitals, is
among the faults: it computes for minutes."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from statistics import mean

import polars as pl
import pytest

from pipeline.config.settings import SentimentSettings
from pipeline.processors.sentiment.load import load_model
from pipeline.processors.sentiment.prepare import prepare
from pipeline.processors.sentiment.training.data import labelled

SIX = ("ar", "de", "es", "fr", "it", "pt")
FLOORS = {
    "accurate": {"en": 0.747, "en2": 0.737, "six": 0.675, "ru": 0.80, "zh": 0.80},
    "fast": {"en": 0.728, "en2": 0.718, "six": 0.635, "ru": 0.76, "zh": 0.80},
}
LOST_BY_CAPITALS = {
    "accurate": {"en": 0.015, "en2": 0.025, "six": 0.015, "ru": 0.04},
    "fast": {"en": 0.02, "en2": 0.02, "six": 0.02, "ru": 0.08},
}


@pytest.mark.parametrize(
    "name", [pytest.param("fast", marks=pytest.mark.slow), pytest.param("accurate", marks=pytest.mark.faults)]
)
def test_macro_recall(name: str, recorded: Path) -> None:
    found = recalls(name, checks(recorded))
    assert {split: found[split] >= floor for split, floor in FLOORS[name].items()} == dict.fromkeys(FLOORS[name], True), found


@pytest.mark.faults
@pytest.mark.parametrize("name", ["fast", "accurate"])
def test_macro_recall_of_texts_in_capitals(name: str, recorded: Path) -> None:
    """Texts that shout are read as if they spoke: rare names in small letters are all that is lost."""
    known = checks(recorded)
    loud = known.with_columns(prepare(known.get_column("text").str.to_uppercase()))
    plain, shouted = recalls(name, known), recalls(name, loud)
    lost = {split: plain[split] - shouted[split] for split in LOST_BY_CAPITALS[name]}
    assert {split: lost[split] <= most for split, most in LOST_BY_CAPITALS[name].items()} == dict.fromkeys(lost, True), lost


@cache
def checks(folder: Path) -> pl.DataFrame:
    return labelled(folder / "sentiment").filter(pl.col("split").is_in(["en", "en2", *SIX, "ru", "zh"]))


def recalls(name: str, known: pl.DataFrame) -> dict[str, float]:
    """The macro recall of each validation set to three digits, and the mean of SIX. The texts are prepared already."""
    model, _ = load_model(name, SentimentSettings(model=name, backend="onnx", threads=2))
    found = model.engine.run(known.get_column("text").to_list()).scores.argmax(1)
    right = pl.Series(found) == known.get_column("label")
    by_class = known.select("split", "label", right=right).group_by("split", "label").agg(pl.col("right").mean())
    recall = dict(by_class.group_by("split").agg(pl.col("right").mean()).iter_rows())
    recall["six"] = mean(recall[code] for code in SIX)
    return {split: round(value, 3) for split, value in recall.items()}
