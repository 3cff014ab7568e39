"""Kept: which rows of `interactions` no time to live (setting retention) has taken yet. Rollups are made from these alone: what
was counted before stays counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.clickhouse.row_versions import quoted
from pipeline.clock import Clock, wall
from pipeline.rollups.rollup import QUARTER_S

DAY_S = 86_400
MARGIN_S = 3_600
"""A quarter-hour is left alone so long before its first row may go: a statement reads the rows of now."""
TIMES = {
    "interactions": "created_at",
    "quarters": "quarter",
    "account_quarters": "quarter",
    "relations": "created_at",
    "measures": "created_at",
    "orders": "created_at",
}
"""The tables whose rows belong to one platform and quarter-hour, and the time of that."""


@dataclass(frozen=True)
class Kept:
    """`days` that rows are kept, None: for ever; those of a platform by `platforms`."""

    days: int | None = None
    platforms: Mapping[str, int] = field(default_factory=dict)
    clock: Clock = wall

    def gone(self, time: str) -> str:
        """The condition on `platform`, and a column or expression of time, that a row may be gone; blank: none may."""
        parts = [
            f"(platform = {quoted(name)} AND {time} < {self._cutoff(days)})" for name, days in sorted(self.platforms.items())
        ]
        if self.days is not None:
            others = ", ".join(map(quoted, sorted(self.platforms)))
            of_others = f"platform NOT IN ({others}) AND " if others else ""
            parts.append(f"({of_others}{time} < {self._cutoff(self.days)})")
        return f"({' OR '.join(parts)})" if parts else ""

    def settings(self) -> dict[str, object]:
        """Settings of a statement that is to read kept rows alone, of `interactions` and of the rollups."""
        if not self.gone("created_at"):
            return {}
        filters = (f"{quoted(table)}: {quoted(f'NOT {self.gone(time)}')}" for table, time in TIMES.items())
        return {"additional_table_filters": f"{{{', '.join(filters)}}}"}

    def _cutoff(self, days: int) -> str:
        """A quarter that begins here or later is whole."""
        first = -(-int(self.clock() + MARGIN_S - days * DAY_S) // QUARTER_S)
        return f"toDateTime({max(0, first) * QUARTER_S}, 'UTC')"


ALL = Kept()
"""Every row is kept."""
