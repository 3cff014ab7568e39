"""The language of texts."""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl
import pytest

from pipeline.processors.language import detect, primary, words
from pipeline.processors.sentiment.prepare import prepare

DATA = Path(os.environ.get("EARSHOT_DATA", "../shared/data"))


def test_the_primary_code() -> None:
    given = ["en", "en-US", "pt_BR", "ZH-Hans", "und", "zxx", "", None, "fil", "english", "e"]
    assert primary(pl.Series(given)).to_list() == ["en", "en", "pt", "zh", "", "", "", "", "fil", "", ""]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("my order has not arrived yet", "en"),
        ("wo bleibt meine Bestellung?", "de"),
        ("не работает интернет", "ru"),
        ("...", ""),
    ],
)
def test_detection(text: str, language: str) -> None:
    assert detect(text) == language


def test_names_and_links_say_nothing() -> None:
    assert words(pl.Series(["@user #bestellung http wo?"])).to_list() == ["bestellung wo?"]


def test_english_tweets_are_recognised() -> None:
    path = DATA / "stream/airline_tweets.csv"
    if not path.exists():
        pytest.skip(f"no recorded data at {path}")
    texts = words(prepare(pl.read_csv(path, infer_schema=False).get_column("text")))
    assert (texts.map_elements(detect, return_dtype=pl.String) == "en").mean() >= 0.97  # type: ignore[operator]
