"""Known items: as a dict of the newest ones would have them, in a fraction of its memory."""

from __future__ import annotations

import tracemalloc
from random import Random

import numpy as np

from pipeline.sources.platforms.known_items import KnownItems, Sent

MOST = 50


def test_it_is_a_dict_of_the_newest_items() -> None:
    random, items, wanted = Random(5), KnownItems(b"", MOST), dict[int, Sent]()
    for number in range(20_000):
        key = random.randrange(MOST * 2) << 57 | 7
        sent = Sent(*(random.randrange(1 << 64) for _ in range(4)))
        assert items.get(key) == wanted.get(key) and (key in items) == (key in wanted)
        items.keep(key, sent)
        wanted.pop(key, None)
        wanted[key] = sent
        if len(wanted) > MOST:
            del wanted[next(iter(wanted))]
        assert len(items) == len(wanted)
        match random.randrange(30):
            case 0:
                assert items.dump() == dumped(wanted) and items.dump() is items.dump()
            case 1:
                items = KnownItems(items.dump(), MOST)
            case 2:
                before, items = items, items.copy()
                before.keep(number, sent)  # what happens to the other one stays there
    assert items.dump() == dumped(wanted)
    assert KnownItems(items.dump() * 2, MOST).dump() == items.dump(), "each item is there once"
    assert len(KnownItems(b"broken", MOST)) == 0


def test_thousands_of_items_take_little_memory() -> None:
    rows = np.random.default_rng(1).integers(1 << 62, 1 << 63, (6_000, 5)).astype("<u8").tobytes()
    tracemalloc.start()
    items = KnownItems(rows, 6_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(items) == 6_000 and peak < 6_000 * 60, "beside the bytes that it was made of"


def dumped(items: dict[int, Sent]) -> bytes:
    return np.array([(key, *sent) for key, sent in items.items()], "<u8").tobytes()
