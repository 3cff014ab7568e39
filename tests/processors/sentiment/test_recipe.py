"""The recipe from its first line to its last, on a small base and a few texts (extra `models`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tokenizers import Tokenizer

from pipeline.config.settings import SentimentSettings
from pipeline.processors.sentiment.load import load_model
from pipeline.processors.sentiment.models import BUNDLED
from pipeline.processors.sentiment.training.augment import augmented
from pipeline.processors.sentiment.training.data import key

torch = pytest.importorskip("torch", reason="torch is not installed: make test-models")
from pipeline.processors.sentiment.training import base, recipe  # noqa: E402  # they need torch

GOOD, BAD, PLAIN = ("good", "lovely", "great"), ("bad", "awful", "rude"), ("round", "new", "late")
WIDTH, INNER, PIECES = 32, 64, 2_000


def few_texts() -> pl.DataFrame:
    rows = [
        (f"the {thing} of shop {n} is {word}", label)
        for n in range(8)
        for thing in ("coffee", "service")
        for label, words in enumerate((BAD, PLAIN, GOOD))
        for word in words
    ]
    frame = pl.DataFrame(rows, schema=["text", "label"], orient="row").with_columns(language=pl.lit("en"))
    part = pl.int_range(pl.len()) % 5 == 0
    return frame.with_columns(key(frame["text"]), split=pl.when(part).then(pl.lit("en")).otherwise(pl.lit("train")))


def small_base() -> base.Base:
    """Narrow, as deep as the real one, with the most frequent pieces of fast."""
    pieces = sorted(Tokenizer.from_file(str(BUNDLED / "fast/tokenizer.json")).get_vocab().items(), key=lambda item: item[1])[
        :PIECES
    ]
    random = np.random.default_rng(1)

    def some(*shape: int) -> base.Floats:
        return random.normal(0, 0.1, shape).astype(np.float32)

    tensors = {"emb.word": some(len(pieces), WIDTH), "emb.pos": some(128, WIDTH), "emb.type": some(WIDTH)}
    tensors |= {"emb.ln.w": np.ones(WIDTH, np.float32), "emb.ln.b": np.zeros(WIDTH, np.float32)}
    for layer in range(12):
        for part, shape in {"q": (WIDTH, WIDTH), "k": (WIDTH, WIDTH), "v": (WIDTH, WIDTH), "ao": (WIDTH, WIDTH),
                            "fi": (INNER, WIDTH), "fo": (WIDTH, INNER)}.items():  # fmt: skip
            tensors |= {f"l{layer}.{part}.w": some(*shape), f"l{layer}.{part}.b": some(shape[0])}
        for part in ("aln", "oln"):
            tensors |= {
                f"l{layer}.{part}.w": np.ones(WIDTH, np.float32),
                f"l{layer}.{part}.b": np.zeros(WIDTH, np.float32),
            }
    scored = [(piece, -float(place) / 1_000) for piece, place in pieces]
    return base.Base(scored, tensors, WIDTH, 12, 2, INNER, 1e-12)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Threads that wait for each other take minutes on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_the_recipe_makes_two_models_that_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = few_texts()
    extra = augmented(known).head(60)
    for name, value in {
        "labelled": lambda folder: known,
        "unlabelled": lambda data, checks: pl.DataFrame({"text": ["a text without a label", "and one more of those"]}),
        "augmented": lambda texts: extra,
        "TEACHERS": recipe.TEACHERS[:1],
        "FOLDS": 2,
        "TEACHER": replace(recipe.TEACHER, epochs=1),
        "ACCURATE": replace(recipe.ACCURATE, epochs=2),
        "FAST": replace(recipe.FAST, epochs=2),
        "FAST_INNER": 48,
    }.items():
        monkeypatch.setattr(recipe, name, value)
    monkeypatch.setattr(base, "load_base", small_base)
    steps: dict[str, int] = {}
    figures = recipe.train(tmp_path, tmp_path / "models", lambda name, done, total: steps.update({name: done}))
    assert set(steps) == {"teacher 1.0", "teacher 1.1", "accurate", "fast"}
    assert all(0 <= figure["en"] <= 1 for figure in figures.values())
    for name in figures:
        folder = str(tmp_path / "models" / name)
        model, _ = load_model(folder, SentimentSettings(model=folder, backend="onnx"))
        assert np.isfinite(model.engine.run(["the coffee is good"]).scores).all()


def test_a_copy_has_the_target_of_its_text() -> None:
    target = np.eye(3, dtype=np.float32)[[0, 2, 1, 1]]
    extra = pl.DataFrame(
        {"of": [1, -1], "target": [None, [0.1, 0.3, 0.6]]}, schema_overrides={"target": pl.Array(pl.Float32, 3)}
    )
    wanted = np.array([[0, 0, 1], [0.1, 0.3, 0.6]], np.float32)
    assert np.allclose(recipe.with_extra(target, extra)[2:], wanted)
