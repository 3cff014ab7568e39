"""The language of texts."""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl
import pytest

from pipeline.processors.language import detect, primary, words
from pipeline.processors.language_codes import language_tag
from pipeline.processors.sentiment.prepare import prepare

DATA = Path(os.environ.get("EARSHOT_DATA", "../shared/data"))


def test_the_primary_code() -> None:
    given = ["en", "en-US", "pt_BR", "ZH-Hans", "und", "zxx", "", None, "fil", "english", "e"]
    assert primary(pl.Series(given)).to_list() == ["en", "en", "pt", "zh", "", "", "", "", "fil", "en", ""]


@pytest.mark.parametrize(
    ("given", "tag"),
    [
        ("eng", "en"), ("deu", "de"), ("ger", "de"), ("fre", "fr"), ("zho", "zh"), ("chi", "zh"), ("ENG", "en"), (" en ", "en"),
        ("en_US", "en-US"), ("EN-us", "en-US"), ("en_US.UTF-8", "en-US"), ("zh_Hant_TW", "zh-Hant-TW"),
        ("cmn-hans-cn", "zh-Hans-CN"),
        ("iw", "he"), ("in", "id"), ("ji", "yi"), ("iw_IL", "he-IL"), ("arb", "ar"), ("nob", "nb"),
        ("English", "en"), ("German", "de"), ("Deutsch", "de"), ("français", "fr"), ("Français (Canada)", "fr"),
        ("ESPAÑOL", "es"),
        ("русский", "ru"), ("日本語", "ja"), ("العربية", "ar"), ("Bahasa Indonesia", "id"), ("Spanish; Castilian", "es"),
        ("English - United States", "en"), ("fil", "fil"), ("yue", "yue"), ("und", "und"),
        ("Klingon words", None), ("e", None), ("", None), ("I am lost", None), ("123", None),
    ],
)  # fmt: skip
def test_languages_in_any_form_are_one_code(given: str, tag: str | None) -> None:
    assert language_tag(given) == tag


def test_forms_of_a_language_are_one_language_for_its_model() -> None:
    given = ["eng", "en_US", "iw", "English", "Deutsch", "no words of a language"]
    assert primary(pl.Series(given)).to_list() == ["en", "en", "he", "en", "de", ""]


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
