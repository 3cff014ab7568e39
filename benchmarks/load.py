"""The standard load as batches in memory, and the brand lists to look for in it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import product

from benchmarks.standard import SYLLABLES, standard_brands, standard_keywords, standard_load
from pipeline.config.settings import WorkerSettings
from pipeline.processors.mentions.brands import Brands

BATCH_ROWS: int = WorkerSettings().batch_rows
BIG_BRANDS, BIG_KEYWORDS = 200, 5_000
SEED = 1


def records(count: int) -> list[bytes]:
    """The values of `count` records of the standard load, two hours old."""
    return [record.value for record in standard_load(count, SEED, datetime.now(UTC) - timedelta(hours=2))]


def renewed(values: Sequence[bytes], number: int) -> list[bytes]:
    """The same records as other events: their ids, and so their revisions, are new for each `number`; duplicates stay."""
    old, new = f'"id":"{SEED}-'.encode(), f'"id":"{number:03d}-'.encode()
    return [value.replace(old, new, 1) for value in values]


def brands() -> Brands:
    """20 brands with 200 keywords."""
    return Brands.model_validate(standard_brands())


def many_brands() -> Brands:
    """200 brands with 5,000 keywords, the 200 that the standard load mentions among them."""
    words = standard_keywords()
    words += ["".join(parts) + "ost" for parts in product(SYLLABLES, repeat=4)][: BIG_KEYWORDS - len(words)]
    groups = [words[number::BIG_BRANDS] for number in range(BIG_BRANDS)]
    return Brands.model_validate({"brands": [{"name": group[0].title(), "keywords": group} for group in groups]})
