"""The engine: order, budgets, deadlines, and what a device may do to it."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from pipeline.processors.sentiment.engine import (
    CHUNK_TEXTS,
    DONE,
    LEFT,
    NO_MEMORY,
    NOT_A_NUMBER,
    Engine,
    Floats,
    Ints,
    OutOfMemory,
)


class Lengths:
    """A backend whose class is the number of a text's pieces, modulo three. It notes its batches."""

    def __init__(self, pieces: int = 64, lanes: int = 2, largest: int = 1 << 30, delay_s: float = 0.0) -> None:
        self.pieces, self.lanes, self._largest, self._delay_s = pieces, lanes, largest, delay_s
        self.shapes: list[tuple[int, ...]] = []
        self._lock = threading.Lock()

    def logits(self, ids: Ints, lengths: Ints) -> Floats:
        if ids.size > self._largest:
            raise OutOfMemory
        time.sleep(self._delay_s)
        with self._lock:
            self.shapes.append(ids.shape)
        assert (lengths <= ids.shape[1]).all()
        assert all((row[:length] != 0).all() and (row[length:] == 0).all() for row, length in zip(ids, lengths, strict=True))
        logits: Floats = np.eye(3, dtype=np.float32)[lengths % 3]
        logits[lengths == 13] = np.nan
        return logits


def engine(backend: Lengths, longest: int = 128) -> Engine:
    tokenizer = Tokenizer(models.WordLevel({"[PAD]": 0, "x": 1, "?": 2}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return Engine(tokenizer, backend, 3, longest)


def texts(count: int) -> list[str]:
    random = np.random.default_rng(1)
    return [" ".join("x" * size) for size in random.choice([1, 2, 3, 5, 8, 20, 40], count)]


@pytest.mark.parametrize("count", [0, 1, 7, 500, 2 * CHUNK_TEXTS + 3])
def test_each_text_has_its_own_answer(count: int) -> None:
    asked = texts(count)
    answer = engine(Lengths()).run(asked)
    assert answer.scores.argmax(1).tolist() == [len(text.split()) % 3 for text in asked]
    assert (answer.states == DONE).all()
    assert np.allclose(answer.scores.sum(1), 1)


def test_a_batch_stays_within_the_budget_and_is_hardly_padded() -> None:
    backend = Lengths(pieces=64)
    asked = texts(1_000)
    engine(backend).run(asked)
    assert all(rows * length <= 64 for rows, length in backend.shapes)
    assert sum(rows for rows, _ in backend.shapes) == 1_000
    padded, counted = sum(rows * length for rows, length in backend.shapes), sum(len(text.split()) for text in asked)
    assert padded / counted < 1.1


def test_a_text_longer_than_the_budget_is_a_batch_of_its_own_and_cut_where_the_model_ends() -> None:
    backend = Lengths(pieces=16)
    answer = engine(backend, longest=32).run(["x " * 500, "x"])
    assert (answer.states == DONE).all()
    assert sorted(backend.shapes) == [(1, 1), (1, 32)]


def test_out_of_memory_halves_the_batch() -> None:
    backend = Lengths(pieces=64, largest=20)
    asked = texts(200)
    answer = engine(backend).run(asked)
    fits = np.array([len(text.split()) <= 20 for text in asked])
    assert (answer.states[fits] == DONE).all()
    assert (answer.states[~fits] == NO_MEMORY).all()
    assert answer.scores[fits].argmax(1).tolist() == [len(text.split()) % 3 for text in np.array(asked)[fits]]
    assert np.isnan(answer.scores[~fits]).all()


def test_logits_that_are_no_numbers_cost_one_text_only() -> None:
    answer = engine(Lengths()).run(["x", " ".join("x" * 13), "x x"])
    assert answer.states.tolist() == [DONE, NOT_A_NUMBER, DONE]
    assert np.isnan(answer.scores[1]).all()


@pytest.mark.slow
def test_what_does_not_fit_is_left_and_the_deadline_holds() -> None:
    run = engine(Lengths(pieces=64, lanes=1, delay_s=0.1))
    run.run(texts(20))  # it learns its pace
    answer = run.run(texts(1_200), until=time.monotonic() + 3)  # all would take twenty seconds
    assert set(answer.states.tolist()) == {DONE, LEFT}
    assert np.isnan(answer.scores[answer.states == LEFT]).all()


def test_a_deadline_that_is_over_leaves_all() -> None:
    backend = Lengths()
    assert (engine(backend).run(texts(10), until=time.monotonic() - 1).states == LEFT).all()
    assert backend.shapes == []


def test_several_threads_may_ask_at_once() -> None:
    run, wrong = engine(Lengths()), []

    def ask(seed: int) -> None:
        asked = texts(300 + seed)
        if run.run(asked).scores.argmax(1).tolist() != [len(text.split()) % 3 for text in asked]:
            wrong.append(seed)

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
