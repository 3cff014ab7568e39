"""The store of alerts that the evaluator reads and writes (sinks/alerts.py: AlertTables)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

import polars as pl

from pipeline.processors.alerts.silences import Silence
from pipeline.processors.alerts.usual_gaps import Row
from schemas.alerts import Alert, Member
from schemas.signals import Candidate


class LateDay(NamedTuple):
    """A day (since 1970) whose minutes from `first` to `last` changed late; `done`: they have been judged again."""

    day: int
    first: int
    last: int
    done: bool = False


class AlertStore(Protocol):
    """Each call blocks until it is answered, and raises GivenUp when another process leads."""

    def standing(self, since: datetime) -> list[Alert]:
        """The newest change of each alert that is not resolved, or that changed after `since`; none is historical."""
        ...

    def between(self, first: datetime, last: datetime) -> list[Alert]:
        """The newest change of each alert that was true in between, by the events' time."""
        ...

    def by_keys(self, keys: Iterable[int]) -> list[Alert]:
        """The newest change of each."""
        ...

    def new(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """The candidates that no alert holds yet, each once."""
        ...

    def silences(self, now: datetime) -> list[Silence]:
        """The silences that have not ended."""
        ...

    def watermark(self) -> datetime | None:
        """How far windows were judged, by the events' time; None: nothing was kept."""
        ...

    def ask(self, sql: str, settings: Mapping[str, object] | None = None) -> pl.DataFrame:
        """The answer; times are aware, UTC."""
        ...

    def write(self, alerts: Sequence[Alert], members: Sequence[Member], generation: int) -> None:
        """Alerts first, then the events that belong to them. Idempotent."""
        ...

    def write_silence(self, silence: Silence, generation: int) -> None:
        """Writes a silence, or a newer version of one. Idempotent."""
        ...

    def waiting_candidates(self, since: datetime) -> list[tuple[Candidate, datetime]]:
        """The candidates that wait for their rule, and since when: after `since`."""
        ...

    def write_candidates(self, candidates: Sequence[tuple[Candidate, datetime]], done: bool, generation: int) -> None:
        """Stores that candidates wait since a time, or that they are done. Idempotent."""
        ...

    def late_days(self) -> list[LateDay]:
        """The days that are not done."""
        ...

    def write_late_days(self, days: Sequence[LateDay], now: datetime, generation: int) -> None:
        """Stores the newest state of these days. Idempotent."""
        ...

    def write_arrivals(self, rows: Sequence[Row], generation: int) -> None:
        """Stores in which minutes something came of sources. Idempotent."""
        ...

    def keep_watermark(self, at: datetime, now: datetime, generation: int) -> None:
        """Stores how far windows were judged. Idempotent."""
        ...
