"""The texts that training makes itself: lower case, typos, negations, emoji."""

from __future__ import annotations

from pathlib import Path
from random import Random

import polars as pl
import pytest

from pipeline.processors.sentiment.prepare import prepare
from pipeline.processors.sentiment.training.augment import SCHEMA, augmented, misspelt
from pipeline.processors.sentiment.training.data import key
from pipeline.processors.sentiment.training.negations import PHRASES

TONE = Path(__file__).parent / "tone.tsv"
WORDS = ("Delivery", "Battery", "Ticket", "Answer", "Coffee", "Airport", "Window", "Station")


@pytest.fixture(scope="module")
def known() -> pl.DataFrame:
    texts = [f"{first} number {n} {second}" for n, (first, second) in enumerate((a, b) for a in WORDS for b in WORDS)]
    frame = pl.DataFrame({"text": [*texts, "The food is not bad"], "label": [n % 3 for n in range(64)] + [2], "language": "en"})
    return frame.with_columns(key(frame["text"]), split=pl.Series(["train"] * 60 + ["en"] * 5))


def test_copies_are_of_training_texts_and_sentences_have_a_target(known: pl.DataFrame) -> None:
    extra = augmented(known)
    assert extra.schema == SCHEMA
    copies, own = extra.filter(pl.col("of") >= 0), extra.filter(pl.col("of") < 0)
    assert copies["of"].max() < 60  # type: ignore[operator]
    assert copies["target"].null_count() == copies.height
    assert own["target"].arr.sum().is_between(0.999, 1.001).all()
    assert set(own["language"]) == set(PHRASES)


def test_it_makes_each_text_once_prepared_and_none_of_validation(known: pl.DataFrame) -> None:
    extra = augmented(known)
    texts = extra["text"]
    assert texts.is_unique().all()
    assert prepare(texts).to_list() == texts.to_list()
    assert not set(texts) & set(known["text"])
    assert not set(key(texts)) & set(known.filter(pl.col("split") != "train")["key"])


def test_the_same_seed_makes_the_same_texts(known: pl.DataFrame) -> None:
    assert augmented(known).equals(augmented(known))
    assert not augmented(known).equals(augmented(known, seed=2))


def test_no_sentence_of_the_tests_is_in_training(known: pl.DataFrame) -> None:
    tests = key(prepare(pl.Series([line.split("\t")[3] for line in TONE.read_text().splitlines()])))
    wordless = {text for text in tests if not any(map(str.isalpha, text))}
    assert not (set(tests) - wordless) & set(key(augmented(known)["text"]))


def test_a_typo_spares_names_links_and_short_words() -> None:
    text = "@user http is #so bad on 12/12 terrible"
    found = {misspelt(text, Random(seed)) for seed in range(50)}
    assert len(found) > 10
    assert all(new.startswith("@user http is #so bad on 12/12 ") for new in found)
