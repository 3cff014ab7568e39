"""The step: labels the rows that fit into a batch's time, and leaves the others for later (deferred.py)."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import polars as pl

from pipeline.batch import EventBatch
from pipeline.processors.sentiment.labels import Labeller
from schemas import inbound
from schemas.labels import COLUMNS, DEFERRED, LABELLED

SHARE, BEHIND_SHARE = 1 / 3, 1 / 10
"""Most of the time since the batch before that the model gets; the second, while the worker is behind."""
CALM_S = 1.0
"""Time after a batch that did not fit until rows that wait get a turn."""


class Sentiment:
    """The step. Sets the columns of labels.COLUMNS, null for rows that are not to be labelled; keeps every row.

    `budget_s` is the time for a batch; where batches follow one another, at most a third of the time since the one before, so
    that they never queue here; a tenth while the worker is behind (`batch.behind`), so that catching up is hardly slower than
    without a model. Rows that do not fit are `deferred`. A stored label that completion brought along stays if its model is in
    force.

    Restart: it remembers nothing.
    """

    name = "sentiment"

    def __init__(self, labeller: Labeller, budget_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._labeller = labeller
        self._budget_s = budget_s
        self._clock = clock
        self._before: float | None = None
        self._busy = False
        self._behind = self._pressed = float("-inf")

    def spare(self, urgent: bool) -> bool:
        """Whether there is time for deferred rows: no batch is here, and every batch of the last moment did fit.

        Urgent rows get time after batches that did not fit, too, but not while the worker is behind.
        """
        since = self._behind if urgent else self._pressed
        return not self._busy and self._clock() - since > CALM_S

    def process(self, batch: EventBatch) -> EventBatch:
        self._busy = True
        try:
            self._process(batch)
        finally:
            self._busy = False
        return batch

    def _process(self, batch: EventBatch) -> None:
        until = self._until(batch)
        wanted, known = batch.events.select(wanted=inbound.TO_LABEL, known=self._known()).get_columns()
        asked = wanted & ~known
        if asked.any():
            texts = batch.events.filter(asked)
            labels = self._labeller.label(texts.get_column("text"), texts.get_column("language"), until)
        else:
            labels = pl.DataFrame(schema=COLUMNS)
        batch.events = batch.events.with_columns(_spread(labels, asked, batch.events, wanted))
        if batch.behind:
            self._behind = self._pressed = self._clock()
        elif (labels.get_column("sentiment_status") == DEFERRED).any():
            self._pressed = self._clock()

    def _until(self, batch: EventBatch) -> float:
        now = self._clock()
        before, self._before = self._before, now
        if before is None:
            return now + (0.0 if batch.behind else self._budget_s)
        return now + min(self._budget_s, (BEHIND_SHARE if batch.behind else SHARE) * (now - before))

    def _known(self) -> pl.Expr:
        labelled = (pl.col("sentiment_status") == LABELLED).fill_null(False)
        return labelled & pl.col("sentiment_model").is_in(sorted(self._labeller.models)).fill_null(False)


def _spread(labels: pl.DataFrame, asked: pl.Series, events: pl.DataFrame, wanted: pl.Series) -> list[pl.Series]:
    """The columns of COLUMNS: from `labels` for rows that were asked for, from `events` for other wanted rows, else null."""
    if not wanted.any():
        return [pl.Series(column, [None], type_).new_from_index(0, events.height) for column, type_ in COLUMNS.items()]
    stored = {column: pl.when(wanted).then(pl.col(column).cast(type_)) for column, type_ in COLUMNS.items()}
    if not labels.height:
        return events.select(**stored).get_columns()
    new = labels[np.maximum(np.cumsum(asked.to_numpy()) - 1, 0)]
    return events.select(
        pl.when(asked).then(new.get_column(column)).otherwise(known).alias(column) for column, known in stored.items()
    ).get_columns()
