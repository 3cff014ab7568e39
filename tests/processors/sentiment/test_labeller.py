"""The labeller of the settings, with the bundled fast model: equal texts once, rare texts, languages, deadlines."""

from __future__ import annotations

import time

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipeline.config.settings import SentimentSettings
from pipeline.monitoring import metrics
from pipeline.processors.sentiment.labeller import SentimentLabeller
from pipeline.processors.sentiment.load import load_labeller
from schemas.labels import COLUMNS, DEFERRED, LABELLED, REASONS, UNKNOWN

GOOD, BAD = "I love it, the best service ever, thank you!", "Worst company ever, my order never came and nobody answers."


@pytest.fixture(scope="module")
def labeller() -> SentimentLabeller:
    return load_labeller(SentimentSettings(model="fast", backend="onnx"))


def label(labeller: SentimentLabeller, texts: list[str | None], languages: list[str | None] | None = None) -> pl.DataFrame:
    return labeller.label(pl.Series(texts, dtype=pl.String), pl.Series(languages or [None] * len(texts), dtype=pl.String))


def asked(cache: str) -> float:
    return metrics.REGISTRY.get_sample_value("earshot_sentiment_texts_total", {"cache": cache}) or 0.0


def test_the_columns_and_what_they_say(labeller: SentimentLabeller) -> None:
    found = label(labeller, [GOOD, BAD])
    assert dict(found.schema) == COLUMNS
    assert found["sentiment_label"].to_list() == ["positive", "negative"]
    assert found["sentiment_status"].to_list() == [LABELLED, LABELLED]
    assert found["sentiment_language"].to_list() == ["en", "en"]
    assert set(found["sentiment_model"]) == labeller.models
    total = found.select(pl.sum_horizontal("sentiment_negative", "sentiment_neutral", "sentiment_positive")).to_series()
    assert (total - 1).abs().max() < 1e-5  # type: ignore[operator]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Das ist die beste App, vielen Dank!", "de"),
        ("C'est le meilleur service, merci beaucoup !", "fr"),
        ("Me encanta, es el mejor servicio, gracias", "es"),
        ("Спасибо, отличная связь, всё супер!", "ru"),
    ],
)
def test_other_languages_are_detected_and_read(labeller: SentimentLabeller, text: str, language: str) -> None:
    found = label(labeller, [text]).row(0, named=True)
    assert (found["sentiment_language"], found["sentiment_label"]) == (language, "positive")


def test_the_language_of_the_event_counts(labeller: SentimentLabeller) -> None:
    found = label(labeller, [GOOD, GOOD, GOOD, GOOD], ["en-US", "tlh", "und", "EN"])
    assert found["sentiment_language"].to_list() == ["en", "tlh", "en", "en"]
    assert found["sentiment_status"].to_list() == [LABELLED, UNKNOWN, LABELLED, LABELLED]
    assert found["sentiment_reason"].to_list() == [None, "no model for the language", None, None]


def test_emoji_alone_are_of_no_language_and_have_a_label(labeller: SentimentLabeller) -> None:
    found = label(labeller, ["😡😡", "❤️", "@ann 🥳🎉 https://t.co/x", "👍🏽", "©"], [None, "und", "zxx", "xx", None])
    assert found["sentiment_label"].to_list() == ["negative", "positive", "positive", "positive", None]
    assert found["sentiment_language"].to_list() == ["zxx"] * 4 + [None]
    assert label(labeller, ["❤️"], ["sv"])["sentiment_reason"].to_list() == ["no model for the language"]


def test_shouting_changes_no_label(labeller: SentimentLabeller) -> None:
    quiet = [
        "my bag is lost and nobody answers",
        "Mein Koffer ist weg, schlechter Service",
        "Ужасная связь, ничего не работает",
    ]
    found = label(labeller, [*quiet, *(text.upper() for text in quiet)])
    assert found["sentiment_label"].to_list() == ["negative"] * 6
    assert found["sentiment_language"].to_list() == ["en", "de", "ru"] * 2


@pytest.mark.parametrize("text", ["", "   ", None, "http://example.org/x", "@ann @bob", "12345", "\x00", "\ufffd", "…", "?!"])
def test_a_text_without_words_gets_no_guess(labeller: SentimentLabeller, text: str | None) -> None:
    found = label(labeller, [text]).row(0, named=True)
    assert found["sentiment_status"] == UNKNOWN
    assert found["sentiment_reason"] in REASONS
    assert found["sentiment_label"] is None
    assert found["sentiment_model"] is None


@pytest.mark.parametrize(
    "text", ["😡😡😡", "a" * 100_000, GOOD * 3_000, "\u0000 bad \u202e thing", "é" * 5_000, "👨‍👩‍👧‍👦" * 50]
)
def test_odd_texts_have_a_label_or_a_reason(labeller: SentimentLabeller, text: str) -> None:
    (with_language,) = label(labeller, [text], ["en"]).iter_rows(named=True)
    assert with_language["sentiment_status"] == LABELLED
    assert label(labeller, [text])["sentiment_status"].item() in (LABELLED, UNKNOWN)


def test_a_text_has_the_same_figures_whatever_is_beside_it(labeller: SentimentLabeller) -> None:
    texts: list[str | None] = [GOOD, BAD, "ok", "It arrived on Tuesday. " * 6, "why?"]
    fresh = load_labeller(SentimentSettings(model="fast", backend="onnx", cache_mb=0))
    together = label(fresh, texts)
    alone = pl.concat([label(fresh, [text]) for text in texts])
    for other in (alone, label(labeller, texts), label(labeller, texts)):  # the last comes from the cache
        assert_frame_equal(together, other, abs_tol=1e-6)


def test_equal_prepared_texts_are_computed_once() -> None:
    labeller = load_labeller(SentimentSettings(model="fast", backend="onnx"))
    hits, misses = asked("hit"), asked("miss")
    texts: list[str | None] = [f"@user{n} look at https://t.co/{n}, awful!" for n in range(100)]
    found = label(labeller, texts)
    assert found.n_unique() == 1
    assert (asked("hit") - hits, asked("miss") - misses) == (0, 1)
    label(labeller, texts[:50])
    assert (asked("hit") - hits, asked("miss") - misses) == (1, 1)


def test_what_does_not_fit_is_deferred_and_what_is_known_is_not() -> None:
    labeller = load_labeller(SentimentSettings(model="fast", backend="onnx"))
    label(labeller, [GOOD], ["en"])
    texts = pl.Series([GOOD, *(f"a text that is number {n}" for n in range(50))])
    found = labeller.label(texts, pl.Series(["en"] * len(texts)), time.monotonic() - 1)
    assert found["sentiment_status"].to_list() == [LABELLED] + [DEFERRED] * 50
    assert found["sentiment_reason"].null_count() == len(texts)
    assert labeller.label(texts, pl.Series(["en"] * len(texts)))["sentiment_status"].unique().to_list() == [LABELLED]


def test_no_texts(labeller: SentimentLabeller) -> None:
    assert label(labeller, []).shape == (0, len(COLUMNS))


def test_the_settings_take_a_language_by_its_code_of_three_letters() -> None:
    labeller = load_labeller(SentimentSettings(model="fast", models={"deu": "accurate"}, backend="onnx"))
    found = label(labeller, ["Das ist wunderbar", "It is wonderful"], ["de", "en"])
    assert [name.partition("@")[0] for name in found["sentiment_model"]] == ["accurate", "fast"]
