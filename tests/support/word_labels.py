"""Labels by words, some of them late: a text may say since when it has one.

Also a worker that labels like this: `python -m tests.support.word_labels`.
"""

from __future__ import annotations

import re
import time
from datetime import datetime

import polars as pl

from pipeline.app import run_worker
from pipeline.clock import Clock, wall
from pipeline.config.load import load
from schemas.labels import COLUMNS, DEFERRED, LABELLED
from tests.support.process import say_each_batch

COMMAND = ("-m", "tests.support.word_labels")
MODEL = "words@1"
BAD, FINE = "awful", "decent"
"""A text with the first word is negative, all others are neutral."""
_WAITS = re.compile(r"until (\d+) ")
_REST_S = 0.2


def labelled_later(text: str, until: datetime) -> str:
    """The text, without a label before then."""
    return f"until {int(until.timestamp())} {text}"


class WordLabeller:
    """A labeller. `rest_s`: how long a call takes that has no label for any text; who asks again and again asks less often."""

    models = frozenset({MODEL})

    def __init__(self, clock: Clock = wall, rest_s: float = 0.0) -> None:
        self._clock, self._rest_s = clock, rest_s

    def label(self, texts: pl.Series, languages: pl.Series, until: float | None = None) -> pl.DataFrame:
        labels = [self._label(text) for text in texts]
        if until is None and all(label is _LATER for label in labels):
            time.sleep(self._rest_s)
        return pl.DataFrame(labels, schema=COLUMNS, orient="row")

    def _label(self, text: str) -> tuple[object, ...]:
        waits = _WAITS.match(text)
        if waits and self._clock() < int(waits[1]):
            return _LATER
        return _NEGATIVE if BAD in text else _NEUTRAL


_LATER = (*(None,) * 6, DEFERRED, None)
_NEGATIVE = ("negative", 0.8, 0.1, 0.1, MODEL, "en", LABELLED, None)
_NEUTRAL = ("neutral", 0.1, 0.8, 0.1, MODEL, "en", LABELLED, None)


if __name__ == "__main__":
    settings = load()
    say_each_batch()
    run_worker(settings, lambda _: WordLabeller(rest_s=_REST_S))
