"""The recipe of the bundled models, top to bottom.

    labelled texts -> teachers, each trained without a part of the texts -> their logits for the texts they have not seen
        -> accurate: the base model, trained on labels and teachers, at last with the precision in which it is stored
        -> fast: three of accurate's layers, trained on labels and accurate

accurate and fast also read the texts of `augment`: lower case, typos, negations, emoji.

A text's target mixes its label and the teachers' opinion: people disagree about many of the labels. A teacher has never seen
the texts that it scores, so it does not just repeat their labels.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import torch
from tokenizers import Tokenizer

from pipeline.processors.sentiment.encoder import Encoder, Shape
from pipeline.processors.sentiment.training import base
from pipeline.processors.sentiment.training.augment import augmented
from pipeline.processors.sentiment.training.data import LABELS, labelled
from pipeline.processors.sentiment.training.export import export
from pipeline.processors.sentiment.training.fit import Floats, Ints, Recipe, Texts, fit, predict
from pipeline.processors.sentiment.training.texts import unlabelled
from pipeline.processors.sentiment.training.vocabulary import LONGEST, pruned, read

TEACHERS = ((1, 0.5), (2, 1.0), (3, 0.7))
"""Seed, and the power of the balance: 1 gives each class of a language the same total weight."""
FOLDS, SMOOTHING = 5, 0.05
TEACHER = Recipe(epochs=2)
ACCURATE, ACCURATE_LABELS, ACCURATE_BALANCE = Recipe(epochs=4, quantise_from=0.6), 0.4, 0.3
ACCURATE_TAUGHT, ACCURATE_WORDS = 60_000, 55_000
"""Pieces in training, and pieces that ship: rarely used ones are removed after training."""
FAST, FAST_LABELS = Recipe(epochs=8, batch=64, rate=3e-4, quantise_from=0.6), 0.3
FAST_LAYERS, FAST_INNER = (0, 1, 11), 1_152
FAST_WORDS = 40_000
"""Pieces of fast, from its first step on."""
FAST_PRIOR = (0.1, 0.0, -0.1)
"""Added to fast's logits, to balance the classes; chosen on validation of the shipped file."""
SMALL, SMALL_WEIGHT = 2_000, 2.0
"""In accurate, the texts of a language with fewer than SMALL weigh this much."""
ON = 0.60
"""A language is enabled if its macro recall on validation is at least this."""

Say = Callable[[str, int, int], None]
"""Progress: the name of the model, steps done, steps in all."""


