"""The language of texts."""

from __future__ import annotations

import os
from collections import Counter
from functools import cache
from pathlib import Path

import polars as pl
import pytest

from pipeline.processors.language import detect, primary, words
from pipeline.processors.language_codes import language_tag
from pipeline.processors.sentiment.prepare import prepare
from pipeline.processors.sentiment.training.data import labelled

pytestmark = pytest.mark.slow

WITH_A_MODEL = {"ar", "de", "en", "es", "fr", "it", "pt", "ru", "th", "zh"}
SIX = ("sr", "sv", "id", "tr", "nl", "pl")
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


def test_a_code_that_is_none_says_nothing() -> None:
    given = ["xx", "unknown", "english (US)?", "unk", "n/a", "zz-ZZ", "tlh", "sv", "sh"]
    assert primary(pl.Series(given)).to_list() == ["", "", "", "", "", "", "tlh", "sv", "sr"]


def test_emoji_alone_are_no_language() -> None:
    assert [detect(text) for text in ("😡😡", "❤", "✈ ... 12", "®", "12")] == ["zxx", "zxx", "zxx", "", ""]


def test_posts_in_languages_without_a_model_are_not_taken_for_one_with() -> None:
    """40 short posts each of six languages, 10 each of eight more, half of Serbian in each script."""
    posts = [line.split("\t") for line in (Path(__file__).parent / "other_languages.tsv").read_text().splitlines()]
    found = [detect(text) for text in words(prepare(pl.Series([text for _, text in posts])))]
    taken = Counter(code for (code, _), guess in zip(posts, found, strict=True) if guess in WITH_A_MODEL)
    assert sum(taken[code] for code in SIX) <= 4, taken
    assert taken.total() <= 6, taken
    shouted = [detect(text) for text in words(prepare(pl.Series([text.upper() for _, text in posts])))]
    assert sum(guess in WITH_A_MODEL for guess in shouted) <= 10


@pytest.mark.parametrize(
    ("code", "floor"), [("en", 0.995), ("fr", 0.985), ("it", 0.97), ("es", 0.975), ("ru", 0.99), ("de", 0.90), ("pt", 0.90)]
)
def test_posts_with_a_model_keep_it(code: str, floor: float, recorded: Path) -> None:
    checks = _checks(recorded).filter(pl.col("split").is_in([code, "en2"]) & (pl.col("language") == code))
    found = [detect(text) for text in words(checks.get_column("text"))]
    assert sum(guess == code for guess in found) / len(found) >= floor


@cache
def _checks(folder: Path) -> pl.DataFrame:
    return labelled(folder / "sentiment").filter(pl.col("split") != "train")


def test_names_and_links_say_nothing() -> None:
    assert words(pl.Series(["@user #bestellung http wo?"])).to_list() == ["bestellung wo?"]


def test_english_tweets_are_recognised() -> None:
    path = DATA / "stream/airline_tweets.csv"
    if not path.exists():
        pytest.skip(f"no recorded data at {path}")
    texts = words(prepare(pl.read_csv(path, infer_schema=False).get_column("text")))
    assert (texts.map_elements(detect, return_dtype=pl.String) == "en").mean() >= 0.97  # type: ignore[operator]
