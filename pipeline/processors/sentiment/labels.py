"""What a label is: the columns that step sentiment adds, and who can fill them."""

from __future__ import annotations

from typing import Protocol

import polars as pl

from schemas.labels import LABELS as LABELS


class Labeller(Protocol):
    """Texts to labels. From any thread, also from several at once."""

    @property
    def models(self) -> frozenset[str]:
        """The identities of the models in force, as column `sentiment_model` has them."""
        ...

    def label(self, texts: pl.Series, languages: pl.Series, until: float | None = None) -> pl.DataFrame:
        """The columns of COLUMNS, a row a text. `languages`: as the events give them, null or empty where they don't.

        What is not done at `until` (time.monotonic()) is `deferred`; what is known already is labelled all the same. Never
        raises for a text: what the model can't read is `unknown`.
        """
        ...
