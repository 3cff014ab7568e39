"""The contract of a labeller, which fills the columns of step sentiment."""

from __future__ import annotations

from typing import Protocol

import polars as pl

from schemas.labels import LABELS as LABELS


class Labeller(Protocol):
    """Labels texts. Thread-safe."""

    @property
    def models(self) -> frozenset[str]:
        """The identities of the active models, as in column `sentiment_model`."""
        ...

    def label(self, texts: pl.Series, languages: pl.Series, until: float | None = None) -> pl.DataFrame:
        """The columns of COLUMNS, a row per text. `languages`: the events' own, null or empty if they name none.

        What is not done at `until` (time.monotonic()) is `deferred`; what is known already is labelled all the same. Never
        raises for a text: what the model can't read is `unknown`.
        """
        ...