def train(data: Path, models: Path, say: Say) -> dict[str, dict[str, float]]:
    """Makes both models from the recorded data and writes their folders into `models`; returns each one's macro recalls."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    known = labelled(data / "sentiment")
    is_check = (known.get_column("split") != "train").to_numpy()
    more = unlabelled(data, known.filter(pl.Series(is_check)).get_column("key"))
    extra = augmented(known)
    every = [text for frame in (known, more, extra) for text in frame.get_column("text")]
    taught = np.concatenate([~is_check, np.ones(more.height + extra.height, bool)])
    source = base.load_base()
    taught_words, texts = _vocabulary(source.pieces, every, taught, ACCURATE_TAUGHT)[::2]
    start = from_base(source, taught_words).to(device)
    train_rows, check_rows = np.flatnonzero(~is_check), np.flatnonzero(is_check)
    free = np.arange(known.height, known.height + more.height)

    opinion = teach(start, texts, known, train_rows, np.concatenate([check_rows, free]), say)
    rows = np.flatnonzero(taught)
    target = with_extra(mixed(opinion, known, train_rows, ACCURATE_LABELS), extra)
    weights = balance(known, train_rows, len(texts), ACCURATE_BALANCE, SMALL_WEIGHT)
    accurate = fit(copy.deepcopy(start), texts, rows, target, weights, ACCURATE, _progress(say, "accurate"))
    pieces = [source.pieces[index] for index in taught_words]
    few, few_texts = _vocabulary(pieces, every, taught, FAST_WORDS)[::2]
    opinion[rows] = predict(accurate, texts, rows)
    target = with_extra(mixed(opinion, known, train_rows, FAST_LABELS), extra)
    fast = smaller(accurate, FAST_LAYERS, FAST_INNER, few).to(device)
    fast = fit(fast, few_texts, rows, target, np.ones(len(texts), np.float32), FAST, _progress(say, "fast"))
    with torch.no_grad():
        fast.head.bias += torch.tensor(FAST_PRIOR, device=device)

    checks = known.filter(pl.Series(is_check))
    words, tokenizer, read_as = _vocabulary(pieces, every, taught, ACCURATE_WORDS)
    shipped = with_words(accurate, accurate.words.weight.detach()[words])
    few_tokenizer = base.tokenizer([pieces[index] for index in few])
    figures = {}
    for name, model, splitter, split in (("accurate", shipped, tokenizer, read_as), ("fast", fast, few_tokenizer, few_texts)):
        figures[name] = recalls(predict(model, split, check_rows), checks)
        export(model, splitter, _usable(figures[name]), models / name)
    return figures


def _usable(figures: dict[str, float]) -> list[str]:
    """The languages whose recall is high enough (ON)."""
    return sorted(code for code, recall in figures.items() if recall >= ON and len(code) == 2)


def teach(start: Encoder, texts: Texts, known: pl.DataFrame, train_rows: Ints, others: Ints, say: Say) -> Floats:
    """The teachers' mean logits for each text; for a text of `train_rows` only teachers that have not seen it."""
    opinion = np.zeros((len(texts), len(LABELS)), np.float32)
    labels = np.full((len(texts), len(LABELS)), SMOOTHING / len(LABELS), np.float32)
    labels[np.arange(known.height), known.get_column("label")] += 1 - SMOOTHING
    for seed, balanced in TEACHERS:
        fold = np.random.default_rng(seed).integers(0, FOLDS, len(train_rows))
        weights = balance(known, train_rows, len(texts), balanced)
        for number in range(FOLDS):
            unseen, seen = train_rows[fold == number], train_rows[fold != number]
            recipe = replace(TEACHER, seed=10 * seed + number)
            on_step = _progress(say, f"teacher {seed}.{number}")
            model = fit(copy.deepcopy(start), texts, seen, labels, weights, recipe, on_step)
            opinion[unseen] += predict(model, texts, unseen) / len(TEACHERS)
            opinion[others] += predict(model, texts, others) / (len(TEACHERS) * FOLDS)
    return opinion


def mixed(opinion: Floats, known: pl.DataFrame, train_rows: Ints, labels: float) -> Floats:
    """Each text's target: the teachers' probabilities, for a labelled text with the share `labels` of its label."""
    powers = np.exp(opinion - opinion.max(1, keepdims=True))
    target: Floats = (powers / powers.sum(1, keepdims=True)).astype(np.float32)
    target[train_rows] *= 1 - labels
    target[train_rows, known.get_column("label").to_numpy()[train_rows]] += labels
    return target


def with_extra(target: Floats, extra: pl.DataFrame) -> Floats:
    """The targets, where the last rows are those of `augmented`: a copy has the target of its text, another text its own."""
    first = len(target) - extra.height
    of = extra.get_column("of").to_numpy()
    copies = np.flatnonzero(of >= 0)
    target[first + copies] = target[of[copies]]
    own = np.flatnonzero(of < 0)
    target[first + own] = np.array(extra.get_column("target").gather(own).to_list(), np.float32).reshape(-1, len(LABELS))
    return target


def balance(known: pl.DataFrame, rows: Ints, texts: int, power: float, small: float = 1.0) -> Floats:
    """A weight per text that makes the classes of its language weigh the same, to the given power; 1 without a label."""
    weights = np.ones(texts, np.float32)
    language, label = known.get_column("language").to_numpy(), known.get_column("label").to_numpy()
    for code in np.unique(language[rows]):
        ours = rows[language[rows] == code]
        counts = np.bincount(label[ours], minlength=len(LABELS))
        even = len(ours) / (np.count_nonzero(counts) * np.maximum(counts, 1))
        weights[ours] = even[label[ours]] ** power * (small if len(ours) < SMALL else 1)
    return weights


