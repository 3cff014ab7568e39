"""The counts of a replay, and of a look at the files without one."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.sources.recorded.unmapped_rows import UnmappedRow, UnmappedRows


@dataclass(slots=True)
class ReplayReport:
    """The counts of a replay: `events` = `produced` + the sum of `failed` + `unmapped`, also after a Ctrl-C. With a platform's
    mapper, `rows` are payloads."""

    rows: int = 0
    events: int = 0
    """Events in the rows, including those that do not map."""
    produced: int = 0
    """Acknowledged by the broker."""
    failed: Counter[str] = field(default_factory=Counter)
    """Refused by the broker or not acknowledged, by reason."""
    unmapped: UnmappedRows = field(default_factory=UnmappedRows)
    left_out: Counter[str] = field(default_factory=Counter)
    """Fields that could not be read, by their path: their events landed without them."""
    first_left_out: dict[str, UnmappedRow] = field(default_factory=dict)
    """The first row of each such field."""
    not_mapped: Counter[str] = field(default_factory=Counter)
    """Parts of payloads that the platform's mapper leaves out, by their kind."""
    first_not_mapped: dict[str, UnmappedRow] = field(default_factory=dict)
    """The first part of each such kind."""
    unchanged: int = 0
    """Items of payloads, seen again, of which nothing was to send."""
    barren: list[Path] = field(default_factory=list)
    """Files that have rows, and no event."""
    notes: list[str] = field(default_factory=list)
    """A line for each thing that a file shows and its mapping does not say, and for each file that breaks off."""
    damaged: bool = False
    """A file breaks off: its rows up to there are sent."""
    interrupted: bool = False

    @property
    def complete(self) -> bool:
        """Every event that maps is in Kafka, and every file was read to its end."""
        return not self.failed and not self.interrupted and not self.damaged
