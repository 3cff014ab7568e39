"""The engine: computes the probabilities of a model's classes for prepared texts, as fast as its backend allows.

Texts are sorted by length, so that there is little padding, and batches are cut by a budget of pieces, padding counted, not by
a number of texts. While a backend computes, the next chunk is split into pieces by another thread; a backend that says so gets
several batches at once, each on a thread of its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from tokenizers import Encoding, Tokenizer

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
CHUNK_TEXTS = 2_048
DONE, LEFT, NOT_A_NUMBER, NO_MEMORY = range(4)
"""The outcome of a text: DONE, LEFT (not computed before the deadline), or why it has no label."""


class OutOfMemory(Exception):
    """The batch is too large for the device."""


class Backend(Protocol):
    """Computes logits. `pieces`: the most that a batch may have, including padding; `lanes`: batches computed at a time."""

    pieces: int
    lanes: int

    def logits(self, ids: Ints, lengths: Ints) -> Floats:
        """Padded pieces (rows, length) and their numbers without padding (rows,), to logits (rows, classes). Raises
        OutOfMemory."""
        ...


class Scores(NamedTuple):
    """The classes' probabilities (texts, classes), and each text's outcome."""

    scores: Floats
    states: npt.NDArray[np.uint8]


class Engine:
    """Runs one model. Thread-safe."""

    def __init__(self, tokenizer: Tokenizer, backend: Backend, classes: int, longest: int) -> None:
        tokenizer.no_padding()
        tokenizer.enable_truncation(longest)
        self._tokenizer, self._backend, self._classes = tokenizer, backend, classes
        self._pad = next((i for token in ("<pad>", "[PAD]") if (i := tokenizer.token_to_id(token)) is not None), 0)
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="pieces")
        self._lanes = ThreadPoolExecutor(backend.lanes, thread_name_prefix="model")
        self._pace = 0.0
        self._lock = threading.Lock()

    def run(self, texts: Sequence[str], until: float | None = None) -> Scores:
        """Computes texts that are not empty; those that would not be done at `until` (time.monotonic()) are LEFT."""
        answer = Scores(np.full((len(texts), self._classes), np.nan, np.float32), np.full(len(texts), LEFT, np.uint8))
        order = np.argsort(np.fromiter(map(len, texts), np.int64, len(texts)), kind="stable")
        parts = [order[start : start + CHUNK_TEXTS] for start in range(0, len(order), CHUNK_TEXTS)]
        reading = self._reader.submit(self._pieces, texts, parts[0]) if parts else None
        for index, part in enumerate(parts):
            assert reading is not None
            encoded = reading.result()
            if index + 1 < len(parts):
                reading = self._reader.submit(self._pieces, texts, parts[index + 1])
            lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
            run = [
                self._lanes.submit(self._batch, encoded, lengths, rows, part, answer, until)
                for rows in _batches(lengths, self._backend.pieces)
            ]
            for future in run:
                future.result()
            if until is not None and time.monotonic() >= until:
                break
        return answer

    def _pieces(self, texts: Sequence[str], part: Ints) -> list[Encoding]:
        encoded: list[Encoding] = self._tokenizer.encode_batch_fast([texts[row] for row in part])
        return encoded

    def _batch(
        self, encoded: list[Encoding], lengths: Ints, rows: Ints, part: Ints, answer: Scores, until: float | None
    ) -> None:
        started = time.monotonic()
        longest = int(lengths[rows].max())
        if until is not None and started + self._pace * longest * len(rows) >= until:
            return
        ids = np.full((len(rows), longest), self._pad, np.int64)
        for index, row in enumerate(rows):
            ids[index, : lengths[row]] = encoded[row].ids
        logits = self._halving(ids, lengths[rows])
        scores, states = _softmax(logits)
        answer.scores[part[rows]], answer.states[part[rows]] = scores, states
        with self._lock:
            pace = (time.monotonic() - started) / ids.size
            self._pace = 0.8 * self._pace + 0.2 * pace if self._pace else pace

    def _halving(self, ids: Ints, lengths: Ints) -> Floats | None:
        """The logits; None for a text that alone is too large for the device."""
        try:
            return self._backend.logits(ids, lengths)
        except OutOfMemory:
            if len(ids) == 1:
                return None
        middle = len(ids) // 2
        halves = [self._halving(ids[part], lengths[part]) for part in (slice(middle), slice(middle, None))]
        sizes = (middle, len(ids) - middle)
        missing = [np.full((size, self._classes), np.inf, np.float32) for size in sizes]
        return np.concatenate([lost if half is None else half for half, lost in zip(halves, missing, strict=True)])


class Model(NamedTuple):
    """`classes`: the index in LABELS of each of the model's classes; the probabilities of classes that share one add up."""

    identity: str
    engine: Engine
    classes: tuple[int, ...]


def _batches(lengths: Ints, budget: int) -> Iterator[Ints]:
    """Batches of indices of texts of similar length; a batch has at most `budget` pieces, including padding, or one text."""
    order = np.argsort(lengths, kind="stable")
    start = 0
    while start < len(order):
        costs = lengths[order[start:]] * np.arange(1, len(order) - start + 1)
        count = max(1, int(np.searchsorted(costs, budget, side="right")))
        yield order[start : start + count]
        start += count


def _softmax(logits: Floats | None) -> tuple[Floats | float, npt.NDArray[np.uint8] | int]:
    if logits is None:
        return np.nan, NO_MEMORY
    lost: Bools = np.logical_and.reduce(np.isposinf(logits), axis=1)
    bad: Bools = ~np.logical_and.reduce(np.isfinite(logits), axis=1)
    logits = np.where(bad[:, None], 0, logits)
    powers = np.exp(logits - logits.max(1, keepdims=True))
    scores = np.where(bad[:, None], np.nan, powers / powers.sum(1, keepdims=True))
    return scores.astype(np.float32), np.where(lost, NO_MEMORY, np.where(bad, NOT_A_NUMBER, DONE)).astype(np.uint8)
