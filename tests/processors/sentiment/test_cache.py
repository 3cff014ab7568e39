"""The table of labels that come again."""

from __future__ import annotations

import numpy as np

from pipeline.processors.sentiment.cache import Cache


def _filled(cache: Cache, count: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    keys = random.integers(0, 1 << 63, count, dtype=np.uint64)
    scores, languages = random.random((count, 3)).astype(np.float32), random.integers(0, 9, count).astype(np.uint16)
    cache.put(keys, scores, languages)
    return keys, scores, languages


def test_what_was_put_is_found_as_it_was() -> None:
    cache = Cache(1)
    keys, scores, languages = _filled(cache, 500)
    known, found, of = cache.get(keys)
    assert known.mean() > 0.97  # two keys may share a slot
    assert (found[known] == scores[known]).all()
    assert (of[known] == languages[known]).all()
    assert not cache.get(keys + np.uint64(1))[0].any()


def test_its_memory_is_bounded_and_the_newest_stays() -> None:
    cache = Cache(1)
    for seed in range(2, 8):
        _filled(cache, 40_000, seed)
    keys, _, _ = _filled(cache, 1_000, 1)
    assert cache.get(keys)[0].mean() > 0.9
    assert cache._slots.nbytes <= 1 << 20


def test_without_memory_it_knows_nothing() -> None:
    cache = Cache(0)
    keys, _, _ = _filled(cache, 10)
    assert not cache.get(keys)[0].any()
