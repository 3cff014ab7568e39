"""What the models are trained on: classes, and that no text of a validation set is in it."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import polars as pl
import pytest

from pipeline.processors.sentiment.training.data import key, labelled
from pipeline.processors.sentiment.training.texts import unlabelled

DATA = Path(os.environ.get("EARSHOT_DATA", "../shared/data"))


@pytest.fixture(scope="module")
def texts() -> pl.DataFrame:
    if not (DATA / "sentiment").is_dir():
        pytest.skip(f"no recorded data at {DATA / 'sentiment'}")
    return labelled(DATA / "sentiment")


def bare(texts: pl.Series) -> set[str]:
    """Written apart from `key`: what is no separator, punctuation, symbol or control character, in lower case."""
    plain = [text.lower().replace("@user", "").replace("http", "") for text in texts]
    return {"".join(c for c in text if unicodedata.category(c)[0] not in "ZPSC") for text in plain} - {""}


@pytest.mark.slow
def test_no_validation_text_is_in_training(texts: pl.DataFrame) -> None:
    checks = texts.filter(pl.col("split") != "train").get_column("text")
    train = texts.filter(pl.col("split") == "train").get_column("text")
    assert len(train) > 60_000
    assert not bare(checks) & bare(train)


def test_no_validation_text_is_among_the_unlabelled(texts: pl.DataFrame) -> None:
    checks = texts.filter(pl.col("split") != "train")
    more = unlabelled(DATA, checks.get_column("key")).get_column("text")
    assert len(more) > 20_000
    assert not bare(checks.get_column("text")) & bare(more)


def test_the_validation_sets_are_whole(texts: pl.DataFrame) -> None:
    counts = dict(texts.group_by("split").len().iter_rows())
    assert counts["en"] == 2_000
    assert 3_900 < counts["en2"] < 4_350  # a fifth of SemEval 2016's test
    assert {counts[code] for code in ("ar", "de", "es", "fr", "it", "pt")} == {324}
    assert texts.filter(pl.col("language") == "th").get_column("label").unique().sort().to_list() == [0, 2]
    assert set(texts.get_column("label").unique()) == {0, 1, 2}


def test_the_key_sees_through_case_spaces_and_punctuation() -> None:
    same = ["It's GREAT, @user!", "its great", "ITS... great http", " It’s  great ?!"]
    assert key(pl.Series(same)).n_unique() == 1
    assert key(pl.Series([":)", ":("])).to_list() == [":)", ":("]
