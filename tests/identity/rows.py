"""Events as rows, by the steps before identity: as completion leaves them."""

from __future__ import annotations

from typing import Any

import polars as pl

from pipeline.processors.completion import Completion
from pipeline.processors.dedup import Dedup, RevisionIndex
from pipeline.processors.keys import KeySet
from pipeline.processors.mentions.brands import Brands
from pipeline.processors.mentions.step import Mentions
from pipeline.processors.privacy import Pseudonymise
from pipeline.sinks.memory import MemoryTable
from pipeline.sources.decode import Decode
from pipeline.sources.memory import batch_of
from schemas.contacts import DEFAULT
from tests.support.bad_records import event

PRIVACY = Pseudonymise(b"key", "DE", DEFAULT)
Event = dict[str, Any]


def rows_of(*events: Event) -> pl.DataFrame:
    """The rows of these events; one without an id is the one at its place."""
    defaults = {"platform": "forum", "created_at": "2026-09-01T00:00:00Z"}
    batch = batch_of([event(**{"id": str(number), **defaults, **each}) for number, each in enumerate(events)])
    dedup = Dedup(RevisionIndex(KeySet(100_000, 1e9)))
    for step in (Decode(), PRIVACY, dedup, Mentions(Brands(brands=())), Completion(MemoryTable(), waiting_s=1e9)):
        batch = step.process(batch)
    assert not batch.rejected
    return batch.events
