"""More texts for training, made from the labelled ones and from phrases: lower case, typos, negations, emoji.

A copy of a text with typos or in lower case has its text's target, because its tone is the same. Sentences of `negations` and
emoji have a target of their own, softer where the tone is: "not bad" is less than "good".
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from random import Random
from typing import TypeVar

import polars as pl

from pipeline.processors.sentiment.prepare import prepare
from pipeline.processors.sentiment.training.data import key
from pipeline.processors.sentiment.training.negations import EMOJI, PHRASES, Phrases

SCHEMA = pl.Schema([("text", pl.String), ("language", pl.String), ("of", pl.Int64), ("target", pl.Array(pl.Float32, 3))])
"""`of`: the row of the text that this is a copy of, -1 for a text of its own; `target`: null for a copy."""
LOWERED, MISSPELT, EMPHASISED = 8_000, 8_000, 3_000
NEGATED, DRAWN = 500, 400
"""Sentences a language with and without negations; with an emoji."""
NEGATIVE, POSITIVE, NEUTRAL = (0.92, 0.06, 0.02), (0.02, 0.06, 0.92), (0.05, 0.9, 0.05)
NOT_GOOD, NOT_BAD = (0.8, 0.17, 0.03), (0.08, 0.3, 0.62)
_SHORTEST = 12
"""Letters of a text that gets typos."""

T = TypeVar("T")
Row = tuple[str, str, int, tuple[float, float, float] | None]


def augmented(known: pl.DataFrame, seed: int = 1) -> pl.DataFrame:
    """Columns of SCHEMA, prepared, each text once; none equals a text of `known`, or has the key of a validation text. Only
    texts whose split is `train` are copied. The same for the same seed."""
    random = Random(seed)
    rows = [*_copies(known, random), *_sentences(random)]
    frame = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    frame = frame.with_columns(prepare(frame.get_column("text")).alias("text"))
    frame = frame.with_columns(key(frame.get_column("text"))).unique("text", keep="first", maintain_order=True)
    checks = known.filter(pl.col("split") != "train")
    return frame.join(known, on="text", how="anti").join(checks, on="key", how="anti").select(SCHEMA.names())


def _copies(known: pl.DataFrame, random: Random) -> Iterator[Row]:
    train = known.with_row_index("of").filter(pl.col("split") == "train").select("text", "language", "of", "label")
    rows = train.rows()
    for text, language, of, _ in _some(rows, LOWERED, random):
        yield text.lower(), language, of, None
    long = [row for row in rows if sum(map(str.isalpha, row[0])) >= _SHORTEST]
    for text, language, of, _ in _some(long, MISSPELT, random):
        yield misspelt(text, random), language, of, None
    tones = {0: EMOJI["negative"], 2: EMOJI["positive"]}
    for text, language, of, label in _some([row for row in rows if row[3] in tones], EMPHASISED, random):
        yield f"{text} {random.choice(tones[label])}", language, of, None


def misspelt(text: str, random: Random) -> str:
    """One to three typos: two letters swapped, one left out, doubled or drawn out. Names and links are spared."""
    words = text.split(" ")
    places = [n for n, word in enumerate(words) if len(word) > 3 and word.isalpha() and word != "http"]
    for place in random.sample(places, min(len(places), random.randint(1, 3))):
        word, at = words[place], random.randrange(1, len(words[place]) - 1)
        letter = word[at]
        words[place] = random.choice(
            (
                word[:at] + word[at + 1] + letter + word[at + 2 :],
                word[:at] + word[at + 1 :],
                word[:at] + letter + word[at:],
                word[:at] + letter * random.randint(2, 4) + word[at:],
            )
        )
    return " ".join(words)


def _sentences(random: Random) -> Iterator[Row]:
    for language, phrases in PHRASES.items():
        for text, target in _some(list(_negated(phrases)), NEGATED, random):
            yield text, language, -1, target
        plain = [frame.format(t=thing) for frame, thing in product(phrases.neutral, phrases.things)] + list(phrases.things)
        for _ in range(DRAWN):
            tone, target = random.choice((("negative", NEGATIVE), ("positive", POSITIVE)))
            drawn = random.choice(EMOJI[tone]) * random.randint(1, 3)
            yield random.choice((f"{random.choice(plain)} {drawn}", drawn)), language, -1, target


def _negated(phrases: Phrases) -> Iterator[tuple[str, tuple[float, float, float]]]:
    for adjectives, same, turned in ((phrases.good, POSITIVE, NOT_GOOD), (phrases.bad, NEGATIVE, NOT_BAD)):
        for thing, adjective in product(phrases.things, adjectives):
            for frames, target in ((phrases.same, same), (phrases.turned, turned)):
                yield from ((frame.format(t=thing, a=adjective), target) for frame in frames)
    for thing, frame in product(phrases.things, phrases.neutral):
        yield frame.format(t=thing), NEUTRAL


def _some(rows: list[T], count: int, random: Random) -> list[T]:
    return random.sample(rows, min(count, len(rows)))