def from_base(source: base.Base, words: list[int]) -> Encoder:
    """The base model with only the pieces of `words`, and an untrained head."""
    torch.manual_seed(0)
    encoder = Encoder(Shape(len(words), source.hidden, source.layers, source.heads, source.inner, LONGEST, source.eps))
    tensors = {name: torch.from_numpy(value) for name, value in source.tensors.items()}
    state = encoder.state_dict()
    state["words.weight"] = tensors["emb.word"][words]
    state["places.weight"] = tensors["emb.pos"][:LONGEST] + tensors["emb.type"][: source.hidden]
    state["norm.weight"], state["norm.bias"] = tensors["emb.ln.w"], tensors["emb.ln.b"]
    names = {"out": "ao", "up": "fi", "down": "fo", "norm1": "aln", "norm2": "oln"}
    for number in range(source.layers):
        for end, short in (("weight", "w"), ("bias", "b")):
            qkv = [tensors[f"l{number}.{part}.{short}"] for part in "qkv"]
            state[f"layers.{number}.qkv.{end}"] = torch.cat(qkv)
            for ours, theirs in names.items():
                state[f"layers.{number}.{ours}.{end}"] = tensors[f"l{number}.{theirs}.{short}"]
    encoder.load_state_dict(state)
    return encoder


def smaller(model: Encoder, layers: tuple[int, ...], inner: int, words: list[int]) -> Encoder:
    """A model with some of the layers, the feed-forward units with the largest weights, and some of the pieces."""
    small = Encoder(replace(model.shape, words=len(words), layers=len(layers), inner=inner))
    of = model.state_dict()
    state = {name: value for name, value in of.items() if not name.startswith("layers.")}
    state["words.weight"] = of["words.weight"][words]
    for index, number in enumerate(layers):
        up, down = of[f"layers.{number}.up.weight"], of[f"layers.{number}.down.weight"]
        units = (up.norm(dim=1) * down.norm(dim=0)).topk(inner).indices.sort().values
        for name, value in of.items():
            part = name.removeprefix(f"layers.{number}.")
            if part == name:
                continue
            if part in ("up.weight", "up.bias"):
                value = value[units]
            elif part == "down.weight":
                value = value[:, units]
            state[f"layers.{index}.{part}"] = value
    small.load_state_dict(state)
    for linear in small.linears():
        linear.quantised = False
    return small


def with_words(model: Encoder, vectors: torch.Tensor) -> Encoder:
    """The model with other pieces, and nothing else changed."""
    other = Encoder(replace(model.shape, words=len(vectors)))
    other.load_state_dict(model.state_dict() | {"words.weight": vectors})
    for linear in other.linears():
        linear.quantised = True
    return other.to(vectors.device)


def recalls(logits: Floats, checks: pl.DataFrame) -> dict[str, float]:
    """The macro recall of each validation set: the mean recall of its classes."""
    outcomes = checks.select("split", "label", right=pl.Series(logits.argmax(1)) == pl.col("label"))
    by_class = outcomes.group_by("split", "label").agg(pl.col("right").mean())
    return dict(by_class.group_by("split").agg(pl.col("right").mean()).sort("split").iter_rows())


def _vocabulary(
    pieces: list[tuple[str, float]], every: list[str], taught: np.ndarray[tuple[int], np.dtype[np.bool_]], size: int
) -> tuple[list[int], Tokenizer, Texts]:
    words = pruned(pieces, base.tokenizer(pieces), [text for text, use in zip(every, taught, strict=True) if use], size)
    tokenizer = base.tokenizer([pieces[index] for index in words])
    return words, tokenizer, read(tokenizer, every)


def _progress(say: Say, name: str) -> Callable[[int, int], None]:
    """`fit`'s progress, with the name of the model that it trains."""
    return lambda done, steps: say(name, done, steps)
